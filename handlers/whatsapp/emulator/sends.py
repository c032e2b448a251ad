"""Reads what a business posts to `/<PHONE_ID>/messages`, and refuses what Meta refuses.

Written from Meta's reference alone, and not with the bot's own codec, so that a mistake of the codec is seen here.
Limits: Cloud API reference, "Interactive messages", "Template messages" (v26.0). Codes: 131008 for what is
missing, 131009 for a value of an interactive message, 100 for a malformed parameter.
"""

import re
from collections.abc import Callable
from typing import Final

from handlers.whatsapp.emulator.content import (
    Button,
    Buttons,
    Link,
    Medium,
    MediumKind,
    Menu,
    Notice,
    Row,
    Said,
    Section,
    Text,
)
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.templates import Template
from handlers.whatsapp.emulator.world import Send

JSON = dict[str, object]
FindTemplate = Callable[[str, str], Template | None]
"""(name, language) to template."""

TEXT_MAX: Final = 4096
BODY_MAX: Final = 1024
LIST_BODY_MAX: Final = 4096
HEADER_MAX: Final = 60
FOOTER_MAX: Final = 60
BUTTONS_MAX: Final = 3
TITLE_MAX: Final = 20  # reply button, button of a list, label of a link
BUTTON_ID_MAX: Final = 256
SECTIONS_MAX: Final = 10
ROWS_MAX: Final = 10  # over all sections
SECTION_TITLE_MAX: Final = 24
ROW_TITLE_MAX: Final = 24
ROW_ID_MAX: Final = 200
ROW_DESCRIPTION_MAX: Final = 72
OPAQUE_MAX: Final = 512
CODE_MAX: Final = 15  # of an authentication template

_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()\-]{5,24}")
# Meta: ISO country, a dot, the optional word of a parent id, alphanumerics.
_BSUID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_UNFIT_IN_PARAMETER: Final = re.compile(r"[\n\t]| {5,}")


class ReadReceipt:
    """A request that marks a message read, perhaps with the typing dots."""

    __slots__ = ("message_id", "typing")

    def __init__(self, message_id: str, *, typing: bool) -> None:
        self.message_id = message_id
        self.typing = typing


def read_request(body: JSON, find_template: FindTemplate) -> Send | ReadReceipt:
    """What the request asks for.

    Raises:
        GraphError: what Meta would answer to it.
    """
    if body.get("messaging_product") != "whatsapp":
        raise GraphError(100, "The parameter messaging_product is required.")
    if "status" in body:
        return _receipt(body)
    if body.get("recipient_type", "individual") != "individual":
        raise GraphError(131009, "recipient_type must be individual.")
    phone, bsuid = _address(body)
    return Send(
        content=_content(body, find_template),
        to=str(body.get("to", "")),
        phone=phone,
        bsuid=bsuid,
        opaque=_opaque(body),
        quotes=_quotes(body),
    )


def _receipt(body: JSON) -> ReadReceipt:
    if body["status"] != "read":
        raise GraphError(131009, "status must be read.")
    typing = "typing_indicator" in body
    if typing and body["typing_indicator"] != {"type": "text"}:
        raise GraphError(131009, "typing_indicator.type must be text.")
    return ReadReceipt(_text(body, "message_id", "message_id"), typing=typing)


def _address(body: JSON) -> tuple[str, str]:
    to, recipient = body.get("to", ""), body.get("recipient", "")
    if not to and not recipient:
        raise GraphError(131008, "One of to and recipient is required.")
    if to and not (isinstance(to, str) and _PHONE.fullmatch(to)):
        raise GraphError(131009, "to is not a phone number.")
    if recipient and not (isinstance(recipient, str) and _BSUID.fullmatch(recipient)):
        raise GraphError(131009, "recipient is not a business-scoped user id.")
    return "".join(filter(str.isdigit, str(to))), str(recipient)


