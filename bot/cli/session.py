"""What a command works with: the settings, and the stores of the server whether it runs or not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.embedded.stores import Stores, reached_stores
from bot.engine.errands import Errands
from bot.lanes import Bell, Lanes, Wire, install
from bot.people.directory import publish_directory
from bot.settings import Settings, from_environment
from bot.store.database import Database
from bot.store.keys import embedded_keys
from bot.store.migrate import migrate
from bot.store.secrets import SecretBox

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Session:
    """Open for one command."""

    settings: Settings
    database: Database
    redis_url: str
    box: SecretBox

    async def publish(self) -> None:
        """Tell the running processes that a firm or a channel has changed."""
        wire = await Wire.open(
            self.redis_url, name="smarterbot:cli", replicas=self.settings.replicas_wait
        )
        try:
            await publish_directory(self.database, wire, self.box)
        finally:
            await wire.close()

    @contextlib.asynccontextmanager
    async def errands(self, clock: Clock) -> AsyncIterator[Errands]:
        """The way into the lanes of the running processes."""
        settings = self.settings
        wire = await Wire.open(
            self.redis_url, name="smarterbot:cli", replicas=settings.replicas_wait
        )
        try:
            async with self.database.system() as connection:
                pepper = await connection.fetchval("SELECT pepper FROM smarterbot.installation")
            lanes = Lanes(wire, shards=await install(wire, shards=settings.shards), clock=clock)
            yield Errands(lanes, Bell(wire), pepper=pepper)
        finally:
            await wire.close()


@contextlib.contextmanager
def command_stores(settings: Settings) -> Iterator[Stores]:
    """The stores that the settings name; embedded ones are found running, or run for the command."""
    if settings.embedded:
        with reached_stores(settings.data) as stores:
            yield stores
    else:
        yield Stores(
            redis_url=settings.redis_url,
            postgres=PostgresUrls(owner=settings.database_owner_url, app=settings.database_url),
        )


def in_session(work: Callable[[Session], Awaitable[Answer]]) -> Answer:
    """Do the command's work; embedded stores get their schema first, others wait for `smarterbot migrate`."""
    settings = from_environment()
    with command_stores(settings) as stores:
        return asyncio.run(_work(settings, stores, work))


async def _work(
    settings: Settings, stores: Stores, work: Callable[[Session], Awaitable[Answer]]
) -> Answer:
    if settings.embedded:
        await migrate(owner_url=stores.postgres.owner, app_url=stores.postgres.app)
    box = SecretBox(settings.keys or embedded_keys(settings.data))
    opened = Database.open(stores.postgres.app, statement_cache=settings.db_statement_cache)
    async with opened as database:
        session = Session(settings=settings, database=database, redis_url=stores.redis_url, box=box)
        return await work(session)
