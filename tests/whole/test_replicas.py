"""Several processes on one store: one that stands still, one that is replaced, two that write the same journal."""

import asyncio
import random
import signal
from dataclasses import replace

import pytest

from bot.app import Waits
from bot.engine.journal import BACKOFF_MAX_S
from bot.store.database import IDLE_WAIT_S
from tests.whole.crash_matrix import ANSWERED, DECIDED, PER_S, POSTED, WRITING
from tests.whole.installation import installation, kept_by_postgres
from tests.whole.town import Town, Verdict
from tests.whole.traps import Point
from tests.whole.waits import BRISK

STOP_WITHIN_S = 20.0
"""A stop takes ten seconds at most (see `bot.app`), and a busy machine as long again."""

ABOUT_TO_POST = Point(
    "about to post",
    "worker",
    "limit",
    "answer",
    lambda _: True,
    "it may send, and nothing has left",
)


def clean(words: int) -> Verdict:
    return Verdict(words, words, lost=0, doubled=0, inverted=0, miscounted=0)


# ------------------------------------------------------------------ frozen


async def test_workers_that_stood_still_for_longer_than_their_leases_do_nothing_twice() -> None:
    points = [ABOUT_TO_POST, DECIDED, POSTED, ANSWERED]
    async with installation(workers=len(points) + 1) as site:
        town = Town(site.emulator)
        people = [town.join() for _ in points]
        frozen = []
        for point, person in zip(points, people, strict=True):
            with site.traps.set(point) as trap:
                town.write(person)
                frozen.append(site.machine((await trap.sprung()).process))
                frozen[-1].send(signal.SIGSTOP)
                # What it waits for lies in its socket when it wakes.
                trap.release(drop=False)
        for person in people:
            town.write(person)
        # The last one does it all: after the leases, and where something may have left, after the doubt.
        await site.answers(town, town.written)
        await site.at_rest()

        for worker in frozen:
            worker.send(signal.SIGCONT)
        for person in people:
            town.write(person)
        await site.answers(town, town.written)
        await site.at_rest()

        assert len({worker.name for worker in frozen}) == len(points)
        assert town.verdict() == clean(3 * len(points))


@pytest.mark.nightly
async def test_a_writer_that_stood_still_in_its_transaction_keeps_no_other_from_writing() -> None:
    async with installation(workers=2) as site:
        town = Town(site.emulator)
        load = asyncio.create_task(town.keep_writing(PER_S))
        with site.traps.set(WRITING) as trap:
            frozen = site.machine((await trap.sprung()).process)
            frozen.send(signal.SIGSTOP)
            await asyncio.sleep(5)
            load.cancel()
            await site.answers(town, town.written)
            # PostgreSQL ends the transaction that nobody goes on with.
            await site.at_rest(within_s=IDLE_WAIT_S + BACKOFF_MAX_S + 30)
            frozen.send(signal.SIGCONT)
        await site.answers(town, [town.write(town.join())])

        assert await kept_by_postgres(site, town)


@pytest.mark.nightly
async def test_workers_that_stand_still_again_and_again_do_nothing_twice() -> None:
    """For longer than a lease and a doubt, at any moment: also between the last look at the lease and the send."""
    chance = random.Random(3)
    async with installation(workers=3) as site:
        town = Town(site.emulator)
        load = asyncio.create_task(town.keep_writing(PER_S))
        for _ in range(12):
            worker = chance.choice(site.workers)
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            worker.send(signal.SIGSTOP)
            await asyncio.sleep((BRISK.lease_ms + BRISK.outage_doubt_ms) / 1000 + 1)
            worker.send(signal.SIGCONT)
        load.cancel()
        await site.answers(town, town.written)
        await site.at_rest()

        assert town.verdict() == clean(len(town.written))
        assert await kept_by_postgres(site, town)


# ------------------------------------------------------------------ replaced


async def test_all_processes_are_replaced_one_by_one_under_load() -> None:
    """Two of each, so that there are two writers of the journal most of the time.

    The leases are those of production: a busy machine may keep a process waiting for longer than the brisk ones last, and
    then others rightly doubt what it was at.
    """
    async with installation(
        webs=2, workers=2, waits=replace(BRISK, lease_ms=Waits().lease_ms)
    ) as site:
        town = Town(site.emulator)
        load = asyncio.create_task(town.keep_writing(PER_S))
        codes = []
        for server in site.servers:
            await asyncio.sleep(0.3)
            server.send(signal.SIGTERM)
            codes.append(await server.end(STOP_WITHIN_S))
            await server.start()
        load.cancel()
        await site.answers(town, town.written)
        await site.at_rest()

        assert codes == [0] * len(site.servers)
        assert town.verdict() == clean(len(town.written))
        assert await kept_by_postgres(site, town)
        # A stop that is not hurried leaves nobody in doubt.
        assert not any(server.has_logged("item.doubt") for server in site.servers)


@pytest.mark.nightly
async def test_several_writers_of_one_journal_lose_and_double_nothing() -> None:
    async with installation(workers=4) as site:
        town = Town(site.emulator)
        load = asyncio.create_task(town.keep_writing(2 * PER_S))
        await asyncio.sleep(30)
        load.cancel()
        await site.answers(town, town.written)
        await site.at_rest()

        assert await kept_by_postgres(site, town)
        for worker in site.workers:
            assert not worker.has_logged("journal.stuck")
            assert not worker.has_logged("journal.rejected")
