"""What lies in a conversation's lane: things that happened to it."""

from msgspec import Struct

from flows.dialog.events import FileLost, Heard, Result
from flows.values.ids import ChannelId, ContactId, ItemId, TenantId, Wamid
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


Event = Arrived | Answered | Refused | FileLost
"""Tagged by msgspec: one JSON object each."""
