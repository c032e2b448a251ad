"""Texts: what they show is tame, dates and money look as Chileans write them, nothing is said by half."""

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from flows.dialog.formatting import Kept
from flows.dialog.texts import TextError, Texts
from flows.values.rut import Rut
from tests.flows.dialog.sample import Category
from tests.flows.dialog.sample_texts import ES

ZONE = ZoneInfo("America/Santiago")
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)
EN = {
    **ES,
    "format.day": "EEEE d MMMM",
    "format.hour": "H:mm",
    "format.slot": "EEE d MMM, H:mm",
    "format.today": "today",
    "format.tomorrow": "tomorrow",
}


def said(source: str, *, locale: str = "es_CL", **names: Any) -> str:
    texts = Texts({"es_CL": {**ES, "t": source}, "en": {**EN, "t": source}})
    return texts.voice(locale).render("t", {"now": NOW, **names})


@pytest.mark.parametrize(
    ("source", "value", "words"),
    [
        pytest.param("{{ x | money }}", 1990, "$1.990", id="money"),
        pytest.param("{{ x | uf }}", 2.5, "2,5 UF", id="uf"),
        pytest.param("{{ x | rut }}", "765432103", "76.543.210-3", id="rut"),
        pytest.param("{{ x }}", Rut("765432103"), "76.543.210-3", id="a-rut-needs-no-filter"),
        pytest.param("{{ x | rut_ending }}", "765432103", "210-3", id="rut-ending"),
        pytest.param("{{ x | phone }}", "56961234567", "+56 9 6123 4567", id="phone"),
        pytest.param("{{ x | phone_ending }}", "56961234567", "4567", id="phone-ending"),
        pytest.param("{{ x | label }}", Category.food, "Comida", id="label"),
        pytest.param("{{ x | day }}", date(2026, 11, 24), "mañana martes 24 de noviembre", id="tomorrow"),
        pytest.param("{{ x | day }}", date(2026, 11, 23), "hoy lunes 23 de noviembre", id="today"),
        pytest.param("{{ x | day }}", date(2026, 11, 25), "miércoles 25 de noviembre", id="a-day"),
        pytest.param("{{ x | weekday }}", date(2026, 11, 24), "mañana martes", id="weekday"),
        pytest.param("{{ x | long_date }}", date(2026, 12, 1), "1 de diciembre de 2026", id="date"),
        pytest.param("{{ x | hour }}", datetime(2026, 11, 24, 9, 0, tzinfo=ZONE), "9:00 h", id="hour"),
        pytest.param(
            "{{ x | slot }}", datetime(2026, 11, 24, 10, 0, tzinfo=ZONE), "Mar 24 nov, 10:00 h", id="slot"
        ),
    ],
)  # fmt: skip
def test_values_look_as_people_write_them(source: str, value: object, words: str) -> None:
    assert said(source, x=value) == words


def test_dates_speak_the_language() -> None:
    assert (
        said("{{ x | day }}", locale="en", x=date(2026, 11, 24)) == "tomorrow Tuesday 24 November"
    )
    assert said("{{ x | slot }}", locale="en", x=NOW) == "Mon 23 Nov, 10:00"


def test_midnight_is_judged_in_the_firms_zone() -> None:
    utc = datetime(2026, 11, 24, 2, 30, tzinfo=ZoneInfo("UTC"))

    assert said("{{ x | weekday }}", x=utc) == "hoy lunes"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param("*gratis* _ya_ ~no~ `x`", "gratis ya no x", id="marks"),
        pytest.param("uno\n\ndos\r\ntres\u2028cuatro", "uno dos tres cuatro", id="line-breaks"),
        pytest.param("{{ firm }} {% x %}", "{{ firm }} {% x %}", id="a-template-in-a-name"),
        pytest.param(None, "", id="nothing"),
        pytest.param(1042, "1042", id="a-number"),
    ],
)
def test_data_from_outside_is_tame(data: object, words: str) -> None:
    assert said("{{ x }}", x=data) == words


