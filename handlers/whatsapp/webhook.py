"""Hears WhatsApp: proves that a webhook is Meta's, makes it durable, and only then answers 200.

There is no way to fetch a missed webhook again, so whatever is not durable is not acknowledged: Meta repeats
it for days. Source: Meta, "Create a webhook endpoint", "Webhooks overview" (v26.0).
"""

import asyncio
import hmac
import math
import time
from collections.abc import Sequence
from typing import Final, Literal

import structlog
from aiohttp import web

from flows.values.ids import NO_CONVERSATION, ChannelId
from handlers.care import Change
from handlers.journal import StatusSeen
from handlers.ports import (
    Arrival,
    Care,
    Channel,
    Directory,
    Echo,
    Happening,
    Intake,
    Move,
    Preference,
    StoreDownError,
)
from handlers.whatsapp.changes import channels_meant
from handlers.whatsapp.codec import parse
from handlers.whatsapp.faults import fault_of
from handlers.whatsapp.form_tokens import FormTokens
from handlers.whatsapp.loose import MalformedError
from handlers.whatsapp.meter import Meter
from handlers.whatsapp.webhook_values import Notice, Parsed, Webhook

PATH: Final = "/webhooks/whatsapp"
BODY_BYTES_MAX: Final = 3 * 1024 * 1024  # Meta: up to 3 MB
BODY_S_MAX: Final = 20.0  # for a body to come in; Meta sends it at once
# What is over these is refused with 503 before our memory grows: Meta repeats it, and Meta has the disks.
READING_BYTES_MAX: Final = 16 * 1024 * 1024  # large bodies that are coming in, whoever sends them
HEARING_BYTES_MAX: Final = 16 * 1024 * 1024  # signed webhooks that wait for the store
HEARING_BYTES_LEAST: Final = (
    4 * 1024
)  # the smallest one counts for so much; each takes a few times what it counts
CHALLENGE_CHARS_MAX: Final = 256
LOGGED_MAX: Final = 20  # lines that one body may write to the log

SIGNATURE: Final = "X-Hub-Signature-256"
LOGGED_EVERY_S: Final = 1.0  # a refusal of one kind; all of them are counted

_PREFIX: Final = b"sha256="

# Fields that a person should look at: they change what the firm may send.
_TO_BE_SEEN: Final = frozenset({
    "account_alerts",
    "account_review_update",
    "account_update",
    "message_template_status_update",
    "phone_number_quality_update",
    "security",
})  # fmt: skip

_Unknown = tuple[Literal["number", "account"], str]
"""What is not in the directory."""

log = structlog.get_logger()


class SignatureError(Exception):
    """The body was not signed by one of our Meta apps."""