def _opaque(body: JSON) -> str:
    opaque = body.get("biz_opaque_callback_data", "")
    if not isinstance(opaque, str) or len(opaque) > OPAQUE_MAX:
        raise GraphError(
            131009, f"biz_opaque_callback_data must be a text of at most {OPAQUE_MAX} characters."
        )
    return opaque


def _quotes(body: JSON) -> str:
    return (
        _text(_object(body, "context"), "message_id", "context.message_id")
        if "context" in body
        else ""
    )


def _content(body: JSON, find_template: FindTemplate) -> Said:
    match body.get("type", "text"):
        case "text":
            text = _text(_object(body, "text"), "body", "text.body")
            if len(text) > TEXT_MAX:
                raise GraphError(
                    100, f"Param text['body'] must be at most {TEXT_MAX} characters long."
                )
            return Text(text)
        case "image" | "video" | "audio" | "document" | "sticker" as kind:
            return _medium(_object(body, kind), kind)
        case "interactive":
            return _interactive(_object(body, "interactive"))
        case "template":
            return _template(_object(body, "template"), find_template)
        case kind:
            raise GraphError(131051, f"Message type {kind} is not known here.")


def _medium(given: JSON, kind: MediumKind) -> Medium:
    if ("id" in given) == ("link" in given):
        raise GraphError(131008, f"One of {kind}['id'] and {kind}['link'] is required.")
    source = _text(given, "id" if "id" in given else "link", f"{kind}.source")
    caption, name = (str(given.get(key, "")) for key in ("caption", "filename"))
    if len(caption) > BODY_MAX:
        raise GraphError(
            100, f"Param {kind}['caption'] must be at most {BODY_MAX} characters long."
        )
    return Medium(kind, source, caption, name, voice=given.get("voice") is True)


# ------------------------------------------------------------------ interactive


def _interactive(interactive: JSON) -> Said:
    header = _header(interactive)
    footer = ""
    if "footer" in interactive:
        footer = _sized(_object(interactive, "footer"), "text", "Footer text", FOOTER_MAX)
    action = _object(interactive, "action")
    kind = interactive.get("type")
    body_max = LIST_BODY_MAX if kind == "list" else BODY_MAX
    body = _sized(_object(interactive, "body"), "text", "Body text", body_max)
    match kind:
        case "button":
            return Buttons(body, _buttons(action), header=header, footer=footer)
        case "list":
            button = _sized(action, "button", "Button label", TITLE_MAX)
            return Menu(body, button, _sections(action), header=header, footer=footer)
        case "cta_url":
            return _link(body, action, header=header, footer=footer)
        case _:
            raise GraphError(131009, "interactive.type is not one of button, list, cta_url.")


def _header(interactive: JSON) -> str:
    if "header" not in interactive:
        return ""
    header = _object(interactive, "header")
    if header.get("type") != "text":
        raise GraphError(131009, "Header type is not known here.")
    return _sized(header, "text", "Header text", HEADER_MAX)


def _buttons(action: JSON) -> tuple[Button, ...]:
    given = _objects(action, "buttons")
    if not 1 <= len(given) <= BUTTONS_MAX:
        raise GraphError(
            131009,
            f"Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: {BUTTONS_MAX}",
        )
    if any(button.get("type") != "reply" for button in given):
        raise GraphError(131009, "Button type must be reply.")
    replies = [_object(button, "reply") for button in given]
    buttons = tuple(
        Button(
            _sized(reply, "id", "Button id", BUTTON_ID_MAX),
            _sized(reply, "title", "Button title", TITLE_MAX),
        )
        for reply in replies
    )
    _distinct("Button ids", [button.id for button in buttons])
    _distinct("Button titles", [button.title for button in buttons])
    return buttons


