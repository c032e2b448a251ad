"""Small stand-ins for what the bot hands to this room, with behaviour of their own."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from bot.identity.otp import CodeLetters
from bot.people.tickets import Tickets
from bot.store.secrets import Key, SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, ConversationId, FileId, TenantId
from flows.window import Category
from handlers.care import Change
from handlers.journal import StatusSeen
from handlers.ports import NOBODY, Arrival, Channel, Happening, Standing, StoreDownError, Template
from handlers.whatsapp.form_tokens import FormTokens
from handlers.whatsapp.uploads import UnfitError, Uploads
from tests.handlers.whatsapp.bodies import NUMBER, WABA, WROTE

BOX = SecretBox((Key("k1", bytes(32)),))
TICKETS = Tickets(BOX)
LETTERS = CodeLetters(BOX)
TENANT = TenantId("1a0c7a2e-0000-4000-8000-000000000001")
CHANNEL = ChannelId("1a0c7a2e-0000-4000-8000-000000000002")
TOKEN = "EAAG-token"


class Phonebook:
    """A directory of one channel, and of those that were added and not yet heard of."""

    def __init__(self) -> None:
        self.added: list[Channel] = []
        """Known after the next look."""
        self.readable = True
        self.looks = 0
        self.channels = {
            CHANNEL: Channel(
                id=CHANNEL,
                tenant=TENANT,
                phone_number_id=NUMBER,
                waba_id=WABA,
                display_phone="56911112222",
            )
        }
        self.tokens = {CHANNEL: TOKEN}
        self.held: dict[ChannelId, str] = {}
        self.keys: dict[ChannelId, str] = {}
        self.templates: dict[tuple[ChannelId, str, str], Template] = {}

    def channel_by_number(self, phone_number_id: str) -> Channel | None:
        found = [c for c in self.channels.values() if c.phone_number_id == phone_number_id]
        return found[0] if found else None

    async def look_again(self) -> bool:
        self.looks += 1
        if self.readable:
            self.channels |= {channel.id: channel for channel in self.added}
            self.tokens |= {channel.id: TOKEN for channel in self.added}
        return self.readable

    def channel(self, channel: ChannelId) -> Channel | None:
        return self.channels.get(channel)

    def firm(self, tenant: TenantId) -> Firm | None:
        return Firm(id=tenant, name="Panadería")

    def token(self, channel: ChannelId) -> str:
        return self.tokens.get(channel, "")

    def channels_of(self, account: str) -> tuple[Channel, ...]:
        return tuple(
            c for c in self.channels.values() if account in {c.waba_id, c.portfolio_id} - {""}
        )

    def is_held(self, channel: ChannelId) -> str:
        return self.held.get(channel, "")

    def siblings(self, channel: Channel) -> list[Channel]:
        return [channel, *(other for other in self.channels.values() if other.id != channel.id)]

    def form_keys(self, channel: ChannelId) -> str:
        return self.keys.get(channel, "")

    def template(self, channel: ChannelId, name: str, locale: str) -> Template | None:
        return self.templates.get((channel, name, locale))

    def has(self, name: str, category: Category = "utility", status: str = "APPROVED") -> None:
        """Meta has this template, in Spanish of Chile."""
        self.templates[CHANNEL, name, "es_CL"] = Template(name, "es_CL", status, category)


class Ear:
    """An intake that keeps each message and status once, and counts how often it was called."""

    def __init__(self) -> None:
        self.messages: dict[str, Arrival] = {}
        self.statuses: dict[tuple[str, str], StatusSeen] = {}
        self.happenings: list[Happening] = []
        self.calls = 0
        self.down = False
        self.answers = asyncio.Event()
        """Cleared, it keeps everybody waiting, as a store does that hangs."""
        self.answers.set()
        self.waiting = 0
        self.away = 0

    def turned_away(self) -> None:
        self.away += 1

    async def hear(
        self,
        arrivals: Sequence[Arrival],
        statuses: Sequence[StatusSeen],
        happenings: Sequence[Happening] = (),
    ) -> None:
        self.calls += 1
        if self.down:
            raise StoreDownError("down")
        self.waiting += 1
        await self.answers.wait()
        self.waiting -= 1
        for arrival in arrivals:
            self.messages.setdefault(arrival.heard.id, arrival)
        for status in statuses:
            self.statuses.setdefault((status.wamid, status.status), status)
        self.happenings += happenings


class Carer:
    """Care that remembers what it was told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.troubles: list[tuple[ChannelId, str, int]] = []
        self.recoveries: list[ChannelId] = []
        self.examined: list[ChannelId] = []
        self.down = False

    async def hear(self, changes: Sequence[Change]) -> None:
        self._check()
        self.changes += changes

    async def trouble(self, channel: ChannelId, fault: str, code: int) -> None:
        self._check()
        self.troubles.append((channel, fault, code))

    async def recovered(self, channel: ChannelId) -> None:
        self._check()
        self.recoveries.append(channel)

    async def examine(self, channel: Channel) -> None:
        self._check()
        self.examined.append(channel.id)

    def _check(self) -> None:
        if self.down:
            raise StoreDownError("down")


class People:
    """How things stand with everybody, as a test says."""

    def __init__(self) -> None:
        self.is_so = NOBODY
        self.asked = 0

    async def standing(self, conversation: ConversationId) -> Standing:
        self.asked += 1
        return self.is_so


class Counts:
    """A meter that remembers."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        self.answers: Counter[int] = Counter()

    def answer(self, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.answers[status] += 1

    def count(self, name: str, detail: str = "") -> None:
        self.counted[name, detail] += 1


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = WROTE * 1000

    def now_ms(self) -> int:
        return self.ms

    def passes(self, ms: int) -> None:
        self.ms += ms


def form_tokens(phonebook: Phonebook, *answered: str) -> FormTokens:
    """Of a server whose endpoint answers the forms `answered`, in each locale as it is."""
    return FormTokens(TICKETS, directory=phonebook, answered=answered, spoken=str)


class NoUploads(Uploads):
    """Of a firm without files."""

    def __init__(self) -> None:
        pass

    async def meta_ids(self, *_: object, **__: object) -> dict[FileId, str]:
        raise UnfitError("gone")

    async def links(self, *_: object, **__: object) -> list[str]:
        return []


class Bucket:
    """Limits that say what they are told, and remember who asked."""

    def __init__(self) -> None:
        self.wait_ms = 0
        self.asked: list[tuple[str, float, int]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """Happens while they are asked."""

    async def take(self, name: str, *, per_s: float, burst: int) -> int:
        self.asked.append((name, per_s, burst))
        self.meanwhile()
        return self.wait_ms


class Purse:
    """A budget that pays for as many messages as it is told, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.left = 1_000_000
        self.asked: list[tuple[str, bool]] = []

    async def take(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> bool:
        self.asked.append((category, answers))
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def give_back(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> None:
        self.left += 1


class Health:
    """An intake that has been up for as long as it is told."""

    def __init__(self) -> None:
        self.ms = 3_600_000

    async def healthy_ms(self) -> int:
        return self.ms
