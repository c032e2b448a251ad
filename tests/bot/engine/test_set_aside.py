"""A worker: what becomes of an event that no turn can take."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from bot.clock import Clock
from bot.engine.worker import TRIES_MAX, Worker
from bot.lanes import Lanes, Wire
from bot.metrics import Metrics
from handlers.journal import Record, RefusedRecord
from tests.bot.engine.test_proposed import MESSAGE, proposed
from tests.bot.engine.test_turn import ID, TENANT
from tests.echo import echo_book


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


async def test_a_message_that_no_turn_can_take_is_told_as_refused(wire: Wire) -> None:
    clock = Clock()
    lanes = Lanes(wire, shards=1, clock=clock)
    worker = Worker(
        lanes,
        echo_book(),
        firm_of=lambda _: None,  # its firm is gone
        clock=clock,
        metrics=Metrics(),
        room=lambda: 0,
    )
    await lanes.put(0, f"conv/{ID}", msgspec.json.encode(proposed()))

    for _ in range(TRIES_MAX + 1):
        [taken] = (await lanes.claim(0, "conv")).taken
        await worker.carry(taken)
        clock.shift(60_000)

    _, lines = await lanes.read_journal(0, 10)
    [record] = [msgspec.json.decode(line, type=Record) for line in lines]
    assert isinstance(record, RefusedRecord)
    assert (record.tenant, record.ref, record.fault) == (TENANT, MESSAGE, "set_aside")
