"""What a chat bubble holds, in either direction. The page shows these values as they are."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct


class Text(Struct, frozen=True, tag="text"):
    """Free-form text, written by either side."""

    body: str


class Place(Struct, frozen=True, tag="location"):
    """A point on the map, shared by either side."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class Reaction(Struct, frozen=True, tag="reaction"):
    """An emoji on a message of the other side; an empty one takes it back."""

    message: str
    emoji: str = ""


# ------------------------------------------------------------------ what a business says

MediumKind = Literal["image", "video", "audio", "document", "sticker"]


class Medium(Struct, frozen=True, tag="medium"):
    """A file."""

    kind: MediumKind
    source: str
    """Its address, or Meta's id of what was uploaded."""
    caption: str = ""
    name: str = ""
    voice: bool = False


class Button(Struct, frozen=True):
    """A reply button of an interactive message."""

    id: str
    title: str


class Buttons(Struct, frozen=True, tag="buttons"):
    """A question with reply buttons."""

    body: str
    buttons: tuple[Button, ...]
    header: str = ""
    footer: str = ""
    medium: Medium | None = None
    """In place of a header of words."""


class Row(Struct, frozen=True):
    """A row of a list."""

    id: str
    title: str
    description: str = ""


class Section(Struct, frozen=True):
    """A titled group of rows."""

    rows: tuple[Row, ...]
    title: str = ""


class Menu(Struct, frozen=True, tag="list"):
    """A question whose rows open behind a button."""

    body: str
    button: str
    sections: tuple[Section, ...]
    header: str = ""
    footer: str = ""


class Link(Struct, frozen=True, tag="link"):
    """A text with one button that opens a web page."""

    body: str
    title: str
    url: str
    header: str = ""
    footer: str = ""
    medium: Medium | None = None


class PlaceRequest(Struct, frozen=True, tag="place_request"):
    """A text with the button that shares a location."""

    body: str


class PhoneRequest(Struct, frozen=True, tag="phone_request"):
    """A text with the button that shares the person's phone."""

    body: str


class Form(Struct, frozen=True, tag="form"):
    """A text with a button that opens a form."""

    body: str
    title: str
    form: str
    """Its id, or its name."""
    token: str = ""
    screen: str = ""
    data: dict[str, object] = {}
    draft: bool = False
    header: str = ""
    footer: str = ""
    medium: Medium | None = None


class Shelf(Struct, frozen=True):
    """A titled group of products."""

    products: tuple[str, ...]
    title: str = ""


class Product(Struct, frozen=True, tag="product"):
    """One product of a catalogue."""

    catalogue: str
    product: str
    body: str = ""
    footer: str = ""


class Products(Struct, frozen=True, tag="products"):
    """Some products of a catalogue."""

    header: str
    body: str
    catalogue: str
    shelves: tuple[Shelf, ...]
    footer: str = ""


class Catalogue(Struct, frozen=True, tag="catalogue"):
    """The way into a whole catalogue."""

    body: str
    thumbnail: str = ""
    footer: str = ""


class Slide(Struct, frozen=True):
    """A card of a carousel: reply buttons, or one that opens a page."""

    medium: Medium
    body: str = ""
    buttons: tuple[Button, ...] = ()
    title: str = ""
    url: str = ""


class Carousel(Struct, frozen=True, tag="carousel"):
    """Cards that are swept from side to side."""

    body: str
    cards: tuple[Slide, ...]


class CardShown(Struct, frozen=True):
    """Somebody whose contact is passed on: what a phone shows of it at a glance."""

    name: str
    phones: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    """Firm, mails, links, addresses."""


class Cards(Struct, frozen=True, tag="cards"):
    """Contact cards."""

    cards: tuple[CardShown, ...]


ButtonKind = Literal[
    "QUICK_REPLY",
    "URL",
    "PHONE_NUMBER",
    "OTP",
    "COPY_CODE",
    "FLOW",
    "CATALOG",
    "MPM",
    "SPM",
    "REQUEST_CONTACT_INFO",
]


class TemplateButton(Struct, frozen=True):
    """A button of a template as the person sees it."""

    kind: ButtonKind
    title: str
    value: str
    """What a tap gives: payload, address, phone, code; the token of a form; the products, comma-separated."""


class TemplateCard(Struct, frozen=True):
    """A card of a carousel template, its variables filled in."""

    header: Medium | Product
    body: str = ""
    buttons: tuple[TemplateButton, ...] = ()


class Notice(Struct, frozen=True, tag="template"):
    """A template, its variables filled in."""

    name: str
    language: str
    category: str
    body: str
    header: str = ""
    footer: str = ""
    buttons: tuple[TemplateButton, ...] = ()
    shown: Medium | Place | Product | None = None
    """In place of a header of words."""
    cards: tuple[TemplateCard, ...] = ()
    offer: str = ""
    offer_ends_ms: int = 0


Said = (
    Text
    | Medium
    | Place
    | Cards
    | Reaction
    | Buttons
    | Menu
    | Link
    | PlaceRequest
    | PhoneRequest
    | Form
    | Product
    | Products
    | Catalogue
    | Carousel
    | Notice
)


# ------------------------------------------------------------------ what a person does


class Tapped(Struct, frozen=True, tag="tapped"):
    """A reply button or a row of a list."""

    kind: Literal["button_reply", "list_reply"]
    id: str
    title: str
    description: str = ""


class QuickReply(Struct, frozen=True, tag="quick_reply"):
    """A button of a template."""

    payload: str
    text: str


class Picture(Struct, frozen=True, tag="image"):
    """A photo; a sample if none is given."""

    caption: str = ""
    media: str = ""
    """Meta's id of its file."""


class Voice(Struct, frozen=True, tag="voice"):
    """A voice note: the sample."""

    seconds: int = 4
    media: str = ""


class Sticker(Struct, frozen=True, tag="sticker"):
    """A sticker: the sample."""

    media: str = ""


class Card(Struct, frozen=True, tag="contacts"):
    """Somebody's contact card."""

    name: str
    phone: str


class SharedPhone(Struct, frozen=True, tag="shared_phone"):
    """The person's own phone, in answer to a request."""

    phone: str


class Filled(Struct, frozen=True, tag="filled"):
    """A form, filled in."""

    token: str
    values: dict[str, object]


class Unsupported(Struct, frozen=True, tag="unsupported"):
    """Something that the Cloud API does not carry, e.g. a poll."""

    kind: str = "poll"


Heard = (
    Text
    | Medium
    | Tapped
    | QuickReply
    | Picture
    | Voice
    | Sticker
    | Place
    | Card
    | SharedPhone
    | Filled
    | Reaction
    | Unsupported
)
Content = Said | Heard


def words_of(content: Content) -> str:
    """The words of a bubble, for comparing what was said with what was expected; empty where there are none."""
    match content:
        case Tapped():
            return content.title
        case QuickReply():
            return content.text
        case Picture() | Medium():
            return content.caption
        case Reaction():
            return content.emoji
        case Place() | Card():
            return content.name
        case Cards(cards=cards):
            return cards[0].name
        case Voice() | Sticker() | SharedPhone() | Filled() | Unsupported():
            return ""
        case _:
            return content.body


def media_in(content: object) -> Iterator[Medium]:
    """The files that it shows, however deep inside."""
    if isinstance(content, Medium):
        yield content
    elif isinstance(content, Struct):
        for name in content.__struct_fields__:
            yield from media_in(getattr(content, name))
    elif isinstance(content, tuple):
        for each in content:
            yield from media_in(each)
