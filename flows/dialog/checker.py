"""Reads flows and their texts without running them, and says what would go wrong.

A problem stops the build; a warning asks for another look. Both are worded for the author.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import msgspec
from jinja2 import TemplateError, meta, nodes

from flows.dialog.answers import Form
from flows.dialog.content import (
    BODY_MAX,
    BUTTON_TITLE_MAX,
    BUTTONS_MAX,
    LIST_BODY_MAX,
    ROW_DESCRIPTION_MAX,
    ROW_TITLE_MAX,
)
from flows.dialog.flow import Flow, State, parts
from flows.dialog.keys import BOT_KEYS, alone_keys, say_keys, sorry_keys, title_keys
from flows.dialog.screens import ERROR_MAX
from flows.dialog.source import ANYWHERE, END, HUMAN, Seen, impure_imports, look, look_anywhere
from flows.dialog.style import ALIKE, Role, judge, visible
from flows.dialog.template_uses import template_problems
from flows.dialog.templates import Templates
from flows.dialog.texts import COMMON_NAMES, FORMAT_KEYS, Texts, Voice

IDLE_MAX: Final = timedelta(days=30)
WINDOW: Final = timedelta(hours=24)
"""After this the person must have written again, or a template is needed."""
TRIES_SHOWN: Final = 3
"""Texts for the second and third try: `rut.digit.2`."""

See = Callable[[State[Any]], Seen]

_SORRY_NAMES: Final = frozenset(("question", "title"))
_BOT_TITLES: Final = frozenset(
    ("bot.both", "bot.list", "bot.more", "bot.none", "bot.notices", "bot.notices_only", "bot.talk")
)
_BOT_SORRY: Final = frozenset(
    (
        "bot.audio",
        "bot.image",
        "bot.old_button",
        "bot.sticker",
        "bot.trouble",
        "bot.unsupported",
        "choice.tap",
        "choice.unknown",
        "choice.unknown.2",
    )
)


class Shipped(msgspec.Struct, frozen=True):
    """What was released of one flow."""

    states: tuple[str, ...]
    """Every name that a stored conversation may hold."""
    version: int
    shape: str
    """Hash of the data's fields."""


@dataclass(frozen=True)
class Problem:
    at: str
    """`<flow>`, `<flow>.<state>` or a text key."""
    what: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.at}: {'(warning) ' if self.warning else ''}{self.what}"


@dataclass(frozen=True)
class Use:
    """A text that a flow says."""

    keys: tuple[str, ...]
    """Where it may stand, the proper place first."""
    role: Role
    where: str
    limit: int
    names: frozenset[str] = COMMON_NAMES
    data: tuple[type[Any], ...] = ()
    """Whose fields `s` has; empty where `s` may be of any flow."""
    optional: bool = False


def check(
    flows: Iterable[Flow[Any, Any]],
    texts: Texts,
    *,
    shipped: Mapping[str, Shipped] | None = None,
    elsewhere: Collection[str] = (),
    templates: Templates | None = None,
    also: Collection[Use] = (),
) -> list[Problem]:
    """All problems of a set of flows.

    Args:
        flows: roots; those they run are found.
        texts: the catalogues.
        shipped: the committed record of what was released.
        elsewhere: beginnings of keys that are said outside the flows.
        templates: those that there are; None: which ones flows name is not looked at.
        also: texts that are said outside the flows, and checked as theirs.
    """
    every = closure(flows)
    see = cache(look)
    found: list[Problem] = []
    for flow in every:
        found += _structure(flow, see)
        if shipped is not None:
            found += _history(flow, shipped.get(flow.name))
        if templates is not None:
            found += [Problem(at, what) for at, what in template_problems(flow, templates)]
    for flow in flows:
        found += _root(flow)
    found += _taps(every, see)
    found += _catalogues(every, texts, elsewhere, see, also)
    found += [Problem(flow.name, problem) for flow in every for problem in _imports(flow)]
    return list(dict.fromkeys(found))


def closure(flows: Iterable[Flow[Any, Any]]) -> list[Flow[Any, Any]]:
    """The flows and all that they run."""
    found: dict[str, Flow[Any, Any]] = {}
    todo = list(flows)
    while todo:
        flow = todo.pop(0)
        if flow.name not in found:
            found[flow.name] = flow
            todo += [state.sub for state in flow.states.values() if state.sub]
    return list(found.values())


# ---------------------------------------------------------------- the graph


