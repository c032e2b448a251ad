"""A service: what becomes of an item, whatever its handler makes of it."""

from collections.abc import AsyncIterator

import pytest

from bot.clock import Clock
from bot.engine.service import TRIES_MAX, Service
from bot.lanes import Lanes, Taken, Wire
from bot.metrics import Metrics
from handlers.ports import Done, Doubt, Item, Outcome

LANE = "wa/c1"
WAIT_MS = 60_000


class Sender:
    """A handler that makes the same of every item, and remembers what it was shown."""

    kind = "wa"

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.shown: list[Item] = []

    async def serve(self, item: Item) -> Outcome:
        self.shown.append(item)
        return self.outcome


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes(wire: Wire, clock: Clock) -> Lanes:
    return Lanes(wire, shards=1, clock=clock, lease_ms=15_000)


async def claimed(lanes: Lanes) -> Taken:
    [taken] = (await lanes.claim(0, "wa", items=1)).taken
    return taken


async def test_waiting_for_our_intake_is_no_attempt(lanes: Lanes, clock: Clock) -> None:
    sender = Sender(Doubt(WAIT_MS, "intake_gap", counts=False))
    service = Service(lanes, sender, clock=clock, metrics=Metrics())
    await lanes.put(0, LANE, b"item")

    for _ in range(TRIES_MAX + 1):
        await service.carry(await claimed(lanes))
        clock.shift_ms += WAIT_MS
    sender.outcome = Done()
    await service.carry(await claimed(lanes))

    assert len(sender.shown) == TRIES_MAX + 2
    assert await lanes.dead_letters() == []
