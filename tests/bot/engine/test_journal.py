"""Every line of the journal reaches PostgreSQL once, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.engine.journal import BACKOFF_MAX_S, PARTS, PAUSE_S, Journal, write_entries
from bot.engine.rota import Rota
from bot.lanes import PREFIX, Lanes, StoreLostError, Wire
from bot.people.channels import add_channel
from bot.people.tenants import add_tenant
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, RoleError
from bot.store.secrets import Key, SecretBox
from flows.dialog.content import Text
from flows.dialog.ctx import Firm
from flows.dialog.events import Heard
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, TenantId, Wamid
from flows.values.rut import Rut
from handlers.events import Sender
from handlers.journal import (
    ConsentChange,
    Correction,
    HandoffRecord,
    JoinedRecord,
    MovedRecord,
    Record,
    RefusedRecord,
    Said,
    SentRecord,
    StatusRecord,
    StatusSeen,
    TurnRecord,
)
from handlers.ports import Channel

SHARDS = 4
PART = 0  # that shard 0 belongs to
AT_S = 1_795_000_000
AT = datetime.fromtimestamp(AT_S, UTC)

TENANT = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
OTHER_TENANT = TenantId("7d444840-9dc0-41d1-b245-5ffdce74fad2")
CHANNEL = ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")
CONTACT = ContactId("aaaaaaaa-0000-4000-8000-000000000001")
OTHER_CONTACT = ContactId("aaaaaaaa-0000-4000-8000-000000000002")
CONVERSATION = ConversationId("cccccccc-0000-4000-8000-000000000001")
OTHER_CONVERSATION = ConversationId("cccccccc-0000-4000-8000-000000000002")
ITEM = ItemId(f"wa/{CONVERSATION}:1-0")

TURN = TurnRecord(
    tenant=TENANT,
    channel=CHANNEL,
    contact=CONTACT,
    conversation=CONVERSATION,
    turn=1,
    at=AT_S * 1000 + 500,
    sender=Sender(wa_id="56961234567", bsuid="CL.1", name="Rosa"),
    heard=(Heard(id=Wamid("wamid.in1"), at=AT_S, kind="text", text="hola"),),
    said=(Said(ref=f"{CONVERSATION}-1", content=Text("¡Hola! ¿Qué necesitas?")),),
    state="customer.menu",
    consents=(ConsentChange("marketing", granted=True, evidence=Wamid("wamid.in1")),),
    handoff="ventas",
)
SENT = SentRecord(
    tenant=TENANT,
    ref=f"{CONVERSATION}-1",
    item=ITEM,
    wamid=Wamid("wamid.out1"),
    at=AT_S * 1000 + 700,
)
DELIVERED = StatusSeen(
    tenant=TENANT,
    wamid=SENT.wamid,
    status="delivered",
    at=AT_S + 1,
    item=ITEM,
    category="service",
    price_type="regular",
)
READ = StatusSeen(tenant=TENANT, wamid=SENT.wamid, status="read", at=AT_S + 2, item=ITEM)
REFUSED = RefusedRecord(
    tenant=TENANT,
    ref=f"{CONVERSATION}-1",
    item=ITEM,
    at=AT_S * 1000,
    fault="window_closed",
    code=131047,
)
HANDOFF = HandoffRecord(
    tenant=TENANT,
    conversation=CONVERSATION,
    contact=CONTACT,
    seq=3,
    at=AT_S * 1000,
    note="quiere factura",
    about="data.correct",
)
STORY: tuple[Record, ...] = (TURN, SENT, StatusRecord((DELIVERED, READ)), REFUSED, HANDOFF)


@pytest.fixture
async def firms(database: Database) -> Database:
    box = SecretBox((Key(id="k1", secret=bytes(32)),))
    await add_tenant(database, Firm(id=TENANT, name="Panadería Sol"), rut=Rut("765432103"))
    await add_tenant(database, Firm(id=OTHER_TENANT, name="Carnes Luna"), rut=Rut("761234560"))
    channel = Channel(
        id=CHANNEL,
        tenant=TENANT,
        phone_number_id="1",
        waba_id="2",
        display_phone="+56 9",
        portfolio_id="3",
    )
    await add_channel(database, box, channel, token="")
    return database


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
def lanes(wire: Wire) -> Lanes:
    return Lanes(wire, shards=SHARDS, clock=Clock())


@pytest.fixture
def journal(lanes: Lanes, firms: Database) -> Journal:
    return Journal(lanes, firms)


@pytest.fixture
async def eyes(clean_postgres: PostgresUrls) -> AsyncIterator["Eyes"]:
    connection = await asyncpg.connect(clean_postgres.app.replace("smarterbot_app@", "postgres@"))
    yield Eyes(connection)
    await connection.close()


class Eyes:
    """Sees the rows of every tenant."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await self._connection.fetch(sql)]

    async def everything(self) -> dict[str, list[tuple[object, ...]]]:
        tables = await self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'smarterbot'")
        return {
            str(table): await self.rows(f"SELECT x::text FROM smarterbot.{table} x ORDER BY 1")
            for (table,) in tables
        }


