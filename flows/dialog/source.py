"""What the source of a flow's steps tells without running them: where they lead, what they say, whether they are pure.

Reads .py files, so it belongs to checks and drawings, never to a running conversation.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any, Final, get_args, get_type_hints

from flows.dialog import flow as language
from flows.dialog.content import Document, Image, Video
from flows.dialog.flow import Flow, Say, State, Step

HUMAN: Final = "human"
END: Final = "end"
ANYWHERE: Final = "*"
"""The source of an edge that every state has."""

_IMPURE: Final = frozenset((
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now", "datetime.date.today",
    "open", "print", "input", "exec", "eval", "__import__", "uuid4", "uuid1", "sleep",
))  # fmt: skip
_IMPURE_MODULES: Final = frozenset((
    "aiohttp", "asyncio", "asyncpg", "httpx", "os", "pathlib", "random", "redis", "requests", "secrets", "socket",
    "subprocess", "threading", "time", "urllib", "uuid",
))  # fmt: skip
_HELPERS_MAX: Final = 8
"""How deep steps may hide decisions in helpers."""


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    """A state, HUMAN or END."""
    label: str = ""
    implied: bool = False
    """Nobody wrote it: a call that fails leads to a person."""


@dataclass(frozen=True)
class Spoken:
    """Words that a step says."""

    key: str
    names: tuple[str, ...] = ()
    replaces: bool = False
    """They stand without the question."""


@dataclass(frozen=True)
class Sent:
    """What a step sends beside, or in place of, words."""

    target: str = ""
    """The state that it leads to; empty if it stays or ends."""
    medium: bool = False
    """A file that carries words."""
    wordless: bool = False
    """A content as it is, with words beside it that it cannot carry."""


@dataclass
class Seen:
    """What one state, or what is common to a flow, does."""

    edges: list[Edge] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def look(state: State[Any]) -> Seen:
    """All steps of a state."""
    seen = Seen()
    for fn, label in _steps(state):
        _read(fn, state.flow, state.name, label, seen)
    if state.kind == "calls" and state.oops is None:
        seen.edges.append(Edge(state.name, HUMAN, "failed", implied=True))
    _unique(seen)
    return seen


def look_anywhere(flow: Flow[Any, Any]) -> Seen:
    """What a flow answers in all its states."""
    seen = Seen()
    for command, bound in flow.commands.items():
        _read(bound.fn, flow, ANYWHERE, f"/{command}", seen)
    if flow.interrupt is not None:
        _read(flow.interrupt.fn, flow, ANYWHERE, "first of all", seen)
    if flow.opening is not None:
        _read(flow.opening.fn, flow, ANYWHERE, "a greeting", seen)
    if flow.rescue is not None:
        _read(flow.rescue.fn, flow, ANYWHERE, "lost", seen)
    _unique(seen)
    return seen


def impure_imports(module: str, source: str) -> Iterator[str]:
    """Modules that a flow's file imports and may not."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            if name.partition(".")[0] in _IMPURE_MODULES:
                yield f"{module} imports {name}"


_OOPS: Final = {"calls": "failed", "runs": "cancelled"}


def _steps(state: State[Any]) -> Iterator[tuple[Callable[..., Any], str]]:
    yield state.step.fn, ""
    for after in state.timers:
        wait = after.wait if not callable(after.wait) else getattr(after.wait, "__name__", "")
        yield after.step.fn, f"after {wait}".replace("<lambda>", "a while")
    for command, bound in state.commands.items():
        yield bound.fn, f"/{command}"
    if state.oops is not None:
        yield state.oops.fn, _OOPS.get(state.kind, "not shown")


def _unique(seen: Seen) -> None:
    seen.edges = list(dict.fromkeys(seen.edges))
    seen.spoken = list(dict.fromkeys(seen.spoken))
    seen.sent = list(dict.fromkeys(seen.sent))
    seen.problems = list(dict.fromkeys(seen.problems))


def _read(
    fn: Callable[..., Any],
    flow: Flow[Any, Any],
    name: str,
    label: str,
    seen: Seen,
    depth: int = _HELPERS_MAX,
) -> None:
    _Reader(fn, flow, name, label, seen, depth).visit(_tree(fn))


