"""What the rooms of this floor need of the bot. Implemented above, handed over by `bot/app.py`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from flows.dialog.ctx import Firm
from flows.dialog.events import Attachment, Heard, MediaKind
from flows.values.ids import (
    NO_CONVERSATION,
    ChannelId,
    ConversationId,
    FileId,
    ItemId,
    TenantId,
    Wamid,
)
from flows.window import Category, Terms, Window
from handlers.actions import FormTicket
from handlers.care import Change
from handlers.events import Event, MovedWhy, Sender
from handlers.journal import Record, StatusSeen

# ------------------------------------------------------------------ hearing


class StoreDownError(Exception):
    """The lanes cannot take anything now: answer 503, the other side will repeat it."""


THROUGHPUT: Final = 80  # Meta: messages a second of a number ...
THROUGHPUT_MAX: Final = 1_000  # ... and after an upgrade


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
    demo: bool = False
    """SmarterOS's number on which any firm's bot can be tried out."""
    throughput: int = THROUGHPUT
    """Messages a second that Meta lets this number send."""


class Template(Struct, frozen=True, omit_defaults=True):
    """One template of a WABA in one language, as Meta said last."""

    name: str
    locale: str
    """As Meta writes it: es_CL, en."""
    status: str
    """APPROVED, PAUSED, REJECTED, DISABLED, PENDING …: it may be sent if and only if it is APPROVED."""
    category: Category
    quality: str = "UNKNOWN"
    """GREEN, YELLOW, RED or UNKNOWN."""
    parameters: tuple[str, ...] = ()
    """Names of the body's parameters, in order; positional ones are named `1`, `2` …"""


class Care(Protocol):
    """Whatever befalls numbers and accounts, durable until somebody has taken care of it. Never waits for PostgreSQL."""

    async def hear(self, changes: Sequence[Change]) -> None:
        """Keep what Meta says, each change once.

        Raises:
            StoreDownError: something may not be durable; nothing may be acknowledged.
        """
        ...

    async def trouble(self, channel: ChannelId, fault: str, code: int) -> None:
        """Meta refuses what we send, and somebody has to mend it. Told again within a minute, it is not kept again.

        Raises:
            StoreDownError: it may not be durable.
        """
        ...

    async def recovered(self, channel: ChannelId) -> None:
        """Meta took a message on a channel that is held. Raises as `trouble`."""
        ...

    async def examine(self, channel: Channel) -> None:
        """Ask Meta about it soon. Raises as `trouble`."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as heard, before it is known whose conversation it belongs to."""

    channel: Channel
    sender: Sender
    heard: Heard
    answers: ConversationId = NO_CONVERSATION
    """The conversation that a form was opened in, as its ticket says. In any other its content counts for nothing."""


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
    phone: str = ""
    """The new wa_id, if it was told."""


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

    async def look_again(self) -> bool:
        """Wait until the directory was read anew, after this was asked; True = what is not there now was in no directory.

        For whoever misses something that may just have been added. Reads are shared, one a second at most; False =
        it could not be read within a few seconds.
        """
        ...

    def channel(self, channel: ChannelId) -> Channel | None: ...

    def firm(self, tenant: TenantId) -> Firm | None: ...

    def token(self, channel: ChannelId) -> str:
        """The Graph token of a channel; empty when none was given."""
        ...

    def siblings(self, channel: Channel) -> Sequence[Channel]:
        """The tenant's channels of the same WhatsApp Business Account, itself first: they share their forms."""
        ...

    def form_keys(self, channel: ChannelId) -> str:
        """The private keys that a channel's forms are read with, as PEM; empty when there is none."""
        ...

    def channels_of(self, account: str) -> tuple[Channel, ...]:
        """The channels of a WABA or, if it is the id of one, of a Meta portfolio; of all firms that share it."""
        ...

    def template(self, channel: ChannelId, name: str, locale: str) -> Template | None:
        """A template as it stands with the channel's WABA; None when Meta has not told us of it."""
        ...

    def is_held(self, channel: ChannelId) -> str:
        """Why nothing may be sent on the channel now, one word; empty if it may."""
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


class Errands(Protocol):
    """Puts actions into their lanes outside of any turn: for what is heard that is no conversation's."""

    async def put(self, kind: str, about: str, body: bytes, *, mark: str, day: int = 0) -> bool:
        """One item into the lane `<kind>/<keyed hash of about>`, durable when this returns.

        Args:
            about: what is taken in order, one after the other; never seen in a key.
            mark: what makes the item itself: a second one with this mark and day is passed over. Never seen in a key.
            day: of the event's own timestamp, days since the epoch.

        Returns:
            False if it was put before.

        Raises:
            StoreDownError: it may not be durable; nothing may be acknowledged.
        """
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


