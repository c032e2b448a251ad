"""People: by what they are known, where they belong, and that others must be told of every change.

Everything here is done on a connection inside a transaction of the caller's, so that what belongs together is one
change; each function says itself whose rows it works on. Every change leaves its line in the outbox.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import uuid4

from bot.identity.errors import DisabledError
from bot.store.database import Connection
from flows.values.ids import TenantId, Ugid

IdentityKind = Literal["phone", "bsuid", "clerk", "email"]
Role = Literal["owner", "admin", "agent", "customer"]
Told = Literal[
    "person.created",
    "person.erased",
    "identity.linked",
    "identity.unlinked",
    "membership.changed",
]

CHANGED: Final = "number_changed"
"""Why sessions end when an address is somebody else's, or is no more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One address of a person; it may be of the past."""

    kind: IdentityKind
    scope: str
    """Meta portfolio of a BSUID, instance of a Clerk id; empty for a phone and an e-mail."""
    value: str
    verified_at: datetime | None
    """None: WhatsApp says that it is theirs now, and they have not proved it yet."""
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a person belongs."""

    tenant: TenantId
    role: Role
    since: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """What the platform knows of one person."""

    ugid: Ugid
    created_at: datetime
    erased_at: datetime | None
    last_login_at: datetime | None
    last_method: str
    disabled_at: datetime | None
    identities: tuple[Identity, ...]
    memberships: tuple[Membership, ...]


# ------------------------------------------------------------------ look


async def person_of(
    connection: Connection, kind: IdentityKind, scope: str, value: str
) -> Ugid | None:
    """Whose address it is, proved; None if nobody has proved it."""
    row = await connection.fetchrow(
        "SELECT * FROM smarterbot.identity_person($1, $2, $3, false)", kind, scope, value
    )
    return None if row is None or row["verified_at"] is None else Ugid(str(row["ugid"]))


async def known_as(connection: Connection, phone: str, bsuid: str, scope: str) -> Ugid | None:
    """Who has proved the phone, else the BSUID, that a message came from; either may be empty."""
    by_phone = await person_of(connection, "phone", "", phone) if phone else None
    if by_phone is not None or not bsuid:
        return by_phone
    return await person_of(connection, "bsuid", scope, bsuid)


async def get_person(connection: Connection, ugid: Ugid) -> Person | None:
    """Everything of one person; None if there is none with this id."""
    await act_as(connection, ugid)
    row = await connection.fetchrow(
        """
        SELECT created_at, erased_at, last_login_at, coalesce(last_method, '') AS last_method, disabled_at
        FROM smarterbot.people LEFT JOIN (
          SELECT ugid, last_login_at, last_method, disabled_at FROM smarterbot.user_auth
        ) AS login USING (ugid) WHERE ugid = $1
        """,
        ugid,
    )
    if row is None:
        return None
    identities = await connection.fetch(
        """
        SELECT kind, scope, value, verified_at, valid_from, valid_to FROM smarterbot.identities
        WHERE ugid = $1 ORDER BY valid_to IS NOT NULL, kind, valid_from
        """,
        ugid,
    )
    return Person(
        ugid=ugid,
        created_at=row["created_at"],
        erased_at=row["erased_at"],
        last_login_at=row["last_login_at"],
        last_method=row["last_method"],
        disabled_at=row["disabled_at"],
        identities=tuple(Identity(*identity) for identity in identities),
        memberships=await memberships_of(connection, ugid),
    )


async def memberships_of(connection: Connection, ugid: Ugid) -> tuple[Membership, ...]:
    """Where a person belongs now, the oldest first."""
    await act_as(connection, ugid)
    rows = await connection.fetch(
        """
        SELECT tenant_id, role, created_at FROM smarterbot.memberships
        WHERE ugid = $1 AND revoked_at IS NULL ORDER BY created_at, tenant_id
        """,
        ugid,
    )
    return tuple(
        Membership(TenantId(str(row["tenant_id"])), row["role"], row["created_at"]) for row in rows
    )


async def role_in(connection: Connection, ugid: Ugid, tenant: TenantId) -> Role | None:
    """What a person may do for a firm now; None if they do not belong to it."""
    await act_as(connection, ugid)
    role: Role | None = await connection.fetchval(
        "SELECT role FROM smarterbot.memberships WHERE tenant_id = $1 AND ugid = $2 AND revoked_at IS NULL",
        tenant,
        ugid,
    )
    return role


async def is_disabled(connection: Connection, ugid: Ugid) -> bool:
    """Whether a person may not log in, and so do nothing in a firm's name either."""
    await act_as(connection, ugid)
    disabled: bool | None = await connection.fetchval(
        "SELECT disabled_at IS NOT NULL FROM smarterbot.user_auth WHERE ugid = $1", ugid
    )
    return bool(disabled)


