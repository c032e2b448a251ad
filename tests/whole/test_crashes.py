"""Everything in one process on embedded stores, killed while people write, as often as it likes: nobody's message is
lost, none is answered twice.

The stores die with the process that started them. Named points and processes of their own: `test_crash_matrix`.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bot.clock import Clock
from bot.demo import NUMBER
from handlers.whatsapp.emulator.phones import Pace
from handlers.whatsapp.emulator.server import Emulator, serving
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.webhooks import Retries
from handlers.whatsapp.webhook import PATH
from tests.whole.machines import Server
from tests.whole.people import FAST, until
from tests.whole.town import Town, Verdict
from tests.whole.waits import SHORT

SECRET = "crash-app-secret"
STOP_WITHIN_S = 20.0
"""A stop takes ten seconds at most (see `bot.app`), and a busy machine as long again."""


class Alone:
    """A server that is all in one, and the town that writes to it."""

    def __init__(self, server: Server, emulator: Emulator) -> None:
        self.server = server
        self.emulator = emulator
        self.town = Town(emulator, at_once=20)

    async def write_for(self, seconds: float, *, per_s: float) -> None:
        load = asyncio.create_task(self.town.keep_writing(per_s))
        await asyncio.sleep(seconds)
        load.cancel()

    async def killed(self, times: int, *, every_s: tuple[float, float]) -> None:
        chance = random.Random(5)
        for _ in range(times):
            await asyncio.sleep(chance.uniform(*every_s))
            self.server.kill()
            await self.server.start()

    async def stopped_once(self) -> int:
        """Asked to stop and started again; answers the exit code."""
        await asyncio.sleep(1.5)
        self.server.send(signal.SIGTERM)
        code = await self.server.end(STOP_WITHIN_S)
        await self.server.start()
        return code

    async def verdict(self) -> Verdict:
        """When every word was answered, and every status heard."""

        async def answered() -> bool:
            return not self.town.unanswered(self.town.written) and not self.emulator.pending

        await until(answered, within_s=120, what="every answer")
        return self.town.verdict()


@pytest.fixture
async def alone(stores_folder: Path) -> AsyncIterator[Alone]:
    emulator = Emulator(
        callback_url="",
        app_secret=SECRET,
        numbers=[FAST],
        templates=read_templates(SAMPLES),
        clock=Clock(),
        pace=Pace(0, 0, 0),
        retries=Retries(first_ms=100, longest_ms=1_000),
    )
    # Sends take a while, so that many of them are on their way when the server dies.
    emulator.faults.change(NUMBER.id, {"slow_ms": 200})
    async with (
        serving(emulator, host="127.0.0.1", port=0) as graph,
        aiohttp.ClientSession() as http,
    ):
        environment = {
            "WHATSAPP_APP_SECRET": SECRET,
            "WHATSAPP_VERIFY_TOKEN": "v",
            "WHATSAPP_GRAPH_URL": graph,
        }
        server = Server(
            "all", stores_folder, role="all", environment=environment, waits=SHORT, http=http
        )
        server.variables["SMARTERBOT_DATA"] = str(stores_folder / f"crash-{server.port}")
        emulator.callback_url = f"{server.address}{PATH}"
        try:
            await server.start()
            yield Alone(server, emulator)
        finally:
            # Its stores end with it, and their files are removed after that.
            if server.is_running:
                server.send(signal.SIGTERM)
                await server.end(STOP_WITHIN_S)


async def test_killed_under_load_it_loses_nothing_and_says_nothing_twice(alone: Alone) -> None:
    await asyncio.gather(alone.write_for(6, per_s=40), alone.killed(2, every_s=(0.5, 1.5)))

    assert (await alone.verdict()).is_clean


@pytest.mark.nightly
async def test_killed_for_a_minute_it_loses_nothing_and_says_nothing_twice(alone: Alone) -> None:
    await asyncio.gather(alone.write_for(60, per_s=50), alone.killed(15, every_s=(0.2, 3.0)))

    assert (await alone.verdict()).is_clean


async def test_asked_to_stop_it_finishes_and_the_next_start_goes_on(alone: Alone) -> None:
    _, code = await asyncio.gather(alone.write_for(4, per_s=40), alone.stopped_once())

    assert code == 0
    assert (await alone.verdict()).is_clean
