"""Replies go before bulk: while a campaign runs, people are answered as fast as ever."""

import asyncio
import statistics
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from tests.echo import echo_book
from tests.whole.api import caller_of, price_list
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until
from tests.whole.town import Town

NOON = datetime(2026, 11, 30, 12, tzinfo=ZoneInfo("America/Santiago"))
SIZE = 2_000
REPLIES = 120
EACH = 20
SLACK_S = 0.1  # other people's load on the machine; a reply behind bulk would wait for seconds


async def test_replies_are_as_fast_while_a_campaign_of_2000_runs(
    stores: Stores, tmp_path: Path, free_port: int
) -> None:
    clock = Clock()
    clock.shift(int(NOON.timestamp() * 1000) - clock.now_ms())
    # A new number: 80 messages a second. The campaign wants 100.
    async with whole_server(
        *(stores, tmp_path, free_port), book=echo_book(), clock=clock, number=NUMBER
    ) as whole:
        api = await caller_of(whole.settings, stores, whole.http, whole.server.address)
        for n in range(SIZE):
            whole.emulator.world.add_person(f"Cliente {n}", wa_id=phone(100_000 + n))
        town = Town(whole.emulator)
        before = await answered_within(town)

        begun = await api.call(
            *("POST", "/v1/campaigns"),
            {
                "title": "Precios",
                "recipients": [price_list(100_000 + n) for n in range(SIZE)],
                "per_minute": 6_000,
            },
        )
        assert begun.status == 202
        await until(lambda: is_under_way(whole), within_s=10, what="the campaign")
        during = await answered_within(town)

        progress = await api.progress_is(begun.body["id"], "running")
        assert progress["released"] < SIZE, "the campaign was over before it was measured"
        assert bulk_sent(whole) > REPLIES // 4
        assert statistics.median(during) < statistics.median(before) + SLACK_S
        assert statistics.quantiles(during, n=20)[-1] < statistics.quantiles(before, n=20)[-1] + (
            2 * SLACK_S
        )


async def answered_within(town: Town) -> list[float]:
    """Seconds that each of some messages waited for its answer."""
    waited = []
    people = [town.join() for _ in range(REPLIES // EACH)]
    for n in range(REPLIES):
        word, start = town.write(people[n % len(people)]), time.monotonic()
        while town.unanswered([word]):
            await asyncio.sleep(0.005)
            assert time.monotonic() < start + 30, "a reply was lost"
        waited.append(time.monotonic() - start)
        await asyncio.sleep(0.03)
    return waited


def bulk_sent(whole: Whole) -> int:
    """Messages of the campaign that have reached Meta."""
    return sum(
        line.text.startswith("Hola Ana") for pair in whole.truth.pairs for line in pair.taken
    )


async def is_under_way(whole: Whole) -> bool:
    return bulk_sent(whole) > 0
