"""What lies in lane `people/<conversation>`: the steps by which a contact is joined to another one, or left."""

from msgspec import Raw, Struct

from flows.values.ids import ChannelId, ContactId, ConversationId
from handlers.events import MovedWhy, Sender


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


class Void(Struct, frozen=True, omit_defaults=True, tag="void"):
    """What was proved from these addresses about who somebody is counts for nothing: log-ins end."""

    channel: ChannelId
    senders: tuple[Sender, ...]
    why: MovedWhy
    phone: str = ""
    """The new wa_id, if it was told."""


PeopleAction = Forward | Settle | Close | Void
