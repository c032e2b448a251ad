"""Lanes on a real store."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bot.clock import Clock
from bot.lanes import Lanes, Wire
from tests.bot.lanes.servers import StoreServer, store_server

SHARDS = 4
LEASE_MS = 60_000


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
    return Lanes(wire, shards=SHARDS, clock=clock, lease_ms=LEASE_MS, most_items=3)


@pytest.fixture
def server() -> Iterator[StoreServer]:
    """A server of this test alone, running."""
    with store_server() as server:
        server.start()
        yield server
