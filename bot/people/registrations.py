"""Registrations of numbers at Meta: the two-step PIN of each, sealed, and how often it was tried lately."""

from datetime import UTC, datetime, timedelta
from typing import Final

from bot.clock import Clock
from bot.people.errors import PeopleError
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import ChannelId, TenantId
from handlers.ports import Channel
from handlers.whatsapp.registration import TooManyTriesError

TRIES_MAX: Final = 10  # Meta: of a number ...
TRIES_WITHIN: Final = timedelta(hours=72)  # ... in 72 hours; error 133016


class TooManyError(PeopleError, TooManyTriesError):
    """Meta would refuse it; the message says when it may be tried again."""


async def read_pin(database: Database, box: SecretBox, channel: Channel) -> str:
    """The PIN that the number was registered with, or is to be; empty if there is none.

    Raises:
        SealError: it is not this channel's, or its key is gone.
    """
    async with database.tenant(channel.tenant) as connection:
        sealed = await connection.fetchval(
            "SELECT pin FROM smarterbot.channels WHERE tenant_id = $1 AND id = $2",
            channel.tenant,
            channel.id,
        )
    return box.open(sealed, tenant=channel.tenant, field=_field(channel.id)) if sealed else ""


async def choose_pin(database: Database, box: SecretBox, channel: Channel, new: str) -> str:
    """See `handlers.whatsapp.registration.Pins.choose_pin`. Raises as `read_pin`."""
    async with database.tenant(channel.tenant) as connection:
        sealed = await connection.fetchval(
            """
            UPDATE smarterbot.channels SET pin = coalesce(nullif(pin, ''), $3)
            WHERE tenant_id = $1 AND id = $2 RETURNING pin
            """,
            channel.tenant,
            channel.id,
            seal_pin(box, channel.id, new, tenant=channel.tenant),
        )
    return box.open(sealed, tenant=channel.tenant, field=_field(channel.id))


async def keep_pin(database: Database, box: SecretBox, channel: Channel, pin: str) -> None:
    """Keep the PIN, sealed; an empty one forgets it."""
    async with database.tenant(channel.tenant) as connection:
        await connection.execute(
            "UPDATE smarterbot.channels SET pin = $3 WHERE tenant_id = $1 AND id = $2",
            channel.tenant,
            channel.id,
            seal_pin(box, channel.id, pin, tenant=channel.tenant),
        )


def seal_pin(box: SecretBox, channel: ChannelId, pin: str, *, tenant: TenantId) -> str:
    """A PIN ready to be stored."""
    return box.seal(pin, tenant=tenant, field=_field(channel)) if pin else ""


async def count_try(database: Database, channel: Channel, *, at: int) -> int:
    """Note that the number is about to be registered; answers how many tries are left after it.

    Args:
        at: ms since the epoch.

    Raises:
        TooManyError: it was tried too often lately; nothing is noted.
    """
    now = datetime.fromtimestamp(at / 1000, UTC)
    async with database.tenant(channel.tenant) as connection:
        tried: list[datetime] = await connection.fetchval(
            """
            SELECT registrations FROM smarterbot.channels WHERE tenant_id = $1 AND id = $2 FOR UPDATE
            """,
            channel.tenant,
            channel.id,
        )
        lately = sorted(time for time in tried if now - time < TRIES_WITHIN)
        if len(lately) >= TRIES_MAX:
            again = (lately[0] + TRIES_WITHIN).isoformat(timespec="minutes")
            raise TooManyError(
                f"Meta takes {TRIES_MAX} registrations of a number in 72 hours: try again after {again}"
            )
        await connection.execute(
            "UPDATE smarterbot.channels SET registrations = $3 WHERE tenant_id = $1 AND id = $2",
            channel.tenant,
            channel.id,
            [*lately, now],
        )
    return TRIES_MAX - len(lately) - 1


class PostgresPins:
    """Implements `handlers.whatsapp.registration.Pins`."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock

    async def choose_pin(self, channel: Channel, new: str) -> str:
        return await choose_pin(self._database, self._box, channel, new)

    async def read_pin(self, channel: Channel) -> str:
        return await read_pin(self._database, self._box, channel)

    async def keep_pin(self, channel: Channel, pin: str) -> None:
        await keep_pin(self._database, self._box, channel, pin)

    async def count_try(self, channel: Channel) -> int:
        return await count_try(self._database, channel, at=self._clock.now_ms())


async def reseal_pin(database: Database, box: SecretBox, channel: Channel) -> bool:
    """Seal the PIN with the current key; answers whether it was not.

    Raises: as `read_pin`.
    """
    async with database.tenant(channel.tenant) as connection:
        sealed = await connection.fetchval(
            "SELECT pin FROM smarterbot.channels WHERE tenant_id = $1 AND id = $2",
            channel.tenant,
            channel.id,
        )
    if not sealed or box.is_current(sealed):
        return False
    await keep_pin(
        database, box, channel, box.open(sealed, tenant=channel.tenant, field=_field(channel.id))
    )
    return True


def _field(channel: ChannelId) -> str:
    return f"channels.pin.{channel}"
