"""A form's token goes out sealed and comes back opened: who has none of ours has said nothing."""

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from flows.dialog.content import Form, OpenForm, Template
from flows.dialog.events import NO_JSON, Heard
from flows.values.ids import NO_CONVERSATION, ChannelId, ContactId, ConversationId, TenantId, Wamid
from handlers.actions import FormTicket
from handlers.ports import Channel
from handlers.whatsapp.form_tokens import NoFormKeyError
from tests.handlers.whatsapp.bodies import WROTE
from tests.handlers.whatsapp.doubles import CHANNEL, TICKETS, Phonebook, form_tokens

BOOK = Phonebook()
OURS = BOOK.channels[CHANNEL]
OTHER = Channel(ChannelId("other"), TenantId("other"), "1", "2", "+56 9")
TICKET = FormTicket(ConversationId("conv"), ContactId("p"), "es_CL", (WROTE + 60) * 1000)
FORM = Form("Faltan tus datos", "Llenar", name="sign_up", token="12:shop.sign_up:form")
TOKENS = form_tokens(BOOK)


def sealed() -> str:
    content = TOKENS.sealed(FORM, TICKET, OURS)
    assert isinstance(content, Form)
    return content.token


def test_a_form_of_ours_is_shown_in_the_person_s_language_and_is_the_same_form() -> None:
    book = Phonebook()
    book.keys[CHANNEL] = "a key"
    tokens = form_tokens(book, "sign_up")

    shown = tokens.sealed(FORM, replace(TICKET, locale="en"), OURS)

    assert isinstance(shown, Form)
    assert shown.name == "sign_up_en"
    ticket = TICKETS.open(OURS, shown.token)
    assert ticket is not None
    assert (ticket.form, ticket.locale) == ("sign_up", "en")


def test_a_form_of_the_firm_s_own_is_shown_as_it_is() -> None:
    shown = TOKENS.sealed(FORM, replace(TICKET, locale="en"), OURS)

    assert isinstance(shown, Form)
    assert shown.name == "sign_up"


def answer(token: object, *, at: int = WROTE) -> Heard:
    form = Raw(json.dumps({"name": "Ana", "flow_token": token}).encode())
    return Heard(Wamid("wamid.1"), at, "form", form=form)


def test_the_answer_comes_back_with_the_questions_own_token() -> None:
    heard, conversation = TOKENS.opened(OURS, answer(sealed()))

    assert json.loads(bytes(heard.form)) == {"name": "Ana", "flow_token": "12:shop.sign_up:form"}
    assert conversation == "conv"


def test_a_sealed_token_tells_nothing_and_fits() -> None:
    token = sealed()

    assert "shop" not in token
    assert "conv" not in token
    uuids = replace(TICKET, conversation=ConversationId("c" * 36), contact=ContactId("p" * 36))
    assert len(TICKETS.seal(OURS, replace(uuids, form="f" * 40, token="t" * 60))) < 500


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("12:shop.sign_up:form", id="guessed"),
        pytest.param("", id="none"),
        pytest.param(7, id="no-text"),
        pytest.param(TICKETS.seal(OTHER, TICKET), id="of-another-number"),
    ],
)
def test_without_a_token_of_ours_nothing_of_an_answer_is_left(token: object) -> None:
    heard, conversation = TOKENS.opened(OURS, answer(token))

    assert (heard.form, conversation) == (NO_JSON, NO_CONVERSATION)


@pytest.mark.parametrize(("late_s", "is_heard"), [(59, True), (60, False)])
def test_an_answer_counts_if_it_was_sent_in_time(late_s: int, is_heard: bool) -> None:
    heard, _ = TOKENS.opened(OURS, answer(sealed(), at=WROTE + late_s))

    assert (heard.form != NO_JSON) is is_heard


def test_a_template_s_form_is_sealed_too() -> None:
    template = Template("sign_up", "es_CL", buttons=(OpenForm(token="t-1", form="sign_up"),))

    content = TOKENS.sealed(template, TICKET, OURS)

    assert isinstance(content, Template)
    [button] = content.buttons
    assert isinstance(button, OpenForm)
    opened = TICKETS.open(OURS, button.token)
    assert opened == replace(TICKET, form="sign_up", token="t-1")


def test_a_form_that_our_endpoint_answers_needs_a_key() -> None:
    book = Phonebook()
    tokens = form_tokens(book, "sign_up")
    with pytest.raises(NoFormKeyError):
        tokens.sealed(FORM, TICKET, OURS)

    book.keys[CHANNEL] = "a key"
    assert tokens.sealed(FORM, TICKET, OURS) != FORM
