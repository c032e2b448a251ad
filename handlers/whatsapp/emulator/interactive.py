"""Reads interactive messages: buttons, lists, links, requests, forms, products, carousels.

Limits: Cloud API, the pages of each of them, and WhatsApp Flows, "Sending a Flow" (v26.0).
"""

from collections.abc import Callable
from typing import Final

from handlers.whatsapp.emulator.attachments import medium_kind, read_medium
from handlers.whatsapp.emulator.content import (
    Button,
    Buttons,
    Carousel,
    Catalogue,
    Form,
    Link,
    Medium,
    Menu,
    PhoneRequest,
    PlaceRequest,
    Product,
    Products,
    Row,
    Said,
    Section,
    Shelf,
    Slide,
)
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import (
    JSON,
    a_meta_id,
    a_text,
    an_address,
    an_object,
    distinct,
    has_emoji,
    objects,
    only,
    optional,
    sized,
)

BODY_MAX: Final = 1024
LIST_BODY_MAX: Final = 4096
HEADER_MAX: Final = 60
FOOTER_MAX: Final = 60
BUTTONS_MAX: Final = 3
TITLE_MAX: Final = 20  # reply button, button of a list, label of a link, button of a form
BUTTON_ID_MAX: Final = 256
SECTIONS_MAX: Final = 10
ROWS_MAX: Final = 10  # over all sections
SECTION_TITLE_MAX: Final = 24
ROW_TITLE_MAX: Final = 24
ROW_ID_MAX: Final = 200
ROW_DESCRIPTION_MAX: Final = 72
PRODUCTS_MAX: Final = 30  # over all sections
SLIDES_MIN, SLIDES_MAX = 2, 10
SLIDE_BODY_MAX: Final = 160
SLIDE_BREAKS_MAX: Final = 2
SLIDE_BUTTON_ID_MAX: Final = 20

_MEDIA: Final = frozenset(("image", "video", "document"))


class _Frame:
    """What stands around the action of an interactive message."""

    __slots__ = ("body", "footer", "header", "medium")

    def __init__(self, *, header: str, medium: Medium | None, body: str, footer: str) -> None:
        self.header = header
        self.medium = medium
        self.body = body
        self.footer = footer


_Read = Callable[[JSON, JSON], Said]
"""(the interactive object, its action) to what is shown."""