async def write(wire: Wire, *records: Record, shard: int = 0) -> None:
    await write_raw(wire, *(msgspec.json.encode(record) for record in records), shard=shard)


async def write_raw(wire: Wire, *lines: bytes, shard: int = 0) -> None:
    await wire.call("RPUSH", f"{PREFIX}journal:{{{shard}}}", *lines)


async def left(lanes: Lanes) -> int:
    return (await lanes.depths()).journal


async def test_a_turn_becomes_rows(wire: Wire, journal: Journal, eyes: Eyes, lanes: Lanes) -> None:
    await write(wire, TURN)

    drained = await journal.drain_once()

    assert (drained, await left(lanes)) == (1, 0)
    assert await eyes.rows("SELECT id::text, name FROM smarterbot.contacts") == [(CONTACT, "Rosa")]
    assert await eyes.rows(
        "SELECT kind, scope, value, contact_id::text, valid_to FROM smarterbot.contact_addresses ORDER BY 1"
    ) == [("bsuid", "3", "CL.1", CONTACT, None), ("phone", "", "56961234567", CONTACT, None)]
    assert await eyes.rows(
        "SELECT id::text, turn, state, last_in FROM smarterbot.conversations"
    ) == [(CONVERSATION, 1, "customer.menu", AT)]
    assert await eyes.rows("SELECT turn, state, handoff, failed FROM smarterbot.turns") == [
        (1, "customer.menu", "ventas", "")
    ]
    assert await eyes.rows(
        "SELECT ref, direction, kind, content ->> 'text', content ->> 'body', wamid FROM smarterbot.messages ORDER BY direction"
    ) == [
        ("wamid.in1", "in", "text", "hola", None, "wamid.in1"),
        (f"{CONVERSATION}-1", "out", "text", None, "¡Hola! ¿Qué necesitas?", None),
    ]
    assert await eyes.rows("SELECT purpose, granted, evidence FROM smarterbot.consents") == [
        ("marketing", True, "wamid.in1")
    ]


async def test_the_rest_of_the_story_becomes_rows(wire: Wire, journal: Journal, eyes: Eyes) -> None:
    await write(wire, *STORY)

    await journal.drain_once()

    assert await eyes.rows(
        "SELECT wamid, status FROM smarterbot.messages WHERE direction = 'out'"
    ) == [("wamid.out1", 3)]
    assert await eyes.rows(
        "SELECT status, category, price_type FROM smarterbot.message_statuses ORDER BY rank"
    ) == [("delivered", "service", "regular"), ("read", "", "")]
    assert await eyes.rows("SELECT ref, fault, code FROM smarterbot.refusals") == [
        (f"{CONVERSATION}-1", "window_closed", 131047)
    ]
    assert await eyes.rows(
        "SELECT conversation_id::text, seq, note, about FROM smarterbot.handoffs"
    ) == [(CONVERSATION, 3, "quiere factura", "data.correct")]


