"""The stores of the benchmark: our own embedded ones, as durable as in production."""

import asyncio
import base64
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from bot.demo import prepare_demo
from bot.embedded.postgres import PostgresUrls, running_postgres
from bot.embedded.stores import Stores
from bot.embedded.valkey import running_valkey
from bot.lanes import PREFIX
from bot.lanes.install import SHARDS
from bot.people.channels import Mark
from bot.people.tenants import change_settings, list_firms
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.migrate import migrate
from handlers.whatsapp.emulator.world import Number, NumberId
from tests.bench.load import NUMBER, SECRET
from tests.bench.processes import OTHER_CORES, pin

SETTLE_S: Final = 60.0
POLL_S: Final = 0.02

LINE: Final = Number(
    id=NumberId(NUMBER),
    waba_id="102290129340398",
    display_phone="+56 2 2345 6789",
    name="Panadería Sol",
    token="T",
    per_s=1_000_000,  # the benchmark measures us, not Meta's limit
)
JOURNALS: Final = tuple(f"{PREFIX}journal:{{{shard}}}" for shard in range(SHARDS))


@dataclass(frozen=True)
class BenchStore:
    """One Valkey, fsync always."""

    url: str
    client: redis.Redis
    pid: int

    def settle(self) -> None:
        """Wait until the journal is written out; at once where nobody fills it."""
        end = time.monotonic() + SETTLE_S
        while self.waiting():
            if time.monotonic() > end:
                raise SystemExit(f"the journal is not written out after {SETTLE_S:.0f} s")
            time.sleep(POLL_S)

    def waiting(self) -> int:
        """Lines of the journal that are not yet in PostgreSQL."""
        with self.client.pipeline(transaction=False) as pipe:
            for key in JOURNALS:
                pipe.llen(key)
            return sum(pipe.execute())


@dataclass(frozen=True)
class Ground:
    """The stores of one scenario, in a folder that goes with them."""

    folder: Path
    postgres: PostgresUrls
    stores: tuple[BenchStore, ...]

    @property
    def store(self) -> BenchStore:
        return self.stores[0]

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def environment(
        self, *, port: int, graph: int = 0, store: BenchStore | None = None
    ) -> dict[str, str]:
        """What the server under test is told."""
        return {
            "PATH": "/usr/bin:/bin",
            "DATABASE_URL": self.postgres.app,
            "DATABASE_OWNER_URL": self.postgres.owner,
            "REDIS_URL": (store or self.store).url,
            "SMARTERBOT_KEYS": f"bench:{base64.b64encode(bytes(32)).decode()}",
            "PORT": str(port),
            "WHATSAPP_APP_SECRET": SECRET.decode(),
            "WHATSAPP_VERIFY_TOKEN": "bench",
            "WHATSAPP_GRAPH_URL": f"http://127.0.0.1:{graph}",
            "LOG_LEVEL": "warning",
        }

    def renew(self, *, receipts: bool = False, mark: Mark = Mark.FIRM) -> None:
        """Empty the stores; the firm and its number stay.

        Peers send no read receipts, so the firm sends none either unless `receipts`. `mark`: what its number is.
        """
        for store in self.stores:
            store.client.flushall()
            asyncio.run(self._prepare(store, receipts=receipts, mark=mark))

    async def _prepare(self, store: BenchStore, *, receipts: bool, mark: Mark) -> None:
        settings = read_settings(self.environment(port=1, store=store))
        stores = Stores(redis_url=store.url, postgres=self.postgres)
        async with Database.open(self.postgres.app) as database:
            await prepare_demo(settings, stores, number=LINE, mark=mark)
            [firm] = await list_firms(database)
            told = {"read_receipts": "yes" if receipts else "no"}
            await change_settings(database, firm.id, told)
            # Once more, so that the directory has the setting.
            await prepare_demo(settings, stores, number=LINE, mark=mark)


@contextmanager
def bench_ground(*, stores: int = 1, pinned: bool = True) -> Iterator[Ground]:
    """PostgreSQL and so many Valkeys, beside the core of the server under test if `pinned`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sb-bench-")))
        valkeys = []
        for n in range(stores):
            url = stack.enter_context(running_valkey(folder / str(n)))
            client = stack.enter_context(redis.Redis.from_url(url))
            valkeys.append(BenchStore(url, client, int(client.info("server")["process_id"])))
        postgres = stack.enter_context(running_postgres(folder))
        asyncio.run(migrate(owner_url=postgres.owner, app_url=postgres.app))
        if pinned:
            for pid in (*(valkey.pid for valkey in valkeys), _postmaster(folder)):
                pin(pid, OTHER_CORES)
        yield Ground(folder, postgres, tuple(valkeys))


def _postmaster(folder: Path) -> int:
    return int((folder / "postgres/cluster/postmaster.pid").read_text().splitlines()[0])
