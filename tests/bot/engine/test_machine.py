"""Whatever goes wrong, and in whatever order: no acknowledged message is lost or heard twice, each answer takes effect once
and in its turn, nobody starves, and nothing is left behind. `witness.py` says it in full.
"""

import pytest

from bot.embedded.postgres import PostgresUrls
from tests.bot.engine.machine import run_machine
from tests.bot.engine.mutants import MUTANTS, TRIES, Mutant, Trial, said_to
from tests.bot.engine.passes import run_passes
from tests.bot.engine.simulation import Met, Plan, Written, run_days, simulations
from tests.bot.lanes.servers import StoreServer


@pytest.mark.parametrize("seed", [1, 2])
def test_step_by_step(server: StoreServer, seed: int) -> None:
    """Two halves, for two cores."""
    run_machine(server.url, sequences=100, seed=seed)


def test_under_real_runners(server: StoreServer) -> None:
    run_days(server.url, days=15, seed=1)


def test_the_same_plan_is_the_same_day(server: StoreServer) -> None:
    plan = Plan(
        written=[Written(0, 0, "order"), Written(50, 1, "gather", 3), Written(700, 0, "say")],
        met=[Met(latency_ms=300)],
        lost={3: True, 9: False},
    )

    with simulations(server.url) as simulate:
        first, second = (simulate(plan).witness.lines for _ in range(2))

    assert first == second


def test_passes_over_the_journal(server: StoreServer, postgres: PostgresUrls) -> None:
    run_passes(server.url, postgres, histories=60, seed=1)


@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name) for m in MUTANTS])
def test_every_mutant_still_breaks_a_line(mutant: Mutant) -> None:
    assert mutant.source()


# ------------------------------------------------------------------ all night


@pytest.mark.nightly
def test_step_by_step_all_night(server: StoreServer) -> None:
    run_machine(server.url, sequences=2_000)


@pytest.mark.nightly
def test_under_real_runners_all_night(server: StoreServer) -> None:
    run_days(server.url, days=1_000)


@pytest.mark.nightly
def test_passes_over_the_journal_all_night(server: StoreServer, postgres: PostgresUrls) -> None:
    run_passes(server.url, postgres, histories=2_000)


@pytest.mark.nightly
@pytest.mark.parametrize("trial", TRIES)
def test_nothing_is_noticed_where_nothing_is_broken(
    trial: Trial, server: StoreServer, postgres: PostgresUrls
) -> None:
    assert said_to(trial, None, server.url, postgres) == ""


@pytest.mark.nightly
@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name) for m in MUTANTS])
def test_every_mutant_is_noticed(
    mutant: Mutant, server: StoreServer, postgres: PostgresUrls
) -> None:
    assert said_to(mutant.trial, mutant, server.url, postgres)
