"""The schema is brought up to date once, by whoever comes first, and never by an edited file."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from bot.embedded.postgres import PostgresUrls
from bot.store.database import Database
from bot.store.errors import MigrationError
from bot.store.migrate import MIGRATIONS, migrate, read_migrations

ALL = [migration.name for migration in read_migrations()]


@pytest.fixture
async def empty(postgres: PostgresUrls) -> AsyncIterator[PostgresUrls]:
    """A database of its own, with nothing in it."""
    name = f"empty_{uuid4().hex}"
    superuser = await asyncpg.connect(postgres.app.replace("smarterbot_app@", "postgres@"))
    await superuser.execute(f"CREATE DATABASE {name} OWNER smarterbot_owner")
    yield PostgresUrls(
        owner=postgres.owner.replace("/smarterbot?", f"/{name}?"),
        app=postgres.app.replace("/smarterbot?", f"/{name}?"),
    )
    await superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await superuser.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Our migrations, to be changed."""
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    return tmp_path / "migrations"


async def test_an_empty_database_gets_everything_once(empty: PostgresUrls) -> None:
    first = await migrate(owner_url=empty.owner, app_url=empty.app)
    second = await migrate(owner_url=empty.owner, app_url=empty.app)

    assert (first, second) == (ALL, [])
    async with Database.open(empty.app) as database, database.system() as connection:
        assert len(await connection.fetchval("SELECT pepper FROM smarterbot.installation")) == 32


async def test_two_servers_that_start_together_do_it_once(empty: PostgresUrls) -> None:
    done = await asyncio.gather(
        *(migrate(owner_url=empty.owner, app_url=empty.app) for _ in range(3))
    )

    assert sorted(done) == [[], [], ALL]


async def test_a_rehearsal_changes_nothing(empty: PostgresUrls) -> None:
    rehearsed = await migrate(owner_url=empty.owner, app_url=empty.app, dry_run=True)

    assert rehearsed == ALL
    assert await migrate(owner_url=empty.owner, app_url=empty.app) == ALL


async def test_an_edited_migration_is_refused_by_name(empty: PostgresUrls, folder: Path) -> None:
    await migrate(owner_url=empty.owner, app_url=empty.app, folder=folder)
    with (folder / ALL[0]).open("a") as file:
        file.write("-- a harmless remark\n")

    with pytest.raises(MigrationError, match=f"{ALL[0]} was edited"):
        await migrate(owner_url=empty.owner, app_url=empty.app, folder=folder)


async def test_a_newer_schema_is_refused(empty: PostgresUrls, folder: Path) -> None:
    newer = folder / f"{len(ALL) + 1:04}_more.sql"
    newer.write_text("SELECT 1;")
    await migrate(owner_url=empty.owner, app_url=empty.app, folder=folder)

    with pytest.raises(MigrationError, match=f"{newer.name}, which this version does not know"):
        await migrate(owner_url=empty.owner, app_url=empty.app)


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty: PostgresUrls, folder: Path
) -> None:
    broken = folder / f"{len(ALL) + 1:04}_broken.sql"
    broken.write_text("CREATE TABLE smarterbot.half (); SELECT 1 / 0;")

    with pytest.raises(MigrationError, match=rf"{broken.name}: division by zero"):
        await migrate(owner_url=empty.owner, app_url=empty.app, folder=folder)

    assert await migrate(owner_url=empty.owner, app_url=empty.app) == ALL


async def test_a_role_that_lacks_is_made_when_the_owner_may(empty: PostgresUrls) -> None:
    superuser = await asyncpg.connect(empty.owner.replace("smarterbot_owner@", "postgres@"))
    await superuser.execute("ALTER ROLE smarterbot_owner CREATEROLE")

    await migrate(
        owner_url=empty.owner, app_url=empty.app.replace("smarterbot_app@", "new-app:it's@")
    )

    url = empty.app.replace("smarterbot_app@", "new-app@")
    async with Database.open(url) as database, database.system() as connection:
        assert await connection.fetch("SELECT * FROM smarterbot.directory_tenants()") == []
    await superuser.execute("ALTER ROLE smarterbot_owner NOCREATEROLE")
    await superuser.execute('DROP OWNED BY "new-app"; DROP ROLE "new-app"')
    await superuser.close()


async def test_a_role_that_lacks_is_asked_for_when_the_owner_may_not(empty: PostgresUrls) -> None:
    with pytest.raises(MigrationError, match='CREATE ROLE "stranger" LOGIN NOSUPERUSER'):
        await migrate(
            owner_url=empty.owner, app_url=empty.app.replace("smarterbot_app@", "stranger@")
        )


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").touch()
    (tmp_path / "0003_three.sql").touch()

    with pytest.raises(MigrationError, match=r"0003_three\.sql: 0002_"):
        read_migrations(tmp_path)
