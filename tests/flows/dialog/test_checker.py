"""The checker reads flows and texts without running them, and words problems for the author."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from flows.dialog.answers import Name
from flows.dialog.calls import Call
from flows.dialog.checker import Shipped, check, shape, ship
from flows.dialog.flow import Flow, Step, go, hand_off, say, stay
from flows.dialog.texts import Texts
from tests.flows.dialog.sample import customer, onboarding
from tests.flows.dialog.sample_texts import BOT, ES, TEXTS


def problems(*flows: Flow[Any, Any], texts: dict[str, str] | None = None) -> list[str]:
    catalogue = {**BOT, **(texts or {})}
    found = check(flows, Texts({"es_CL": catalogue}), elsewhere=("name.", "rut.", "text."))
    return [str(problem) for problem in found]


@dataclass(frozen=True)
class Data:
    shop: str = ""
    hour: datetime | None = None

    @property
    def title(self) -> str:
        return self.shop.title()


@dataclass(frozen=True)
class Erase(Call[bool]):
    topic = "privacy"
    wants_tap = True


def test_the_sample_is_in_order() -> None:
    flows = (customer, onboarding)

    assert check(flows, TEXTS, shipped=ship(flows, {})) == []


def test_what_leads_to_a_deletion_asks_for_a_tap() -> None:
    flow = Flow("privacy", Data, bool)

    @flow.asks
    def ask(d: Data, sure: Literal["erase", "keep"]) -> Step:
        return go(erase, d) if sure == "erase" else flow.end(False)

    @flow.calls(lambda d: Erase())
    def erase(d: Data, done: bool) -> Step:
        return flow.end(done)

    texts = {
        "privacy.ask.ask": "¿Los borro?",
        "privacy.ask.erase": "Sí, borrar",
        "privacy.ask.keep": "No, conservar",
    }

    assert problems(flow, texts=texts) == ["privacy.ask: leads to Erase without asking for a tap"]


def test_a_computed_timer_needs_a_template() -> None:
    flow = Flow("visit", Data, bool)

    @flow.asks
    def ask(d: Data, comes: bool) -> Step:
        return flow.end(comes)

    @ask.after(lambda d: d.hour)
    def remind(d: Data) -> Step:
        return stay(sorry=False)

    texts = {"visit.ask.ask": "¿Vienes?", "visit.ask.yes": "Sí, voy", "visit.ask.no": "No puedo"}

    assert problems(flow, texts=texts) == [
        "visit.ask: remind may speak at a computed time, outside the 24 h window, without a template"
    ]


def test_a_timer_beyond_the_idle_timeout_never_comes() -> None:
    flow = Flow("late", Data, bool, idle=timedelta(hours=2))

    @flow.asks
    def ask(d: Data, comes: bool) -> Step:
        return flow.end(comes)

    @ask.after(timedelta(hours=2), template="reminder")
    def remind(d: Data) -> Step:
        return stay(sorry=False)

    texts = {"late.ask.ask": "¿Vienes?", "late.ask.yes": "Sí, voy", "late.ask.no": "No puedo"}

    assert problems(flow, texts=texts) == [
        "late.ask: remind never comes: the state is dropped by then"
    ]


def words_of(shop: str) -> str:
    return shop


def decide(d: Data) -> Step:
    return go(second, d, say("hello", shop=d.shop))


helped = Flow("helped", Data, bool)


@helped.asks
def first(d: Data, name: Name) -> Step:
    return decide(d)


@helped.asks
def second(d: Data, name: Name) -> Step:
    if name == "x":
        return hand_off(words_of(d.shop))
    return helped.end(True)


@helped.on("data")
def third(d: Data) -> Step:
    return go(third_state, d)


@helped.asks
def third_state(d: Data, name: Name) -> Step:
    return helped.end(True)


HELPED = {
    "helped.first.ask": "¿Cómo te llamas?",
    "helped.first.hello": "Hola, {{ shop }}.",
    "helped.second.ask": "¿Y el local?",
    "helped.third_state.ask": "¿Y la calle?",
    "name.length": "Faltan letras. {{ question }}",
}


def test_steps_are_followed_into_their_helpers() -> None:
    found = problems(helped, texts=HELPED)

    assert found == ["helped.second: words words_of(d.shop) are not a key written out"]


def test_a_state_that_only_a_command_leads_to_is_reachable() -> None:
    assert not any("unreachable" in problem for problem in problems(helped, texts=HELPED))


def only(found: list[str]) -> Iterator[str]:
    return (problem for problem in found if "words_of" not in problem)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        pytest.param(
            {"helped.first.hello": "Hola {{ shop "},
            "helped.first.hello (es_CL): cannot be read: unexpected end of template, expected 'end of print statement'.",
            id="a-text-that-is-no-template",
        ),
        pytest.param(
            {"helped.first.hello": "Hola {{ shop | upercase }}"},
            "helped.first.hello (es_CL): cannot be read: No filter named 'upercase'.",
            id="a-filter-that-does-not-exist",
        ),
        pytest.param(
            {"helped.first.ask": "¿Eres {{ s.titel }}?"},
            "helped.first.ask (es_CL): uses unknown field s.titel of Data",
            id="a-field-misspelt",
        ),
        pytest.param({"helped.first.ask": "¿Eres {{ s.title }}?"}, "", id="a-property-is-a-field"),
        pytest.param(
            {"helped.first.ask": "¿" + "a" * 1030 + "?"},
            "helped.first.ask (es_CL): '¿aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' has 1032 characters, 1024 fit",
            id="a-body-too-long",
        ),
        pytest.param(
            {"helped.gone.ask": "¿Qué?"},
            "helped.gone.ask: no flow says this text of es_CL",
            id="a-text-that-nothing-says",
        ),
        pytest.param(
            {"helped.first.name.length.2": "Sin reparo: otras palabras."},
            "",
            id="other-words-for-the-second-try",
        ),
        pytest.param(
            {"helped.first.audio": "Escríbelo, por favor."},
            "",
            id="other-words-for-a-voice-note-in-one-state",
        ),
        pytest.param(
            {"helped.first.ask": ""},
            "helped.first: no text helped.first.ask in es_CL",
            id="no-text",
        ),
    ],
)
def test_texts_are_checked_against_what_the_flow_gives(texts: dict[str, str], told: str) -> None:
    catalogue = {key: text for key, text in {**HELPED, **texts}.items() if text}

    found = [p for p in only(problems(helped, texts=catalogue)) if "(warning)" not in p]

    assert found == ([told] if told else [])


def test_every_language_says_everything() -> None:
    texts = Texts({"es_CL": ES, "en": {k: t for k, t in ES.items() if k != "customer.menu.ask"}})

    found = [str(p) for p in check([customer], texts) if not p.warning]

    assert "customer.menu: no text customer.menu.ask in en" in found


def test_titles_that_begin_alike_are_told() -> None:
    texts = Texts({"es_CL": {**ES, "onboarding.summary.fix_category": "Cambiar nombres"}})

    assert [str(p) for p in check([customer], texts)] == [
        "onboarding.summary (es_CL): 'Cambiar nombre' and 'Cambiar nombres' begin alike"
    ]


# ---------------------------------------------------------------- what was shipped


def test_a_name_once_shipped_is_kept_for_ever() -> None:
    past = {"customer": Shipped(("lobby",), 1, shape(customer))}

    record = ship([customer], past)

    assert "lobby" in record["customer"].states
    assert "menu" in record["customer"].states


@pytest.mark.parametrize(
    ("past", "told"),
    [
        pytest.param(
            Shipped(("menu", "lobby"), 1, shape(customer)),
            "customer.lobby: shipped once and now gone: name its successor in renamed=",
            id="a-state-is-gone",
        ),
        pytest.param(
            Shipped(("menu",), 1, "other"),
            "customer: data changed: raise version and write a migration",
            id="data-changed",
        ),
        pytest.param(
            Shipped(("menu",), 2, "other"),
            "customer: version 2 was shipped before 1",
            id="turned-back",
        ),
    ],
)
def test_history_is_compared_with_the_record(past: Shipped, told: str) -> None:
    assert [str(p) for p in check([customer], TEXTS, shipped={"customer": past})] == [told]


def test_a_renamed_state_that_was_shipped_is_fine() -> None:
    past = Shipped(("ask_company", "ask_name"), 2, shape(onboarding))

    assert check([onboarding, customer], TEXTS, shipped={"onboarding": past}) == []
