"""An installation as operators run it: web and worker processes, their stores, and wires with traps between them.

Only Meta lives in the test's own process, so that it survives everybody and is asked without a detour.
"""

import asyncio
import base64
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
import msgspec
import redis.asyncio as redis

from bot.app import Waits
from bot.clock import Clock
from bot.demo import NUMBER, prepare_demo
from bot.embedded.postgres import APP, DATABASE, running_postgres
from bot.embedded.stores import Stores
from bot.lanes import PREFIX, Depths, Lanes, Wire
from bot.people.tenants import list_firms
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.migrate import migrate
from handlers.whatsapp.emulator.accounts import APP_ID
from handlers.whatsapp.emulator.phones import Pace
from handlers.whatsapp.emulator.server import Emulator, serving
from handlers.whatsapp.emulator.signups import CONFIG_ID
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.webhooks import Posted, Retries
from handlers.whatsapp.webhook import PATH
from tests.whole.machines import Machine, Postgres, Server, Valkey
from tests.whole.people import FAST, People, until
from tests.whole.town import Town
from tests.whole.traps import GraphWire, Traps, balancer, database_wire, store_wire
from tests.whole.waits import BRISK

SECRET: Final = "crash-app-secret"
SHARDS: Final = 8


class Installation:
    """See `installation`."""

    def __init__(
        self,
        *,
        emulator: Emulator,
        valkey: Valkey,
        postgres: Postgres,
        webs: list[Server],
        workers: list[Server],
        graphs: list[GraphWire],
        traps: Traps,
        stores: Stores,
        clock: Clock,
        people: People,
        waits: Waits,
    ) -> None:
        self.emulator = emulator
        self.people = people
        self.valkey = valkey
        self.postgres = postgres
        self.webs = webs
        self.workers = workers
        self.traps = traps
        self.stores = stores
        """As the tests reach them: past the wires."""
        self.patience_s = 60 + 3 * (waits.lease_ms + waits.outage_doubt_ms) / 1000
        """How long a test waits for something that must come."""
        self._graphs = graphs
        self._clock = clock

    @property
    def servers(self) -> list[Server]:
        return [*self.webs, *self.workers]

    def machine(self, name: str) -> Machine:
        machines: list[Machine] = [self.valkey, self.postgres, *self.servers]
        return next(machine for machine in machines if machine.name == name)

    # -------------------------------------------------------------- what Meta has seen

    def now_ms(self) -> int:
        """By the clock of all that is noted here."""
        return self._clock.now_ms()

    def asked_after(self, moment_ms: int) -> int | None:
        """When the first message after this moment was asked for."""
        return min(
            (at for graph in self._graphs for at in graph.asked_ms if at > moment_ms), default=None
        )

    async def posted(self) -> Posted:
        """What became of the webhooks."""
        truth = await self.people.truth()
        return msgspec.convert(truth["posted"], Posted)

    def faults(self, **changes: int) -> None:
        """Switch faults of Graph and of the webhooks, by their names in the emulator."""
        self.emulator.faults.change(NUMBER.id, changes)

    async def answers(
        self, town: Town, words: Sequence[str], *, within_s: float | None = None
    ) -> int:
        """Wait until each of these words was answered; gives the moment at which the last one was."""
        within_s = within_s or self.patience_s
        try:
            await until(
                lambda: _true(not town.unanswered(words)), within_s=within_s, what="every answer"
            )
        except TimeoutError:
            missing = town.unanswered(words)
            raise AssertionError(
                f"{len(missing)} of {len(words)} are not answered: {missing[:5]}\n{self.tails()}"
            ) from None
        return town.answered_at(words)

    # -------------------------------------------------------------- what the stores hold

    async def depths(self) -> Depths:
        wire = await Wire.open(self.stores.redis_url, name="test")
        try:
            return await Lanes(wire, shards=SHARDS, clock=Clock()).depths()
        finally:
            await wire.close()

    async def at_work(self) -> int:
        """Lanes that have items, are leased or rest, and journal lines that wait for PostgreSQL."""
        async with redis.from_url(self.stores.redis_url, decode_responses=True) as store:
            count = 0
            for shard in range(SHARDS):
                fields = await store.hkeys(f"{PREFIX}box:{{{shard}}}")
                count += sum(str(field).startswith("m:") for field in fields)
                count += await store.llen(f"{PREFIX}journal:{{{shard}}}")
            return count

    async def at_rest(self, *, within_s: float | None = None) -> None:
        """Wait until nothing is under way: not at Meta, not in a lane, not on its way to PostgreSQL."""

        async def is_so() -> bool:
            return not self.emulator.pending and not await self.at_work()

        await until(is_so, within_s=within_s or self.patience_s, what="rest")

    async def written(self) -> "Written":
        """What the journal has brought into PostgreSQL."""
        async with Database.open(self.stores.postgres.app) as database:
            [firm] = await list_firms(database)
            async with database.tenant(firm.id) as connection:
                rows = await connection.fetch(
                    "SELECT direction, turn, conversation_id, content->>'text' AS text, "
                    "content->>'body' AS body, wamid FROM smarterbot.messages"
                )
                turns = await connection.fetch(
                    "SELECT conversation_id, turn FROM smarterbot.turns ORDER BY turn"
                )
        owner = await asyncpg.connect(self.stores.postgres.owner)
        try:
            rejects = await owner.fetchval("SELECT count(*) FROM smarterbot.journal_rejects")
        finally:
            await owner.close()
        return Written(rows, turns, rejects)

    def tails(self) -> str:
        """The end of each server's log."""
        return "\n".join(f"--- {server.name}\n{server.last_words()}" for server in self.servers)


