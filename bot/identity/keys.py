"""The keys that sign access tokens: made here, shown to everybody in public, replaced in time.

A new key is shown for a while before it signs, and an old one until the last token that it signed is over: whoever keeps
the set for no longer than we allow never meets a token whose key they cannot find.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NoReturn
from uuid import uuid4

import asyncpg
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bot.clock import Clock
from bot.identity.errors import NoSigningKeyError
from bot.identity.moments import moment
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, SealError, StoreError
from bot.store.secrets import SecretBox

ACCESS_S: Final = 600
"""How long an access token is good; whoever is shut out of a firm is out after this at the latest."""
LEEWAY_S: Final = 30
CACHE_S: Final = 300
"""How long others may keep the set."""
LOOK_S: Final = 20.0
AHEAD: Final = timedelta(seconds=CACHE_S + 2 * LOOK_S)
AFTER: Final = timedelta(seconds=ACCESS_S + LEEWAY_S + LOOK_S)
ROTATE: Final = timedelta(days=30)
LOCK_NUMBER: Final = 0x4A574B53  # any number that nobody else takes; "JWKS"

CURVE_BYTES: Final = 32

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair, P-256. Times are UTC."""

    kid: str
    private: ec.EllipticCurvePrivateKey
    created_at: datetime
    signs_from: datetime
    shown_until: datetime | None

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    def jwk(self) -> dict[str, str]:
        """The public half as RFC 7517 writes it."""
        numbers = self.public.public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": _base64(numbers.x.to_bytes(CURVE_BYTES)),
            "y": _base64(numbers.y.to_bytes(CURVE_BYTES)),
            "kid": self.kid,
            "alg": "ES256",
            "use": "sig",
        }


class SigningKeys:
    """The keys in memory, as PostgreSQL had them last. Signing and checking never wait for it."""

    def __init__(self, database: Database, box: SecretBox, *, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = MappingProxyType({})

    def current(self) -> SigningKey:
        """The one that signs.

        Raises:
            NoSigningKeyError: none is known yet.
        """
        now = moment(self._clock)
        ready = [key for key in self._keys.values() if key.signs_from <= now]
        if not ready:
            raise NoSigningKeyError("no_signing_key")
        return max(ready, key=lambda key: (key.signs_from, key.kid))

    def find(self, kid: str) -> SigningKey | None:
        """A key by its id, if its tokens still count."""
        key = self._keys.get(kid)
        return key if key is not None and self._is_shown(key) else None

    def shown(self) -> list[dict[str, str]]:
        """The public set, the newest first."""
        keys = sorted(self._keys.values(), key=lambda key: (key.signs_from, key.kid), reverse=True)
        return [key.jwk() for key in keys if self._is_shown(key)]

    async def load(self) -> None:
        """Read the keys; the first process of an installation makes the first one.

        Raises:
            SealError: one does not open with the keys of this installation.
            bot.store.errors.UNAVAILABLE: what is in memory stays.
        """
        keys = await read_keys(self._database, self._box)
        now = moment(self._clock)
        if not keys or max(key.created_at for key in keys) + ROTATE <= now:
            await rotate(self._database, self._box, now=now, unless_newer_than=now - ROTATE)
            keys = await read_keys(self._database, self._box)
        self._keys = MappingProxyType({key.kid: key for key in keys})

    async def run(self) -> NoReturn:
        """Read them again every `LOOK_S`, for ever, and whenever the time is moved."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Read them, and make the first one, if PostgreSQL is there: before the first request, when a process starts."""
        try:
            await self.load()
        except (*UNAVAILABLE, StoreError, asyncpg.PostgresError) as error:
            log.warning("identity.keys_not_read", error=type(error).__name__)

    def _is_shown(self, key: SigningKey) -> bool:
        return key.shown_until is None or moment(self._clock) < key.shown_until


async def read_keys(database: Database, box: SecretBox) -> list[SigningKey]:
    """All keys that are kept.

    Raises:
        SealError: one does not open.
    """
    async with database.system() as connection:
        rows = await connection.fetch("SELECT * FROM smarterbot.signing_keys")
    # Reading a PEM takes half a millisecond, on a thread that has nothing else to do.
    return await asyncio.to_thread(lambda: [_opened(box, row) for row in rows])


async def rotate(
    database: Database,
    box: SecretBox,
    *,
    now: datetime,
    at_once: bool = False,
    unless_newer_than: datetime | None = None,
) -> str | None:
    """Make a new key and let the others end; answers its id, None if there was nothing to do.

    Args:
        now: UTC.
        at_once: the others count no more from now on: somebody may have them. Everybody must refresh.
        unless_newer_than: do nothing if there is a key that was made after this.
    """
    async with database.system() as connection:
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
        newest = await connection.fetchval("SELECT max(created_at) FROM smarterbot.signing_keys")
        if unless_newer_than is not None and newest is not None and newest > unless_newer_than:
            return None
        signs_from = now if at_once or newest is None else now + AHEAD
        ends = now if at_once else signs_from + AFTER
        await connection.execute(
            """
            UPDATE smarterbot.signing_keys SET shown_until = least(shown_until, $1)
            """,
            ends,
        )
        await connection.execute(
            "DELETE FROM smarterbot.signing_keys WHERE shown_until < $1", now - AFTER
        )
        return await _add(connection, box, now=now, signs_from=signs_from)


async def reseal_keys(database: Database, box: SecretBox) -> int:
    """Seal every signing key with the installation's current key; answers how many were changed.

    Raises:
        SealError: one does not open with the keys we have.
    """
    changed = 0
    async with database.system() as connection:
        for row in await connection.fetch("SELECT kid, private FROM smarterbot.signing_keys"):
            if not box.is_current(row["private"]):
                pem = box.open(row["private"], tenant=_TENANT, field=_field(row["kid"]))
                await connection.execute(
                    "UPDATE smarterbot.signing_keys SET private = $2 WHERE kid = $1",
                    row["kid"],
                    box.seal(pem, tenant=_TENANT, field=_field(row["kid"])),
                )
                changed += 1
    return changed


_TENANT: Final = "installation"


async def _add(
    connection: Connection, box: SecretBox, *, now: datetime, signs_from: datetime
) -> str:
    kid = uuid4().hex
    private = ec.generate_private_key(ec.SECP256R1())
    key = SigningKey(kid, private, now, signs_from, None)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    await connection.execute(
        """
        INSERT INTO smarterbot.signing_keys (kid, public, private, created_at, signs_from)
        VALUES ($1, $2, $3, $4, $5)
        """,
        kid,
        msgspec.json.encode(key.jwk()).decode(),
        box.seal(pem, tenant=_TENANT, field=_field(kid)),
        now,
        signs_from,
    )
    return kid


def _opened(box: SecretBox, row: asyncpg.Record) -> SigningKey:
    pem = box.open(row["private"], tenant=_TENANT, field=_field(row["kid"]))
    private = load_pem_private_key(pem.encode(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise SealError("signing_keys: is no key of ours")
    return SigningKey(
        kid=row["kid"],
        private=private,
        created_at=row["created_at"],
        signs_from=row["signs_from"],
        shown_until=row["shown_until"],
    )


def _field(kid: str) -> str:
    return f"signing_keys.{kid}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
