"""Believes Clerk's session tokens: RS256 JWTs of one instance, checked with the keys that it publishes.

Source: clerk/javascript, packages/backend/src/jwt/assertions.ts and tokens/keys.ts: RS256, RS384 or RS512; 5 s of leeway;
keys kept for 5 minutes; no audience unless a template sets one; `azp` names the page that the token was made for. Tokens
of machines (`mch_…`) and of OAuth clients (`at+jwt`) are signed with the same keys: they are no sessions.
"""

import asyncio
import re
from collections.abc import Collection
from typing import Final, cast

import jwt
import msgspec
import structlog
from msgspec import Raw, Struct

from handlers.outside import Outside, OutsideError
from handlers.ports import Clock, Meter

ALGORITHMS: Final = ("RS256", "RS384", "RS512")
LEEWAY_S: Final = 5
FRESH_S: Final = 300
STALE_S: Final = 3_600
"""Ours: for so long we go on with the keys that we have while Clerk does not answer."""
ASK_AGAIN_S: Final = 10
"""Ours: a key id that nobody knows makes us ask, at most so often: anybody can invent one."""
KEYS_URL: Final = "/.well-known/jwks.json"
KEYS_WITHIN_S: Final = 5.0
KEYS_BYTES_MAX: Final = 64 * 1024
KEYS_MAX: Final = 20
KEY_BITS_MIN: Final = 2048
TOKEN_CHARS_MAX: Final = 8_192

_USER = re.compile(r"user_[A-Za-z0-9]{1,60}")
_SESSION = re.compile(r"sess_[A-Za-z0-9]{1,60}")

log = structlog.get_logger()


class SessionTokenError(Exception):
    """It is no session of ours. The message is one word of a closed vocabulary."""


class KeysDownError(Exception):
    """Clerk's keys cannot be had now, so nothing can be said of the token."""


class Session(Struct, frozen=True):
    """Who is logged in at Clerk."""

    user: str
    """`user_…`"""
    id: str
    """`sess_…`"""
    until: int
    """Seconds since the epoch; Clerk's tokens live for a minute."""


class _Claims(Struct, frozen=True):
    iss: str
    sub: str
    sid: str
    exp: int
    iat: int
    nbf: int = 0
    azp: str = ""
    aud: object = None
    sts: str = "active"
    """Of the session: `pending` while something is left to do, such as to choose an organisation."""


class _Header(Struct, frozen=True):
    kid: str
    alg: str
    typ: str = "JWT"


class _Key(Struct, frozen=True):
    kid: str
    kty: str
    use: str = "sig"
    alg: str = "RS256"


class _Keys(Struct, frozen=True):
    keys: list[Raw]


