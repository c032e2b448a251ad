"""A message that shows a file of ours: the file goes up first, and if it cannot, words and a link go instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.json import encode

from bot.people.channels import add_channel
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.dialog.content import Content, Document, Image, OurFile, Text, WebFile
from flows.values.ids import ConversationId, FileId, ItemId
from handlers.actions import Say
from handlers.outside import Outside
from handlers.ports import Again, Before, Done, Item, Outcome, StoredFile
from handlers.whatsapp.client import Graph
from handlers.whatsapp.emulator import content as shown
from handlers.whatsapp.http import Origin
from handlers.whatsapp.media_client import MediaClient
from handlers.whatsapp.serve import WhatsAppSender
from handlers.whatsapp.uploads import Uploads
from tests.handlers.whatsapp.doubles import (
    CHANNEL,
    LETTERS,
    TENANT,
    Bucket,
    Carer,
    Health,
    People,
    Purse,
    form_tokens,
)
from tests.handlers.whatsapp.emulator.stage import ANA, SOL
from tests.handlers.whatsapp.test_media import PHOTO, Fetching, fetching
from tests.handlers.whatsapp.test_uploads import keep, went_up

ITEM = ItemId("wa/8a0bb3de-1111-4222-8333-444455556666:5-0")
DAY_MS = 24 * 3_600_000


@dataclass
class Sending:
    at_work: Fetching
    sender: WhatsAppSender

    async def sends(self, content: Content) -> Outcome:
        now = self.at_work.clock.now_ms()
        say = Say(TENANT, CHANNEL, "ref", content, now, to=ANA, open_until=now + DAY_MS)
        return await self.sender.serve(
            Item(
                id=ITEM,
                conversation=ConversationId("8a0bb3de-1111-4222-8333-444455556666"),
                body=encode(say),
                tries=1,
                before=Before.CLEAN,
                proof=None,
                is_ours=lambda: True,
            )
        )

    def seen(self) -> list[object]:
        """What Ana sees of the bot."""
        world = self.at_work.stage.emulator.world
        [person] = world.people.values()
        return [m.content for m in world.messages(SOL.id, person.id) if m.outbound]


@asynccontextmanager
async def sending(at_work: Fetching, database: Database) -> AsyncIterator[Sending]:
    channel = at_work.book.channels[CHANNEL]
    await add_channel(database, SecretBox((Key("k1", bytes(32)),)), channel, token=SOL.token)
    await at_work.stage.knows()
    address = at_work.stage.address
    origin = Origin(address)
    async with Outside.open(trusted=frozenset((address,))) as outside:
        media = MediaClient(outside, base_url=address, version="v26.0")
        sender = WhatsAppSender(
            Graph(origin, version="v26.0"),
            directory=at_work.book,
            standings=People(),
            limits=Bucket(),
            budget=Purse(),
            intake=Health(),
            care=Carer(),
            clock=at_work.clock,
            meter=at_work.counts,
            jitter=lambda: 0.0,
            uploads=Uploads(media, at_work.library, clock=at_work.clock, meter=at_work.counts),
            forms=form_tokens(at_work.book),
            letters=LETTERS,
        )
        yield Sending(at_work, sender)
        await sender.close()
    origin.close()


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Sending]:
    async with fetching(database, tmp_path) as at_work, sending(at_work, database) as desk:
        yield desk


def photo(file: StoredFile, caption: str = "Así queda") -> Image:
    return Image(OurFile(FileId(file.id)), caption)


async def test_the_file_goes_up_and_then_the_message_that_shows_it(desk: Sending) -> None:
    file = await keep(desk.at_work)

    assert isinstance(await desk.sends(photo(file)), Done)
    assert isinstance(await desk.sends(photo(file)), Done)

    first, second = desk.seen()
    assert isinstance(first, shown.Medium)
    assert first == second
    found = desk.at_work.stage.emulator.media.find(
        first.source, now_ms=desk.at_work.stage.clock.now_ms()
    )
    assert found is not None
    assert (found.data, went_up(desk.at_work)) == (PHOTO, 1)


async def test_a_file_that_meta_lost_before_its_time_goes_up_once_more(desk: Sending) -> None:
    file = await keep(desk.at_work)
    await desk.sends(photo(file))
    desk.at_work.stage.emulator.media.reset()

    assert isinstance(await desk.sends(photo(file)), Done)

    assert (len(desk.seen()), went_up(desk.at_work)) == (2, 2)


async def test_a_file_that_meta_does_not_take_is_given_as_words_and_a_link(desk: Sending) -> None:
    file = await keep(desk.at_work)
    await desk.at_work.stage.faults(upload_refused=-1)

    assert isinstance(await desk.sends(photo(file)), Done)

    [words] = desk.seen()
    assert isinstance(words, shown.Text)
    caption, link = words.body.split("\n")
    assert caption == "Así queda"
    assert await desk.at_work.library.linked(link.rpartition("/")[2]) == file


async def test_an_upload_that_stumbled_once_is_done_again(desk: Sending) -> None:
    file = await keep(desk.at_work)
    await desk.at_work.stage.faults(upload_refused=1)

    await desk.sends(photo(file))

    assert isinstance(desk.seen()[0], shown.Medium)


async def test_a_file_that_is_too_large_for_meta_is_given_as_a_link(desk: Sending) -> None:
    file = await keep(desk.at_work, PHOTO + bytes(5_000_000))

    assert isinstance(await desk.sends(photo(file, "")), Done)

    [words] = desk.seen()
    assert isinstance(words, shown.Text)
    assert words.body.startswith("https://bot.example/media/")
    assert went_up(desk.at_work) == 0


async def test_a_file_whose_time_is_over_is_refused_and_told(desk: Sending) -> None:
    file = await keep(desk.at_work)
    desk.at_work.clock.shift(91 * DAY_MS)

    outcome = await desk.sends(photo(file))

    assert isinstance(outcome, Done)
    assert outcome.event is not None
    assert outcome.event.fault == "gone"  # type: ignore[union-attr]  # the one kind there is
    assert desk.seen() == []


async def test_a_token_that_ran_out_rests_the_number_and_keeps_the_message(desk: Sending) -> None:
    file = await keep(desk.at_work)
    desk.at_work.book.tokens[CHANNEL] = "an-old-token"

    outcome = await desk.sends(photo(file))

    assert isinstance(outcome, Again)
    assert (outcome.why, outcome.counts) == ("token", False)


async def test_a_file_of_the_web_is_metas_to_fetch(desk: Sending) -> None:
    linked = Document(WebFile("https://sol.example/carta.pdf"), "carta.pdf")

    assert isinstance(await desk.sends(linked), Done)

    assert went_up(desk.at_work) == 0
    [medium] = desk.seen()
    assert isinstance(medium, shown.Medium)
    assert medium.source == "https://sol.example/carta.pdf"


async def test_a_file_does_not_go_up_for_words(desk: Sending) -> None:
    assert isinstance(await desk.sends(Text("hola")), Done)
    assert went_up(desk.at_work) == 0
