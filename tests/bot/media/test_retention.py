"""What has had its time goes by itself, for every firm, from one process at a time."""

import asyncio
from pathlib import Path

import pytest

from bot.clock import Clock
from bot.media.library import Library
from bot.media.retention import LOCK_NUMBER, Retention, media_days
from bot.metrics import Metrics
from bot.store.database import Database
from flows.dialog.ctx import Firm
from flows.values.ids import TenantId
from tests.bot.media.conftest import DAY_MS, PHOTO, keep, kept_in
from tests.bot.people.conftest import BAKERY, BUTCHERY
from tests.whole.people import until


@pytest.fixture
def retention(database: Database, library: Library, clock: Clock) -> Retention:
    return Retention(database, library, clock=clock, metrics=Metrics())


async def test_a_pass_goes_through_all_firms(
    retention: Retention, library: Library, clock: Clock, folder: Path
) -> None:
    for n in range(55):
        await keep(library, BAKERY.id, f"w{n}", PHOTO + bytes([n]))
    await keep(library, BUTCHERY.id, "w1")
    clock.shift(91 * DAY_MS)

    assert await retention.pass_once() == 56
    assert kept_in(folder) == []


async def test_it_runs_as_soon_as_the_time_has_come(
    retention: Retention, library: Library, clock: Clock, folder: Path
) -> None:
    await keep(library, BAKERY.id, "w1")
    running = asyncio.create_task(retention.run())
    try:
        await asyncio.sleep(0)
        clock.shift(91 * DAY_MS)

        async def gone() -> bool:
            clock.shift(1)  # it may have been in the middle of a pass when the time was moved
            return kept_in(folder) == []

        await until(gone, within_s=10, what="the end of the file")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_two_processes_do_not_do_it_at_once(
    retention: Retention, library: Library, database: Database, clock: Clock
) -> None:
    await keep(library, BAKERY.id, "w1")
    clock.shift(91 * DAY_MS)

    async with database.system() as other:
        await other.execute(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
        assert await retention.pass_once() == 0
    assert await retention.pass_once() == 1


@pytest.mark.parametrize(("settings", "days"), [({}, 90), ({"media_days": "7"}, 7)])
def test_a_firm_says_how_long(settings: dict[str, str], days: int) -> None:
    assert media_days(Firm(id=TenantId("t"), name="Sol", settings=settings)) == days
