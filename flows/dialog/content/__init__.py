"""What can be said on WhatsApp: immutable values whose limits hold once they exist."""

from collections.abc import Iterator

from flows.dialog.content.cards import (
    Card,
    CardAddress,
    CardLink,
    CardMail,
    CardPhone,
    Contacts,
    Place,
    Reaction,
)
from flows.dialog.content.catalogue import Carousel, Catalogue, Product, Products, Shelf, Slide
from flows.dialog.content.checks import ContentError
from flows.dialog.content.form import Form
from flows.dialog.content.media import (
    CAPTION_MAX,
    Audio,
    Document,
    File,
    Header,
    Image,
    Medium,
    OurFile,
    Sticker,
    Video,
    WebFile,
)
from flows.dialog.content.template import (
    TEMPLATE_BUTTONS_MAX,
    Coupon,
    Fixed,
    OpenCatalogue,
    OpenForm,
    OpenProducts,
    Reply,
    Template,
    TemplateButton,
    TemplateCard,
    TemplateHeader,
    UrlEnd,
    Variable,
)
from flows.dialog.content.text import (
    BODY_MAX,
    BUTTON_ID_MAX,
    BUTTON_TITLE_MAX,
    BUTTONS_MAX,
    LIST_BODY_MAX,
    ROW_DESCRIPTION_MAX,
    ROW_ID_MAX,
    ROW_TITLE_MAX,
    ROWS_MAX,
    TEXT_BODY_MAX,
    Button,
    Buttons,
    Link,
    PhoneRequest,
    PlaceRequest,
    Row,
    Rows,
    Text,
)
from flows.values.ids import FileId

__all__ = [
    "BODY_MAX",
    "BUTTONS_MAX",
    "BUTTON_ID_MAX",
    "BUTTON_TITLE_MAX",
    "CAPTION_MAX",
    "LIST_BODY_MAX",
    "ROWS_MAX",
    "ROW_DESCRIPTION_MAX",
    "ROW_ID_MAX",
    "ROW_TITLE_MAX",
    "TEMPLATE_BUTTONS_MAX",
    "TEXT_BODY_MAX",
    "Audio",
    "Button",
    "Buttons",
    "Card",
    "CardAddress",
    "CardLink",
    "CardMail",
    "CardPhone",
    "Carousel",
    "Catalogue",
    "Contacts",
    "Content",
    "ContentError",
    "Coupon",
    "Document",
    "File",
    "Fixed",
    "Form",
    "Header",
    "Image",
    "Link",
    "Medium",
    "OpenCatalogue",
    "OpenForm",
    "OpenProducts",
    "OurFile",
    "PhoneRequest",
    "Place",
    "PlaceRequest",
    "Product",
    "Products",
    "Reaction",
    "Reply",
    "Row",
    "Rows",
    "Shelf",
    "Slide",
    "Sticker",
    "Template",
    "TemplateButton",
    "TemplateCard",
    "TemplateHeader",
    "Text",
    "UrlEnd",
    "Variable",
    "Video",
    "WebFile",
    "body_of",
    "files_of",
    "opens_form",
]

Content = (
    Text
    | Buttons
    | Rows
    | Link
    | PlaceRequest
    | PhoneRequest
    | Form
    | Image
    | Video
    | Audio
    | Document
    | Sticker
    | Contacts
    | Place
    | Reaction
    | Product
    | Products
    | Catalogue
    | Carousel
    | Template
)
"""One message to one person. msgspec tells the kinds apart by their tag."""


def body_of(content: Content) -> str:
    """The words that a person reads first, empty where there are none; a template shows its name."""
    match content:
        case Template() | Place():
            return content.name
        case Image() | Video() | Document():
            return content.caption
        case Contacts(cards=cards):
            return cards[0].name
        case Audio() | Sticker() | Reaction():
            return ""
        case _:
            return content.body


def files_of(content: Content) -> tuple[FileId, ...]:
    """Our files that it shows: they have to be with Meta before it is sent."""
    return tuple(file.id for file in _files(content) if isinstance(file, OurFile))


def opens_form(content: Content) -> bool:
    """Whether a form is behind one of its buttons: it needs a token."""
    match content:
        case Form():
            return True
        case Template(buttons=buttons):
            return any(isinstance(button, OpenForm) for button in buttons)
        case _:
            return False


def _files(content: Content) -> Iterator[File]:
    match content:
        case Image() | Video() | Audio() | Document() | Sticker():
            yield content.file
        case Buttons(header=header) | Link(header=header) | Form(header=header):
            if not isinstance(header, str):
                yield header.file
        case Template(header=header, cards=cards):
            for medium in (header, *(card.header for card in cards)):
                if isinstance(medium, Image | Video | Document):
                    yield medium.file
        case _:
            pass