def _structure(flow: Flow[Any, Any], see: See) -> Iterator[Problem]:
    seen = {name: see(state) for name, state in flow.states.items()}
    common = look_anywhere(flow)
    links = {name: {edge.target for edge in s.edges} for name, s in seen.items()}
    meant = {name: {e.target for e in s.edges if not e.implied} for name, s in seen.items()}
    anywhere = {edge.target for edge in common.edges}
    alive = _reach({flow.start.name, *anywhere}, links)
    yield from (Problem(flow.name, problem) for problem in common.problems)
    for name, state in flow.states.items():
        yield from (Problem(state.key, problem) for problem in seen[name].problems)
        if name not in alive:
            yield Problem(state.key, "unreachable")
        if not {HUMAN, END} & _reach({name}, meant):
            yield Problem(state.key, "dead end: no way to an end or a person")
        yield from _state(state)
        yield from _sent(state, seen[name])


def _sent(state: State[Any], seen: Seen) -> Iterator[Problem]:
    """What is more than words: one message to a turn, wherever WhatsApp can."""
    for sent in seen.sent:
        target = state.flow.states.get(sent.target)
        if sent.medium and target is not None and _is_listed(target):
            yield Problem(
                state.key,
                f"sends a file in front of {target.name}, whose list can carry none: two messages",
            )
        if sent.wordless:
            yield Problem(
                state.key, "sends what cannot carry its words: two messages", warning=True
            )
    forms = [
        part for part in parts(state.wants) if isinstance(part, type) and issubclass(part, Form)
    ]
    if forms and state.sends is None and state.kind == "asks":
        yield Problem(state.key, f"asks for {forms[0].__name__} and sends no form")
    if state.by_tap and state.sends is not None:
        yield Problem(
            state.key, "wants a tap on the latest message, which a tap on what it sends cannot show"
        )


def _is_listed(state: State[Any]) -> bool:
    return state.kind == "picks" or len(state.choices) > BUTTONS_MAX


def _reach(start: Collection[str], links: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in found and name != ANYWHERE:
            found.add(name)
            todo += links.get(name, ())
    return found


def _state(state: State[Any]) -> Iterator[Problem]:
    if not timedelta(0) < state.idle <= IDLE_MAX:
        yield Problem(
            state.key, f"no idle timeout: {state.idle} is not within {IDLE_MAX.days} days"
        )
    if state.kind == "asks" and not state.choices and not state.readers:
        yield Problem(state.key, f"cannot understand {state.wants}")
    if state.kind == "calls" and not state.makes:
        yield Problem(state.key, "names no call class")
    for kind in state.makes:
        if not kind.topic:
            yield Problem(state.key, f"call {kind.__name__} names no topic")
    if state.by_tap and not state.choices and state.rows is None:
        yield Problem(state.key, "wants a tap and shows nothing to tap")
    for id in state.narrow:
        if id not in [choice.id for choice in state.choices]:
            yield Problem(state.key, f"narrow names {id}, which is no option")
    for after in state.timers:
        late = callable(after.wait) or after.wait >= min(state.idle, WINDOW)
        if late and after.template is None:
            when = (
                "at a computed time" if callable(after.wait) else f"{after.wait} after the person"
            )
            name = after.step.fn.__name__
            yield Problem(
                state.key, f"{name} may speak {when}, outside the 24 h window, without a template"
            )
        if not callable(after.wait) and after.wait >= state.idle:
            yield Problem(
                state.key, f"{after.step.fn.__name__} never comes: the state is dropped by then"
            )
    titles = [choice.id for choice in state.choices]
    if len(set(titles)) < len(titles):
        yield Problem(state.key, "two options have one id")


def _root(flow: Flow[Any, Any]) -> Iterator[Problem]:
    for field in fields(flow.data):
        if field.default is MISSING and field.default_factory is MISSING:
            yield Problem(flow.name, f"is a root, and its data's {field.name} has no default")


def _taps(flows: Iterable[Flow[Any, Any]], see: See) -> Iterator[Problem]:
    """Money, deletion, consent: what leads to such a call is answered by a tap."""
    for flow in flows:
        grave = {
            name: sorted(kind.__name__ for kind in state.makes if kind.wants_tap)
            for name, state in flow.states.items()
        }
        for state in flow.states.values():
            for edge in see(state).edges:
                calls = grave.get(edge.target)
                if calls and state.kind in ("asks", "picks") and not state.by_tap:
                    yield Problem(state.key, f"leads to {calls[0]} without asking for a tap")


def _imports(flow: Flow[Any, Any]) -> Iterator[str]:
    modules = {state.step.fn.__module__: state.step.fn for state in flow.states.values()}
    for name, fn in modules.items():
        source = inspect.getsourcefile(fn) if isinstance(fn, FunctionType) else None
        if source:
            yield from impure_imports(name, Path(source).read_text())


# ---------------------------------------------------------------- history


def shape(flow: Flow[Any, Any]) -> str:
    """Hash of the data's fields, with their types and defaults: stored data leaves defaults out."""
    # Without modules: to move a class is not to change it.
    told = [
        (f.name, re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(f.type)), _default(f))
        for f in fields(flow.data)
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8]


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return repr(field.default)
    return "" if field.default_factory is MISSING else repr(field.default_factory())


