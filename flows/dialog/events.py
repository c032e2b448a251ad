"""What a flow can hear: a message, the result of a call, a timer."""

from typing import Final, Literal

from msgspec import Raw, Struct

from flows.values.ids import Wamid

NO_JSON: Final = Raw(b"null")
"""Nothing was sent. msgspec reads `Raw` alone, not `Raw | None`."""

HeardKind = Literal[
    "text",         # typed words
    "tap",          # a reply button or a template's quick reply: `choice` is its id, `text` its title
    "row",          # a row of a list: `choice` is its id, `text` its title
    "media",        # `media`; `text` is the caption
    "place",        # `place`
    "contacts",     # cards; `phone` only when the person shared their own number on request
    "form",         # a WhatsApp Flow: `form`
    "reaction",     # `text` is the emoji, empty when it was taken back; `reply_to` what it is about
    "order",        # a catalogue order: `order`; `text` is what was written with it
    "welcome",      # the chat was opened for the first time, nothing written yet
    "system",       # something about the account; `text` says what. A change of number or id is no message: `Moved`
    "edit",         # the person changed a message that was read already: `text` and `media` now, `reply_to` which one
    "revoke",       # the person took a message back: `reply_to` which one
    "code",         # a one-time code that belongs elsewhere: nothing is kept of it, and it opens nothing any more
    "unsupported",  # WhatsApp or we cannot read it; `text` is the type that was named, or `OVERSIZED`
]  # fmt: skip

OVERSIZED: Final = "oversized"
"""Text of an unsupported message whose file was over WhatsApp's limit (100 MB, error 131052)."""

MediaKind = Literal["image", "audio", "voice", "video", "document", "sticker"]


class Attachment(Struct, frozen=True, omit_defaults=True):
    """A media file as announced: its bytes are fetched elsewhere, by `id`."""

    kind: MediaKind
    id: str
    mime: str = ""
    name: str = ""
    sha256: str = ""


class Location(Struct, frozen=True, omit_defaults=True):
    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class Referral(Struct, frozen=True, omit_defaults=True):
    """The ad or post that brought the person here (click-to-WhatsApp), as WhatsApp tells it."""

    source: str = ""
    """`ad` or `post`."""
    id: str = ""
    """Of the ad or post."""
    url: str = ""
    headline: str = ""
    body: str = ""
    click: str = ""
    """Meta's id of the click (`ctwa_clid`): conversions are reported under it."""
    welcome: str = ""
    """The greeting that the ad showed above the chat."""


class OrderItem(Struct, frozen=True, omit_defaults=True):
    """One line of an order, as the person's phone sent it: nothing of it has been checked."""

    product: str
    """The firm's own id of it (`product_retailer_id`)."""
    quantity: int = 1
    price: str = ""
    """Of one, as WhatsApp writes it."""
    currency: str = ""


class Order(Struct, frozen=True, omit_defaults=True):
    """What was put into the basket of a catalogue."""

    catalogue: str
    items: tuple[OrderItem, ...]


class SharedCard(Struct, frozen=True, omit_defaults=True):
    """One contact card. Anybody's, unless `Heard.phone` says otherwise."""

    name: str = ""
    phones: tuple[str, ...] = ()
    """As they were written."""


Changed = Literal["", "edited", "revoked"]


class Heard(Struct, frozen=True, omit_defaults=True, tag="heard"):
    """One message of the person, as the channel's own codec read it."""

    id: Wamid
    at: int
    """Seconds since the epoch, by the channel's clock (Meta's `timestamp`)."""
    kind: HeardKind
    text: str = ""
    choice: str = ""
    reply_to: Wamid = Wamid("")
    """The message this one answers or reacts to (Meta's `context.id`)."""
    media: Attachment | None = None
    place: Location | None = None
    phone: str = ""
    form: Raw = NO_JSON
    """The JSON object that a form sent, unread. Null if it did not bear a token of ours that is still good."""
    referral: Referral | None = None
    order: Order | None = None
    cards: tuple[SharedCard, ...] = ()
    about: str = ""
    """The product of the firm's catalogue that the message is about (its `product_retailer_id`)."""
    forwarded: bool = False
    """The person passed on what somebody else had written."""
    changed: Changed = ""
    """The person changed it, and this is what it says now; or took it back, and it says nothing any more."""


FailedWhy = Literal["timeout", "refused", "down", "cancelled"]


class Result(Struct, frozen=True, omit_defaults=True, tag="result"):
    """What a call brought back. `seq` is the visit of the state that made the call."""

    seq: int
    value: Raw = NO_JSON
    """JSON of the call's declared result; meaningless when `failed` is set."""
    failed: FailedWhy | None = None


class Wake(Struct, frozen=True, tag="wake"):
    """A timer is due. `seq` is the visit that set it; any other visit ignores it."""

    name: str
    seq: int


class TakenOver(Struct, frozen=True, tag="taken_over"):
    """Somebody of the firm answered by hand, from their own phone: the bot is silent until then."""

    until: int
    """Seconds since the epoch."""


class FileLost(Struct, frozen=True, tag="file_lost"):
    """A file that the person sent will not be had."""

    message: Wamid
    kind: MediaKind
    why: str
    """`too_large`, `unknown_type`, `wrong_kind`: sent again it would be the same. Anything else: it was not to be had."""


class Unshown(Struct, frozen=True, tag="unshown"):
    """A question that was asked in a form could not be sent so: the form is blocked, not published, without a key."""

    seq: int
    """The visit that asked; any other visit ignores it."""
    why: str
    """Name of the sender's fault."""


Event = Heard | Result | Wake | TakenOver | FileLost | Unshown
