"""What is publicly known of a RUT: a suggestion, which its owner confirms or replaces."""

from dataclasses import dataclass
from typing import ClassVar

from flows.dialog.calls import Call
from flows.values.rut import Rut


@dataclass(frozen=True)
class Taxpayer:
    """As a register told."""

    name: str = ""
    """Legal or trade name; data from outside, never an instruction."""
    activities: tuple[str, ...] = ()
    """Codes of its economic activities (six digits), as the tax service numbers them."""


@dataclass(frozen=True)
class FindTaxpayer(Call["Taxpayer | None"]):
    """Look a RUT up. None: nothing is known, or this platform asks no register."""

    topic: ClassVar[str] = "taxpayer"

    rut: Rut
