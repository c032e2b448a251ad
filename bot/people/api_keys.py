"""API keys: what a firm's own system shows to send in the firm's name. The key itself is told once and kept nowhere.

A key reads `sbk_<id>_<secret>`: the id finds it, the hash of the secret proves it. It is as long as a secret may be that
nobody types, so a plain SHA-256 keeps it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct

from bot.people.errors import UnknownError
from bot.store.database import Database
from flows.values.ids import KeyId, TenantId

Scope = Literal["messages:send", "messages:read", "campaigns:write", "campaigns:read"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PREFIX: Final = "sbk_"
SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(rf"{PREFIX}([0-9a-f]{{32}})_([A-Za-z0-9_-]{{43}})")


class ApiKey(Struct, frozen=True, omit_defaults=True):
    """A key as a process knows it: enough to recognise it, nothing to use it."""

    id: KeyId
    tenant: TenantId
    hash: bytes
    scopes: tuple[Scope, ...]
    per_minute: int
    """Requests a minute that it may make."""
    expires: int = 0
    """From this moment on it opens nothing, ms since the epoch; 0 = never."""


class KeyRow(Struct, frozen=True):
    """A key in a list."""

    id: KeyId
    name: str
    scopes: tuple[Scope, ...]
    per_minute: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKey(Struct, frozen=True):
    """A key that was just made."""

    id: KeyId
    key: str
    """The key itself: shown now and never again."""


def read_key(text: str) -> tuple[KeyId, str] | None:
    """The id and the secret of a key as it is shown; None if it cannot be one."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else (KeyId(str(UUID(found[1]))), found[2])


def proves(secret: str, key: ApiKey | None) -> bool:
    """Whether a secret is that key's; it takes as long when there is no such key."""
    known = bytes(32) if key is None else key.hash
    return hmac.compare_digest(_hash(secret), known) and key is not None


async def add_key(
    database: Database,
    tenant: TenantId,
    *,
    name: str,
    scopes: tuple[Scope, ...],
    per_minute: int,
) -> NewKey:
    """Make a key.

    Raises:
        UnknownError: there is no such tenant.
    """
    new, secret = _made()
    async with database.tenant(tenant) as connection:
        try:
            await connection.execute(
                """
                INSERT INTO smarterbot.api_keys (tenant_id, id, name, hash, scopes, per_minute)
                VALUES ($1, $2, $3, $4, $5, $6)
                """,
                *(tenant, new.id, name, _hash(secret), list(scopes), per_minute),
            )
        except asyncpg.ForeignKeyViolationError as error:
            raise UnknownError("there is no tenant with this id") from error
    return new


async def list_keys(database: Database, tenant: TenantId) -> list[KeyRow]:
    """The keys of a tenant, the newest first, those that open nothing any more included."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            "SELECT * FROM smarterbot.api_keys WHERE tenant_id = $1 ORDER BY created_at DESC, id",
            tenant,
        )
    return [
        KeyRow(
            id=KeyId(str(row["id"])),
            name=row["name"],
            scopes=tuple(row["scopes"]),
            per_minute=row["per_minute"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
        )
        for row in rows
    ]


async def revoke_key(database: Database, tenant: TenantId, key: KeyId) -> None:
    """Let a key open nothing any more.

    Raises:
        UnknownError: the tenant has no such key.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.fetchval(
            """
            UPDATE smarterbot.api_keys SET revoked_at = coalesce(revoked_at, now())
            WHERE tenant_id = $1 AND id = $2 RETURNING true
            """,
            *(tenant, key),
        )
    if not done:
        raise UnknownError("the tenant has no key with this id")


async def rotate_key(
    database: Database, tenant: TenantId, key: KeyId, *, overlap: timedelta
) -> NewKey:
    """Make a successor with the same name, scopes and limit; the old key opens for `overlap` more.

    Raises:
        UnknownError: the tenant has no such key, or it opens nothing any more.
    """
    new, secret = _made()
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow(
            """
            UPDATE smarterbot.api_keys SET expires_at = least(expires_at, now() + $3)
            WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
            RETURNING name, scopes, per_minute
            """,
            *(tenant, key, overlap),
        )
        if row is None:
            raise UnknownError("the tenant has no key with this id that still opens anything")
        await connection.execute(
            """
            INSERT INTO smarterbot.api_keys (tenant_id, id, name, hash, scopes, per_minute)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            *(tenant, new.id, row["name"], _hash(secret), row["scopes"], row["per_minute"]),
        )
    return new


async def has_keys(database: Database, keys: Collection[KeyId]) -> bool:
    """Whether one of these, of whatever tenant, opens anything."""
    async with database.system() as connection:
        return bool(await connection.fetchval("SELECT smarterbot.has_keys($1)", list(keys)))


def key_of(row: asyncpg.Record) -> ApiKey:
    """The key in a row of `directory_keys()`."""
    expires = row["expires_at"]
    return ApiKey(
        id=KeyId(str(row["id"])),
        tenant=TenantId(str(row["tenant_id"])),
        hash=row["hash"],
        scopes=tuple(row["scopes"]),
        per_minute=row["per_minute"],
        expires=0 if expires is None else int(expires.timestamp() * 1000),
    )


def _made() -> tuple[NewKey, str]:
    id, secret = uuid4(), secrets.token_urlsafe(SECRET_BYTES)
    return NewKey(KeyId(str(id)), f"{PREFIX}{id.hex}_{secret}"), secret


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
