"""What a turn wants done: the bodies of the items in the action lanes."""

from msgspec import Raw, Struct

from flows.dialog.content import Content, Template
from flows.dialog.events import Attachment
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId, Wamid
from handlers.events import Sender
from handlers.ports import FormTicket


class Say(Struct, frozen=True, omit_defaults=True, tag="say"):
    """Send one message. Lives in lane `wa/<conversation>`."""

    tenant: TenantId
    channel: ChannelId
    ref: str
    """Our reference of this message, `<conversation>-<turn>[-<n>]`: one for ever."""
    content: Content
    at: int
    """When it was decided, ms since the epoch."""
    to: str = ""
    """wa_id of the person; empty when only a BSUID is known."""
    recipient: str = ""
    """BSUID of the person."""
    open_until: int = 0
    """Free-form content may be sent before this moment (ms since the epoch); 0 = the window is closed."""
    not_before: int = 0
    """The pair limit allows it from this moment on (ms since the epoch)."""
    instead: Template | None = None
    """Sent in place of `content` when the window has closed meanwhile."""
    once: bool = False
    """Never send again on doubt: one-time codes."""
    quotes: Wamid = Wamid("")
    """The message this one visibly answers."""
    ticket: FormTicket | None = None
    """Of the form that `content` opens, its name still missing: the sender seals it into the form's token."""
    reads: Wamid = Wamid("")
    """Mark everything up to this message as read, beside the sending: best effort, no waiting."""


class MarkRead(Struct, frozen=True, omit_defaults=True, tag="read"):
    """Blue ticks for everything up to `message`, and the typing dots if we are at work. Costs nothing."""

    tenant: TenantId
    channel: ChannelId
    message: Wamid
    typing: bool = False
    at: int = 0
    """When it was decided, ms since the epoch; 0 = not known. Late receipts are left out."""


SendAction = Say | MarkRead


class Forward(Struct, frozen=True, omit_defaults=True, tag="forward"):
    """Put an event into the conversation that it belongs to. Lives, as all that follow, in lane `people/<conversation>`."""

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


class Ask(Struct, frozen=True, tag="ask"):
    """One call of a flow. Lives in lane `<topic>/<conversation>`; answered by an `Answered` event."""

    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    conversation: ConversationId
    seq: int
    """The visit of the state that asks; with `conversation` the call's idempotency key."""
    call: str
    """Name of the call's class."""
    args: Raw
    """JSON of the call's fields."""


class FetchMedia(Struct, frozen=True, tag="fetch"):
    """Fetch the file that came with a message, before Meta forgets it. Lives in lane `media/<conversation>`."""

    tenant: TenantId
    channel: ChannelId
    message: Wamid
    media: Attachment
    at: int
    """When the message was decided upon, ms since the epoch."""
