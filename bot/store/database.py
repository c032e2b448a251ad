"""PostgreSQL, one tenant at a time.

Row-level security decides what a query sees. It holds only for a role that is neither superuser nor owner, so every
connection is asked who it is before it is used: also when the server comes back after we started without it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

import asyncpg

from bot.store.errors import RoleError
from flows.values.ids import TenantId, Ugid

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
"""What a query runs on, inside the transaction of one tenant."""

CONNECT_WAIT_S: Final = 5.0
COMMAND_WAIT_S: Final = 30.0
# A process that stands still in a transaction holds its locks, and the others, and their journals, would wait for it. So
# PostgreSQL ends it: between two statements, or in the middle of one whose rest does not come.
IDLE_WAIT_S: Final = 10.0
STATEMENT_WAIT_S: Final = (
    20.0  # less than COMMAND_WAIT_S: whoever waits for such a lock still gets it
)
CLOSE_WAIT_S: Final = 5.0
CONNECTIONS_MAX: Final = 10
STATEMENT_CACHE: Final = 100

_LIMIT: Final = f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_WAIT_S:.0f}s'"
_WHO_ARE_WE: Final = """
SELECT current_user AS name, rolsuper, rolbypassrls, EXISTS (
  SELECT FROM pg_catalog.pg_class
  WHERE relnamespace = pg_catalog.to_regnamespace('smarterbot') AND pg_catalog.pg_has_role(relowner, 'MEMBER')
) AS owns
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


class Database:
    """A pool of connections. Nothing connects before the first query."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        statement_cache: int = STATEMENT_CACHE,
        connections: int = CONNECTIONS_MAX,
    ) -> "AsyncIterator[Database]":
        """The database for as long as the block lasts.

        Args:
            url: of the app's role.
            statement_cache: prepared statements a connection keeps; 0 behind a transaction pooler (PgBouncer).
            connections: most connections at once.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=connections,
            timeout=CONNECT_WAIT_S,
            command_timeout=COMMAND_WAIT_S,
            statement_cache_size=statement_cache,
            init=_check_role,
        )
        try:
            yield cls(pool)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await pool.close()
            pool.terminate()

    @contextlib.asynccontextmanager
    async def tenant(self, tenant: TenantId) -> AsyncIterator[Connection]:
        """A transaction that sees and writes rows of this tenant alone.

        Raises:
            RoleError: row-level security would not hold.
            bot.store.errors.UNAVAILABLE: PostgreSQL cannot be reached now.
        """
        # Only a parsed UUID is put into the text.
        async with self._transaction(f"SET LOCAL app.tenant_id = '{UUID(tenant)}'") as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def person(self, ugid: Ugid) -> AsyncIterator[Connection]:
        """A transaction that sees and writes rows of this person alone, of all tables of people.

        Raises: as `tenant`.
        """
        async with self._transaction(f"SET LOCAL app.ugid = '{UUID(ugid)}'") as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def system(self) -> AsyncIterator[Connection]:
        """A transaction without a tenant: sees no tenant's rows, only what belongs to the installation.

        Raises: as `tenant`.
        """
        async with self._transaction() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _transaction(self, *settings: str) -> AsyncIterator[Connection]:
        async with (
            self._pool.acquire(timeout=CONNECT_WAIT_S) as connection,
            connection.transaction(),
        ):
            # LOCAL: a pooler gives the session to others after COMMIT.
            await connection.execute("; ".join((_LIMIT, *settings)))
            yield connection


async def _check_role(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    role = await connection.fetchrow(_WHO_ARE_WE)
    assert role is not None
    for fact, held in (
        ("is a superuser", role["rolsuper"]),
        ("may bypass row-level security", role["rolbypassrls"]),
        ("owns the tables, or is a member of the role that does", role["owns"]),
    ):
        if held:
            raise RoleError(
                f"DATABASE_URL: role {role['name']} {fact}, so tenants would not be kept apart. Name another role in "
                "it: CREATE ROLE smarterbot_app LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '…'; put the owner of the "
                "schema into DATABASE_OWNER_URL, and run `smarterbot migrate`, which grants the role what it needs"
            )
