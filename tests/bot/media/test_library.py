"""Files are kept once for each message and once for each content, apart for each tenant, and no longer than they should."""

import asyncio
import hashlib
import os
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from bot.clock import Clock
from bot.media.library import Library
from bot.people.channels import add_channel
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.dialog.events import Attachment
from flows.values.ids import Wamid
from handlers.ports import FileGoneError, FilesDownError
from tests.bot.media.conftest import DAY_MS, KEYS, PHOTO, content, everything_in, keep, kept_in
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BUTCHERY

DIGEST = hashlib.sha256(PHOTO).hexdigest()


async def test_a_file_comes_back_as_it_came(library: Library) -> None:
    heard = Attachment("document", "m1", name="../factura 1042.pdf")
    file = await keep(
        library, BAKERY.id, "w1", b"%PDF-1.7 " + PHOTO, mime="application/pdf", heard=heard
    )

    assert (file.kind, file.mime, file.size) == ("document", "application/pdf", 9 + len(PHOTO))
    assert file.name == "factura 1042.pdf"
    assert await content(library.read(file)) == b"%PDF-1.7 " + PHOTO
    assert await content(library.read(file, 1, 4)) == b"PDF"
    assert await library.find(BAKERY.id, file.id) == file
    assert await library.of_message(BAKERY.id, Wamid("w1")) == file
    assert await library.of_attachment(BAKERY.id, heard) == file


async def test_the_file_of_a_message_is_kept_once_however_often_it_is_fetched(
    library: Library, folder: Path
) -> None:
    files = await asyncio.gather(*(keep(library, BAKERY.id, "w1") for _ in range(5)))

    assert len({file.id for file in files}) == 1
    assert kept_in(folder) == [f"{BAKERY.id}/{DIGEST[:2]}/{DIGEST}"]


async def test_equal_files_of_a_tenant_share_their_bytes_and_nothing_else(
    library: Library, folder: Path
) -> None:
    first = await keep(library, BAKERY.id, "w1")
    second = await keep(library, BAKERY.id, "w2")

    assert first.id != second.id
    assert len(kept_in(folder)) == 1


async def test_equal_files_of_two_tenants_share_nothing(library: Library, folder: Path) -> None:
    await keep(library, BAKERY.id, "w1")
    await keep(library, BUTCHERY.id, "w1")

    assert len(kept_in(folder)) == 2


async def test_tenant_b_cannot_read_a_file_of_a_by_its_id(library: Library) -> None:
    file = await keep(library, BAKERY.id, "w1")

    assert await library.find(BUTCHERY.id, file.id) is None
    assert await library.of_message(BUTCHERY.id, Wamid("w1")) is None
    assert await library.of_attachment(BUTCHERY.id, Attachment("image", "m1")) is None


async def test_tenant_b_cannot_see_or_take_a_row_of_a_whatever_the_query_says(
    library: Library, database: Database
) -> None:
    file = await keep(library, BAKERY.id, "w1")

    async with database.tenant(BUTCHERY.id) as connection:
        assert await connection.fetchval("SELECT count(*) FROM smarterbot.media") == 0
        moved = "UPDATE smarterbot.media SET tenant_id = $1 WHERE id = $2"
        assert await connection.execute(moved, BUTCHERY.id, file.id) == "UPDATE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.tenant(BUTCHERY.id) as connection:
            await connection.execute(
                "INSERT INTO smarterbot.media (tenant_id, id, sha256, size, mime, kind, created_at, expires_at) "
                "VALUES ($1, gen_random_uuid(), $2, 1, 'image/jpeg', 'image', now(), now())",
                BAKERY.id,
                bytes(32),
            )
    async with database.system() as connection:
        assert await connection.fetchval("SELECT count(*) FROM smarterbot.media") == 0


async def test_files_and_folders_are_for_their_owner_alone(library: Library, folder: Path) -> None:
    await keep(library, BAKERY.id, "w1")

    assert {path.stat().st_mode & 0o077 for path in everything_in(folder)} == {0}


