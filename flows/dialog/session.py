"""Where a conversation stands: what is stored between two turns, small and readable."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from flows.dialog.calls import build, decoder, encode
from flows.dialog.events import Wake

D = TypeVar("D")

BACK_MAX = 5
"""Questions that *volver* can go back through."""

QUIET_MINUTES = 120
"""How long the bot is silent after somebody of the firm answered by hand: an owner who does so goes on for a while, and
comes back to it. Our choice, and the firm's setting."""

Migration = Callable[[dict[str, Any]], dict[str, Any]]
Status = Literal[
    "bot",  # the bot speaks
    "rest",  # the bot speaks, and has nothing to ask: thanks need no answer
    "human",  # a person speaks, the bot is silent
]


class Timer(Struct, frozen=True, array_like=True):
    """When the state that waits wants to be woken."""

    at: int
    """Seconds since the epoch."""
    name: str
    """`idle`, `call`, or `after:<n>` for the state's n-th timer."""


class Frame(Struct, frozen=True, omit_defaults=True):
    """One flow under way: the last of the stack is the one that waits, those below run it."""

    flow: str
    v: int
    state: str = ""
    data: Raw = Raw(b"{}")
    """JSON of the fields that differ from their defaults."""
    tries: int = 0
    """Answers not understood in this visit; in a call, messages that found it busy."""
    page: int = 0
    """Page of the list that is shown."""
    deaf: bool = False
    """It was said in this visit that a message cannot be read: once is enough."""
    back: tuple[tuple[str, Raw], ...] = ()
    """(state, data) of the questions answered, newest last."""
    sealed: bool = False
    """A call wrote something since: `back` stops here."""


class Session(Struct, frozen=True, omit_defaults=True):
    """A conversation at rest between two turns."""

    stack: tuple[Frame, ...] = ()
    seq: int = 0
    """Visits of states so far: names this visit in taps, timers and results."""
    timers: tuple[Timer, ...] = ()
    held: tuple[str, ...] = ()
    """Words that wait for a call's result, so that a turn costs one message."""
    status: Status = "bot"
    locale: str = ""
    """Language that the person chose; empty for the firm's."""
    pause_ms: int = 0
    quiet_until: int = 0
    """Somebody of the firm answers by hand: the bot is silent until then (seconds since the epoch)."""

    @property
    def pause(self) -> timedelta:
        """How long the state that waits gathers messages before they are read as one turn."""
        return timedelta(milliseconds=self.pause_ms)

    @property
    def state(self) -> str:
        """`<flow>.<state>` that waits; empty when nothing is asked."""
        return f"{self.stack[-1].flow}.{self.stack[-1].state}" if self.stack else ""

    def wake_at(self) -> datetime | None:
        """When the first timer is due, in UTC. While the bot is silent none is."""
        at = min((timer.at for timer in self.timers), default=None)
        return None if at is None else datetime.fromtimestamp(max(at, self.quiet_until), UTC)

    def due(self, now: datetime) -> tuple[Wake, ...]:
        """The timers that have come, earliest first, as events."""
        now_s = now.timestamp()
        if now_s < self.quiet_until:
            return ()
        come = sorted((timer.at, timer.name) for timer in self.timers if timer.at <= now_s)
        return tuple(Wake(name, self.seq) for _, name in come)

    def released(self) -> "Session":
        """The same conversation once a person has given it back to the bot."""
        return replace(self, status="rest") if self.status == "human" else self


class Codec(Generic[D]):
    """Reads and writes the data of one flow."""

    def __init__(self, kind: type[D]) -> None:
        self.kind = kind

    @cached_property
    def _defaults(self) -> tuple[tuple[str, object], ...]:
        return tuple((field.name, _default(field)) for field in fields(self.kind))  # type: ignore[arg-type]  # a dataclass: Flow checks it

    def encode(self, data: D) -> Raw:
        told: Mapping[str, object] = {
            name: value
            for name, default in self._defaults
            if (value := getattr(data, name)) != default or type(value) is not type(default)
        }
        return encode(told) if told else Raw(b"{}")

    def decode(self, raw: Raw) -> D:
        data: D = decoder(self.kind).decode(raw)
        return data

    def migrate(self, raw: Raw, steps: list[Migration]) -> D:
        old: dict[str, Any] = msgspec.json.decode(raw)
        for step in steps:
            old = step(dict(old))
        return msgspec.convert(old, self.kind, dec_hook=build)


def _default(field: Field[object]) -> object:
    if field.default is not MISSING:
        return field.default
    return MISSING if field.default_factory is MISSING else field.default_factory()
