"""A menu shows what there is to choose now, in its order; what it hides is still the same menu."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from flows.dialog.advance import Book
from flows.dialog.checker import check
from flows.dialog.ctx import Ctx
from flows.dialog.flow import Flow, Say, Step, go, say, stay
from flows.dialog.source import look
from flows.dialog.style import judge, variants
from flows.dialog.texts import Texts
from flows.dialog.transcript import play
from tests.flows.dialog.sample_texts import BOT

NOW: Final = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))


@dataclass(frozen=True)
class Hungry:
    met: bool = False
    full: bool = False


cafe = Flow("cafe", Hungry, bool)


def _shown(s: Hungry, ctx: Ctx) -> list[str]:
    return ["tea"] if s.full else ["cake", "tea"] if ctx.now.hour >= 16 else ["tea", "cake"]


@cafe.asks(shows=_shown)
def table(s: Hungry, choice: Literal["cake", "tea", "bill"]) -> Step:
    match choice:
        case "cake":
            return go(table, replace(s, full=True), _served("tarta"))
        case "tea":
            return stay(_served("té"), sorry=False)
        case "bill":
            return cafe.end(True)


@cafe.opens
def door(s: Hungry) -> Step:
    return go(table, replace(s, met=True), "welcome")


def _served(what: str) -> Say:
    served = say("served", what=what)
    return Say(served.key, served.names, (say("enjoy"),))


TEXTS: Final = Texts(
    {
        "es_CL": {
            **BOT,
            "cafe.welcome": "¡Hola!",
            "cafe.table.ask": "{% if s.met %}¿Qué más?{% else %}¿Qué te sirvo?{% endif %}",
            "cafe.table.cake": "Una tarta",
            "cafe.table.tea": "Un té",
            "cafe.table.bill": "La cuenta",
            "cafe.served": "Aquí va: {{ what }}.",
            "cafe.enjoy": "Que lo disfrutes.",
        }
    }
)


def test_options_are_shown_by_the_data_and_the_hour_in_their_order() -> None:
    play(
        """
        @ 2026-11-23 10:00
        > hola
        < ¡Hola! ¿Qué más? [Un té] [Una tarta]
        ...
        @ 2026-11-23 17:00
        > hola
        < ¡Hola! ¿Qué más? [Una tarta] [Un té]
        > [Una tarta]
        < Aquí va: tarta. Que lo disfrutes. ¿Qué más? [Un té]
        """,
        Book([cafe], TEXTS),
    )


def test_an_option_that_is_hidden_now_is_understood_from_an_older_message() -> None:
    play(
        """
        @ 2026-11-23 10:00
        > hola
        < ¡Hola! ¿Qué más? [Un té] [Una tarta]
        > [Una tarta]
        < Aquí va: tarta. Que lo disfrutes. ¿Qué más? [Un té]
        > (old) [Una tarta]
        < Aquí va: tarta. Que lo disfrutes. ¿Qué más? [Un té]
        """,
        Book([cafe], TEXTS),
    )


def test_words_that_a_helper_makes_are_known_to_the_checker() -> None:
    spoken = {words.key for words in look(table).spoken}

    assert spoken == {"served", "enjoy"}
    found = check([cafe], TEXTS)
    assert [str(problem) for problem in found if problem.at.startswith("cafe")] == []


def test_a_text_is_judged_in_each_of_its_variants() -> None:
    source = "{% if s.met %}¿Algo más?{% elif s.full %}¿La cuenta?{% else %}¿Qué te sirvo?{% endif %} {{ name }}"

    assert variants(source) == ["¿Algo más? x", "¿La cuenta? x", "¿Qué te sirvo? x"]
    assert list(judge(source, role="ask", locale="es_CL")) == []