# ------------------------------------------------------------------ addresses


async def enter(
    connection: Connection,
    kind: IdentityKind,
    scope: str,
    value: str,
    *,
    at: datetime,
    method: str,
    locale: str = "",
) -> Ugid:
    """The person who has just proved this address: the one we know, or a new one.

    Args:
        at: now.
        method: how they proved it, for `user_auth`.
        locale: the language they asked in; empty keeps what we know.

    Raises:
        DisabledError: they may not log in.
    """
    holder = await _holder(connection, kind, scope, value)
    if holder is None:
        ugid = await add_person(connection, at=at)
        await _give(connection, ugid, kind, scope, value, at)
    else:
        ugid = holder
        await act_as(connection, ugid)
        await _prove(connection, ugid, kind, scope, value, at)
    done = await connection.fetchval(
        """
        INSERT INTO smarterbot.user_auth AS known (ugid, created_at, last_login_at, last_method, locale)
        VALUES ($1, $2, $2, $3, $4)
        ON CONFLICT (ugid) DO UPDATE SET last_login_at = $2, last_method = $3,
          locale = CASE $4 WHEN '' THEN known.locale ELSE $4 END
        WHERE known.disabled_at IS NULL RETURNING true
        """,
        ugid,
        at,
        method,
        locale,
    )
    if not done:
        raise DisabledError("disabled")
    return ugid


async def enter_by_chat(
    connection: Connection, phone: str, bsuid: str, scope: str, *, at: datetime, locale: str
) -> Ugid:
    """The person whose account at WhatsApp has just confirmed a login: both of its addresses are theirs.

    Where each was proved by somebody else, the phone says who it is, and the BSUID stays whose it was.

    Args:
        phone: wa_id; it may be empty if there is a BSUID.
        scope: of the BSUID.

    Raises:
        DisabledError: they may not log in.
    """
    method = "whatsapp_chat"
    holder = await person_of(connection, "bsuid", scope, bsuid) if bsuid else None
    if not phone:
        return await enter(connection, "bsuid", scope, bsuid, at=at, method=method, locale=locale)
    if holder is not None and await person_of(connection, "phone", "", phone) is None:
        ugid = await enter(connection, "bsuid", scope, bsuid, at=at, method=method, locale=locale)
        await link(connection, ugid, "phone", "", phone, at)
        return ugid
    ugid = await enter(connection, "phone", "", phone, at=at, method=method, locale=locale)
    if bsuid and holder is None:
        await link(connection, ugid, "bsuid", scope, bsuid, at)
    return ugid


async def add_person(connection: Connection, *, at: datetime) -> Ugid:
    """A person whom nobody knew."""
    ugid = Ugid(str(uuid4()))
    await act_as(connection, ugid)
    await connection.execute(
        "INSERT INTO smarterbot.people (ugid, created_at) VALUES ($1, $2)", ugid, at
    )
    await tell(connection, ugid, "person.created", at)
    return ugid


async def link(
    connection: Connection, ugid: Ugid, kind: IdentityKind, scope: str, value: str, at: datetime
) -> None:
    """Give a person an address that they have proved, now.

    Whoever had it before has it no more, and is logged out: numbers are given to other people.

    Raises:
        DisabledError: the person was erased.
    """
    holder = await _holder(connection, kind, scope, value)
    if holder is not None and holder != ugid:
        await _take(connection, holder, kind, scope, value, at)
        await end_sessions(connection, holder, CHANGED, at)
    await _lock(connection, ugid)
    if holder == ugid:
        await _prove(connection, ugid, kind, scope, value, at)
    else:
        await _give(connection, ugid, kind, scope, value, at)


