"""Reads the JSON of a form (Meta's "Flow JSON") and says what Meta would refuse, before it is uploaded.

Only what our forms are made of is known; anything else is named as unknown, so that nothing goes up unread.
Source: Meta, "Flow JSON", "Flow JSON: components", "Actions" (versions 5.0 to 7.3).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

VERSIONS: Final = ("5.0", "5.1", "6.0", "6.1", "6.2", "6.3", "7.0", "7.1", "7.2", "7.3")
DATA_API_VERSIONS: Final = ("3.0", "4.0")
BYTES_MAX: Final = 10 * 1024 * 1024
COMPONENTS_MAX: Final = 50  # of a screen
OPT_INS_MAX: Final = 5  # of a screen
OPTIONS_MAX: Final = 200  # of a choice
OPTION_TITLE_MAX: Final = 30
OPTION_ABOUT_MAX: Final = 300
SUCCESS: Final = "SUCCESS"

_Json = Mapping[str, object]

_SCREEN: Final = re.compile(r"[A-Za-z_]+")
_REFERENCE: Final = re.compile(r"\$\{(data|form)\.([A-Za-z_][A-Za-z0-9_]*)(?:\.[A-Za-z0-9_.]+)?\}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of component: what it must have, what it may have, and how long its words may be."""

    needs: tuple[str, ...]
    may: tuple[str, ...]
    limits: Mapping[str, int]
    """Characters, by property."""
    is_field: bool


def _kind(needs: str, may: str = "", *, is_field: bool = False, **limits: int) -> Kind:
    named = {name.replace("_", "-"): limit for name, limit in limits.items()}
    return Kind(tuple(needs.split()), (*may.split(), "visible"), named, is_field)


KINDS: Final[Mapping[str, Kind]] = {
    "TextHeading": _kind("text", text=80),
    "TextSubheading": _kind("text", text=80),
    "TextBody": _kind("text", "font-weight strikethrough markdown", text=4096),
    "TextCaption": _kind("text", "font-weight strikethrough markdown", text=409),
    "TextInput": _kind(
        "name label", "input-type required min-chars max-chars helper-text pattern label-variant enabled",
        is_field=True, label=20, helper_text=80,
    ),
    "TextArea": _kind(
        "name label", "required max-length helper-text label-variant enabled", is_field=True, label=20, helper_text=80
    ),
    "Dropdown": _kind("name label data-source", "required enabled", is_field=True, label=20),
    "RadioButtonsGroup": _kind(
        "name data-source", "label description required enabled", is_field=True, label=30, description=300
    ),
    "CheckboxGroup": _kind(
        "name data-source", "label description required min-selected-items max-selected-items enabled",
        is_field=True, label=30, description=300,
    ),
    "DatePicker": _kind(
        "name label", "required min-date max-date unavailable-dates helper-text enabled", is_field=True, label=40,
        helper_text=80,
    ),
    "OptIn": _kind("name label", "required on-click-action", is_field=True, label=120),
    "EmbeddedLink": _kind("text on-click-action", text=25),
    "Footer": _kind(
        "label on-click-action", "left-caption center-caption right-caption enabled", label=35, left_caption=15,
        center_caption=15, right_caption=15,
    ),
}  # fmt: skip

_FORM: Final = ("type", "name", "children", "init-values", "error-messages")
_SCREEN_PARTS: Final = (
    "id", "title", "data", "layout", "terminal", "success", "refresh_on_back", "sensitive",
)  # fmt: skip


def problems(text: bytes) -> list[str]:
    """What Meta would refuse in the JSON of a form, each with its place; empty if nothing is known to be wrong."""
    if len(text) > BYTES_MAX:
        return [f"it has more than {BYTES_MAX} bytes"]
    try:
        form = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return [f"it is no JSON: {error}"]
    if not isinstance(form, dict):
        return ["it is no JSON object"]
    return list(_form(form))


def _form(form: _Json) -> Iterator[str]:
    yield from _unknown(form, ("version", "data_api_version", "routing_model", "screens"), "form")
    if form.get("version") not in VERSIONS:
        yield f"version: {' '.join(VERSIONS)} are known"
    screens = [screen for screen in _list(form.get("screens")) if isinstance(screen, dict)]
    ids = [str(screen.get("id", "")) for screen in screens]
    if not screens:
        yield "screens: there is none"
    if len(set(ids)) != len(ids):
        yield "screens: two have the same id"
    asks = "data_api_version" in form
    if asks and form["data_api_version"] not in DATA_API_VERSIONS:
        yield f"data_api_version: {' '.join(DATA_API_VERSIONS)} are known"
    routes = form.get("routing_model")
    if asks and not isinstance(routes, dict):
        yield "routing_model: is needed with data_api_version"
        routes = {}
    routes = routes if isinstance(routes, dict) else {}
    if routes:
        yield from _routes(routes, ids)
    if not any(screen.get("terminal") is True for screen in screens):
        yield "screens: none is terminal, so nobody comes to an end"
    for screen in screens:
        yield from _screen(screen, ids, routes, asks=asks)


def _routes(routes: _Json, ids: Sequence[str]) -> Iterator[str]:
    if set(routes) != set(ids):
        yield "routing_model: it names other screens than there are"
    reached = {str(to) for targets in routes.values() for to in _list(targets)}
    if unknown := reached - set(ids):
        yield f"routing_model: {', '.join(sorted(unknown))} is no screen"
    first = [id for id in routes if id not in reached]
    if len(first) != 1:
        yield "routing_model: exactly one screen must be led to by no other: the first one"
    for id, targets in routes.items():
        if id in _list(targets):
            yield f"routing_model: {id} leads to itself"


