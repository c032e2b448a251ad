"""A file's way through everything: a person's phone, Meta, the lanes, the store, and out again by a link."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.media.folder import Folder
from bot.media.library import Library
from bot.media.links import Links
from bot.people.conversations import Message, list_conversations, read_story
from bot.people.tenants import list_firms
from bot.store.database import Database
from flows.dialog.events import Heard
from flows.values.ids import TenantId, Wamid
from handlers.ports import StoredFile
from handlers.whatsapp.emulator.media import SAMPLES
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until

PHOTO = (SAMPLES / "photo.jpg").read_bytes()
DAY_MS = 24 * 3_600_000
NAME = "Ficha médica de Rosa.pdf"


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, book=echo_book()) as whole:
        yield whole


@pytest.fixture
async def library(whole: Whole, tmp_path: Path) -> AsyncIterator[Library]:
    """Another process's view of the same files."""
    async with Database.open(whole.stores.postgres.app) as database:
        yield Library(
            database,
            Folder(tmp_path / "media"),
            drafts=tmp_path / "drafts",
            links=Links(whole.settings.keys),
            public_url=whole.server.address,
            days_of=lambda _tenant: 90,
            clock=whole.server.clock,
        )


async def tenant_of(whole: Whole) -> TenantId:
    async with Database.open(whole.stores.postgres.app) as database:
        [firm] = await list_firms(database)
        return firm.id


async def sends_file(whole: Whole, data: bytes, mime: str, kind: str, name: str = "") -> Wamid:
    person = whole.people.id_of(1) or await whole.people.join(1)
    assert person
    medium = whole.emulator.media.receive(
        NUMBER.id, mime, data, name=name, now_ms=whole.server.clock.now_ms()
    )
    message = await whole.people.act(
        1, {"type": "medium", "kind": kind, "source": medium.id, "name": name}
    )
    return Wamid(message["wamid"])


async def kept(whole: Whole, library: Library, wamid: Wamid) -> StoredFile:
    tenant = await tenant_of(whole)
    found: list[StoredFile] = []

    async def there() -> bool:
        file = await library.of_message(tenant, wamid)
        found[:] = [file] if file else []
        return bool(found)

    await until(there, within_s=10, what="the file")
    return found[0]


async def test_a_photo_is_kept_and_read_by_a_link_until_its_time_is_over(
    whole: Whole, library: Library
) -> None:
    wamid = await sends_file(whole, PHOTO, "image/jpeg", "image")
    file = await kept(whole, library, wamid)

    link = library.link(file)
    assert link.startswith(f"{whole.server.address}/media/")
    async with whole.http.get(link) as answer:
        assert (answer.status, await answer.read()) == (200, PHOTO)
        assert answer.headers["Content-Type"] == "image/jpeg"
    async with whole.http.get(link, headers={"Range": "bytes=-4"}) as answer:
        assert (answer.status, await answer.read()) == (206, PHOTO[-4:])

    whole.server.clock.shift(91 * DAY_MS)

    async with whole.http.get(library.link(file)) as answer:
        assert answer.status == 404

    async def gone() -> bool:
        whole.server.clock.shift(1)
        return await library.of_message(file.tenant, wamid) is None

    await until(gone, within_s=10, what="the end of the file")


async def test_a_slow_file_does_not_keep_the_conversation_waiting(
    whole: Whole, library: Library
) -> None:
    await whole.people.faults(media_slow_ms=3_600_000)
    wamid = await sends_file(whole, PHOTO, "image/jpeg", "image")
    await whole.people.write(1, "¿la viste?")

    async def answered() -> bool:
        return whole.truth.taken == 2

    await until(answered, within_s=10, what="both answers")
    assert await library.of_message(await tenant_of(whole), wamid) is None

    await whole.people.faults(media_slow_ms=0)
    await whole.people.moves_time(3_600_000)
    await kept(whole, library, wamid)


async def test_a_file_that_cannot_be_had_is_told_and_journaled(
    whole: Whole, library: Library
) -> None:
    wamid = await sends_file(whole, b"MZ\x90\x00" + bytes(100), "image/jpeg", "image")

    async def told() -> bool:
        return whole.truth.taken == 2

    await until(told, within_s=10, what="the echo, and that the file was refused")
    [message] = [m for m in await journaled(whole) if heard(m).id == wamid]
    assert message.faults == ("file_unknown_type",)
    assert message.file is None


async def test_the_journal_tells_the_file_of_a_message(whole: Whole, library: Library) -> None:
    wamid = await sends_file(whole, PHOTO, "image/jpeg", "image")
    file = await kept(whole, library, wamid)

    [message] = await journaled(whole)

    assert message.file is not None
    assert (message.file.id, message.file.size) == (file.id, len(PHOTO))


async def test_a_files_name_and_bytes_are_nowhere_but_in_the_store(
    whole: Whole, library: Library, capfd: pytest.CaptureFixture[str]
) -> None:
    for fault in ({}, {"media_swapped": 1}, {"media_gone": 1}, {"media_inside": 1}):
        await whole.people.faults(**fault)
        wamid = await sends_file(whole, b"%PDF-1.7 secreto", "application/pdf", "document", NAME)
        if not fault:
            assert (await kept(whole, library, wamid)).name == NAME

    async def settled() -> bool:
        depths = await whole.server.lanes.depths()
        return all(kind.waiting == kind.leased == 0 for kind in depths.kinds.values())

    await whole.people.faults(media_swapped=0)
    whole.server.clock.shift(60_000)
    await until(settled, within_s=20, what="quiet")
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        metrics = await answer.text()
    seen = capfd.readouterr()
    for told in (seen.out, seen.err, metrics):
        assert "Rosa" not in told
        assert base64.b64encode(b"secreto").decode() not in told
        assert "secreto" not in told
    assert "media.kept" in seen.out + seen.err


async def journaled(whole: Whole) -> list[Message]:
    """The messages that were heard, as the journal has them."""
    tenant = await tenant_of(whole)
    found: list[Message] = []

    async def there() -> bool:
        async with Database.open(whole.stores.postgres.app) as database:
            conversations = await list_conversations(database, tenant, most=1)
            if conversations:
                story = await read_story(database, conversations[0].id)
                found[:] = [m for t in story.turns for m in t.messages if m.direction == "in"]
        return bool(found)

    await until(there, within_s=10, what="the journal")
    return found


def heard(message: Message) -> Heard:
    assert isinstance(message.content, Heard)
    return message.content
