"""The edge under attack: whoever has no signature cannot keep those who have one waiting.

The server and Meta are processes of their own, the attackers share this one.
"""

import asyncio
import base64
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from bot.demo import prepare_demo
from bot.embedded.stores import Stores
from bot.settings import read_settings
from handlers.whatsapp.webhook import BODY_BYTES_MAX, PATH
from tests.bench.load import SECRET, Rate, Seen, Spread, message
from tests.bench.stores import LINE
from tests.whole.people import until

P99_MS = 1_000.0
SLOWER = 10
"""Under attack a webhook may take so many times what it takes in calm, or `P99_MS`: the machine may be busy with more."""
RSS_MAX = 400 * 2**20
FILES = 40_000


@dataclass
class Target:
    port: int
    pid: int
    meta: asyncio.subprocess.Process
    attacks: list[asyncio.Task[None]] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    """Answers that attackers got, by status; 0 is a connection that was closed on them."""

    @property
    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def count(self, status: int) -> None:
        self.refused[status] = self.refused.get(status, 0) + 1

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *parts: bytes) -> int:
        """One request on a connection of its own; the status of the answer, 0 for none."""
        with suppress(OSError):
            reader, writer = await self.connect()
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                line = await reader.readline()
                return int(line.split(b" ")[1]) if line else 0
            finally:
                writer.transport.abort()
        return 0


Attack = Callable[[Target], Coroutine[None, None, None]]
"""Goes on until it is cancelled."""


# ------------------------------------------------------------------ the attacks


def slow_heads(connections: int) -> Attack:
    """Slow-loris: heads that never end, a header line a second."""

    async def one(target: Target) -> None:
        while True:
            with suppress(OSError):
                _, writer = await target.connect()
                writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\n" % PATH.encode())
                try:
                    while not writer.transport.is_closing():
                        writer.write(b"X-A: b\r\n")
                        await asyncio.sleep(1)
                finally:
                    writer.transport.abort()
            target.count(0)

    return crowd(one, connections)


def slow_bodies(connections: int) -> Attack:
    """Heads that promise a body, and bodies that come a byte a second."""

    async def one(target: Target) -> None:
        while True:
            with suppress(OSError):
                _, writer = await target.connect()
                writer.write(
                    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n" % PATH.encode()
                )
                try:
                    while not writer.transport.is_closing():
                        writer.write(b"x")
                        await asyncio.sleep(1)
                finally:
                    writer.transport.abort()
            target.count(0)

    return crowd(one, connections)


def idle(connections: int) -> Attack:
    """Connections that say nothing."""

    async def one(target: Target) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await target.connect()
                try:
                    await reader.read()
                finally:
                    writer.transport.abort()
            target.count(0)
            await asyncio.sleep(0.1)

    return crowd(one, connections)


def bad_signatures(per_s: int, *, workers: int = 16) -> Attack:
    """Well-formed webhooks that nobody of ours signed."""
    body = message("56961234567", 1)
    request = (
        b"POST %b HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: sha256=%b\r\nContent-Length: %d\r\n\r\n%b"
        % (PATH.encode(), b"0" * 64, len(body), body)
    )

    async def one(target: Target) -> None:
        reader, writer = await target.connect()
        started, n = time.monotonic(), 0
        try:
            while True:
                n += 1
                writer.write(request)
                target.count(int((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]))
                ahead = started + n * workers / per_s - time.monotonic()
                if ahead > 0.005:
                    await asyncio.sleep(ahead)
        finally:
            writer.transport.abort()

    return crowd(one, workers)


def large_bodies(workers: int) -> Attack:
    """Bodies at and beyond the limit, nested as deeply as they are long."""
    nested = b"[" * BODY_BYTES_MAX

    def request(length: bytes, body: bytes) -> bytes:
        return b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n%b" % (PATH.encode(), length, body)

    told = request(b"Content-Length: %d" % (BODY_BYTES_MAX + 1), b"")
    whole = request(b"Content-Length: %d" % BODY_BYTES_MAX, nested)
    chunk = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
    endless = request(b"Transfer-Encoding: chunked", b"")

    async def one(target: Target) -> None:
        while True:
            target.count(await target.ask(told))
            target.count(await target.ask(whole))
            target.count(await target.ask(endless, *[chunk] * 60))
            await asyncio.sleep(0.2)

    return crowd(one, workers)


