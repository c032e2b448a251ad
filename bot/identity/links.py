"""Logins that are confirmed in a chat: begun by a browser, answered by a conversation, taken by the same browser, once.

The message that a person sends names a login; the browser alone holds its secret, in a cookie. So whoever only sees the
message, or sends it on, cannot take what it opens. A link into the panel is the same thing without the question: who
asked for it in their chat holds the secret.
"""

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Literal, cast

import msgspec
import structlog
from msgspec import Struct

from bot.clock import Clock
from bot.identity.secrets import Macs
from bot.lanes import PREFIX, Script, Wire
from bot.store.errors import SealError
from bot.store.secrets import Key, SecretBox
from flows.login import LIFE
from flows.values.ids import ChannelId, ConversationId, TenantId, Ugid
from flows.values.login_ref import ALPHABET, LETTERS

LIFE_MS: Final = int(LIFE.total_seconds() * 1000)

Status = Literal["waiting", "asked", "approved", "refused", "over"]
"""What a browser is told of its login: `asked` in the chat, `over` also for one that never was."""

_PLACE_BYTES: Final = 16
_SECRET_BYTES: Final = 32
_TENANT: Final = "installation"

_encode: Final = msgspec.json.Encoder().encode

log = structlog.get_logger()


class About(Struct, frozen=True):
    """What the person is told of a login before they answer for it."""

    business: str
    browser: str
    system: str
    place: str
    network: str
    begun: int
    """ms since the epoch."""


class Who(Struct, frozen=True):
    """Whom a login lets in, by the addresses that their message came from."""

    phone: str
    """wa_id; empty for who goes by a username."""
    bsuid: str
    scope: str
    """Of the BSUID."""
    ugid: Ugid | None = None
    """Of a link into the panel: nobody else, whoever has the addresses meanwhile."""


class _Sealed(Struct, frozen=True):
    who: Who
    tenant: TenantId | None
    locale: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that was begun just now."""

    ref: str
    """For the message."""
    secret: str
    """For the browser's cookie."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A login that was taken: it opens nothing any more."""

    who: Who
    tenant: TenantId | None
    locale: str


