"""Alerts: what the operator or the firm has to look at, each once until it is settled."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from bot.people.errors import UnknownError
from bot.store.database import Database
from flows.values.ids import ChannelId, TenantId


@dataclass(frozen=True, slots=True)
class Alert:
    id: str
    """A UUID in canonical text."""
    tenant: TenantId
    channel: ChannelId | None
    """None: of the firm as a whole."""
    kind: str
    about: str
    detail: str
    first_at: datetime
    last_at: datetime
    times: int
    """How often it was raised since it was last settled."""
    settled_at: datetime | None


async def raise_alert(
    database: Database,
    tenant: TenantId,
    channel: ChannelId | None,
    kind: str,
    about: str,
    *,
    detail: str = "",
    at: int,
) -> bool:
    """Open an alert, or count it when it is open; answers whether it is new.

    Args:
        detail: why, in words of Meta's; another one makes no other alert.
        at: ms since the epoch.
    """
    async with database.tenant(tenant) as connection:
        new: bool = await connection.fetchval(
            """
            INSERT INTO smarterbot.alerts AS a (
              tenant_id, id, channel_id, kind, about, detail, first_at, last_at
            ) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
            ON CONFLICT (tenant_id, channel_id, kind, about) WHERE settled_at IS NULL
            DO UPDATE SET times = a.times + 1, last_at = greatest(a.last_at, excluded.last_at),
              detail = coalesce(nullif(excluded.detail, ''), a.detail)
            RETURNING xmax = 0
            """,
            tenant,
            uuid4(),
            channel,
            kind,
            about,
            detail,
            datetime.fromtimestamp(at / 1000, UTC),
        )
    return new


async def settle_alert(database: Database, alert: Alert, *, at: int) -> None:
    """Close one; the next one of its kind is a new one. Harmless to repeat."""
    async with database.tenant(alert.tenant) as connection:
        await connection.execute(
            """
            UPDATE smarterbot.alerts SET settled_at = $3
            WHERE tenant_id = $1 AND id = $2 AND settled_at IS NULL
            """,
            alert.tenant,
            UUID(alert.id),
            datetime.fromtimestamp(at / 1000, UTC),
        )


async def settle_kinds(
    database: Database,
    tenant: TenantId,
    channel: ChannelId | None,
    kinds: tuple[str, ...],
    about: str | None,
    *,
    at: int,
) -> int:
    """Close those that have mended themselves; answers how many.

    Args:
        about: None: whatever they are about.
    """
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            UPDATE smarterbot.alerts SET settled_at = $5
            WHERE tenant_id = $1 AND channel_id IS NOT DISTINCT FROM $2 AND kind = ANY ($3::text[])
              AND ($4::text IS NULL OR about = $4) AND settled_at IS NULL
            RETURNING id
            """,
            tenant,
            channel,
            list(kinds),
            about,
            datetime.fromtimestamp(at / 1000, UTC),
        )
    return len(rows)


async def list_alerts(database: Database, tenant: TenantId, *, settled: bool) -> list[Alert]:
    """The open ones of a firm, the oldest first; with `settled` the others too."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT * FROM smarterbot.alerts WHERE tenant_id = $1 AND ($2 OR settled_at IS NULL)
            ORDER BY first_at, id
            """,
            tenant,
            settled,
        )
    return [_alert_of(row) for row in rows]


async def get_alert(database: Database, tenants: list[TenantId], alert: str) -> Alert:
    """The alert with this id.

    Raises:
        UnknownError: none of the firms has it.
    """
    for tenant in tenants:
        async with database.tenant(tenant) as connection:
            row = await connection.fetchrow(
                "SELECT * FROM smarterbot.alerts WHERE tenant_id = $1 AND id = $2",
                tenant,
                UUID(alert),
            )
        if row is not None:
            return _alert_of(row)
    raise UnknownError("there is no alert with this id")


def _alert_of(row: asyncpg.Record) -> Alert:
    channel = row["channel_id"]
    return Alert(
        id=str(row["id"]),
        tenant=TenantId(str(row["tenant_id"])),
        channel=None if channel is None else ChannelId(str(channel)),
        kind=row["kind"],
        about=row["about"],
        detail=row["detail"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        times=row["times"],
        settled_at=row["settled_at"],
    )
