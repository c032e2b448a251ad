"""What the journal keeps of a message's fate, and how it is found again when Meta did not deliver it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.engine.conversation import Conversation, encode
from bot.engine.journal import Journal
from bot.engine.recall import DOWN_REST_MS, REST_MS, TRIES_MAX, Recaller
from bot.engine.standings import Standings
from bot.lanes import Lanes, Taken, Wire
from bot.people.addresses import conversation_of
from bot.store.database import Database
from flows.dialog.content import Template, Text
from flows.values.ids import ContactId, ConversationId, ItemId, Wamid
from flows.window import Terms, Window
from handlers.actions import Recall, Say
from handlers.events import Refused
from handlers.journal import Otherwise, ParkedRecord, Record, RefusedRecord, Said, StatusRecord
from handlers.ports import NOBODY, Again, Before, Dead, Done, Item
from tests.bot.engine.test_journal import (
    CHANNEL,
    CONTACT,
    CONVERSATION,
    DELIVERED,
    ITEM,
    SENT,
    TENANT,
    TURN,
    Eyes,
    eyes,
    firms,
    journal,
    lanes,
    wire,
    write,
)

__all__ = ["eyes", "firms", "journal", "lanes", "wire"]

REF = SENT.ref
HOLA = Text("¡Hola! ¿Qué necesitas?")
NOTICE = Template("pedido_actualizado", "es_CL")
UNTIL = SENT.at + 86_400_000
PARKED = ParkedRecord(TENANT, REF, at=SENT.at + 1_000, until=UNTIL)
FAILED = replace(DELIVERED, status="failed", code=131047)
AGAIN = replace(SENT, wamid=Wamid("wamid.out2"), at=SENT.at + 2_000, again=True)
EXPIRED = RefusedRecord(TENANT, REF, ItemId(""), at=SENT.at + 3_000, fault="expired")

FATE = "SELECT wamid, status, parked_until, again, left_as ->> 'name' FROM smarterbot.messages WHERE direction = 'out'"


def recalls(*, tries: int = 1, wamid: str = SENT.wamid) -> Item:
    recall = Recall(TENANT, Wamid(wamid), ITEM, "window_closed", 131047, at=0)
    return Item(
        id=ItemId(f"recall/{CONVERSATION}:1-0"),
        conversation=CONVERSATION,
        body=msgspec.json.encode(recall),
        tries=tries,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )


def found(**over: object) -> Done:
    common: dict[str, object] = {
        "tenant": TENANT,
        "channel": CHANNEL,
        "ref": REF,
        "content": HOLA,
        "at": SENT.at,
    }
    say = Say(**(common | over))  # type: ignore[arg-type]  # a table of cases
    event = Refused(REF, "window_closed", 131047, ITEM, SENT.wamid, say)
    return Done(event=event)


@pytest.fixture
def recaller(firms: Database) -> Recaller:
    return Recaller(firms, Clock())


# ------------------------------------------------------------------ the journal


@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "line-by-line"])
@pytest.mark.parametrize(
    ("order", "fate"),
    [
        pytest.param((TURN, PARKED), (None, 0, UNTIL, False, None), id="waits"),
        pytest.param((TURN, PARKED, replace(AGAIN, again=False)), ("wamid.out2", 0, 0, False, None), id="waited"),
        pytest.param((TURN, PARKED, EXPIRED), (None, 0, 0, False, None), id="expired"),
        pytest.param((TURN, SENT, StatusRecord((FAILED,)), PARKED), ("wamid.out1", 5, UNTIL, False, None), id="not-delivered-waits"),
        pytest.param((TURN, SENT, StatusRecord((FAILED,)), AGAIN), ("wamid.out2", 0, 0, True, None), id="sent-again"),
        pytest.param((TURN, SENT, PARKED, AGAIN, SENT, PARKED), ("wamid.out2", 0, 0, True, None), id="old-lines-come-again"),
        pytest.param((TURN, replace(SENT, left_as=NOTICE)), ("wamid.out1", 0, 0, False, NOTICE.name), id="as-a-template"),
    ],
)  # fmt: skip
async def test_the_last_word_on_a_message_is_right(
    wire: Wire,
    journal: Journal,
    eyes: Eyes,
    order: Sequence[Record],
    fate: tuple[object, ...],
    together: bool,
) -> None:
    for record in order:
        await write(wire, record)
        if not together:
            await journal.drain_once()
    await journal.drain_once()

    wamid, status, until, again, left_as = fate
    parked = datetime.fromtimestamp(int(str(until)) / 1000, UTC) if until else None
    assert await eyes.rows(FATE) == [(wamid, status, parked, again, left_as)]


async def test_a_fate_written_again_changes_nothing(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    story: tuple[Record, ...] = (TURN, SENT, StatusRecord((FAILED,)), PARKED, AGAIN, EXPIRED)
    await write(wire, *story)
    await journal.drain_once()
    once = await eyes.everything()

    for _ in range(2):
        await write(wire, *story)
        await journal.drain_once()

    assert await eyes.everything() == once


# ------------------------------------------------------------------ recalling


async def test_a_message_is_recalled_by_what_meta_calls_it(
    wire: Wire, journal: Journal, recaller: Recaller
) -> None:
    await write(wire, TURN, SENT)
    await journal.drain_once()

    assert await recaller.serve(recalls()) == found()


@pytest.mark.parametrize(
    ("said", "left_as", "recalled"),
    [
        pytest.param(
            Said(REF, HOLA, Otherwise(instead=NOTICE, answers=False, expires=7)),
            None,
            {"instead": NOTICE, "answers": False, "expires": 7},
            id="with-its-template",
        ),
        pytest.param(
            Said(REF, HOLA, Otherwise(instead=NOTICE)),
            NOTICE,
            {"content": NOTICE, "stands_for": (HOLA,)},
            id="left-as-its-template",
        ),
        pytest.param(
            Said(REF, NOTICE, Otherwise(stands_for=(HOLA, HOLA))),
            None,
            {"content": NOTICE, "stands_for": (HOLA, HOLA)},
            id="decided-as-a-template",
        ),
    ],
)
async def test_what_is_to_happen_otherwise_is_recalled_with_it(
    wire: Wire,
    journal: Journal,
    recaller: Recaller,
    said: Said,
    left_as: Template | None,
    recalled: dict[str, object],
) -> None:
    await write(wire, replace(TURN, said=(said,)), replace(SENT, left_as=left_as))
    await journal.drain_once()

    assert await recaller.serve(recalls()) == found(**recalled)


async def test_one_that_was_sent_again_is_known_as_such(
    wire: Wire, journal: Journal, recaller: Recaller
) -> None:
    await write(wire, TURN, replace(AGAIN, wamid=SENT.wamid))
    await journal.drain_once()

    assert await recaller.serve(recalls()) == found(again=True, at=AGAIN.at)


async def test_a_journal_that_lags_is_waited_for_and_not_for_ever(recaller: Recaller) -> None:
    assert await recaller.serve(recalls()) == Again(REST_MS, "not_journaled")
    assert await recaller.serve(recalls(tries=TRIES_MAX)) == Done()


async def test_a_message_of_another_firm_is_not_found(
    wire: Wire, journal: Journal, firms: Database
) -> None:
    await write(wire, TURN, SENT)
    await journal.drain_once()
    item = recalls()
    theirs = msgspec.json.decode(item.body, type=Recall)
    other = replace(theirs, tenant="7d444840-9dc0-41d1-b245-5ffdce74fad2")

    body = msgspec.json.encode(other)
    outcome = await Recaller(firms, Clock()).serve(
        Item(item.id, item.conversation, body, 1, Before.CLEAN, None, item.is_ours)
    )

    assert outcome == Again(REST_MS, "not_journaled")


async def test_while_postgresql_is_down_it_waits(clean_postgres: PostgresUrls) -> None:
    async with Database.open(clean_postgres.app) as gone:
        pass

    assert await Recaller(gone, Clock()).serve(recalls()) == Again(
        DOWN_REST_MS, "database_down", counts=False
    )


async def test_a_body_that_cannot_be_read_is_a_dead_letter(recaller: Recaller) -> None:
    item = recalls()
    broken = Item(item.id, item.conversation, b"{}", 1, Before.CLEAN, None, item.is_ours)

    assert await recaller.serve(broken) == Dead("unreadable")


# ------------------------------------------------------------------ how things stand


async def leave(lanes: Lanes, conversation: ConversationId, rest: Conversation) -> None:
    """A turn commits this state."""
    shard = lanes.shard(conversation)
    taken = await lanes.put(shard, f"conv/{conversation}", b"{}", take=True)
    assert isinstance(taken, Taken)
    await lanes.commit(taken, consumed=1, state=encode(rest))


async def test_how_things_stand_is_what_the_last_commit_left(lanes: Lanes) -> None:
    rest = Conversation(
        TENANT, CHANNEL, CONTACT, last_in=1_000, agreed=True, stopped=True, free_until=5
    )
    standings = Standings(lanes)
    before = await standings.standing(CONVERSATION)
    await leave(lanes, CONVERSATION, rest)

    after = await standings.standing(CONVERSATION)

    assert before == NOBODY
    assert after.window == Window(last_in=1_000_000, free_until=5)
    assert after.terms == Terms(answers=False, opted_out=True, opted_in=True)


async def test_nothing_opens_the_way_to_somebody_who_left(lanes: Lanes) -> None:
    rest = Conversation(TENANT, CHANNEL, CONTACT, last_in=1_000, agreed=True, left=True)
    await leave(lanes, CONVERSATION, rest)

    assert await Standings(lanes).standing(CONVERSATION) == NOBODY


async def test_of_somebody_who_was_joined_the_other_contact_tells(lanes: Lanes) -> None:
    into = ContactId("aaaaaaaa-0000-4000-8000-000000000002")
    other = Conversation(TENANT, CHANNEL, into, last_in=1_000, agreed=True)
    await leave(lanes, CONVERSATION, Conversation(TENANT, CHANNEL, CONTACT, into=into))
    before = await Standings(lanes).standing(CONVERSATION)
    await leave(lanes, conversation_of(CHANNEL, into), other)

    after = await Standings(lanes).standing(CONVERSATION)

    assert before == NOBODY
    assert (after.window, after.terms.opted_in) == (Window(last_in=1_000_000), True)
