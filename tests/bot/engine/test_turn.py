"""A turn: what is consumed, said, parked, recorded and when to look again."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec import Raw
from msgspec.json import decode, encode

from bot.engine.conversation import (
    PAIR_BURST,
    PAIR_EVERY_MS,
    Conversation,
    paced,
)
from bot.engine.conversation import decode as read_state
from bot.engine.conversation import encode as write_state
from bot.engine.draft import PARKED_MAX, without_keys
from bot.engine.knock import KNOCK
from bot.engine.turn import Decision, UnknownConversationError
from bot.engine.turn import decide as decide_turn
from flows.catalogue import product_book
from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.content import Link, Template
from flows.dialog.content import Text as TextContent
from flows.dialog.ctx import Firm
from flows.dialog.events import Attachment, FileLost, Heard, Result
from flows.dialog.flow import Flow, Step, go, say, stay
from flows.dialog.keys import BOT_KEYS
from flows.dialog.texts import FORMAT_KEYS, Texts
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId, Wamid
from flows.window import MARGIN_MS, SERVICE_MS
from handlers.actions import FetchMedia, MarkRead, Say, SendAction
from handlers.events import Answered, Arrived, Event, Refused, Sender
from handlers.journal import RefusedRecord, Said, TurnRecord
from tests.bot.engine.errand import HURRY_S, NAP_S, PAUSE_MS, errand_book
from tests.echo import echo_book

NOW = 1_795_392_000_000
ID = ConversationId("8a0bb3de-1111-4222-8333-444455556666")
TENANT = TenantId("0d7c9d3a-1111-4222-8333-444455556666")
FIRM = Firm(id=TENANT, name="Panadería Sol")
ANA = Sender(wa_id="56961234567", bsuid="CL.1", name="Ana")


def firm_of(tenant: TenantId) -> Firm | None:
    return FIRM if tenant == TENANT else None


def wrote(text: str, n: int = 1, *, at_ms: int = NOW, sender: Sender = ANA) -> Arrived:
    return Arrived(
        tenant=TENANT,
        channel=ChannelId("c1"),
        contact=ContactId("p1"),
        sender=sender,
        heard=Heard(id=Wamid(f"wamid.{n}"), at=at_ms // 1000, kind="text", text=text),
        received=at_ms,
    )


def decide(
    *events: Event, rest: Conversation | None = None, now_ms: int = NOW, book: Book | None = None
) -> Decision:
    decision = decide_turn(book or echo_book(), firm_of, ID, rest, events, now_ms)
    # What a turn leaves must survive being stored.
    assert read_state(write_state(decision.conversation)) == decision.conversation
    return decision


def sends(decision: Decision) -> list[Say | MarkRead]:
    return [decode(body, type=SendAction) for lane, body in decision.pushes if lane == f"wa/{ID}"]


def words(decision: Decision, *, but: str = "") -> list[str]:
    """`but`: name of a template that may be among them."""
    found = []
    for action in sends(decision):
        assert isinstance(action, Say)
        if isinstance(action.content, Template) and action.content.name == but:
            continue
        assert isinstance(action.content, TextContent)
        found.append(action.content.body)
    return found


# ------------------------------------------------------------------ turns


def test_a_message_is_answered_recorded_and_consumed() -> None:
    decision = decide(wrote("pan"))

    assert decision.consumed == 1
    assert words(decision) == ["1 pan ¿Algo más?"]
    [record] = decision.records
    assert isinstance(record, TurnRecord)
    assert (record.turn, record.state, record.sender) == (1, "echo.listening", ANA)
    assert [said.ref for said in record.said] == [f"{ID}-1"]


def test_waiting_messages_are_a_turn_each_in_their_order() -> None:
    decision = decide(*(wrote(f"m{n}", n) for n in range(3)))

    assert decision.consumed == 3
    assert words(decision) == ["1 m0 ¿Algo más?", "2 m1 ¿Algo más?", "3 m2 ¿Algo más?"]


def test_the_answer_marks_what_it_answers_as_read() -> None:
    [action] = sends(decide(wrote("pan", 7)))

    assert isinstance(action, Say)
    assert action.reads == "wamid.7"


def test_a_person_with_a_phone_is_reached_by_phone_and_one_without_by_bsuid() -> None:
    hidden = Sender(bsuid="CL.1", username="ana.sol")

    [by_phone] = sends(decide(wrote("pan")))
    [by_bsuid] = sends(decide(wrote("pan", sender=hidden)))

    assert isinstance(by_phone, Say)
    assert isinstance(by_bsuid, Say)
    assert (by_phone.to, by_phone.recipient) == ("56961234567", "")
    assert (by_bsuid.to, by_bsuid.recipient) == ("", "CL.1")


def test_a_message_of_a_firm_that_is_not_in_the_directory_is_not_lost_in_silence() -> None:
    stranger = Arrived(
        tenant=TenantId("nobody"),
        channel=ChannelId("c1"),
        contact=ContactId("p1"),
        sender=ANA,
        heard=wrote("pan").heard,
    )

    with pytest.raises(UnknownConversationError):
        decide(stranger)


def test_a_result_without_a_conversation_is_not_lost_in_silence() -> None:
    with pytest.raises(UnknownConversationError):
        decide(Answered(Result(seq=1)))


# ------------------------------------------------------------------ several messages in a row


@dataclass(frozen=True)
class Gathered:
    pass


gathering = Flow("gathering", Gathered, bool, pause=timedelta(milliseconds=1500))


@gathering.asks
def hearing(data: Gathered, words: Text) -> Step:
    return stay(say("heard", words=words), sorry=False)


def gathering_book() -> Book:
    unspoken = {key: key for key in (*BOT_KEYS, *FORMAT_KEYS)}
    spoken = {
        "gathering.hearing.ask": "¿Qué necesitas?",
        "gathering.hearing.heard": "Oí: {{ words }}.",
        "text.unknown": "¿Me lo escribes?",
    }
    return Book([gathering], Texts({"es_CL": {**unspoken, **spoken}}))


def test_a_person_who_may_still_be_typing_is_waited_for() -> None:
    decision = decide(wrote("pan"), book=gathering_book(), now_ms=NOW + 200)

    assert (decision.consumed, decision.pushes, decision.records) == (0, (), ())
    assert decision.wake_ms == NOW + 1500


def test_what_was_written_in_a_row_is_answered_once() -> None:
    decision = decide(
        wrote("pan", 1),
        wrote("una consulta", 2, at_ms=NOW + 900),
        wrote("tienen pan", 3, at_ms=NOW + 1800),
        book=gathering_book(),
        now_ms=NOW + 3300,
    )

    assert decision.consumed == 3
    assert len(sends(decision)) == 1


def test_a_person_who_never_stops_typing_is_answered_all_the_same() -> None:
    still_typing = [wrote(f"m{n}", n, at_ms=NOW + n * 1000) for n in range(7)]

    decision = decide(*still_typing, book=gathering_book(), now_ms=NOW + 6100)

    assert decision.consumed == 7


def test_an_answer_by_tap_is_not_waited_for() -> None:
    tap = Heard(id=Wamid("wamid.1"), at=NOW // 1000, kind="tap", text="Sí", choice="1.yes")
    arrived = Arrived(
        tenant=TENANT, channel=ChannelId("c1"), contact=ContactId("p1"), sender=ANA, heard=tap, received=NOW
    )  # fmt: skip

    assert decide(arrived, book=gathering_book(), now_ms=NOW + 1).consumed == 1


def test_what_follows_a_timer_is_read_in_the_state_that_the_timer_led_to() -> None:
    gathers = decide(wrote("gather pan"), book=errand_book()).conversation
    late = NOW + HURRY_S * 1000 + 500

    decision = decide(
        wrote("say a", 2, at_ms=late),
        wrote("say b", 3, at_ms=late + 100),
        rest=gathers,
        book=errand_book(),
        now_ms=late + 60_000,
    )

    assert words(decision) == ["hurries gather pan ?", "heard say a ?", "heard say b ?"]


def test_what_a_timer_says_is_no_answer() -> None:
    """A firm's budget keeps a reserve for answers."""
    naps = decide(wrote("nap pan"), book=errand_book())
    woke = decide(rest=naps.conversation, book=errand_book(), now_ms=NOW + NAP_S * 1000)

    assert [say.answers for say in sends(naps) if isinstance(say, Say)] == [True]
    assert [say.answers for say in sends(woke) if isinstance(say, Say)] == [False]


