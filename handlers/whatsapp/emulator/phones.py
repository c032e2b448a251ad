"""The people's phones: what they send goes to the bot as webhooks, what they receive comes back as statuses."""

import asyncio
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from handlers.ports import Clock
from handlers.whatsapp.emulator import updates
from handlers.whatsapp.emulator.content import Heard, Medium, Picture, Reaction, Sticker, Voice
from handlers.whatsapp.emulator.feed import Changed, ChatChanged, Feed
from handlers.whatsapp.emulator.media import Media, StoredMedium
from handlers.whatsapp.emulator.updates import Update
from handlers.whatsapp.emulator.waits import Chores, Waits
from handlers.whatsapp.emulator.webhooks import Webhooks
from handlers.whatsapp.emulator.witness import Witness
from handlers.whatsapp.emulator.world import (
    Accepted,
    Message,
    NumberId,
    PersonId,
    Status,
    World,
    WorldError,
)

STATUSES_FIRST_S: Final = 5.0  # for how long an answer waits for its statuses to be taken


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the steps of a message take, in ms after the step before."""

    sent_ms: int = 60
    delivered_ms: int = 140
    read_ms: int = 400


class Phones:
    """Carries messages between the world and the bot."""

    def __init__(
        self,
        *,
        world: World,
        webhooks: Webhooks,
        feed: Feed,
        clock: Clock,
        waits: Waits,
        chores: Chores,
        media: Media,
        pace: Pace,
        witness: Witness | None,
    ) -> None:
        self._world = world
        self._media = media
        self._webhooks = webhooks
        self._feed = feed
        self._clock = clock
        self._waits = waits
        self._chores = chores
        self._pace = pace
        self._witness = witness

    def write(
        self,
        number: NumberId,
        person: PersonId,
        content: Heard,
        *,
        quotes: str = "",
        ad: bool = False,
    ) -> Message:
        """A person sends something.

        Raises:
            WorldError: they cannot.
        """
        content, medium = self._with_file(number, content)
        message = self._world.hear(
            number, person, content, now_ms=self._clock.now_ms(), quotes=quotes, ad=ad
        )
        self.tell(message)
        update = updates.heard(
            message,
            number=self._world.numbers[number],
            person=self._world.people[person],
            medium=medium,
        )
        _ = self._webhooks.put(update)  # its future is for those who have to wait
        return message

    def _with_file(self, number: NumberId, content: Heard) -> tuple[Heard, StoredMedium | None]:
        """The content and the file that it shows; what was given none gets a sample."""
        now_ms = self._clock.now_ms()
        match content:
            case Picture(media=""):
                found = self._media.sample(number, "photo.jpg", "image/jpeg", now_ms=now_ms)
            case Voice(media=""):
                found = self._media.sample(
                    number, "voice.ogg", "audio/ogg; codecs=opus", now_ms=now_ms
                )
            case Sticker(media=""):
                found = self._media.sample(number, "sticker.webp", "image/webp", now_ms=now_ms)
            case Picture(media=id) | Voice(media=id) | Sticker(media=id) | Medium(source=id):
                given = self._media.find(id, now_ms=now_ms)
                if given is None or given.number != number:
                    raise WorldError("no such file")
                return content, given
            case _:
                return content, None
        return replace(content, media=found.id), found

    def taken(self, update: Update) -> None:
        """The bot took a webhook: a person's message has arrived."""
        if not update.is_status:
            self._mark(update.wamid, "delivered")

    def receive(self, accepted: Accepted) -> None:
        """A message of the business is on its way to the person: its statuses follow."""
        self._arrive(accepted.message)
        self._chores.begin(self._travel(accepted, asyncio.Event()))

    async def receive_at_once(self, accepted: Accepted) -> None:
        """As `receive`, but return only when the bot has had the statuses, or does not take them."""
        self._arrive(accepted.message)
        arrived = asyncio.Event()
        self._chores.begin(self._travel(accepted, arrived))
        try:
            async with asyncio.timeout(STATUSES_FIRST_S):
                await arrived.wait()
        except TimeoutError:
            return

    def watch(self, number: NumberId, person: PersonId, *, watching: bool) -> None:
        """The person opens the chat, and so reads it; or leaves it."""
        read = self._world.watch(number, person, watching=watching)
        self._feed.tell(ChatChanged(self._world.summary(number, person)))
        for message in read:
            self._step(message.wamid, "read")

    def read_by_business(self, number: NumberId, wamid: str, *, typing: bool) -> None:
        """The business marks a message read, perhaps with typing dots.

        Raises:
            GraphError: there is no such message.
        """
        changed = self._world.business_reads(
            number, wamid, now_ms=self._clock.now_ms(), typing=typing
        )
        for message in changed:
            self.tell(message)
        marked = self._world.message(wamid)
        if marked is not None and typing:
            self._feed.tell(ChatChanged(self._world.summary(number, marked.person)))

    def tell(self, message: Message) -> None:
        if self._feed.is_read:
            self._feed.tell(Changed(message, self._world.summary(message.number, message.person)))

    def _arrive(self, message: Message) -> None:
        if self._witness is not None:
            self._witness.accepted(message)
        self.tell(message)

    async def _travel(self, accepted: Accepted, arrived: asyncio.Event) -> None:
        wamid = accepted.message.wamid
        posted = []
        await self._waits.during(self._pace.sent_ms)
        if accepted.fails:
            posted.append(self._step(wamid, "failed", code=accepted.fails))
        else:
            posted.append(self._step(wamid, "sent"))
        # Meta: a reaction is sent, and nothing more is heard of it.
        if not accepted.fails and not isinstance(accepted.message.content, Reaction):
            await self._waits.during(self._pace.delivered_ms)
            posted.append(self._step(wamid, "delivered"))
            if self._world.watches(accepted.message.number, accepted.message.person):
                await self._waits.during(self._pace.read_ms)
                posted.append(self._step(wamid, "read"))
        await asyncio.gather(*(future for future in posted if future is not None))
        arrived.set()

    def _step(self, wamid: str, status: Status, *, code: int = 0) -> asyncio.Future[None] | None:
        message = self._mark(wamid, status, code=code)
        if message is None:
            return None
        return self._webhooks.put(
            updates.status(
                message,
                message.marks[-1],
                number=self._world.numbers[message.number],
                person=self._world.people[message.person],
            )
        )

    def _mark(self, wamid: str, status: Status, *, code: int = 0) -> Message | None:
        message = self._world.mark(wamid, status, now_ms=self._clock.now_ms(), code=code)
        if message is not None:
            self.tell(message)
        return message
