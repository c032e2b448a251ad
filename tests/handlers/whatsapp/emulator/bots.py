"""Bots that answer as a test wants, right or wrong, to see what a load test makes of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from tests.handlers.whatsapp.emulator.stage import JSON, SOL, items, text

NUMBER = replace(SOL, token="", per_s=1_000)


@dataclass
class Bot:
    """Hears webhooks and speaks to the Graph API, as its script says."""

    script: Callable[["Bot", str, int], Awaitable[None]]
    """Told whom to answer, and which of all messages it is: 1, 2 …"""
    graph: str = ""
    statuses: list[int] = field(default_factory=list)
    """HTTP statuses of the next answers; 200 when empty."""
    heard: Counter[str] = field(default_factory=Counter)
    most_open: int = 0
    open: Counter[str] = field(default_factory=Counter)

    async def hear(self, request: web.Request) -> web.Response:
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        body: JSON = await request.json()
        for message in items(body, "messages"):
            wamid, person = str(message["id"]), str(message["from"])
            self.heard[wamid] += 1
            if self.heard[wamid] == 1:
                self.open[person] += 1
                self.most_open = max(self.most_open, self.open[person])
                self._answers.add(asyncio.ensure_future(self.script(self, person, len(self.heard))))
        return web.Response()

    async def say(self, person: str, ref: str, number: str = NUMBER.id) -> int:
        self.open[person] -= 1
        body = {
            "messaging_product": "whatsapp",
            **text(),
            "to": person,
            "biz_opaque_callback_data": ref,
        }
        url = f"{self.graph}/v26.0/{number}/messages"
        async with self.http.post(url, json=body) as answer:
            return answer.status

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[str]:
        """Gives the callback URL."""
        self._answers: set[asyncio.Future[None]] = set()
        app = web.Application()
        app.router.add_post("/hook", self.hear)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        async with aiohttp.ClientSession() as self.http:
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
                await asyncio.gather(*self._answers)
            finally:
                await runner.cleanup()


def ref(n: int, k: int = 0) -> str:
    """As our server names what it sends."""
    return f"wa/conversation:{n}-{k}"


async def answer(bot: Bot, person: str, n: int) -> None:
    await bot.say(person, ref(n))
