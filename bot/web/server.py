"""The web server: webhooks in, health and metrics out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from bot.metrics import Metrics
from bot.web.front import KEEPALIVE_S, Front, Post

BODY_MAX: Final = 3 * 1024 * 1024  # Cloud API: a webhook has up to 3 MB
PROBE_S: Final = 2.0

Probe = Callable[[], Awaitable[object]]


class Health:
    """`/healthz`: the process answers. `/readyz`: it can do its work, and which part cannot."""

    def __init__(self, probes: Mapping[str, Probe], *, needed: frozenset[str]) -> None:
        """`needed`: probes whose failure makes the process unready; the others are only told."""
        self._probes = probes
        self._needed = needed
        self.stopping = False

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self.alive), web.get("/readyz", self.ready)]

    async def alive(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        names = list(self._probes)
        found = await asyncio.gather(*(self._probe(name) for name in names))
        parts = dict(zip(names, found, strict=True))
        ready = not self.stopping and all(parts[name] == "ok" for name in self._needed)
        status = "stopping" if self.stopping else ("ok" if ready else "unavailable")
        return web.json_response({"status": status, "parts": parts}, status=200 if ready else 503)

    async def _probe(self, name: str) -> str:
        try:
            async with asyncio.timeout(PROBE_S):
                await self._probes[name]()
        except Exception as error:  # noqa: BLE001  whatever fails, the answer is that it fails
            return type(error).__name__
        return "ok"


def metrics_route(metrics: Metrics, refresh: Callable[[], Awaitable[None]]) -> web.RouteDef:
    """`/metrics`, with what must be asked of the stores brought up to date first."""

    async def show(_request: web.Request) -> web.Response:
        await refresh()
        return web.Response(
            body=metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    return web.get("/metrics", show)


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, host: str, port: int, *, posts: Sequence[Post] = (), stop_s: float
) -> AsyncIterator[None]:
    """Listen on `host:port` to the end of the block; then what is under way is waited for, `stop_s` at most.

    Raises:
        OSError: the address is taken or not ours.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        handle_signals=False,
        shutdown_timeout=stop_s,
    )
    await runner.setup()
    front = Front(runner, posts)
    try:
        await front.listen(host, port)
        yield
    finally:
        await front.stop(stop_s)
        await runner.cleanup()
