"""What a firm's own system wants said: its place, its form, and why it may not be said."""

from datetime import date

import pytest
from msgspec.structs import replace

from bot.engine.conversation import Conversation
from bot.engine.turn import Decision
from flows.catalogue import product_book
from flows.dialog.content import Document, Reply, Template, Text
from flows.intents import AnyIntent, InvoiceReady, OrderUpdate, PriceList
from flows.values.ids import ChannelId, ContactId, MessageId
from flows.window import MARGIN_MS, SERVICE_MS
from handlers.actions import Say
from handlers.events import Cap, Permission, Proposed, Refused, Sender
from handlers.journal import ConsentChange, RefusedRecord, TurnRecord
from tests.bot.engine.test_turn import ANA, NOW, TENANT, decide, sends, wrote

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MESSAGE = MessageId("11111111-2222-4333-8444-555555555555")
UPDATE = OrderUpdate(name="Ana", order="1042", status="ready")
OFFER = PriceList(name="Ana", week_of=date(2026, 11, 30), document="https://sol.example/p.pdf")
BY_PHONE = Sender(wa_id="56961234567")
WEB = Permission("marketing", "web form 8812")
ORDERED = Permission("notices", "order 1042 on the web")


def proposed(
    intent: AnyIntent = UPDATE,
    *,
    id: MessageId = MESSAGE,
    expires: int = NOW + DAY_MS,
    sender: Sender = BY_PHONE,
    waits: bool = False,
    permission: Permission | None = None,
    cap: Cap | None = None,
) -> Proposed:
    return Proposed(
        tenant=TENANT,
        channel=ChannelId("c1"),
        contact=ContactId("p1"),
        id=id,
        intent=intent,
        expires=expires,
        sender=sender,
        waits=waits,
        permission=permission,
        cap=cap,
    )


def take(event: Proposed, rest: Conversation | None = None, now_ms: int = NOW) -> Decision:
    return decide(event, rest=rest, now_ms=now_ms, book=product_book())


def only_say(decision: Decision) -> Say:
    [say] = sends(decision)
    assert isinstance(say, Say)
    return say


def why(decision: Decision) -> list[str]:
    """Why it was refused."""
    return [record.fault for record in decision.records if isinstance(record, RefusedRecord)]


@pytest.fixture
def talking() -> Conversation:
    """Somebody who wrote a moment ago, in the middle of the menu."""
    return decide(wrote("hola"), book=product_book(), now_ms=NOW + 5_000).conversation


# ------------------------------------------------------------------ its form


def test_it_is_free_text_while_the_window_is_open(talking: Conversation) -> None:
    decision = take(proposed(), talking)

    say = only_say(decision)
    assert isinstance(say.content, Text)
    assert isinstance(say.instead, Template)  # should the window close on the way
    assert (say.ref, say.expires) == (MESSAGE, NOW + DAY_MS)


def test_it_is_the_template_once_the_window_has_closed(talking: Conversation) -> None:
    late = NOW + SERVICE_MS - MARGIN_MS

    decision = take(proposed(expires=late + DAY_MS, permission=ORDERED), talking, late)

    assert isinstance(only_say(decision).content, Template)


def test_without_the_person_s_leave_nothing_goes_once_the_window_has_closed(
    talking: Conversation,
) -> None:
    late = NOW + SERVICE_MS - MARGIN_MS

    decision = take(proposed(expires=late + DAY_MS), talking, late)

    assert (sends(decision), why(decision)) == ([], ["no_consent"])


def test_it_reaches_somebody_who_never_wrote() -> None:
    decision = take(proposed(permission=ORDERED))

    say = only_say(decision)
    assert (say.to, isinstance(say.content, Template)) == ("56961234567", True)
    [record] = decision.records
    assert isinstance(record, TurnRecord)
    assert record.sender == BY_PHONE
    assert [said.ref for said in record.said] == [MESSAGE]


def test_it_may_wait_for_the_person_and_keeps_its_date(talking: Conversation) -> None:
    late = NOW + 2 * DAY_MS

    decision = take(proposed(waits=True, expires=late + HOUR_MS), talking, late)

    assert sends(decision) == []
    [parked] = decision.conversation.parked
    assert (parked.ref, parked.expires) == (MESSAGE, late + HOUR_MS)


def test_a_file_goes_with_its_words(talking: Conversation) -> None:
    say = only_say(take(proposed(OFFER, permission=WEB), talking))

    assert isinstance(say.content, Document)
    assert say.content.caption.startswith("Hola Ana, esta es la lista de precios")


def test_a_file_that_the_template_cannot_carry_waits_for_the_tap(talking: Conversation) -> None:
    late = NOW + 2 * DAY_MS
    invoice = InvoiceReady(
        name="Ana",
        kind="receipt",
        number="1042",
        total=12_990,
        day=date(2026, 11, 27),
        document="https://sol.example/1042.pdf",
    )

    told = take(proposed(invoice, expires=late + HOUR_MS, permission=ORDERED), talking, late)
    template = only_say(told).content
    assert isinstance(template, Template)
    [button] = template.buttons
    assert isinstance(button, Reply)
    after = late + 3 * DAY_MS  # the message itself was good for an hour
    tap = wrote("Ver documento", 9, at_ms=after)
    tap = replace(tap, heard=replace(tap.heard, kind="tap", choice=button.payload))
    tapped = decide(tap, rest=told.conversation, now_ms=after, book=product_book())

    file = only_say(tapped)
    assert isinstance(file.content, Document)
    assert file.ref == f"{MESSAGE}-file"


