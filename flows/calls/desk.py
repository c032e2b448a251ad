"""The desk: where people of the firm answer."""

from dataclasses import dataclass
from typing import ClassVar

from flows.dialog.calls import Call


@dataclass(frozen=True)
class Handoff:
    """A person was asked for."""

    id: int
    """The desk's number of this request."""
    until: str = ""
    """Until when somebody answers today, `18:00` on the firm's clock; empty when the desk does not know."""


@dataclass(frozen=True)
class OpenHandoff(Call[Handoff]):
    """Put this conversation before the people of the firm.

    Asked again with the same key it answers with the same request. A firm without a desk has its wish recorded only.
    """

    topic: ClassVar[str] = "desk"
    writes: ClassVar[bool] = True

    note: str = ""
    """What the person wrote, in their words: for the desk, never for a log."""
    team: str = ""
    """Empty for any."""
    about: str = ""
    """What it is about when no words say so, e.g. `data.erase`, `file.image`: the desk words it."""
