"""Reads a template that is created or edited, as strictly as Meta.

Source: Meta, "Template components", "Authentication templates", "Templates overview" (v26.0).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, get_args

from handlers.whatsapp.emulator.content import ButtonKind
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import JSON, a_text, objects, only, optional
from handlers.whatsapp.emulator.templates import VARIABLE, Button, Category, Template, variables_of

NAME_MAX: Final = 512
HEADER_MAX: Final = 60
BODY_MAX: Final = 1024
FOOTER_MAX: Final = 60
BUTTONS_MAX: Final = 10
LABEL_MAX: Final = 25
URLS_MAX: Final = 2
# Meta refuses too many and does not say how many; its partners tell two words for each, and one more.
WORDS_PER_VARIABLE: Final = 2

_NAME: Final = re.compile(r"[a-z0-9_]+")
_NAMED: Final = re.compile(r"[a-z_][a-z0-9_]*")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")

# What Meta itself writes into an authentication template: its words are no business of ours.
_CODE_BODY: Final = {
    "es": "*{{1}}* es tu código de verificación.",
    "en": "*{{1}}* is your verification code.",
}
_SECURITY: Final = {
    "es": " Por tu seguridad, no lo compartas.",
    "en": " For your security, do not share this code.",
}
_EXPIRES: Final = {"es": "Caduca en {} minutos.", "en": "Expires in {} minutes."}


def read_creation(body: JSON) -> Template:
    """
    Raises:
        GraphError: Meta would not even review it.
    """
    only(
        body,
        "message_templates",
        *(
            "name",
            "language",
            "category",
            "components",
            "parameter_format",
            "allow_category_change",
        ),
        "message_send_ttl_seconds",
    )
    name = a_text(body, "name", "name")
    if not _NAME.fullmatch(name) or len(name) > NAME_MAX:
        raise _invalid("name: only lowercase letters, digits and underscores")
    language = a_text(body, "language", "language")
    if not _LANGUAGE.fullmatch(language):
        raise _invalid(f"language: {language} is not supported")
    return _read(body, name=name, language=language, category=_category(body))


def read_edit(body: JSON, template: Template) -> Template:
    """As `read_creation`, of the parts of a template that may change."""
    only(body, "template", "category", "components", "parameter_format", "message_send_ttl_seconds")
    category = _category(body) if "category" in body else template.category
    if template.status == "APPROVED" and category != template.category:
        raise _invalid("the category of an approved template cannot be edited")
    shape = {"parameter_format": template.parameter_format} | body
    return _read(shape, name=template.name, language=template.language, category=category)


def _category(body: JSON) -> Category:
    word = a_text(body, "category", "category").upper()
    match word:
        case "UTILITY" | "MARKETING" | "AUTHENTICATION":
            return word
        case _:
            raise _invalid(f"category: {word} is none")


def _read(body: JSON, *, name: str, language: str, category: Category) -> Template:
    named = (
        a_text(body, "parameter_format", "parameter_format")
        if "parameter_format" in body
        else "POSITIONAL"
    )
    parts = objects(body, "components")
    kinds = [a_text(part, "type", "components.type").upper() for part in parts]
    if len(set(kinds)) < len(kinds):
        raise _invalid("components: one of each kind")
    for kind in kinds:
        if kind not in ("HEADER", "BODY", "FOOTER", "BUTTONS"):
            raise _invalid(f"components: {kind} is none that this emulator knows")
    by_kind = dict(zip(kinds, parts, strict=True))
    if "BODY" not in by_kind:
        raise _invalid("components: a body is required")
    if category == "AUTHENTICATION":
        return _code(by_kind, name=name, language=language)
    shape = "NAMED" if named.upper() == "NAMED" else "POSITIONAL"
    text = _words(by_kind["BODY"], "body", BODY_MAX)
    _check_variables(text, by_kind["BODY"], shape, "body")
    header = ""
    if "HEADER" in by_kind:
        if a_text(by_kind["HEADER"], "format", "header.format").upper() != "TEXT":
            raise _invalid("header: only words, in this emulator")
        header = _words(by_kind["HEADER"], "header", HEADER_MAX)
        if len(variables_of(header)) > 1:
            raise _invalid("header: at most one variable")
        _check_examples(header, by_kind["HEADER"], shape, "header")
    footer = _words(by_kind["FOOTER"], "footer", FOOTER_MAX) if "FOOTER" in by_kind else ""
    if variables_of(footer):
        raise _invalid("footer: no variables")
    return Template(
        name=name,
        language=language,
        category=category,
        body=text,
        status="PENDING",
        parameter_format="NAMED" if shape == "NAMED" else "POSITIONAL",
        header="TEXT" if variables_of(header) else "",
        header_text=header,
        footer=footer,
        buttons=_buttons(by_kind.get("BUTTONS")),
    )


def _code(by_kind: dict[str, JSON], *, name: str, language: str) -> Template:
    """An authentication template: Meta writes its words."""
    body = by_kind["BODY"]
    only(body, "body", "type", "add_security_recommendation")
    speech = language[:2] if language[:2] in _CODE_BODY else "en"
    text = _CODE_BODY[speech]
    if body.get("add_security_recommendation") is True:
        text += _SECURITY[speech]
    footer = ""
    if "FOOTER" in by_kind:
        only(by_kind["FOOTER"], "footer", "type", "code_expiration_minutes")
        minutes = by_kind["FOOTER"].get("code_expiration_minutes")
        if not isinstance(minutes, int) or not 1 <= minutes <= 90:
            raise _invalid("footer: code_expiration_minutes goes from 1 to 90")
        footer = _EXPIRES[speech].format(minutes)
    buttons = objects(by_kind.get("BUTTONS", {}), "buttons")
    if len(buttons) != 1 or "HEADER" in by_kind:
        raise _invalid("an authentication template has one button, and no header")
    [button] = buttons
    if a_text(button, "type", "buttons.type").upper() != "OTP":
        raise _invalid("buttons: type OTP is required")
    if a_text(button, "otp_type", "buttons.otp_type").upper() != "COPY_CODE":
        raise _invalid("buttons: this emulator copies codes only")
    label = optional(button, "text", "buttons.text") or "Copy code"
    if len(label) > LABEL_MAX:
        raise _invalid(f"buttons: a label has at most {LABEL_MAX} characters")
    return Template(
        name=name,
        language=language,
        category="AUTHENTICATION",
        body=text,
        status="PENDING",
        parameter_format="POSITIONAL",
        footer=footer,
        buttons=(Button(type="OTP", text=label),),
    )


def _words(part: JSON, what: str, limit: int) -> str:
    text = a_text(part, "text", f"{what}.text")
    if len(text) > limit:
        raise _invalid(f"{what}: at most {limit} characters")
    return text


def _check_variables(text: str, part: JSON, shape: str, what: str) -> None:
    bare = text.strip()
    if VARIABLE.match(bare) or re.search(r"\{\{\s*\w+\s*\}\}$", bare):
        raise _invalid(f"{what}: a variable cannot stand at its beginning or end")
    if re.search(r"\}\}\s*\{\{", text):
        raise _invalid(f"{what}: variables cannot stand side by side")
    words = len(re.findall(r"\w+", VARIABLE.sub("", text)))
    if words <= WORDS_PER_VARIABLE * len(variables_of(text)):
        raise _invalid(f"{what}: too many variables for its length")
    _check_examples(text, part, shape, what)


def _check_examples(text: str, part: JSON, shape: str, what: str) -> None:
    """Each variable needs a value that a reviewer can read."""
    names = variables_of(text)
    if not names:
        return
    example = part.get("example")
    given: object = None
    if isinstance(example, dict):
        given = example.get(f"{what}_text_named_params" if shape == "NAMED" else f"{what}_text")
    if shape == "NAMED":
        if not all(_NAMED.fullmatch(name) for name in names):
            raise _invalid(
                f"{what}: names of variables are lowercase letters, digits and underscores"
            )
        told = {
            each.get("param_name")
            for each in (given if isinstance(given, list) else [])
            if isinstance(each, dict) and each.get("example")
        }
        if told != set(names):
            raise _invalid(f"{what}: an example for each variable is required")
        return
    if list(names) != [str(n) for n in range(1, len(names) + 1)]:
        raise _invalid(f"{what}: variables are numbered from 1 on")
    row = given[0] if what == "body" and isinstance(given, list) and given else given
    if not isinstance(row, list) or len(row) != len(names) or not all(row):
        raise _invalid(f"{what}: an example for each variable is required")


def _buttons(part: JSON | None) -> tuple[Button, ...]:
    if part is None:
        return ()
    given = objects(part, "buttons")
    if not 1 <= len(given) <= BUTTONS_MAX:
        raise _invalid(f"buttons: 1 to {BUTTONS_MAX}")
    buttons = [_button(each) for each in given]
    kinds: list[str] = [button.type for button in buttons]
    for kind, most in (("URL", URLS_MAX), ("PHONE_NUMBER", 1), ("COPY_CODE", 1), ("FLOW", 1)):
        if kinds.count(kind) > most:
            raise _invalid(f"buttons: at most {most} of kind {kind}")
    _check_grouping(kinds)
    return tuple(buttons)


def _check_grouping(kinds: Sequence[str]) -> None:
    """Meta: quick replies stand together, before or behind the others."""
    quick = [kind == "QUICK_REPLY" for kind in kinds]
    if sum(a != b for a, b in pairwise(quick)) > 1:
        raise _invalid("buttons: quick replies stand together")


def _button(given: JSON) -> Button:
    word = a_text(given, "type", "buttons.type").upper()
    label = a_text(given, "text", "buttons.text")
    if len(label) > LABEL_MAX:
        raise _invalid(f"buttons: a label has at most {LABEL_MAX} characters")
    kind = next((kind for kind in get_args(ButtonKind) if kind == word), None)
    if kind is None or kind == "OTP":
        raise _invalid(f"buttons: {word} is none")
    url = optional(given, "url", "buttons.url")
    if kind == "URL" and not url:
        raise GraphError(131008, "Missing required parameter: buttons.url")
    if variables_of(url) and not given.get("example"):
        raise _invalid("buttons: an example of the address is required")
    return Button(
        type=kind,
        text=label,
        url=url,
        phone=optional(given, "phone_number", "buttons.phone_number"),
        flow_id=optional(given, "flow_id", "buttons.flow_id"),
    )


def _invalid(details: str) -> GraphError:
    return GraphError(100, details, subcode=2388299)
