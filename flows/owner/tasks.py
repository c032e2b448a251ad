"""What a firm's people want to do, by the words they wrote: the whole message, so that no address is taken for a wish."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar, Final, Literal, Self

import msgspec

from flows.calls.signup import Role
from flows.dialog.answers import Bad
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.values.words import bare, plain, same, spellings

Task = Literal[
    "status", "try", "connect", "hours", "address", "greeting", "invite", "panel", "another", "switch", "human",
]  # fmt: skip

OPEN_TO_ALL: Final[frozenset[Task]] = frozenset(("status", "panel", "another", "switch", "human"))
"""What needs no right to change the firm."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that was written out."""

    task: Task
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("unknown",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        task = task_in(heard.text) if heard.kind in ("text", "tap", "row") else None
        return Bad("unknown") if task is None else cls(task)


def task_in(text: str) -> Task | None:
    """The task that a whole message names."""
    return next((task for task, phrases in _phrases().items() if _is_one(text, phrases)), None)


def names_invitation(text: str) -> bool:
    """Whether a message asks for an invitation that waits, as the button of the template does."""
    return _is_one(text, _invitation())


def may(role: Role, task: Task) -> bool:
    """Owners and admins change the firm; agents see how it is, and enter the panel."""
    return role != "agent" or task in OPEN_TO_ALL


def _is_one(text: str, phrases: tuple[str, ...]) -> bool:
    return any(same(heard, phrase) for heard in {plain(text), bare(text)} for phrase in phrases)


class _Invitation(msgspec.Struct, frozen=True):
    phrases: tuple[str, ...]


class _Words(msgspec.Struct, frozen=True):
    tasks: Mapping[Task, tuple[str, ...]]
    invitation: _Invitation


@cache
def _words() -> _Words:
    data = files(__package__).joinpath("tasks.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Words)


@cache
def _phrases() -> Mapping[Task, tuple[str, ...]]:
    return {task: _spelled(phrases) for task, phrases in _words().tasks.items()}


@cache
def _invitation() -> tuple[str, ...]:
    return _spelled(_words().invitation.phrases)


def _spelled(phrases: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(spelled for phrase in phrases for spelled in spellings(phrase))