async def test_a_line_written_again_changes_nothing(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    await write(wire, *STORY)
    await journal.drain_once()
    once = await eyes.everything()

    await write(wire, *STORY)
    await journal.drain_once()

    assert await eyes.everything() == once


async def test_several_writers_at_once_write_once(
    wire: Wire, journal: Journal, eyes: Eyes, lanes: Lanes, firms: Database
) -> None:
    await write(wire, *STORY)
    await journal.drain_once()
    once = await eyes.everything()
    for shard in range(SHARDS):
        await write(wire, *STORY, shard=shard)

    await asyncio.gather(*(flushed(Journal(lanes, firms, lines_max=2)) for _ in range(4)))

    assert await left(lanes) == 0
    assert await eyes.everything() == once


async def flushed(journal: Journal) -> None:
    """Until nothing is left; writers that get in each other's way try again, as `run` does."""
    while not await journal.flush(wait_s=10):
        pass


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(
            (TURN, SENT, StatusRecord((DELIVERED,)), StatusRecord((READ,))), id="as-it-happened"
        ),
        pytest.param(
            (TURN, StatusRecord((READ,)), StatusRecord((DELIVERED,)), SENT), id="statuses-first"
        ),
        pytest.param((TURN, StatusRecord((READ, DELIVERED)), SENT), id="read-before-delivered"),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "line-by-line"])
async def test_statuses_count_in_any_order(
    wire: Wire, journal: Journal, eyes: Eyes, order: Sequence[Record], together: bool
) -> None:
    for record in order:
        await write(wire, record)
        if not together:
            await journal.drain_once()

    await journal.drain_once()

    assert await eyes.rows(
        "SELECT wamid, status FROM smarterbot.messages WHERE direction = 'out'"
    ) == [("wamid.out1", 3)]


