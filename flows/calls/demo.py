"""The demo number: whose bot a code names."""

from dataclasses import dataclass
from typing import ClassVar

from flows.dialog.calls import Call
from flows.values.ids import TenantId


@dataclass(frozen=True)
class Demo:
    """A firm whose bot may be shown."""

    firm: TenantId
    name: str
    home: str = ""
    """SmarterOS's own number, as people read it; empty if it has none."""


@dataclass(frozen=True)
class FindDemo(Call["Demo | None"]):
    """Find the firm of a code. None: nobody's, or its owner does not want it shown.

    Fails with `refused` for who has tried too many codes.
    """

    topic: ClassVar[str] = "demo"

    code: str
