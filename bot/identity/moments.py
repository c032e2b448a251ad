"""The clock's time as PostgreSQL and tokens want it."""

from datetime import UTC, datetime

from bot.clock import Clock


def moment(clock: Clock) -> datetime:
    """Now, in UTC."""
    return datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