async def _true(value: bool) -> bool:
    return value


class Written:
    """The rows of one firm."""

    def __init__(
        self, rows: list[asyncpg.Record], turns: list[asyncpg.Record], rejects: int
    ) -> None:
        self.heard = sorted(row["text"] for row in rows if row["direction"] == "in")
        """The words of the people."""
        out = [row for row in rows if row["direction"] == "out"]
        self.said = sorted(row["body"].split(" ")[1] for row in out)
        """The words that were answered."""
        self.unsent = sum(row["wamid"] is None for row in out)
        """Answers of which PostgreSQL does not know that Meta took them."""
        self.rejects = rejects
        by_conversation: dict[object, list[int]] = {}
        for row in turns:
            by_conversation.setdefault(row["conversation_id"], []).append(row["turn"])
        self.gaps = sum(
            found != list(range(1, len(found) + 1)) for found in by_conversation.values()
        )
        """Conversations whose turns are not 1, 2, 3 …"""


async def kept_by_postgres(site: Installation, town: Town) -> bool:
    """Whether every message and every turn of a town is there, once."""
    written = await site.written()
    words = sorted(town.written)
    return (written.heard, written.said, written.unsent, written.gaps, written.rejects) == (
        *(words, words, 0, 0, 0),
    )


@contextlib.asynccontextmanager
async def installation(
    *,
    webs: int = 1,
    workers: int = 1,
    waits: Waits = BRISK,
    mutants: dict[str, str] | None = None,
    systems: str = "",
) -> AsyncIterator[Installation]:
    """Everything started and ready. From the main thread only.

    Args:
        mutants: by the name of the process (`web-1`, `worker-1` …); see `tests.whole.mutants`.
        systems: address of those that firms are made known to; empty: there are none.
    """
    # The path of a socket has little room.
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield await _build(stack, folder, webs, workers, waits, mutants or {}, systems)
    finally:
        shutil.rmtree(folder)


async def _build(
    stack: contextlib.AsyncExitStack,
    folder: Path,
    webs: int,
    workers: int,
    waits: Waits,
    mutants: dict[str, str],
    systems: str,
) -> Installation:
    with running_postgres(folder) as postgres_urls:
        await migrate(owner_url=postgres_urls.owner, app_url=postgres_urls.app)
    valkey, postgres = Valkey(folder), Postgres(folder)
    for machine in (valkey, postgres):
        stack.callback(machine.discard)
    await asyncio.gather(valkey.start(), postgres.start())
    stores = Stores(redis_url=f"unix://{valkey.socket}", postgres=postgres_urls)

    names: dict[str, Server] = {}

    def who(pid: int) -> str:
        return next((name for name, server in names.items() if server.pid == pid), "other")

    traps = Traps()
    (folder / "pg").mkdir()
    await stack.enter_async_context(store_wire(traps, folder / "v", valkey.socket, who))
    await stack.enter_async_context(
        database_wire(traps, folder / "pg" / postgres.socket.name, postgres.socket, who)
    )

    clock = Clock()
    emulator = Emulator(
        callback_url="",
        app_secret=SECRET,
        numbers=[FAST],
        templates=read_templates(SAMPLES),
        clock=clock,
        pace=Pace(0, 0, 0),
        retries=Retries(first_ms=50, longest_ms=300),
    )
    graph = await stack.enter_async_context(serving(emulator, host="127.0.0.1", port=0))
    graph_port = int(graph.rpartition(":")[2])
    http = await stack.enter_async_context(aiohttp.ClientSession())

    environment = {
        "DATABASE_URL": f"postgresql://{APP}@/{DATABASE}?host={folder / 'pg'}",
        "REDIS_URL": f"unix://{folder / 'v'}",
        "SMARTERBOT_KEYS": f"t1:{base64.b64encode(bytes(32)).decode()}",
        "SMARTERBOT_SHARDS": str(SHARDS),
        "WHATSAPP_APP_SECRET": SECRET,
        "WHATSAPP_VERIFY_TOKEN": "v",
        "WHATSAPP_GRAPH_URL": graph,
        "META_APP_ID": APP_ID,
        "META_CONFIG_ID": CONFIG_ID,
    }
    settings = read_settings(environment)
    await prepare_demo(settings, stores, number=FAST)

    graphs = []
    for role, count in (("web", webs), ("worker", workers)):
        for n in range(1, count + 1):
            wire = GraphWire(traps, f"{role}-{n}", "127.0.0.1", graph_port)
            await stack.enter_async_context(wire.running())
            graphs.append(wire)
            server = Server(
                f"{role}-{n}",
                folder,
                role="web" if role == "web" else "worker",
                environment={**environment, "WHATSAPP_GRAPH_URL": wire.address},
                waits=waits,
                http=http,
            )
            server.mutant = mutants.get(server.name, "")
            server.systems = systems
            names[server.name] = server
            stack.callback(server.discard)
    await asyncio.gather(*(server.start() for server in names.values()))

    web_servers = [server for name, server in names.items() if name.startswith("web")]
    if webs == 1:
        emulator.callback_url = f"{web_servers[0].address}{PATH}"
    else:
        port = await stack.enter_async_context(balancer([server.port for server in web_servers]))
        emulator.callback_url = f"http://127.0.0.1:{port}{PATH}"
    return Installation(
        emulator=emulator,
        valkey=valkey,
        postgres=postgres,
        webs=web_servers,
        workers=[server for name, server in names.items() if name.startswith("worker")],
        graphs=graphs,
        traps=traps,
        stores=stores,
        clock=clock,
        people=People(http, graph),
        waits=waits,
    )