@cache
def _tree(fn: Callable[..., Any]) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(fn)))


class _Reader(ast.NodeVisitor):
    """Walks the source of one step; helpers that return a Step are followed."""

    def __init__(
        self,
        fn: Callable[..., Any],
        flow: Flow[Any, Any],
        name: str,
        label: str,
        seen: Seen,
        depth: int,
    ) -> None:
        self.fn = fn
        self.flow = flow
        self.name = name
        self.seen = seen
        self.depth = depth
        self.labels = [label] if label else []

    # ------------------------------------------------ branches

    def visit_match_case(self, node: ast.match_case) -> None:
        self._labelled(ast.unparse(node.pattern).strip("'\""), [*node.body])

    def visit_If(self, node: ast.If) -> None:
        self._branches(node.test, [*node.body], [*node.orelse])

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._branches(node.test, [node.body], [node.orelse])

    def _branches(self, test: ast.expr, yes: list[ast.AST], no: list[ast.AST]) -> None:
        self.visit(test)
        self._labelled(ast.unparse(test), yes)
        self._labelled("otherwise", no)

    def _labelled(self, label: str, body: list[ast.AST]) -> None:
        self.labels.append(label)
        for node in body:
            self.visit(node)
        self.labels.pop()

    # ------------------------------------------------ decisions

    def visit_Call(self, node: ast.Call) -> None:
        what = self._named(node.func)
        if what in (language.go, language.stay, language.hand_off) or _attribute(node) == "end":
            self._sends(node, what)
        elif _attribute(node) in ("asks", "picks") and (maker := _keyword(node, "sends")):
            self._made(maker, speak=1)
        if what is language.go:
            self._goes(node)
            self._says(node, 2)
        elif what is language.stay:
            alone = next((k.value for k in node.keywords if k.arg == "repeat"), None)
            self._says(node, 0, replaces=isinstance(alone, ast.Constant) and alone.value is False)
        elif what is language.hand_off:
            self._edge(HUMAN)
            self._says(node, 0)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "end":
            of = self._named(node.func.value)
            if isinstance(of, Flow):
                if of is not self.flow:
                    self._wrong(f"ends {of.name}, another flow")
                self._edge(END)
                self._says(node, 1)
        elif what is language.say:
            self._spoke(node)
        elif isinstance(what, FunctionType) and self.depth and (_decides(what) or _words(what)):
            label = self.labels[-1] if self.labels else ""
            _read(what, self.flow, self.name, label, self.seen, self.depth - 1)
        self._pure(ast.unparse(node.func))
        self.generic_visit(node)

    def _goes(self, node: ast.Call) -> None:
        to = node.args[0] if node.args else _keyword(node, "to")
        for label, target in _alternatives(to):
            state = self._named(target)
            if not isinstance(state, State):
                self._wrong(f"target {ast.unparse(target)} is not a state by name")
            elif state.flow is not self.flow:
                self._wrong(f"target {state.key} is of another flow")
            else:
                self._edge(state.name, label)

    def _sends(self, node: ast.Call, to: object) -> None:
        """What a step sends beside its words: `send=`."""
        content = _keyword(node, "send")
        if content is None:
            return
        made = self._made(content, speak=0)
        calls = [call for call in ast.walk(made or content) if isinstance(call, ast.Call)]
        medium = any(self._named(call.func) in (Image, Video, Document) for call in calls)
        target = self._named(node.args[0]) if to is language.go and node.args else None
        place = 2 if to is language.go else 0 if to in (language.stay, language.hand_off) else 1
        says = len(node.args) > place or _keyword(node, "say") is not None
        self.seen.sent.append(
            Sent(
                target.name if isinstance(target, State) else "",
                medium=medium,
                wordless=says and made is None and not medium,
            )
        )

    def _made(self, content: ast.expr, *, speak: int) -> ast.AST | None:
        """The source of what makes a content, its words read; None if nothing does. `speak`: place of its `Speak`."""
        tree: ast.AST | None = content if isinstance(content, ast.Lambda) else None
        if tree is None and isinstance(fn := self._named(content), FunctionType):
            [tree] = [found for found in ast.walk(_tree(fn)) if isinstance(found, ast.FunctionDef)][
                :1
            ]
        if not isinstance(tree, ast.Lambda | ast.FunctionDef):
            return None
        names = [argument.arg for argument in tree.args.args]
        for call in ast.walk(tree):
            match call:
                case ast.Call(func=ast.Name(id=name)) if names[speak : speak + 1] == [name]:
                    self._spoke(call)
                case _:
                    pass
        return tree

    def _says(self, node: ast.Call, place: int, *, replaces: bool = False) -> None:
        words = node.args[place] if len(node.args) > place else _keyword(node, "say")
        for _, choice in _alternatives(words):
            match choice:
                case ast.Constant(value=None):
                    pass
                case ast.Constant(value=str(key)):
                    self.seen.spoken.append(Spoken(key, (), replaces))
                case ast.Call(func=func) if self._named(func) is language.say:
                    self._spoke(choice, replaces=replaces)
                case _ if self._makes_words(choice):
                    pass
                case _:
                    self._wrong(f"words {ast.unparse(choice)} are not a key written out")

    def _spoke(self, node: ast.Call, *, replaces: bool = False) -> None:
        """A `say("key", name=...)`, wherever it stands."""
        match node:
            case ast.Call(args=[ast.Constant(value=str(key))], keywords=more):
                names = tuple(keyword.arg or "" for keyword in more)
                known = [(spoken.key, spoken.names) for spoken in self.seen.spoken]
                if (key, names) not in known:
                    self.seen.spoken.append(Spoken(key, names, replaces))
            case _:
                self._wrong(f"words {ast.unparse(node)} are not a key written out")

    def _makes_words(self, node: ast.expr) -> bool:
        """Whether it is what a helper that returns a Say gave: its words are read there."""
        match node:
            case ast.Call(func=func):
                what = self._named(func)
                return isinstance(what, FunctionType) and _words(what)
            case ast.Name(id=name):
                given = [
                    found.value
                    for found in ast.walk(_tree(self.fn))
                    if isinstance(found, ast.Assign)
                    and any(isinstance(t, ast.Name) and t.id == name for t in found.targets)
                ]
                return bool(given) and all(self._makes_words(value) for value in given)
            case _:
                return False

    def _edge(self, target: str, label: str = "") -> None:
        label = label or (self.labels[-1] if self.labels else "")
        self.seen.edges.append(Edge(self.name, target, label))

    def _pure(self, name: str) -> None:
        root = name.partition(".")[0]
        if name in _IMPURE or (root in _IMPURE_MODULES and "." in name):
            self._wrong(f"impure call {name}()")

    def _wrong(self, problem: str) -> None:
        self.seen.problems.append(problem)

    def _named(self, node: ast.expr) -> Any:
        """The object that an expression names in the step's module."""
        match node:
            case ast.Name(id=name):
                return _scope(self.fn).get(name)
            case ast.Attribute(value=inner, attr=attr):
                return getattr(self._named(inner), attr, None)
            case _:
                return None


def _attribute(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _alternatives(node: ast.expr | None) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case None:
            pass
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield from ((label or ast.unparse(test), end) for label, end in _alternatives(body))
            yield from ((label or "otherwise", end) for label, end in _alternatives(orelse))
        case _:
            yield "", node


def _keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)


def _scope(fn: Callable[..., Any]) -> Mapping[str, Any]:
    closed = inspect.getclosurevars(fn).nonlocals if isinstance(fn, FunctionType) else {}
    return {**getattr(fn, "__globals__", {}), **closed}


def _decides(fn: FunctionType) -> bool:
    if fn.__module__ == language.__name__:
        return False
    try:
        returned = get_type_hints(fn).get("return")
    except NameError:
        return False
    return returned is Step or returned == Step | None


def _words(fn: FunctionType) -> bool:
    """Whether a function gives words: a Say, several of them, or none."""
    if fn.__module__ == language.__name__:
        return False
    try:
        returned = get_type_hints(fn).get("return")
    except NameError:
        return False
    return Say in (returned, *get_args(returned))
