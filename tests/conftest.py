"""Real stores for every test, and no network beyond this machine.

`valkey_url` and `postgres` are shared by the tests of one worker; ask for `clean_valkey`, `clean_postgres` or `database`
to find them empty.
"""

import asyncio
import ipaddress
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest
import redis
import uvloop

from bot.embedded.postgres import PostgresUrls, running_postgres
from bot.embedded.valkey import running_valkey
from bot.store.database import Database
from bot.store.migrate import migrate
from tests.pooler import MISSING, pgbouncer, running_pgbouncer

# What the disk does when the power fails is not what our tests are about.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class NetworkRefusedError(Exception):
    """A test reached for something beyond this machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="also run the long tests")
    parser.addoption(
        "--pooler", action="store_true", help="reach PostgreSQL through PgBouncer, as on Supabase"
    )
    parser.addoption(
        "--crash-seed", type=int, help="which points to kill at, as a failed test told"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--pooler"):
        if pgbouncer() is None:
            pytest.exit(f"skipped: {MISSING}", returncode=0)
        # What DB_STATEMENT_CACHE=0 says to a server.
        unwrapped = Database.open.__func__.__wrapped__  # type: ignore[attr-defined]  # of the two decorators
        unwrapped.__kwdefaults__["statement_cache"] = 0
    config.addinivalue_line("markers", "nightly: long; runs with --nightly only")
    config.addinivalue_line("markers", "both_loops: runs on asyncio's loop and on uvloop's")
    sys.addaudithook(_refuse_network)


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("both_loops"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--nightly"):
        long = [item for item in items if item.get_closest_marker("nightly")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def stores_folder() -> Iterator[Path]:
    """A short path of this worker alone: a socket's path has little room."""
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey_url(stores_folder: Path) -> Iterator[str]:
    """URL of an embedded Valkey."""
    with running_valkey(stores_folder, appendfsync="everysec") as url:
        yield url


@pytest.fixture(scope="session")
def postgres(stores_folder: Path, pytestconfig: pytest.Config) -> Iterator[PostgresUrls]:
    """An embedded PostgreSQL with all migrations applied; with `--pooler` the app's role reaches it through PgBouncer."""
    with ExitStack() as stack:
        urls = stack.enter_context(running_postgres(stores_folder, options=FAST))
        _finish(migrate(owner_url=urls.owner, app_url=urls.app))
        if pytestconfig.getoption("--pooler"):
            pooled = stack.enter_context(running_pgbouncer(stores_folder, urls))
            urls = PostgresUrls(owner=urls.owner, app=pooled.transactions)
        yield urls


@pytest.fixture
def clean_valkey(valkey_url: str) -> str:
    """URL of the embedded Valkey, emptied."""
    with redis.Redis.from_url(valkey_url) as connection:
        connection.flushall()
    return valkey_url


@pytest.fixture
async def clean_postgres(postgres: PostgresUrls) -> PostgresUrls:
    """The embedded PostgreSQL, its tables emptied but for what the migrations put there."""
    await empty(postgres)
    return postgres


@pytest.fixture
async def database(clean_postgres: PostgresUrls) -> AsyncIterator[Database]:
    """The emptied database as the bot sees it."""
    async with Database.open(clean_postgres.app) as database:
        yield database


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on now."""
    return _free_port()


@pytest.fixture
def other_port() -> int:
    """A second one, of the same kind."""
    return _free_port()


async def empty(postgres: PostgresUrls) -> None:
    """Empty the tables, but for what the migrations put there."""
    connection = await asyncpg.connect(postgres.owner)
    try:
        await connection.execute(
            """
            DO $$ BEGIN EXECUTE (
              SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ') || ' CASCADE'
              FROM pg_tables
              WHERE schemaname = 'smarterbot' AND tablename NOT IN ('migrations', 'installation')
            ); END $$
            """
        )
    finally:
        await connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _finish(work: Coroutine[None, None, object]) -> None:
    """Run it in a thread of its own: the tests' event loop stays untouched."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def _refuse_network(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if isinstance(host, str) and not _is_here(host):
        raise NetworkRefusedError(f"{event} {host}: tests stay on this machine")


def _is_here(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in {"", "localhost", socket.gethostname()}
    return address.is_loopback or address.is_unspecified
