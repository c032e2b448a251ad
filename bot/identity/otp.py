"""One-time codes to a phone: asked for, sent once through WhatsApp, typed in once.

What is kept of a code is a keyed hash that is bound to its challenge, in the store alone; the phone lies beside it, sealed.
Nothing is asked about who has the phone before a code proves it, so nothing can be told by an answer or its time.
Sources of the numbers: NIST SP 800-63B (rate limits of out-of-band secrets), OWASP MFA cheat sheet, the defaults of the
codes of Ory Kratos and Twilio Verify.
"""

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import Final, Literal, cast

import msgspec
import structlog
from msgspec import Struct

from bot.clock import Clock
from bot.identity.secrets import Macs
from bot.lanes import PREFIX, Bell, Lanes, Script, Wire
from bot.metrics import Metrics
from bot.people.directory import Directory
from bot.store.errors import SealError
from bot.store.secrets import Key, SecretBox
from flows.values.ids import ChannelId, TenantId
from flows.values.phone import WaId
from handlers.actions import CODE_LANE, SendCode

Purpose = Literal["login", "link"]
"""To log in, or to link the phone to the person who is logged in."""

DIGITS: Final = 6
LIFE_S: Final = 300
TRIES_MAX: Final = 5
RESTS_S: Final = (60, 120, 300)
"""Before the next code to a phone, after the first, the second, and any later one of a day."""
SHORT_S, SHORT_MAX = 15 * 60, 3
LONG_S, LONG_MAX = 86_400, 6
BLOCK_DIGITS: Final = 4
"""Numbers that differ in their last four digits are a block: whoever is paid for messages to numbers has whole ones."""
BLOCK_SENT_MIN: Final = 20
BLOCK_USED_MIN_PERCENT: Final = 20
HOUR_S: Final = 3_600
DAY_S: Final = 86_400

TEMPLATE: Final = "codigo_ingreso"
LOCALES: Final = ("es_CL", "en")
"""The languages that the template is approved in; the first is for everybody else."""

_HASH_BYTES: Final = 16
_SCOPE_BYTES: Final = 8
_NONCE_BYTES: Final = 16
_SIZE: Final = _HASH_BYTES + _SCOPE_BYTES + _NONCE_BYTES
_TENANT: Final = "installation"
_PAID: Final = f"{PREFIX}otp:paid:{{otp}}"

_encode: Final = msgspec.json.Encoder().encode

log = structlog.get_logger()


class _Rest(Struct, frozen=True, array_like=True):
    """What must be known again when the code comes back; sealed."""

    phone: str
    purpose: Purpose
    tenant: TenantId | None
    locale: str
    person: str = ""
    """UGID of who asked for it, to link a phone."""


class _Letter(Struct, frozen=True, array_like=True):
    """What the sender must know; sealed."""

    phone: str
    code: str


@dataclass(frozen=True, slots=True)
class Caps:
    """What codes may cost the installation."""

    per_day: int
    """Codes."""
    per_tenant_day: int
    usd_per_day: float
    usd_per_code: float
    """What Meta takes for one, with a reserve."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A code that is on its way."""

    id: str
    resend_s: int
    """Until another one may be asked for."""


@dataclass(frozen=True, slots=True)
class TooSoon:
    """This phone got too many codes."""

    wait_s: int


@dataclass(frozen=True, slots=True)
class Capped:
    """No more codes are paid for now."""

    why: Literal["tenant", "all", "money", "block"]
    wait_s: int


@dataclass(frozen=True, slots=True)
class Proved:
    """Somebody has typed in what was sent to this phone."""

    phone: WaId
    purpose: Purpose
    tenant: TenantId | None
    locale: str
    person: str
    """UGID of who asked for it, to link a phone; empty for a login."""


