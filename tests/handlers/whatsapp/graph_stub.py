"""A Graph API over real HTTP that does what a test tells it: answer, refuse, hang up, keep silent."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from handlers.whatsapp.client import Graph
from handlers.whatsapp.http import CONNECT_S, TOTAL_S, Origin

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Posted:
    path: str
    token: str
    body: dict[str, object]


def accepts(wamid: str = "wamid.OUT", **over: object) -> Answer:
    taken = {"id": wamid, "message_status": "accepted"} | over
    return says({"messaging_product": "whatsapp", "contacts": [], "messages": [taken]})


def says(body: object, *, status: int = 200, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): header for name, header in headers.items()}

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=named)

    return answer


def refuses(
    code: int, *, status: int = 400, details: str = "", message: str = "refused", **headers: str
) -> Answer:
    error = {"message": message, "code": code, "error_data": {"details": details}}
    return says({"error": error}, status=status, **headers)


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Takes the request and breaks the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def breaks_off(request: web.Request) -> web.StreamResponse:
    """Begins a good answer and breaks the connection in the middle of it."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"messages": [{"id": ')
    assert request.transport is not None
    request.transport.abort()
    return response


@dataclass
class GraphStub:
    """Answers requests in the order of `script`; when that is empty, it accepts."""

    script: deque[Answer] = field(default_factory=deque)
    posted: list[Posted] = field(default_factory=list)
    receipts: list[Posted] = field(default_factory=list)
    receipt_answer: Answer = field(default_factory=lambda: says({"success": True}))
    receipt_seen: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def silent(self, _request: web.Request) -> web.StreamResponse:
        """Takes the request and never answers."""
        await self.closing.wait()
        return web.Response()

    async def post(self, request: web.Request) -> web.StreamResponse:
        posted = Posted(
            path=request.path,
            token=request.headers["Authorization"],
            body=json.loads(await request.read()),
        )
        if posted.body.get("status") == "read":
            self.receipts.append(posted)
            self.receipt_seen.set()
            return await self.receipt_answer(request)
        self.posted.append(posted)
        answer = self.script.popleft() if self.script else accepts()
        return await answer(request)

    async def get(self, request: web.Request) -> web.StreamResponse:
        return await self.script.popleft()(request)

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v26.0/{number}/messages", self.post),
                web.get("/v26.0/{path:.+}", self.get),
            ]
        )
        return app


@contextmanager
def graph_at(
    url: str, *, connect_s: float = CONNECT_S, total_s: float = TOTAL_S
) -> Iterator[Graph]:
    origin = Origin(url, connect_s=connect_s, total_s=total_s)
    try:
        yield Graph(origin, version="v26.0")
    finally:
        origin.close()
