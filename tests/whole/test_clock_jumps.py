"""A machine's clock is set, forward or back, while people write: nothing is lost, doubled or reordered, nobody is kept waiting.

What a jump does to each part: a lease that it ends is found vanished, so nothing is sent again before its status had
its time. A lane that rests, or whose holder has died, is due later by a jump back. A message's day is Meta's, so
a redelivery is known as before.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio as redis

from bot.clock import Clock
from bot.embedded.stores import Stores
from bot.engine.journal import PARTS
from bot.lanes import PREFIX
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until
from tests.whole.town import Town
from tests.whole.waits import BRISK

HOUR_MS = 3_600_000
PEOPLE = 10


class StoresClock(Clock):
    """The store's machine is set, and ours is not."""

    def now_ms(self) -> int:
        return super().now_ms() - self.shift_ms

    def steady_s(self) -> float:
        return super().steady_s() - self.shift_ms / 1000


@pytest.fixture
async def whole(
    request: pytest.FixtureRequest, stores: Stores, tmp_path: Path, free_port: int
) -> AsyncIterator[Whole]:
    """A server with a clock of the class that the test gives; Meta's stays right."""
    async with whole_server(
        stores,
        tmp_path,
        free_port,
        book=echo_book(),
        waits=BRISK,
        clock=request.param(),
        meta_clock=Clock(),
    ) as whole:
        yield whole


async def answered(town: Town) -> None:
    """Long before the clock has made up for its jump."""

    async def is_so() -> bool:
        return not town.unanswered(town.written)

    await until(is_so, what="every answer")


@pytest.mark.parametrize("whole", [Clock, StoresClock], ids=["everywhere", "store"], indirect=True)
@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS], ids=["forward", "back"])
async def test_a_clock_is_set_while_messages_are_on_their_way(whole: Whole, jump_ms: int) -> None:
    town = Town(whole.emulator)
    people = [town.join() for _ in range(PEOPLE)]
    # Some are on their way, and some lanes rest because the first of them was refused.
    await whole.people.faults(slow_ms=300, throughput=1)
    for person in people[:5]:
        town.write(person)
    await asyncio.sleep(0.5)
    for person in people[5:]:
        town.write(person)
    await asyncio.sleep(0.1)

    whole.server.clock.shift(jump_ms)
    for person in people:
        town.write(person)
    # A lease that was ended by the jump costs a lease and a doubt.
    await answered(town)

    for person in people:
        town.write(person)
    await answered(town)
    assert town.verdict().is_clean, town.verdict()


@pytest.mark.parametrize("whole", [Clock], ids=["everywhere"], indirect=True)
async def test_after_a_jump_back_the_journal_goes_on(whole: Whole) -> None:
    """The store keeps a mark that was to expire until its clock has caught up."""
    town = Town(whole.emulator)
    async with redis.from_url(whole.stores.redis_url) as store:
        for part in range(PARTS):
            await store.set(f"{PREFIX}rota:journal-{part}", "somebody", px=HOUR_MS)
    whole.server.clock.shift(-HOUR_MS)
    town.write(town.join())
    await answered(town)

    async def written() -> bool:
        return (await whole.server.lanes.depths()).journal == 0

    await until(written, what="the journal")


@pytest.mark.parametrize("whole", [Clock], ids=["everywhere"], indirect=True)
async def test_a_redelivery_after_a_jump_is_known(whole: Whole) -> None:
    town = Town(whole.emulator)
    person = town.join()
    await whole.people.faults(duplicate=1, rebatch=1)
    town.write(person)
    await answered(town)

    whole.server.clock.shift(HOUR_MS)
    await whole.people.faults(rebatch=1)
    town.write(person)  # comes again together with the one before the jump

    await answered(town)
    await whole.emulator.settled()
    assert town.verdict().is_clean, town.verdict()
