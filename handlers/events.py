"""What lies in a conversation's lane: things that happened to it."""

from typing import Literal

from msgspec import Raw, Struct

from flows.dialog.events import FileLost, Heard, Result
from flows.intents import AnyIntent
from flows.values.ids import ChannelId, ContactId, ItemId, MessageId, TenantId, Wamid
from handlers.actions import Say


class Sender(Struct, frozen=True, omit_defaults=True):
    """Who wrote, as the channel told it. At least one of `wa_id` and `bsuid` is there."""

    wa_id: str = ""
    """Digits of the phone as WhatsApp keeps it; absent for people who go by a username."""
    bsuid: str = ""
    """Business-scoped user id, `CL.…`, scoped to the channel's Meta portfolio."""
    name: str = ""
    username: str = ""


class Arrived(Struct, frozen=True, omit_defaults=True, tag="arrived"):
    """A message of the person."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    sender: Sender
    heard: Heard
    received: int = 0
    """When we took it, ms since the epoch by our clock: what a pause between messages is measured from."""
    early: bool = False
    """An edit or a revoke that came before the message it is about."""


class Echoed(Struct, frozen=True, omit_defaults=True, tag="echoed"):
    """Somebody of the firm wrote to the person from the WhatsApp Business app of the same number."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    sender: Sender
    """The person it was written to."""
    heard: Heard


class Preferred(Struct, frozen=True, omit_defaults=True, tag="preferred"):
    """The person stopped offers, or let them come again, in WhatsApp's own settings."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    sender: Sender
    marketing: bool
    at: int
    """Seconds since the epoch, by Meta's clock."""


MovedWhy = Literal[
    "number",    # they changed their number, and with it their BSUID
    "user_id",   # only their BSUID changed
    "identity",  # same number, another device or installation: it may be somebody else
    "recycled",  # their number writes under the BSUID of somebody else
]  # fmt: skip


class Moved(Struct, frozen=True, omit_defaults=True, tag="moved"):
    """A contact is no longer surely who they were: nothing that was proved before counts."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    sender: Sender
    """The addresses that they had."""
    why: MovedWhy
    at: int
    """Seconds since the epoch."""
    phone: str = ""
    """The new wa_id, if it was told."""


class Joined(Struct, frozen=True, omit_defaults=True, tag="joined"):
    """This contact proved to be another one: what is here goes over to their conversation."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    into: ContactId
    sender: Sender
    """Both addresses, as they came together."""


class HandedOver(Struct, frozen=True, omit_defaults=True, tag="handed_over"):
    """What another conversation was, until its contact proved to be this one."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    sender: Sender
    state: Raw
    """JSON of `bot.engine.conversation.Conversation`."""


class Answered(Struct, frozen=True, tag="answered"):
    """A call came back."""

    result: Result


class Refused(Struct, frozen=True, omit_defaults=True, tag="refused"):
    """A message that will not reach the person as it was asked, and why.

    Told by the sender before it posts (`window`, `limit` …) or by Meta, at once or in a `failed` status.
    """

    ref: str
    """The message's own reference (`Say.ref`); empty when only Meta's ids are known."""
    fault: str
    """Name of the fault in the sender's closed vocabulary, e.g. `window_closed`."""
    code: int = 0
    """Meta's error code; 0 when we refused it ourselves."""
    item: ItemId = ItemId("")
    wamid: Wamid = Wamid("")
    say: Say | None = None
    """What was to be said; None as long as only a status has told of it."""
    replaced: bool = False
    """Its template went in its place: nothing is left to say."""


class Cap(Struct, frozen=True, array_like=True):
    """How much bulk one person may get."""

    messages: int
    days: int


class Permission(Struct, frozen=True):
    """What the person allowed the firm elsewhere, as the firm says, who must be able to prove it."""

    purpose: Literal["notices", "marketing"]
    evidence: str
    """Where and how they did."""


class Proposed(Struct, frozen=True, omit_defaults=True, tag="proposed"):
    """The firm's own system wants something said to the person."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    id: MessageId
    """Becomes the message's reference (`Say.ref`)."""
    intent: AnyIntent
    expires: int
    """Of no use from this moment on, ms since the epoch."""
    sender: Sender = Sender()
    """Addresses of the person, for a conversation that has none yet."""
    locale: str = ""
    """Language to say it in, unless the person chose one; empty for the firm's."""
    waits: bool = False
    """Say it once the person writes, rather than as a template."""
    permission: Permission | None = None
    cap: Cap | None = None
    """Of a campaign's message; None for one that was asked for by itself."""


Event = (
    Arrived
    | Answered
    | Refused
    | Proposed
    | Echoed
    | Preferred
    | Moved
    | Joined
    | HandedOver
    | FileLost
)
"""Tagged by msgspec: one JSON object each."""
