"""Access tokens: ES256 JWTs that our own API, Supabase and the other services accept.

Source of the claims: Supabase, "JWT fields": `role` picks the role of PostgreSQL, policies read `app_metadata`, which no
person can write. There is nothing in them by which a person could be reached.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import jwt
from msgspec import Struct

from bot.clock import Clock
from bot.identity.errors import TokenError
from bot.identity.keys import ACCESS_S, LEEWAY_S, SigningKeys
from bot.identity.people import Role
from flows.values.ids import TenantId, Ugid

AUDIENCE: Final = "authenticated"
ALGORITHM: Final = "ES256"
TOKEN_MAX: Final = 4_096
_REQUIRED: Final = ("iss", "sub", "aud", "iat", "exp", "sid")


class Claims(Struct, frozen=True):
    """What an access token says, once it is believed."""

    ugid: Ugid
    session: str
    """UUID of the session that it belongs to."""
    tenant: TenantId | None
    role: Role | None
    """What the person may do for that firm."""
    expires: datetime


class Tokens:
    """Makes access tokens and believes those that are ours."""

    def __init__(self, keys: SigningKeys, *, issuer: str, clock: Clock) -> None:
        """`issuer`: the address of this server, as the discovery document is found below it."""
        self._keys = keys
        self._clock = clock
        self.issuer = issuer

    def make(
        self,
        ugid: Ugid,
        session: str,
        *,
        method: str,
        since: datetime,
        tenant: TenantId | None,
        role: Role | None,
    ) -> str:
        """
        Args:
            method: how the person proved who they are, `since` when.

        Raises:
            NoSigningKeyError: none is known yet.
        """
        key = self._keys.current()
        now_s = self._clock.now_ms() // 1000
        place = {"tenant_id": tenant, "tenant_role": role} if tenant and role else {}
        claims = {
            "iss": self.issuer,
            "sub": ugid,
            "aud": AUDIENCE,
            "iat": now_s,
            "exp": now_s + ACCESS_S,
            "sid": session,
            # Supabase's name for it.
            "session_id": session,
            "role": AUDIENCE,
            "aal": "aal1",
            "amr": [{"method": method, "timestamp": int(since.timestamp())}],
            "app_metadata": {"provider": "smarterbot", **place},
            "user_metadata": {},
            "is_anonymous": False,
        }
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.kid})

    def read(self, token: str) -> Claims:
        """Believe a token.

        Raises:
            TokenError: it is not ours, not for us, changed, over, or not begun.
        """
        if len(token) > TOKEN_MAX or not token.isascii():
            raise TokenError("malformed")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise TokenError("malformed") from error
        # Only our own set is asked, never what the token brings with it (jwk, jku, x5c).
        if header.get("alg") != ALGORITHM or header.get("typ", "JWT") != "JWT":
            raise TokenError("algorithm")
        kid = header.get("kid")
        key = self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise TokenError("key")
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self.issuer,
                # Time is our clock's, which PyJWT does not know: below.
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            return self._believed(claims)
        except jwt.InvalidTokenError as error:
            raise TokenError(type(error).__name__) from error

    def _believed(self, claims: dict[str, object]) -> Claims:
        now_s = self._clock.now_ms() / 1000
        expires, issued, place = claims["exp"], claims["iat"], claims.get("app_metadata")
        # A bool is an int to Python.
        if type(expires) is not int or type(issued) is not int or not isinstance(place, dict):
            raise TokenError("shape")
        if now_s >= expires + LEEWAY_S:
            raise TokenError("expired")
        if now_s < issued - LEEWAY_S or expires - issued > ACCESS_S:
            raise TokenError("times")
        try:
            tenant = place.get("tenant_id")
            return Claims(
                ugid=Ugid(str(UUID(str(claims["sub"])))),
                session=str(UUID(str(claims["sid"]))),
                tenant=None if tenant is None else TenantId(str(UUID(str(tenant)))),
                role=place.get("tenant_role"),
                expires=datetime.fromtimestamp(expires, UTC),
            )
        except ValueError as error:
            raise TokenError("shape") from error
