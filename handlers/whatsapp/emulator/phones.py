"""The people's phones: what they send goes to the bot as webhooks, what they receive comes back as statuses."""

import asyncio
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from handlers.ports import Clock
from handlers.whatsapp.emulator import updates
from handlers.whatsapp.emulator.content import (
    Heard,
    Medium,
    Picture,
    Reaction,
    Sticker,
    Text,
    Voice,
)
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.feed import Changed, ChatChanged, Feed
from handlers.whatsapp.emulator.media import Media, StoredMedium
from handlers.whatsapp.emulator.updates import MoveKind, Update
from handlers.whatsapp.emulator.waits import Chores, Waits
from handlers.whatsapp.emulator.webhooks import Webhooks
from handlers.whatsapp.emulator.witness import Witness
from handlers.whatsapp.emulator.world import (
    Accepted,
    Message,
    NumberId,
    Person,
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
        faults: Board,
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
        self._faults = faults
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

    def correct(self, wamid: str, body: str | None) -> Message:
        """A message is changed, or taken back, by whoever wrote it.

        Raises:
            WorldError: it cannot be.
        """
        now_ms = self._clock.now_ms()
        message = self._world.correct(wamid, body, now_ms=now_ms)
        self.tell(message)
        medium = None
        if isinstance(message.content, Picture):
            medium = self._media.find(message.content.media, now_ms=now_ms)
        self._post(
            updates.corrected(
                message,
                wamid=self._world.next_wamid(),
                number=self._world.numbers[message.number],
                person=self._world.people[message.person],
                now_ms=now_ms,
                medium=medium,
            )
        )
        return message

    def write_by_hand(
        self, number: NumberId, person: PersonId, content: Text | Picture | Voice
    ) -> Message:
        """Somebody of the business answers from their phone; the bot hears an echo.

        Raises:
            WorldError: no such number or person.
        """
        if number not in self._world.numbers:
            raise WorldError("no such number")
        shown, medium = self._with_file(number, content)
        assert isinstance(shown, Text | Picture | Voice)
        message = self._world.by_hand(number, person, shown, now_ms=self._clock.now_ms())
        self.tell(message)
        self._post(
            updates.echo(
                message,
                number=self._world.numbers[number],
                person=self._world.people[person],
                medium=medium,
            )
        )
        return message

    def prefer(self, number: NumberId, person: PersonId, *, wants_offers: bool) -> None:
        """The person stops offers, or lets them come again, in WhatsApp's settings."""
        if number not in self._world.numbers or person not in self._world.people:
            raise WorldError("no such number or person")
        self._post(
            updates.preference(
                wants_offers=wants_offers,
                wamid=self._world.next_wamid(),
                number=self._world.numbers[number],
                person=self._world.people[person],
                now_ms=self._clock.now_ms(),
            )
        )

    def move(self, person: PersonId, kind: MoveKind, *, wa_id: str = "") -> Person:
        """The person has another number, another BSUID, or another device: whoever they chatted with hears of it.

        Raises:
            WorldError: no such person, or the phone is taken.
        """
        old = self._world.people.get(person)
        new = self._world.change_person(
            person, wa_id=wa_id if kind == "number" else None, renew_id=kind == "user_id"
        )
        assert old is not None, "changing a person that is not there is refused"
        for number in self._world.numbers_of(person):
            self._post(
                updates.moved(
                    kind,
                    old,
                    new,
                    wamid=self._world.next_wamid(),
                    number=number,
                    now_ms=self._clock.now_ms(),
                )
            )
        return new

    def _post(self, update: Update) -> None:
        _ = self._webhooks.put(update)  # its future is for those who have to wait

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
        if not update.is_status and update.field == "messages":
            self._mark(update.wamid, "delivered")

    def receive(self, accepted: Accepted, *, held_ms: int = 0) -> None:
        """A message of the business is on its way to the person: its statuses follow."""
        self._arrive(accepted.message)
        self._chores.begin(self._travel(accepted, asyncio.Event(), held_ms=held_ms))

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

    async def _travel(
        self, accepted: Accepted, arrived: asyncio.Event, *, held_ms: int = 0
    ) -> None:
        wamid = accepted.message.wamid
        posted = []
        await self._waits.during(held_ms + self._pace.sent_ms)
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
        late = bool(self._faults.of(message.number).price_at_read)
        return self._webhooks.put(
            updates.status(
                message,
                message.marks[-1],
                number=self._world.numbers[message.number],
                person=self._world.people[message.person],
                priced_at=updates.PRICED_LATE if late else updates.PRICED_AT,
                billable=not self._faults.of(message.number).no_billable,
            )
        )

    def _mark(self, wamid: str, status: Status, *, code: int = 0) -> Message | None:
        message = self._world.mark(wamid, status, now_ms=self._clock.now_ms(), code=code)
        if message is not None:
            self.tell(message)
        return message