def _screen(screen: _Json, ids: Sequence[str], routes: _Json, *, asks: bool) -> Iterator[str]:
    id = str(screen.get("id", ""))
    at = id or "a screen"
    yield from _unknown(screen, _SCREEN_PARTS, at)
    if not _SCREEN.fullmatch(id) or id == SUCCESS:
        yield f"{at}: an id has letters and underscores, and {SUCCESS} is Meta's own"
    if not screen.get("title"):
        yield f"{at}: title is missing"
    layout = screen.get("layout")
    if not isinstance(layout, dict) or layout.get("type") != "SingleColumnLayout":
        yield f"{at}: layout must be a SingleColumnLayout"
        return
    data = screen.get("data", {})
    data = data if isinstance(data, dict) else {}
    for name, told in data.items():
        if not isinstance(told, dict) or "type" not in told or "__example__" not in told:
            yield f"{at}.data.{name}: type and __example__ are needed"
    components = list(_components(_list(layout.get("children")), at))
    if len(components) > COMPONENTS_MAX:
        yield f"{at}: has {len(components)} components, {COMPONENTS_MAX} fit"
    footers = [each for _, each in components if each.get("type") == "Footer"]
    if len(footers) > 1 or (screen.get("terminal") is True and not footers):
        yield f"{at}: one Footer, and a terminal screen needs it"
    if sum(each.get("type") == "OptIn" for _, each in components) > OPT_INS_MAX:
        yield f"{at}: has more than {OPT_INS_MAX} OptIn"
    names = [str(each["name"]) for _, each in components if _is_field(each) and "name" in each]
    if "error" in names:
        yield f"{at}: no field may be called error, by which the phone tells that it is lost"
    if len(set(names)) != len(names):
        yield f"{at}: two fields have the same name"
    known = {"data": set(data), "form": set(names)}
    for where, each in components:
        yield from _component(each, where)
        yield from _action(each.get("on-click-action"), where, screen, ids, routes, asks=asks)
    for found in _REFERENCE.finditer(msgspec.json.encode(layout).decode()):
        if found[2] not in known[found[1]]:
            yield f"{at}: {found[0]} is not there"


def _components(children: Sequence[object], at: str) -> Iterator[tuple[str, _Json]]:
    """All components, a Form's own ones in its place, each with where it stands."""
    for n, child in enumerate(children):
        where = f"{at}[{n}]"
        if not isinstance(child, dict):
            yield where, {}
        elif child.get("type") == "Form":
            yield where, child
            yield from _components(_list(child.get("children")), where)
        else:
            yield where, child


def _component(component: _Json, at: str) -> Iterator[str]:
    type = str(component.get("type", ""))
    if type == "Form":
        yield from _unknown(component, _FORM, at)
        if not component.get("name") or not component.get("children"):
            yield f"{at}: a Form needs name and children"
        return
    kind = KINDS.get(type)
    if kind is None:
        yield f"{at}: {type or 'a component without type'} is not known"
        return
    at = f"{at} {component.get('name', type)}"
    for need in kind.needs:
        if component.get(need) in (None, "", []):
            yield f"{at}: {need} is missing"
    yield from _unknown(
        component, ("type", *kind.needs, *kind.may, "init-value", "error-message"), at
    )
    for part, limit in kind.limits.items():
        words = component.get(part)
        if isinstance(words, str) and len(words) > limit:
            yield f"{at}: {part} has {len(words)} characters, {limit} fit"
    if "data-source" in kind.needs:
        yield from _options(component.get("data-source"), at)


def _options(source: object, at: str) -> Iterator[str]:
    if isinstance(source, str):
        return  # it comes with the screen's data
    options = [option for option in _list(source) if isinstance(option, dict)]
    if not 0 < len(options) <= OPTIONS_MAX:
        yield f"{at}: 1 to {OPTIONS_MAX} options are needed"
    ids = [option.get("id") for option in options]
    if len(set(map(str, ids))) != len(ids) or not all(ids):
        yield f"{at}: each option needs an id of its own"
    for option in options:
        title, about = str(option.get("title", "")), str(option.get("description", ""))
        if not 0 < len(title) <= OPTION_TITLE_MAX or len(about) > OPTION_ABOUT_MAX:
            yield f"{at}: '{title}' has no title of 1 to {OPTION_TITLE_MAX} characters"


def _action(
    action: object, at: str, screen: _Json, ids: Sequence[str], routes: _Json, *, asks: bool
) -> Iterator[str]:
    if action is None:
        return
    if not isinstance(action, dict):
        yield f"{at}: an action is an object"
        return
    match action.get("name"):
        case "data_exchange":
            if not asks:
                yield f"{at}: data_exchange needs data_api_version"
        case "navigate":
            following = action.get("next")
            to = following.get("name") if isinstance(following, dict) else None
            if to not in ids:
                yield f"{at}: navigate leads to no screen"
            elif routes and to not in _list(routes.get(str(screen.get("id")))):
                yield f"{at}: routing_model does not lead to {to}"
        case "complete":
            if screen.get("terminal") is not True:
                yield f"{at}: only a terminal screen completes"
        case "open_url":
            pass
        case other:
            yield f"{at}: {other} is no action"


def _is_field(component: _Json) -> bool:
    kind = KINDS.get(str(component.get("type")))
    return kind is not None and kind.is_field


def _unknown(given: _Json, known: Sequence[str], at: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield f"{at}: {name} is not known"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