async def unlink(
    connection: Connection, ugid: Ugid, kind: IdentityKind, scope: str, value: str, at: datetime
) -> bool:
    """An address is no longer this person's, and their sessions end; answers whether it was theirs."""
    if await _holder(connection, kind, scope, value) != ugid:
        return False
    await _take(connection, ugid, kind, scope, value, at)
    await end_sessions(connection, ugid, CHANGED, at)
    return True


async def change(
    connection: Connection,
    kind: Literal["phone", "bsuid"],
    scope: str,
    old: str,
    new: str,
    at: datetime,
) -> Ugid | None:
    """WhatsApp says that the account of one address goes by another now; answers whose it is, if we know them.

    The person stays the same one, is logged out everywhere, and the new address counts once they have proved it. Call
    it for nothing but what Meta's own signed webhook says: an address that a person only claims must not lead to them.
    """
    # In one order, whichever is changed into which, so that two changes never wait for each other.
    for value in sorted({old, new}):
        await _holder(connection, kind, scope, value)
    holder = await _holder(connection, kind, scope, old)
    if holder is None or old == new:
        return None
    other = await _holder(connection, kind, scope, new)
    if other is not None and other != holder:
        await _take(connection, other, kind, scope, new, at)
        await end_sessions(connection, other, CHANGED, at)
    await _take(connection, holder, kind, scope, old, at)
    await end_sessions(connection, holder, CHANGED, at)
    if other != holder:
        await connection.execute(
            """
            INSERT INTO smarterbot.identities (ugid, kind, scope, value, valid_from)
            VALUES ($1, $2, $3, $4, $5)
            """,
            holder,
            kind,
            scope,
            new,
            at,
        )
    return holder


# ------------------------------------------------------------------ belonging


async def set_role(
    connection: Connection, ugid: Ugid, tenant: TenantId, role: Role | None, at: datetime
) -> None:
    """What a person may do for a firm from now on; None: they belong to it no more."""
    await _lock(connection, ugid)
    await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
    if role is None:
        await connection.execute(
            """
            UPDATE smarterbot.memberships SET revoked_at = $3
            WHERE tenant_id = $1 AND ugid = $2 AND revoked_at IS NULL
            """,
            tenant,
            ugid,
            at,
        )
    else:
        await connection.execute(
            """
            INSERT INTO smarterbot.memberships (tenant_id, ugid, role, created_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, ugid) DO UPDATE SET role = $3, revoked_at = NULL
            """,
            tenant,
            ugid,
            role,
            at,
        )
    await tell(connection, ugid, "membership.changed", at, tenant=tenant)


async def join(connection: Connection, ugid: Ugid, tenant: TenantId, at: datetime) -> None:
    """A firm's customer: whoever logs in at a firm is, unless they are more, or the firm has shown them out."""
    await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
    is_new = await connection.fetchval(
        """
        INSERT INTO smarterbot.memberships (tenant_id, ugid, role, created_at)
        VALUES ($1, $2, 'customer', $3) ON CONFLICT DO NOTHING RETURNING true
        """,
        tenant,
        ugid,
        at,
    )
    if is_new:
        await _lock(connection, ugid)
        await tell(connection, ugid, "membership.changed", at, tenant=tenant)


async def disable(connection: Connection, ugid: Ugid, at: datetime | None) -> bool:
    """Keep a person from logging in, and end their sessions; None lets them in again. Answers whether there is one."""
    await act_as(connection, ugid)
    known = await connection.fetchval(
        "UPDATE smarterbot.user_auth SET disabled_at = $2 WHERE ugid = $1 RETURNING true", ugid, at
    )
    if known and at is not None:
        await end_sessions(connection, ugid, "disabled", at)
    return bool(known)


async def erase(connection: Connection, ugid: Ugid, at: datetime) -> None:
    """Everything of a person goes but their id, which nobody gets again; others are told to do the same.

    Raises:
        DisabledError: it was done before, or there is nobody with this id.
    """
    await _lock(connection, ugid)
    places = await memberships_of(connection, ugid)
    for table in ("identities", "sessions", "user_auth"):
        await connection.execute(
            f"DELETE FROM smarterbot.{table} WHERE ugid = $1",  # noqa: S608  names of ours
            ugid,
        )
    for place in places:
        await set_role(connection, ugid, place.tenant, None, at)
    await connection.execute(
        "UPDATE smarterbot.people SET erased_at = $2 WHERE ugid = $1", ugid, at
    )
    await tell(connection, ugid, "person.erased", at)