def ship(flows: Iterable[Flow[Any, Any]], past: Mapping[str, Shipped]) -> dict[str, Shipped]:
    """The record with what is released now; names once shipped stay for ever."""
    record = dict(past)
    for flow in closure(flows):
        before = past.get(flow.name)
        states = {*flow.states, *(before.states if before else ())}
        record[flow.name] = Shipped(tuple(sorted(states)), flow.version, shape(flow))
    return dict(sorted(record.items()))


def _history(flow: Flow[Any, Any], past: Shipped | None) -> Iterator[Problem]:
    for old, new in flow.renamed.items():
        if new not in flow.states:
            yield Problem(flow.name, f"renamed leads {old} to {new}, which is no state")
    for version in range(2, flow.version + 1):
        if version not in flow.migrations:
            yield Problem(flow.name, f"version {version} has no migration")
    if past is None:
        return
    for name in past.states:
        if name not in flow.states and name not in flow.renamed:
            yield Problem(
                f"{flow.name}.{name}", "shipped once and now gone: name its successor in renamed="
            )
    if past.shape != shape(flow) and past.version == flow.version:
        yield Problem(flow.name, "data changed: raise version and write a migration")
    if flow.version < past.version:
        yield Problem(flow.name, f"version {past.version} was shipped before {flow.version}")


# ---------------------------------------------------------------- texts


def uses(flows: Iterable[Flow[Any, Any]], see: See = look) -> Iterator[Use]:
    """Every text that a set of flows may say."""
    yield from _bot_uses()
    for flow in flows:
        for state in flow.states.values():
            yield from _state_uses(state, see(state))
        for screens in flow.forms.values():
            for word in screens.says:
                names = frozenset(("ctx", "firm", "now", "name"))
                yield Use((screens.key(word),), "about", f"form of {flow.name}", ERROR_MAX, names)
        if flow.away is not None:
            yield Use((f"{flow.name}.returned",), "say", flow.name, BODY_MAX, data=(flow.data,))
        first = flow.start
        yield from _spoken(first, look_anywhere(flow))
        yield Use(
            (f"{flow.name}.cancelled",),
            "say",
            flow.name,
            BODY_MAX,
            data=(flow.data,),
            optional=True,
        )
        yield Use(
            (f"{flow.name}.help",),
            "say",
            flow.name,
            BODY_MAX,
            COMMON_NAMES | {"question"},
            (flow.data,),
            optional=True,
        )


def _bot_uses() -> Iterator[Use]:
    for key in BOT_KEYS:
        if key in _BOT_TITLES:
            yield Use((key,), "title", "every flow", BUTTON_TITLE_MAX)
        elif key in _BOT_SORRY:
            yield Use((key,), "sorry", "every flow", BODY_MAX, COMMON_NAMES | _SORRY_NAMES)
        else:
            more = {"question"} if key == "bot.help" else set()
            yield Use((key,), "say", "every flow", BODY_MAX, COMMON_NAMES | more)
    for key in FORMAT_KEYS:
        yield Use((key,), "format", "dates", BODY_MAX, frozenset())


def _state_uses(state: State[Any], seen: Seen) -> Iterator[Use]:
    data = (state.flow.data,)
    asks = state.kind in ("asks", "picks")
    listed = _is_listed(state)
    if asks:
        limit = LIST_BODY_MAX if listed else BODY_MAX
        yield Use((f"{state.key}.ask",), "ask", state.key, limit, data=data)
        keys = say_keys(state, "list")
        yield Use(keys, "title", state.key, BUTTON_TITLE_MAX, data=data, optional=True)
        keys = say_keys(state, "help")
        names = COMMON_NAMES | {"question"}
        yield Use(keys, "say", state.key, BODY_MAX, names, data, optional=True)
    for choice in state.choices:
        keys = title_keys(state, choice.id, choice.group)
        role: Role = "row" if listed else "title"
        limit = ROW_TITLE_MAX if listed else BUTTON_TITLE_MAX
        yield Use(keys, role, state.key, limit, data=data)
        about = tuple(f"{key}.about" for key in keys)
        yield Use(about, "about", state.key, ROW_DESCRIPTION_MAX, data=data, optional=True)
    for reader in state.readers:
        for why in reader.whys:
            yield from _sorry(state, f"{reader.key}.{why}")
    if asks:
        for key in (*_BOT_SORRY,):
            yield from _sorry(state, key, shared=True)
    if state.refuses:
        yield Use(say_keys(state, "refused"), "sorry", state.key, BODY_MAX, data=data)
    keys = say_keys(state, "cancelled")
    yield Use(keys, "say", state.key, BODY_MAX, data=data, optional=True)
    yield from _spoken(state, seen)


