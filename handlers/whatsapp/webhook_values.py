"""What the body of a webhook says: values that `codec` makes of it."""

from typing import Literal

from msgspec import Struct

from flows.dialog.events import Heard
from flows.values.ids import ItemId, Wamid
from handlers.care import Change
from handlers.events import MovedWhy, Sender

StatusKind = Literal["sent", "delivered", "read", "played", "failed"]


class Parsed(Struct, frozen=True):
    """One message, and the number that it was sent to."""

    phone_number_id: str
    sender: Sender
    heard: Heard


class Status(Struct, frozen=True):
    """One delivery status. The fields are those of `handlers.journal.StatusSeen`."""

    phone_number_id: str
    wamid: Wamid
    status: StatusKind
    at: int
    item: ItemId = ItemId("")
    category: str = ""
    price_type: str = ""
    code: int = 0
    country: str = ""


class Move(Struct, frozen=True):
    """Somebody changed their number, their BSUID or their device."""

    phone_number_id: str
    id: Wamid
    sender: Sender
    """Under the addresses that they had."""
    why: MovedWhy
    at: int
    phone: str = ""
    """The new wa_id, if it was told."""


class Preference(Struct, frozen=True):
    """Somebody stopped offers, or let them come again, in WhatsApp's own settings."""

    phone_number_id: str
    """Empty when only the account is named: then it holds for all its numbers."""
    waba_id: str
    sender: Sender
    marketing: bool
    at: int


class Notice(Struct, frozen=True):
    """Something that is counted and logged."""

    name: str
    """A webhook field of `codec.FIELDS`, or what was wrong with an item; a closed vocabulary."""
    waba_id: str = ""
    event: str = ""
    """Meta's word for what happened, e.g. DISABLED_UPDATE; empty if it was not a plain word."""


class Webhook(Struct, frozen=True):
    """What one body said."""

    messages: list[Parsed]
    statuses: list[Status]
    notices: list[Notice]
    changes: list[Change] = []
    echoes: list[Parsed] = []
    """What the firm's own people wrote from the app; `sender` is the person they wrote to."""
    moves: list[Move] = []
    preferences: list[Preference] = []
