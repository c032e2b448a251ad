"""The health of channels: how each stands with Meta, as we heard last."""

from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg

from bot.people.alerts import settle_kinds
from bot.store.database import Database
from handlers.ports import Channel
from handlers.whatsapp.health import Health


async def get_health(database: Database, channel: Channel) -> Health:
    """How the channel stands; as new when nothing was heard yet."""
    async with database.tenant(channel.tenant) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM smarterbot.channel_health WHERE tenant_id = $1 AND channel_id = $2",
            channel.tenant,
            channel.id,
        )
    return Health() if row is None else _health_of(row)


async def change_health(
    database: Database, channel: Channel, change: Callable[[Health], Health], *, at: int
) -> tuple[Health, Health]:
    """Change how the channel stands; one after the other when several do.

    Args:
        change: called once, with what stands there.
        at: ms since the epoch.

    Returns:
        Before and after.
    """
    async with database.tenant(channel.tenant) as connection:
        await connection.execute(
            """
            INSERT INTO smarterbot.channel_health (tenant_id, channel_id, changed_at) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
            """,
            channel.tenant,
            channel.id,
            _time(at),
        )
        row = await connection.fetchrow(
            """
            SELECT * FROM smarterbot.channel_health WHERE tenant_id = $1 AND channel_id = $2 FOR UPDATE
            """,
            channel.tenant,
            channel.id,
        )
        assert row is not None
        before = _health_of(row)
        after = change(before)
        if after != before:
            await connection.execute(
                """
                UPDATE smarterbot.channel_health SET holds = $3, limits = $4, quality = $5, tier = $6, name_status = $7,
                  token_kind = $8, token_expires_at = $9, checked_at = $10, changed_at = $11
                WHERE tenant_id = $1 AND channel_id = $2
                """,
                channel.tenant,
                channel.id,
                list(after.holds),
                list(after.limits),
                after.quality,
                after.tier,
                after.name_status,
                after.token_kind,
                _time(after.token_expires_at) if after.token_expires_at else None,
                _time(after.checked_at) if after.checked_at else None,
                _time(at),
            )
    return before, after


async def free_channel(database: Database, channel: Channel, *reasons: str, at: int) -> None:
    """Somebody has mended it: these reasons keep the channel from sending no more, and their alerts are settled."""
    await change_health(database, channel, lambda health: health.lifted(*reasons), at=at)
    await settle_kinds(database, channel.tenant, channel.id, reasons, None, at=at)


def _health_of(row: asyncpg.Record) -> Health:
    return Health(
        holds=tuple(row["holds"]),
        limits=tuple(row["limits"]),
        quality=row["quality"],
        tier=row["tier"],
        name_status=row["name_status"],
        token_kind=row["token_kind"],
        token_expires_at=_ms(row["token_expires_at"]),
        checked_at=_ms(row["checked_at"]),
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _ms(time: datetime | None) -> int:
    return 0 if time is None else round(time.timestamp() * 1000)
