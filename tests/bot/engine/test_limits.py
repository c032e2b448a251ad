"""A limit holds over any stretch of time, however many processes share it."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Final, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.clock import Clock
from bot.engine.limits import BUCKETS_MAX, WAIT_MAX_MS, Limits
from bot.lanes import StoreLostError, Wire

NUMBER: Final = "wa:number-1"
PER_S: Final = 80
BURST: Final = 80


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def asked(wire: Wire) -> int:
    """How often a script ran since the statistics were reset."""
    info = await wire.call("INFO", "commandstats")
    assert isinstance(info, bytes)
    for line in info.decode().split("\r\n"):
        if line.startswith("cmdstat_evalsha:"):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


async def moment(wire: Wire) -> int:
    """The store's time, µs."""
    seconds, micros = cast(list[bytes], await wire.call("TIME"))
    return int(seconds) * 1_000_000 + int(micros)


async def test_a_full_bucket_gives_its_burst_and_then_says_how_long_to_wait(
    wire: Wire, clock: Clock
) -> None:
    limits = Limits(wire, clock=clock)

    answers = [await limits.take("pair", per_s=1 / 6, burst=45) for _ in range(47)]

    assert answers[:45] == [0] * 45
    assert 5_000 < answers[45] <= 6_000
    assert 11_000 < answers[46] <= 12_000


async def test_whoever_waits_as_long_as_told_is_served(wire: Wire, clock: Clock) -> None:
    limits = Limits(wire, clock=clock)
    while not (wait_ms := await limits.take("pair", per_s=1 / 6, burst=3)):
        pass

    clock.shift_ms += wait_ms

    assert await limits.take("pair", per_s=1 / 6, burst=3) == 0
    assert await limits.take("pair", per_s=1 / 6, burst=3) > 5_000


async def test_those_who_wait_are_told_different_times(wire: Wire, clock: Clock) -> None:
    limits = Limits(wire, clock=clock)
    while not await limits.take(NUMBER, per_s=1, burst=3):
        pass

    waits = [await limits.take(NUMBER, per_s=1, burst=3) for _ in range(80)]

    steps = [later - sooner for sooner, later in pairwise(waits[:50])]
    assert all(900 <= step <= 1_001 for step in steps)
    assert waits[-1] == WAIT_MAX_MS


async def test_a_rate_that_meta_raises_counts_from_the_next_token_on(
    wire: Wire, clock: Clock
) -> None:
    limits = Limits(wire, clock=clock)
    while not await limits.take(NUMBER, per_s=80, burst=80):
        pass

    clock.shift_ms += 1_000
    taken = 0
    while not await limits.take(NUMBER, per_s=1_000, burst=1_000):
        taken += 1

    # Of a second the old rate would have given 80.
    assert taken > 500


async def test_an_idle_process_takes_one_token_at_a_time(wire: Wire, clock: Clock) -> None:
    idle, busy = Limits(wire, clock=clock), Limits(wire, clock=clock)
    await idle.take(NUMBER, per_s=PER_S, burst=BURST)

    granted = 0
    while not await busy.take(NUMBER, per_s=PER_S, burst=BURST):
        granted += 1

    # Ten of the burst are given up for batches, one is gone, and a few flow in meanwhile.
    assert granted >= BURST - 10 - 1


async def test_at_load_the_store_is_asked_once_for_ten_tokens(wire: Wire, clock: Clock) -> None:
    limits = Limits(wire, clock=clock)
    await wire.call("CONFIG", "RESETSTAT")

    for _ in range(60):
        assert await limits.take(NUMBER, per_s=PER_S, burst=BURST) == 0

    assert await asked(wire) <= 11


async def test_while_a_bucket_is_empty_nobody_asks_the_store(wire: Wire, clock: Clock) -> None:
    limits = Limits(wire, clock=clock)
    while not await limits.take("slow", per_s=0.1, burst=1):
        pass
    await wire.call("CONFIG", "RESETSTAT")

    assert all([await limits.take("slow", per_s=0.1, burst=1) for _ in range(50)])

    assert await asked(wire) == 0


async def test_concurrent_takers_share_one_question(wire: Wire, clock: Clock) -> None:
    limits = Limits(wire, clock=clock)
    await wire.call("CONFIG", "RESETSTAT")

    answers = await asyncio.gather(
        *(limits.take(NUMBER, per_s=PER_S, burst=BURST) for _ in range(60))
    )

    assert answers == [0] * 60
    assert await asked(wire) <= 11


