"""What a turn wants done, beside its message."""

from dataclasses import dataclass
from enum import Enum
from inspect import get_annotations
from typing import Any, Literal, get_args, get_origin

from flows.dialog.calls import Call

Purpose = Literal["notices", "marketing"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call to make. With the conversation, `seq` is its key: an equal call may be asked again after a crash."""

    seq: int
    call: Call[Any]


@dataclass(frozen=True, slots=True)
class HandOff:
    """A person is wanted."""

    team: str = ""
    """Empty for any."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing more on the firm's own initiative, of any category."""


@dataclass(frozen=True, slots=True)
class Consented:
    """One purpose was allowed or withdrawn, by a tap."""

    purpose: Purpose
    granted: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A flow came to its end."""

    flow: str
    result: Any

    @property
    def word(self) -> str:
        """`<flow>.<how>` if the type of the result names all ways to end: an Enum, or a Literal or Enum in its field `came`.

        Else the flow alone: what is no word of ours may be a person's.
        """
        how = getattr(self.result, "came", self.result)
        how = how.value if isinstance(how, Enum) else how
        return f"{self.flow}.{how}" if how in _words(type(self.result)) else self.flow


def _words(kind: type[object]) -> tuple[Any, ...]:
    """How a flow with such a result may end."""
    named = kind if issubclass(kind, Enum) else get_annotations(kind).get("came")
    if get_origin(named) is Literal:
        words: tuple[Any, ...] = get_args(named)
    elif isinstance(named, type) and issubclass(named, Enum):
        words = tuple(each.value for each in named)
    else:
        words = ()
    return tuple(word for word in words if isinstance(word, str) and word.isidentifier())


Effect = Asked | HandOff | Stopped | Consented | Ended
