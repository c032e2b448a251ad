"""A turn that opens a form writes its ticket; one that learns that it was not shown goes on without it."""

from typing import Final

import pytest

from bot.engine.turn import FORM_MS, Decision
from flows.dialog.advance import Book
from flows.dialog.content import Form
from flows.onboarding.firm import FORM, firm
from flows.values.ids import ContactId
from handlers.actions import Say
from handlers.events import Refused
from handlers.ports import FormTicket
from tests.bot.engine.test_turn import ID, NOW, decide, sends, words, wrote
from tests.flows.product import product_texts

BOOK: Final = Book([firm], product_texts())


def opened() -> tuple[Decision, Say]:
    decision = decide(wrote("hola"), book=BOOK)
    [action] = sends(decision)
    assert isinstance(action, Say)
    return decision, action


def test_the_ticket_of_a_form_says_whose_it_is_and_until_when() -> None:
    _, say = opened()

    assert isinstance(say.content, Form)
    assert (say.content.name, say.content.token) == (FORM, "1:firm.fill_in:form")
    assert say.ticket == FormTicket(ID, ContactId("p1"), "es_CL", NOW + FORM_MS)


def test_words_need_no_ticket() -> None:
    rest = opened()[0].conversation

    [say] = sends(decide(wrote("no se abre", 2), rest=rest, book=BOOK))

    assert isinstance(say, Say)
    assert say.ticket is None


@pytest.mark.parametrize("fault", ["form_unavailable", "no_form_key", "bad_request", "unknown"])
def test_a_form_that_was_refused_is_asked_in_the_chat(fault: str) -> None:
    decision, say = opened()
    refused = Refused(ref=say.ref, fault=fault, content=say.content)

    after = decide(refused, rest=decision.conversation, book=BOOK)

    assert words(after) == ["Lo vemos por aquí, de a un dato. ¿Cómo se llama tu empresa?"]


def test_a_form_that_did_not_arrive_is_asked_in_the_chat_once() -> None:
    lost = Refused(ref="", fault="undeliverable", code=131026)
    rest = opened()[0].conversation

    first = decide(lost, rest=rest, book=BOOK)
    again = decide(lost, rest=first.conversation, book=BOOK)

    assert words(first) == ["Lo vemos por aquí, de a un dato. ¿Cómo se llama tu empresa?"]
    assert sends(again) == []


@pytest.mark.parametrize("fault", ["marketing_cap", "unknown", "window_closed"])
def test_another_failure_that_comes_by_status_says_nothing_of_the_form(fault: str) -> None:
    after = decide(Refused(ref="", fault=fault), rest=opened()[0].conversation, book=BOOK)

    assert sends(after) == []
    assert after.conversation.session.state == "firm.fill_in"


def test_a_refusal_that_comes_too_late_changes_nothing() -> None:
    decision, say = opened()
    later = decide(wrote("no se abre", 2), rest=decision.conversation, book=BOOK)
    refused = Refused(ref=say.ref, fault="form_unavailable", content=say.content)

    after = decide(refused, rest=later.conversation, book=BOOK)

    assert sends(after) == []
    assert after.conversation.session.state == "firm.ask_name"
