"""The stores of the benchmark: our own embedded ones, as durable as in production."""

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from bot.demo import prepare_demo
from bot.embedded.stores import Stores, running_stores
from bot.people.tenants import change_settings, list_firms
from bot.settings import Settings, read_settings
from bot.store.database import Database
from bot.store.migrate import migrate
from handlers.whatsapp.emulator.world import Number, NumberId
from tests.bench.load import NUMBER, SECRET

LINE = Number(
    id=NumberId(NUMBER),
    waba_id="102290129340398",
    display_phone="+56 2 2345 6789",
    name="Panadería Sol",
    token="T",
    per_s=1_000_000,  # the benchmark measures us, not Meta's limit
)


@dataclass(frozen=True)
class BenchStores:
    stores: Stores
    valkey_pid: int

    @property
    def redis_url(self) -> str:
        return self.stores.redis_url

    def environment(self, *, port: int, graph: int) -> dict[str, str]:
        """What the server under test is told."""
        return {
            "PATH": "/usr/bin:/bin",
            "DATABASE_URL": self.stores.postgres.app,
            "DATABASE_OWNER_URL": self.stores.postgres.owner,
            "REDIS_URL": self.redis_url,
            "SMARTERBOT_KEYS": f"bench:{base64.b64encode(bytes(32)).decode()}",
            "PORT": str(port),
            "WHATSAPP_APP_SECRET": SECRET.decode(),
            "WHATSAPP_VERIFY_TOKEN": "bench",
            "WHATSAPP_GRAPH_URL": f"http://127.0.0.1:{graph}",
            "LOG_LEVEL": "warning",
        }

    def renew(self, environment: dict[str, str], *, receipts: bool = False) -> None:
        """Forget the last round; the firm and its number stay.

        Peers send no read receipts, so the firm sends none either unless `receipts`.
        """
        with redis.Redis.from_url(self.redis_url) as connection:
            connection.flushall()
        asyncio.run(self._prepare(read_settings(environment), receipts=receipts))

    async def _prepare(self, settings: Settings, *, receipts: bool) -> None:
        async with Database.open(self.stores.postgres.app) as database:
            await prepare_demo(settings, self.stores, number=LINE)
            [firm] = await list_firms(database)
            told = {"read_receipts": "yes" if receipts else "no"}
            await change_settings(database, firm.id, told)
            # Once more, so that the directory has the setting.
            await prepare_demo(settings, self.stores, number=LINE)


@contextmanager
def bench_stores(folder: Path) -> Iterator[BenchStores]:
    with running_stores(folder) as stores:
        asyncio.run(migrate(owner_url=stores.postgres.owner, app_url=stores.postgres.app))
        with redis.Redis.from_url(stores.redis_url) as connection:
            pid = int(connection.info("server")["process_id"])
        yield BenchStores(stores=stores, valkey_pid=pid)