class WhatsAppWebhook:
    """`GET` and `POST /webhooks/whatsapp`, for all numbers of all tenants."""

    def __init__(
        self,
        *,
        app_secrets: Sequence[str],
        verify_token: str,
        directory: Directory,
        intake: Intake,
        care: Care,
        forms: FormTokens,
        meter: Meter,
    ) -> None:
        """`app_secrets`: of the Meta app; two while one is being replaced. None of them may be empty."""
        if not app_secrets or not all(app_secrets) or not verify_token:
            raise ValueError("an app secret and a verify token are needed")
        self._secrets = tuple(secret.encode() for secret in app_secrets)
        self._verify_token = verify_token.encode()
        self._directory = directory
        self._intake = intake
        self._care = care
        self._forms = forms
        self._meter = meter
        self._refused: dict[str, float] = {}
        """When a refusal of each kind was last logged."""
        self._reading = 0
        self._hearing = 0
        """Bytes under way; see the bounds above."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PATH, self.shake_hands, allow_head=False),
            web.post(PATH, self.receive),
        ]

    async def shake_hands(self, request: web.Request) -> web.Response:
        """Meta asks whether this address is ours, each time the URL or the token is edited."""
        query = request.query
        token = query.get("hub.verify_token", "").encode(errors="surrogatepass")
        ours = hmac.compare_digest(token, self._verify_token)
        if query.get("hub.mode") != "subscribe" or not ours:
            self._meter.count("whatsapp_webhook_refused", "handshake")
            return web.Response(status=403)
        challenge = query.get("hub.challenge", "")
        if not 0 < len(challenge) <= CHALLENGE_CHARS_MAX:
            return web.Response(status=400)
        # Plain text, never sniffed: the challenge is an echo of the query.
        return web.Response(
            body=challenge.encode(errors="replace"),
            content_type="text/plain",
            headers={"X-Content-Type-Options": "nosniff"},
        )

    async def receive(self, request: web.Request) -> web.Response:
        """One webhook: 200 once all of it is durable; 401, 400, 408, 413 for what is not Meta's; 503 to be repeated."""
        try:
            body = await self._read(request)
        except _TooLargeError:
            return web.Response(status=self._refuse(413, "too_large"))
        except _BusyError:
            return web.Response(status=self._busy())
        except TimeoutError:
            return web.Response(status=self._refuse(408, "slow_body"))
        # A header may hold any byte.
        signature = request.headers.get(SIGNATURE, "").encode(errors="surrogateescape")
        return web.Response(status=await self.hear(body, signature))

    async def hear(self, body: bytes, signature: bytes) -> int:
        """As `receive`, of what was read already; the status of the answer."""
        started = time.perf_counter()
        size = max(len(body), HEARING_BYTES_LEAST)
        status = self._refused_unread(body, signature, size)
        if not status:
            self._hearing += size
            try:
                status = await self._keep(body)
            finally:
                self._hearing -= size
        self._meter.answer(status, time.perf_counter() - started)
        return status

    def _refused_unread(self, body: bytes, signature: bytes, size: int) -> int:
        """The status of a body that is not even read; 0 if it is to be."""
        try:
            verify(body, signature, self._secrets)
        except SignatureError:
            return self._refuse(401, "signature")
        return self._busy() if self._hearing + size > HEARING_BYTES_MAX else 0

    async def _keep(self, body: bytes) -> int:
        try:
            webhook = parse(body)
        except MalformedError:
            return self._refuse(400, "malformed")
        arrivals, statuses, happenings, unknown = self._resolve(webhook)
        if unknown:
            # A number may just have been added. What waits for the news counts as heard and not yet kept.
            if not await self._directory.look_again():
                self._intake.turned_away()
                return self._refuse(503, "unknown_number")
            arrivals, statuses, happenings, unknown = self._resolve(webhook)
            self._pass_over(unknown)
        changes = self._ours(webhook.changes) if webhook.changes else []
        if len(changes) < len(webhook.changes):
            # As with numbers: an account may just have been added.
            if not await self._directory.look_again():
                return self._refuse(503, "unknown_account")
            changes = self._ours(webhook.changes)
            self._pass_over_accounts(len(webhook.changes) - len(changes))
        if webhook.notices:
            self._notice(webhook.notices)
        try:
            if arrivals or statuses or happenings:
                await self._intake.hear(arrivals, statuses, happenings)
            if changes:
                await self._care.hear(changes)
            if webhook.statuses:
                for channel, code in self._troubles(webhook):
                    await self._care.trouble(channel, fault_of(code).name, code)
        except StoreDownError:
            return self._refuse(503, "store_down")
        return 200

    async def _read(self, request: web.Request) -> bytes:
        """The raw body.

        Not `request.read()`: its limit belongs to the whole application, and other routes take far less.

        Raises:
            _TooLargeError: it is larger than `BODY_BYTES_MAX`.
            _BusyError: too much is in hand already: known before it is read, if its length was announced.
            TimeoutError: it did not come in within `BODY_S_MAX`.
        """
        announced = request.content_length or 0
        if announced > BODY_BYTES_MAX:
            raise _TooLargeError
        content = request.content
        if content.is_eof():
            # Nearly always: small bodies arrive together with their headers.
            return content.read_nowait()
        # What was announced takes no room before it comes: else a few silent connections would fill it.
        if (
            self._reading + announced > READING_BYTES_MAX
            or self._hearing + announced > HEARING_BYTES_MAX
        ):
            raise _BusyError
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S_MAX):
                while chunk := await content.readany():
                    body += chunk
                    self._reading += len(chunk)
                    if len(body) > BODY_BYTES_MAX:
                        raise _TooLargeError
                    if self._reading > READING_BYTES_MAX:
                        raise _BusyError
        finally:
            self._reading -= len(body)
        return bytes(body)

    def _resolve(
        self, webhook: Webhook
    ) -> tuple[list[Arrival], list[StatusSeen], list[Happening], list[_Unknown]]:
        """Whose each of them is, and the number or account of each that is nobody's."""
        unknown: list[_Unknown] = []

        def channel_of(number: str) -> Channel | None:
            channel = self._directory.channel_by_number(number)
            if channel is None:
                unknown.append(("number", number))
            return channel

        arrivals = [
            self._arrival(channel, message)
            for message in webhook.messages
            if (channel := channel_of(message.phone_number_id)) is not None
        ]
        statuses = [
            StatusSeen(
                tenant=channel.tenant,
                wamid=status.wamid,
                status=status.status,
                at=status.at,
                item=status.item,
                category=status.category,
                price_type=status.price_type,
                code=status.code,
                channel=channel.id,
                country=status.country,
            )
            for status in webhook.statuses
            if (channel := channel_of(status.phone_number_id)) is not None
        ]
        happenings: list[Happening] = [
            Echo(channel, echo.sender, echo.heard)
            for echo in webhook.echoes
            if (channel := channel_of(echo.phone_number_id)) is not None
        ]
        happenings += [
            Move(channel, move.sender, move.id, move.why, move.at, move.phone)
            for move in webhook.moves
            if (channel := channel_of(move.phone_number_id)) is not None
        ]
        for told in webhook.preferences:
            channels: Sequence[Channel]
            if told.phone_number_id:
                named = channel_of(told.phone_number_id)
                channels = [] if named is None else [named]
            else:
                # Where only the account is named, it holds for each of its numbers.
                channels = self._directory.channels_of(told.waba_id)
                if not channels:
                    unknown.append(("account", told.waba_id))
            happenings += [
                Preference(channel, told.sender, told.marketing, told.at) for channel in channels
            ]
        return arrivals, statuses, happenings, unknown

    def _pass_over(self, unknown: list[_Unknown]) -> None:
        """No firm has these: repeating them would change nothing."""
        for what, _ in unknown:
            self._meter.count(f"whatsapp_unknown_{what}")
        for what, id in list(dict.fromkeys(unknown))[:LOGGED_MAX]:
            if what == "number":
                log.warning("whatsapp.unknown_number", phone_number_id=id)
            else:
                log.warning("whatsapp.unknown_account", waba_id=id)

    def _ours(self, changes: list[Change]) -> list[Change]:
        """Those of an account in the directory."""
        return [change for change in changes if channels_meant(self._directory, change)]

    def _pass_over_accounts(self, unknown: int) -> None:
        """No firm has these accounts: repeating it would change nothing."""
        for _ in range(unknown):
            self._meter.count("whatsapp_unknown_account")
        if unknown:
            log.warning("whatsapp.unknown_account", changes=unknown)

    def _troubles(self, webhook: Webhook) -> set[tuple[ChannelId, int]]:
        """Failures that somebody has to mend: (the channel, Meta's code)."""
        return {
            (channel.id, status.code)
            for status in webhook.statuses
            if status.status == "failed" and fault_of(status.code).alert
            if (channel := self._directory.channel_by_number(status.phone_number_id)) is not None
        }

    def _arrival(self, channel: Channel, message: Parsed) -> Arrival:
        heard, answers = message.heard, NO_CONVERSATION
        if heard.kind == "form":
            heard, answers = self._forms.opened(channel, heard)
        return Arrival(channel=channel, sender=message.sender, heard=heard, answers=answers)

    def _notice(self, notices: list[Notice]) -> None:
        for n, notice in enumerate(notices):
            self._meter.count("whatsapp_notice", notice.name)
            if n < LOGGED_MAX:
                tell = log.warning if notice.name in _TO_BE_SEEN else log.info
                tell(
                    "whatsapp.notice",
                    notice=notice.name,
                    waba_id=notice.waba_id,
                    happened=notice.event,
                )

    def _busy(self) -> int:
        # Whether it is genuine may not be known yet; if it is, there may be statuses in it.
        self._intake.turned_away()
        return self._refuse(503, "busy")

    def _refuse(self, status: int, why: str) -> int:
        self._meter.count("whatsapp_webhook_refused", why)
        now = time.monotonic()
        # Whoever posts nonsense all day must not fill the log, nor cost us more than the refusal.
        if now - self._refused.get(why, -math.inf) >= LOGGED_EVERY_S:
            self._refused[why] = now
            log.warning("whatsapp.webhook_refused", why=why, status=status)
        return status


def verify(body: bytes, signature: bytes, secrets: Sequence[bytes]) -> None:
    """Check `X-Hub-Signature-256`: HMAC-SHA256 of these very bytes under an app secret, in lower-case hex.

    Raises:
        SignatureError: there is none, or it is not of this body.
    """
    genuine = False
    for secret in secrets:
        expected = _PREFIX + hmac.digest(secret, body, "sha256").hex().encode()
        genuine |= hmac.compare_digest(signature, expected)
    if not genuine:
        raise SignatureError("signature does not match")


class _TooLargeError(Exception):
    pass


class _BusyError(Exception):
    pass
