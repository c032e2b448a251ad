"""Invitations into a firm's team, as PostgreSQL keeps them: for one phone, found by its keyed hash.

Everything here is done on a connection inside a transaction of the caller's; each function says itself whose rows it
works on. Who may invite, and who is who, is the caller's to know.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID, uuid4

from bot.identity.secrets import Macs
from bot.store.database import Connection
from bot.store.secrets import Key, SecretBox
from flows.calls.owner import INVITED_DAYS, INVITED_MAX
from flows.values.ids import TenantId, Ugid

LIFE: Final = timedelta(days=INVITED_DAYS)
WRITES_EVERY: Final = timedelta(days=1)
"""Invited again and again, somebody is written to so often at most."""

TeamRole = Literal["admin", "agent"]


@dataclass(frozen=True, slots=True)
class Written:
    """An invitation that is on record, and the message that tells of it."""

    firm: str
    message: UUID
    """The same for the same asking, and empty of sense if nothing is to be written."""
    wrote_at: datetime
    expires_at: datetime
    writes: bool
    """Whether they are to be written to."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An invitation that waits for a phone."""

    tenant: TenantId
    id: str
    role: TeamRole
    invited_by: Ugid
    firm: str


class TeamInvitations:
    """The rows, and the keys that hide whose they are."""

    def __init__(self, box: SecretBox, pepper: bytes) -> None:
        self._box = box
        self._phones = Macs((Key("pepper", pepper),), "invitation phone")

    async def put(
        self,
        connection: Connection,
        tenant: TenantId,
        phone: str,
        role: TeamRole,
        *,
        by: Ugid,
        message: UUID,
        at: datetime,
    ) -> Written | None:
        """Invite a phone; None: too many of the firm wait. The same `message` again changes nothing.

        Whoever is invited already has one invitation all the same, with the newest role and life.
        """
        await act_for(connection, tenant)
        # One at a time for each firm: the count holds.
        firm = await connection.fetchval(
            "SELECT name FROM smarterbot.tenants WHERE id = $1 FOR UPDATE", tenant
        )
        done = await connection.fetchrow(
            "SELECT state, wrote_at, expires_at FROM smarterbot.invitations WHERE tenant_id = $1 AND message = $2",
            tenant,
            message,
        )
        if done is not None:
            waits = done["state"] == "open"
            return Written(firm, message, done["wrote_at"], done["expires_at"], waits)
        await connection.execute(
            """
            UPDATE smarterbot.invitations SET state = 'expired', phone = NULL, phone_hash = NULL, ended_at = $2
            WHERE tenant_id = $1 AND state = 'open' AND expires_at <= $2
            """,
            tenant,
            at,
        )
        hash_of = self._phones.make(phone.encode())
        known = await connection.fetchrow(
            """
            SELECT id, message, wrote_at FROM smarterbot.invitations
            WHERE tenant_id = $1 AND phone_hash = $2 AND state = 'open'
            """,
            tenant,
            hash_of,
        )
        expires_at = at + LIFE
        if known is not None:
            writes = known["wrote_at"] <= at - WRITES_EVERY
            wrote_at = at if writes else known["wrote_at"]
            await connection.execute(
                """
                UPDATE smarterbot.invitations
                SET role = $3, invited_by = $4, message = $5, wrote_at = $6, expires_at = $7
                WHERE tenant_id = $1 AND id = $2
                """,
                tenant,
                known["id"],
                role,
                by,
                message if writes else known["message"],
                wrote_at,
                expires_at,
            )
            return Written(firm, message, wrote_at, expires_at, writes)
        waiting = await connection.fetchval(
            "SELECT count(*) FROM smarterbot.invitations WHERE tenant_id = $1 AND state = 'open'",
            tenant,
        )
        if waiting >= INVITED_MAX:
            return None
        id = uuid4()
        await connection.execute(
            """
            INSERT INTO smarterbot.invitations
              (tenant_id, id, role, invited_by, phone_hash, phone, message, wrote_at, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
            """,
            tenant,
            id,
            role,
            by,
            hash_of,
            self._box.seal(phone, tenant=tenant, field=f"invitation.{id}"),
            message,
            at,
            expires_at,
        )
        return Written(firm, message, at, expires_at, writes=True)

    async def waiting_for(self, connection: Connection, phone: str, at: datetime) -> list[Waiting]:
        """Those of all firms that wait for a phone, the oldest first."""
        rows = await connection.fetch(
            "SELECT * FROM smarterbot.invitations_for($1, $2)",
            self._phones.make(phone.encode()),
            at,
        )
        return [
            Waiting(
                TenantId(str(row["tenant_id"])),
                str(row["id"]),
                row["role"],
                Ugid(str(row["invited_by"])),
                row["firm"],
            )
            for row in rows
        ]

    async def end(
        self,
        connection: Connection,
        found: Waiting,
        state: Literal["accepted", "declined", "void"],
        at: datetime,
    ) -> bool:
        """It waits no more, and its phone is forgotten; False: it was over."""
        await act_for(connection, found.tenant)
        ended = await connection.fetchval(
            """
            UPDATE smarterbot.invitations SET state = $3, phone = NULL, phone_hash = NULL, ended_at = $4
            WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND expires_at > $4 RETURNING true
            """,
            found.tenant,
            found.id,
            state,
            at,
        )
        return bool(ended)


async def act_for(connection: Connection, tenant: TenantId) -> None:
    """From here on the transaction sees this firm's rows."""
    await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
