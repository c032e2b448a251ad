"""A turn that opens a form writes its ticket; one that learns that it was not shown goes on without it."""

from typing import Final

import pytest

from bot.engine.draft import FORM_MS
from bot.engine.turn import Decision
from flows.dialog.advance import Book
from flows.dialog.content import Buttons, Form
from flows.onboarding.firm_form import FORM
from flows.onboarding.signup import signup
from flows.values.ids import ContactId, Wamid
from handlers.actions import FormTicket, Say
from handlers.events import Refused
from tests.bot.engine.test_turn import ID, NOW, decide, sends, wrote
from tests.flows.product import product_texts

BOOK: Final = Book([signup], product_texts())
IN_CHAT: Final = (
    "¡Hola! Soy el asistente automático de *Panadería Sol*. Son 4 datos y puedes parar cuando quieras. "
    "Primero: ¿aceptas los términos y el contrato de datos? Están en"
)


def bodies(decision: Decision) -> list[str]:
    """What is asked above buttons."""
    return [
        say.content.body
        for say in sends(decision)
        if isinstance(say, Say) and isinstance(say.content, Buttons)
    ]


def opened() -> tuple[Decision, Say]:
    decision = decide(wrote("hola"), book=BOOK)
    [action] = sends(decision)
    assert isinstance(action, Say)
    return decision, action


def test_the_ticket_of_a_form_says_whose_it_is_and_until_when() -> None:
    _, say = opened()

    assert isinstance(say.content, Form)
    assert (say.content.name, say.content.token) == (FORM, "1:signup.fill_in:form")
    assert say.ticket == FormTicket(ID, ContactId("p1"), "es_CL", NOW + FORM_MS)


def test_words_need_no_ticket() -> None:
    rest = opened()[0].conversation

    [say] = sends(decide(wrote("no se abre", 2), rest=rest, book=BOOK))

    assert isinstance(say, Say)
    assert say.ticket is None


@pytest.mark.parametrize("fault", ["form_unavailable", "no_form_key", "bad_request", "unknown"])
def test_a_form_that_was_refused_is_asked_in_the_chat(fault: str) -> None:
    decision, say = opened()
    refused = Refused(ref=say.ref, fault=fault, say=say)

    after = decide(refused, rest=decision.conversation, book=BOOK)

    assert bodies(after) == [IN_CHAT]


def test_a_form_that_did_not_arrive_is_asked_in_the_chat_once() -> None:
    lost = Refused(ref="", fault="undeliverable", code=131026)
    rest = opened()[0].conversation

    first = decide(lost, rest=rest, book=BOOK)
    again = decide(lost, rest=first.conversation, book=BOOK)

    assert bodies(first) == [IN_CHAT]
    assert sends(again) == []


@pytest.mark.parametrize("fault", ["marketing_cap", "unknown", "window_closed"])
def test_another_failure_that_comes_by_status_says_nothing_of_the_form(fault: str) -> None:
    after = decide(Refused(ref="", fault=fault), rest=opened()[0].conversation, book=BOOK)

    assert sends(after) == []
    assert after.conversation.session.state == "signup.fill_in"


@pytest.mark.parametrize("code", [132068, 132069])
def test_a_form_that_meta_dropped_later_is_asked_in_the_chat(code: int) -> None:
    decision, say = opened()
    wamid = Wamid("wamid.OUT")
    failed = Refused(ref="", fault="form_unavailable", code=code, wamid=wamid)
    recalled = Refused(ref=say.ref, fault="form_unavailable", code=code, wamid=wamid, say=say)

    waits = decide(failed, rest=decision.conversation, book=BOOK)
    after = decide(recalled, rest=waits.conversation, book=BOOK)

    assert [lane for lane, _ in waits.pushes] == [f"recall/{ID}"]
    assert bodies(after) == [IN_CHAT]


def test_a_refusal_that_comes_too_late_changes_nothing() -> None:
    decision, say = opened()
    later = decide(wrote("no se abre", 2), rest=decision.conversation, book=BOOK)
    refused = Refused(ref=say.ref, fault="form_unavailable", say=say)

    after = decide(refused, rest=later.conversation, book=BOOK)

    assert sends(after) == []
    assert after.conversation.session.state == "signup.accept"
