"""What a turn makes of things that are no new message: corrections, owners who answer, people who leave or are joined."""

from datetime import timedelta

import pytest
from msgspec.json import decode as read_json
from msgspec.structs import replace

from bot.engine.conversation import Conversation
from bot.engine.conversation import decode as read_state
from bot.engine.hearing import EARLY_MAX, EDIT_WAITS_MS, SETTLE_MS
from bot.engine.turn import Decision
from bot.people.addresses import conversation_of
from flows.dialog.content import Text
from flows.dialog.events import Heard, HeardKind, Referral, Result
from flows.dialog.session import QUIET_MINUTES
from flows.intents import OrderUpdate
from flows.values.ids import ChannelId, ContactId, MessageId, Wamid
from flows.window import ENTRY_POINT_MS
from handlers.actions import Say
from handlers.events import (
    Answered,
    Arrived,
    Echoed,
    Event,
    HandedOver,
    Joined,
    Moved,
    MovedWhy,
    Permission,
    Preferred,
    Proposed,
    Refused,
    Sender,
)
from handlers.journal import JoinedRecord, MovedRecord, RefusedRecord, TurnRecord
from handlers.moves import Close, Forward, PeopleAction, Settle, Void
from tests.bot.engine.test_turn import (
    ANA,
    ID,
    NOW,
    TENANT,
    decide,
    gathering_book,
    sends,
    words,
    wrote,
)

CHANNEL = ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")
CONTACT = ContactId("aaaaaaaa-0000-4000-8000-000000000001")
INTO = ContactId("aaaaaaaa-0000-4000-8000-000000000002")
HOURS = int(timedelta(hours=1).total_seconds() * 1000)
PEOPLE = f"people/{ID}"


def said(text: str, n: int = 1, **over: object) -> Arrived:
    """As `wrote`, by a contact with real ids."""
    return replace(wrote(text, n), **{"channel": CHANNEL, "contact": CONTACT, **over})


def corrects(
    kind: HeardKind, about: int, text: str = "", *, n: int = 9, early: bool = False
) -> Arrived:
    heard = Heard(
        id=Wamid(f"wamid.{n}"),
        at=NOW // 1000,
        kind=kind,
        text=text,
        reply_to=Wamid(f"wamid.{about}"),
    )
    return said("", n, heard=heard, early=early)


def turns(decision: Decision) -> list[TurnRecord]:
    return [record for record in decision.records if isinstance(record, TurnRecord)]


def heard_in(decision: Decision) -> list[tuple[str, str]]:
    return [(h.text, h.changed) for turn in turns(decision) for h in turn.heard]


def people(decision: Decision) -> list[PeopleAction]:
    return [read_json(body, type=PeopleAction) for lane, body in decision.pushes if lane == PEOPLE]


def forwarded(decision: Decision) -> list[Event]:
    return [
        read_json(action.event, type=Event)
        for action in people(decision)
        if isinstance(action, Forward)
    ]


def met() -> Conversation:
    """A conversation that answered one message."""
    return decide(said("pan")).conversation


# ------------------------------------------------------------------ edits and revokes


def test_an_edit_of_an_unread_message_changes_it() -> None:
    decision = decide(said("pan"), corrects("edit", 1, "torta"))

    assert decision.consumed == 2
    assert words(decision) == ["1 torta ¿Algo más?"]
    assert heard_in(decision) == [("torta", "edited")]


def test_a_message_that_is_taken_back_unread_is_not_answered_and_nowhere_written_down() -> None:
    decision = decide(said("es un secreto"), corrects("revoke", 1))

    assert decision.consumed == 2
    assert sends(decision) == []
    assert heard_in(decision) == [("", "revoked")]


def test_what_was_edited_and_then_taken_back_says_nothing() -> None:
    decision = decide(said("pan"), corrects("revoke", 1, n=8), corrects("edit", 1, "torta", n=9))

    assert sends(decision) == []
    assert heard_in(decision) == [("", "revoked")]


