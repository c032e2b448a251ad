"""Files that people send are fetched from Meta, looked at, and kept; what is not what it says is not.

Meta is the emulator over real HTTP, the files lie in a real folder, their rows in a real database.
"""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import convert
from msgspec.json import encode

from bot.clock import Clock
from bot.media.folder import Folder
from bot.media.library import Library
from bot.media.links import Links
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import Key
from flows.dialog.ctx import Firm
from flows.dialog.events import Attachment, FileLost, MediaKind
from flows.values.ids import ConversationId, ItemId, TenantId, Wamid
from flows.values.rut import Rut
from handlers.actions import FetchMedia
from handlers.filetypes import HEARD_MAX
from handlers.outside import Outside
from handlers.ports import Again, Before, Dead, Done, Item, Outcome, StoredFile
from handlers.whatsapp.emulator.media import SAMPLES
from handlers.whatsapp.emulator.world import NumberId
from handlers.whatsapp.media import (
    AGE_MS_MAX,
    AT_ONCE_MAX,
    DAMAGED_TRIES_MAX,
    TRIES_MAX,
    MediaFetcher,
)
from handlers.whatsapp.media_client import MediaClient
from tests.handlers.whatsapp.doubles import CHANNEL, TENANT, Counts, Phonebook
from tests.handlers.whatsapp.emulator.stage import SOL, Stage, items, on_stage

CONVERSATION = ConversationId("8a0bb3de-1111-4222-8333-444455556666")
OTHER = TenantId("7d444840-9dc0-41d1-b245-5ffdce74fad2")
PHOTO = (SAMPLES / "photo.jpg").read_bytes()
VOICE = (SAMPLES / "voice.ogg").read_bytes()


@dataclass
class Fetching:
    """The fetcher between the emulator and the library."""

    stage: Stage
    fetcher: MediaFetcher
    library: Library
    clock: Clock
    book: Phonebook
    counts: Counts
    drafts: Path

    async def photo(self) -> FetchMedia:
        """What a turn pushes for a photo that Ana sends."""
        return await self.sends("image", PHOTO, "image/jpeg")

    async def sends(self, kind: MediaKind, data: bytes, mime: str, *, name: str = "") -> FetchMedia:
        world = self.stage.emulator.world
        person = next(iter(world.people.values()), None) or await self.stage.person()
        medium = self.stage.emulator.media.receive(
            NumberId(SOL.id), mime, data, name=name, now_ms=self.stage.clock.now_ms()
        )
        meta_kind = "audio" if kind == "voice" else kind
        await self.stage.acts(
            person,
            type="medium",
            kind=meta_kind,
            source=medium.id,
            name=name,
            voice=kind == "voice",
        )
        [message] = items(await self.stage.hears(), "messages")
        told = message[meta_kind]
        assert isinstance(told, dict)
        return FetchMedia(
            tenant=TENANT,
            channel=CHANNEL,
            message=Wamid(str(message["id"])),
            media=Attachment(kind, str(told["id"]), mime, name, str(told["sha256"])),
            at=self.clock.now_ms(),
        )

    async def serve(
        self, fetch: FetchMedia, *, tries: int = 1, before: Before = Before.CLEAN
    ) -> Outcome:
        return await self.fetcher.serve(
            Item(
                id=ItemId(f"media/{CONVERSATION}:1-0"),
                conversation=CONVERSATION,
                body=encode(fetch),
                tries=tries,
                before=before,
                proof=None,
                is_ours=lambda: True,
            )
        )

    async def kept(self, fetch: FetchMedia) -> StoredFile | None:
        assert list(self.drafts.iterdir() if self.drafts.exists() else []) == []
        return await self.library.of_message(fetch.tenant, fetch.message)


@asynccontextmanager
async def fetching(database: Database, folder: Path) -> AsyncIterator[Fetching]:
    firms = ((TENANT, "765432103"), (OTHER, "761234560"))
    for tenant, rut in firms:
        await add_tenant(database, Firm(id=tenant, name="Sol"), rut=Rut(rut))
    clock, book, counts = Clock(), Phonebook(), Counts()
    book.channels[CHANNEL] = convert(
        {**_fields(book), "phone_number_id": SOL.id}, type(book.channels[CHANNEL])
    )
    book.tokens[CHANNEL] = SOL.token
    drafts = folder / "drafts"
    library = Library(
        database,
        Folder(folder / "media"),
        drafts=drafts,
        links=Links((Key(id="k1", secret=bytes(32)),)),
        public_url="https://bot.example",
        days_of=lambda _tenant: 90,
        clock=clock,
    )
    async with on_stage() as stage, Outside.open(trusted=frozenset((stage.address,))) as outside:
        fetcher = MediaFetcher(
            MediaClient(outside, base_url=stage.address, version="v26.0"),
            library,
            directory=book,
            clock=clock,
            meter=counts,
            jitter=lambda: 0.0,
        )
        yield Fetching(stage, fetcher, library, clock, book, counts, drafts)


