"""How a question looks: within WhatsApp's limits whatever the data holds."""

import pytest

from flows.dialog.content import Buttons, Content, Row, Rows, Text
from flows.dialog.question import Labels, Option, cut, read_tap, short, show, tap_id

LABELS = Labels("Ver opciones", "Ver más")


def shown(body: str, options: list[Option], page: int = 0) -> Content | None:
    return show(body, options, seq=7, state="shop.menu", page=page, labels=LABELS)


def options(count: int) -> list[Option]:
    return [Option(f"o{n}", f"Opción {n}") for n in range(count)]


def test_words_alone_are_a_text() -> None:
    assert shown("Hola", []) == Text("Hola")
    assert shown(" ", []) is None


def test_three_options_are_buttons_and_four_a_list() -> None:
    assert isinstance(shown("¿Cuál?", options(3)), Buttons)
    assert isinstance(shown("¿Cuál?", options(4)), Rows)


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(Option("a", "Uno", about="El primero"), id="a-description"),
        pytest.param(Option("a", "Un título de 21 signo"), id="a-title-too-long-for-a-button"),
    ],
)
def test_what_a_button_cannot_show_is_a_row(option: Option) -> None:
    content = shown("¿Cuál?", [option])

    assert content == Rows(
        "¿Cuál?", "Ver opciones", (Row("7:shop.menu:a", option.title, option.about),)
    )


def test_a_question_without_words_still_has_a_body() -> None:
    content = shown("", options(2))

    assert isinstance(content, Buttons)
    assert content.body == "Ver opciones"


def test_no_two_titles_are_alike_and_none_is_empty_or_too_long() -> None:
    rows = [Option("a", "Pan"), Option("b", "Pan"), Option("c", ""), Option("d", "x" * 99)]

    content = shown("¿Cuál?", rows)

    assert isinstance(content, Rows)
    assert [row.title for row in content.rows] == ["Pan", "Pan 2", "…", "x" * 23 + "…"]


def test_pages_show_every_row_once_and_the_way_out_always() -> None:
    rows = [*options(23), Option("out", "Ninguna", fixed=True)]
    seen: list[str] = []

    for page in range(3):
        content = shown("¿Cuál?", rows, page)
        assert isinstance(content, Rows)
        titles = [row.title for row in content.rows]
        assert titles[-2:] == ["Ver más", "Ninguna"]
        seen += titles[:-2]

    assert seen == [option.title for option in options(23)]


def test_a_page_beyond_the_last_is_the_first() -> None:
    assert shown("¿Cuál?", options(12), page=2) == shown("¿Cuál?", options(12), page=0)


@pytest.mark.parametrize(
    ("words", "limit", "kept"),
    [
        pytest.param("Uno. Dos. Tres.", 15, "Uno. Dos. Tres.", id="all-fits"),
        pytest.param("Uno. Dos. Tres.", 14, "Uno. Dos.", id="at-a-sentence"),
        pytest.param("Uno. Dos. Tres.", 9, "Uno. Dos.", id="at-the-very-end-of-one"),
        pytest.param("Una frase sin fin aquí", 10, "Una frase…", id="no-sentence-ends"),
        pytest.param("A. " + "b" * 50, 20, "A. " + "b" * 16 + "…", id="a-sentence-ends-too-early"),
        pytest.param("uno\ndos\ntres", 9, "uno\ndos", id="at-a-line"),
    ],
)
def test_a_long_text_is_cut_where_it_reads_well(words: str, limit: int, kept: str) -> None:
    assert cut(words, limit) == kept


def test_a_body_beyond_the_limit_is_cut_and_not_refused() -> None:
    content = shown("Una frase. " * 200, options(2))

    assert isinstance(content, Buttons)
    assert len(content.body) <= 1024
    assert content.body.endswith("frase.")


def test_short_ends_in_an_ellipsis_only_where_something_is_missing() -> None:
    assert short("veinte", 6) == "veinte"
    assert short("veintiuno", 6) == "veint…"


def test_a_tap_tells_its_question() -> None:
    assert read_tap(tap_id(12, "shop.menu", "s:1")) == (12, "shop.menu", "s:1")
    assert tap_id(12, "shop.menu", "bot:human") == "bot:human"
    assert read_tap("bot:human") is None
