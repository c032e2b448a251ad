"""The server is killed while people write, as often as it likes; nobody's message is lost, none is answered twice.

The server and the emulator are processes of their own. Meta repeats what was not answered 200, so what the emulator
counts as taken by the bot is what the bot acknowledged.
"""

import asyncio
import random
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from handlers.whatsapp.webhook import PATH
from tests.whole.people import FAST, People, until

SECRET = "crash-app-secret"
READY_S = 60.0
ECHO = re.compile(r"(\d+) (\w+) ¿Algo más\?")


class Server:
    """The server as an operator runs it, and its end as a machine gives it."""

    def __init__(self, data: Path, port: int, graph: str) -> None:
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "SMARTERBOT_DATA": str(data),
            "PORT": str(port),
            "WHATSAPP_APP_SECRET": SECRET,
            "WHATSAPP_VERIFY_TOKEN": "v",
            "WHATSAPP_GRAPH_URL": graph,
            "LOG_LEVEL": "warning",
        }
        self._address = f"http://127.0.0.1:{port}"
        self._log = data / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, http: aiohttp.ClientSession) -> None:
        self._process = self._spawn()
        await until(lambda: self._ready(http), within_s=READY_S, what="the server")

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.whole.process"]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    async def _ready(self, http: aiohttp.ClientSession) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(self._log.read_text()[-3000:])
        try:
            async with http.get(f"{self._address}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, within_s: float) -> int:
        """SIGTERM; answers the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within_s)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            try:
                self.stop(15)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def emulator_process(callback_url: str) -> Iterator[str]:
    """The emulator on its own, so that it survives the server; gives its address."""
    command = [
        sys.executable, "-m", "handlers.whatsapp.emulator",
        "--callback-url", callback_url,
        "--app-secret", SECRET,
        "--number", msgspec.json.encode(FAST).decode(),
        "--retry-first-ms", "100", "--retry-longest-ms", "1000", "--at-once",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield str(msgspec.json.decode(process.stdout.readline())["address"])
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Town:
    def __init__(self, server: Server, people: People, http: aiohttp.ClientSession) -> None:
        self.server, self.people, self.http = server, people, http
        self.wrote: dict[int, list[str]] = {}

    async def write_for(self, seconds: float, *, persons: int, per_s: float, each: int) -> None:
        """People write at a steady rate; none writes more than `each`, which the pair limit allows at once."""
        end = asyncio.get_running_loop().time() + seconds
        chance = random.Random(11)
        while asyncio.get_running_loop().time() < end:
            willing = [n for n in range(persons) if len(self.wrote.get(n, ())) < each]
            if not willing:
                return
            n = chance.choice(willing)
            word = f"w{n}x{len(self.wrote.setdefault(n, []))}"
            self.wrote[n].append(word)
            await self.people.write(n, word)
            await asyncio.sleep(1 / per_s)

    @property
    def count(self) -> int:
        return sum(map(len, self.wrote.values()))

    async def all_answered(self) -> bool:
        truth = await self.people.truth()
        return bool(truth["world"]["taken"] >= self.count and truth["pending"] == 0)


@pytest.fixture
async def town(stores_folder: Path, free_port: int) -> AsyncIterator[Town]:
    data = stores_folder / f"crash-{free_port}"
    data.mkdir()
    with emulator_process(f"http://127.0.0.1:{free_port}{PATH}") as graph:
        server = Server(data, free_port, graph)
        async with aiohttp.ClientSession() as http:
            try:
                await server.start(http)
                people = People(http, graph)
                # Sends take a while, so that many of them are on their way when the server dies.
                await people.faults(slow_ms=200)
                yield Town(server, people, http)
            finally:
                server.end()


def assert_nothing_lost_or_doubled(town: Town, truth: dict[str, Any]) -> None:
    assert [pair["duplicates"] for pair in truth["world"]["pairs"]] == [{} for _ in town.wrote]
    answered = {}
    for pair in truth["world"]["pairs"]:
        found = [ECHO.fullmatch(line["text"]) for line in pair["taken"]]
        assert all(found), pair["taken"]
        counts = [int(match[1]) for match in found if match]
        # The flow counts its turns: in order, none missing, none twice.
        assert counts == list(range(1, len(counts) + 1))
        answered[pair["heard"][0]["text"]] = sorted(match[2] for match in found if match)
    assert answered == {words[0]: sorted(words) for words in town.wrote.values()}


async def kill_again_and_again(town: Town, times: int, *, every_s: tuple[float, float]) -> None:
    chance = random.Random(5)
    for _ in range(times):
        await asyncio.sleep(chance.uniform(*every_s))
        town.server.kill()
        await town.server.start(town.http)


async def test_killed_under_load_it_loses_nothing_and_says_nothing_twice(town: Town) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(town.write_for(12, persons=20, per_s=40, each=40))
        group.create_task(kill_again_and_again(town, 3, every_s=(0.5, 2.0)))
    await until(town.all_answered, within_s=60, what="every answer")

    assert_nothing_lost_or_doubled(town, await town.people.truth())


@pytest.mark.nightly
async def test_killed_for_a_minute_it_loses_nothing_and_says_nothing_twice(town: Town) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(town.write_for(60, persons=80, per_s=50, each=40))
        group.create_task(kill_again_and_again(town, 15, every_s=(0.2, 3.0)))
    await until(town.all_answered, within_s=120, what="every answer")

    assert_nothing_lost_or_doubled(town, await town.people.truth())


async def test_asked_to_stop_it_finishes_and_the_next_start_goes_on(town: Town) -> None:
    async def stop_once() -> int:
        await asyncio.sleep(2)
        code = await asyncio.to_thread(town.server.stop, 10.0)
        await town.server.start(town.http)
        return code

    async with asyncio.TaskGroup() as group:
        group.create_task(town.write_for(6, persons=20, per_s=40, each=40))
        stopped = group.create_task(stop_once())
    await until(town.all_answered, within_s=60, what="every answer")

    assert stopped.result() == 0
    assert_nothing_lost_or_doubled(town, await town.people.truth())
