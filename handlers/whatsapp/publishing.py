"""Templates from our files to Meta and back: what is missing, what differs, and how Meta is told.

Source: Meta, "Template management", "Template components", "Authentication templates" (v26.0).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from msgspec.json import Encoder

from flows.dialog.templates import (
    VARIABLE,
    Link,
    Placeholder,
    TemplateFile,
    Templates,
)
from flows.window import Category
from handlers.whatsapp.client import Graph

CODE_TTL_S_MAX: Final = 900  # Meta: an undelivered code is given up after 30 s to 15 min
EDITABLE: Final = frozenset({"APPROVED", "REJECTED", "PAUSED"})

Json = dict[str, object]
Step = Literal["create", "edit", "same", "waits", "foreign"]

_encode: Final = Encoder().encode


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done about one template in one language."""

    name: str
    locale: str
    step: Step
    """`waits`: it differs, and Meta takes no edit now. `foreign`: there is no file of it."""
    id: str = ""
    """Meta's; empty if it has none."""
    status: str = ""
    """At Meta."""
    differs: tuple[str, ...] = ()
    """In which parts."""
    why: str = ""
    """Why Meta rejected it."""


def plan(templates: Templates, listed: list[Json]) -> list[Planned]:
    """Compare our files with what Meta listed; by name and language."""
    there = {_key(each): each for each in listed if _key(each) != ("", "")}
    planned = []
    for key, file in templates.files.items():
        described = there.pop(key, None)
        planned.append(_planned(key, file, described))
    planned += [
        Planned(*key, "foreign", id=_text(each, "id"), status=_text(each, "status"))
        for key, each in there.items()
    ]
    return sorted(planned, key=lambda each: (each.name, each.locale))


async def carry_out(
    graph: Graph, waba_id: str, token: str, planned: Planned, file: TemplateFile
) -> str:
    """Create or edit one template; answers what Meta says of it, e.g. PENDING.

    Raises:
        GraphError: Meta refuses it, or does not answer; asking again does no harm.
    """
    if planned.step == "create":
        body = creation(planned.name, planned.locale, file)
        answer = await graph.request("POST", f"{waba_id}/message_templates", token, _encode(body))
        return _text(answer, "status") or "PENDING"
    body = creation(planned.name, planned.locale, file)
    edit: Json = {key: body[key] for key in ("components", "parameter_format") if key in body}
    if "category" in planned.differs:
        edit["category"] = body["category"]
    await graph.request("POST", planned.id, token, _encode(edit))
    return "PENDING"


# ------------------------------------------------------------------ to Meta


def creation(name: str, locale: str, file: TemplateFile) -> Json:
    """The body of `POST /<WABA>/message_templates`."""
    body: Json = {"name": name, "language": locale, "category": file.category.upper()}
    if file.category == "authentication":
        body["message_send_ttl_seconds"] = min(file.expires_minutes * 60, CODE_TTL_S_MAX)
        body["components"] = [
            {"type": "BODY", "add_security_recommendation": file.security},
            {"type": "FOOTER", "code_expiration_minutes": file.expires_minutes},
            {
                "type": "BUTTONS",
                "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": file.button}],
            },
        ]
        return body
    body["parameter_format"] = "NAMED"
    components: list[Json] = []
    if file.header:
        components.append({"type": "HEADER", "format": "TEXT", "text": file.header})
    words: Json = {"type": "BODY", "text": file.body}
    if file.parameters:
        words["example"] = {
            "body_text_named_params": [
                {"param_name": name, "example": file.placeholders[name].example}
                for name in file.parameters
            ]
        }
    components.append(words)
    if file.footer:
        components.append({"type": "FOOTER", "text": file.footer})
    buttons: list[Json] = [{"type": "QUICK_REPLY", "text": label} for label in file.replies]
    for link in file.links:
        given = {"example": [link.example]} if link.example else {}
        buttons.append({"type": "URL", "text": link.title, "url": link.url, **given})
    if buttons:
        components.append({"type": "BUTTONS", "buttons": buttons})
    body["components"] = components
    return body


# ------------------------------------------------------------------ from Meta


