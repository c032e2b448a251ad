"""A process carries a bounded number of lanes of each kind, and one kind that is slow keeps no other waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.clock import Clock
from bot.engine.runner import AT_ONCE_MAX, After, Runner
from bot.lanes import Bell, Lanes, Put, Taken, Wire
from bot.metrics import Metrics
from tests.bot.lanes.servers import until

SHARDS = 64


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
def lanes(wire: Wire) -> Lanes:
    return Lanes(wire, shards=SHARDS, clock=Clock())


class Carries:
    """Carries each lane to its end once it may."""

    def __init__(self, lanes: Lanes) -> None:
        self.may_end = asyncio.Event()
        self.carrying = 0
        self.most = 0
        self.done = 0
        self._lanes = lanes

    async def carry(self, taken: Taken) -> After:
        self.carrying += 1
        self.most = max(self.most, self.carrying)
        await self.may_end.wait()
        await self._lanes.commit(taken, consumed=len(taken.items))
        self.carrying -= 1
        self.done += 1
        return After()


@asynccontextmanager
async def at_work(wire: Wire, lanes: Lanes, carriers: dict[str, Carries]) -> AsyncIterator[Runner]:
    clock, metrics = Clock(), Metrics()
    runner = Runner(lanes, Bell(wire), carriers, clock=clock, metrics=metrics, single=frozenset())
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        for carries in carriers.values():
            carries.may_end.set()
        await runner.stop(5)
        await asyncio.gather(task, return_exceptions=True)


async def fill(lanes: Lanes, kind: str, count: int) -> None:
    """So many lanes of a kind, each with one item."""
    answers = await asyncio.gather(
        *(lanes.put(n % SHARDS, f"{kind}/{n}", b"item") for n in range(count))
    )
    assert answers == [Put.WAITING] * count


async def test_however_much_waits_no_more_than_the_bound_is_carried_at_once(
    wire: Wire, lanes: Lanes
) -> None:
    count = AT_ONCE_MAX * 3
    await fill(lanes, "conv", count)
    carries = Carries(lanes)

    async with at_work(wire, lanes, {"conv": carries}):
        await until(lambda: carries.carrying == AT_ONCE_MAX)
        carries.may_end.set()
        await until(lambda: carries.done == count)

    assert carries.most == AT_ONCE_MAX


async def test_a_kind_that_is_slow_keeps_no_other_kind_waiting(wire: Wire, lanes: Lanes) -> None:
    await fill(lanes, "wa", AT_ONCE_MAX * 2)
    slow, quick = Carries(lanes), Carries(lanes)
    quick.may_end.set()

    async with at_work(wire, lanes, {"wa": slow, "conv": quick}) as runner:
        await until(lambda: slow.carrying == AT_ONCE_MAX)
        await lanes.put(0, "conv/c", b"item")
        runner.want(0, "conv")
        await until(lambda: quick.done == 1)

    assert slow.most == AT_ONCE_MAX