def _sorry(state: State[Any], stem: str, *, shared: bool = False) -> Iterator[Use]:
    """Not understood: one text for all states, other words for a state or a later try."""
    names = COMMON_NAMES | _SORRY_NAMES
    data = (state.flow.data,)
    if not shared:
        yield Use((stem,), "sorry", state.key, BODY_MAX, names)
    own = sorry_keys(state, stem)[:-1]
    later = [f"{key}.{n}" for key in (*own, stem) for n in range(2, TRIES_SHOWN + 1)]
    for key in own:
        yield Use((key,), "sorry", state.key, BODY_MAX, names, data, optional=True)
    for key in later:
        of = () if key.startswith(f"{stem}.") else data
        yield Use((key,), "sorry", state.key, BODY_MAX, names, of, optional=True)


def _spoken(state: State[Any], seen: Seen) -> Iterator[Use]:
    data = (state.flow.data,)
    for words in seen.spoken:
        keys = say_keys(state, words.key)
        if "." in words.key:
            keys = (*keys, words.key)
        names = COMMON_NAMES | set(words.names)
        yield Use(keys, "say", state.key, BODY_MAX, names, data)
        alone = alone_keys(state, words.key)
        yield Use(alone, "say", state.key, BODY_MAX, names, data, optional=True)


def _catalogues(
    flows: list[Flow[Any, Any]],
    texts: Texts,
    elsewhere: Collection[str],
    see: See,
    also: Collection[Use],
) -> Iterator[Problem]:
    used = merge((*uses(flows, see), *also))
    for voice in texts.voices():
        for use in used:
            key = voice.first(*use.keys)
            if key is None:
                if not use.optional:
                    yield Problem(use.where, f"no text {use.keys[0]} in {voice.locale}")
                continue
            yield from _text(key, use, voice)
        known = {key for use in used for key in use.keys}
        for key in voice:
            if key not in known and not key.startswith(tuple(elsewhere)):
                yield Problem(key, f"no flow says this text of {voice.locale}")
        for flow in flows:
            for state in flow.states.values():
                yield from _alike(state, voice)


def merge(found: Iterable[Use]) -> list[Use]:
    """Uses of one text as one: what all its places give it, and the narrowest limit."""
    by_keys: dict[tuple[str, ...], Use] = {}
    for use in found:
        other = by_keys.get(use.keys)
        if other is None:
            by_keys[use.keys] = use
            continue
        by_keys[use.keys] = Use(
            use.keys,
            other.role,
            other.where,
            min(use.limit, other.limit),
            use.names & other.names,
            tuple(dict.fromkeys((*other.data, *use.data))),
            use.optional and other.optional,
        )
    return list(by_keys.values())


def _text(key: str, use: Use, voice: Voice) -> Iterator[Problem]:
    source = voice.source(key)
    where = f"{key} ({voice.locale})"
    try:
        tree = voice.environment.parse(source)
        voice.environment.from_string(source)
    except TemplateError as error:
        yield Problem(where, f"cannot be read: {error}")
        return
    if lost := meta.find_undeclared_variables(tree) - use.names:
        yield Problem(where, f"uses unknown {', '.join(sorted(lost))}")
    for name in _fields(tree):
        for data in use.data:
            if name not in _attributes(data):
                yield Problem(where, f"uses unknown field s.{name} of {data.__name__}")
    words = visible(source)
    if len(words) > use.limit:
        yield Problem(where, f"'{words[:40]}' has {len(words)} characters, {use.limit} fit")
    for finding in judge(source, role=use.role, locale=voice.locale):
        yield Problem(where, finding.what, finding.warning)


def _fields(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name == "s":
            yield node.attr


def _attributes(data: type[Any]) -> set[str]:
    return {f.name for f in fields(data)} | {n for n in dir(data) if not n.startswith("_")}


def _alike(state: State[Any], voice: Voice) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for choice in state.choices:
        key = voice.first(*title_keys(state, choice.id, choice.group))
        if key is None:
            continue
        title = visible(voice.source(key))
        beginning = re.sub(r"\s+", " ", title[:ALIKE].lower())
        if beginning in seen:
            yield Problem(
                f"{state.key} ({voice.locale})", f"'{seen[beginning]}' and '{title}' begin alike"
            )
        seen[beginning] = title
