"""Tenants are kept apart by PostgreSQL itself, whatever the query says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from bot.embedded.postgres import PostgresUrls
from bot.store.database import IDLE_WAIT_S, Database
from bot.store.errors import UNAVAILABLE, RoleError
from flows.values.ids import TenantId

BAKER = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
BUTCHER = TenantId("7d444840-9dc0-41d1-b245-5ffdce74fad2")

# Globally unique by nature: Meta gives a number to one business, the state a RUT to one firm.
# A person belongs to several of them, and is invited by several.
ACROSS_TENANTS = {
    *("channels_phone_number_id_key", "memberships_person", "tenants_pkey", "tenants_rut_key"),
    *("invitations_expiry", "invitations_phone", "join_requests_person", "signups_person"),
}
READ_BY_THE_DIRECTORY = ("alerts", "api_keys", "channel_health", "channels", "templates", "tenants")
MORE_POLICIES = {
    **{table: ["directory"] for table in READ_BY_THE_DIRECTORY},
    "identity_deliveries": ["person"],
    "invitations": ["directory"],
    "join_requests": ["person"],
    "memberships": ["person"],
    "signups": ["person"],
    "number_connections": ["person"],
}
POLICY = "({} = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS \"nullif\"))"


async def insert_tenant(database: Database, tenant: TenantId, rut: str) -> None:
    async with database.tenant(tenant) as connection:
        await connection.execute(
            "INSERT INTO smarterbot.tenants (id, name, rut) VALUES ($1, 'Uno', $2)", tenant, rut
        )


@pytest.fixture
async def two_tenants(database: Database) -> Database:
    await insert_tenant(database, BAKER, "765432103")
    await insert_tenant(database, BUTCHER, "761234560")
    for tenant in (BAKER, BUTCHER):
        async with database.tenant(tenant) as connection:
            await connection.execute(
                "INSERT INTO smarterbot.contacts (tenant_id, id, created_at) VALUES ($1, $2, now())",
                tenant,
                uuid4(),
            )
    return database


@pytest.fixture
async def owner(
    clean_postgres: PostgresUrls,
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(clean_postgres.owner)
    yield connection
    await connection.close()


async def test_every_table_of_tenants_has_forced_row_level_security(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    tables = await owner.fetch(
        """
        SELECT relname, relrowsecurity, relforcerowsecurity,
          CASE relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS key,
          (SELECT qual FROM pg_policies p
           WHERE p.schemaname = 'smarterbot' AND p.tablename = relname AND p.policyname = 'tenant'
             AND p.cmd = 'ALL' AND p.roles = '{public}' AND p.with_check IS NULL) AS policy,
          (SELECT array_agg(policyname ORDER BY policyname) FROM pg_policies p
           WHERE p.schemaname = 'smarterbot' AND p.tablename = relname) AS policies
        FROM pg_class
        WHERE relnamespace = 'smarterbot'::regnamespace AND relkind IN ('r', 'p')
          AND (relname = 'tenants' OR EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id'))
        """
    )

    assert len(tables) >= 14
    for table in tables:
        assert (table["relname"], table["relrowsecurity"], table["relforcerowsecurity"]) == (
            table["relname"],
            True,
            True,
        )
        assert table["policy"] == POLICY.format(table["key"])
        assert table["policies"] == [*MORE_POLICIES.get(table["relname"], []), "tenant"]


async def test_every_table_of_people_has_forced_row_level_security(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    tables = await owner.fetch(
        """
        SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,
          (SELECT qual FROM pg_policies p
           WHERE p.schemaname = 'smarterbot' AND p.tablename = relname AND p.policyname = 'person'
             AND p.roles = '{public}' AND p.with_check IS NULL) AS policy
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'ugid'
        WHERE relnamespace = 'smarterbot'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
        """
    )

    policy = POLICY.format("ugid").replace("app.tenant_id", "app.ugid")
    assert [tuple(table) for table in tables] == [
        (name, True, policy)
        for name in (
            "clerk_users", "identities", "identity_deliveries", "identity_outbox", "join_requests",
            "memberships", "number_connections", "people", "sessions", "user_auth",
        )
    ]  # fmt: skip


async def test_tables_without_tenants_are_these(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await owner.fetch(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'smarterbot'::regnamespace AND relkind IN ('r', 'p') AND NOT EXISTS (
          SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id')
        ORDER BY relname
        """
    )

    assert [row["relname"] for row in rows] == [
        "clerk_users",
        "identities",
        "identity_outbox",
        "installation",
        "journal_rejects",
        "migrations",
        "people",
        "sessions",
        "signing_keys",
        "tenants",
        "user_auth",
    ]


