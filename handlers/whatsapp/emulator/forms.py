"""Forms as Meta keeps them: keys of numbers, the JSON of forms, and their screens as a phone shows them.

Read from Meta's pages, apart from our own reading of the same JSON. Pure state, in memory.
Source: Meta, "Flow JSON", "Flow JSON: components", "Flows API".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.world import NumberId

SUCCESS: Final = "SUCCESS"
ID_DIGITS: Final = 16

_REFERENCE = re.compile(r"\$\{(data|form)\.(\w+)\}")

_WORDS: Final[Mapping[str, tuple[str, int]]] = {
    "TextHeading": ("text", 80),
    "TextSubheading": ("text", 80),
    "TextBody": ("text", 4096),
    "TextCaption": ("text", 409),
    "TextInput": ("label", 20),
    "TextArea": ("label", 20),
    "Dropdown": ("label", 20),
    "RadioButtonsGroup": ("label", 30),
    "CheckboxGroup": ("label", 30),
    "DatePicker": ("label", 40),
    "OptIn": ("label", 120),
    "Footer": ("label", 35),
}
"""The components that the phone can show, the property with their words, and how many characters of them."""

_FIELDS: Final = frozenset(
    ("TextInput", "TextArea", "Dropdown", "RadioButtonsGroup", "CheckboxGroup", "DatePicker", "OptIn")
)  # fmt: skip


class MetaForm(Struct, kw_only=True):
    """One form of an account."""

    id: str
    waba: str
    name: str
    status: str = "DRAFT"
    endpoint: str = ""
    screens: dict[str, JSON] = {}
    """By their ids, the first one first."""
    routes: dict[str, list[str]] = {}
    asks: bool = False
    """Whether it asks an endpoint for its screens."""


class Option(Struct, frozen=True):
    """One answer of a choice."""

    id: str
    title: str


class Component(Struct, frozen=True, kw_only=True):
    """A part of a screen as it is shown."""

    type: str
    text: str = ""
    name: str = ""
    required: bool = False
    kind: str = ""
    """Of an input: text, email, number …"""
    help: str = ""
    error: str = ""
    options: tuple[Option, ...] = ()
    value: object = ""


class Screen(Struct, frozen=True, kw_only=True):
    """A screen as it is shown."""

    id: str
    title: str
    components: tuple[Component, ...]
    can_go_back: bool = False


class FormStore:
    """The keys and forms of all numbers and accounts."""

    def __init__(self) -> None:
        self.keys: dict[NumberId, str] = {}
        """Public keys as PEM."""
        self._forms: dict[str, MetaForm] = {}

    def of(self, waba: str) -> list[MetaForm]:
        return [form for form in self._forms.values() if form.waba == waba]

    def find(self, id: str) -> MetaForm | None:
        return self._forms.get(id)

    def named(self, waba: str, told: str) -> MetaForm | None:
        """A form by its id or its name."""
        return next((form for form in self.of(waba) if told in (form.id, form.name)), None)

    def make(self, waba: str, name: str) -> MetaForm:
        form = MetaForm(id=f"9{len(self._forms) + 1:0{ID_DIGITS - 1}d}", waba=waba, name=name)
        self._forms[form.id] = form
        return form


def put_json(form: MetaForm, text: bytes) -> list[str]:
    """Take in a form's JSON; answers what is wrong with it, and then it stays as it was."""
    try:
        told = msgspec.json.decode(text, type=JSON)
    except msgspec.DecodeError as error:
        return [f"The JSON cannot be read: {error}"]
    screens = {str(s.get("id")): s for s in _objects(told.get("screens"))}
    found = list(_wrong(told, screens))
    if found:
        return found
    routes = told.get("routing_model")
    form.screens = screens
    form.routes = routes if isinstance(routes, dict) else {}
    form.asks = "data_api_version" in told
    form.status = "DRAFT"
    return []