def test_while_a_person_may_be_typing_the_edit_still_changes_what_they_wrote() -> None:
    book = gathering_book()
    edit = replace(corrects("edit", 1, "torta"), received=NOW + 500)

    held = decide(said("pan"), edit, book=book, now_ms=NOW + 600)
    answered = decide(said("pan"), edit, book=book, now_ms=NOW + 3000)

    assert held.consumed == 0
    assert answered.consumed == 2
    assert words(answered)[0].startswith("Oí: torta.")


def test_an_edit_after_the_answer_is_heard_as_an_edit() -> None:
    decision = decide(corrects("edit", 1, "torta"), rest=met())

    [turn] = turns(decision)
    assert words(decision) == ["bot.edited"]
    assert turn.state == "echo.listening"
    assert [(c.about, c.text) for c in turn.corrections] == [("wamid.1", "torta")]
    assert heard_in(decision) == [("", "")], "its words stand where the message stands"


def test_a_revoke_after_the_answer_is_written_down_and_no_more() -> None:
    decision = decide(corrects("revoke", 1), rest=met())

    [turn] = turns(decision)
    assert sends(decision) == []
    assert [(c.about, c.text) for c in turn.corrections] == [("wamid.1", None)]


@pytest.mark.parametrize(
    ("kind", "answers", "written"),
    [
        pytest.param("edit", ["2 torta ¿Algo más?"], [("torta", "edited")], id="edit"),
        pytest.param("revoke", [], [("", "revoked")], id="revoke"),
    ],
)
def test_a_correction_that_comes_before_its_message_waits_for_it(
    kind: HeardKind, answers: list[str], written: list[tuple[str, str]]
) -> None:
    early = decide(corrects(kind, 5, "torta", early=True), rest=met())
    assert (sends(early), turns(early)) == ([], [])

    then = decide(said("pan", 5), rest=early.conversation)

    assert words(then) == answers
    assert heard_in(then) == written
    assert then.conversation.early == ()


def test_a_correction_and_its_message_in_the_wrong_order_at_once() -> None:
    decision = decide(corrects("edit", 5, "torta", early=True), said("pan", 5), rest=met())

    assert words(decision) == ["2 torta ¿Algo más?"]
    assert decision.conversation.early == ()


def test_a_correction_is_not_forgotten_while_its_message_is_held() -> None:
    book = gathering_book()
    early = corrects("edit", 1, "torta", early=True)

    held = decide(early, said("pan"), book=book, now_ms=NOW + 200)
    assert held.consumed == 1
    then = decide(said("pan"), rest=held.conversation, book=book, now_ms=NOW + 3000)

    assert words(then)[0].startswith("Oí: torta.")
    assert then.conversation.early == ()


def test_an_edit_whose_message_never_comes_is_heard_all_the_same() -> None:
    early = decide(corrects("edit", 5, "torta", early=True), rest=met())
    assert early.wake_ms == NOW + EDIT_WAITS_MS

    then = decide(rest=early.conversation, now_ms=NOW + EDIT_WAITS_MS)

    assert words(then) == ["bot.edited"]
    assert then.conversation.early == ()


def test_corrections_that_wait_are_few() -> None:
    rest = met()
    for n in range(EARLY_MAX + 3):
        rest = decide(corrects("revoke", 100 + n, n=200 + n, early=True), rest=rest).conversation

    assert len(rest.early) == EARLY_MAX


# ------------------------------------------------------------------ the window, ads