def _sections(action: JSON) -> tuple[Section, ...]:
    given = _objects(action, "sections")
    if not 1 <= len(given) <= SECTIONS_MAX:
        raise GraphError(131009, f"Invalid sections count. Max allowed sections: {SECTIONS_MAX}")
    sections = tuple(
        Section(
            tuple(_row(row) for row in _objects(section, "rows")),
            _sized(section, "title", "Section title", SECTION_TITLE_MAX)
            if section.get("title")
            else "",
        )
        for section in given
    )
    rows = [row for section in sections for row in section.rows]
    if len(rows) > ROWS_MAX:
        raise GraphError(131009, f"Total row count exceed max allowed count: {ROWS_MAX}")
    if any(not section.rows for section in sections):
        raise GraphError(131009, "A section has no rows.")
    if len(sections) > 1 and any(not section.title for section in sections):
        raise GraphError(131009, "Section title is required when there are several sections.")
    _distinct("Row ids", [row.id for row in rows])
    return sections


def _row(row: JSON) -> Row:
    return Row(
        _sized(row, "id", "Row id", ROW_ID_MAX),
        _sized(row, "title", "Row title", ROW_TITLE_MAX),
        _sized(row, "description", "Row description", ROW_DESCRIPTION_MAX)
        if "description" in row
        else "",
    )


def _link(body: str, action: JSON, *, header: str, footer: str) -> Link:
    if action.get("name") != "cta_url":
        raise GraphError(131009, "action.name must be cta_url.")
    parameters = _object(action, "parameters")
    title = _sized(parameters, "display_text", "Display text", TITLE_MAX)
    url = _text(parameters, "url", "parameters.url")
    if not url.startswith(("https://", "http://")):
        raise GraphError(131009, "parameters.url is not a valid URL.")
    return Link(body, title, url, header=header, footer=footer)


# ------------------------------------------------------------------ templates


def _template(given: JSON, find_template: FindTemplate) -> Notice:
    name = _text(given, "name", "template.name")
    language = _text(_object(given, "language"), "code", "template.language.code")
    template = find_template(name, language)
    if template is None or template.status in {"PENDING", "REJECTED"}:
        raise GraphError(132001, f"template name ({name}) does not exist in {language}")
    if template.status == "PAUSED":
        raise GraphError(132015, "The template is paused because of its quality.")
    if template.status == "DISABLED":
        raise GraphError(132016, "The template is disabled.")
    components = _objects(given, "components") if "components" in given else []
    values = _values(template, [part for part in components if part.get("type") == "body"])
    header = _header_medium(template, [part for part in components if part.get("type") == "header"])
    taps = _taps(template, [part for part in components if part.get("type") == "button"])
    if template.category == "AUTHENTICATION":
        _check_code(values, taps)
    return template.filled(values, header=header, buttons=taps)


def _values(template: Template, bodies: list[JSON]) -> dict[str, str]:
    """The body's variables by name; the names of positional ones are 1, 2 …"""
    if len(bodies) > 1:
        raise GraphError(132000, "body: more than one component")
    parameters = _objects(bodies[0], "parameters") if bodies else []
    expected = template.variables
    if len(parameters) != len(expected):
        raise GraphError(
            132000,
            f"body: number of localizable_params ({len(parameters)}) does not match the expected number of params ({len(expected)})",
        )
    if any(parameter.get("type") != "text" for parameter in parameters):
        raise GraphError(132012, "body: a parameter is not of type text")
    texts = [_text(parameter, "text", "parameter.text") for parameter in parameters]
    if any(_UNFIT_IN_PARAMETER.search(text) for text in texts):
        raise GraphError(
            132012,
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
        )
    if template.parameter_format == "POSITIONAL":
        return dict(zip(expected, texts, strict=True))
    names = [str(parameter.get("parameter_name", "")) for parameter in parameters]
    if set(names) != set(expected):
        raise GraphError(132000, "body: the parameter names do not match those of the template")
    values = dict(zip(names, texts, strict=True))
    if (
        len(template.filled(values, header="", buttons=("",) * len(template.buttons)).body)
        > BODY_MAX
    ):
        raise GraphError(132012, f"body: longer than {BODY_MAX} characters with its parameters")
    return values