async def test_a_draft_that_is_not_kept_leaves_nothing(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    async with library.draft() as draft:
        await draft.write(PHOTO)
        assert draft.path.stat().st_mode & 0o077 == 0

    assert kept_in(folder) == kept_in(tmp_path / "drafts") == []


async def test_what_a_killed_process_left_under_way_is_swept(
    library: Library, tmp_path: Path
) -> None:
    async with library.draft() as draft:
        old = tmp_path / "drafts" / "of-a-dead-process"
        old.write_bytes(PHOTO)
        past = draft.path.stat().st_mtime - 7_200
        os.utime(old, (past, past))

        await library.sweep()

        assert not old.exists()
        assert draft.path.exists()


async def test_bytes_that_are_lost_are_told_as_gone(library: Library, folder: Path) -> None:
    file = await keep(library, BAKERY.id, "w1")
    (folder / kept_in(folder)[0]).unlink()

    with pytest.raises(FileGoneError):
        await content(library.read(file))


async def test_a_disk_that_cannot_be_written_is_waited_for(
    database: Database, library: Library, tmp_path: Path
) -> None:
    (tmp_path / "drafts").write_text("a file where a folder belongs")

    with pytest.raises(FilesDownError):
        async with library.draft():
            pass


# ------------------------------------------------------------------ the end


async def test_each_tenant_keeps_files_for_as_long_as_it_says(
    library: Library, folder: Path, clock: Clock
) -> None:
    bread = await keep(library, BAKERY.id, "w1")
    meat = await keep(library, BUTCHERY.id, "w1")

    clock.shift(7 * DAY_MS + 1)

    assert await library.find(BUTCHERY.id, meat.id) is None
    assert await library.find(BAKERY.id, bread.id) == bread
    assert await library.expire(BAKERY.id) == 0
    assert await library.expire(BUTCHERY.id) == 1
    assert kept_in(folder) == [f"{BAKERY.id}/{DIGEST[:2]}/{DIGEST}"]
    assert await content(library.read(bread)) == PHOTO


async def test_bytes_go_with_the_last_file_that_has_them(
    library: Library, folder: Path, clock: Clock
) -> None:
    await keep(library, BAKERY.id, "w1")
    clock.shift(30 * DAY_MS)
    later = await keep(library, BAKERY.id, "w2")

    clock.shift(60 * DAY_MS + 1)
    assert await library.expire(BAKERY.id) == 1
    assert await content(library.read(later)) == PHOTO

    clock.shift(30 * DAY_MS)
    assert await library.expire(BAKERY.id) == 1
    assert kept_in(folder) == []


async def test_a_file_that_comes_while_its_equal_goes_is_there_afterwards(
    library: Library, clock: Clock
) -> None:
    for n in range(20):
        await keep(library, BAKERY.id, f"old-{n}")
        clock.shift(91 * DAY_MS)

        file, _ = await asyncio.gather(
            keep(library, BAKERY.id, f"new-{n}"), library.expire(BAKERY.id)
        )

        assert await content(library.read(file)) == PHOTO
        clock.shift(91 * DAY_MS)
        while await library.expire(BAKERY.id):
            pass


async def test_bytes_that_cannot_be_deleted_are_not_forgotten(
    library: Library, database: Database, clock: Clock, tmp_path: Path
) -> None:
    """The row goes last: a file that nobody knows of would stay for ever."""
    file = await keep(library, BAKERY.id, "w1")
    clock.shift(91 * DAY_MS)
    [blob] = [path for path in everything_in(tmp_path / "media") if path.name == file.sha256]
    blob.unlink()
    blob.mkdir()  # it cannot be unlinked now

    with pytest.raises(FilesDownError):
        await library.expire(BAKERY.id)
    async with database.tenant(BAKERY.id) as connection:
        assert await connection.fetchval("SELECT count(*) FROM smarterbot.media") == 1
    blob.rmdir()
    assert await library.expire(BAKERY.id) == 1


async def test_many_files_go_in_batches_and_several_may_be_at_it(
    library: Library, folder: Path, clock: Clock
) -> None:
    for n in range(60):
        await keep(library, BAKERY.id, f"w{n}", PHOTO + bytes([n]))
    clock.shift(91 * DAY_MS)

    deleted = await asyncio.gather(*(library.expire(BAKERY.id) for _ in range(3)))

    assert sum(deleted) + await library.expire(BAKERY.id) == 60
    assert kept_in(folder) == []


# ------------------------------------------------------------------ what Meta has


async def test_an_upload_is_remembered_for_its_channel_until_its_time_is_over(
    library: Library, database: Database, clock: Clock
) -> None:
    await add_channel(database, SecretBox(KEYS), BAKERY_CHANNEL, token="EAAG-bakery-token")
    file = await keep(library, BAKERY.id, "w1")
    other = await keep(library, BAKERY.id, "w2")

    await library.remember_upload(
        file, BAKERY_CHANNEL.id, "m77", until_ms=clock.now_ms() + 29 * DAY_MS
    )
    assert await library.uploaded(file, BAKERY_CHANNEL.id) == "m77"
    assert await library.uploaded(other, BAKERY_CHANNEL.id) == "m77"  # the same bytes
    await library.remember_upload(
        file, BAKERY_CHANNEL.id, "m78", until_ms=clock.now_ms() + 29 * DAY_MS
    )
    assert await library.uploaded(file, BAKERY_CHANNEL.id) == "m78"

    clock.shift(29 * DAY_MS)
    assert await library.uploaded(file, BAKERY_CHANNEL.id) == ""
    await library.expire(BAKERY.id)
    async with database.tenant(BAKERY.id) as connection:
        assert await connection.fetchval("SELECT count(*) FROM smarterbot.media_uploads") == 0


# ------------------------------------------------------------------ links


async def test_a_link_opens_its_file_for_a_quarter_of_an_hour(
    library: Library, clock: Clock
) -> None:
    file = await keep(library, BAKERY.id, "w1")
    link = library.link(file)
    base, _, token = link.rpartition("/")

    assert base == "https://bot.example/media"
    assert await library.linked(token) == file
    clock.shift(15 * 60_000)
    assert await library.linked(token) is None


async def test_a_link_to_a_file_whose_time_is_over_opens_nothing(
    library: Library, clock: Clock
) -> None:
    file = await keep(library, BUTCHERY.id, "w1")
    token = library.link(file, for_s=30 * 24 * 3_600).rpartition("/")[2]

    clock.shift(8 * DAY_MS)

    assert await library.linked(token) is None


async def test_a_signed_link_to_another_tenants_file_opens_nothing(library: Library) -> None:
    """Even the one who has the key cannot cross tenants: row-level security looks at the tenant in the link."""
    file = await keep(library, BAKERY.id, "w1")
    token = library.link(replace(file, tenant=BUTCHERY.id)).rpartition("/")[2]

    assert await library.linked(token) is None
