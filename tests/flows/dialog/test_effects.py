"""How a flow ended is told in one word of ours, never in a person's."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Literal

import pytest

from flows.dialog.effects import Ended
from flows.onboarding.signup import Outcome


class Way(StrEnum):
    paid = "paid"
    odd = "two words"


class Number(Enum):
    one = 1


@dataclass(frozen=True)
class Closed:
    came: Way | Literal["gone"]


@dataclass(frozen=True)
class Named:
    came: Literal["gone", "back"]
    name: str = "Ana"


@dataclass(frozen=True)
class Open:
    came: str


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (Outcome("opened"), "f.opened"),
        (Named("back"), "f.back"),
        (Way.paid, "f.paid"),
        (Way.odd, "f"),
        (Number.one, "f"),
        (True, "f"),
        (None, "f"),
        ("Ana", "f"),
        (Open("Ana"), "f"),
        (Named("Ana"), "f"),  # type: ignore[arg-type]  # nothing holds it to its type
        (Closed("gone"), "f"),
        (["gone"], "f"),
    ],
)
def test_only_a_type_that_names_all_ways_to_end_tells_how(result: object, word: str) -> None:
    assert Ended("f", result).word == word