def _wrong(told: JSON, screens: Mapping[str, JSON]) -> Iterator[str]:
    version = str(told.get("version", ""))
    if not re.fullmatch(r"[2-7]\.\d", version) or version > "7.3":
        yield f"Invalid value found for property 'version': {version}"
    if not screens:
        yield "The property 'screens' needs at least one screen."
    if SUCCESS in screens:
        yield f"{SUCCESS} is a reserved screen id."
    for id, screen in screens.items():
        given, parts = screen.get("data", {}), list(_parts(screen))
        data = set(given) if isinstance(given, dict) else set()
        fields = {str(part["name"]) for part in parts if part.get("type") in _FIELDS}
        for part in parts:
            words, limit = _WORDS.get(str(part.get("type")), ("", 0))
            if not words:
                yield f"{id}: Invalid value found for property 'type': {part.get('type')}"
            elif not 0 < len(str(part.get(words, ""))) <= limit:
                yield f"{id}: The property '{words}' must have 1 to {limit} characters."
        for place, name in _REFERENCE.findall(msgspec.json.encode(screen.get("layout")).decode()):
            if name not in (data if place == "data" else fields):
                yield f"{id}: Missing dynamic data '${{{place}.{name}}}'."
        if screen.get("terminal") and not any(part.get("type") == "Footer" for part in parts):
            yield f"{id}: A terminal screen needs a Footer."


def shown(screen: JSON, data: JSON, typed: JSON, *, can_go_back: bool) -> Screen:
    """A screen with its data put in, and what the person typed there before."""
    wrapped = [part for part in _children(screen) if part.get("type") == "Form"]
    frame = wrapped[0] if wrapped else {}
    errors, starts = (
        _object(filled(frame.get(key), data, {})) for key in ("error-messages", "init-values")
    )
    return Screen(
        id=str(screen["id"]),
        title=str(screen.get("title", "")),
        can_go_back=can_go_back,
        components=tuple(_component(part, data, errors, starts | typed) for part in _parts(screen)),
    )


def _component(part: JSON, data: JSON, errors: JSON, starts: JSON) -> Component:
    part = {key: filled(value, data, {}) for key, value in part.items() if key != "on-click-action"}
    name = str(part.get("name", ""))
    words, _ = _WORDS[str(part["type"])]
    return Component(
        type=str(part["type"]),
        text=str(part.get(words, "")),
        name=name,
        required=part.get("required") is True,
        kind=str(part.get("input-type", "")),
        help=str(part.get("helper-text", "")),
        error=str(errors.get(name, "")),
        options=tuple(
            Option(str(o.get("id", "")), str(o.get("title", "")))
            for o in _objects(part.get("data-source"))
        ),
        value=starts.get(name, part.get("init-value", "")),
    )


def missing(screen: JSON, values: JSON) -> list[str]:
    """The required fields that have no value: the phone lets nobody go on without them."""
    return [
        str(part["name"])
        for part in _parts(screen)
        if part.get("required") is True
        and values.get(str(part.get("name"))) in (None, "", False, [])
    ]


def action_of(screen: JSON) -> JSON:
    """What the button at its foot does."""
    footer = next((part for part in _parts(screen) if part.get("type") == "Footer"), {})
    return _object(footer.get("on-click-action"))


def filled(value: object, data: JSON, values: JSON) -> object:
    """A value of the JSON with its `${data.x}` and `${form.x}` put in."""
    if isinstance(value, dict):
        return {key: filled(each, data, values) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, data, values) for each in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return (data if whole[1] == "data" else values).get(whole[2])
    return _REFERENCE.sub(lambda m: str((data if m[1] == "data" else values).get(m[2], "")), value)


def _parts(screen: JSON) -> Iterator[JSON]:
    for part in _children(screen):
        if part.get("type") == "Form":
            yield from _objects(part.get("children"))
        else:
            yield part


def _children(screen: JSON) -> list[JSON]:
    return _objects(_object(screen.get("layout")).get("children"))


def _object(value: object) -> JSON:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[JSON]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