def _fields(book: Phonebook) -> dict[str, object]:
    channel = book.channels[CHANNEL]
    return {name: getattr(channel, name) for name in channel.__struct_fields__}


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Fetching]:
    async with fetching(database, tmp_path) as at_work:
        yield at_work


def lost(outcome: Outcome) -> FileLost:
    """The event of a file that will not be had; its record says the same."""
    assert isinstance(outcome, Done | Dead)
    assert isinstance(outcome.event, FileLost)
    [record] = outcome.records
    assert (record.fault, record.code) == (f"file_{outcome.event.why}", 131052)  # type: ignore[union-attr]  # the one kind there is
    return outcome.event


# ------------------------------------------------------------------ as it should be


async def test_a_photo_is_fetched_and_kept(at_work: Fetching) -> None:
    fetch = await at_work.photo()

    assert await at_work.serve(fetch) == Done()

    file = await at_work.kept(fetch)
    assert file is not None
    assert (file.kind, file.mime, file.size) == ("image", "image/jpeg", len(PHOTO))
    assert b"".join([chunk async for chunk in at_work.library.read(file)]) == PHOTO


async def test_voice_notes_and_documents_are_kept_with_their_kind_and_name(
    at_work: Fetching,
) -> None:
    note = await at_work.sends("voice", VOICE, "audio/ogg; codecs=opus")
    paper = await at_work.sends(
        "document", b"%PDF-1.7 x", "application/pdf", name="../../factura.pdf"
    )
    for fetch in (note, paper):
        assert await at_work.serve(fetch) == Done()

    heard, read = await at_work.kept(note), await at_work.kept(paper)
    assert heard is not None
    assert read is not None
    assert (heard.kind, heard.mime) == ("voice", "audio/ogg")
    assert (read.kind, read.mime, read.name) == ("document", "application/pdf", "factura.pdf")


@pytest.mark.parametrize("before", list(Before))
async def test_after_a_crash_it_is_done_again_and_kept_once(
    at_work: Fetching, before: Before
) -> None:
    fetch = await at_work.photo()
    await at_work.serve(fetch)
    first = await at_work.kept(fetch)
    at_work.stage.emulator.media.reset()  # asking Meta again would fail

    assert await at_work.serve(fetch, tries=2, before=before) == Done()
    assert await at_work.kept(fetch) == first


async def test_a_url_that_died_on_the_way_is_asked_for_anew(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    await at_work.stage.faults(media_url_dead=1)

    assert await at_work.serve(fetch) == Done()
    assert await at_work.kept(fetch) is not None


async def test_tenant_b_does_not_get_what_was_sent_to_a(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    await at_work.serve(fetch)
    file = await at_work.kept(fetch)
    assert file is not None

    assert await at_work.library.of_message(OTHER, fetch.message) is None
    assert await at_work.library.find(OTHER, file.id) is None


# ------------------------------------------------------------------ attacks


@pytest.mark.parametrize("fault", ["media_inside", "media_redirect"])
async def test_a_download_url_that_points_at_the_metadata_service_is_refused(
    at_work: Fetching, fault: str
) -> None:
    """As it is, or by a redirect: with our token in the request. A person has to look at it."""
    fetch = await at_work.photo()
    await at_work.stage.faults(**{fault: 1})

    outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Dead)
    assert lost(outcome).why == "refused_url"
    assert await at_work.kept(fetch) is None


async def test_a_program_in_place_of_a_photo_is_refused(at_work: Fetching) -> None:
    """Even when its digest is the one that was announced."""
    fetch = await at_work.sends("image", b"MZ\x90\x00" + bytes(500), "image/jpeg")

    outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Done)
    assert lost(outcome).why == "unknown_type"
    assert await at_work.kept(fetch) is None


@pytest.mark.parametrize(
    ("kind", "data", "mime", "why"),
    [
        pytest.param("document", b"<html><script>", "application/pdf", "unknown_type", id="page"),
        pytest.param("document", b"<svg onload='x'/>", "image/svg+xml", "unknown_type", id="svg"),
        pytest.param("image", b"%PDF-1.7", "image/jpeg", "wrong_kind", id="document-as-photo"),
        pytest.param("document", b"", "application/pdf", "unknown_type", id="empty"),
    ],
)
async def test_a_file_that_is_not_what_it_says_is_refused(
    at_work: Fetching, kind: MediaKind, data: bytes, mime: str, why: str
) -> None:
    fetch = await at_work.sends(kind, data, mime)

    assert lost(await at_work.serve(fetch)).why == why
    assert await at_work.kept(fetch) is None


