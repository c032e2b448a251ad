"""The clock of the files: what has had its time is deleted, bytes and all."""

from typing import Final, NoReturn

import asyncpg
import structlog

from bot.clock import Clock
from bot.media.library import BATCH_MAX, Library
from bot.metrics import Metrics
from bot.people.tenants import list_firms
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.dialog.ctx import Firm
from handlers.ports import FilesDownError

DAYS: Final = 90
"""For how long a firm that has not said so keeps what people send. Our choice: a season of claims and returns."""
EVERY_S: Final = 3_600.0
LOCK_NUMBER: Final = 0x4D454449  # any number that nobody else takes; "MEDI"

log = structlog.get_logger()


def media_days(firm: Firm | None) -> int:
    """For how many days a firm keeps files."""
    return int(firm.settings.get("media_days", DAYS)) if firm is not None else DAYS


class Retention:
    """Runs in every process that works; one of them does it at a time, and it would do no harm if two did."""

    def __init__(
        self, database: Database, library: Library, *, clock: Clock, metrics: Metrics
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Every hour, and whenever the time is moved. An outage is waited for."""
        while True:
            try:
                await self.pass_once()
            except (*UNAVAILABLE, FilesDownError) as error:
                log.warning("media.expiry_waits", error=type(error).__name__)
            except (StoreError, asyncpg.PostgresError) as error:
                log.error("media.expiry_stuck", error=type(error).__name__)
            await self._clock.sleep(EVERY_S)

    async def pass_once(self) -> int:
        """Delete everything whose time is over; answers how many files that were, 0 if another process is at it.

        Raises:
            bot.store.errors.UNAVAILABLE, FilesDownError, StoreError: the rest waits for the next pass.
        """
        await self._library.sweep()
        deleted = 0
        async with self._database.system() as connection:
            if not await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({LOCK_NUMBER})"):
                return 0
            for firm in await list_firms(self._database):
                while batch := await self._library.expire(firm.id):
                    deleted += batch
                    if batch < BATCH_MAX:
                        break
        if deleted:
            self._metrics.events.labels("media_expired", "").inc(deleted)
            log.info("media.expired", files=deleted)
        return deleted