class CodeLetters:
    """Implements `handlers.ports.CodeLetters`: a code lies in its lane sealed."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, lane: str, phone: WaId, code: str) -> str:
        letter = _encode(_Letter(phone, code)).decode()
        return self._box.seal(letter, tenant=_TENANT, field=f"otp.letter.{lane}")

    def open(self, lane: str, sealed: str) -> tuple[str, str] | None:
        try:
            text = self._box.open(sealed, tenant=_TENANT, field=f"otp.letter.{lane}")
            letter = msgspec.json.decode(text, type=_Letter)
        except (SealError, msgspec.MsgspecError):
            return None
        return letter.phone, letter.code


class Codes:
    """Sends codes and takes them back."""

    def __init__(
        self,
        wire: Wire,
        lanes: Lanes,
        bell: Bell,
        *,
        directory: Directory,
        box: SecretBox,
        keys: tuple[Key, ...],
        pepper: bytes,
        caps: Caps,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            keys: of the installation; the hashes of codes have keys of their own, made of these.
            pepper: one for ever: under it phones are found again, whichever key is the current one.
        """
        for_ever = (Key("pepper", pepper),)
        self._places = Macs(for_ever, "otp place")
        self._blocks = Macs(for_ever, "otp block")
        self._wire = wire
        self._lanes = lanes
        self._bell = bell
        self._directory = directory
        self._box = box
        self._letters = CodeLetters(box)
        self._macs = Macs(keys, "otp")
        self._caps = caps
        self._clock = clock
        self._metrics = metrics
        self._issue = Script.read("bot.identity", "issue")
        self._try = Script.read("bot.identity", "try")
        self._spend = Script.read("bot.identity", "spend")
        self._used = Script.read("bot.identity", "used")

    def channel(self) -> tuple[TenantId, ChannelId] | None:
        """The platform's own number, which sends the codes of all firms; None if it has none."""
        channel = self._directory.platform()
        return None if channel is None else (channel.tenant, channel.id)

    async def send(
        self,
        phone: WaId,
        purpose: Purpose,
        *,
        tenant: TenantId | None,
        locale: str,
        person: str = "",
    ) -> Challenge | TooSoon | Capped:
        """Send a code to a phone; whatever was sent before for the same purpose at the same firm works no more.

        Args:
            tenant: the firm at which the person logs in.
            locale: the language of the message.
            person: UGID of who is logged in, if the phone is to be theirs.

        Raises:
            StoreLostError, LaneError: it may be asked for again, within the limits.
        """
        by = self.channel()
        assert by is not None, "the caller has looked"
        place = self._place(phone, purpose, tenant)
        challenge = place + secrets.token_bytes(_NONCE_BYTES)
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        rest = _Rest(phone, purpose, tenant, locale, person)
        wait_ms, resend_ms = cast(
            tuple[int, int],
            await self._wire.script(
                self._issue,
                (*_keys(place), _live(place[:_HASH_BYTES])),
                (
                    self._clock.shift_ms,
                    LIFE_S * 1000,
                    challenge,
                    self._macs.current,
                    self._macs.make(challenge, code.encode()),
                    self._seal(challenge, rest),
                    SHORT_S * 1000,
                    SHORT_MAX,
                    LONG_S * 1000,
                    LONG_MAX,
                    *(rest_s * 1000 for rest_s in RESTS_S),
                ),
                replicated=True,
            ),
        )
        if wait_ms:
            return TooSoon(_seconds(wait_ms))
        if (capped := await self._pay(phone, tenant)) is not None:
            return capped
        await self._post(by, place, phone, code, locale)
        return Challenge(_text(challenge), _seconds(resend_ms))

    async def prove(self, challenge_id: str, code: str) -> Proved | None:
        """Take a code back; None for a wrong one, one that is over, and one that was used or never sent.

        Raises:
            StoreLostError, LaneError: it may have been used up.
        """
        challenge = _challenge(challenge_id)
        if challenge is None:
            return None
        # Hashes under all keys are made whatever is known of it: the time tells nothing.
        tried = [part for pair in self._macs.all(challenge, code.encode()).items() for part in pair]
        _, kept = _keys(challenge[: _HASH_BYTES + _SCOPE_BYTES])
        what, *found = cast(
            "list[int | bytes]",
            await self._wire.script(
                self._try,
                (kept,),
                (self._clock.shift_ms, challenge, TRIES_MAX, *tried),
                replicated=True,
            ),
        )
        self._metrics.count("code_tried", {-1: "unknown", 0: "wrong", 1: "right"}[cast(int, what)])
        if not found:
            return None
        rest = self._open(challenge, cast(bytes, found[0]))
        if rest is None:
            return None
        hour = self._clock.now_ms() // 1000 // HOUR_S
        await self._wire.script(self._used, (f"{_PAID}:{hour}",), (self._block(rest.phone),))
        return Proved(WaId(rest.phone), rest.purpose, rest.tenant, rest.locale, rest.person)

    async def void(self, phone: WaId) -> bool:
        """All codes to this phone work no more; answers whether there were any.

        For a code that was typed into a chat, where others may read it.

        Raises:
            StoreLostError, LaneError: they may still work.
        """
        live = _live(self._place(phone, "login", None)[:_HASH_BYTES])
        keys = cast("list[bytes]", await self._wire.call("SMEMBERS", live))
        if not keys:
            return False
        return bool(await self._wire.call("DEL", *keys, replicated=True))

    # -------------------------------------------------------------- parts

    async def _pay(self, phone: WaId, tenant: TenantId | None) -> Capped | None:
        now_s = self._clock.now_ms() // 1000
        hour, day = now_s // HOUR_S, now_s // DAY_S
        reply = await self._wire.script(
            self._spend,
            (f"{_PAID}:day:{day}", f"{_PAID}:{hour}", f"{_PAID}:{hour - 1}"),
            (
                tenant or "",
                self._block(phone),
                self._caps.per_tenant_day,
                self._caps.per_day,
                round(self._caps.usd_per_day * 1e6),
                round(self._caps.usd_per_code * 1e6),
                BLOCK_SENT_MIN,
                BLOCK_USED_MIN_PERCENT,
            ),
        )
        if not reply:
            return None
        why = cast(Literal["tenant", "all", "money", "block"], cast(bytes, reply).decode())
        self._metrics.count("code_capped", why)
        # Somebody has to look: it is an attack, or the caps are too low.
        log.error("identity.codes_capped", why=why, tenant=tenant)
        every = HOUR_S if why == "block" else DAY_S
        return Capped(why, every - now_s % every)

    async def _post(
        self, by: tuple[TenantId, ChannelId], place: bytes, phone: WaId, code: str, locale: str
    ) -> None:
        """Into the send lane of this phone's codes; whose it is, only a keyed hash tells."""
        lane = f"{CODE_LANE}{place[:_HASH_BYTES].hex()}"
        now = self._clock.now_ms()
        letter = SendCode(
            tenant=by[0],
            channel=by[1],
            sealed=self._letters.seal(lane, phone, code),
            template=TEMPLATE,
            language=locale if locale in LOCALES else LOCALES[0],
            at=now,
            expires=now + LIFE_S * 1000,
        )
        shard = self._lanes.shard(lane)
        await self._lanes.put(shard, f"wa/{lane}", _encode(letter))
        self._bell.ring(shard, "wa")
        self._metrics.count("code_sent")

    def _place(self, phone: WaId, purpose: Purpose, tenant: TenantId | None) -> bytes:
        """Where a challenge is kept: keyed hashes of the phone, and of what the code is for."""
        whose = self._places.make(b"phone", phone.encode())
        scope = self._places.make(
            b"scope", phone.encode(), purpose.encode(), (tenant or "").encode()
        )
        return whose[:_HASH_BYTES] + scope[:_SCOPE_BYTES]

    def _block(self, phone: str) -> str:
        return self._blocks.make(phone[:-BLOCK_DIGITS].encode())[:_SCOPE_BYTES].hex()

    def _seal(self, challenge: bytes, rest: _Rest) -> str:
        return self._box.seal(
            _encode(rest).decode(), tenant=_TENANT, field=f"otp.{_text(challenge)}"
        )

    def _open(self, challenge: bytes, sealed: bytes) -> _Rest | None:
        try:
            text = self._box.open(sealed.decode(), tenant=_TENANT, field=f"otp.{_text(challenge)}")
            return msgspec.json.decode(text, type=_Rest)
        except (SealError, msgspec.MsgspecError) as error:
            log.error("identity.code_not_opened", error=type(error).__name__)
            return None


def _keys(place: bytes) -> tuple[str, str]:
    """(sends of the phone, the code): on one node of a cluster."""
    phone, scope = place[:_HASH_BYTES].hex(), place[_HASH_BYTES:].hex()
    return f"{PREFIX}otp:sends:{{{phone}}}", f"{PREFIX}otp:code:{{{phone}}}:{scope}"


def _live(hashed: bytes) -> str:
    return f"{PREFIX}otp:live:{{{hashed.hex()}}}"


def _text(challenge: bytes) -> str:
    return base64.urlsafe_b64encode(challenge).decode().rstrip("=")


def _challenge(text: str) -> bytes | None:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == _SIZE else None


def _seconds(ms: int) -> int:
    return -(-ms // 1000)
