"""Behind a transaction pooler (PgBouncer, Supabase) everything goes on: each transaction may have another session."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from bot.embedded.postgres import PostgresUrls
from bot.embedded.stores import Stores
from bot.people.conversations import list_conversations
from bot.people.tenants import list_firms
from bot.store.database import Database
from bot.store.errors import RoleError
from bot.store.migrate import migrate
from flows.values.ids import TenantId
from tests.bot.store.test_database import BAKER, BUTCHER, insert_tenant
from tests.echo import echo_book
from tests.pooler import MISSING, POOL, Pooled, pgbouncer, running_pgbouncer
from tests.whole.conftest import whole_server
from tests.whole.people import until

pytestmark = pytest.mark.skipif(pgbouncer() is None, reason=MISSING)


@pytest.fixture(scope="module")
def pooled(stores_folder: Path, postgres: PostgresUrls) -> Iterator[Pooled]:
    with running_pgbouncer(stores_folder, postgres) as pooled:
        yield pooled


async def test_sessions_are_shared_indeed(pooled: Pooled, clean_postgres: PostgresUrls) -> None:
    async def session(database: Database) -> int:
        async with database.system() as connection:
            await connection.execute("SELECT pg_sleep(0.01)")
            pid: int = await connection.fetchval("SELECT pg_backend_pid()")
            return pid

    async with Database.open(pooled.transactions, statement_cache=0) as database:
        found = await asyncio.gather(*(session(database) for _ in range(40)))

    assert len(set(found)) == POOL


async def test_tenants_do_not_mix_when_many_share_few_sessions(
    pooled: Pooled, clean_postgres: PostgresUrls
) -> None:
    async def seen(database: Database, tenant: TenantId) -> set[str]:
        async with database.tenant(tenant) as connection:
            await connection.execute("SELECT pg_sleep(0.001)")
            rows = await connection.fetch("SELECT tenant_id FROM smarterbot.contacts")
            return {str(row["tenant_id"]) for row in rows}

    async with Database.open(pooled.transactions, statement_cache=0) as database:
        await insert_tenant(database, BAKER, "765432103")
        await insert_tenant(database, BUTCHER, "761234560")
        for tenant in (BAKER, BUTCHER):
            async with database.tenant(tenant) as connection:
                await connection.execute(
                    "INSERT INTO smarterbot.contacts (tenant_id, id, created_at) VALUES ($1, $2, now())",
                    tenant,
                    uuid4(),
                )
        found = await asyncio.gather(*(seen(database, tenant) for tenant in (BAKER, BUTCHER) * 50))
        async with database.system() as connection:
            left = await connection.fetchval("SELECT count(*) FROM smarterbot.contacts")

    assert found == [{BAKER}, {BUTCHER}] * 50
    assert left == 0


async def test_each_new_connection_is_asked_who_it_is_within_one_session(
    pooled: Pooled, clean_postgres: PostgresUrls
) -> None:
    """asyncpg parses and runs a query in two steps: outside of a transaction others may come between the two."""

    async def opens() -> None:
        async with (
            Database.open(pooled.transactions, statement_cache=0, connections=1) as database,
            database.system(),
        ):
            pass

    async def asks_something_else(database: Database) -> None:
        for n in range(30):
            async with database.system() as connection:
                assert await connection.fetchval("SELECT $1::int", n) == n

    async with Database.open(pooled.transactions, statement_cache=0) as database:
        await asyncio.gather(
            *(opens() for _ in range(60)), *(asks_something_else(database) for _ in range(10))
        )


async def test_the_owner_is_refused_behind_a_pooler_too(
    pooled: Pooled, clean_postgres: PostgresUrls
) -> None:
    async with Database.open(pooled.owner_transactions, statement_cache=0) as database:
        with pytest.raises(RoleError, match=r"smarterbot_owner owns the tables"):
            async with database.system():
                pass


@pytest.mark.parametrize("mode", ["owner_sessions", "owner_transactions"])
async def test_the_schema_is_brought_up_to_date_through_the_pooler(
    pooled: Pooled, clean_postgres: PostgresUrls, mode: str
) -> None:
    """Two at once, as two servers that start: the second waits and finds nothing to do."""
    owner = await asyncpg.connect(clean_postgres.owner)
    await owner.execute("DROP SCHEMA smarterbot CASCADE")
    await owner.close()

    applied = await asyncio.gather(
        *(migrate(owner_url=getattr(pooled, mode), app_url=pooled.transactions) for _ in range(2))
    )

    assert min(map(len, applied)) == 0
    assert max(map(len, applied)) > 0
    async with (
        Database.open(pooled.transactions, statement_cache=0) as database,
        database.system() as connection,
    ):
        assert await connection.fetchval("SELECT count(*) FROM smarterbot.installation") == 1


async def test_prepared_statements_are_what_db_statement_cache_0_avoids(
    pooled: Pooled, clean_postgres: PostgresUrls
) -> None:
    """The control: with a cache the same work stumbles, which is why the README asks for 0."""

    async def ask(database: Database) -> None:
        async with database.system() as connection:
            await connection.execute("SELECT pg_sleep(0.002)")
            await connection.fetch("SELECT count(*) FROM smarterbot.installation WHERE $1", True)

    async with Database.open(pooled.transactions, statement_cache=100) as database:
        found = await asyncio.gather(*(ask(database) for _ in range(100)), return_exceptions=True)

    stumbled = [each for each in found if each is not None]
    assert stumbled
    assert "prepared statement" in str(stumbled[0])


async def test_the_whole_server_answers_and_writes_its_journal_behind_a_pooler(
    pooled: Pooled,
    clean_valkey: str,
    clean_postgres: PostgresUrls,
    tmp_path: Path,
    free_port: int,
) -> None:
    stores = Stores(
        redis_url=clean_valkey,
        postgres=PostgresUrls(owner=pooled.owner_sessions, app=pooled.transactions),
    )
    async with whole_server(
        stores, tmp_path, free_port, book=echo_book(), statement_cache=0
    ) as whole:
        for person in range(1, 6):
            await whole.people.join(person)
        await asyncio.gather(*(whole.people.write(person, "hola") for person in range(1, 6)))

        async with Database.open(clean_postgres.app) as database:
            [firm] = await list_firms(database)

            async def written() -> bool:
                return len(await list_conversations(database, firm.id, most=9)) == 5

            await until(written, within_s=20, what="the journal")

        async def answered() -> bool:
            return whole.truth.taken >= 5

        await until(answered, within_s=20, what="the answers")