def test_a_timer_that_is_due_while_a_message_is_held_waits_with_it() -> None:
    gathers = decide(wrote("gather pan"), book=errand_book()).conversation
    written = NOW + HURRY_S * 1000 - 500

    decision = decide(
        wrote("say a", 2, at_ms=written),
        rest=gathers,
        book=errand_book(),
        now_ms=NOW + HURRY_S * 1000,
    )

    assert (decision.consumed, decision.records) == (0, ())
    assert decision.wake_ms == written + PAUSE_MS


def test_after_an_event_a_timer_waits_for_what_else_lies_in_the_lane() -> None:
    """Not all of it is seen at once: a message may have come before the timer."""
    naps = decide(wrote("nap pan"), book=errand_book()).conversation
    alarm = NOW + NAP_S * 1000

    decision = decide(refused(), rest=naps, book=errand_book(), now_ms=alarm + 1)
    then = decide(rest=decision.conversation, book=errand_book(), now_ms=alarm + 1)

    assert (decision.consumed, decision.records, decision.wake_ms) == (1, (), alarm)
    assert words(then) == ["woke nap pan ?"]


# ------------------------------------------------------------------ time


def test_the_conversation_asks_to_be_woken_for_its_next_timer() -> None:
    decision = decide(wrote("pan"))

    assert decision.wake_ms == (NOW // 1000 + 23 * 3600) * 1000


def test_an_idle_conversation_ends_in_silence() -> None:
    rest = decide(wrote("pan")).conversation

    later = decide(rest=rest, now_ms=NOW + 23 * 3_600_000 + 1000)

    assert later.conversation.session.stack == ()
    assert (later.pushes, later.wake_ms) == ((), 0)


def test_a_timer_that_came_before_the_message_is_run_before_it() -> None:
    rest = decide(wrote("pan")).conversation
    next_day = NOW + 30 * 3_600_000

    decision = decide(wrote("pan", 2, at_ms=next_day), rest=rest, now_ms=next_day + 5)

    # The conversation had ended: the message begins a new one, so the count starts again.
    assert words(decision) == ["1 pan ¿Algo más?"]


# ------------------------------------------------------------------ the window


def refused(content: TextContent = TextContent("Tu pedido va en camino")) -> Refused:  # noqa: B008  frozen
    say = Say(tenant=TENANT, channel=ChannelId("c1"), ref=f"{ID}-1", content=content, at=NOW)
    return Refused(ref=f"{ID}-1", fault="window_closed", say=say)


def test_a_message_that_found_the_window_closed_waits_for_the_person() -> None:
    rest = decide(wrote("pan")).conversation
    closed = NOW + SERVICE_MS

    parked = decide(refused(), rest=rest, now_ms=closed).conversation
    reopened = decide(wrote("pan", 2, at_ms=closed + 5), rest=parked, now_ms=closed + 5)

    assert [p.ref for p in parked.parked] == [f"{ID}-1"]
    assert words(reopened)[0] == "Tu pedido va en camino"
    assert reopened.conversation.parked == ()


def test_a_message_refused_before_the_sender_knew_of_the_persons_last_one_goes_out_now() -> None:
    rest = decide(wrote("pan")).conversation

    decision = decide(refused(), rest=rest, now_ms=NOW + SERVICE_MS - MARGIN_MS - 1)

    assert words(decision) == ["Tu pedido va en camino"]
    assert decision.conversation.parked == ()


def test_a_message_that_comes_a_day_late_opens_nothing() -> None:
    rest = decide(wrote("pan")).conversation
    closed = NOW + SERVICE_MS
    parked = decide(refused(), rest=rest, now_ms=closed).conversation

    decision = decide(wrote("pan", 2), rest=parked, now_ms=closed)

    # Turn 2 was the knock.
    assert [p.ref for p in decision.conversation.parked] == [f"{ID}-1", f"{ID}-3"]
    assert sends(decision) == []


def test_a_parked_message_expires() -> None:
    rest = decide(wrote("pan")).conversation
    parked = decide(refused(), rest=rest, now_ms=NOW + SERVICE_MS).conversation
    month = NOW + 30 * 86_400_000

    reopened = decide(wrote("pan", 2, at_ms=month), rest=parked, now_ms=month)

    assert words(reopened) == ["1 pan ¿Algo más?"]
    assert lost(reopened) == [(f"{ID}-1", "expired")]


def test_of_too_many_parked_messages_the_oldest_is_given_up_and_recorded() -> None:
    closed = NOW + SERVICE_MS
    late = [wrote("pan", n) for n in range(PARKED_MAX + 1)]

    decision = decide(*late, now_ms=closed)

    # Turn 2 was the knock.
    assert [p.ref for p in decision.conversation.parked] == [
        f"{ID}-{n}" for n in range(3, PARKED_MAX + 3)
    ]
    assert lost(decision) == [(f"{ID}-1", "too_many_parked")]


def lost(decision: Decision) -> list[tuple[str, str]]:
    return [(r.ref, r.fault) for r in decision.records if isinstance(r, RefusedRecord)]


def test_a_send_tells_until_when_it_may_be_said_freely() -> None:
    [action] = sends(decide(wrote("pan")))

    assert isinstance(action, Say)
    assert action.open_until == NOW + SERVICE_MS - MARGIN_MS


# ------------------------------------------------------------------ opting out

nudging = Flow("nudging", Gathered, bool)


@nudging.asks
def asking(data: Gathered, words: Text) -> Step:
    return go(asking, data)


@asking.after(timedelta(hours=2))
def nudge(data: Gathered) -> Step:
    return stay(sorry=False)


def nudging_book() -> Book:
    unspoken = {key: key for key in (*BOT_KEYS, *FORMAT_KEYS)}
    spoken = {"nudging.asking.ask": "¿Cuál es tu nombre?", "text.unknown": "¿Me lo escribes?"}
    return Book([nudging], Texts({"es_CL": {**unspoken, **spoken}}))


@pytest.mark.parametrize(("stopped", "said"), [(False, 1), (True, 0)], ids=["willing", "opted-out"])
def test_who_opted_out_is_not_nudged_and_the_refusal_is_recorded(stopped: bool, said: int) -> None:
    from msgspec.structs import replace

    rest = replace(decide(wrote("pan"), book=nudging_book()).conversation, stopped=stopped)

    later = decide(rest=rest, now_ms=NOW + 2 * 3_600_000 + 1000, book=nudging_book())

    assert len(sends(later)) == said
    refusals = [r.fault for r in later.records if isinstance(r, RefusedRecord)]
    assert refusals == (["opted_out"] if stopped else [])


# ------------------------------------------------------------------ the pair limit


def test_a_burst_leaves_at_once_and_then_one_message_each_six_seconds() -> None:
    pair_ms, earliest = 0, []
    for _ in range(PAIR_BURST + 3):
        pair_ms, not_before = paced(pair_ms, NOW)
        earliest.append(not_before)

    assert earliest[:PAIR_BURST] == [0] * PAIR_BURST
    assert earliest[PAIR_BURST:] == [NOW + PAIR_EVERY_MS * n for n in (1, 2, 3)]


def test_a_pair_that_rested_has_its_whole_burst_again() -> None:
    pair_ms = 0
    for _ in range(PAIR_BURST):
        pair_ms, _ = paced(pair_ms, NOW)

    assert paced(pair_ms, NOW + PAIR_EVERY_MS * PAIR_BURST)[1] == 0


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    pair_ms, _ = paced(0, NOW + 3_600_000)

    pair_ms, not_before = paced(pair_ms, NOW)

    assert not_before == 0
    assert paced(pair_ms, NOW)[1] == NOW + PAIR_EVERY_MS  # how much was left is not known


# ------------------------------------------------------------------ what is stored


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(wrote("pan"), id="message"),
        pytest.param(Answered(Result(seq=3, value=Raw(b'{"id":4}'))), id="result"),
        pytest.param(Answered(Result(seq=3, failed="down")), id="failed-call"),
        pytest.param(refused(), id="refusal"),
    ],
)
def test_every_event_survives_its_lane(event: Event) -> None:
    assert decode(encode(event), type=Event) == event