class ClerkSessions:
    """Checks the tokens of one instance."""

    def __init__(
        self,
        outside: Outside,
        *,
        issuer: str,
        parties: Collection[str],
        clock: Clock,
        meter: Meter,
    ) -> None:
        """
        Args:
            issuer: of the instance, `https://clerk.example.com`: the keys are below it.
            parties: origins of the pages whose tokens count; at least one.
        """
        if not parties:
            raise ValueError("without a party any page's tokens would count")
        self._outside = outside
        self._issuer = issuer
        self._parties = frozenset(parties)
        self._clock = clock
        self._meter = meter
        self._keys: dict[str, jwt.PyJWK] = {}
        self._had_s = self._asked_s = 0
        """When we got the keys, and when we last asked for them."""
        self._asking = asyncio.Lock()

    async def check(self, token: str) -> Session:
        """Who shows this token.

        Raises:
            SessionTokenError: nobody that we know.
            KeysDownError: try again.
        """
        try:
            session = await self._check(token)
        except SessionTokenError as refused:
            self._meter.count("clerk_session_refused", str(refused))
            raise
        self._meter.count("clerk_session")
        return session

    async def _check(self, token: str) -> Session:
        if not (token.isascii() and len(token) <= TOKEN_CHARS_MAX):
            raise SessionTokenError("malformed")
        header = _header(token)
        if header.alg not in ALGORITHMS:
            raise SessionTokenError("algorithm")
        if header.typ != "JWT":
            raise SessionTokenError("type")
        key = await self._key(header.kid)
        try:
            # The times are checked below, by our own clock; an audience must not be there at all.
            found = jwt.decode(
                token,
                key,
                algorithms=[header.alg],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "verify_sub": False,
                },
            )
            claims = msgspec.convert(found, _Claims)
        except jwt.InvalidSignatureError:
            raise SessionTokenError("signature") from None
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError):
            raise SessionTokenError("malformed") from None
        return self._believed(claims)

    def _believed(self, claims: _Claims) -> Session:
        now = self._clock.now_ms() // 1000
        for why, wrong in (
            ("issuer", claims.iss != self._issuer),
            ("expired", now >= claims.exp + LEEWAY_S),
            ("not_yet", now < max(claims.nbf, claims.iat) - LEEWAY_S),
            ("party", claims.azp not in self._parties),
            ("audience", claims.aud is not None),
            ("subject", not _USER.fullmatch(claims.sub)),
            ("session", not _SESSION.fullmatch(claims.sid) or claims.sts != "active"),
        ):
            if wrong:
                raise SessionTokenError(why)
        return Session(claims.sub, claims.sid, claims.exp)

    # -------------------------------------------------------------- keys

    async def _key(self, kid: str) -> jwt.PyJWK:
        now = self._clock.now_ms() // 1000
        if kid not in self._keys or not 0 <= now - self._had_s < FRESH_S:
            async with self._asking:
                await self._refresh(kid, now)
        key = self._keys.get(kid)
        if key is not None and 0 <= now - self._had_s < STALE_S:
            return key
        if 0 <= now - self._had_s < FRESH_S:
            raise SessionTokenError("key")
        raise KeysDownError

    async def _refresh(self, kid: str, now: int) -> None:
        fresh = kid in self._keys and 0 <= now - self._had_s < FRESH_S  # somebody asked meanwhile
        if fresh or 0 <= now - self._asked_s < ASK_AGAIN_S:
            return
        self._asked_s = now
        try:
            self._keys = await self._ask()
        except (OutsideError, msgspec.MsgspecError, ValueError) as error:
            self._meter.count("clerk_keys", "down")
            log.warning("clerk.keys_not_had", error=type(error).__name__)
        else:
            self._had_s = now
            self._meter.count("clerk_keys", "had")

    async def _ask(self) -> dict[str, jwt.PyJWK]:
        """Clerk's keys now.

        Raises:
            OutsideError, msgspec.MsgspecError, ValueError: it does not answer, or not with keys.
        """
        async with self._outside.request(
            "GET", f"{self._issuer}{KEYS_URL}", headers={}, within_s=KEYS_WITHIN_S
        ) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > KEYS_BYTES_MAX:
                    raise ValueError("too large")
        found = {}
        for raw in msgspec.json.decode(bytes(body), type=_Keys).keys[:KEYS_MAX]:
            key = msgspec.json.decode(raw, type=_Key)
            if (key.kty, key.use) == ("RSA", "sig") and key.alg in ALGORITHMS:
                found[key.kid] = _public(msgspec.json.decode(raw, type=dict[str, object]), key.alg)
        if not found:
            raise ValueError("no keys")
        return found


def _header(token: str) -> _Header:
    try:
        # `alg` decides nothing by itself: it must be one of ours, and the key's own.
        return msgspec.convert(jwt.get_unverified_header(token), _Header)
    except (jwt.PyJWTError, msgspec.MsgspecError, ValueError):
        raise SessionTokenError("malformed") from None


def _public(told: dict[str, object], algorithm: str) -> jwt.PyJWK:
    """A key that can only check.

    Raises:
        ValueError: it is none, or too short.
    """
    try:
        key = jwt.PyJWK({name: told[name] for name in ("kty", "kid", "n", "e")}, algorithm)
    except (jwt.PyJWTError, KeyError, TypeError) as error:
        raise ValueError("unreadable key") from error
    if cast("int", key.key.key_size) < KEY_BITS_MIN:
        raise ValueError("short key")
    return key