@pytest.mark.parametrize("kind", ["edit", "revoke", "reaction", "system"])
def test_what_is_no_message_opens_no_window(kind: HeardKind) -> None:
    heard = Heard(id=Wamid("w.9"), at=NOW // 1000 + 3600, kind=kind, reply_to=Wamid("wamid.1"))

    decision = decide(said("", heard=heard), rest=met())

    assert decision.conversation.last_in == NOW // 1000


def test_who_came_through_an_ad_is_remembered() -> None:
    heard = replace(said("pan").heard, referral=Referral(source="ad", id="120"))

    decision = decide(said("", heard=heard))

    assert decision.conversation.free_until == NOW + ENTRY_POINT_MS
    assert turns(decision)[0].heard[0].referral == Referral(source="ad", id="120")


def test_a_message_that_names_nobody_keeps_the_name_we_know() -> None:
    nameless = Sender(bsuid=ANA.bsuid)

    decision = decide(said("pan", sender=nameless), rest=met())

    assert decision.conversation.sender == replace(nameless, name="Ana")


# ------------------------------------------------------------------ the owner answers by hand


def echo(text: str = "Hola, soy Sol", *, at_ms: int = NOW) -> Echoed:
    heard = Heard(id=Wamid("wamid.echo"), at=at_ms // 1000, kind="text", text=text)
    return Echoed(tenant=TENANT, channel=CHANNEL, contact=CONTACT, sender=ANA, heard=heard)


def test_what_the_owner_wrote_is_written_down_and_the_bot_is_silent() -> None:
    taken_over = decide(echo(), rest=met())
    then = decide(said("gracias, ¿y tortas?", 2), rest=taken_over.conversation)

    [turn] = turns(taken_over)
    assert [heard.text for heard in turn.by_hand] == ["Hola, soy Sol"]
    assert sends(then) == [], "nor is it marked as read"
    assert [heard.text for heard in turns(then)[0].heard] == ["gracias, ¿y tortas?"]


def test_the_bot_speaks_again_when_the_owner_has_been_silent_long_enough() -> None:
    taken_over = decide(echo(), rest=met())
    later_ms = NOW + QUIET_MINUTES * 60_000

    then = decide(said("pan", 2), rest=taken_over.conversation, now_ms=later_ms)

    assert words(then) == ["2 pan ¿Algo más?"]


def test_a_command_is_for_the_bot_whoever_answers() -> None:
    taken_over = decide(echo(), rest=met())

    then = decide(said("menú", 2), rest=taken_over.conversation)
    after = decide(said("pan", 3), rest=then.conversation)

    assert len(words(then)) == 1
    assert len(words(after)) == 1


def test_an_owner_s_message_of_yesterday_silences_nobody() -> None:
    taken_over = decide(echo(at_ms=NOW - 24 * HOURS), rest=met())

    assert words(decide(said("pan", 2), rest=taken_over.conversation)) == ["2 pan ¿Algo más?"]


def test_the_owner_may_be_the_first_to_write() -> None:
    decision = decide(echo())

    assert decision.conversation.sender == ANA
    assert decision.conversation.last_in == 0


def test_what_a_call_brings_while_the_owner_speaks_is_not_said() -> None:
    taken_over = decide(echo(), rest=met())

    assert sends(decide(Answered(Result(seq=1)), rest=taken_over.conversation)) == []


# ------------------------------------------------------------------ preferences


def prefers(*, marketing: bool, at: int = NOW // 1000) -> Preferred:
    return Preferred(
        tenant=TENANT, channel=CHANNEL, contact=CONTACT, sender=ANA, marketing=marketing, at=at
    )


@pytest.mark.parametrize("marketing", [True, False])
def test_a_preference_of_somebody_who_never_wrote_is_in_the_ledger(*, marketing: bool) -> None:
    decision = decide(prefers(marketing=marketing))

    [turn] = turns(decision)
    [consent] = turn.consents
    assert (consent.purpose, consent.granted) == ("marketing", marketing)
    assert turn.sender == ANA
    assert decision.conversation.marketing is marketing


def test_what_was_said_last_holds_whichever_comes_first() -> None:
    stopped = decide(prefers(marketing=False, at=200))

    then = decide(prefers(marketing=True, at=100), rest=stopped.conversation)

    assert then.conversation.marketing is False


def test_whoever_stopped_offers_is_asked_by_nobody_else_and_may_take_it_back() -> None:
    stopped = decide(prefers(marketing=False, at=100)).conversation
    resumed = decide(prefers(marketing=True, at=200), rest=stopped).conversation

    by_firm = decide(proposed(permission=Permission("marketing", "till")), rest=stopped)

    assert (stopped.declined, by_firm.conversation.marketing) == (True, False)
    assert (resumed.declined, resumed.marketing) == (False, True)


# ------------------------------------------------------------------ people who leave


def proposed(*, permission: Permission | None = None) -> Proposed:
    return Proposed(
        tenant=TENANT,
        channel=CHANNEL,
        contact=CONTACT,
        id=MessageId("11111111-2222-4333-8444-555555555555"),
        intent=OrderUpdate(name="Ana", order="1042", status="ready"),
        expires=NOW + 24 * HOURS,
        permission=permission,
    )


def moved(why: MovedWhy = "number") -> Moved:
    return Moved(
        tenant=TENANT,
        channel=CHANNEL,
        contact=CONTACT,
        sender=Sender(wa_id=ANA.wa_id),
        why=why,
        at=NOW // 1000,
    )


@pytest.mark.parametrize("why", ["number", "user_id", "recycled"])
def test_of_somebody_who_left_nothing_goes_on(why: MovedWhy) -> None:
    decision = decide(moved(why), rest=met())

    conversation = decision.conversation
    assert (conversation.session.state, conversation.session.timers) == ("", ())
    assert conversation.session.seq == met().session.seq, "an old tap must not fit a new question"
    assert conversation.proofs_from == NOW // 1000
    assert decision.wake_ms == 0
    assert people(decision) == [
        Close(channel=CHANNEL, contact=CONTACT, senders=(Sender(wa_id=ANA.wa_id), ANA)),
        Void(channel=CHANNEL, senders=(Sender(wa_id=ANA.wa_id), ANA), why=why),
    ]
    [record] = decision.records
    assert isinstance(record, MovedRecord)
    assert (record.why, record.closed) == (why, True)


def test_another_device_ends_the_session_and_keeps_the_address() -> None:
    decision = decide(moved("identity"), rest=met())

    assert [type(action) for action in people(decision)] == [Void]
    assert decision.conversation.session.state == ""
    assert words(decide(said("pan", 2), rest=decision.conversation)) == ["1 pan ¿Algo más?"]


def test_what_waits_for_somebody_who_left_never_reaches_the_next_owner_of_the_number() -> None:
    late = decide(said("pan"), now_ms=NOW + 25 * HOURS)
    assert late.conversation.parked

    decision = decide(moved(), rest=late.conversation)

    assert decision.conversation.parked == ()
    assert [r.fault for r in decision.records if isinstance(r, RefusedRecord)] == ["moved"]


def test_nothing_that_comes_later_is_said_to_the_next_owner_of_the_number() -> None:
    left = decide(moved(), rest=met()).conversation
    say = Say(TENANT, CHANNEL, "r1", Text("Tu pan está listo."), at=NOW)
    closed = Refused(ref="r1", fault="window_closed", say=say)

    for event in (proposed(), closed):
        decision = decide(event, rest=left)

        assert sends(decision) == []
        assert decision.conversation.parked == ()
        assert [r.fault for r in decision.records if isinstance(r, RefusedRecord)] == ["moved"]


def test_who_writes_from_an_address_that_was_left_is_looked_up_anew() -> None:
    left = decide(moved(), rest=met())

    decision = decide(said("hola", 2), rest=left.conversation)

    assert sends(decision) == []
    [action] = people(decision)
    assert isinstance(action, Forward)
    assert (action.to, action.mark) == ("", "wamid.2")


# ------------------------------------------------------------------ contacts that are joined

BOTH = Sender(wa_id=ANA.wa_id, bsuid="CL.7")
JOINED = Joined(tenant=TENANT, channel=CHANNEL, contact=CONTACT, into=INTO, sender=BOTH)
TO = conversation_of(CHANNEL, INTO)


def test_a_conversation_goes_over_with_all_that_it_is_and_then_what_was_written() -> None:
    theirs = said("torta", 2, contact=INTO, sender=BOTH)

    decision = decide(said("pan", 1), JOINED, theirs)

    assert words(decision) == ["1 pan ¿Algo más?"], "what came before is answered where it came"
    over, message = forwarded(decision)
    assert isinstance(over, HandedOver)
    assert read_state(over.state).session.state == "echo.listening"
    assert message == theirs
    assert {action.to for action in people(decision) if isinstance(action, Forward)} == {TO}
    assert any(isinstance(record, JoinedRecord) for record in decision.records)


def test_what_comes_later_to_the_old_conversation_follows() -> None:
    joined = decide(said("pan"), JOINED).conversation

    decision = decide(said("torta", 2), Answered(Result(seq=1)), rest=joined)

    message, result = forwarded(decision)
    assert isinstance(message, Arrived)
    assert message.contact == INTO
    assert result == Answered(Result(seq=1))
    assert decision.records == ()


def test_what_a_firm_wants_said_follows_and_each_refusal_once() -> None:
    joined = decide(said("pan"), JOINED).conversation
    told = Refused(ref="", fault="window_closed", code=131047, wamid=Wamid("w.1"))
    recalled = replace(told, say=Say(TENANT, CHANNEL, "r1", Text("Tu pan está listo."), at=NOW))

    decision = decide(proposed(), told, recalled, rest=joined)

    assert forwarded(decision) == [replace(proposed(), contact=INTO), told, recalled]
    assert len({a.mark for a in people(decision) if isinstance(a, Forward)}) == 3


def test_the_phone_leads_on_once_nothing_comes_by_the_old_way() -> None:
    joined = decide(said("pan"), JOINED)
    assert joined.wake_ms == NOW + SETTLE_MS

    settled = decide(rest=joined.conversation, now_ms=NOW + SETTLE_MS)

    assert people(settled) == [Settle(channel=CHANNEL, contact=INTO, sender=BOTH)]
    assert settled.wake_ms == 0


def test_being_told_twice_changes_nothing() -> None:
    joined = decide(said("pan"), JOINED).conversation

    again = decide(JOINED, rest=joined)

    assert (again.pushes, again.records, again.conversation) == ((), (), joined)


def handed(old: Conversation) -> HandedOver:
    [over] = [e for e in forwarded(decide(JOINED, rest=old)) if isinstance(e, HandedOver)]
    return over


def test_the_joined_conversation_goes_on_where_the_person_was_last() -> None:
    old = decide(said("pan"), said("torta", 2)).conversation

    decision = decide(handed(old), replace(said("queque", 3), contact=INTO))

    assert words(decision) == ["3 queque ¿Algo más?"]


def test_of_two_consents_the_stricter_one_holds() -> None:
    granted = decide(prefers(marketing=True)).conversation
    never = replace(met(), contact=INTO)

    alone = decide(handed(granted)).conversation
    with_other = decide(handed(granted), rest=never).conversation

    assert (alone.marketing, with_other.marketing) == (True, False)


def test_what_is_known_of_the_window_goes_over() -> None:
    now = replace(
        met(),
        contact=INTO,
        shut=True,
        agreed=True,
        knocked=10,
        offers_from=20,
        bulk=(3,),
    )
    old = replace(
        met(),
        last_in=now.last_in + 1,
        declined=True,
        came_at=30,
        free_until=40,
        unreachable_until=50,
        bulk=(1, 2),
    )

    after = decide(handed(old), rest=now).conversation

    assert (after.last_in, after.shut) == (old.last_in, False), "the person wrote since"
    assert (after.agreed, after.declined) == (False, True)
    assert (after.knocked, after.offers_from, after.unreachable_until) == (10, 20, 50)
    assert (after.came_at, after.free_until, after.bulk) == (30, 40, (1, 2, 3))
