"""Reads how a template is filled in, and shows it as the person sees it.

Limits: Cloud API, "Template messages" and the pages of each kind of template (v26.0). Codes: 132000 for the number of
parameters, 132012 for their kind and format, 131008 for what is missing.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from handlers.whatsapp.emulator.attachments import medium_kind, read_medium, read_place
from handlers.whatsapp.emulator.content import (
    Medium,
    Notice,
    Place,
    Product,
    TemplateButton,
    TemplateCard,
)
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import JSON, a_meta_id, a_text, an_object, objects, only
from handlers.whatsapp.emulator.interactive import read_shelves
from handlers.whatsapp.emulator.templates import Button, Template, filled, variables_of

FindTemplate = Callable[[str, str], Template | None]
"""(name, language) to template."""

BODY_MAX: Final = 1024
HEADER_MAX: Final = 60
CODE_MAX: Final = 15  # of an authentication template
COUPON_MAX: Final = 15
PAYLOAD_MAX: Final = 256
URL_MAX: Final = 2000

_UNFIT: Final = re.compile(r"[\n\t]| {5,}")
_COUPON: Final = re.compile(r"[A-Za-z0-9]+")
_COMPONENTS: Final = ("header", "body", "button", "limited_time_offer", "carousel")

Format = Literal["NAMED", "POSITIONAL"]


def read_template(given: JSON, find_template: FindTemplate) -> Notice:
    """
    Raises:
        GraphError: what Meta would answer to it.
    """
    only(given, "template", "name", "language", "components")
    name = a_text(given, "name", "template.name")
    language = a_text(an_object(given, "language"), "code", "template.language.code")
    template = find_template(name, language)
    if template is None or template.status in {"PENDING", "REJECTED", "ARCHIVED"}:
        raise GraphError(132001, f"template name ({name}) does not exist in {language}")
    if template.status == "PAUSED":
        raise GraphError(132015, "The template is paused because of its quality.")
    if template.status == "DISABLED":
        raise GraphError(132016, "The template is disabled.")
    parts = objects(given, "components") if "components" in given else []
    for part in parts:
        if part.get("type") not in _COMPONENTS:
            raise GraphError(132012, f"{part.get('type')} is no component of a template")
    shape = template.parameter_format
    words, shown = _header(template, _of(parts, "header"))
    values = _values(template.body, shape, _of(parts, "body"))
    buttons = _buttons(template.buttons, _of(parts, "button"))
    if template.category == "AUTHENTICATION":
        _check_code([*values.values(), *(button.value for button in buttons)])
    body = filled(template.body, values)
    if len(body) > BODY_MAX:
        raise GraphError(132012, f"body: longer than {BODY_MAX} characters with its parameters")
    return Notice(
        name=template.name,
        language=template.language,
        category=template.category.lower(),
        body=body,
        header=words,
        footer=template.footer,
        buttons=buttons,
        shown=shown,
        cards=_cards(template, _of(parts, "carousel")),
        offer=template.offer,
        offer_ends_ms=_offer(template, _of(parts, "limited_time_offer")),
    )


def _of(parts: Iterable[JSON], kind: str) -> list[JSON]:
    return [part for part in parts if part.get("type") == kind]


def _one(parts: Sequence[JSON], what: str) -> JSON | None:
    if len(parts) > 1:
        raise GraphError(132000, f"{what}: more than one component")
    return parts[0] if parts else None


# ------------------------------------------------------------------ words


def _values(text: str, shape: Format, bodies: Sequence[JSON], what: str = "body") -> dict[str, str]:
    """The variables of a text by name; the names of positional ones are 1, 2 …"""
    body = _one(bodies, what)
    if body is not None:
        only(body, what, "type", "parameters")
    parameters = objects(body, "parameters") if body is not None else []
    expected = variables_of(text)
    if len(parameters) != len(expected):
        raise GraphError(
            132000,
            f"{what}: number of localizable_params ({len(parameters)}) does not match the expected number of params ({len(expected)})",
        )
    if any(parameter.get("type") != "text" for parameter in parameters):
        raise GraphError(132012, f"{what}: a parameter is not of type text")
    for parameter in parameters:
        only(parameter, what, "type", "text", "parameter_name")
    texts = [a_text(parameter, "text", "parameter.text") for parameter in parameters]
    if any(_UNFIT.search(text) for text in texts):
        raise GraphError(
            132012,
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
        )
    if shape == "POSITIONAL":
        if any("parameter_name" in parameter for parameter in parameters):
            raise GraphError(132012, f"{what}: the parameters of this template have no names")
        return dict(zip(expected, texts, strict=True))
    names = [str(parameter.get("parameter_name", "")) for parameter in parameters]
    if sorted(names) != sorted(expected):
        raise GraphError(132000, f"{what}: the parameter names do not match those of the template")
    return dict(zip(names, texts, strict=True))


def _check_code(codes: Sequence[str]) -> None:
    if len(set(codes)) != 1 or any(len(code) > CODE_MAX for code in codes):
        raise GraphError(
            132012,
            f"the code stands in the body and in the button, of at most {CODE_MAX} characters",
        )


# ------------------------------------------------------------------ header


def _header(
    template: Template, headers: Sequence[JSON]
) -> tuple[str, Medium | Place | Product | None]:
    """(words, or else what is shown) above the body."""
    if template.header in ("", "TEXT"):
        if headers and not variables_of(template.header_text):
            raise GraphError(132000, "header: the template has none that takes a parameter")
        values = _values(template.header_text, template.parameter_format, headers, "header")
        words = filled(template.header_text, values)
        if len(words) > HEADER_MAX:
            raise GraphError(132012, f"header: longer than {HEADER_MAX} characters")
        return words, None
    return "", _header_shown(template.header, headers)


def _header_shown(kind: str, headers: Sequence[JSON]) -> Medium | Place | Product:
    kind = kind.lower()
    parameters = objects(headers[0], "parameters") if len(headers) == 1 else []
    if len(parameters) != 1 or parameters[0].get("type") != kind:
        raise GraphError(132012, f"header: one parameter of type {kind} is expected")
    only(headers[0], "header", "type", "parameters")
    only(parameters[0], "header", "type", kind)
    if (named := medium_kind(kind)) is not None:
        medium = read_medium(parameters[0], named, path=f"header.{kind}")
        if medium.caption:
            raise GraphError(132012, "header: a medium has no caption here")
        return medium
    if kind == "location":
        place = read_place(parameters[0])
        if not place.name or not place.address:
            raise GraphError(131008, "header: a location needs name and address")
        return place
    product = an_object(parameters[0], "product")
    only(product, "header.product", "catalog_id", "product_retailer_id")
    return Product(
        a_meta_id(product, "catalog_id"),
        a_text(product, "product_retailer_id", "product.product_retailer_id"),
    )


# ------------------------------------------------------------------ buttons


def _buttons(buttons: Sequence[Button], components: Sequence[JSON]) -> tuple[TemplateButton, ...]:
    """Each button with what a tap on it gives; for a quick reply without a payload that is its label."""
    given: dict[int, JSON] = {}
    for component in components:
        only(component, "button", "type", "sub_type", "index", "parameters")
        # Meta takes the index as a number and as its digits.
        index = str(component.get("index", ""))
        if not index.isdigit() or int(index) >= len(buttons) or int(index) in given:
            raise GraphError(132000, "button: the index names no button, or the same button twice")
        given[int(index)] = component
    return tuple(
        TemplateButton(button.type, button.text, _value(n, button, given.get(n)))
        for n, button in enumerate(buttons)
    )


_SUB_TYPES: Final = {
    "QUICK_REPLY": ("quick_reply", "payload"),
    "URL": ("url", "text"),
    "OTP": ("url", "text"),
    "COPY_CODE": ("copy_code", "coupon_code"),
    "FLOW": ("flow", "action"),
    "CATALOG": ("catalog", "action"),
    "MPM": ("mpm", "action"),
}
"""By type of button: its `sub_type`, and the type of its parameter. Others are given nothing."""


def _value(n: int, button: Button, component: JSON | None) -> str:
    if component is None:
        if button.type in ("OTP", "COPY_CODE", "MPM") or "{{" in button.url:
            raise GraphError(131008, f"button: button at index {n} requires a parameter")
        return {"URL": button.url, "PHONE_NUMBER": button.phone, "FLOW": ""}.get(
            button.type, button.text
        )
    if button.type not in _SUB_TYPES or (button.type == "URL" and "{{" not in button.url):
        raise GraphError(132000, f"button: button at index {n} takes no parameter")
    parameters = objects(component, "parameters")
    if len(parameters) != 1:
        raise GraphError(132000, "button: one parameter is expected")
    sub_type, kind = _SUB_TYPES[button.type]
    if component.get("sub_type") != sub_type or parameters[0].get("type") != kind:
        raise GraphError(132012, f"button: button at index {n} is a {sub_type} with a {kind}")
    only(parameters[0], "button", "type", kind)
    if kind == "action":
        return _action(button, an_object(parameters[0], "action"))
    value = a_text(parameters[0], kind, f"parameter.{kind}")
    match button.type:
        case "URL":
            url = button.url.replace("{{1}}", value)
            if len(url) > URL_MAX or re.search(r"\s", url):
                raise GraphError(132012, f"button: the address at index {n} is not valid")
            return url
        case "COPY_CODE" if len(value) > COUPON_MAX or not _COUPON.fullmatch(value):
            raise GraphError(132012, f"button: a coupon has up to {COUPON_MAX} letters and digits")
        case "QUICK_REPLY" if len(value) > PAYLOAD_MAX:
            raise GraphError(132012, f"button: a payload has up to {PAYLOAD_MAX} characters")
        case _:
            return value


def _action(button: Button, action: JSON) -> str:
    """The token of a form, the product on the catalogue's picture, the products."""
    match button.type:
        case "FLOW":
            only(action, "action", "flow_token", "flow_action_data")
            if "flow_action_data" in action and not an_object(action, "flow_action_data"):
                raise GraphError(132012, "button: flow_action_data must not be empty")
            return a_text(action, "flow_token", "flow_token") if "flow_token" in action else ""
        case "CATALOG":
            only(action, "action", "thumbnail_product_retailer_id")
            return a_text(action, "thumbnail_product_retailer_id", "thumbnail_product_retailer_id")
        case _:
            only(action, "action", "thumbnail_product_retailer_id", "sections")
            a_text(action, "thumbnail_product_retailer_id", "thumbnail_product_retailer_id")
            return ",".join(product for shelf in read_shelves(action) for product in shelf.products)


