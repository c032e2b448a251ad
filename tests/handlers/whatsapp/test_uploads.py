"""Files go up to Meta once a month for each number, before the message that shows them, and never put it in doubt."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.people.channels import add_channel
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.dialog.events import Attachment
from flows.values.ids import FileId, Wamid
from handlers.outside import Outside
from handlers.ports import StoredFile
from handlers.whatsapp.errors import GraphFault, NotSentError
from handlers.whatsapp.media_client import MediaClient
from handlers.whatsapp.uploads import GOOD_MS, UnfitError, Uploads
from tests.handlers.whatsapp.doubles import CHANNEL, TENANT
from tests.handlers.whatsapp.emulator.stage import ANA, SOL
from tests.handlers.whatsapp.test_media import OTHER, PHOTO, Fetching, fetching

DAY_MS = 24 * 3_600_000


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Fetching]:
    async with fetching(database, tmp_path) as at_work:
        channel = at_work.book.channels[CHANNEL]
        await add_channel(database, SecretBox((Key("k1", bytes(32)),)), channel, token=SOL.token)
        yield at_work


@pytest.fixture
async def uploads(at_work: Fetching) -> AsyncIterator[Uploads]:
    async with Outside.open(trusted=frozenset((at_work.stage.address,))) as outside:
        client = MediaClient(outside, base_url=at_work.stage.address, version="v26.0")
        yield Uploads(client, at_work.library, clock=at_work.clock, meter=at_work.counts)


async def keep(
    at_work: Fetching, data: bytes = PHOTO, mime: str = "image/jpeg", *, wamid: str = "w1"
) -> StoredFile:
    async with at_work.library.draft() as draft:
        await draft.write(data)
        return await at_work.library.keep(
            draft, Attachment("document", "m"), tenant=TENANT, mime=mime, wamid=Wamid(wamid)
        )


async def ask(
    at_work: Fetching, uploads: Uploads, file: FileId, *, refused: str = "", token: str = SOL.token
) -> str:
    ids = await uploads.meta_ids(
        TENANT, [file], at_work.book.channels[CHANNEL], token, refused={file: refused}
    )
    return ids[file]


def went_up(at_work: Fetching) -> int:
    return at_work.counts.counted["media", "uploaded"]


async def test_meta_gets_the_bytes_and_the_message_shows_them(
    at_work: Fetching, uploads: Uploads
) -> None:
    person = await at_work.stage.knows()
    file = await keep(at_work)

    meta_id = await ask(at_work, uploads, file.id)

    image = {"id": meta_id, "caption": "torta"}
    answer = await at_work.stage.sends({"to": ANA, "type": "image", "image": image})
    assert answer.status == 200
    [*_, bubble] = at_work.stage.emulator.world.messages(SOL.id, person.id)
    assert bubble.outbound
    found = at_work.stage.emulator.media.find(meta_id, now_ms=at_work.stage.clock.now_ms())
    assert found is not None
    assert (found.data, found.mime) == (PHOTO, "image/jpeg")


async def test_a_large_file_goes_up_in_pieces_as_it_is(at_work: Fetching, uploads: Uploads) -> None:
    data = b"%PDF-1.7 " + bytes(range(256)) * 8_000
    file = await keep(at_work, data, "application/pdf")

    meta_id = await ask(at_work, uploads, file.id)

    found = at_work.stage.emulator.media.find(meta_id, now_ms=at_work.stage.clock.now_ms())
    assert found is not None
    assert found.data == data


async def test_equal_bytes_go_up_once_a_month(at_work: Fetching, uploads: Uploads) -> None:
    first = await keep(at_work)
    second = await keep(at_work, wamid="w2")

    ids = {await ask(at_work, uploads, file.id) for file in (first, second, first)}
    assert (len(ids), went_up(at_work)) == (1, 1)

    at_work.clock.shift(GOOD_MS)
    assert await ask(at_work, uploads, first.id) not in ids
    assert went_up(at_work) == 2


async def test_a_file_for_a_crowd_goes_up_once(at_work: Fetching, uploads: Uploads) -> None:
    file = await keep(at_work)

    ids = await asyncio.gather(*(ask(at_work, uploads, file.id) for _ in range(20)))

    assert (len(set(ids)), went_up(at_work)) == (1, 1)


async def test_an_id_that_meta_does_not_take_any_more_is_replaced_once(
    at_work: Fetching, uploads: Uploads
) -> None:
    file = await keep(at_work)
    first = await ask(at_work, uploads, file.id)
    at_work.stage.emulator.media.forget(first)

    second = await ask(at_work, uploads, file.id, refused=first)
    third = await ask(at_work, uploads, file.id, refused=first)

    assert second == third != first
    assert went_up(at_work) == 2


async def test_a_refused_upload_is_told_with_metas_code(
    at_work: Fetching, uploads: Uploads
) -> None:
    file = await keep(at_work)
    await at_work.stage.faults(upload_refused=1)

    with pytest.raises(GraphFault) as refused:
        await ask(at_work, uploads, file.id)
    assert refused.value.code == 131053
    assert await ask(at_work, uploads, file.id)


async def test_a_token_that_ran_out_is_told_like_that_of_a_message(
    at_work: Fetching, uploads: Uploads
) -> None:
    file = await keep(at_work)

    with pytest.raises(GraphFault) as refused:
        await ask(at_work, uploads, file.id, token="an-old-token")
    assert refused.value.fault.name == "token"


async def test_what_is_too_large_for_meta_is_not_even_begun(
    at_work: Fetching, uploads: Uploads
) -> None:
    file = await keep(at_work, PHOTO + bytes(5_000_000))

    with pytest.raises(UnfitError, match="too_large"):
        await ask(at_work, uploads, file.id)
    assert went_up(at_work) == 0


async def test_a_file_of_another_tenant_or_of_yesterday_is_gone(
    at_work: Fetching, uploads: Uploads
) -> None:
    file = await keep(at_work)
    channel = at_work.book.channels[CHANNEL]

    with pytest.raises(UnfitError, match="gone"):
        await uploads.meta_ids(OTHER, [file.id], channel, SOL.token)
    at_work.clock.shift(91 * DAY_MS)
    with pytest.raises(UnfitError, match="gone"):
        await ask(at_work, uploads, file.id)


async def test_bytes_that_are_lost_are_found_out_before_meta_listens(
    at_work: Fetching, uploads: Uploads, tmp_path: Path
) -> None:
    file = await keep(at_work)
    (tmp_path / "media" / TENANT / file.sha256[:2] / file.sha256).unlink()

    with pytest.raises(UnfitError, match="gone"):
        await ask(at_work, uploads, file.id)


async def test_nobody_there_means_that_the_message_has_not_left(
    at_work: Fetching, free_port: int
) -> None:
    file = await keep(at_work)
    nobody = f"http://127.0.0.1:{free_port}"
    async with Outside.open(trusted=frozenset((nobody,))) as outside:
        client = MediaClient(outside, base_url=nobody, version="v26.0")
        uploads = Uploads(client, at_work.library, clock=at_work.clock, meter=at_work.counts)
        with pytest.raises(NotSentError):
            await ask(at_work, uploads, file.id)


async def test_words_and_a_link_stand_in_for_a_file_that_cannot_be_sent(
    at_work: Fetching, uploads: Uploads
) -> None:
    file = await keep(at_work)
    gone = FileId("7d444840-9dc0-41d1-b245-5ffdce74fad2")

    [link] = await uploads.links(TENANT, [file.id, gone])

    at_work.clock.shift(6 * DAY_MS)
    assert await at_work.library.linked(link.rpartition("/")[2]) == file
    at_work.clock.shift(DAY_MS)
    assert await at_work.library.linked(link.rpartition("/")[2]) is None
