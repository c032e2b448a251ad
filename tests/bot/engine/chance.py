"""How chance is ruled in the trials of the engine: how often it is tried, and from which seed."""

from collections.abc import Callable
from typing import TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T", bound=Callable[..., object])


def tried(times: int, *, shrink: bool, steps: int = 50) -> settings:
    """`shrink`: look for the shortest example of what went wrong; `steps`: at most so many in each sequence."""
    return settings(
        max_examples=times,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=set(Phase) - {Phase.explain} if shrink else {Phase.generate},
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )


def from_seed(seed: int | None) -> Callable[[T], T]:
    """The same seed brings the same examples; None brings others each time."""
    return hypothesis.seed(seed) if seed is not None else lambda trial: trial
