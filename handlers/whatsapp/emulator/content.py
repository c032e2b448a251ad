"""What a chat bubble holds, in either direction. The page shows these values as they are."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct


class Text(Struct, frozen=True, tag="text"):
    """Free-form text, written by either side."""

    body: str


MediumKind = Literal["image", "video", "audio", "document", "sticker"]


class Medium(Struct, frozen=True, tag="medium"):
    """A file, of either side."""

    kind: MediumKind
    source: str
    """A media id, or the address of a web page's file."""
    caption: str = ""
    name: str = ""
    voice: bool = False


# ------------------------------------------------------------------ what a business says


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


class TemplateButton(Struct, frozen=True):
    """A button of a template as the person sees it; `value` is what a tap gives: payload, address or code."""

    kind: Literal["QUICK_REPLY", "URL", "OTP"]
    title: str
    value: str


class Notice(Struct, frozen=True, tag="template"):
    """A template, its variables filled in."""

    name: str
    language: str
    category: str
    body: str
    header: str = ""
    footer: str = ""
    buttons: tuple[TemplateButton, ...] = ()


Said = Text | Medium | Buttons | Menu | Link | Notice


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


class Place(Struct, frozen=True, tag="location"):
    """A point on the map."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class Card(Struct, frozen=True, tag="contacts"):
    """Somebody's contact card."""

    name: str
    phone: str


class Reaction(Struct, frozen=True, tag="reaction"):
    """An emoji on a message; an empty one takes it back."""

    message: str
    emoji: str = ""


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
    | Reaction
    | Unsupported
)
Content = Said | Heard


def words_of(content: Content) -> str:
    """The words of a bubble, for comparing what was said with what was expected; empty where there are none."""
    match content:
        case Text() | Buttons() | Menu() | Link() | Notice():
            return content.body
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
        case Voice() | Sticker() | Unsupported():
            return ""


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
