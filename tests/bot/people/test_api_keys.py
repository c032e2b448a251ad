"""API keys: told once, kept as a hash, each firm's own, rotated without a gap."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from bot.lanes import Wire
from bot.people.api_keys import (
    ApiKey,
    NewKey,
    add_key,
    list_keys,
    proves,
    read_key,
    revoke_key,
    rotate_key,
)
from bot.people.directory import ASK_S, Directory, publish_directory
from bot.people.errors import DirectoryError, UnknownError
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import KeyId
from tests.bot.people.conftest import BAKERY, BUTCHERY, BUTCHERY_RUT


@pytest.fixture
async def firms(bakery: Database) -> Database:
    await add_tenant(bakery, BUTCHERY, rut=BUTCHERY_RUT)
    return bakery


@pytest.fixture
async def directory(firms: Database, wire: Wire, box: SecretBox) -> Directory:
    directory = Directory(firms, wire, box)
    await directory.load()
    return directory


@pytest.fixture
async def away() -> AsyncIterator[Database]:
    """A database that nobody can reach."""
    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as database:
        yield database


async def made(database: Database) -> NewKey:
    return await add_key(database, BAKERY.id, name="ERP", scopes=("messages:send",), per_minute=60)


async def opens(directory: Directory, new: NewKey) -> ApiKey | None:
    """The key that a directory finds it to be."""
    read = read_key(new.key)
    assert read is not None
    id, secret = read
    key = await directory.key(id)
    return key if proves(secret, key) else None


async def test_a_key_opens_what_it_was_made_for(directory: Directory, firms: Database) -> None:
    key = await opens(directory, await made(firms))

    assert key is not None
    assert (key.tenant, key.scopes, key.per_minute, key.expires) == (
        *(BAKERY.id, ("messages:send",), 60, 0),
    )


async def test_what_is_kept_does_not_tell_the_key(
    firms: Database, wire: Wire, box: SecretBox
) -> None:
    new = await made(firms)
    await publish_directory(firms, wire, box)
    secret = new.key[-43:]

    async with firms.tenant(BAKERY.id) as connection:
        row = await connection.fetchrow("SELECT k::text FROM smarterbot.api_keys k")
    copied = await wire.call("HGET", "smarterbot:directory", "snapshot")

    assert secret not in str(row)
    assert secret.encode() not in bytes(str(copied), "utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sbk_",
        f"sbk_{'0' * 32}",
        f"sbk_{'0' * 32}_{'A' * 42}",
        f"sbk_{'0' * 32}_{'A' * 43}\n",
        f"sbk_{'G' * 32}_{'A' * 43}",
        f"SBK_{'0' * 32}_{'A' * 43}",
    ],
)
def test_what_cannot_be_a_key_is_none(text: str) -> None:
    assert read_key(text) is None


async def test_another_secret_does_not_prove_it(directory: Directory, firms: Database) -> None:
    new = await made(firms)
    other = await made(firms)
    swapped = NewKey(new.id, f"{new.key[:37]}{other.key[37:]}")

    assert await opens(directory, swapped) is None
    assert not proves("A" * 43, None)


async def test_a_revoked_key_opens_nothing(
    directory: Directory, firms: Database, wire: Wire, box: SecretBox
) -> None:
    new = await made(firms)
    assert await opens(directory, new) is not None

    await revoke_key(firms, BAKERY.id, new.id)
    await publish_directory(firms, wire, box)
    await directory.check()

    assert await opens(directory, new) is None
    [row] = await list_keys(firms, BAKERY.id)
    assert row.revoked_at is not None


async def test_a_rotated_key_and_its_successor_both_open_for_a_while(
    directory: Directory, firms: Database
) -> None:
    old = await made(firms)

    new = await rotate_key(firms, BAKERY.id, old.id, overlap=timedelta(hours=24))

    before, after = await opens(directory, old), await opens(directory, new)
    assert before is not None
    assert after is not None
    assert before.expires > 0
    assert (after.expires, after.scopes, after.per_minute) == (0, before.scopes, before.per_minute)


async def test_rotating_again_does_not_prolong_the_old_key(firms: Database) -> None:
    old = await made(firms)
    await rotate_key(firms, BAKERY.id, old.id, overlap=timedelta(hours=1))
    await rotate_key(firms, BAKERY.id, old.id, overlap=timedelta(hours=24))

    rows = {row.id: row for row in await list_keys(firms, BAKERY.id)}

    until = rows[old.id].expires_at
    assert until is not None
    assert until - rows[old.id].created_at < timedelta(hours=2)


async def test_a_key_that_opens_nothing_has_no_successor(firms: Database) -> None:
    old = await made(firms)
    await rotate_key(firms, BAKERY.id, old.id, overlap=timedelta(0))

    with pytest.raises(UnknownError):
        await rotate_key(firms, BAKERY.id, old.id, overlap=timedelta(hours=1))


async def test_another_firm_neither_sees_nor_changes_it(firms: Database) -> None:
    new = await made(firms)

    assert await list_keys(firms, BUTCHERY.id) == []
    with pytest.raises(UnknownError):
        await revoke_key(firms, BUTCHERY.id, new.id)
    with pytest.raises(UnknownError):
        await rotate_key(firms, BUTCHERY.id, new.id, overlap=timedelta(hours=1))


async def test_a_key_needs_its_firm(database: Database) -> None:
    with pytest.raises(UnknownError):
        await made(database)


async def test_a_known_key_opens_while_postgresql_is_away_and_an_unknown_one_is_not_denied(
    firms: Database, away: Database, wire: Wire, box: SecretBox
) -> None:
    new = await made(firms)
    await publish_directory(firms, wire, box)
    directory = Directory(away, wire, box)
    await directory.load()

    assert await opens(directory, new) is not None
    with pytest.raises(DirectoryError):
        await directory.key(KeyId(str(uuid4())))


async def test_strangers_do_not_make_us_read_the_directory(
    directory: Directory, wire: Wire
) -> None:
    before = await wire.call("INFO", "commandstats")
    await directory.key(KeyId(str(uuid4())))
    began_s = directory._asked_at_s

    await asyncio.gather(*(directory.key(KeyId(str(uuid4()))) for _ in range(50)))

    assert directory._asked_at_s - began_s >= ASK_S  # all of them in one question, a second later
    assert written(await wire.call("INFO", "commandstats")) == written(before)


def written(info: object) -> list[str]:
    """How often the directory was published."""
    assert isinstance(info, bytes)
    return [
        line.partition(",")[0] for line in info.decode().split() if line.startswith("cmdstat_hset:")
    ]


async def test_a_key_that_was_never_published_is_found(
    directory: Directory, firms: Database
) -> None:
    new = await made(firms)

    assert await opens(directory, new) is not None