async def test_an_older_turn_does_not_turn_the_conversation_back(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    later = replace(TURN, turn=2, heard=(), said=(), consents=(), state="")
    await write(wire, later)
    await journal.drain_once()

    await write(wire, TURN)
    await journal.drain_once()

    assert await eyes.rows("SELECT turn, state FROM smarterbot.conversations") == [(2, "")]
    assert await eyes.rows("SELECT count(*) FROM smarterbot.turns") == [(2,)]


async def test_a_phone_that_changes_hands_keeps_its_history(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    phone = Sender(wa_id="56961234567")
    first = replace(TURN, sender=phone)
    second = replace(
        TURN,
        sender=phone,
        contact=OTHER_CONTACT,
        conversation=OTHER_CONVERSATION,
        at=TURN.at + 5000,
        heard=(),
        said=(),
    )
    for record in (first, second, first):  # the last one comes again after a crash
        await write(wire, record)
        await journal.drain_once()

    found = await eyes.rows(
        "SELECT contact_id::text, valid_to IS NULL FROM smarterbot.contact_addresses ORDER BY valid_from"
    )

    assert found == [(CONTACT, False), (OTHER_CONTACT, True)]


async def test_a_phone_that_comes_back_within_one_batch_is_known_of_both(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    phone = Sender(wa_id="56961234567")
    hers = replace(TURN, sender=phone)
    his = replace(
        hers, contact=OTHER_CONTACT, conversation=OTHER_CONVERSATION, at=TURN.at + 5000, heard=()
    )
    hers_again = replace(hers, turn=2, at=TURN.at + 9000, heard=(), said=())
    await write(wire, hers, replace(his, said=()), hers_again)

    await journal.drain_once()

    assert await eyes.rows(
        "SELECT contact_id::text, valid_to IS NULL FROM smarterbot.contact_addresses ORDER BY valid_from"
    ) == [(CONTACT, False), (OTHER_CONTACT, False), (CONTACT, True)]


async def test_writing_reads_the_people_who_wrote_and_nobody_else(firms: Database) -> None:
    def people(count: int, turn: int) -> list[TurnRecord]:
        return [
            replace(
                TURN,
                turn=turn,
                contact=ContactId(f"aaaaaaaa-0000-4000-8000-{n:012}"),
                conversation=ConversationId(f"cccccccc-0000-4000-8000-{n:012}"),
                sender=Sender(wa_id=f"569{n:08}", name="Rosa"),
                heard=(Heard(id=Wamid(f"wamid.{turn}.{n}"), at=AT_S, kind="text", text="hola"),),
                said=(),
                consents=(),
            )
            for n in range(count)
        ]

    async def rows_read(connection: Connection) -> dict[str, int]:
        rows = await connection.fetch(
            """
            SELECT relname AS name, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows
            FROM pg_stat_xact_user_tables WHERE relname IN ('contacts', 'contact_addresses', 'conversations')
            """
        )
        return {row["name"]: row["rows"] for row in rows}

    async with firms.tenant(TENANT) as connection:
        await write_entries(connection, TENANT, people(400, turn=1))
        before = await rows_read(connection)
        await write_entries(connection, TENANT, people(40, turn=2))
        after = await rows_read(connection)
    read = {table: after[table] - before[table] for table in after}
    assert len(read) == 3
    assert all(rows <= 5 * 40 for rows in read.values()), read


async def test_an_older_turn_does_not_bring_an_old_name_back(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    renamed = replace(
        TURN, turn=2, at=TURN.at + 5000, sender=Sender(bsuid="CL.1", name="Rosa María"), said=()
    )
    for record in (renamed, TURN):
        await write(wire, record)
        await journal.drain_once()

    assert await eyes.rows("SELECT name, created_at FROM smarterbot.contacts") == [
        ("Rosa María", datetime.fromtimestamp(TURN.at / 1000, UTC))
    ]


async def test_a_message_that_was_set_aside_still_counts_as_the_last_one(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    message = replace(TURN.heard[0], id=Wamid("wamid.in2"), at=AT_S + 60)
    for record in (TURN, replace(TURN, turn=-1, heard=(message,), said=(), failed="tries")):
        await write(wire, record)
        await journal.drain_once()

    assert await eyes.rows("SELECT turn, last_in FROM smarterbot.conversations") == [
        (1, datetime.fromtimestamp(AT_S + 60, UTC))
    ]


async def test_signs_that_postgresql_cannot_keep_are_replaced(
    wire: Wire, journal: Journal, eyes: Eyes
) -> None:
    odd = Heard(id=Wamid("wamid.in1"), at=AT_S, kind="text", text="a\0b \\u0000 ñ")
    await write(wire, replace(TURN, sender=Sender(wa_id="1", name="Ro\0sa"), heard=(odd,)))

    await journal.drain_once()

    assert await eyes.rows(
        "SELECT content ->> 'text' FROM smarterbot.messages WHERE direction = 'in'"
    ) == [("a\N{REPLACEMENT CHARACTER}b \\u0000 ñ",)]
    assert await eyes.rows("SELECT name FROM smarterbot.contacts") == [
        ("Ro\N{REPLACEMENT CHARACTER}sa",)
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"{", "DecodeError", id="no-json"),
        pytest.param(b'{"type":"turn"}', "ValidationError", id="no-record"),
        pytest.param(
            msgspec.json.encode(replace(TURN, tenant=TenantId("00000000-0000-4000-8000-000000000000"))),
            "23503",
            id="no-such-tenant",
        ),
        pytest.param(
            msgspec.json.encode(replace(TURN, tenant=OTHER_TENANT)), "23503", id="another-tenant-s-channel"
        ),
        pytest.param(
            msgspec.json.encode(replace(TURN, contact=ContactId("nobody"))), "22000", id="an-id-that-is-none"
        ),
        pytest.param(msgspec.json.encode(replace(TURN, tenant=TenantId("x"))), "ValueError", id="a-tenant-that-is-none"),
        pytest.param(msgspec.json.encode(replace(TURN, at=10**18)), "ValueError", id="a-time-that-is-none"),
        pytest.param(msgspec.json.encode(replace(TURN, turn=2**70)), "22000", id="a-number-too-big"),
    ],
)  # fmt: skip
async def test_a_line_that_cannot_be_written_is_put_aside_and_the_rest_goes_on(
    wire: Wire, journal: Journal, eyes: Eyes, lanes: Lanes, line: bytes, reason: str
) -> None:
    good = [
        replace(
            TURN,
            turn=n,
            heard=(),
            said=(Said(ref=f"{CONVERSATION}-{n}", content=Text("x")),),
            consents=(),
        )
        for n in range(10, 17)
    ]
    await write(wire, *good[:3])
    await write_raw(wire, line)
    await write(wire, *good[3:])

    await journal.drain_once()

    assert await left(lanes) == 0
    assert await eyes.rows("SELECT reason, line, shard FROM smarterbot.journal_rejects") == [
        (reason, line, 0)
    ]
    assert await eyes.rows("SELECT count(*) FROM smarterbot.turns") == [(7,)]


async def test_a_line_put_aside_is_put_aside_once(wire: Wire, journal: Journal, eyes: Eyes) -> None:
    for _ in range(2):
        await write_raw(wire, b"{")
        await journal.drain_once()

    assert await eyes.rows("SELECT count(*) FROM smarterbot.journal_rejects") == [(1,)]


async def test_while_postgresql_is_down_the_lines_wait(wire: Wire, lanes: Lanes) -> None:
    await write(wire, *STORY)

    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as away:
        journal = Journal(lanes, away)
        with pytest.raises(UNAVAILABLE):
            await journal.drain_once()
        flushed = await journal.flush(wait_s=5)

    assert not flushed
    assert await left(lanes) == len(STORY)


async def test_a_role_that_is_refused_puts_nothing_aside(
    wire: Wire, lanes: Lanes, clean_postgres: PostgresUrls
) -> None:
    await write(wire, *STORY)

    async with Database.open(clean_postgres.owner) as owner:
        with pytest.raises(RoleError):
            await Journal(lanes, owner).drain_once()

    assert await left(lanes) == len(STORY)


async def test_a_flush_writes_more_than_one_reading(
    wire: Wire, lanes: Lanes, firms: Database, eyes: Eyes
) -> None:
    for turn in range(1, 8):
        await write(wire, replace(TURN, turn=turn, heard=(), said=(), consents=()))

    flushed = await Journal(lanes, firms, lines_max=2).flush(wait_s=10)

    assert (flushed, await left(lanes)) == (True, 0)
    assert await eyes.rows("SELECT count(*) FROM smarterbot.turns") == [(7,)]


class EnoughError(Exception):
    """The test has seen what it wanted."""


async def test_an_outage_is_waited_for_longer_and_longer(lanes: Lanes, wire: Wire) -> None:
    await write(wire, TURN)
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 7:
            raise EnoughError

    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as away:
        with pytest.raises(EnoughError):
            await Journal(lanes, away, sleep=sleep, jitter=lambda: 0.5).run(
                Rota(wire, "journal"), PART
            )

    assert waits == [2, 4, 8, 16, BACKOFF_MAX_S, BACKOFF_MAX_S, BACKOFF_MAX_S]


async def test_after_an_outage_it_goes_on_at_its_pace(
    lanes: Lanes, wire: Wire, firms: Database
) -> None:
    await write(wire, TURN)
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        await Journal(lanes, firms, sleep=sleep, jitter=lambda: 0.5).run(
            Rota(wire, "journal"), PART
        )

    assert waits == [PAUSE_S, PAUSE_S]
    assert await left(lanes) == 0


async def test_processes_take_turns(lanes: Lanes, wire: Wire, firms: Database) -> None:
    rota = Rota(wire, "journal")
    assert await rota.take()
    await write(wire, TURN)
    looks: list[int] = []

    async def sleep(_wait_s: float) -> None:
        looks.append(await left(lanes))
        if len(looks) == 2:
            raise EnoughError
        rota.pass_on(after_s=0)

    with pytest.raises(EnoughError):
        await Journal(lanes, firms, sleep=sleep).run(rota, PART)

    assert looks == [1, 0], "what another was about to write was left to it"
    assert not await rota.take(), "after a pass nobody writes for a while"


async def test_the_parts_together_are_all_shards(lanes: Lanes, wire: Wire, firms: Database) -> None:
    for shard in range(SHARDS):
        await write(wire, replace(TURN, turn=shard + 1, heard=(), said=()), shard=shard)

    async def sleep(_wait_s: float) -> None:
        raise EnoughError

    looks = []
    for part in range(PARTS):
        with pytest.raises(EnoughError):
            await Journal(lanes, firms, sleep=sleep).run(Rota(wire, f"journal-{part}"), part)
        looks.append(await left(lanes))

    assert looks == [SHARDS - (n + 1) * SHARDS // PARTS for n in range(PARTS)]
    assert looks[-1] == 0


async def test_whoever_cannot_write_lets_another_try(lanes: Lanes, wire: Wire) -> None:
    async def sleep(_wait_s: float) -> None:
        raise EnoughError

    rota = Rota(wire, "journal")
    await write(wire, TURN)
    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as away:
        with pytest.raises(EnoughError):
            await Journal(lanes, away, sleep=sleep).run(rota, PART)

    assert await rota.take()


async def test_a_store_that_is_away_is_told_as_such(clean_valkey: str, firms: Database) -> None:
    wire = await Wire.open(clean_valkey)
    await wire.close()

    with pytest.raises(StoreLostError):
        await Journal(Lanes(wire, shards=SHARDS, clock=Clock()), firms).drain_once()


# ------------------------------------------------------------------ what people change afterwards


def corrects(text: str | None, *, turn: int, at: int) -> TurnRecord:
    told = Correction(about=Wamid("wamid.in1"), at=at, text=text)
    return replace(
        TURN, turn=turn, heard=(), said=(), consents=(), handoff=None, corrections=(told,)
    )


@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "one-by-one"])
async def test_a_message_says_what_it_said_last(
    journal: Journal, wire: Wire, eyes: Eyes, *, together: bool
) -> None:
    later = corrects("torta", turn=2, at=AT_S + 20)
    earlier = corrects("queque", turn=3, at=AT_S + 10)
    for record in (TURN, later, earlier):
        await write(wire, record)
        if not together:
            await journal.drain_once()
    await journal.drain_once()

    [(content,)] = await eyes.rows(
        "SELECT content::text FROM smarterbot.messages WHERE direction = 'in'"
    )
    heard = msgspec.json.decode(str(content), type=Heard)
    assert (heard.text, heard.changed) == ("torta", "edited")


async def test_a_message_that_was_taken_back_says_nothing_whatever_comes_later(
    journal: Journal, wire: Wire, eyes: Eyes
) -> None:
    for record in (
        TURN,
        corrects(None, turn=2, at=AT_S + 10),
        corrects("torta", turn=3, at=AT_S + 20),
    ):
        await write(wire, record)
    await journal.drain_once()

    [(content,)] = await eyes.rows(
        "SELECT content::text FROM smarterbot.messages WHERE direction = 'in'"
    )
    heard = msgspec.json.decode(str(content), type=Heard)
    assert (heard.id, heard.text, heard.changed) == ("wamid.in1", "", "revoked")


async def test_what_was_said_is_not_changed_by_a_correction(
    journal: Journal, wire: Wire, eyes: Eyes
) -> None:
    of_ours = replace(
        corrects(None, turn=2, at=AT_S + 10),
        corrections=(Correction(about=SENT.wamid, at=AT_S + 10),),
    )
    for record in (TURN, SENT, of_ours):
        await write(wire, record)
    await journal.drain_once()

    [(content,)] = await eyes.rows(
        "SELECT content::text FROM smarterbot.messages WHERE direction = 'out'"
    )
    assert "¡Hola!" in str(content)


async def test_what_the_owner_wrote_by_hand_is_an_outgoing_message(
    journal: Journal, wire: Wire, eyes: Eyes
) -> None:
    by_hand = Heard(id=Wamid("wamid.echo"), at=AT_S, kind="text", text="Hola, soy Sol")
    await write(wire, replace(TURN, heard=(), said=(), by_hand=(by_hand,)))
    await journal.drain_once()

    rows = await eyes.rows("SELECT direction, kind, wamid FROM smarterbot.messages")
    assert rows == [("out", "text", "wamid.echo")]


async def test_who_left_has_no_address_and_what_they_proved_is_void(
    journal: Journal, wire: Wire, eyes: Eyes
) -> None:
    moved = MovedRecord(
        tenant=TENANT,
        contact=CONTACT,
        conversation=CONVERSATION,
        at=AT_S * 1000,
        why="number",
        closed=True,
    )
    for record in (TURN, moved, moved):
        await write(wire, record)
    await journal.drain_once()
    await write(wire, moved)
    await journal.drain_once()

    assert await eyes.rows("SELECT state FROM smarterbot.conversations") == [("",)]
    ended = await eyes.rows("SELECT valid_to >= valid_from FROM smarterbot.contact_addresses")
    assert ended == [(True,), (True,)]
    assert await eyes.rows("SELECT at, why FROM smarterbot.proofs_voided") == [(AT, "number")]


async def test_two_contacts_that_proved_to_be_one_are_kept_and_linked(
    journal: Journal, wire: Wire, eyes: Eyes
) -> None:
    joined = JoinedRecord(tenant=TENANT, contact=CONTACT, into=OTHER_CONTACT, at=AT_S * 1000)
    for record in (TURN, joined, joined):
        await write(wire, record)
    await journal.drain_once()

    rows = await eyes.rows("SELECT joined_into::text, joined_at FROM smarterbot.contacts")
    assert rows == [(OTHER_CONTACT, AT)]