def read_interactive(given: JSON) -> Said:
    """
    Raises:
        GraphError: what Meta would answer to it.
    """
    only(given, "interactive", "type", "header", "body", "footer", "action")
    kind = given.get("type")
    if kind is None:
        raise GraphError(131008, "Missing required parameter: interactive.type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise GraphError(131009, f"interactive.type is not one of {', '.join(_READERS)}.")
    return read(given, an_object(given, "action"))


def _frame(
    given: JSON,
    *,
    words: bool = True,
    media: frozenset[str] = frozenset(),
    footer: bool = True,
    body_max: int = BODY_MAX,
    silent: bool = False,
) -> _Frame:
    """
    Args:
        given: the interactive object.
        words: whether a header of words may stand above.
        media: the media that may stand there instead.
        footer: whether there may be one.
        body_max: longest body.
        silent: whether the body may be missing.
    """
    header, medium = "", None
    if "header" in given:
        header, medium = _header(an_object(given, "header"), words=words, media=media)
    if "footer" in given and not footer:
        raise GraphError(131009, "Footer is not supported for this type.")
    said = ""
    if "body" in given or not silent:
        body = an_object(given, "body")
        only(body, "interactive.body", "text")
        said = sized(body, "text", "Body text", body_max)
    below = ""
    if "footer" in given:
        foot = an_object(given, "footer")
        only(foot, "interactive.footer", "text")
        below = sized(foot, "text", "Footer text", FOOTER_MAX)
    return _Frame(header=header, medium=medium, body=said, footer=below)


def _header(header: JSON, *, words: bool, media: frozenset[str]) -> tuple[str, Medium | None]:
    kind = header.get("type")
    if kind == "text" and words:
        only(header, "interactive.header", "type", "text")
        return sized(header, "text", "Header text", HEADER_MAX), None
    named = medium_kind(kind)
    if named is None or named not in media:
        raise GraphError(131009, f"Header type {kind} is not supported for this type.")
    only(header, "interactive.header", "type", named)
    medium = read_medium(header, named, path=f"header.{named}")
    if medium.caption:
        raise GraphError(131009, "A header has no caption.")
    return "", medium


# ------------------------------------------------------------------ what can be tapped


def _buttons(given: JSON, action: JSON) -> Buttons:
    frame = _frame(given, media=_MEDIA)
    only(action, "interactive.action", "buttons")
    buttons = _replies(action, "reply", BUTTON_ID_MAX)
    return Buttons(frame.body, buttons, frame.header, frame.footer, frame.medium)


def _replies(action: JSON, kind: str, id_max: int) -> tuple[Button, ...]:
    given = objects(action, "buttons")
    if not 1 <= len(given) <= BUTTONS_MAX:
        raise GraphError(
            131009,
            f"Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: {BUTTONS_MAX}",
        )
    if any(button.get("type") != kind for button in given):
        raise GraphError(131009, f"Button type must be {kind}.")
    for button in given:
        only(button, "action.buttons", "type", kind)
    replies = [an_object(button, kind) for button in given]
    for reply in replies:
        only(reply, f"action.buttons.{kind}", "id", "title")
    buttons = tuple(
        Button(
            sized(reply, "id", "Button id", id_max),
            sized(reply, "title", "Button title", TITLE_MAX),
        )
        for reply in replies
    )
    distinct("Button ids", [button.id for button in buttons])
    distinct("Button titles", [button.title for button in buttons])
    return buttons


def _menu(given: JSON, action: JSON) -> Menu:
    frame = _frame(given, body_max=LIST_BODY_MAX)
    only(action, "interactive.action", "button", "sections")
    button = sized(action, "button", "Button label", TITLE_MAX)
    return Menu(frame.body, button, _sections(action), frame.header, frame.footer)


def _sections(action: JSON) -> tuple[Section, ...]:
    given = objects(action, "sections")
    if not 1 <= len(given) <= SECTIONS_MAX:
        raise GraphError(131009, f"Invalid sections count. Max allowed sections: {SECTIONS_MAX}")
    for section in given:
        only(section, "action.sections", "title", "rows")
    sections = tuple(
        Section(tuple(_row(row) for row in objects(section, "rows")), _title_of(section))
        for section in given
    )
    rows = [row for section in sections for row in section.rows]
    if len(rows) > ROWS_MAX:
        raise GraphError(131009, f"Total row count exceed max allowed count: {ROWS_MAX}")
    if any(not section.rows for section in sections):
        raise GraphError(131009, "A section has no rows.")
    if len(sections) > 1 and any(not section.title for section in sections):
        raise GraphError(131009, "Section title is required when there are several sections.")
    distinct("Row ids", [row.id for row in rows])
    return sections


def _title_of(section: JSON) -> str:
    return (
        sized(section, "title", "Section title", SECTION_TITLE_MAX) if section.get("title") else ""
    )


def _row(row: JSON) -> Row:
    only(row, "sections.rows", "id", "title", "description")
    return Row(
        sized(row, "id", "Row id", ROW_ID_MAX),
        sized(row, "title", "Row title", ROW_TITLE_MAX),
        sized(row, "description", "Row description", ROW_DESCRIPTION_MAX)
        if "description" in row
        else "",
    )


def _link(given: JSON, action: JSON) -> Link:
    frame = _frame(given, media=_MEDIA)
    title, url = _address(action)
    return Link(frame.body, title, url, frame.header, frame.footer, frame.medium)


def _address(action: JSON) -> tuple[str, str]:
    """(label, address) of a button that opens a page."""
    _named(action, "cta_url", "parameters")
    parameters = an_object(action, "parameters")
    only(parameters, "action.parameters", "display_text", "url")
    title = sized(parameters, "display_text", "Display text", TITLE_MAX)
    return title, an_address(parameters, "url", "parameters.url")


def _named(action: JSON, name: str, *known: str) -> None:
    only(action, "interactive.action", "name", *known)
    if action.get("name") != name:
        raise GraphError(131009, f"action.name must be {name}.")


def _place_request(given: JSON, action: JSON) -> PlaceRequest:
    frame = _frame(given, words=False, footer=False)
    _named(action, "send_location")
    return PlaceRequest(frame.body)


def _phone_request(given: JSON, action: JSON) -> PhoneRequest:
    frame = _frame(given, words=False, footer=False)
    _named(action, "request_contact_info")
    return PhoneRequest(frame.body)


# ------------------------------------------------------------------ forms


def _form(given: JSON, action: JSON) -> Form:
    frame = _frame(given, media=_MEDIA)
    _named(action, "flow", "parameters")
    told = an_object(action, "parameters")
    only(
        told, "action.parameters",
        "flow_message_version", "flow_id", "flow_name", "flow_cta", "flow_token", "mode",
        "flow_action", "flow_action_payload",
    )  # fmt: skip
    if a_text(told, "flow_message_version", "flow_message_version") != "3":
        raise GraphError(131009, "flow_message_version must be 3.")
    if ("flow_id" in told) == ("flow_name" in told):
        raise GraphError(131009, "Either flow_id or flow_name is required, and only one of them.")
    form = (
        a_meta_id(told, "flow_id") if "flow_id" in told else a_text(told, "flow_name", "flow_name")
    )
    title = sized(told, "flow_cta", "flow_cta", TITLE_MAX)
    if has_emoji(title):
        raise GraphError(131009, "flow_cta must not contain emoji.")
    mode = told.get("mode", "published")
    if mode not in ("draft", "published"):
        raise GraphError(131009, "mode must be draft or published.")
    screen, data = _first_screen(told)
    return Form(
        frame.body,
        title,
        form,
        optional(told, "flow_token", "flow_token"),
        screen,
        data,
        draft=mode == "draft",
        header=frame.header,
        footer=frame.footer,
        medium=frame.medium,
    )


def _first_screen(told: JSON) -> tuple[str, JSON]:
    match told.get("flow_action", "navigate"):
        case "navigate":
            payload = an_object(told, "flow_action_payload")
            only(payload, "flow_action_payload", "screen", "data")
            data = an_object(payload, "data") if "data" in payload else {}
            if "data" in payload and not data:
                raise GraphError(131009, "flow_action_payload.data must not be empty.")
            return a_text(payload, "screen", "flow_action_payload.screen"), data
        case "data_exchange":
            if "flow_action_payload" in told:
                raise GraphError(131009, "flow_action_payload goes with navigate only.")
            return "", {}
        case _:
            raise GraphError(131009, "flow_action must be navigate or data_exchange.")


# ------------------------------------------------------------------ products


def _product(given: JSON, action: JSON) -> Product:
    frame = _frame(given, words=False, silent=True)
    only(action, "interactive.action", "catalog_id", "product_retailer_id")
    return Product(
        a_meta_id(action, "catalog_id"),
        a_text(action, "product_retailer_id", "action.product_retailer_id"),
        frame.body,
        frame.footer,
    )


def _products(given: JSON, action: JSON) -> Products:
    frame = _frame(given)
    if not frame.header:
        raise GraphError(131008, "Missing required parameter: header")
    only(action, "interactive.action", "catalog_id", "sections")
    catalogue = a_meta_id(action, "catalog_id")
    return Products(frame.header, frame.body, catalogue, read_shelves(action), frame.footer)


def read_shelves(holder: JSON) -> tuple[Shelf, ...]:
    """The sections of products, in a message or behind a template's button."""
    given = objects(holder, "sections")
    if not 1 <= len(given) <= SECTIONS_MAX:
        raise GraphError(131009, f"Invalid sections count. Max allowed sections: {SECTIONS_MAX}")
    for section in given:
        only(section, "sections", "title", "product_items")
    shelves = tuple(
        Shelf(tuple(_sku(item) for item in objects(section, "product_items")), _title_of(section))
        for section in given
    )
    if any(not shelf.products for shelf in shelves):
        raise GraphError(131009, "A section has no products.")
    if sum(len(shelf.products) for shelf in shelves) > PRODUCTS_MAX:
        raise GraphError(131009, f"Total products count exceed max allowed count: {PRODUCTS_MAX}")
    if len(shelves) > 1 and any(not shelf.title for shelf in shelves):
        raise GraphError(131009, "Section title is required when there are several sections.")
    return shelves


def _sku(item: JSON) -> str:
    only(item, "product_items", "product_retailer_id")
    return a_text(item, "product_retailer_id", "product_items.product_retailer_id")


def _catalogue(given: JSON, action: JSON) -> Catalogue:
    frame = _frame(given, words=False)
    _named(action, "catalog_message", "parameters")
    thumbnail = ""
    if "parameters" in action:
        parameters = an_object(action, "parameters")
        only(parameters, "action.parameters", "thumbnail_product_retailer_id")
        thumbnail = a_text(
            parameters, "thumbnail_product_retailer_id", "thumbnail_product_retailer_id"
        )
    return Catalogue(frame.body, thumbnail, frame.footer)


# ------------------------------------------------------------------ carousels


def _carousel(given: JSON, action: JSON) -> Carousel:
    frame = _frame(given, words=False, footer=False)
    only(action, "interactive.action", "cards")
    cards = objects(action, "cards")
    if not SLIDES_MIN <= len(cards) <= SLIDES_MAX:
        raise GraphError(131009, f"Invalid cards count. Min: {SLIDES_MIN}, Max: {SLIDES_MAX}")
    if [card.get("card_index") for card in cards] != list(range(len(cards))):
        raise GraphError(131009, "card_index must count from 0.")
    slides = tuple(map(_slide, cards))
    builds = {(slide.medium.kind, bool(slide.url), len(slide.buttons)) for slide in slides}
    if len(builds) > 1:
        raise GraphError(131009, "Headers and buttons must match across all cards.")
    return Carousel(frame.body, slides)


def _slide(card: JSON) -> Slide:
    only(card, "cards", "card_index", "type", "header", "body", "action")
    if card.get("type", "cta_url") != "cta_url":
        raise GraphError(131009, "cards.type must be cta_url.")
    _, medium = _header(an_object(card, "header"), words=False, media=frozenset(("image", "video")))
    assert medium is not None, "a header without words is a medium"
    # Meta's page names a link, and no uploaded file.
    if not medium.source.startswith("http"):
        raise GraphError(131009, "The header of a card is given by link.")
    body = ""
    if "body" in card:
        body = sized(an_object(card, "body"), "text", "Card body", SLIDE_BODY_MAX)
        if body.count("\n") > SLIDE_BREAKS_MAX:
            raise GraphError(131009, f"Card body has more than {SLIDE_BREAKS_MAX} line breaks.")
    action = an_object(card, "action")
    if "buttons" in action:
        only(action, "cards.action", "buttons")
        return Slide(medium, body, _replies(action, "quick_reply", SLIDE_BUTTON_ID_MAX))
    title, url = _address(action)
    return Slide(medium, body, (), title, url)


_READERS: Final[dict[str, _Read]] = {
    "button": _buttons,
    "list": _menu,
    "cta_url": _link,
    "location_request_message": _place_request,
    "request_contact_info": _phone_request,
    "flow": _form,
    "product": _product,
    "product_list": _products,
    "catalog_message": _catalogue,
    "carousel": _carousel,
}
