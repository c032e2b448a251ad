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


Effect = Asked | HandOff | Stopped | Consented | Ended
