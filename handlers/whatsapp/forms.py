"""Answers forms (WhatsApp Flows) while a person fills them in: `POST /webhooks/whatsapp/forms/<channel>`.

Nothing is written here: a form's result comes into the conversation as a message, like any other, and its step reads it
with the same parsers. Source: Meta, "Implementing endpoints for Flows", "Error codes", data API 3.0 (Graph v26.0).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import structlog
from aiohttp import web

from flows.dialog.ctx import Ctx, Firm
from flows.dialog.screens import ERRORS, SUCCESS, Close, Screens, Show, Turned
from flows.values.ids import ChannelId, ContactId
from handlers.ports import Channel, Clock, Directory, FormTicket, FormTickets
from handlers.whatsapp.form_cipher import CipherError, Envelope, FormKeys
from handlers.whatsapp.meter import Meter
from handlers.whatsapp.webhook import SIGNATURE, SignatureError, verify

PATH: Final = "/webhooks/whatsapp/forms/{channel}"
BODY_BYTES_MAX: Final = 256 * 1024
EXPIRED: Final = "bot.form_expired"
BODY_S_MAX: Final = 10.0  # Meta waits no longer for the answer
SLOW_S: Final = 1.0  # Meta gives 10 s, and throttles who is often slow

# Meta's own vocabulary of answers.
CANNOT_OPEN: Final = 421  # the client fetches our public key anew, and asks again
NOT_SIGNED: Final = 432
TICKET_OVER: Final = 427  # the form is closed, with our words

log = structlog.get_logger()


class Ask(msgspec.Struct, frozen=True):
    """A decrypted request."""

    action: str
    screen: str | None = ""
    data: dict[str, object] | None = {}
    flow_token: str | None = ""


_read_envelope: Final = msgspec.json.Decoder(Envelope).decode
_read_ask: Final = msgspec.json.Decoder(Ask).decode
_write: Final = msgspec.json.Encoder().encode

_HOW: Final = {"INIT": "opened", "data_exchange": "sent", "BACK": "back"}


class Forms:
    """The endpoint of all forms of all numbers."""

    def __init__(
        self,
        screens: Mapping[str, Screens],
        *,
        app_secrets: Sequence[str],
        directory: Directory,
        tickets: FormTickets,
        words: Callable[[str, Ctx], str],
        clock: Clock,
        meter: Meter,
    ) -> None:
        """
        Args:
            screens: by the form's name.
            words: a text by its key, in the language of the context.
        """
        self._screens = screens
        self._secrets = tuple(secret.encode() for secret in app_secrets)
        self._directory = directory
        self._tickets = tickets
        self._words = words
        self._clock = clock
        self._meter = meter
        self._keys: dict[ChannelId, tuple[str, FormKeys]] = {}
        """With the PEM that they were loaded from. Loading one takes longer than using it."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """One exchange. 421, 427 and 432 are Meta's own words for what is wrong; 400, 404, 413 are not Meta's doing."""
        started = time.perf_counter()
        try:
            body = await _body(request)
        except TimeoutError:
            return self._refuse(408, "slow_body")
        if body is None:
            return self._refuse(413, "too_large")
        try:
            signature = request.headers.get(SIGNATURE, "").encode(errors="surrogateescape")
            verify(body, signature, self._secrets)
        except SignatureError:
            return self._refuse(NOT_SIGNED, "signature")
        channel = self._directory.channel(ChannelId(request.match_info["channel"]))
        firm = None if channel is None else self._directory.firm(channel.tenant)
        if channel is None or firm is None:
            return self._refuse(404, "unknown_channel")
        answer = self._answer(channel, firm, body)
        took_s = time.perf_counter() - started
        if took_s > SLOW_S:
            log.warning("form.slow", channel=channel.id, took_s=round(took_s, 2))
        return answer

    def _answer(self, channel: Channel, firm: Firm, body: bytes) -> web.Response:
        key = self._key(channel.id)
        if key is None:
            return self._refuse(CANNOT_OPEN, "no_key")
        try:
            opened, reply = key.open(_read_envelope(body))
        except msgspec.MsgspecError:
            return self._refuse(400, "malformed")
        except CipherError:
            return self._refuse(CANNOT_OPEN, "cipher")
        try:
            ask = _read_ask(opened)
        except msgspec.MsgspecError:
            return self._refuse(400, "malformed")
        if ask.action == "ping":
            return web.Response(text=reply.seal(_write({"data": {"status": "active"}})))
        # What a form does not need may be null as well as missing.
        screen, data, token = ask.screen or "", ask.data or {}, ask.flow_token or ""
        if "error" in data:
            # The client could not show what we answered: a defect of ours, and no question.
            self._meter.count("form", "client_error")
            log.error("form.client_error", channel=channel.id, screen=screen)
            return web.Response(text=reply.seal(_write({"data": {"acknowledged": True}})))
        ticket = self._tickets.open(channel, token)
        screens = None if ticket is None else self._screens.get(ticket.form)
        how = _HOW.get(ask.action)
        if ticket is None or screens is None or ticket.until_ms <= self._clock.now_ms():
            self._meter.count("form", "expired")
            ctx = self._ctx(firm, ticket)
            sealed = reply.seal(_write({"error_msg": self._words(EXPIRED, ctx)}))
            return web.Response(status=TICKET_OVER, text=sealed)
        if how is None:
            return self._refuse(400, "unknown_action")
        turned = msgspec.convert({"screen": screen, "how": how, "data": data}, Turned)
        ctx = self._ctx(firm, ticket)
        shown = screens.turns(turned, ctx)
        self._meter.count("form", how)
        told = self._told(shown, screens, ctx, token=token)
        return web.Response(text=reply.seal(_write(told)))

    def _told(
        self, shown: Show | Close, screens: Screens, ctx: Ctx, *, token: str
    ) -> dict[str, object]:
        if isinstance(shown, Show):
            wrong = {
                name: self._words(screens.key(word), ctx) for name, word in shown.wrong.items()
            }
            return {"screen": shown.screen, "data": {**shown.data, ERRORS: wrong}}
        params = {**shown.result, "flow_token": token}
        return {"screen": SUCCESS, "data": {"extension_message_response": {"params": params}}}

    def _ctx(self, firm: Firm, ticket: FormTicket | None) -> Ctx:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, ZoneInfo(firm.zone))
        if ticket is None:
            return Ctx(now=now, firm=firm, contact=ContactId(""), locale=firm.locale)
        return Ctx(now=now, firm=firm, contact=ticket.contact, locale=ticket.locale)

    def _key(self, channel: ChannelId) -> FormKeys | None:
        pem = self._directory.form_keys(channel)
        if not pem:
            return None
        loaded = self._keys.get(channel)
        if loaded is None or loaded[0] != pem:
            try:
                loaded = self._keys[channel] = pem, FormKeys.load(pem)
            except ValueError:
                log.error("form.bad_key", channel=channel)
                return None
        return loaded[1]

    def _refuse(self, status: int, why: str) -> web.Response:
        self._meter.count("form_refused", why)
        return web.Response(status=status)


async def _body(request: web.Request) -> bytes | None:
    """The raw body, however many pieces it comes in; None if it is too large."""
    if (request.content_length or 0) > BODY_BYTES_MAX:
        return None
    body = bytearray()
    async with asyncio.timeout(BODY_S_MAX):
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                return None
    return bytes(body)
