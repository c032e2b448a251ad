"""Who wants into a firm that is there already: asked of those who administer it, decided by one of them, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import NAMESPACE_OID, uuid4, uuid5

from asyncpg import Record

from bot.identity import people
from bot.identity.links import Who
from bot.store.database import Connection, Database
from flows.calls.signup import JoinRequest
from flows.values.ids import ChannelId, ContactId, MessageId, TenantId, Ugid
from flows.values.phone import phone_ending
from flows.values.rut import Rut
from handlers.actions import Ask
from handlers.events import Sender

LIFE: Final = timedelta(days=7)
OPEN_MAX: Final = 5
"""Requests that wait at one firm: more would only bury its owner."""
A_DAY_MAX: Final = 3
"""Requests that one person makes in a day, at all firms together."""
REPEATED: Final = timedelta(minutes=5)
"""So long a decision may be told again: its call is repeated after a crash."""
DECIDERS: Final = ("owner", "admin")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits, and who may decide it."""

    id: str
    firm: str
    phone_end: str
    asked_at: datetime
    expires_at: datetime
    deciders: tuple[tuple[Ugid, Sender], ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """A request that was decided, and whom to tell."""

    firm: str
    channel: ChannelId
    contact: ContactId
    asked_at: datetime
    at: datetime
    """When it was decided: told again, it is no other moment."""


class TooManyError(Exception):
    """They asked too often."""


class Joins:
    """The requests of all firms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, rut: Rut, who: Who, ask: Ask, *, at: datetime) -> Asked | None:
        """Ask for a place in the firm with this RUT; the request that waits already, if one does. None: nobody can say yes.

        A RUT that nobody has is answered as one whose firm has no place: within the same limits.

        Raises:
            TooManyError: they asked too often today.
            bot.identity.errors.DisabledError: they may not do anything here.
        """
        async with self._database.system() as connection:
            found = await connection.fetchval("SELECT smarterbot.tenant_of_rut($1)", str(rut))
            if found is None:
                nobody = await people.known_as(connection, who.phone, who.bsuid, who.scope)
                if nobody is not None:
                    await _look_at_day(connection, nobody, at)
                return None
        tenant = TenantId(str(found))
        async with self._database.tenant(tenant) as connection:
            ugid = await people.enter_by_chat(
                connection, who.phone, who.bsuid, who.scope, at=at, locale=""
            )
            # Always in this order. Whoever counts until our transaction ends waits for it: the counts hold.
            for name in (f"asks to join|{ugid}", f"is asked|{tenant}"):
                await connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name
                )
            await self._expire(connection, tenant, at)
            row = await self._again(connection, tenant, ugid, ask)
            if row is None:
                await _look_at_day(connection, ugid, at)
            deciders = await self._deciders(connection, tenant, who.scope)
            if not deciders:
                return None
            if row is None:
                if await self._is_full(connection, tenant):
                    return None
                row = await self._new(connection, tenant, ugid, ask, at)
            firm = await _name(connection, tenant)
        return Asked(
            id=str(row["id"]),
            firm=firm,
            phone_end=phone_ending(who.phone) if who.phone else "",
            asked_at=row["asked_at"],
            expires_at=row["expires_at"],
            deciders=tuple(deciders),
        )

    async def _expire(self, connection: Connection, tenant: TenantId, at: datetime) -> None:
        """Those that nobody decided in time are over: whoever asks again has a new one, with its limits."""
        await connection.execute(
            """
            UPDATE smarterbot.join_requests SET decision = 'expired', decided_at = $2
            WHERE tenant_id = $1 AND decision IS NULL AND expires_at <= $2
            """,
            tenant,
            at,
        )

    async def _again(
        self, connection: Connection, tenant: TenantId, ugid: Ugid, ask: Ask
    ) -> Record | None:
        """The request of theirs that waits; its answer goes to where they asked last, and it waits no longer for it."""
        return await connection.fetchrow(
            """
            UPDATE smarterbot.join_requests SET channel_id = $3, contact_id = $4
            WHERE tenant_id = $1 AND ugid = $2 AND decision IS NULL RETURNING id, asked_at, expires_at
            """,
            tenant,
            ugid,
            ask.channel,
            ask.contact,
        )

    async def _new(
        self, connection: Connection, tenant: TenantId, ugid: Ugid, ask: Ask, at: datetime
    ) -> Record:
        row = await connection.fetchrow(
            """
            INSERT INTO smarterbot.join_requests
              (tenant_id, id, ugid, channel_id, contact_id, asked_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id, asked_at, expires_at
            """,
            tenant,
            uuid4(),
            ugid,
            ask.channel,
            ask.contact,
            at,
            at + LIFE,
        )
        assert row is not None
        return row

    async def waiting(
        self, tenants: Sequence[TenantId], *, at: datetime
    ) -> tuple[JoinRequest, ...]:
        """The requests that wait at these firms, oldest first. The caller has seen that they may be shown."""
        found: list[JoinRequest] = []
        for tenant in tenants:
            async with self._database.tenant(tenant) as connection:
                rows = await connection.fetch(
                    """
                    SELECT id, ugid, asked_at FROM smarterbot.join_requests
                    WHERE tenant_id = $1 AND decision IS NULL AND expires_at > $2 ORDER BY asked_at
                    """,
                    tenant,
                    at,
                )
                if not rows:
                    continue
                firm = await _name(connection, tenant)
                for row in rows:
                    sender = await _addresses(connection, Ugid(str(row["ugid"])), "")
                    end = phone_ending(sender.wa_id) if sender.wa_id else ""
                    found.append(JoinRequest(str(row["id"]), firm, end, row["asked_at"]))
        return tuple(sorted(found, key=lambda request: request.at))

    async def decide(self, id: str, by: Ugid, *, admit: bool, at: datetime) -> Decided | None:
        """Decide a request of a firm that the person administers. None: it is over, or not theirs to decide."""
        async with self._database.system() as connection:
            places = await people.memberships_of(connection, by)
        for place in places:
            if place.role not in DECIDERS:
                continue
            async with self._database.tenant(place.tenant) as connection:
                # What they are now, not what they were a moment ago: whoever is shown out decides nothing.
                role = await people.role_in(connection, by, place.tenant)
                if role not in DECIDERS:
                    continue
                decision = "admitted" if admit else "refused"
                row = await connection.fetchrow(
                    """
                    SELECT ugid, channel_id, contact_id, asked_at, decided_at FROM smarterbot.join_requests
                    WHERE tenant_id = $1 AND id::text = $2 AND (
                      decision IS NULL AND expires_at > $4 OR decision = $3 AND decided_by = $5 AND decided_at > $6
                    ) FOR UPDATE
                    """,
                    place.tenant,
                    id,
                    decision,
                    at,
                    by,
                    at - REPEATED,
                )
                if row is None:
                    continue
                if row["decided_at"] is None:
                    await connection.execute(
                        """
                        UPDATE smarterbot.join_requests SET decision = $3, decided_at = $4, decided_by = $5
                        WHERE tenant_id = $1 AND id::text = $2
                        """,
                        place.tenant,
                        id,
                        decision,
                        at,
                        by,
                    )
                    asker = Ugid(str(row["ugid"]))
                    # Nobody becomes less by it.
                    now = await people.role_in(connection, asker, place.tenant)
                    if admit and now in (None, "customer"):
                        await people.set_role(connection, asker, place.tenant, "agent", at)
                return Decided(
                    firm=await _name(connection, place.tenant),
                    channel=ChannelId(str(row["channel_id"])),
                    contact=ContactId(str(row["contact_id"])),
                    asked_at=row["asked_at"],
                    at=row["decided_at"] or at,
                )
        return None

    async def _deciders(
        self, connection: Connection, tenant: TenantId, scope: str
    ) -> list[tuple[Ugid, Sender]]:
        rows = await connection.fetch(
            """
            SELECT ugid FROM smarterbot.memberships
            WHERE tenant_id = $1 AND revoked_at IS NULL AND role = ANY($2) ORDER BY created_at
            """,
            tenant,
            list(DECIDERS),
        )
        found = []
        for row in rows:
            ugid = Ugid(str(row["ugid"]))
            sender = await _addresses(connection, ugid, scope)
            if sender.wa_id or sender.bsuid:
                found.append((ugid, sender))
        return found

    async def _is_full(self, connection: Connection, tenant: TenantId) -> bool:
        waiting: int = await connection.fetchval(
            "SELECT count(*) FROM smarterbot.join_requests WHERE tenant_id = $1 AND decision IS NULL",
            tenant,
        )
        return waiting >= OPEN_MAX


async def _look_at_day(connection: Connection, ugid: Ugid, at: datetime) -> None:
    """Raises TooManyError if they asked for all that they may ask for in a day."""
    await people.act_as(connection, ugid)
    today: int = await connection.fetchval(
        "SELECT count(*) FROM smarterbot.join_requests WHERE ugid = $1 AND asked_at > $2",
        ugid,
        at - timedelta(days=1),
    )
    if today >= A_DAY_MAX:
        raise TooManyError


async def _name(connection: Connection, tenant: TenantId) -> str:
    name: str = await connection.fetchval(
        "SELECT name FROM smarterbot.tenants WHERE id = $1", tenant
    )
    return name


async def _addresses(connection: Connection, ugid: Ugid, scope: str) -> Sender:
    """By what a person can be written to: a phone, and a BSUID of this portfolio."""
    await people.act_as(connection, ugid)
    rows = await connection.fetch(
        """
        SELECT kind, value FROM smarterbot.identities
        WHERE ugid = $1 AND valid_to IS NULL AND verified_at IS NOT NULL AND (kind = 'phone' OR (kind = 'bsuid' AND scope = $2))
        """,
        ugid,
        scope,
    )
    values = {row["kind"]: row["value"] for row in rows}
    return Sender(wa_id=values.get("phone", ""), bsuid=values.get("bsuid", ""))


def message_id(request: str, what: str, to: str) -> MessageId:
    """Of what is said about a request: the same each time that it is put."""
    return MessageId(str(uuid5(NAMESPACE_OID, f"smarterbot.join|{request}|{what}|{to}")))
