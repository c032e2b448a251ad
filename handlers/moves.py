"""What lies in lane `people/<conversation>`: the steps by which a contact is joined to another one, or left."""

from msgspec import Raw, Struct

from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId
from handlers.events import Sender


class Forward(Struct, frozen=True, omit_defaults=True, tag="forward"):
    """Put an event into the conversation that it belongs to."""

    event: Raw
    """JSON of a `handlers.events.Event`."""
    mark: str
    """What makes the event itself, so that it is put once."""
    at: int
    """Its own time, seconds since the epoch."""
    to: ConversationId = ConversationId("")
    """Empty: that of whoever has the sender's addresses now."""


class Settle(Struct, frozen=True, tag="settle"):
    """The phone that led to another contact leads to this one from now on."""

    channel: ChannelId
    contact: ContactId
    sender: Sender


class Close(Struct, frozen=True, tag="close"):
    """These addresses do not lead to this contact any more: whoever writes from them is somebody new."""

    channel: ChannelId
    contact: ContactId
    senders: tuple[Sender, ...]


class Void(Struct, frozen=True, tag="void"):
    """What this contact proved about who they are, up to a moment, counts for nothing: log-ins end."""

    tenant: TenantId
    contact: ContactId
    at: int
    """ms since the epoch."""


PeopleAction = Forward | Settle | Close | Void