def test_a_customer_s_idle_conversation_fits_into_half_a_kilobyte() -> None:
    """A million of them lie in memory. 508: what fits with its head into the 512 bytes that the store allocates."""
    words = ("hola", "a qué hora abren", "cuánto vale la marraqueta")
    told = {"hours": "lun-sáb 8:00-20:00", "products": "Marraqueta: $1.990 el kilo"}
    bakery = Firm(id=TENANT, name="Panadería Sol", settings=told)
    rest = None
    for n, text in enumerate(words):
        arrived = Arrived(
            tenant=TENANT,
            channel=ChannelId("55753ef4-6e40-4d0a-b2a4-a08002ad87df"),
            contact=ContactId("1e0a2ecf-f7bd-4b4f-b621-7daa7bf1712a"),
            sender=Sender(wa_id="56961234567", bsuid="CL.56961234567", name="Ana María Pérez"),
            heard=Heard(
                id=Wamid("wamid.HBgLNTY5NjEyMzQ1NjcVAgASGBQzQTA" + "0" * 23),
                at=NOW // 1000,
                kind="text",
                text=text,
            ),
            received=NOW + n * 60_000,
        )
        later_ms = NOW + n * 60_000 + 2_000
        turn = decide_turn(product_book(), lambda _: bakery, ID, rest, [arrived], later_ms)
        rest = turn.conversation

    assert rest is not None
    assert rest.session.state == "customer.answered"
    assert len(write_state(rest)) <= 508


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        pytest.param("mi tarjeta es 4111 1111 1111 1111", "mi tarjeta es •••", id="card"),
        pytest.param("clave: abc123", "clave: •••", id="password"),
        pytest.param("pan para 20", "pan para 20", id="nothing-secret"),
    ],
)
def test_a_secret_that_was_typed_is_never_written_down(typed: str, kept: str) -> None:
    [record] = decide(wrote(typed)).records

    assert isinstance(record, TurnRecord)
    assert [heard.text for heard in record.heard] == [kept]