def test_a_file_whose_window_closed_on_the_way_waits_for_the_tap(talking: Conversation) -> None:
    said = take(proposed(OFFER, permission=WEB), talking)
    say = only_say(said)
    assert isinstance(say.content, Document)

    refused = Refused(ref=say.ref, fault="window_closed", code=131047, replaced=True, say=say)
    after = decide(refused, rest=said.conversation, book=product_book())

    [parked] = after.conversation.parked
    assert (parked.ref, parked.content) == (f"{MESSAGE}-file", say.content)


def test_the_language_that_the_person_chose_is_spoken(talking: Conversation) -> None:
    english = replace(talking, session=replace(talking.session, locale="en"))

    say = only_say(take(proposed(), english))

    assert isinstance(say.content, Text)
    assert say.content.body == "Hello Ana, your order 1042 from Panadería Sol is ready."


def test_the_question_that_waits_goes_on_waiting(talking: Conversation) -> None:
    after = take(proposed(), talking).conversation

    assert after.session == talking.session
    assert after.turn == talking.turn + 1


def test_it_is_decided_in_its_place() -> None:
    decision = decide(wrote("pan", 1), proposed(), wrote("queso", 2))

    assert [say.content for say in sends(decision) if isinstance(say, Say)] == [
        Text("1 pan ¿Algo más?"),
        Text("Pedido 1042: listo"),
        Text("2 queso ¿Algo más?"),
    ]


def test_the_address_that_the_person_wrote_from_is_the_better_one(talking: Conversation) -> None:
    old = Sender(wa_id="56922222222")

    assert only_say(take(proposed(sender=old), talking)).to == ANA.wa_id


# ------------------------------------------------------------------ why not


def test_what_is_of_no_use_any_more_is_not_said(talking: Conversation) -> None:
    decision = take(proposed(expires=NOW), talking)

    assert (sends(decision), why(decision)) == ([], ["expired"])


def test_nobody_is_reached_without_an_address() -> None:
    decision = take(proposed(sender=Sender()))

    assert (sends(decision), why(decision)) == ([], ["unknown_contact"])
    assert [record for record in decision.records if isinstance(record, TurnRecord)] == []


def test_who_opted_out_is_left_in_peace_even_within_the_window(talking: Conversation) -> None:
    stopped = replace(talking, stopped=True)

    assert why(take(proposed(), stopped)) == ["opted_out"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param({}, ["no_consent"], id="never-asked"),
        pytest.param({"marketing": True}, [], id="said-yes"),
        pytest.param({"stopped": True, "declined": True}, ["opted_out"], id="opted-out"),
    ],
)
def test_an_offer_needs_consent_even_within_the_window(
    talking: Conversation, changes: dict[str, bool], fault: list[str]
) -> None:
    assert why(take(proposed(OFFER), replace(talking, **changes))) == fault


def test_consent_that_the_firm_can_prove_goes_into_the_ledger(talking: Conversation) -> None:
    decision = take(proposed(OFFER, permission=WEB), talking)

    [record] = decision.records
    assert isinstance(record, TurnRecord)
    [change] = record.consents
    assert isinstance(change, ConsentChange)
    assert (change.purpose, change.granted, change.evidence) == (
        *("marketing", True, "api: web form 8812"),
    )
    assert decision.conversation.marketing
    assert why(take(proposed(OFFER), decision.conversation)) == []


@pytest.mark.parametrize("changes", [{"stopped": True}, {"declined": True}])
def test_nobody_says_yes_for_a_person_who_said_no(
    talking: Conversation, changes: dict[str, bool]
) -> None:
    decision = take(proposed(OFFER, permission=WEB), replace(talking, **changes))

    assert sends(decision) == []
    assert not decision.conversation.marketing


def test_who_says_no_to_offers_here_has_said_it() -> None:
    stopped = decide(wrote("baja"), book=product_book(), now_ms=NOW + 5_000).conversation

    assert stopped.declined


def test_bulk_to_one_person_is_capped(talking: Conversation) -> None:
    cap = Cap(messages=2, days=7)
    state = talking
    faults = []
    for n, now in enumerate((NOW, NOW + DAY_MS, NOW + 2 * DAY_MS, NOW + 8 * DAY_MS)):
        event = proposed(id=MessageId(f"m{n}"), cap=cap, expires=now + DAY_MS, permission=ORDERED)
        decision = take(event, state, now)
        faults.append(why(decision))
        state = decision.conversation

    assert faults == [[], [], ["contact_cap"], []]


def test_what_is_asked_for_by_itself_does_not_count_as_bulk(talking: Conversation) -> None:
    state = take(proposed(), talking).conversation

    assert why(take(proposed(id=MessageId("m2"), cap=Cap(1, 7)), state)) == []
