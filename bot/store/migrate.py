"""Brings the schema up to date: numbered SQL files, each applied once, all or nothing."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg
from msgspec import Struct

from bot.store.database import CONNECT_WAIT_S
from bot.store.errors import MigrationError

MIGRATIONS: Final = Path(__file__).parent / "migrations"
GRANTS: Final = "grants.sql"
LOCK_NUMBER: Final = 0x534D4152  # any number that nobody else takes; "SMAR"
MIGRATION_WAIT_S: Final = 600.0


class Migration(Struct, frozen=True):
    """One file."""

    number: int
    name: str
    """File name."""
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The files `0001_….sql`, `0002_….sql` … of a folder, in order.

    Raises:
        MigrationError: a number is missing or there twice.
    """
    files = sorted(folder.glob("[0-9]*.sql"))
    for expected, file in enumerate(files, start=1):
        if not file.name.startswith(f"{expected:04}_"):
            raise MigrationError(f"{file.name}: {expected:04}_….sql was expected in its place")
    return [
        Migration(number=number, name=file.name, sql=file.read_text("utf-8"))
        for number, file in enumerate(files, start=1)
    ]


async def migrate(
    *, owner_url: str, app_url: str, folder: Path = MIGRATIONS, dry_run: bool = False
) -> list[str]:
    """Apply what is missing and grant the app's role what it needs; answers the names of what was applied.

    Harmless to repeat, and to run twice at once.

    Args:
        owner_url: of the role that owns the schema; a direct connection or a pooler's session mode.
        app_url: of the role that the server runs as. It is made when it does not exist and the owner may do so.
        folder: where the files are.
        dry_run: only say what would be applied.

    Raises:
        MigrationError: a file that was applied has been edited since, one of them fails, or a right is missing.
    """
    migrations = read_migrations(folder)
    app = await _role_of(app_url)
    owner = await asyncpg.connect(
        owner_url, timeout=CONNECT_WAIT_S, command_timeout=MIGRATION_WAIT_S, statement_cache_size=0
    )
    try:
        async with owner.transaction():
            # Two servers may start at once: the second waits, and then finds nothing to do.
            await owner.execute(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
            pending = await _pending(owner, migrations)
            if not dry_run:
                await _apply(owner, pending)
                await _grant(owner, app or await _make_role(owner, app_url), folder)
    finally:
        await owner.close(timeout=CONNECT_WAIT_S)
    return [migration.name for migration in pending]


async def _pending(
    owner: "asyncpg.Connection[asyncpg.Record]", migrations: Sequence[Migration]
) -> list[Migration]:
    if await owner.fetchval("SELECT to_regclass('smarterbot.migrations') IS NULL"):
        return list(migrations)
    rows = await owner.fetch(
        "SELECT number, name, checksum FROM smarterbot.migrations ORDER BY number"
    )
    known = {migration.number: migration for migration in migrations}
    for row in rows:
        migration = known.get(row["number"])
        if migration is None:
            raise MigrationError(
                f"the database has migration {row['name']}, which this version does not know: run a newer version"
            )
        if migration.checksum != row["checksum"]:
            raise MigrationError(
                f"{migration.name} was edited after it had been applied: restore it, and write a new migration instead"
            )
    return list(migrations[len(rows) :])


async def _apply(owner: "asyncpg.Connection[asyncpg.Record]", pending: Sequence[Migration]) -> None:
    try:
        await owner.execute(
            """
            CREATE SCHEMA IF NOT EXISTS smarterbot;
            CREATE TABLE IF NOT EXISTS smarterbot.migrations (
              number integer PRIMARY KEY,
              name text NOT NULL,
              checksum text NOT NULL,
              applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"DATABASE_OWNER_URL: its role may not create the schema ({error}). Run CREATE SCHEMA smarterbot "
            "AUTHORIZATION <that role> as an administrator"
        ) from error
    for migration in pending:
        try:
            await owner.execute(migration.sql)
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.name}: {error}") from error
        await owner.execute(
            "INSERT INTO smarterbot.migrations (number, name, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )


async def _grant(owner: "asyncpg.Connection[asyncpg.Record]", app: str, folder: Path) -> None:
    grants = folder / GRANTS
    if grants.exists():
        await owner.execute(grants.read_text("utf-8").replace(":app", _quoted(app)))


async def _role_of(url: str) -> str | None:
    """Who we are with this URL, by the database's own word: a pooler's user names differ. None: cannot log in."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_WAIT_S, statement_cache_size=0)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return None
    try:
        role: str = await connection.fetchval("SELECT current_user")
        return role
    finally:
        await connection.close(timeout=CONNECT_WAIT_S)


async def _make_role(owner: "asyncpg.Connection[asyncpg.Record]", url: str) -> str:
    parts = urlsplit(url)
    name = unquote(parts.username or "")
    attributes = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
    if not name or await owner.fetchval(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name
    ):
        raise MigrationError(
            "DATABASE_URL: the database refuses its user: check the name and the password"
        )
    password = f" PASSWORD {_literal(unquote(parts.password))}" if parts.password else ""
    try:
        await owner.execute(f"CREATE ROLE {_quoted(name)} {attributes}{password}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"DATABASE_URL: role {name} does not exist, and the owner may not create it. Run CREATE ROLE "
            f"{_quoted(name)} {attributes} PASSWORD '…' as an administrator"
        ) from error
    return name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    # standard_conforming_strings has been on since PostgreSQL 9.1: a backslash is a backslash.
    return "'" + text.replace("'", "''") + "'"