def _header_medium(template: Template, headers: list[JSON]) -> str:
    """The file name or the kind of the header's medium."""
    if not template.header:
        if headers:
            raise GraphError(132000, "header: the template has none")
        return ""
    kind = template.header.lower()
    parameters = _objects(headers[0], "parameters") if len(headers) == 1 else []
    if len(parameters) != 1 or parameters[0].get("type") != kind:
        raise GraphError(132012, f"header: one parameter of type {kind} is expected")
    medium = _object(parameters[0], kind)
    if not medium.get("link") and not medium.get("id"):
        raise GraphError(131008, f"header: {kind} needs link or id")
    return str(medium.get("filename") or kind)


def _taps(template: Template, components: list[JSON]) -> tuple[str, ...]:
    """What each button gives when it is tapped; the label of a quick reply without a payload."""
    taps = [button.url or button.text for button in template.buttons]
    parameterised = set()
    for component in components:
        # Meta takes the index as a number and as its digits.
        index = str(component.get("index", ""))
        if not index.isdigit() or int(index) >= len(taps) or index in parameterised:
            raise GraphError(132000, "button: the index names no button, or the same button twice")
        parameterised.add(index)
        taps[int(index)] = _tap(template, int(index), component)
    for n, button in enumerate(template.buttons):
        needs = button.type == "OTP" or "{{" in button.url
        if needs and str(n) not in parameterised:
            raise GraphError(131008, f"button: button at index {n} requires a parameter")
    return tuple(taps)


def _tap(template: Template, index: int, component: JSON) -> str:
    button = template.buttons[index]
    parameters = _objects(component, "parameters")
    if len(parameters) != 1:
        raise GraphError(132000, "button: one parameter is expected")
    sub_type, key = ("quick_reply", "payload") if button.type == "QUICK_REPLY" else ("url", "text")
    if component.get("sub_type") != sub_type or parameters[0].get("type") != key:
        raise GraphError(132012, f"button: button at index {index} is a {sub_type} with a {key}")
    value = _text(parameters[0], key, f"parameter.{key}")
    if button.type == "URL":
        return button.url.replace("{{1}}", value)
    return value


def _check_code(values: dict[str, str], taps: tuple[str, ...]) -> None:
    codes = {*values.values(), *taps}
    if len(codes) != 1 or any(len(code) > CODE_MAX for code in codes):
        raise GraphError(
            132012,
            f"the code stands in the body and in the button, of at most {CODE_MAX} characters",
        )


# ------------------------------------------------------------------ reading JSON


def _object(holder: JSON, key: str) -> JSON:
    value = holder.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: {key}")
    if not isinstance(value, dict):
        raise GraphError(100, f"Param {key} must be a JSON object.")
    return value


def _objects(holder: JSON, key: str) -> list[JSON]:
    value = holder.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: {key}")
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise GraphError(100, f"Param {key} must be an array of JSON objects.")
    return value


def _text(holder: JSON, key: str, path: str) -> str:
    value = holder.get(key)
    if value is None or value == "":
        raise GraphError(131008, f"Missing required parameter: {path}")
    if not isinstance(value, str):
        raise GraphError(100, f"Param {path} must be a string.")
    return value


def _sized(holder: JSON, key: str, what: str, limit: int) -> str:
    value = holder.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: {key}")
    if not isinstance(value, str):
        raise GraphError(100, f"Param {key} must be a string.")
    if not 1 <= len(value) <= limit or not value.strip():
        raise GraphError(131009, f"{what} length invalid. Min length: 1, Max length: {limit}")
    return value


def _distinct(what: str, values: list[str]) -> None:
    if len(set(values)) < len(values):
        raise GraphError(131009, f"{what} are not unique.")
