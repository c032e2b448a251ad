"""What a turn wants done: the bodies of the items in the action lanes."""

from typing import Final

from msgspec import Raw, Struct

from flows.dialog.content import Content, Template
from flows.dialog.events import Attachment
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, TenantId, Wamid


class FormTicket(Struct, frozen=True, array_like=True):
    """What a form that was sent to a person is about: its `flow_token`, opened."""

    conversation: ConversationId
    contact: ContactId
    locale: str
    until_ms: int
    """Not answered from this moment on, ms since the epoch."""
    form: str = ""
    """Its name, or Meta's id of it."""
    token: str = ""
    """What the flow calls it: a question's own one, `12:signup.fill_in:form`."""


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
    stands_for: tuple[Content, ...] = ()
    """The messages in whose place `content`, a template, was chosen: if it may not go, they wait for the person."""
    answers: bool = True
    """It answers something the person asked. What the firm says on its own initiative needs their leave."""
    expires: int = 0
    """Not worth saying from this moment on (ms since the epoch); 0 = the usual time."""
    again: bool = False
    """Meta took it before, and then did not deliver it: it is sent once more, and no more."""
    once: bool = False
    """Never send again on doubt, and not worth a dead letter: one-time codes, a knock."""
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


CODE_LANE: Final = "code-"
"""What the lanes of one-time codes are called, before a keyed hash of the phone: `wa/code-…` is no conversation."""


class SendCode(Struct, frozen=True, tag="code"):
    """Send a one-time code, once, as an authentication template. Lives in lane `wa/code-<keyed hash of the phone>`."""

    tenant: TenantId
    channel: ChannelId
    sealed: str
    """Phone and code, as `handlers.ports.CodeLetters` opens them: neither lies in a lane as it is."""
    template: str
    language: str
    at: int
    """When it was asked for, ms since the epoch."""
    expires: int
    """Of no use from this moment on, ms since the epoch."""


SendAction = Say | MarkRead | SendCode


class Recall(Struct, frozen=True, tag="recall"):
    """Find out what a message said that Meta took and did not deliver. Lives in lane `recall/<conversation>`.

    Answered by a `Refused` event that says it.
    """

    tenant: TenantId
    wamid: Wamid
    item: ItemId
    fault: str
    code: int
    at: int
    """When we heard of it, ms since the epoch."""


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