# ------------------------------------------------------------------ carousels and offers


def _cards(template: Template, carousels: Sequence[JSON]) -> tuple[TemplateCard, ...]:
    carousel = _one(carousels, "carousel")
    given = objects(carousel, "cards") if carousel is not None else []
    if len(given) != len(template.cards):
        raise GraphError(
            132000, f"carousel: {len(template.cards)} cards are expected, not {len(given)}"
        )
    if [card.get("card_index") for card in given] != list(range(len(given))):
        raise GraphError(132012, "carousel: card_index must count from 0")
    return tuple(_card(template, n, objects(card, "components")) for n, card in enumerate(given))


def _card(template: Template, n: int, parts: Sequence[JSON]) -> TemplateCard:
    card = template.cards[n]
    for part in parts:
        if part.get("type") not in ("header", "body", "button"):
            raise GraphError(132012, f"carousel: {part.get('type')} is no component of a card")
    header = _header_shown(card.header, _of(parts, "header"))
    assert not isinstance(header, Place), "no card shows a location"
    values = _values(card.body, template.parameter_format, _of(parts, "body"), f"cards[{n}].body")
    return TemplateCard(
        header, filled(card.body, values), _buttons(card.buttons, _of(parts, "button"))
    )


def _offer(template: Template, offers: Sequence[JSON]) -> int:
    offer = _one(offers, "limited_time_offer")
    if (offer is not None) != template.offer_expires:
        raise GraphError(132000, "limited_time_offer: it is given if, and only if, the offer ends")
    if offer is None:
        return 0
    parameters = objects(offer, "parameters")
    if len(parameters) != 1 or parameters[0].get("type") != "limited_time_offer":
        raise GraphError(132012, "limited_time_offer: one parameter of this type is expected")
    told = an_object(parameters[0], "limited_time_offer")
    only(told, "limited_time_offer", "expiration_time_ms")
    ends = told.get("expiration_time_ms")
    if not isinstance(ends, int) or isinstance(ends, bool) or ends <= 0:
        raise GraphError(132012, "expiration_time_ms must be a time in milliseconds")
    return ends