# ------------------------------------------------------------------ the ground


async def act_as(connection: Connection, ugid: Ugid) -> None:
    """From here on the transaction sees this person's rows."""
    await connection.execute("SELECT set_config('app.ugid', $1, true)", ugid)


async def tell(
    connection: Connection,
    ugid: Ugid,
    what: Told,
    at: datetime,
    *,
    kind: str = "",
    scope: str = "",
    tenant: TenantId | None = None,
) -> None:
    """Leave a line in the outbox; the person's row is locked by then, so that their lines have an order."""
    await connection.execute(
        """
        INSERT INTO smarterbot.identity_outbox (ugid, type, kind, scope, about_tenant, at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        ugid,
        what,
        kind,
        scope,
        tenant,
        at,
    )


async def end_sessions(connection: Connection, ugid: Ugid, why: str, at: datetime) -> int:
    """End all sessions of a person; answers how many there were."""
    await act_as(connection, ugid)
    rows = await connection.fetch(
        """
        UPDATE smarterbot.sessions SET revoked_at = $2, why = $3
        WHERE ugid = $1 AND revoked_at IS NULL RETURNING true
        """,
        ugid,
        at,
        why,
    )
    return len(rows)


async def _holder(
    connection: Connection, kind: IdentityKind, scope: str, value: str
) -> Ugid | None:
    """Who has the address, proved or not; nobody else changes that before our transaction ends."""
    row = await connection.fetchrow(
        "SELECT ugid FROM smarterbot.identity_person($1, $2, $3, true)", kind, scope, value
    )
    return None if row is None else Ugid(str(row["ugid"]))


async def _lock(connection: Connection, ugid: Ugid) -> None:
    await act_as(connection, ugid)
    alive = await connection.fetchval(
        "SELECT erased_at IS NULL FROM smarterbot.people WHERE ugid = $1 FOR UPDATE", ugid
    )
    if not alive:
        raise DisabledError("erased")


async def _give(
    connection: Connection, ugid: Ugid, kind: IdentityKind, scope: str, value: str, at: datetime
) -> None:
    await connection.execute(
        """
        INSERT INTO smarterbot.identities (ugid, kind, scope, value, verified_at, valid_from)
        VALUES ($1, $2, $3, $4, $5, $5)
        """,
        ugid,
        kind,
        scope,
        value,
        at,
    )
    await tell(connection, ugid, "identity.linked", at, kind=kind, scope=scope)


async def _prove(
    connection: Connection, ugid: Ugid, kind: IdentityKind, scope: str, value: str, at: datetime
) -> None:
    """It is theirs; if only WhatsApp had said so, others hear of it now."""
    was_proved = await connection.fetchval(
        """
        UPDATE smarterbot.identities AS now SET verified_at = $5 FROM smarterbot.identities AS before
        WHERE now.ugid = $1 AND now.kind = $2 AND now.scope = $3 AND now.value = $4 AND now.valid_to IS NULL
          AND (before.ugid, before.kind, before.scope, before.value, before.valid_from)
            = (now.ugid, now.kind, now.scope, now.value, now.valid_from)
        RETURNING before.verified_at IS NOT NULL
        """,
        ugid,
        kind,
        scope,
        value,
        at,
    )
    if not was_proved:
        await _lock(connection, ugid)
        await tell(connection, ugid, "identity.linked", at, kind=kind, scope=scope)


async def _take(
    connection: Connection, ugid: Ugid, kind: IdentityKind, scope: str, value: str, at: datetime
) -> None:
    await _lock(connection, ugid)
    await connection.execute(
        """
        UPDATE smarterbot.identities SET valid_to = $5
        WHERE ugid = $1 AND kind = $2 AND scope = $3 AND value = $4 AND valid_to IS NULL
        """,
        ugid,
        kind,
        scope,
        value,
        at,
    )
    await tell(connection, ugid, "identity.unlinked", at, kind=kind, scope=scope)
