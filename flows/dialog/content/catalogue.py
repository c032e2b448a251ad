"""What a firm sells: one product, several, the whole catalogue; and the media carousel.

Source: Cloud API, "Single-product messages", "Multi-product messages", "Catalog messages", "Interactive media carousel
messages" (v26.0).
"""

from typing import Final

from msgspec import Struct

from flows.dialog.content.checks import (
    SKU_MAX,
    ContentError,
    counts,
    distinct,
    fits,
    is_link,
    is_number,
)
from flows.dialog.content.media import HEADER_MAX, Image, Video, WebFile, check_header
from flows.dialog.content.text import (
    BODY_MAX,
    BUTTON_TITLE_MAX,
    BUTTONS_MAX,
    FOOTER_MAX,
    SECTION_TITLE_MAX,
    Button,
    check_buttons,
)

PRODUCTS_MAX: Final = 30  # over all sections
SHELVES_MAX: Final = 10
SLIDES_MIN: Final = 2
SLIDES_MAX: Final = 10
SLIDE_BODY_MAX: Final = 160
SLIDE_BREAKS_MAX: Final = 2
SLIDE_ID_MAX: Final = 20


class Product(Struct, frozen=True, tag="product", omit_defaults=True):
    """One product of the firm's catalogue; its picture, name and price come from there."""

    catalogue: str
    """Meta's id of it."""
    product: str
    """The product's own id in the catalogue (`product_retailer_id`)."""
    body: str = ""
    footer: str = ""

    def __post_init__(self) -> None:
        check_product("", self)


class Shelf(Struct, frozen=True, omit_defaults=True):
    """A titled group of products; a single one needs no title."""

    products: tuple[str, ...]
    title: str = ""


class Products(Struct, frozen=True, tag="products", omit_defaults=True):
    """Up to thirty products of the catalogue, on shelves."""

    header: str
    body: str
    catalogue: str
    shelves: tuple[Shelf, ...]
    footer: str = ""

    def __post_init__(self) -> None:
        fits("header", self.header, HEADER_MAX)
        fits("body", self.body, BODY_MAX)
        fits("footer", self.footer, FOOTER_MAX, empty=True)
        is_number("catalogue", self.catalogue)
        check_shelves("", self.shelves)


class Catalogue(Struct, frozen=True, tag="catalogue", omit_defaults=True):
    """The way into the firm's whole catalogue."""

    body: str
    thumbnail: str = ""
    """The product whose picture stands above; the first one if left out."""
    footer: str = ""

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)
        fits("thumbnail", self.thumbnail, SKU_MAX, empty=True)
        fits("footer", self.footer, FOOTER_MAX, empty=True)


class Slide(Struct, frozen=True, omit_defaults=True):
    """One card of a carousel: a picture or a video, a few words, a link or some reply buttons."""

    medium: Image | Video
    """By link: Meta names no other way here."""
    body: str = ""
    buttons: tuple[Button, ...] = ()
    title: str = ""
    """What the link's button says."""
    url: str = ""


class Carousel(Struct, frozen=True, tag="carousel"):
    """Two to ten cards that are swept from side to side, all of one build."""

    body: str
    cards: tuple[Slide, ...]

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)
        counts("cards", self.cards, SLIDES_MIN, SLIDES_MAX)
        for n, card in enumerate(self.cards):
            _check_slide(f"cards[{n}]", card)
        for n, card in enumerate(self.cards):
            # The stricter of two versions of Meta's page (October and December 2025) asks for media of one kind.
            if type(card.medium) is not type(self.cards[0].medium):
                raise ContentError(f"cards[{n}].medium", "is of another kind than the first card's")
            if len(card.buttons) != len(self.cards[0].buttons):
                raise ContentError(
                    f"cards[{n}].buttons", "are of another number than the first card's"
                )
        distinct("cards", "a button's id", [b.id for card in self.cards for b in card.buttons])


def check_product(at: str, product: Product) -> None:
    is_number(f"{at}catalogue", product.catalogue)
    fits(f"{at}product", product.product, SKU_MAX)
    fits(f"{at}body", product.body, BODY_MAX, empty=True)
    fits(f"{at}footer", product.footer, FOOTER_MAX, empty=True)


def check_shelves(at: str, shelves: tuple[Shelf, ...]) -> None:
    counts(f"{at}shelves", shelves, 1, SHELVES_MAX)
    products = [product for shelf in shelves for product in shelf.products]
    if len(products) > PRODUCTS_MAX:
        raise ContentError(f"{at}shelves", f"hold {len(products)} products, {PRODUCTS_MAX} fit")
    for n, shelf in enumerate(shelves):
        counts(f"{at}shelves[{n}].products", shelf.products, 1, PRODUCTS_MAX)
        fits(f"{at}shelves[{n}].title", shelf.title, SECTION_TITLE_MAX, empty=len(shelves) == 1)
        for k, product in enumerate(shelf.products):
            fits(f"{at}shelves[{n}].products[{k}]", product, SKU_MAX)


def _check_slide(at: str, slide: Slide) -> None:
    check_header(f"{at}.medium", slide.medium, (Image, Video))
    if not isinstance(slide.medium.file, WebFile):
        raise ContentError(f"{at}.medium.file", "has to be a link in a carousel")
    fits(f"{at}.body", slide.body, SLIDE_BODY_MAX, empty=True)
    if slide.body.count("\n") > SLIDE_BREAKS_MAX:
        raise ContentError(
            f"{at}.body", f"has {slide.body.count(chr(10))} line breaks, {SLIDE_BREAKS_MAX} fit"
        )
    if bool(slide.url) == bool(slide.buttons):
        raise ContentError(at, "needs either a link or buttons")
    if slide.url:
        fits(f"{at}.title", slide.title, BUTTON_TITLE_MAX)
        is_link(f"{at}.url", slide.url)
    elif slide.title:
        raise ContentError(f"{at}.title", "has no link to open")
    # Meta names no greatest number; reply buttons have three.
    counts(f"{at}.buttons", slide.buttons, 0, BUTTONS_MAX)
    check_buttons(f"{at}.", slide.buttons, id_max=SLIDE_ID_MAX)
