"""PgBouncer in front of the embedded PostgreSQL, as Supabase's pooler is in front of its own.

Port 6543 there gives a session to somebody else after each transaction, 5432 keeps it for one client: here two databases.
"""

import contextlib
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from bot.embedded.postgres import APP, DATABASE, OWNER, PostgresUrls
from bot.embedded.process import Server, folder_lock, make_private, unprivileged_account

MISSING: Final = "PgBouncer is not installed: apt install pgbouncer"
PORT: Final = 6543
SESSIONS: Final = f"{DATABASE}_sessions"
USERS: Final = (APP, OWNER, "postgres")
POOL: Final = 2
"""Sessions for each user: fewer than our connections, so that they must be shared."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """How to reach the database through the pooler."""

    transactions: str
    """As the app's role; another session for each transaction."""
    owner_sessions: str
    """As the owner; one session as long as the connection lasts."""
    owner_transactions: str


def pgbouncer() -> str | None:
    """Where the program is, if it is installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def running_pgbouncer(folder: Path, postgres: PostgresUrls) -> Iterator[Pooled]:
    """Run one until the end of the block. From the main thread only; `pgbouncer()` must have found it."""
    program = pgbouncer()
    assert program, MISSING
    account = unprivileged_account()  # it refuses root, as PostgreSQL does
    home = make_private(folder / "pooler", account)
    [host] = parse_qs(urlsplit(postgres.app).query)["host"]
    users = home / "users.txt"
    users.write_text("".join(f'"{name}" ""\n' for name in USERS))
    config = home / "pgbouncer.ini"
    config.write_text(
        f"""
        [databases]
        {DATABASE} = host={host} dbname={DATABASE}
        {SESSIONS} = host={host} dbname={DATABASE} pool_mode=session
        * = host={host}
        [pgbouncer]
        pool_mode = transaction
        default_pool_size = {POOL}
        max_client_conn = 200
        unix_socket_dir = {home}
        unix_socket_mode = 0700
        listen_port = {PORT}
        auth_type = trust
        auth_file = {users}
        """.replace("\n        ", "\n")
    )
    if account.uid is not None:
        for file in (users, config):
            shutil.chown(file, account.uid)
    with folder_lock(home) as lock:
        server = Server(
            (program, str(config)),
            name="PgBouncer",
            log=home / "log",
            lock=lock,
            stop_signal=signal.SIGTERM,  # at once: SIGINT waits for everybody to leave
            account=account,
        )
        try:
            server.wait_ready(lambda: _listens(home / f".s.PGSQL.{PORT}"))
            at = f"?host={quote(str(home), safe='/')}&port={PORT}"
            yield Pooled(
                transactions=f"postgresql://{APP}@/{DATABASE}{at}",
                owner_sessions=f"postgresql://{OWNER}@/{SESSIONS}{at}",
                owner_transactions=f"postgresql://{OWNER}@/{DATABASE}{at}",
            )
        finally:
            server.stop()


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
    except OSError:
        return False
    return True