def crowd(one: Attack, many: int) -> Attack:
    async def attack(target: Target) -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(many):
                group.create_task(one(target))
                if n % 100 == 99:
                    await asyncio.sleep(0)

    return attack


# ------------------------------------------------------------------ the server


@contextmanager
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def target(
    clean_valkey: str, stores: Stores, free_port: int, other_port: int, tmp_path: Path
) -> AsyncIterator[Target]:
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": stores.postgres.app,
        "DATABASE_OWNER_URL": stores.postgres.owner,
        "REDIS_URL": clean_valkey,
        "SMARTERBOT_KEYS": f"t1:{base64.b64encode(bytes(32)).decode()}",
        "PORT": str(free_port),
        "WHATSAPP_APP_SECRET": SECRET.decode(),
        "WHATSAPP_VERIFY_TOKEN": "edge",
        "WHATSAPP_GRAPH_URL": "http://127.0.0.1:9",
        "LOG_LEVEL": "error",
    }
    await prepare_demo(read_settings(environment), stores, number=LINE)
    command = [sys.executable, "-m", "tests.bench.server", "--role", "web"]
    with many_files(), (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=log, stderr=log
        )
        meta = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.load", "--port", str(free_port)),
            *("--graph-port", str(other_port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            found = Target(free_port, process.pid, meta)
            await until(lambda: up(found), what="the server")
            assert meta.stdout is not None
            assert (await meta.stdout.readline()).startswith(b"ready")
            yield found
        finally:
            for each in (meta, process):
                each.terminate()
                await each.wait()


async def up(target: Target) -> bool:
    return await target.ask(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n") == 200


@asynccontextmanager
async def under(target: Target, *attacks: Attack) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(attack(target)) for attack in attacks]
    try:
        await asyncio.sleep(1)
        yield
        assert not any(task.done() for task in tasks), [
            task.exception() for task in tasks if task.done()
        ]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def served(target: Target, *, per_s: int, seconds: float) -> Spread:
    """Meta posts at this rate, come what may; the latencies, counted from when each was due."""
    pipe, answers = target.meta.stdin, target.meta.stdout
    assert pipe is not None
    assert answers is not None
    pipe.write(msgspec.json.encode(Rate(per_s, seconds)) + b"\n")
    seen = msgspec.json.decode(await answers.readline(), type=Seen)
    assert (seen.count, seen.refused) == (per_s * seconds, 0)
    return seen.ack


# ------------------------------------------------------------------ what must hold

FULL = [
    pytest.param([slow_heads(2_000)], id="slow-heads"),
    pytest.param([slow_bodies(2_000)], id="slow-bodies"),
    pytest.param([idle(10_000)], id="10k-connections"),
    pytest.param([bad_signatures(5_000)], id="5000-bad-signatures-a-second"),
    pytest.param([large_bodies(8)], id="large-bodies"),
    pytest.param(
        [slow_heads(500), slow_bodies(500), idle(5_000), bad_signatures(1_000), large_bodies(2)],
        id="all-at-once",
    ),
]


async def test_webhooks_are_served_while_others_attack(target: Target) -> None:
    attacks = [slow_heads(200), slow_bodies(200), idle(1_000), bad_signatures(500), large_bodies(2)]
    calm = await served(target, per_s=50, seconds=1)
    async with under(target, *attacks):
        latencies = await served(target, per_s=50, seconds=2)

    assert latencies.p99 < max(P99_MS, SLOWER * calm.p99)
    assert target.rss_bytes < RSS_MAX


@pytest.mark.nightly
@pytest.mark.parametrize("attacks", FULL)
async def test_webhooks_are_served_under_a_heavy_attack(
    target: Target, attacks: list[Attack]
) -> None:
    calm = await served(target, per_s=100, seconds=5)
    async with under(target, *attacks):
        latencies = await served(target, per_s=100, seconds=20)

    sys.stdout.write(
        f"p50 {latencies.p50:.0f} ms, p99 {latencies.p99:.0f} ms, "
        f"answers to attackers {target.refused}, {target.rss_bytes >> 20} MB\n"
    )
    assert latencies.p99 < max(P99_MS, SLOWER * calm.p99)
    assert target.rss_bytes < RSS_MAX


async def test_what_is_too_large_is_refused_before_it_is_read(target: Target) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"

    assert await target.ask(head % (PATH.encode(), BODY_BYTES_MAX + 1)) == 413
