"""n8n with one workflow behind a webhook: it checks each signature by itself and takes each id once, as the README shows."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.handlers.errands import NOW_MS

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
PATH = "/webhook/panaderia-5f2c"


class FakeN8n:
    def __init__(self, *, now_s: int | None = NOW_MS // 1000) -> None:
        self.now_s = now_s
        """None: any time is now."""
        self.secret = SECRET
        self.is_active = True
        self.answers: list[web.Response] = []
        self.silent = 0
        """Answers that get lost, their work done."""
        self.posts: list[str] = []
        """webhook-id of each post that was proved."""
        self.events: list[dict[str, Any]] = []
        """What was taken, each id once."""
        self.refused = 0
        self.gate = asyncio.Event()
        """Nobody is answered before it is open."""
        self.gate.set()
        self.waiting = 0
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post(PATH, self._hook)])
        return app

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.answers:
            return self.answers.pop(0)
        if not self.is_active:
            told = {"code": 404, "message": "The requested webhook is not registered.", "hint": ""}
            return web.json_response(told, status=404)
        if not self._is_genuine(request, body):
            self.refused += 1
            return web.Response(status=401)
        id = request.headers["webhook-id"]
        if id not in self.posts:
            self.events.append(json.loads(body))
        self.posts.append(id)
        if self.silent:
            self.silent -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"message": "Workflow was started"})

    def _is_genuine(self, request: web.Request, body: bytes) -> bool:
        """By the specification's words, not by our own code."""
        id, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        if self.now_s is not None and abs(int(at) - self.now_s) > 300:
            return False
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(signed).decode()
        given = request.headers["webhook-signature"].split(" ")
        return any(hmac.compare_digest(each, expected) for each in given)


@asynccontextmanager
async def serving(n8n: FakeN8n) -> AsyncIterator[FakeN8n]:
    async with TestServer(n8n.app()) as server:
        n8n.url = str(server.make_url(PATH))
        yield n8n
