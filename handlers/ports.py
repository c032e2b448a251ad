"""What the rooms of this floor need of the bot. Implemented above, handed over by `bot/app.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from msgspec import Struct

from flows.dialog.ctx import Firm
from flows.dialog.events import Heard
from flows.values.ids import ChannelId, ConversationId, ItemId, TenantId, Wamid
from handlers.events import Event, MovedWhy, Sender
from handlers.journal import Record, StatusSeen

# ------------------------------------------------------------------ hearing


class StoreDownError(Exception):
    """The lanes cannot take anything now: answer 503, the other side will repeat it."""


class Channel(Struct, frozen=True, omit_defaults=True):
    """One WhatsApp business number, as the directory knows it."""

    id: ChannelId
    tenant: TenantId
    phone_number_id: str
    waba_id: str
    display_phone: str
    portfolio_id: str = ""
    platform: bool = False
    """SmarterOS's own number: login codes and onboarding go through it."""
    throughput: int = 80
    """Messages a second that Meta lets this number send: 80, up to 1,000 after an upgrade."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as heard, before it is known whose conversation it belongs to."""

    channel: Channel
    sender: Sender
    heard: Heard


@dataclass(frozen=True, slots=True)
class Echo:
    """What somebody of the firm wrote from the WhatsApp Business app."""

    channel: Channel
    sender: Sender
    """The person they wrote to."""
    heard: Heard


@dataclass(frozen=True, slots=True)
class Move:
    """A person changed their number, their BSUID or their device."""

    channel: Channel
    sender: Sender
    """Under the addresses that they had."""
    id: Wamid
    why: MovedWhy
    at: int
    """Seconds since the epoch, by Meta's clock."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A person stopped offers, or let them come again, in WhatsApp's own settings."""

    channel: Channel
    sender: Sender
    marketing: bool
    at: int
    """Seconds since the epoch, by Meta's clock."""


Happening = Echo | Move | Preference
"""What is told of a person, and is no message of theirs."""


class Directory(Protocol):
    """Tenants and channels, from memory; refreshed behind the scenes. Never waits for PostgreSQL."""

    def channel_by_number(self, phone_number_id: str) -> Channel | None: ...

    def channel(self, channel: ChannelId) -> Channel | None: ...

    def channels_of_waba(self, waba_id: str) -> Sequence[Channel]:
        """All numbers of a WhatsApp Business Account; empty if there is none in the directory."""
        ...

    def firm(self, tenant: TenantId) -> Firm | None: ...

    def token(self, channel: ChannelId) -> str:
        """The Graph token of a channel; empty when none was given."""
        ...


class Intake(Protocol):
    """Makes what was heard durable."""

    async def hear(
        self,
        arrivals: Sequence[Arrival],
        statuses: Sequence[StatusSeen],
        happenings: Sequence[Happening] = (),
    ) -> None:
        """Put each message into its conversation's lane and record each status: all of it, once.

        Repeating it is harmless: a message is known by its wamid, a status by (wamid, status).
        A `failed` status also wakes its conversation. It answers within a few seconds, whatever the store does.

        Raises:
            StoreDownError: something may not be durable; nothing may be acknowledged.
        """
        ...

    def turned_away(self) -> None:
        """Something genuine was refused unread, to be repeated: there may have been statuses in it."""
        ...


# ------------------------------------------------------------------ serving


class Before(Enum):
    """What is known about the last attempt at an item."""

    CLEAN = "clean"  # never tried, or given back before anything left the process
    VANISHED = "vanished"  # the last holder vanished: the effect may have happened
    DOUBTED = "doubted"  # a doubt was stated, and its waiting time has passed without a proof


@dataclass(frozen=True, slots=True)
class Item:
    """The head of an action lane, leased to us."""

    id: ItemId
    conversation: ConversationId
    body: bytes
    tries: int
    """1 = the first time it is taken."""
    before: Before
    proof: bytes | None
    """What `Intake` learnt about this very item: the wamid of a status that names it."""
    is_ours: Callable[[], bool]
    """Whether the lease surely still holds. False after a standstill of this process: another may be at work on it.

    Ask at the very last moment before anything that cannot be repeated leaves the process.
    """


@dataclass(frozen=True, slots=True)
class Done:
    """It took effect (or needs none): the item goes, its records and its event are committed with it."""

    records: tuple[Record, ...] = ()
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Nothing left the process, or the other side said try later: the lane rests, then the item is tried again."""

    after_ms: int
    why: str
    counts: bool = True
    """Whether this attempt counts towards the dead letter; waiting for a limit does not."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """It may have taken effect: rest until a proof arrives or the time is up."""

    after_ms: int
    why: str
    counts: bool = True
    """As `Again.counts`."""


@dataclass(frozen=True, slots=True)
class Dead:
    """It cannot be done: set aside as a dead letter, tell the conversation."""

    why: str
    """Name of the fault; no personal data."""
    records: tuple[Record, ...] = ()
    event: Event | None = None


Outcome = Done | Again | Doubt | Dead


class Handler(Protocol):
    """Serves the items of one kind of action lane."""

    @property
    def kind(self) -> str:
        """First part of the lane's name: `wa`, `desk` …"""
        ...

    async def serve(self, item: Item) -> Outcome:
        """Do what the item asks, within limits of its own.

        A lease is not renewed for ever: an item that takes longer than two minutes counts as vanished. An exception
        counts as `Doubt`: something may have left the process.
        """
        ...


class Limits(Protocol):
    """Rates that all replicas share."""

    async def take(self, name: str, *, per_s: float, burst: int) -> int:
        """Take one token of the bucket `name`; answers how many ms to wait first (0 = go now, token taken)."""
        ...


class IntakeHealth(Protocol):
    async def healthy_ms(self) -> int:
        """For how long our intake has been up without a gap, in ms; 0 while it is down or unknown."""
        ...


class Clock(Protocol):
    def now_ms(self) -> int:
        """ms since the epoch; the emulator can move it."""
        ...