class Budget(Protocol):
    """What the firms allow to be spent in a month."""

    async def take(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> bool:
        """Whether one more message of that category is paid for; leased from the store in batches like `Limits`.

        Args:
            category: as Meta bills it: service, utility, marketing, authentication.
            answers: whether it answers something the person asked: then the firm's reserve may be used too.
        """
        ...

    def give_back(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> None:
        """What was taken was surely not sent. Best effort: what is not given back is found out by the meter."""
        ...


class Alerts(Protocol):
    """What somebody has to look at: the operator, or the firm."""

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        """Say so, durably; the same one once until it is settled. Never waits for PostgreSQL.

        Args:
            channel: None if it is about the firm as a whole.
            kind: one word of a closed vocabulary.
            about: which one, e.g. the name of a template. No personal data.

        Raises:
            StoreDownError: it may not be durable.
        """
        ...


class Meter(Protocol):
    def count(self, name: str, detail: str = "") -> None:
        """Count one event. Both words come from closed vocabularies: never an id, never a text."""
        ...


class IntakeHealth(Protocol):
    async def healthy_ms(self) -> int:
        """For how long our intake has been up without a gap, in ms; 0 while it is down or unknown."""
        ...


class FormTickets(Protocol):
    """Makes and opens the tokens of forms. Only we can make one; it is good on one channel."""

    def seal(self, channel: Channel, ticket: FormTicket) -> str: ...

    def open(self, channel: Channel, token: str) -> FormTicket | None:
        """None: it is not ours, or not of this channel. Whether its time is over is the caller's question."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What a message that is about to leave must know of the person."""

    window: Window
    terms: Terms
    """As for a message on the firm's own initiative."""


NOBODY: Final = Standing(Window(), Terms(answers=False))
"""How things stand with somebody who never wrote."""


class Standings(Protocol):
    async def standing(self, conversation: ConversationId) -> Standing:
        """How things stand with a person now, as their conversation's last turn left it. One look into the store."""


class CodeLetters(Protocol):
    """Opens what a one-time code travels in, inside the house."""

    def open(self, lane: str, sealed: str) -> tuple[str, str] | None:
        """(wa_id, code). None: it was not sealed by us, or not for this lane (the part after the kind)."""
        ...


class Clock(Protocol):
    def now_ms(self) -> int:
        """ms since the epoch; the emulator can move it."""
        ...


# ------------------------------------------------------------------ files


class FilesDownError(Exception):
    """The files, or what is known of them, cannot be reached now: try again later."""


class StoredFile(Struct, frozen=True, omit_defaults=True):
    """A file of one tenant, as it is kept: its type was told from its bytes."""

    id: FileId
    tenant: TenantId
    kind: MediaKind
    mime: str
    size: int
    """Bytes."""
    sha256: str
    """Hex."""
    name: str = ""
    """As the sender's telephone called it, made safe. It may tell of a person: for people's eyes, never for logs."""


class Draft(Protocol):
    """A file that is being received."""

    @property
    def path(self) -> Path:
        """Where its bytes are for now."""
        ...

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str:
        """Hex, of what has been written so far."""
        ...

    async def write(self, chunk: bytes) -> None:
        """
        Raises:
            FilesDownError: there is no room for it.
        """
        ...


class Files(Protocol):
    """The tenants' files. Equal ones of a tenant are kept once; each is deleted when its time is over.

    Everything but `link` raises FilesDownError.
    """

    def draft(self) -> AbstractAsyncContextManager[Draft]:
        """A place for a file that is being received; what was not kept by the end of the block is gone."""
        ...

    async def keep(
        self, draft: Draft, heard: Attachment, *, tenant: TenantId, mime: str, wamid: Wamid
    ) -> StoredFile:
        """Keep what a person sent with the message `wamid`, once: the second time answers the first one's.

        `mime` was told from the bytes (`handlers.filetypes`).
        """
        ...

    async def of_message(self, tenant: TenantId, wamid: Wamid) -> StoredFile | None:
        """The file that came with a message."""
        ...

    async def of_attachment(self, tenant: TenantId, heard: Attachment) -> StoredFile | None:
        """The same, for who knows only what a flow keeps of it."""
        ...

    async def find(self, tenant: TenantId, file: FileId) -> StoredFile | None:
        """A file by its id; None also for another tenant's, and for one whose time is over."""
        ...

    def read(
        self, file: StoredFile, start: int = 0, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Its bytes from `start` to before `stop`, in pieces; close it (`aclosing`) if they are not all taken.

        Raises:
            FileGoneError: it is not there any more.
        """
        ...

    def link(self, file: StoredFile, *, for_s: int = 900) -> str:
        """An address under which whoever has it may read the file, for so many seconds."""
        ...

    async def uploaded(self, file: StoredFile, channel: ChannelId) -> str:
        """Meta's id of these bytes on this channel; empty when there is none that is still good."""
        ...

    async def remember_upload(
        self, file: StoredFile, channel: ChannelId, meta_id: str, *, until_ms: int
    ) -> None:
        """Meta knows these bytes on this channel as `meta_id`, until that moment (ms since the epoch)."""
        ...


class FileGoneError(Exception):
    """There is no such file, or not any more."""