class Links:
    """Keeps logins in the store. Every method raises StoreLostError and LaneError of `bot.lanes`."""

    def __init__(self, wire: Wire, *, box: SecretBox, pepper: bytes, clock: Clock) -> None:
        for_ever = (Key("pepper", pepper),)
        self._places = Macs(for_ever, "link place")
        self._secrets = Macs(for_ever, "link secret")
        self._wire = wire
        self._box = box
        self._clock = clock
        self._begin = Script.read("bot.identity", "link_begin")
        self._ask = Script.read("bot.identity", "link_ask")
        self._answer = Script.read("bot.identity", "link_answer")
        self._take = Script.read("bot.identity", "link_take")

    async def begin(
        self, channel: ChannelId, about: About, *, tenant: TenantId | None, locale: str
    ) -> Begun:
        """A login that waits for a message to this channel."""
        ref = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
        place = self._place(b"ref", ref)
        fields = ("state", "new", "channel", channel, "about", _encode(about))
        rest = ("tenant", tenant or "", "locale", locale)
        return Begun(ref, await self._keep(place, (*fields, *rest)))

    async def enter(self, who: Who, *, tenant: TenantId | None, locale: str) -> str:
        """A link that lets this person in: its secret. The one before it, if there was one, opens nothing any more."""
        assert who.ugid is not None, "a link into the panel is for somebody we know"
        place = self._place(b"entry", who.ugid)
        sealed = self._seal(place, _Sealed(who, tenant, locale))
        return await self._keep(place, ("state", "approved", "who", sealed))

    async def ask(
        self, ref: str, channel: ChannelId, conversation: ConversationId
    ) -> tuple[str, About] | None:
        """A message names a login: its id, and what to ask. None: it is over, or not theirs to answer."""
        place = self._place(b"ref", ref)
        told = await self._wire.script(
            self._ask,
            (_key(place),),
            (self._clock.shift_ms, channel, conversation),
            replicated=True,
        )
        if told is None:
            return None
        return place.hex(), msgspec.json.decode(cast(bytes, told), type=About)

    async def approve(self, id: str, conversation: ConversationId, who: Who) -> bool:
        """Let the browser in; False if it is too late."""
        place = _unhex(id)
        tenant, locale = cast(
            "tuple[bytes | None, bytes | None]",
            await self._wire.call("HMGET", _key(place), "tenant", "locale"),
        )
        sealed = _Sealed(who, TenantId(tenant.decode()) if tenant else None, _text(locale))
        return await self._answered(place, conversation, "approved", self._seal(place, sealed))

    async def refuse(self, id: str, conversation: ConversationId) -> bool:
        """Let nobody in; False if it was over."""
        return await self._answered(_unhex(id), conversation, "refused", "")

    async def look(self, secret: str) -> tuple[Status, int]:
        """(how it stands with the login of a browser, ms that it still has)."""
        held = self._read(secret)
        if held is None:
            return "over", 0
        place, mac = held
        found = cast(
            "list[bytes | None]",
            await self._wire.call("HMGET", _key(place), "secret", "until", "state"),
        )
        kept, until, state = found
        left = int(until or 0) - self._clock.now_ms()
        if not hmac.compare_digest(kept or b"", mac) or left <= 0:
            return "over", 0
        return ("waiting" if state == b"new" else cast(Status, _text(state))), left

    async def take(self, secret: str) -> Taken | None:
        """Whom the login lets in; from here on it lets nobody in. None: it does not, for whatever reason."""
        held = self._read(secret)
        if held is None:
            return None
        place, mac = held
        sealed = await self._wire.script(
            self._take, (_key(place),), (self._clock.shift_ms, mac, "approved"), replicated=True
        )
        return None if sealed is None else self._open(place, cast(bytes, sealed))

    async def give_up(self, secret: str) -> None:
        """A browser begins another one: a browser has one at a time."""
        held = self._read(secret)
        if held is not None:
            place, mac = held
            await self._wire.script(
                self._take, (_key(place),), (self._clock.shift_ms, mac, "any"), replicated=True
            )

    # -------------------------------------------------------------- parts

    async def _keep(self, place: bytes, fields: tuple[str | bytes, ...]) -> str:
        secret = secrets.token_bytes(_SECRET_BYTES)
        mac = self._secrets.make(place, secret)
        await self._wire.script(
            self._begin,
            (_key(place),),
            (self._clock.shift_ms, LIFE_MS, "secret", mac, *fields),
            replicated=True,
        )
        return base64.urlsafe_b64encode(place + secret).decode()

    async def _answered(
        self, place: bytes, conversation: ConversationId, answer: str, sealed: str
    ) -> bool:
        done = await self._wire.script(
            self._answer,
            (_key(place),),
            (self._clock.shift_ms, conversation, answer, sealed),
            replicated=True,
        )
        return bool(done)

    def _read(self, secret: str) -> tuple[bytes, bytes] | None:
        """(place, keyed hash of the secret)."""
        try:
            data = base64.b64decode(secret.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(data) != _PLACE_BYTES + _SECRET_BYTES:
            return None
        place = data[:_PLACE_BYTES]
        return place, self._secrets.make(place, data[_PLACE_BYTES:])

    def _place(self, kind: bytes, name: str) -> bytes:
        return self._places.make(kind, name.encode())[:_PLACE_BYTES]

    def _seal(self, place: bytes, sealed: _Sealed) -> str:
        return self._box.seal(_encode(sealed).decode(), tenant=_TENANT, field=f"link.{place.hex()}")

    def _open(self, place: bytes, sealed: bytes) -> Taken | None:
        try:
            text = self._box.open(sealed.decode(), tenant=_TENANT, field=f"link.{place.hex()}")
            found = msgspec.json.decode(text, type=_Sealed)
        except (SealError, msgspec.MsgspecError) as error:
            log.error("identity.link_not_opened", error=type(error).__name__)
            return None
        return Taken(found.who, found.tenant, found.locale)


def _key(place: bytes) -> str:
    return f"{PREFIX}link:{{{place.hex()}}}"


def _unhex(id: str) -> bytes:
    try:
        return bytes.fromhex(id)
    except ValueError:
        return b""


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode()
