"""From a request's values to what they stand for: the channel, the person, words that WhatsApp would take."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType

from bot.api.problems import FieldProblem, invalid
from bot.api.values import PermissionRequest, To
from bot.clock import Clock
from bot.engine.proposals import Recipient
from bot.people.contacts import read_senders
from bot.people.directory import Directory
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE
from flows.dialog.content import ContentError
from flows.dialog.ctx import Firm
from flows.dialog.texts import Texts
from flows.intents import Intent, put_into_words
from flows.values.ids import ChannelId, ContactId, TenantId
from flows.values.phone import parse_phone
from handlers.events import Permission, Sender
from handlers.ports import Channel

PROBLEMS_MAX: Final = 50
AT_ONCE: Final = 20
"""Recipients that are looked at before others get a turn of the event loop."""


class Reader:
    """Reads requests of one process."""

    def __init__(
        self, directory: Directory, database: Database, texts: Texts, clock: Clock
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._database = database
        self._texts = texts

    def channel(self, tenant: TenantId, named: UUID | UnsetType) -> Channel:
        """The channel that is named, or the only one.

        Raises:
            ApiError: the tenant has no such channel, or several and none is named.
        """
        # From a demo number nothing is sent unasked.
        channels = [each for each in self._directory.own_channels(tenant) if not each.demo]
        if isinstance(named, UUID):
            for channel in channels:
                if channel.id == ChannelId(str(named)):
                    return channel
            raise invalid(FieldProblem("You have no channel with this id.", pointer="/channel"))
        if len(channels) == 1:
            return channels[0]
        what = "You have several channels: name one." if channels else "You have no channel yet."
        raise invalid(FieldProblem(what, pointer="/channel"))

    async def people(
        self, channel: Channel, asked: Sequence[tuple[To, Intent]], pointers: Sequence[str]
    ) -> list[Recipient]:
        """Each person, and a look at the words for them: all of them do, or nothing is done.

        Raises:
            ApiError: with up to `PROBLEMS_MAX` of the places that do not do.
        """
        firm = self._directory.firm(channel.tenant)
        assert firm is not None, "a channel's tenant is in the directory"
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, ZoneInfo(firm.zone))
        known = await self._senders(channel, [to for to, _ in asked])
        found: list[Recipient] = []
        problems: list[FieldProblem] = []
        seen: dict[object, str] = {}
        for n, ((to, intent), pointer) in enumerate(zip(asked, pointers, strict=True)):
            if n % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            person = _person(to, known)
            if isinstance(person, Recipient):
                found.append(person)
                first = seen.setdefault(person, pointer)
                if first != pointer:
                    problems.append(
                        FieldProblem(f"The same person as {first}/to.", pointer=f"{pointer}/to")
                    )
            else:
                where, what = person
                problems.append(FieldProblem(what, pointer=f"{pointer}/to{where}"))
            if what := self._unfit(intent, firm, now):
                problems.append(FieldProblem(what, pointer=f"{pointer}/message"))
            if len(problems) >= PROBLEMS_MAX:
                break
        if problems:
            raise invalid(*problems)
        return found

    async def _senders(
        self, channel: Channel, people: Sequence[To]
    ) -> dict[ContactId, Sender] | None:
        """The addresses of the contacts that are named; None if PostgreSQL cannot be asked."""
        contacts = {ContactId(str(to.contact)) for to in people if to.contact is not UNSET}
        if not contacts:
            return {}
        try:
            return await read_senders(self._database, channel, contacts)
        except UNAVAILABLE:
            # Their conversation knows them if they ever wrote on this channel; else it refuses.
            return None

    def _unfit(self, intent: Intent, firm: Firm, now: datetime) -> str:
        """Why WhatsApp would not take the words, in any language; empty if it would."""
        try:
            for voice in self._texts.voices():
                put_into_words(intent, firm, voice, now)
        except ContentError as error:
            return str(error)
        return ""


def permission_of(asked: PermissionRequest | UnsetType) -> Permission | None:
    """The permission as the conversation hears it."""
    return None if asked is UNSET else Permission(asked.purpose, asked.evidence)


def _person(to: To, known: dict[ContactId, Sender] | None) -> Recipient | tuple[str, str]:
    """The person, or (where, why not)."""
    match (to.phone, to.bsuid, to.contact):
        case (str() as phone, UnsetType(), UnsetType()):
            number = parse_phone(phone)
            if number is None:
                return "/phone", "No telephone number of that country has so many digits."
            return Recipient(Sender(wa_id=number))
        case (UnsetType(), str() as bsuid, UnsetType()):
            return Recipient(Sender(bsuid=bsuid))
        case (UnsetType(), UnsetType(), UUID() as id):
            contact = ContactId(str(id))
            if known is None:
                return Recipient(Sender(), contact)
            if contact not in known:
                return (
                    "/contact",
                    "You have no contact with this id that can be reached on this channel.",
                )
            return Recipient(known[contact], contact)
        case _:
            return "", "Exactly one of phone, bsuid and contact is expected."
