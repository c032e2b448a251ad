"""Logins at a steady rate, as they come, and what it takes to believe an access token."""

import asyncio
import re
import statistics
import time
from dataclasses import dataclass
from typing import Final, Self

import aiohttp
from aiohttp import web
from rich.console import Console

from bot.clock import Clock
from bot.identity.keys import SigningKeys
from bot.identity.tokens import Tokens
from bot.people.channels import Mark
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from tests.bench import server
from tests.bench.figures import Goal, Section, at_most, spread
from tests.bench.load import FIRST_PHONE
from tests.bench.processes import cpu_s, free_port, process, wait_for
from tests.bench.stores import Ground, bench_ground

PER_S: Final = 200
SECONDS: Final = 5
LOGINS: Final = PER_S * SECONDS
WARM: Final = 50
AT_ONCE: Final = 32
P99_MS: Final = 50.0
READS: Final = 2_000
READ_MS: Final = 0.3
CODES_S: Final = 60.0
BLOCK: Final = 10_000
"""Codes to one block of numbers are judged together: here no two people are of one."""
VARIABLES: Final = {
    "OTP_PER_IP_HOUR": "1000000",
    "OTP_PER_DAY": "1000000",
    "OTP_USD_PER_DAY": "1000000",
}

_SENT: Final = re.compile(r'"to":\s*"\+(\d+)".*?"text":\s*"(\d{6})"', re.DOTALL)


@dataclass(frozen=True)
class Found:
    """One round."""

    ms: list[float]
    """From the moment at which a login was due to its answer."""
    cpu_ms: float
    """Of the server, a login."""
    read_ms: float
    """CPU to believe one access token."""


def measure(rounds: int, console: Console) -> Section:
    found: list[Found] = []
    with bench_ground() as ground:
        for n in range(rounds):
            ground.renew(mark=Mark.PLATFORM)
            found.append(asyncio.run(_round(ground)))
            console.print(
                f"round {n + 1}/{rounds} · p99 {_p99(found[-1]):.1f} ms, "
                f"{found[-1].cpu_ms:.2f} ms CPU a login, {found[-1].read_ms:.3f} ms a token"
            )
    return Section(
        title="Login",
        how=f"{rounds} rounds. {LOGINS:,} people ask for a code; then their codes come back, {PER_S} a second whether or "
        "not those before were answered. The wait counts from when each was due.",
        goals=[
            at_most(
                f"POST /auth/otp/verify at {PER_S}/s, p99", list(map(_p99, found)), P99_MS, "ms", 1
            ),
            Goal(
                f"POST /auth/otp/verify at {PER_S}/s, p50",
                spread([statistics.median(one.ms) for one in found], 1) + " ms",
            ),
            Goal("CPU of the server, a login", spread([one.cpu_ms for one in found], 2) + " ms"),
            at_most("CPU to believe a token", [one.read_ms for one in found], READ_MS, "ms", 3),
        ],
    )


def _p99(found: Found) -> float:
    return statistics.quantiles(found.ms, n=100)[98]


async def _round(ground: Ground) -> Found:
    port, graph = free_port(), free_port()
    environment = {**ground.environment(port=port, graph=graph), **VARIABLES}
    codes: dict[str, str] = {}
    async with _Graph(graph, codes) as meta, aiohttp.ClientSession() as http:
        with process(server.command(), env=environment, log=ground.log) as child:
            await asyncio.to_thread(wait_for, port, ground.log)
            base = f"http://127.0.0.1:{port}/auth/otp"
            challenges = await _ask(http, base, meta)
            phones = list(challenges)
            for phone in phones[:WARM]:
                await _give(http, base, challenges[phone], codes[phone])
            before = cpu_s(child.pid)
            ms, token = await _steadily(http, base, challenges, codes, phones[WARM:])
            cpu_ms = (cpu_s(child.pid) - before) * 1000 / len(ms)
            read_ms = await _read(environment, token)
    return Found(ms, cpu_ms, read_ms)


class _Graph:
    """Meta, as far as a code needs it."""

    def __init__(self, port: int, codes: dict[str, str]) -> None:
        app = web.Application()
        app.router.add_post("/{version}/{number}/messages", self._take)
        self._runner = web.AppRunner(app)
        self._port = port
        self._codes = codes
        self.complete = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        sent = _SENT.search(await request.text())
        assert sent is not None
        self._codes[sent[1]] = sent[2]
        if len(self._codes) == LOGINS + WARM:
            self.complete.set()
        return web.json_response(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": sent[1], "wa_id": sent[1]}],
                "messages": [{"id": f"wamid.{sent[1]}"}],
            }
        )


async def _ask(http: aiohttp.ClientSession, base: str, graph: _Graph) -> dict[str, str]:
    """Challenges by phone, once all codes have arrived."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(phone: str) -> tuple[str, str]:
        async with gate, http.post(base, json={"phone": f"+{phone}"}) as answer:
            answer.raise_for_status()
            return phone, (await answer.json())["challenge_id"]

    phones = [str(FIRST_PHONE + n * BLOCK) for n in range(LOGINS + WARM)]
    challenges = dict(await asyncio.gather(*map(ask, phones)))
    async with asyncio.timeout(CODES_S):
        await graph.complete.wait()
    return challenges


async def _give(http: aiohttp.ClientSession, base: str, challenge: str, code: str) -> str:
    body = {"challenge_id": challenge, "code": code}
    async with http.post(f"{base}/verify", json=body) as answer:
        answer.raise_for_status()
        return str((await answer.json())["access_token"])


async def _steadily(
    http: aiohttp.ClientSession,
    base: str,
    challenges: dict[str, str],
    codes: dict[str, str],
    phones: list[str],
) -> tuple[list[float], str]:
    begun = time.perf_counter()

    async def login(n: int, phone: str) -> tuple[float, str]:
        due = begun + n / PER_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        token = await _give(http, base, challenges[phone], codes[phone])
        return (time.perf_counter() - due) * 1000, token

    done = await asyncio.gather(*(login(n, phone) for n, phone in enumerate(phones)))
    return [ms for ms, _ in done], done[-1][1]


async def _read(environment: dict[str, str], token: str) -> float:
    settings, clock = read_settings(environment), Clock()
    async with Database.open(settings.database_url) as database:
        keys = SigningKeys(database, SecretBox(settings.keys), clock=clock)
        await keys.load()
    tokens = Tokens(keys, issuer=settings.address, clock=clock)
    for _ in range(WARM):
        tokens.read(token)
    begun = time.process_time()
    for _ in range(READS):
        tokens.read(token)
    return (time.process_time() - begun) * 1000 / READS
