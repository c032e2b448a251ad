"""The root flow of a conversation is its channel's, also once its channel has another mark."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest
from msgspec import Raw
from msgspec.json import decode, encode

from bot.engine.conversation import Conversation
from bot.engine.conversation import decode as read_state
from bot.engine.conversation import encode as write_state
from bot.engine.roots import root_of
from bot.engine.turn import Decision
from bot.engine.turn import decide as decide_turn
from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.content import Text as TextContent
from flows.dialog.ctx import Firm
from flows.dialog.events import Heard, Result
from flows.dialog.flow import Flow, Step, go, say
from flows.dialog.keys import BOT_KEYS
from flows.dialog.texts import FORMAT_KEYS, Texts
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId, Wamid
from handlers.actions import Say, SendAction
from handlers.events import Answered, Arrived, Event, Moved, Sender
from handlers.ports import Channel
from tests.bot.engine.errand import NAP_S, PAUSE_MS, errand, errand_book
from tests.echo import echo_book

NOW = 1_795_392_000_000
ID = ConversationId("8a0bb3de-1111-4222-8333-444455556666")
FIRM = Firm(id=TenantId("0d7c9d3a-1111-4222-8333-444455556666"), name="Panadería Sol")
ANA = Sender(wa_id="56961234567", name="Ana")
SHOP, SHOW = ChannelId("shop"), ChannelId("show")
CHANNEL = Channel(
    id=SHOP, tenant=FIRM.id, phone_number_id="1", waba_id="2", display_phone="+56 2 2345 6789"
)


@dataclass(frozen=True)
class Nothing:
    pass


demo = Flow("demo", Nothing, bool, pause=timedelta(milliseconds=500))


@demo.asks
def ask_link(_n: Nothing, words: Text) -> Step:
    return go(ask_link, Nothing(), say("told", words=words))


def two_roots() -> Book:
    unspoken = {key: key for key in (*BOT_KEYS, *FORMAT_KEYS)}
    spoken = {
        "bot.busy": "busy {{ s.words }}",
        "errand.told": "{{ verb }} {{ words }}",
        "errand.listening.ask": "?",
        "errand.gathering.ask": "?",
        "errand.napping.ask": "?",
        "demo.told": "demo {{ words }}",
        "demo.ask_link.ask": "?",
        "text.unknown": "?",
    }
    return Book([errand, demo], Texts({"es_CL": {**unspoken, **spoken}}))


BOOK = two_roots()


def wrote(text: str, n: int = 1, *, at_ms: int = NOW, channel: ChannelId = SHOP) -> Arrived:
    return Arrived(
        tenant=FIRM.id,
        channel=channel,
        contact=ContactId("p1"),
        sender=ANA,
        heard=Heard(id=Wamid(f"wamid.{n}"), at=at_ms // 1000, kind="text", text=text),
        received=at_ms,
    )


def decide(
    *events: Event,
    rest: Conversation | None = None,
    now_ms: int = NOW,
    shows: frozenset[ChannelId] = frozenset((SHOW,)),
) -> Decision:
    """`shows`: the channels that are demo numbers."""
    decision = decide_turn(
        BOOK,
        lambda tenant: FIRM,
        ID,
        rest,
        events,
        now_ms,
        root_of=lambda channel: "demo" if channel in shows else "",
    )
    assert read_state(write_state(decision.conversation)) == decision.conversation
    return decision


def words(decision: Decision) -> list[str]:
    found = []
    for lane, body in decision.pushes:
        if lane == f"wa/{ID}":
            action = decode(body, type=SendAction)
            assert isinstance(action, Say)
            assert isinstance(action.content, TextContent)
            found.append(action.content.body)
    return found


# ------------------------------------------------------------------ which flow


@pytest.mark.parametrize(
    ("channel", "root"),
    [
        pytest.param(None, "", id="of-nobody"),
        pytest.param(CHANNEL, "", id="a-firm's"),
        pytest.param(msgspec.structs.replace(CHANNEL, demo=True), "demo", id="the-demo-number"),
        pytest.param(
            msgspec.structs.replace(CHANNEL, platform=True), "", id="no-flow-for-this-mark"
        ),
    ],
)
def test_a_mark_names_the_root_flow_if_the_book_has_it(channel: Channel | None, root: str) -> None:
    assert root_of(BOOK, channel) == root


def test_a_book_of_one_flow_runs_it_on_every_number() -> None:
    marked = msgspec.structs.replace(CHANNEL, demo=True)

    assert root_of(errand_book(), marked) == root_of(echo_book(), marked) == ""


# ------------------------------------------------------------------ a conversation


def test_a_conversation_begins_with_the_root_flow_of_its_channel() -> None:
    of_shop = decide(wrote("say hola", at_ms=NOW))
    of_show = decide(wrote("pan", channel=SHOW, at_ms=NOW - 500))

    assert words(of_shop) == ["heard say hola ?"]
    assert words(of_show) == ["demo pan ?"]


def test_its_first_message_waits_as_long_as_that_flow_says() -> None:
    assert decide(wrote("say hola")).consumed == 1

    held = decide(wrote("pan", channel=SHOW))

    assert (held.consumed, held.wake_ms) == (0, NOW + 500)


def test_whoever_has_a_number_after_somebody_who_left_begins_with_it_too() -> None:
    talked = decide(wrote("pan", channel=SHOW, at_ms=NOW - 500)).conversation
    identity = Moved(
        tenant=FIRM.id, channel=SHOW, contact=ContactId("p1"), sender=ANA, why="identity", at=0
    )

    moved = decide(identity, rest=talked).conversation

    assert moved.session.stack == ()
    assert moved.session.pause_ms == 500


# ------------------------------------------------------------------ a channel that gets another mark


def test_what_a_number_asked_before_it_became_a_demo_number_is_forgotten() -> None:
    napping = decide(wrote("nap pan")).conversation

    turn = decide(wrote("pan", 2, at_ms=NOW - 500), rest=napping, shows=frozenset((SHOP,)))

    assert words(turn) == ["demo pan ?"]
    assert turn.conversation.session.state == "demo.ask_link"
    assert turn.conversation.session.seq > napping.session.seq


def test_its_timers_are_over_without_a_word() -> None:
    napping = decide(wrote("nap pan")).conversation
    later = NOW + (NAP_S + 1) * 1000

    turn = decide(rest=napping, now_ms=later, shows=frozenset((SHOP,)))

    assert words(turn) == []
    assert (turn.conversation.session.stack, turn.wake_ms) == ((), 0)


def test_what_was_asked_for_there_comes_too_late() -> None:
    ordering = decide(wrote("order pan")).conversation
    made = Answered(Result(ordering.session.seq, Raw(encode("pan"))))

    turn = decide(made, rest=ordering, shows=frozenset((SHOP,)))

    assert turn.consumed == 1
    assert words(turn) == []


def test_and_back_again() -> None:
    shown = decide(wrote("pan", at_ms=NOW - 500), shows=frozenset((SHOP,))).conversation
    assert shown.session.pause_ms == 500

    turn = decide(wrote("gather pan", 2, at_ms=NOW - 500), rest=shown)

    assert words(turn) == ["gathers gather pan ?"]
    assert turn.conversation.session.pause_ms == PAUSE_MS
