"""Hears Clerk: an event is proved, read, durable in its user's lane, and only then answered 200."""

from typing import Final

import structlog
from aiohttp import web
from msgspec.json import Encoder

from handlers.clerk.codec import MalformedError, parse
from handlers.ports import Errands, Meter, StoreDownError
from handlers.standard_webhooks import HookError, Receiver

PATH: Final = "/webhooks/clerk"
KIND: Final = "clerk"

log = structlog.get_logger()

_encode = Encoder().encode


class ClerkWebhook:
    """`POST /webhooks/clerk`, of one Clerk instance."""

    def __init__(self, receiver: Receiver, *, errands: Errands, meter: Meter) -> None:
        self._receiver = receiver
        self._errands = errands
        self._meter = meter

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """200 once it is durable; 400, 401, 408, 413, 415 for what is not Clerk's; 503 to be repeated, which Svix does."""
        try:
            hook = await self._receiver.receive(request)
        except HookError as refused:
            return self._refuse(refused.status, refused.why)
        try:
            told = parse(hook.body)
        except MalformedError:
            return self._refuse(400, "malformed")
        if told is None:
            self._meter.count("clerk_webhook", "other_event")
            return web.Response()
        try:
            new = await self._errands.put(
                KIND, told.id, _encode(told), mark=hook.id, day=hook.at // 86_400
            )
        except StoreDownError:
            return self._refuse(503, "store_down")
        self._meter.count("clerk_webhook", "heard" if new else "again")
        return web.Response()

    def _refuse(self, status: int, why: str) -> web.Response:
        self._meter.count("clerk_webhook_refused", why)
        log.warning("clerk.webhook_refused", status=status, why=why)
        headers = {"Retry-After": "1"} if status == 503 else {}
        return web.Response(status=status, headers=headers)
