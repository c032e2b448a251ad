"""Calls: what a flow asks of the outside, as values.

A call is a frozen dataclass that names its result, and a lane that serves it:

    @dataclass(frozen=True)
    class FindOrders(Call[list[Order]]):
        topic = "commerce"
        limit: int = 5
"""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from flows.dialog.events import FailedWhy

R = TypeVar("R")
V = TypeVar("V")

HELPERS_MAX = 3
"""How deep a function that makes a call may hide it in helpers."""


class Call(Generic[R]):
    """A request to the outside; `R` is what comes back."""

    topic: ClassVar[str] = ""
    """The action lane that serves it, e.g. `desk`."""
    writes: ClassVar[bool] = False
    """Whether it changes something outside: then `back` does not go behind it."""
    wants_tap: ClassVar[bool] = False
    """Money, deletion, consent: only a question that is answered `by_tap` may lead to it."""

    @classmethod
    def gives(cls) -> Any:
        """The declared type of its result."""
        return _gives(cls)


@dataclass(frozen=True)
class Failed:
    """A call, or a flow that was run by another, came to nothing."""

    why: FailedWhy


class Calls:
    """The call classes of a set of flows, by name."""

    def __init__(self, kinds: Iterable[type[Call[Any]]]) -> None:
        self._kinds: dict[str, type[Call[Any]]] = {}
        for kind in kinds:
            if self._kinds.setdefault(kind.__name__, kind) is not kind:
                raise TypeError(f"two calls are named {kind.__name__}")
            if not kind.topic:
                raise TypeError(f"call {kind.__name__} names no topic")

    def __iter__(self) -> Iterator[type[Call[Any]]]:
        return iter(self._kinds.values())

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def __getitem__(self, name: str) -> type[Call[Any]]:
        return self._kinds[name]

    def decode(self, name: str, args: bytes | msgspec.Raw) -> Call[Any]:
        """The call that was encoded; KeyError for a name that no flow uses."""
        return decode(args, self._kinds[name])


def encode(value: object) -> msgspec.Raw:
    """JSON of a call's fields, a result or a flow's data."""
    return msgspec.Raw(_ENCODER.encode(value))


def decode(raw: bytes | msgspec.Raw, kind: type[V]) -> V:
    """Read what `encode` wrote, or a handler answered. Raises msgspec.ValidationError."""
    value: V = decoder(kind).decode(raw)
    return value


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a type, made once."""
    return _decoder(kind)


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type[Any]", kind), dec_hook=build)


def build(kind: type[Any], plain: Any) -> object:
    """Make a value type, e.g. a RUT, of the JSON it was stored as."""
    for base in (str, int):
        if issubclass(kind, base):
            if not isinstance(plain, base):
                raise TypeError(f"Expected `{base.__name__}`")
            return kind(plain)
    raise NotImplementedError(f"cannot read {kind}")


def simplify(value: object) -> object:
    """The JSON that a value type is stored as."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(f"cannot store {type(value)}")


_ENCODER = msgspec.json.Encoder(enc_hook=simplify)


def named_in(make: Callable[..., object]) -> frozenset[type[Call[Any]]]:
    """The call classes that a function names, itself or in the helpers it calls."""
    return frozenset(_named(make, HELPERS_MAX))


def _named(make: Callable[..., object], depth: int) -> Iterator[type[Call[Any]]]:
    if not isinstance(make, FunctionType) or depth < 0:
        return
    for name in _names(make.__code__):
        thing = make.__globals__.get(name)
        if isinstance(thing, type) and issubclass(thing, Call):
            yield thing
        elif isinstance(thing, FunctionType) and thing is not make:
            yield from _named(thing, depth - 1)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _gives(kind: type[Call[Any]]) -> Any:
    for base in kind.__mro__:
        for parent in getattr(base, "__orig_bases__", ()):
            if get_origin(parent) is Call:
                # The name may be a string, `Call["Order | None"]`: read it where the class stands.
                holder = SimpleNamespace(__annotations__={"result": get_args(parent)[0]})
                return get_type_hints(holder, vars(sys.modules[base.__module__]))["result"]
    raise TypeError(f"call {kind.__name__} does not say what it gives")
