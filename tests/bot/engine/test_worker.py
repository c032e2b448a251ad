"""A worker: what its commit leaves in the lane."""

from collections.abc import AsyncIterator

import pytest
from msgspec.json import encode

from bot.clock import Clock
from bot.engine.worker import Worker
from bot.lanes import Lanes, Taken, Wire
from bot.metrics import Metrics
from flows.dialog.ctx import Firm
from flows.dialog.events import Heard
from flows.values.ids import ChannelId, ContactId, TenantId, Wamid
from handlers.events import Arrived, Sender
from tests.bot.engine.errand import NAP_S, errand_book

TENANT = TenantId("0d7c9d3a-1111-4222-8333-444455556666")
LANE = "conv/c1"


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
    return Lanes(wire, shards=1, clock=clock)


@pytest.fixture
def worker(lanes: Lanes, clock: Clock) -> Worker:
    def firm_of(tenant: TenantId) -> Firm:
        return Firm(id=tenant, name="Panadería Sol")

    return Worker(
        lanes, errand_book(), firm_of=firm_of, clock=clock, metrics=Metrics(), room=lambda: 0
    )


async def write(lanes: Lanes, clock: Clock, text: str) -> None:
    arrived = Arrived(
        tenant=TENANT,
        channel=ChannelId("c1"),
        contact=ContactId("p1"),
        sender=Sender(bsuid="CL.1"),
        heard=Heard(id=Wamid(text), at=clock.now_ms() // 1000, kind="text", text=text),
        received=clock.now_ms(),
    )
    await lanes.put(0, LANE, encode(arrived))


async def claimed(lanes: Lanes) -> Taken:
    [taken] = (await lanes.claim(0, "conv")).taken
    return taken


async def test_what_comes_while_a_timer_is_run_does_not_wait_for_the_next_timer(
    lanes: Lanes, worker: Worker, clock: Clock
) -> None:
    await write(lanes, clock, "nap pan")
    await worker.carry(await claimed(lanes))
    clock.shift_ms += (NAP_S + 1) * 1000
    woken = await claimed(lanes)
    await write(lanes, clock, "say hola")

    after = await worker.carry(woken)

    assert woken.items == ()
    assert after.claim == ("conv", "wa")
    assert len((await claimed(lanes)).items) == 1
