"""Whatever the order in which producers, workers, crashes, statuses and failovers come, the lanes keep their promises."""

from pathlib import Path

import pytest

from tests.bot.lanes.machine import run_machine
from tests.bot.lanes.mutants import MUTANTS, Mutant, is_caught
from tests.bot.lanes.servers import StoreServer


def test_the_lanes_are_what_their_model_says(server: StoreServer) -> None:
    run_machine(server.url, sequences=200)


@pytest.mark.nightly
def test_the_lanes_are_what_their_model_says_all_night(server: StoreServer) -> None:
    run_machine(server.url, sequences=2_000)


@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name) for m in MUTANTS])
def test_every_mutant_still_breaks_a_line(mutant: Mutant) -> None:
    assert mutant.source()


@pytest.mark.nightly
@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name) for m in MUTANTS])
def test_every_mutant_is_noticed(mutant: Mutant, server: StoreServer, tmp_path: Path) -> None:
    assert is_caught(mutant, server, tmp_path / "copy", sequences=1_000)