async def test_the_tenant_stands_first_in_every_index(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await owner.fetch(
        """
        SELECT index.relname AS index, first.attname AS first
        FROM pg_index
        JOIN pg_class index ON index.oid = indexrelid
        JOIN pg_attribute first ON first.attrelid = indrelid AND first.attnum = indkey[0]
        WHERE index.relnamespace = 'smarterbot'::regnamespace AND (
          indrelid = 'smarterbot.tenants'::regclass OR EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = indrelid AND attname = 'tenant_id'))
        """
    )

    assert {row["index"] for row in rows if row["first"] != "tenant_id"} == ACROSS_TENANTS


async def test_no_definer_s_function_can_be_called_by_everybody(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await owner.fetch(
        """
        SELECT proname, proconfig, EXISTS (
          SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0
        ) AS by_everybody
        FROM pg_proc WHERE pronamespace = 'smarterbot'::regnamespace AND prosecdef ORDER BY proname
        """
    )

    assert [tuple(row) for row in rows] == [
        ("clerk_user_is", ["search_path=pg_catalog, pg_temp"], False),
        ("clerk_user_told", ["search_path=pg_catalog, pg_temp"], False),
        ("clerk_users_forget", ["search_path=pg_catalog, pg_temp"], False),
        ("directory_alerts", ["search_path=pg_catalog, pg_temp"], False),
        ("directory_channels", ["search_path=pg_catalog, pg_temp"], False),
        ("directory_holds", ["search_path=pg_catalog, pg_temp"], False),
        ("directory_keys", ["search_path=pg_catalog, pg_temp"], False),
        ("directory_templates", ["search_path=pg_catalog, pg_temp"], False),
        ("directory_tenants", ["search_path=pg_catalog, pg_temp"], False),
        ("expire_invitations", ["search_path=pg_catalog, pg_temp"], False),
        ("forget_sessions", ["search_path=pg_catalog, pg_temp"], False),
        ("has_keys", ["search_path=pg_catalog, pg_temp"], False),
        ("identity_outbox_carried", ["search_path=pg_catalog, pg_temp"], False),
        ("identity_outbox_waiting", ["search_path=pg_catalog, pg_temp"], False),
        ("identity_person", ["search_path=pg_catalog, pg_temp"], False),
        ("identity_versions", ["search_path=pg_catalog, pg_temp"], False),
        ("invitations_for", ["search_path=pg_catalog, pg_temp"], False),
        ("tenant_of_rut", ["search_path=pg_catalog, pg_temp"], False),
    ]


async def test_a_tenant_sees_its_own_rows_alone(two_tenants: Database) -> None:
    async with two_tenants.tenant(BAKER) as connection:
        contacts = await connection.fetch("SELECT tenant_id FROM smarterbot.contacts")
        tenants = await connection.fetch("SELECT id FROM smarterbot.tenants")

    assert [str(row["tenant_id"]) for row in contacts] == [BAKER]
    assert [str(row["id"]) for row in tenants] == [BAKER]


async def test_a_tenant_cannot_touch_another_s_rows(two_tenants: Database) -> None:
    async with two_tenants.tenant(BAKER) as connection:
        updated = await connection.execute(
            "UPDATE smarterbot.contacts SET name = 'x' WHERE tenant_id = $1", BUTCHER
        )
        deleted = await connection.execute(
            "DELETE FROM smarterbot.contacts WHERE tenant_id = $1", BUTCHER
        )

    assert (updated, deleted) == ("UPDATE 0", "DELETE 0")


async def test_a_tenant_cannot_write_in_another_s_name(two_tenants: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with two_tenants.tenant(BAKER) as connection:
            await connection.execute(
                "INSERT INTO smarterbot.contacts (tenant_id, id, created_at) VALUES ($1, $2, now())",
                BUTCHER,
                uuid4(),
            )


async def test_without_a_tenant_nothing_is_seen_on_a_used_connection(
    clean_postgres: PostgresUrls, two_tenants: Database
) -> None:
    async with Database.open(clean_postgres.app, connections=1) as database:
        async with database.tenant(BAKER) as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            assert await connection.fetchval("SELECT count(*) FROM smarterbot.contacts") == 1

        async with database.system() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") == first
            assert await connection.fetchval("SELECT count(*) FROM smarterbot.contacts") == 0
            assert await connection.fetchval("SELECT count(*) FROM smarterbot.tenants") == 0


async def test_behind_a_pooler_the_next_one_inherits_no_tenant(
    clean_postgres: PostgresUrls, two_tenants: Database
) -> None:
    """A transaction pooler gives the session to somebody else after COMMIT, as it is."""

    async def no_reset(_: object) -> None:
        pass

    async with asyncpg.create_pool(
        clean_postgres.app, min_size=1, max_size=1, reset=no_reset, statement_cache_size=0
    ) as pool:
        database = Database(pool)
        async with database.tenant(BAKER) as connection:
            assert await connection.fetchval("SELECT count(*) FROM smarterbot.contacts") == 1

        async with database.system() as connection:
            assert await connection.fetchval("SELECT count(*) FROM smarterbot.contacts") == 0


async def test_a_failed_transaction_leaves_no_tenant_behind(
    clean_postgres: PostgresUrls, two_tenants: Database
) -> None:
    async with Database.open(clean_postgres.app, connections=1) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with database.tenant(BAKER) as connection:
                await connection.execute("SELECT 1 / 0")

        async with database.system() as connection:
            assert await connection.fetchval("SELECT count(*) FROM smarterbot.contacts") == 0


async def test_many_tenants_at_once_do_not_mix(
    clean_postgres: PostgresUrls, two_tenants: Database
) -> None:
    async def seen(tenant: TenantId) -> set[str]:
        async with database.tenant(tenant) as connection:
            rows = await connection.fetch("SELECT tenant_id FROM smarterbot.contacts")
            return {str(row["tenant_id"]) for row in rows}

    async with Database.open(clean_postgres.app, connections=2, statement_cache=0) as database:
        found = await asyncio.gather(*(seen(tenant) for tenant in (BAKER, BUTCHER) * 20))

    assert found == [{BAKER}, {BUTCHER}] * 20


@pytest.mark.parametrize("tenant", ["", "x", "6f9619ff'; DROP TABLE smarterbot.tenants; --"])
async def test_a_tenant_that_is_no_uuid_reaches_no_query(database: Database, tenant: str) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        async with database.tenant(TenantId(tenant)):
            pass


async def test_the_owner_is_refused_as_the_server_s_role(clean_postgres: PostgresUrls) -> None:
    async with Database.open(clean_postgres.owner) as database:
        with pytest.raises(RoleError, match=r"smarterbot_owner owns the tables.*CREATE ROLE"):
            async with database.system():
                pass


async def test_a_superuser_is_refused_as_the_server_s_role(clean_postgres: PostgresUrls) -> None:
    url = clean_postgres.app.replace("smarterbot_app@", "postgres@")

    async with Database.open(url) as database:
        with pytest.raises(RoleError, match="postgres is a superuser"):
            async with database.system():
                pass


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        pytest.param("CREATE ROLE suspect LOGIN BYPASSRLS", "may bypass", id="bypasses"),
        pytest.param(
            "CREATE ROLE suspect LOGIN IN ROLE smarterbot_owner", "member", id="member-of-owner"
        ),
    ],
)
async def test_a_role_that_could_see_more_is_refused(
    clean_postgres: PostgresUrls, make: str, fact: str
) -> None:
    superuser = await asyncpg.connect(clean_postgres.app.replace("smarterbot_app@", "postgres@"))
    await superuser.execute(make)

    async with Database.open(clean_postgres.app.replace("smarterbot_app@", "suspect@")) as database:
        with pytest.raises(RoleError, match=fact):
            async with database.system():
                pass

    await superuser.execute("DROP ROLE suspect")
    await superuser.close()


async def test_the_server_s_role_may_only_add_to_the_ledger_and_the_drawer(
    database: Database,
) -> None:
    for statement in (
        "UPDATE smarterbot.consents SET granted = true",
        "DELETE FROM smarterbot.consents",
        "SELECT FROM smarterbot.journal_rejects",
        "UPDATE smarterbot.installation SET pepper = ''",
        "DELETE FROM smarterbot.tenants",
        "CREATE TABLE smarterbot.mine ()",
        "ALTER TABLE smarterbot.contacts DISABLE ROW LEVEL SECURITY",
        "SELECT FROM smarterbot.migrations",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.tenant(BAKER) as connection:
                await connection.execute(statement)


async def test_a_database_that_is_away_is_told_as_such() -> None:
    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as database:
        with pytest.raises(UNAVAILABLE):
            async with database.system():
                pass


async def test_a_transaction_that_stands_still_is_ended_and_its_locks_with_it(
    database: Database,
) -> None:
    """A frozen process must not keep the others from writing; after the transaction the session is as it was."""
    ask = "SELECT current_setting('idle_in_transaction_session_timeout')"
    async with database.tenant(BAKER) as connection:
        assert await connection.fetchval(ask) == f"{IDLE_WAIT_S:.0f}s"
    async with database.system() as connection:
        assert await connection.fetchval(ask) == f"{IDLE_WAIT_S:.0f}s"

    async with database._pool.acquire() as session:
        assert await session.fetchval(ask) == "0"


async def test_a_server_that_says_farewell_to_a_new_connection_is_unavailable(
    stores_folder: Path,
) -> None:
    """A backend whose postmaster was killed tells it whenever it notices, also before we have asked for anything."""

    def told(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4) + body

    farewell = (
        b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        hello = told(b"R", bytes(4)) + told(b"S", b"server_version\x0016.0\0") + told(b"Z", b"I")
        writer.write(hello + told(b"E", farewell))
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_unix_server(serve, stores_folder / ".s.PGSQL.5432"),
        Database.open(f"postgresql://app@/db?host={stores_folder}") as database,
    ):
        with pytest.raises(UNAVAILABLE):
            async with database.system():
                pass
