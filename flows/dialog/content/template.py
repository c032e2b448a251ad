"""Approved message templates, with what each of their parts is filled with.

Source: Cloud API, "Template messages", "Authentication templates", "Media card carousel templates", "Limited-time offer
templates", "Coupon code templates", "Catalog templates", "Multi-product message templates" (v26.0).
"""

import re
from typing import Final

from msgspec import Raw, Struct
from msgspec.structs import force_setattr

from flows.dialog.content.cards import PLACE_NAME_MAX, Place, check_place
from flows.dialog.content.catalogue import Product, Shelf, check_product, check_shelves
from flows.dialog.content.checks import SKU_MAX, ContentError, counts, fits
from flows.dialog.content.form import check_start
from flows.dialog.content.media import HEADER_MAX, Document, Image, Video, check_header
from flows.dialog.content.text import BODY_MAX, BUTTON_ID_MAX
from flows.dialog.events import NO_JSON

TEMPLATE_NAME_MAX: Final = 512
TEMPLATE_CODE_MAX: Final = 15
LANGUAGE_MAX: Final = 10
COUPON_MAX: Final = 15
URL_END_MAX: Final = 1000  # ours: the whole address has 2,000, and we do not know its beginning
TEMPLATE_BUTTONS_MAX: Final = 10
TEMPLATE_CARDS_MIN: Final = 2
TEMPLATE_CARDS_MAX: Final = 10
CARD_BUTTONS_MAX: Final = 2

_NAME = re.compile(r"[a-z0-9_]+")
_VARIABLE = re.compile(r"[a-z_][a-z0-9_]*|[1-9][0-9]?")
_COUPON = re.compile(r"[A-Za-z0-9]+")
# Error 132012.
_UNFIT = re.compile(r"[\n\r\t]| {4}")


class Fixed(Struct, frozen=True, tag="fixed"):
    """A button that is given nothing: a phone, a whole address, a request for the contact's number."""


class Reply(Struct, frozen=True, tag="reply"):
    """A quick reply: `payload` comes back when it is tapped."""

    payload: str


class UrlEnd(Struct, frozen=True, tag="url_end"):
    """A link: what stands for the variable at the end of its address."""

    end: str


class Coupon(Struct, frozen=True, tag="coupon"):
    """A button that copies a coupon code."""

    code: str


class OpenForm(Struct, frozen=True, tag="open_form", omit_defaults=True):
    """A button that opens a form."""

    token: str = ""
    data: Raw = NO_JSON
    """JSON object for its first screen."""
    form: str = ""
    """Its name, which the template itself holds: needed here if our endpoint answers the form."""


class OpenCatalogue(Struct, frozen=True, tag="open_catalogue", omit_defaults=True):
    """A button that opens the catalogue."""

    thumbnail: str = ""
    """The product whose picture stands above; the first one if left out."""


class OpenProducts(Struct, frozen=True, tag="open_products"):
    """A button that shows some products of the catalogue."""

    thumbnail: str
    shelves: tuple[Shelf, ...]


TemplateButton = Fixed | Reply | UrlEnd | Coupon | OpenForm | OpenCatalogue | OpenProducts


class Variable(Struct, frozen=True, tag="variable"):
    """The one variable of a header of words; a positional one is named `1`."""

    name: str
    value: str


TemplateHeader = Variable | Image | Video | Document | Place | Product


class TemplateCard(Struct, frozen=True, omit_defaults=True):
    """One card of a carousel template."""

    header: Image | Video | Product
    variables: tuple[tuple[str, str], ...] = ()
    buttons: tuple[TemplateButton, ...] = ()


