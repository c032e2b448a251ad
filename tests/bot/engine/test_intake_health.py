"""The intake is healthy for as long as somebody has been hearing without a gap."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.clock import Clock
from bot.engine.intake_health import BEAT_S, GAP_MAX_MS, IntakeHealth
from bot.lanes import StoreLostError, Wire

SLACK_MS = 1_000  # what may pass of itself while a test runs


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(wire: Wire, clock: Clock) -> IntakeHealth:
    return IntakeHealth(wire, clock=clock)


async def test_an_intake_that_never_was_is_not_healthy(health: IntakeHealth) -> None:
    assert await health.healthy_ms() == 0


async def test_beats_without_a_gap_add_up(health: IntakeHealth, clock: Clock) -> None:
    await health.pulse()
    for n in range(30):
        clock.shift_ms += 1_000
        assert (n + 1) * 1_000 <= await health.pulse() < (n + 1) * 1_000 + SLACK_MS

    assert 30_000 <= await health.healthy_ms() < 30_000 + SLACK_MS


async def test_beats_of_any_process_count(health: IntakeHealth, wire: Wire, clock: Clock) -> None:
    other = IntakeHealth(wire, clock=clock)
    for beating in (health, other, health, other):
        clock.shift_ms += 2_000
        await beating.pulse()

    assert 6_000 <= await health.healthy_ms() < 6_000 + SLACK_MS


async def test_an_intake_that_fell_silent_is_not_healthy(
    health: IntakeHealth, clock: Clock
) -> None:
    await health.pulse()
    clock.shift_ms += GAP_MAX_MS - SLACK_MS
    assert await health.healthy_ms() > 0

    clock.shift_ms += SLACK_MS + 1

    assert await health.healthy_ms() == 0


async def test_a_gap_begins_a_new_stretch(health: IntakeHealth, clock: Clock) -> None:
    await health.pulse()
    clock.shift_ms += GAP_MAX_MS + 1

    assert await health.pulse() == 0

    clock.shift_ms += 2_000
    assert 2_000 <= await health.healthy_ms() < 2_000 + SLACK_MS


async def test_a_process_that_starts_begins_a_new_stretch(
    health: IntakeHealth, wire: Wire, clock: Clock
) -> None:
    await health.pulse(starts=True)
    clock.shift_ms += 2_000
    await health.pulse()

    assert await IntakeHealth(wire, clock=clock).pulse(starts=True) == 0

    clock.shift_ms += 2_000
    assert 2_000 <= await health.pulse() < 2_000 + SLACK_MS


async def test_a_clock_that_was_set_back_begins_a_new_stretch(
    health: IntakeHealth, clock: Clock
) -> None:
    await health.pulse()
    clock.shift_ms -= 3_600_000

    assert await health.pulse() == 0

    clock.shift_ms += 2_000
    assert 2_000 <= await health.healthy_ms() < 2_000 + SLACK_MS


async def test_one_process_is_told_by_how_much_a_clock_was_set_back(
    wire: Wire, clock: Clock
) -> None:
    told: list[int] = []

    async def on_set_back(ms: int) -> None:
        told.append(ms)

    processes = [IntakeHealth(wire, clock=clock, on_set_back=on_set_back) for _ in range(2)]
    for health in processes:
        await health.pulse()
    clock.shift_ms -= 5_000
    await processes[0].pulse()
    assert told == []

    clock.shift_ms -= 3_600_000
    for health in processes:
        await health.pulse()

    [ms] = told
    assert 3_600_000 - SLACK_MS < ms <= 3_600_000


async def test_a_refusal_begins_a_new_stretch_though_the_beats_go_on(
    health: IntakeHealth, wire: Wire, clock: Clock
) -> None:
    """One node of a cluster may be down, while the beats go to another."""
    other = IntakeHealth(wire, clock=clock)
    await health.pulse()
    clock.shift_ms += 2_000
    other.refused()

    assert await other.pulse() == 0

    clock.shift_ms += 1_000
    assert 1_000 <= await health.pulse() < 1_000 + SLACK_MS
    assert 1_000 <= await other.pulse() < 1_000 + SLACK_MS


async def test_a_refusal_is_told_without_waiting_for_the_next_beat(
    health: IntakeHealth, clock: Clock
) -> None:
    beating = asyncio.create_task(health.beat())
    while not await health.healthy_ms():  # noqa: ASYNC110  the other task is all that runs
        await asyncio.sleep(0)
    clock.shift_ms += 2_000

    health.refused()

    async with asyncio.timeout(BEAT_S * 0.9):
        while await health.healthy_ms() > 1_000:  # noqa: ASYNC110  the other task is all that runs
            await asyncio.sleep(0)
    beating.cancel()
    await asyncio.wait([beating])


async def test_a_refusal_that_could_not_be_told_is_told_later(
    health: IntakeHealth, wire: Wire, clock: Clock
) -> None:
    await health.pulse()
    clock.shift_ms += 2_000
    health.refused()
    await wire.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreLostError, match="OOM"):
        await health.pulse()
    await wire.call("CONFIG", "SET", "maxmemory", 0)

    assert await health.pulse() == 0


async def test_without_a_store_the_intake_is_down(health: IntakeHealth, wire: Wire) -> None:
    await health.pulse()
    await wire.close()

    assert await health.healthy_ms() == 0
    with pytest.raises(StoreLostError):
        await health.pulse()
