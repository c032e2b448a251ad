"""Systems of the platform that firms are made known to, over HTTP, with their faults; and what sets firms up there."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import aiohttp
from aiohttp import web

from bot.onboarding.setup import NewFirm, SystemDownError, SystemRefusedError

Fault = Literal[
    "broken",  # the connection ends before anything was done
    "busy",  # 503
    "slow",  # it answers when nobody waits any more, and has done nothing
    "lost",  # it has done it, and the answer is lost
    "strange",  # it has done it, and nobody understands the answer
]


class OuterSystems:
    """All at one address, each under the path of its name. What was made under a key is kept, and never made twice."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        """What was told of a firm, by system and key: `odoo <key>`."""
        self.asked: list[str] = []
        """Of each request the same."""
        self.faults: list[Fault] = []
        """Of the next requests, one each; then all is well."""
        self.refuses = 0
        """Status with which it says no, until it is 0 again."""
        self.address = ""
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Listen, the second time at the same address."""
        self._over.clear()
        app = web.Application()
        app.router.add_post("/{system}/firms", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.address = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Nobody listens any more."""
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['system']} {request.headers['Idempotency-Key']}"
        self.asked.append(key)
        if self.refuses:
            return web.json_response({"error": "no"}, status=self.refuses)
        fault = self.faults.pop(0) if self.faults else ""
        told = await request.json()
        if fault == "broken":
            _end(request)
        elif fault == "slow":
            await self._over.wait()
        if fault in ("broken", "slow", "busy"):
            return web.json_response({"error": "busy"}, status=503)
        self.made.setdefault(key, told)
        if fault == "lost":
            _end(request)
        return (
            web.Response(text="<html>") if fault == "strange" else web.json_response({"key": key})
        )


def _end(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


class HttpSetUp:
    """Implements `bot.onboarding.setup.SystemSetUp` for one of them."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def set_up(self, new: NewFirm, *, key: str, is_ours: Callable[[], bool]) -> None:
        if not is_ours():
            raise SystemDownError
        told = {"name": new.firm.name, "rut": new.rut, "email": new.email, "template": new.template}
        try:
            async with (
                aiohttp.ClientSession() as http,
                # Not PUT: aiohttp would ask a second time by itself.
                http.post(
                    f"{self._address}/firms", json=told, headers={"Idempotency-Key": key}
                ) as answer,
            ):
                if answer.status >= 500:
                    raise SystemDownError
                if answer.status >= 400:
                    raise SystemRefusedError(f"status_{answer.status}")
                # Whatever is not JSON is not foreseen here.
                await answer.json()
        except aiohttp.ClientConnectionError as error:
            raise SystemDownError from error