class Template(Struct, frozen=True, tag="template", omit_defaults=True):
    """An approved message template and what its parts are filled with, all as it was approved."""

    name: str
    language: str
    variables: tuple[tuple[str, str], ...] = ()
    """(name, value) of each body variable; positional ones are named `1`, `2` … in this order."""
    payloads: tuple[str, ...] = ()
    """Replies, as they were stored before `buttons` was there: read into `buttons`, and empty since."""
    code: str = ""
    """The one-time code of an authentication template: shown in its body, copied or filled in by its button."""
    header: TemplateHeader | None = None
    buttons: tuple[TemplateButton, ...] = ()
    """What each button is given, in the template's order. Those at the end that are given nothing may be left out."""
    cards: tuple[TemplateCard, ...] = ()
    offer_ends: int = 0
    """When a limited-time offer ends, ms since the epoch."""

    def __post_init__(self) -> None:
        if self.payloads:
            force_setattr(self, "buttons", tuple(map(Reply, self.payloads)))
            force_setattr(self, "payloads", ())
        fits("name", self.name, TEMPLATE_NAME_MAX)
        if not _NAME.fullmatch(self.name):
            raise ContentError("name", "is not made of small letters, digits and _")
        fits("language", self.language, LANGUAGE_MAX)
        _check_variables("", self.variables)
        if self.header is not None:
            _check_header("header", self.header)
        self._check_format()
        counts("buttons", self.buttons, 0, TEMPLATE_BUTTONS_MAX)
        _check_buttons("", self.buttons)
        if self.code:
            self._check_code()
        if self.cards:
            self._check_cards()
        if self.offer_ends and not (self.buttons and isinstance(self.buttons[0], Coupon)):
            raise ContentError("buttons", "of an offer that ends begin with its coupon")
        if self.offer_ends < 0:
            raise ContentError("offer_ends", "is before all time")

    def _check_format(self) -> None:
        """A template numbers its variables or names them, all alike."""
        variables = [*self.variables, *(each for card in self.cards for each in card.variables)]
        names = [name for name, _ in variables]
        if isinstance(self.header, Variable):
            names.append(self.header.name)
        if len({name.isdigit() for name in names}) > 1:
            raise ContentError("variables", "are numbered here and named there")

    def _check_code(self) -> None:
        fits("code", self.code, TEMPLATE_CODE_MAX)
        if _UNFIT.search(self.code):
            raise ContentError("code", "holds a line break, a tab or a gap")
        for field in ("variables", "header", "buttons", "cards", "offer_ends"):
            if getattr(self, field):
                raise ContentError(field, "have no place in an authentication template")

    def _check_cards(self) -> None:
        counts("cards", self.cards, TEMPLATE_CARDS_MIN, TEMPLATE_CARDS_MAX)
        for field in ("header", "buttons", "offer_ends"):
            if getattr(self, field):
                raise ContentError(field, "have no place beside cards")
        first = self.cards[0]
        for n, card in enumerate(self.cards):
            _check_header(f"cards[{n}].header", card.header)
            _check_variables(f"cards[{n}].", card.variables)
            counts(f"cards[{n}].buttons", card.buttons, 0, CARD_BUTTONS_MAX)
            _check_buttons(f"cards[{n}].", card.buttons)
            if type(card.header) is not type(first.header):
                raise ContentError(f"cards[{n}].header", "is of another kind than the first card's")
            if list(map(type, card.buttons)) != list(map(type, first.buttons)):
                raise ContentError(
                    f"cards[{n}].buttons", "are of other kinds than the first card's"
                )


def _check_variables(at: str, variables: tuple[tuple[str, str], ...]) -> None:
    names = [name for name, _ in variables]
    for name, value in variables:
        _check_value(f"{at}variables[{name}]", name, value, BODY_MAX)
    if len(set(names)) < len(names):
        raise ContentError(f"{at}variables", "repeat a name")
    if (together := sum(len(value) for _, value in variables)) > BODY_MAX:
        raise ContentError(f"{at}variables", f"have {together} characters, {BODY_MAX} fit")
    if any(name.isdigit() for name in names) and names != [
        str(n) for n in range(1, len(names) + 1)
    ]:
        raise ContentError(f"{at}variables", "are numbered from 1 on, in order, or all named")


def _check_value(at: str, name: str, value: str, limit: int) -> None:
    if not _VARIABLE.fullmatch(name):
        raise ContentError(at, "is no name of a variable")
    fits(at, value, limit)
    if _UNFIT.search(value):
        raise ContentError(at, "holds a line break, a tab or a gap")


def _check_header(at: str, header: TemplateHeader) -> None:
    match header:
        case Variable(name=name, value=value):
            _check_value(f"{at}.value", name, value, HEADER_MAX)
        case Place():
            check_place(f"{at}.", header)
            fits(f"{at}.name", header.name, PLACE_NAME_MAX)
            fits(f"{at}.address", header.address, PLACE_NAME_MAX)
        case Product():
            check_product(f"{at}.", header)
            if header.body or header.footer:
                raise ContentError(at, "of a product says nothing by itself")
        case _:
            check_header(at, header)


def _check_buttons(at: str, buttons: tuple[TemplateButton, ...]) -> None:
    for n, button in enumerate(buttons):
        one = f"{at}buttons[{n}]."
        match button:
            case Reply(payload=payload):
                fits(f"{one}payload", payload, BUTTON_ID_MAX)
            case UrlEnd(end=end):
                fits(f"{one}end", end, URL_END_MAX)
                if re.search(r"\s", end):
                    raise ContentError(f"{one}end", "holds a blank")
            case Coupon(code=code):
                fits(f"{one}code", code, COUPON_MAX)
                if not _COUPON.fullmatch(code):
                    raise ContentError(f"{one}code", "is not made of letters and digits")
            case OpenForm(token=token, data=data):
                check_start(one, token=token, data=data)
            case OpenCatalogue(thumbnail=thumbnail):
                fits(f"{one}thumbnail", thumbnail, SKU_MAX, empty=True)
            case OpenProducts(thumbnail=thumbnail, shelves=shelves):
                fits(f"{one}thumbnail", thumbnail, SKU_MAX)
                check_shelves(one, shelves)
            case Fixed():
                pass
    # Meta: one coupon, one form, at most two links; nothing else beside the catalogue or its products.
    kinds = [type(button) for button in buttons]
    for kind, most in ((Coupon, 1), (OpenForm, 1), (UrlEnd, 2)):
        if kinds.count(kind) > most:
            raise ContentError(f"{at}buttons", f"hold {kinds.count(kind)} of a kind, {most} fit")
    if {OpenCatalogue, OpenProducts} & set(kinds) and len(kinds) > 1:
        raise ContentError(f"{at}buttons", "take nothing beside the catalogue")