@pytest.mark.parametrize(
    "content",
    [
        Link("Entra.", "Entrar", "https://sol.example/login#entry=s3cret"),
        TextContent("Entra: https://sol.example/login#entry=s3cret"),
    ],
)
def test_what_lets_its_holder_in_is_written_down_without_its_secret(
    content: Link | TextContent,
) -> None:
    written = without_keys(Said("ref-1", content))

    assert "https://sol.example/login" in str(written.content)
    assert "s3cret" not in str(written)


# ------------------------------------------------------------------ files


def photo(n: int = 1) -> Arrived:
    media = Attachment("image", f"m{n}", "image/jpeg", sha256="abc")
    heard = Heard(id=Wamid(f"wamid.{n}"), at=NOW // 1000, kind="media", text="¿así?", media=media)
    return Arrived(TENANT, ChannelId("c1"), ContactId("p1"), ANA, heard, NOW)


def test_each_file_that_comes_is_asked_for_in_a_lane_of_its_own() -> None:
    decision = decide(photo(1), photo(2))

    asked = [body for lane, body in decision.pushes if lane == f"media/{ID}"]
    assert [decode(body, type=FetchMedia) for body in asked] == [
        FetchMedia(
            tenant=TENANT,
            channel=ChannelId("c1"),
            message=Wamid(f"wamid.{n}"),
            media=Attachment("image", f"m{n}", "image/jpeg", sha256="abc"),
            at=NOW,
        )
        for n in (1, 2)
    ]


def test_a_message_without_a_file_asks_for_none() -> None:
    assert [lane for lane, _ in decide(wrote("hola")).pushes] == [f"wa/{ID}"]


def test_a_file_that_will_not_be_had_is_told_to_the_person() -> None:
    rest = decide(photo()).conversation

    decision = decide(FileLost(Wamid("wamid.1"), "image", "gone"), rest=rest)

    [told] = sends(decision)
    assert isinstance(told, Say)
    assert decision.consumed == 1


def test_once_the_window_is_closed_the_person_is_told_when_they_write() -> None:
    rest = decide(photo()).conversation
    late = NOW + SERVICE_MS

    decision = decide(FileLost(Wamid("wamid.1"), "image", "gone"), rest=rest, now_ms=late)

    assert words(decision, but=KNOCK) == []
    assert len(decision.conversation.parked) == 1
