"""The records of the journal: what was heard, decided, sent and billed, on its way to PostgreSQL.

Each is one line of JSON. A record may be written twice (a crash between insert and trim), so each names
what makes it unique, and the writer ignores what it has.
"""

from typing import Literal

from msgspec import Struct

from flows.dialog.content import Content, Template
from flows.dialog.events import Heard
from flows.values.ids import (
    CampaignId,
    ChannelId,
    ContactId,
    ConversationId,
    ItemId,
    TenantId,
    Wamid,
)
from handlers.events import MovedWhy, Sender

CampaignStatus = Literal["accepted", "running", "paused", "cancelled", "done"]


class Otherwise(Struct, frozen=True, omit_defaults=True):
    """What is to happen to a message that is not delivered; the fields are those of `handlers.actions.Say`."""

    instead: Template | None = None
    stands_for: tuple[Content, ...] = ()
    answers: bool = True
    expires: int = 0


class Said(Struct, frozen=True, omit_defaults=True):
    """A message that a turn decided to send. Unique by `ref`."""

    ref: str
    content: Content
    otherwise: Otherwise = Otherwise()


class ConsentChange(Struct, frozen=True):
    """A person allowed or withdrew one purpose. Unique by (conversation, turn, purpose)."""

    purpose: Literal["notices", "marketing"]
    granted: bool
    evidence: Wamid
    """The message that said so."""


class Correction(Struct, frozen=True, omit_defaults=True):
    """A message that was journaled before says something else now, or nothing any more. The latest by `at` holds."""

    about: Wamid
    at: int
    """Seconds since the epoch, by Meta's clock."""
    text: str | None = None
    """Its words now; None: it was taken back."""


class TurnRecord(Struct, frozen=True, omit_defaults=True, tag="turn"):
    """One turn: what it heard, decided and said. Unique by (conversation, turn); `heard` by wamid."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    conversation: ConversationId
    turn: int
    at: int
    """ms since the epoch."""
    sender: Sender | None = None
    """The addresses heard in this turn, if any."""
    heard: tuple[Heard, ...] = ()
    said: tuple[Said, ...] = ()
    state: str = ""
    """`<flow>.<state>` after the turn; empty when the conversation is at rest."""
    ended: tuple[str, ...] = ()
    """Flows that came to their end in it, each with one word of how: `signup.opened`. Nothing of what a person said."""
    consents: tuple[ConsentChange, ...] = ()
    handoff: str | None = None
    """A person was asked for; the text is the team, empty for any."""
    by_hand: tuple[Heard, ...] = ()
    """What somebody of the firm wrote to the person from their own phone. Unique by wamid."""
    corrections: tuple[Correction, ...] = ()
    failed: str = ""
    """Why the turn could not run, for a poisoned event that was set aside."""


class SentRecord(Struct, frozen=True, omit_defaults=True, tag="sent"):
    """Meta took a message. Unique by (ref, wamid): one that was not delivered may be sent again."""

    tenant: TenantId
    ref: str
    item: ItemId
    wamid: Wamid
    at: int
    """ms since the epoch."""
    proved: bool = False
    """We learnt it from a status, not from the answer to our request."""
    channel: ChannelId = ChannelId("")
    category: str = ""
    """What we take it to be billed as, until a status tells: see `handlers.ports.Budget`."""
    country: str = ""
    """As `StatusSeen.country`."""
    left_as: Template | None = None
    """The template that went in its place."""
    again: bool = False
    """As `handlers.actions.Say.again`."""


class ParkedRecord(Struct, frozen=True, tag="parked"):
    """A message waits for the person to write. Unique by (ref, at)."""

    tenant: TenantId
    ref: str
    at: int
    """ms since the epoch."""
    until: int
    """When it is given up, ms since the epoch."""


class RefusedRecord(Struct, frozen=True, omit_defaults=True, tag="refused"):
    """A message was refused, by us or by Meta's answer. Unique by (ref, fault)."""

    tenant: TenantId
    ref: str
    item: ItemId
    at: int
    fault: str
    code: int = 0


class StatusSeen(Struct, frozen=True, omit_defaults=True):
    """One delivery status. Unique by (wamid, status)."""

    tenant: TenantId
    wamid: Wamid
    status: Literal["sent", "delivered", "read", "played", "failed"]
    at: int
    """Seconds since the epoch, by Meta's clock."""
    item: ItemId = ItemId("")
    """Our own id, from `biz_opaque_callback_data`; empty for messages we did not send."""
    category: str = ""
    """Meta's `pricing.category`."""
    price_type: str = ""
    """Meta's `pricing.type`: regular (billed), free_customer_service, free_entry_point."""
    code: int = 0
    """Meta's error code of a failed message."""
    channel: ChannelId = ChannelId("")
    country: str = ""
    """ISO code of the recipient's country, which prices go by; empty if it is not told."""


class StatusRecord(Struct, frozen=True, tag="status"):
    """The statuses of one webhook that belong to one shard."""

    statuses: tuple[StatusSeen, ...]


class HandoffRecord(Struct, frozen=True, omit_defaults=True, tag="handoff"):
    """A request for a person was taken up by a desk. Unique by (conversation, seq)."""

    tenant: TenantId
    conversation: ConversationId
    contact: ContactId
    seq: int
    at: int
    note: str
    """What the person wrote, in their words."""
    team: str = ""
    """Empty for any."""
    about: str = ""
    """What it is about when no words say so, e.g. `data.erase`, `file.image`."""


class CampaignRecord(Struct, frozen=True, omit_defaults=True, tag="campaign"):
    """How far a campaign has come. A later one (by `step`) replaces an earlier one."""

    tenant: TenantId
    campaign: CampaignId
    step: int
    status: CampaignStatus
    released: int
    """Messages that were put into their conversations, from the first recipient on."""
    at: int
    """ms since the epoch."""
    waits_for: str = ""
    """Why it does not go on by itself just now, e.g. `quiet_hours`."""


class MovedRecord(Struct, frozen=True, omit_defaults=True, tag="moved"):
    """What a contact proved before does not count any more. Unique by (contact, at, why)."""

    tenant: TenantId
    contact: ContactId
    conversation: ConversationId
    at: int
    """ms since the epoch, by Meta's clock as far as it told."""
    why: MovedWhy
    closed: bool
    """Whether their addresses are theirs no more."""


class JoinedRecord(Struct, frozen=True, tag="joined"):
    """Two contacts proved to be one person. Unique by `contact`."""

    tenant: TenantId
    contact: ContactId
    into: ContactId
    """The one that stays."""
    at: int
    """ms since the epoch."""


Record = (
    TurnRecord
    | SentRecord
    | ParkedRecord
    | RefusedRecord
    | StatusRecord
    | HandoffRecord
    | CampaignRecord
    | MovedRecord
    | JoinedRecord
)
