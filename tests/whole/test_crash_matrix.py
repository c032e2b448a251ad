"""Killed at any named point, nothing is lost, doubled or reordered; and the trials would see it.

The whole matrix, twenty trials for each cell, is `python -m tests.whole.crash_matrix`; its report is CRASHES.md.
"""

import random
from collections.abc import Callable

import pytest

from tests.whole.crash_matrix import (
    COMMITTED,
    PLACES,
    POSTED,
    VICTIMS,
    kill_at,
    run_cell,
    try_cell,
)
from tests.whole.installation import Installation, installation
from tests.whole.people import until
from tests.whole.town import Town, Verdict
from tests.whole.traps import Point

SAMPLE = 4
"""Cells tried in each run of the suite."""
NIGHTLY_TRIALS = 20

HEARING = Point(
    "hearing",
    "web",
    "put",
    "request",
    lambda exchange: exchange.argument(2).startswith(b"conv/"),
    "",
)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Of this run; `--crash-seed` repeats one."""
    given: int | None = request.config.getoption("--crash-seed")
    return random.randrange(1_000_000) if given is None else given


async def test_killed_at_some_points_nothing_is_lost_doubled_or_reordered(seed: int) -> None:
    chance = random.Random(seed)
    cells = [(victim, place) for victim in VICTIMS for place in PLACES]

    async with installation() as site:
        found = [
            await try_cell(site, victim, place, 1, chance=chance)
            for victim, place in chance.sample(cells, SAMPLE)
        ]

    assert [cell for cell in found if not cell.is_clean] == [], (
        f"repeat it with --crash-seed {seed}"
    )


@pytest.mark.nightly
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("victim", VICTIMS)
async def test_killed_at_every_point_nothing_is_lost_doubled_or_reordered(
    victim: str, place: str, seed: int
) -> None:
    cell = await run_cell(victim, place, NIGHTLY_TRIALS, chance=random.Random(seed))

    assert cell.is_clean, cell
    assert len(cell.trials) == NIGHTLY_TRIALS


# ------------------------------------------------------------------ controls


async def test_what_is_sent_again_lost_or_passed_by_another_would_be_seen() -> None:
    async with installation() as site:
        await sees(lambda v: v.doubled, site, "sends-again", "worker-1", POSTED)
        await sees(lambda v: v.lost, site, "answers-too-early", "web-1", HEARING)
        await sees(lambda v: v.inverted, site, "lets-others-pass", "worker-1", COMMITTED)


async def sees(
    mistakes: Callable[[Verdict], int],
    site: Installation,
    mutant: str,
    process: str,
    point: Point,
) -> None:
    """A town sees the mistake of a process that is wrong, and is killed at the point."""
    machine = next(server for server in site.servers if server.name == process)
    machine.kill()
    machine.mutant = mutant
    await machine.start()
    town = Town(site.emulator)
    people = [town.join() for _ in range(5)]
    taken = (await site.posted()).taken
    for person in people:
        town.write(person)

    async def was_told_early() -> None:
        """Its answer to the webhook whose message it holds is at Meta: on a busy machine the kill may be quicker."""

        async def is_so() -> bool:
            return (await site.posted()).taken >= taken + len(people)

        if mutant == "answers-too-early":
            await until(is_so, what="the early answers")

    await kill_at(site, point, machine, while_stopped=was_told_early)
    for person in people:
        town.write(person)
    await machine.start()

    async def seen() -> bool:
        return mistakes(town.verdict()) > 0

    await site.at_rest()
    await until(seen, what="the mistake")
    machine.kill()
    machine.mutant = ""
    await machine.start()
