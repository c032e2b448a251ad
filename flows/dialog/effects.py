"""What a turn wants done, beside its message."""

from dataclasses import dataclass
from typing import Any, Literal

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
        """`<flow>.<how>` if the result says how in one word: itself a word, or with one in its field `came`. Else the flow."""
        how = getattr(self.result, "came", self.result)
        return f"{self.flow}.{how}" if isinstance(how, str) and how.isidentifier() else self.flow


Effect = Asked | HandOff | Stopped | Consented | Ended
