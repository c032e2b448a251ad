"""Splitting: every word once and in order, each part within its limit, nothing torn that belongs together."""

import re

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.dialog.splitting import JOINER, LIMIT_MIN, split

SIGNS = "*_~`"
FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇨🇱"
THUMB = "👍🏽"
ADDRESS = "https://sol.example/carta_de_pan?dia=lunes"
ADDRESS_MAX = 31
"""Characters of the longest address below with the signs around it, in a quote: less would tear it."""


def words_of(text: str) -> list[str]:
    """The words that a person reads, whatever their looks."""
    return [
        word
        for word in re.sub(rf"^> |[{SIGNS}]", " ", text, flags=re.MULTILINE)
        .replace(JOINER, "")
        .split()
        if word
    ]


def letters_of(text: str) -> str:
    return "".join(words_of(text))


WORD = st.one_of(
    st.text("abñé1", min_size=1, max_size=12),
    st.sampled_from(["Sí.", "¿Pan?", "¡Ya!", "$1.990", FAMILY, FLAG, THUMB, "á"]),
    st.text("abcdef", min_size=1, max_size=12).map(lambda word: f"https://a.cl/{word}"),
)
PHRASE = st.lists(WORD, min_size=1, max_size=8).map(" ".join)
STYLED = st.one_of(
    PHRASE,
    *(
        PHRASE.map(lambda words, mark=mark: f"{mark}{words}{mark}")  # type: ignore[misc]  # a default binds it
        for mark in SIGNS
    ),
    PHRASE.map(lambda words: f"*_{words}_*"),
)
LINE = st.one_of(
    st.lists(STYLED, min_size=1, max_size=5).map(" ".join), PHRASE.map(lambda words: f"> {words}")
)
TEXT = st.lists(LINE, min_size=1, max_size=8).flatmap(
    lambda lines: st.sampled_from(["\n", "\n\n", " "]).map(lambda gap: gap.join(lines))
)


@settings(max_examples=150, deadline=None)
@given(TEXT, st.integers(ADDRESS_MAX, 200), st.integers(ADDRESS_MAX, 200))
@example(f"*{'pan ' * 40}*".replace(" *", "*"), 30, 30)
@example("1 *_https://a.cl/aaaaaaaaaaaa_* > 1", 31, 31)
def test_every_word_is_there_once_and_in_order(text: str, limit: int, last: int) -> None:
    parts = split(text, limit, last=last)

    assert [word for part in parts for word in words_of(part)] == words_of(text)
    assert all(part.strip() for part in parts)
    assert all(len(part) <= limit for part in parts)
    assert not parts or len(parts[-1]) <= last


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.integers(LIMIT_MIN, 60))
def test_no_letter_is_lost_whatever_is_written(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert letters_of("".join(parts)) == letters_of(text.strip())
    assert all(part.strip() and len(part) <= limit for part in parts)


@settings(max_examples=100, deadline=None)
@given(TEXT, st.integers(40, 120))
def test_no_address_and_no_sign_is_torn(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert [found for part in parts for found in addresses(part)] == addresses(text)
    assert [sign for part in parts for sign in joined(part)] == joined(text)


def addresses(text: str) -> list[str]:
    return re.findall(r"https://a.cl/\w+", text.replace("_", " "))


def joined(text: str) -> list[str]:
    """What a person sees as one sign and a machine as several."""
    return [sign for sign in regex.findall(r"\X", text) if len(sign) > 1 and sign.strip()]


@settings(max_examples=100, deadline=None)
@given(TEXT, st.integers(60, 120))
def test_what_was_opened_is_closed_in_each_part(text: str, limit: int) -> None:
    for part in split(text, limit):
        for mark in SIGNS:
            assert part.count(mark) % 2 == text.count(mark) % 2 == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param(" \n ", (), id="blanks"),
        pytest.param("Hola, ¿cómo estás?", ("Hola, ¿cómo estás?",), id="what-fits-stays-whole"),
        pytest.param("Primero y lo segundo.\n\nY lo tercero.", ("Primero y lo segundo.", "Y lo tercero."), id="at-a-paragraph"),
        pytest.param("Uno. Este es dos. Tres. Y el cuatro es largo.", ("Uno. Este es dos. Tres.", "Y el cuatro es largo."), id="at-a-sentence"),
        pytest.param("uno dos tres cuatro cinco seis siete", ("uno dos tres cuatro cinco", "seis siete"), id="at-a-word"),
        pytest.param("x" * 35, ("x" * 25, "x" * 10), id="inside-a-word-that-is-too-long"),
        pytest.param("Mira esto: https://sol.example/pan-y-to", ("Mira esto:", "https://sol.example/pan-y-to"[:28]), id="before-an-address"),
        pytest.param("*uno dos tres cuatro cinco seis*", ("*uno dos tres cuatro*", "*cinco seis*"), id="bold-goes-on"),
        pytest.param("_~uno dos tres cuatro cinco~_", ("_~uno dos tres cuatro~_", "_~cinco~_"), id="so-do-two-at-once"),
        pytest.param("`uno *dos tres cuatro cinco seis*", ("`uno *dos tres cuatro*", "*cinco seis*"), id="code-that-never-ends-hides-nothing"),
        pytest.param("`uno *dos* tres` cuatro cinco", ("`uno *dos* tres` cuatro", "cinco"), id="no-bold-in-code"),
        pytest.param("> uno dos tres cuatro cinco", ("> uno dos tres cuatro", "> cinco"), id="a-quote-goes-on"),
        pytest.param("```\nuno = 1\n  dos = 2222\n```", ("```\nuno = 1```", "```  dos = 2222\n```"), id="code-keeps-its-indentation"),
        pytest.param(FAMILY * 5, (FAMILY * 3, FAMILY * 2), id="between-families"),
        pytest.param("Son $1.990 con el 10 % y ya", ("Son $1.990 con el 10 % y", "ya"), id="a-price-is-no-sentence"),
    ],
)  # fmt: skip
def test_a_text_is_cut_where_it_reads_well(text: str, parts: tuple[str, ...]) -> None:
    assert split(text, 28 if "sol.example" in text else 25) == parts


def test_the_last_part_may_be_shorter() -> None:
    text = "Tenemos marraqueta y hallulla todo el día. ¿Cuál quieres?"

    assert split(text, 60, last=20) == (
        "Tenemos marraqueta y hallulla todo el día.",
        "¿Cuál quieres?",
    )
    assert split(text, 60, last=60) == (text,)


def test_a_text_of_a_book_is_split_at_whatsapps_limit() -> None:
    text = "\n\n".join(f"Párrafo {n}. " + "Una frase con *negrita* y más. " * 20 for n in range(40))

    parts = split(text, 4096)

    assert [word for part in parts for word in words_of(part)] == words_of(text)
    assert all(3000 < len(part) <= 4096 for part in parts[:-1])
    assert all(part.startswith("Párrafo") for part in parts)


def test_too_small_a_limit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="too few"):
        split("hola", LIMIT_MIN - 1)