def test_our_own_marks_stay() -> None:
    assert said("*{{ x }}*\n{{ y }}", x="a*b", y=Kept("*c*")) == "*ab*\n*c*"


def test_longer_words_keep_their_lines() -> None:
    assert said("{{ x | paragraphs }}", x="*a*\n  b\n\n\n\nc") == "a\nb\n\nc"


@pytest.mark.parametrize(
    ("source", "data", "words"),
    [
        pytest.param("{{ x | markdown }}", "# Pan\n\n**uno** y _dos_", "*Pan*\n\n*uno* y _dos_", id="markdown"),
        pytest.param("{{ x | bold }}", "pan *rico*", "*pan rico*", id="bold"),
        pytest.param("{{ x | bold }}", "", "", id="nothing-is-not-marked"),
        pytest.param("{{ x | bullets }}", ["pan", "*torta*"], "- pan\n- torta", id="bullets"),
        pytest.param("{{ x | numbers }}", ["pan", "torta"], "1. pan\n2. torta", id="numbers"),
        pytest.param("{{ x | quote }}", "uno\ndos", "> uno\n> dos", id="quote"),
        pytest.param("{{ x | mono }}", "F-12", "`F-12`", id="mono"),
    ],
)  # fmt: skip
def test_words_from_outside_get_the_looks_that_we_choose(
    source: str, data: object, words: str
) -> None:
    assert said(source, x=data) == words


def test_a_link_keeps_its_signs() -> None:
    assert said("{{ x | link }}", x="https://sol.example/a_b~c") == "https://sol.example/a_b~c"


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        said("{{ nobody }}")


def test_a_text_cannot_reach_behind_the_data() -> None:
    with pytest.raises(SecurityError):
        said("{{ x.__class__.__mro__ }}", x="a")


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        pytest.param("es_CL", "es_CL", id="itself"),
        pytest.param("es_CL@usted", "es_CL@usted", id="a-variant"),
        pytest.param("en_US", "en", id="its-language"),
        pytest.param("en@usted", "en", id="a-variant-that-is-not-there"),
        pytest.param("pt", "es_CL", id="the-default"),
    ],
)
def test_the_nearest_voice_speaks(asked: str, spoken: str) -> None:
    texts = Texts({"es_CL": ES, "en": EN, "es_CL@usted": {"bot.talk": "Hablar con una persona"}})

    assert texts.voice(asked).locale == spoken


def test_a_variant_says_only_what_differs() -> None:
    texts = Texts({"es_CL": ES, "es_CL@usted": {"bot.talk": "Hablar con una persona"}})
    voice = texts.voice("es_CL@usted")

    assert voice.source("bot.talk") == "Hablar con una persona"
    assert voice.source("bot.more") == "Ver más"


def write(folder: Path, *, compiled: bool) -> None:
    place = folder / "es_CL" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "messages.po").write_text('msgid "a"\nmsgstr "¿Sí?"\n')
    if compiled:
        catalogue = Catalog(locale="es_CL")
        catalogue.add("a", "¿Sí?")
        catalogue.add("empty", "")
        with (place / "messages.mo").open("wb") as file:
            write_mo(file, catalogue)


def test_catalogues_are_read_from_their_compiled_files(tmp_path: Path) -> None:
    write(tmp_path, compiled=True)

    texts = Texts.load(tmp_path)

    assert texts.locales == ("es_CL",)
    assert texts.voice("es_CL").source("a") == "¿Sí?"
    assert "empty" not in texts.voice("es_CL")


def test_a_catalogue_that_was_not_compiled_says_what_to_run(tmp_path: Path) -> None:
    write(tmp_path, compiled=False)

    with pytest.raises(TextError, match="run `smarterbot flows texts --write`"):
        Texts.load(tmp_path)


def test_no_catalogue_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="holds no"):
        Texts.load(tmp_path)
