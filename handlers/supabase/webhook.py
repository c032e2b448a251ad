"""Hears Supabase Auth's send-SMS hook: the code is durable in a send lane before Supabase is told that it is sent.

Source: supabase/auth, internal/hooks/hookshttp: 5 s for all of up to three tries; 429 and 503 are tried again only with
Retry-After; 200 must be JSON, and may hold an error for the one who logs in; each try has a new webhook-id.
"""

from typing import Final

import msgspec
import structlog
from aiohttp import web

from handlers.ports import Meter, StoreDownError
from handlers.standard_webhooks import HookError, Receiver
from handlers.supabase.codec import MalformedError, parse
from handlers.supabase.codes import ForeignCodes, Sent

PATH: Final = "/webhooks/supabase/send-sms"

log = structlog.get_logger()

_REFUSED: Final = {
    # Supabase hands these on to the application, which has the words for the person.
    Sent.COUNTRY: (422, "phone_country_not_served"),
    Sent.TOO_MANY: (429, "too_many_codes"),
}


class SupabaseHook:
    """`POST /webhooks/supabase/send-sms`, of one Supabase project."""

    def __init__(self, receiver: Receiver, *, codes: ForeignCodes, meter: Meter) -> None:
        self._receiver = receiver
        self._codes = codes
        self._meter = meter

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """200 once the code is durable, or with what keeps it from being sent; 503 to be tried again."""
        try:
            hook = await self._receiver.receive(request)
            asked = parse(hook.body)
        except HookError as refused:
            return self._refuse(refused.status, refused.why)
        except MalformedError:
            return self._refuse(400, "malformed")
        if asked.phone is None:
            return self._error(422, "phone_invalid")
        try:
            sent = await self._codes.send(
                asked.phone, asked.code, user=asked.user, locale=asked.locale, day=asked.day
            )
        except StoreDownError:
            return self._refuse(503, "store_down")
        self._meter.count("supabase_code", sent.value)
        if sent is Sent.NO_CHANNEL:
            return self._refuse(503, "no_channel")
        if sent in _REFUSED:
            return self._error(*_REFUSED[sent])
        return _json({})

    def _error(self, status: int, message: str) -> web.Response:
        self._meter.count("supabase_code_refused", message)
        return _json({"error": {"http_code": status, "message": message}})

    def _refuse(self, status: int, why: str) -> web.Response:
        self._meter.count("supabase_hook_refused", why)
        log.warning("supabase.hook_refused", status=status, why=why)
        headers = {"Retry-After": "1"} if status == 503 else {}
        return web.Response(status=status, headers=headers)


def _json(value: dict[str, object]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