@pytest.mark.parametrize("fault", ["media_damaged", "media_swapped"])
async def test_bytes_that_are_not_the_announced_ones_are_never_kept(
    at_work: Fetching, fault: str
) -> None:
    fetch = await at_work.photo()
    await at_work.stage.faults(**{fault: -1})

    assert isinstance(await at_work.serve(fetch), Again)
    outcome = await at_work.serve(fetch, tries=DAMAGED_TRIES_MAX)

    assert isinstance(outcome, Dead)
    assert lost(outcome).why == "damaged"
    assert await at_work.kept(fetch) is None


async def test_a_file_that_was_damaged_once_is_fetched_again(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    await at_work.stage.faults(media_damaged=1)

    assert isinstance(await at_work.serve(fetch), Again)
    assert await at_work.serve(fetch, tries=2) == Done()


async def test_a_file_without_end_is_cut_off_at_the_limit_of_its_kind(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    await at_work.stage.faults(media_endless=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    outcome = await at_work.serve(fetch)

    assert lost(outcome).why == "too_large"
    assert await at_work.kept(fetch) is None
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb * 1024 < HEARD_MAX["image"] * 4  # it was never in memory as a whole, nor twice


async def test_a_file_that_is_announced_as_too_large_is_not_even_begun(at_work: Fetching) -> None:
    fetch = await at_work.sends("sticker", bytes(HEARD_MAX["sticker"] + 1), "image/webp")

    assert lost(await at_work.serve(fetch)).why == "too_large"


@pytest.mark.parametrize(
    "id",
    [
        "../100000000000001/subscribed_apps",
        "123?access_token=x",
        "123/../../v1.0/me",
        "",
        "1 2",
        "é",
    ],
)
async def test_an_id_that_is_a_path_asks_for_nothing(at_work: Fetching, id: str) -> None:
    fetch = FetchMedia(
        TENANT, CHANNEL, Wamid("w1"), Attachment("image", id), at_work.clock.now_ms()
    )

    assert lost(await at_work.serve(fetch)).why == "gone"


# ------------------------------------------------------------------ outages and ends


async def test_an_id_that_meta_does_not_know_any_more_is_lost(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    await at_work.stage.faults(media_gone=1)

    assert lost(await at_work.serve(fetch)).why == "gone"


async def test_after_a_week_it_is_not_asked_for(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    at_work.clock.shift(AGE_MS_MAX + 1)

    assert lost(await at_work.serve(fetch)).why == "expired"


async def test_a_token_that_ran_out_is_waited_for_without_counting(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    at_work.book.tokens[CHANNEL] = "an-old-token"

    outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.counts) == ("token", False)


async def test_a_channel_without_a_token_is_waited_for(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    at_work.book.tokens.clear()

    outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.counts) == ("no_channel", False)


async def test_meta_out_of_reach_is_waited_for_without_counting(
    at_work: Fetching, free_port: int
) -> None:
    fetch = await at_work.photo()
    nobody = f"http://127.0.0.1:{free_port}"
    async with Outside.open(trusted=frozenset((nobody,))) as outside:
        at_work.fetcher._client = MediaClient(outside, base_url=nobody, version="v26.0")
        outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.counts) == ("unreachable", False)


async def test_dead_urls_without_end_are_given_up_and_told(at_work: Fetching) -> None:
    fetch = await at_work.photo()
    await at_work.stage.faults(media_url_dead=-1)

    assert isinstance(await at_work.serve(fetch), Again)
    outcome = await at_work.serve(fetch, tries=TRIES_MAX)
    assert isinstance(outcome, Dead)
    assert lost(outcome).why == "unavailable"


async def test_a_database_that_is_down_is_waited_for_before_anything_is_fetched(
    at_work: Fetching, free_port: int
) -> None:
    fetch = await at_work.photo()
    async with Database.open(f"postgresql://nobody@127.0.0.1:{free_port}/none") as down:
        at_work.library._database = down
        outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.counts) == ("files_down", False)


async def test_slow_files_leave_room_for_others(at_work: Fetching) -> None:
    """What is over the bound goes back to its lane at once, so that conversations are carried beside it."""
    fetch = await at_work.photo()
    await at_work.stage.faults(media_slow_ms=60_000)
    slow = [asyncio.create_task(at_work.serve(fetch)) for _ in range(AT_ONCE_MAX)]
    await at_work.stage.until_all_wait(AT_ONCE_MAX)

    outcome = await at_work.serve(fetch)

    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.counts) == ("busy", False)
    await at_work.stage.shift(60_000)
    assert set(await asyncio.gather(*slow)) == {Done()}


async def test_what_cannot_be_read_is_set_aside(at_work: Fetching) -> None:
    item = Item(
        id=ItemId(f"media/{CONVERSATION}:1-0"),
        conversation=CONVERSATION,
        body=b"{",
        tries=1,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )
    assert await at_work.fetcher.serve(item) == Dead("unreadable")