async def test_tokens_in_stock_do_not_come_on_top_of_a_full_bucket(
    wire: Wire, clock: Clock
) -> None:
    stocked, other = Limits(wire, clock=clock), Limits(wire, clock=clock)

    async def take(limits: Limits, most: int) -> int:
        for n in range(most):
            if await limits.take(NUMBER, per_s=PER_S, burst=BURST):
                return n
        return most

    await take(stocked, 25)  # 1, 2, 4, 8 and 10 at a time
    clock.shift_ms += 1_000
    await take(stocked, 1)  # of a batch of ten
    clock.shift_ms += 110  # the bucket is nearly full again, and the batch is still good

    start = await moment(wire)
    taken = await take(stocked, 9) + await take(other, BURST)
    span_s = (await moment(wire) - start) / 1_000_000

    assert taken <= PER_S * span_s + BURST


async def test_a_bucket_that_a_process_forgot_is_as_empty_as_before(
    wire: Wire, clock: Clock
) -> None:
    limits = Limits(wire, clock=clock)
    assert await limits.take("first", per_s=0.01, burst=1) == 0

    await asyncio.gather(
        *(limits.take(f"other-{n}", per_s=0.1, burst=1) for n in range(BUCKETS_MAX + 1))
    )

    assert await limits.take("first", per_s=0.01, burst=1) == WAIT_MAX_MS


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0)])
async def test_a_limit_that_lets_nothing_through_is_a_mistake(
    wire: Wire, clock: Clock, per_s: float, burst: int
) -> None:
    with pytest.raises(ValueError, match="a rate above 0"):
        await Limits(wire, clock=clock).take(NUMBER, per_s=per_s, burst=burst)


async def test_without_a_store_nothing_goes(wire: Wire, clock: Clock) -> None:
    await wire.close()

    with pytest.raises(StoreLostError):
        await Limits(wire, clock=clock).take(NUMBER, per_s=PER_S, burst=BURST)


steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 30), st.sampled_from([0, 0, 1, 40, 110, 1_000])),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    limit=st.sampled_from([(80, 80), (80, 20), (1_000, 300), (5, 3), (20, 40)]),
    steps=steps,
)
def test_three_processes_together_never_take_more_than_the_limit(
    clean_valkey: str, limit: tuple[int, int], steps: list[tuple[int, int, int]]
) -> None:
    per_s, burst = limit

    async def taken_at() -> list[tuple[int, int]]:
        """Between which moments (µs) each token was taken."""
        wire = await Wire.open(clean_valkey)
        await wire.call("FLUSHDB")
        clock = Clock()
        processes = [Limits(wire, clock=clock) for _ in range(3)]

        async def now() -> int:
            return await moment(wire) + clock.shift_ms * 1_000

        taken = []
        for process, times, pause_ms in steps:
            clock.shift_ms += pause_ms
            for _ in range(times):
                before = await now()
                if await processes[process].take(NUMBER, per_s=per_s, burst=burst) == 0:
                    taken.append((before, await now()))
        await wire.close()
        return taken

    taken = asyncio.run(taken_at())

    for first, (start, _) in enumerate(taken):
        for last in range(first, len(taken)):
            span_s = (taken[last][1] - start) / 1_000_000
            assert last - first + 1 <= per_s * span_s + burst


async def test_a_clock_that_was_set_back_keeps_nobody_waiting(wire: Wire, clock: Clock) -> None:
    """A bucket is kept as a moment, and so is the wait of a process: an hour back must not be an hour's silence."""
    limits = Limits(wire, clock=clock)
    while not await limits.take(NUMBER, per_s=PER_S, burst=BURST):
        pass

    clock.shift_ms -= 3_600_000
    wait_ms = await limits.take(NUMBER, per_s=PER_S, burst=BURST)
    assert wait_ms <= 1_000 * BURST / PER_S

    clock.shift_ms += wait_ms
    assert await limits.take(NUMBER, per_s=PER_S, burst=BURST) == 0
    assert await Limits(wire, clock=clock).take(NUMBER, per_s=PER_S, burst=BURST) <= 1_000


async def test_what_must_not_stand_before_others_leaves_them_the_reserve(
    wire: Wire, clock: Clock
) -> None:
    limits = Limits(wire, clock=clock)

    spare = [await limits.take_spare(NUMBER, per_s=1, burst=10, reserve=4) for _ in range(8)]
    others = [await limits.take(NUMBER, per_s=1, burst=10) for _ in range(4)]

    assert spare[:6] == [0] * 6
    assert 0 < spare[6] <= 1_000  # until there are more than the reserve, and no token was taken
    assert 0 < spare[7] <= 1_000
    assert others == [0] * 4
