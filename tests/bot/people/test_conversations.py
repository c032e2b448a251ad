"""A conversation is read back as it was journaled."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bot.engine.journal import write_entries
from bot.people.conversations import (
    Message,
    Waiting,
    list_conversations,
    list_waiting,
    read_story,
)
from bot.people.errors import UnknownError
from bot.store.database import Database
from flows.dialog.content import Text
from flows.dialog.events import Heard
from flows.values.ids import ContactId, ConversationId, ItemId, Wamid
from handlers.events import Sender
from handlers.journal import (
    ConsentChange,
    ParkedRecord,
    RefusedRecord,
    Said,
    SentRecord,
    StatusSeen,
    TurnRecord,
)
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BUTCHERY

AT_S = 1_795_000_000
AT = datetime.fromtimestamp(AT_S, UTC)
CONVERSATION = ConversationId("cccccccc-0000-4000-8000-000000000001")
HEARD = (
    Heard(id=Wamid("in-1"), at=AT_S, kind="text", text="hola"),
    Heard(id=Wamid("in-2"), at=AT_S, kind="text", text="¿tienen pan?"),
)
FIRST = TurnRecord(
    tenant=BAKERY.id,
    channel=BAKERY_CHANNEL.id,
    contact=ContactId("aaaaaaaa-0000-4000-8000-000000000001"),
    conversation=CONVERSATION,
    turn=1,
    at=AT_S * 1000,
    sender=Sender(wa_id="56961234567"),
    heard=HEARD,
    said=(Said("ref-1", Text("¡Hola!")),),
    state="customer.menu",
    consents=(ConsentChange("marketing", granted=True, evidence=Wamid("in-1")),),
)
SECOND = replace(
    FIRST, turn=2, heard=(), consents=(), said=(Said("ref-2", Text("¿Sigues?")),), state="", handoff="ventas"
)  # fmt: skip
ITEM = ItemId(f"wa/{CONVERSATION}:1-0")


@pytest.fixture
async def told(bakery: Database) -> Database:
    """A bakery with a conversation of two turns."""
    async with bakery.tenant(BAKERY.id) as connection:
        await write_entries(
            connection,
            BAKERY.id,
            [
                FIRST,
                SECOND,
                SentRecord(
                    tenant=BAKERY.id, ref="ref-1", item=ITEM, wamid=Wamid("out-1"), at=AT_S * 1000
                ),
                StatusSeen(tenant=BAKERY.id, wamid=Wamid("out-1"), status="read", at=AT_S),
                RefusedRecord(
                    tenant=BAKERY.id, ref="ref-2", item=ITEM, at=AT_S * 1000, fault="window_closed"
                ),
                ParkedRecord(
                    tenant=BAKERY.id, ref="ref-2", at=AT_S * 1000, until=(AT_S + 60) * 1000
                ),
            ],
        )
    return bakery


async def test_a_story_is_told_in_order(told: Database) -> None:
    story = await read_story(told, CONVERSATION)

    first, second = story.turns
    assert (story.summary.turn, story.summary.state, story.zone) == (2, "", "America/Santiago")
    assert first.messages == (
        Message(turn=1, at=AT, content=HEARD[0], direction="in"),
        Message(turn=1, at=AT, content=HEARD[1], direction="in"),
        Message(turn=1, at=AT, content=Text("¡Hola!"), direction="out", status="read"),
    )
    assert first.consents == (("marketing", True),)
    assert second.messages == (
        Message(
            turn=2,
            at=AT,
            content=Text("¿Sigues?"),
            direction="out",
            parked_until=AT + timedelta(minutes=1),
            faults=("window_closed",),
        ),
    )
    assert second.handoff == "ventas"


async def test_a_story_is_its_tenant_s_alone(told: Database) -> None:
    assert (await read_story(told, CONVERSATION, tenant=BAKERY.id)).summary.tenant == BAKERY.id
    with pytest.raises(UnknownError):
        await read_story(told, CONVERSATION, tenant=BUTCHERY.id)
    assert await list_conversations(told, BUTCHERY.id, most=10) == []


async def test_conversations_are_listed_the_latest_first(told: Database) -> None:
    later = replace(
        FIRST,
        conversation=ConversationId("cccccccc-0000-4000-8000-000000000002"),
        at=FIRST.at + 1000,
        heard=(),
        said=(),
        consents=(),
    )
    async with told.tenant(BAKERY.id) as connection:
        await write_entries(connection, BAKERY.id, [later])

    found = await list_conversations(told, BAKERY.id, most=10)

    assert [summary.id for summary in found] == [later.conversation, CONVERSATION]
    assert await list_conversations(told, BAKERY.id, most=1) == found[:1]


async def test_what_waits_for_a_firm_s_people_is_listed(told: Database) -> None:
    [waits] = await list_waiting(told, BAKERY.id, most=10)

    until = AT + timedelta(minutes=1)
    assert waits == Waiting(conversation=CONVERSATION, at=AT, until=until, kind="text")
    assert await list_waiting(told, BUTCHERY.id, most=10) == []
