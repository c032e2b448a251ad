"""The meter: one message costs once, in whatever order and however often it is told."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.billing.meter import Fare, fares_of, write_fares
from bot.embedded.postgres import PostgresUrls
from bot.engine.journal import write_entries
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.migrate import MIGRATIONS
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, ItemId, TenantId, Wamid
from flows.values.rut import Rut
from handlers.journal import SentRecord, StatusSeen

TENANT = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
CHANNEL = ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")
WAMID = Wamid("wamid.1")
AT_S = 1_795_000_000

SENT = SentRecord(
    tenant=TENANT,
    ref="c-1",
    item=ItemId("wa/c:1-0"),
    wamid=WAMID,
    at=AT_S * 1000 - 500,
    channel=CHANNEL,
    category="utility",
    country="CL",
)
TOLD_SENT = StatusSeen(
    tenant=TENANT,
    wamid=WAMID,
    status="sent",
    at=AT_S,
    category="utility",
    price_type="regular",
    channel=CHANNEL,
    country="CL",
)
DELIVERED = replace(TOLD_SENT, status="delivered", at=AT_S + 2, category="marketing")
READ = replace(TOLD_SENT, status="read", at=AT_S + 9, category="", price_type="")
FAILED = replace(READ, status="failed", at=AT_S + 1, code=131026)
STORY: tuple[SentRecord | StatusSeen, ...] = (SENT, TOLD_SENT, DELIVERED, READ)


def fare(*told: SentRecord | StatusSeen) -> Fare:
    [one] = _fares(told)
    return one


def _fares(told: Sequence[SentRecord | StatusSeen]) -> list[Fare]:
    return fares_of(
        [record for record in told if isinstance(record, SentRecord)],
        [status for status in told if isinstance(status, StatusSeen)],
    )


def test_the_price_is_that_of_the_furthest_status() -> None:
    assert fare(*STORY).price == (2, "marketing", "regular")


def test_a_message_arrives_when_it_is_delivered_and_not_when_it_is_read() -> None:
    assert fare(*STORY).arrived_at == DELIVERED.at * 1000


def test_reading_proves_an_arrival_that_was_never_told() -> None:
    assert fare(TOLD_SENT, READ).arrived_at == READ.at * 1000


def test_what_failed_never_arrives() -> None:
    found = fare(SENT, TOLD_SENT, FAILED)

    assert found.failed
    assert found.arrived_at > AT_S * 2000


def test_until_a_status_tells_it_is_our_estimate() -> None:
    assert fare(SENT).price == (0, "utility", "")
    assert fare(SENT, TOLD_SENT).price == (1, "utility", "regular")


MOMENTS = st.integers(AT_S, AT_S + 5)
STATUSES = st.builds(
    StatusSeen,
    tenant=st.just(TENANT),
    wamid=st.sampled_from([Wamid("wamid.1"), Wamid("wamid.2"), Wamid("wamid.3")]),
    status=st.sampled_from(["sent", "delivered", "read", "played", "failed"]),
    at=MOMENTS,
    category=st.sampled_from(["", "service", "utility", "ñandú", "Z", "a"]),
    price_type=st.sampled_from(["", "regular", "free_customer_service", "free_entry_point"]),
    channel=st.sampled_from([ChannelId(""), CHANNEL]),
    country=st.sampled_from(["", "CL", "AR"]),
)
SENDS = st.builds(
    SentRecord,
    tenant=st.just(TENANT),
    ref=st.sampled_from(["c-1", "c-2"]),
    item=st.just(ItemId("wa/c:1-0")),
    wamid=st.sampled_from([Wamid("wamid.1"), Wamid("wamid.2")]),
    at=MOMENTS.map(lambda at: at * 1000 + 123),
    channel=st.sampled_from([ChannelId(""), CHANNEL]),
    category=st.sampled_from(["", "service", "utility"]),
    country=st.sampled_from(["", "CL"]),
)
TOLD = st.one_of(STATUSES, SENDS)


@given(st.lists(TOLD, max_size=12), st.data())
def test_order_and_repetition_change_nothing(
    told: list[SentRecord | StatusSeen], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(told), max_size=6)) if told else []

    assert _fares(data.draw(st.permutations(told + again))) == _fares(told)


@given(st.lists(TOLD, max_size=12), st.integers(0, 12))
def test_halves_join_to_the_whole(told: list[SentRecord | StatusSeen], middle: int) -> None:
    whole = {one.wamid: one for one in _fares(told)}
    joined: dict[Wamid, Fare] = {}
    for one in (*_fares(told[middle:]), *_fares(told[:middle])):
        joined[one.wamid] = joined[one.wamid].joined(one) if one.wamid in joined else one

    assert joined == whole


# ------------------------------------------------------------------ in PostgreSQL


@pytest.fixture
async def firm(database: Database) -> Database:
    await add_tenant(database, Firm(id=TENANT, name="Panadería Sol"), rut=Rut("765432103"))
    return database


async def written(database: Database) -> list[tuple[object, ...]]:
    async with database.tenant(TENANT) as connection:
        rows = await connection.fetch(
            """
            SELECT wamid, channel_id, country, told, category, price_type, first_at, arrived_at, failed, at
            FROM smarterbot.message_fares ORDER BY wamid
            """
        )
    return [tuple(row) for row in rows]


async def write(database: Database, told: Sequence[SentRecord | StatusSeen]) -> None:
    async with database.tenant(TENANT) as connection:
        await write_fares(connection, TENANT, _fares(told))


@pytest.mark.parametrize("order", list(permutations(STORY)), ids=lambda order: "-".join(
    getattr(told, "status", "answer") for told in order
))  # fmt: skip
async def test_the_journal_makes_one_row_of_any_order(
    firm: Database, order: tuple[SentRecord | StatusSeen, ...]
) -> None:
    for told in (*order, order[0], order[-1]):
        async with firm.tenant(TENANT) as connection:
            await write_entries(connection, TENANT, [told])

    [row] = await written(firm)
    assert row[2:6] == ("CL", 2, "marketing", "regular")
    assert row[-1] == row[7]
    assert not row[8]


@given(st.lists(st.lists(TOLD, max_size=4), max_size=5))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_the_store_joins_as_we_do(
    firm: Database, batches: list[list[SentRecord | StatusSeen]]
) -> None:
    """Batch by batch in PostgreSQL, and all at once here."""
    async with firm.tenant(TENANT) as connection:
        await connection.execute("DELETE FROM smarterbot.message_fares")
    for batch in batches:
        await write(firm, batch)
    joined = await written(firm)

    async with firm.tenant(TENANT) as connection:
        await connection.execute("DELETE FROM smarterbot.message_fares")
    await write(firm, [told for batch in batches for told in batch])
    assert await written(firm) == joined


async def test_what_was_told_before_there_was_a_meter_is_counted(
    firm: Database, clean_postgres: PostgresUrls
) -> None:
    """The migration, over statuses that an older version has written."""
    for told in STORY:
        async with firm.tenant(TENANT) as connection:
            await write_entries(connection, TENANT, [told])
    [migration] = MIGRATIONS.glob("*_money.sql")
    owner = await asyncpg.connect(clean_postgres.owner)
    try:
        async with owner.transaction():
            await owner.execute("DROP TABLE smarterbot.message_fares")
            await owner.execute(
                "CREATE INDEX message_statuses_bill ON smarterbot.message_statuses (tenant_id, at)"
            )
            await owner.execute(migration.read_text())
            await owner.execute(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON smarterbot.message_fares TO smarterbot_app"
            )
    finally:
        await owner.close()

    [row] = await written(firm)
    assert row[3:6] == (2, "marketing", "regular")
    assert row[7] == datetime.fromtimestamp(DELIVERED.at, UTC)