def file_of(described: Json) -> TemplateFile | str:
    """The file that a template of Meta's would have, or why it can have none. All placeholders are of type words."""
    category = _CATEGORIES.get(_text(described, "category").upper())
    if category is None:
        return f"category {_text(described, 'category')}"
    parts = _parts(described)
    buttons = _buttons(parts)
    if category == "authentication":
        minutes = _minutes(parts)
        if len(buttons) != 1 or not minutes:
            return "an authentication template without a code that expires"
        return TemplateFile(
            category=category,
            button=_text(buttons[0], "text"),
            expires_minutes=minutes,
            security=len(VARIABLE.sub("", _words(parts, "BODY")).split(".")) > 2,
        )
    for kind in parts:
        if kind not in ("HEADER", "BODY", "FOOTER", "BUTTONS"):
            return f"component {kind}"
    if "HEADER" in parts and _text(parts["HEADER"], "format").upper() != "TEXT":
        return f"header {_text(parts['HEADER'], 'format')}"
    replies, links = [], []
    for button in buttons:
        match _text(button, "type").upper():
            case "QUICK_REPLY":
                replies.append(_text(button, "text"))
            case "URL":
                example = button.get("example")
                first = example[0] if isinstance(example, list) and example else ""
                shown = first if isinstance(first, str) else ""
                links.append(Link(_text(button, "text"), _text(button, "url"), shown))
            case other:
                return f"button {other}"
    body = _words(parts, "BODY")
    return TemplateFile(
        category=category,
        body=body,
        header=_words(parts, "HEADER"),
        footer=_words(parts, "FOOTER"),
        replies=tuple(replies),
        links=tuple(links),
        placeholders={
            name: Placeholder("words", example)
            for name, example in _examples(parts["BODY"]).items()
        }
        if "BODY" in parts
        else {},
    )


_CATEGORIES: Final[Mapping[str, Category]] = {
    "UTILITY": "utility",
    "MARKETING": "marketing",
    "AUTHENTICATION": "authentication",
}


def _planned(key: tuple[str, str], file: TemplateFile, described: Json | None) -> Planned:
    if described is None:
        return Planned(*key, "create")
    status = _text(described, "status").upper()
    differs = tuple(_differences(file, described))
    step: Step = "same" if not differs else "edit" if status in EDITABLE else "waits"
    why = _text(described, "rejected_reason")
    return Planned(
        *key,
        step,
        id=_text(described, "id"),
        status=status,
        differs=differs,
        why="" if why == "NONE" else why,
    )


def _differences(file: TemplateFile, described: Json) -> Iterator[str]:
    """The parts in which a file and Meta differ; of an authentication template Meta's words are its own."""
    if _text(described, "category").upper() != file.category.upper():
        yield "category"
    parts = _parts(described)
    labels = [
        (_text(button, "text"), _text(button, "url") if _text(button, "type") == "URL" else "")
        for button in _buttons(parts)
    ]
    if file.category == "authentication":
        if [label for label, _ in labels] != [file.button]:
            yield "button"
        if _minutes(parts) != file.expires_minutes:
            yield "expires_minutes"
        return
    for kind, words in (("HEADER", file.header), ("BODY", file.body), ("FOOTER", file.footer)):
        if _words(parts, kind) != words:
            yield kind.lower()
    ours = [
        *((label, "") for label in file.replies),
        *((link.title, link.url) for link in file.links),
    ]
    if labels != ours:
        yield "buttons"


def _key(described: Json) -> tuple[str, str]:
    name, locale = _text(described, "name"), _text(described, "language")
    return (name, locale.replace("-", "_")) if name and locale else ("", "")


def _parts(described: Json) -> dict[str, Json]:
    components = described.get("components")
    found = components if isinstance(components, list) else []
    return {_text(part, "type").upper(): part for part in found if isinstance(part, dict)}


def _buttons(parts: Mapping[str, Json]) -> list[Json]:
    given = parts.get("BUTTONS", {}).get("buttons")
    return (
        [button for button in given if isinstance(button, dict)] if isinstance(given, list) else []
    )


def _words(parts: Mapping[str, Json], kind: str) -> str:
    return _text(parts.get(kind, {}), "text")


def _minutes(parts: Mapping[str, Json]) -> int:
    footer = parts.get("FOOTER", {})
    told = footer.get("code_expiration_minutes")
    if isinstance(told, int):
        return told
    number = re.search(r"[0-9]+", _text(footer, "text"))
    return int(number[0]) if number else 0


def _examples(body: Json) -> dict[str, str]:
    """An example for each variable of a body; its own name where Meta tells none."""
    names = dict.fromkeys(VARIABLE.findall(_text(body, "text")))
    example = body.get("example")
    given = example.get("body_text_named_params") if isinstance(example, dict) else None
    told = {
        _text(each, "param_name"): _text(each, "example")
        for each in (given if isinstance(given, list) else [])
    }
    return {name: told.get(name) or name for name in names}


def _text(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
