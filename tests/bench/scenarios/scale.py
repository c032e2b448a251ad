"""A million idle conversations: what each weighs in the store, and what a turn costs among them.

Two stores, one with a thousand and one with a million conversations, each with its own server; the same number of
people write to both, in turns, so that only the size of the store differs.
"""

import asyncio
import random
from contextlib import ExitStack
from typing import Final

from rich.console import Console

from bot.lanes import PREFIX, Wire
from bot.lanes.install import SHARDS
from bot.people.addresses import Addresses
from bot.people.channels import list_channels
from bot.store.database import Database
from handlers.ports import Channel
from tests.bench import server
from tests.bench.crowd import Crowd, Left, check, left_behind
from tests.bench.driver import Driver, Measured, driving
from tests.bench.figures import Section, Table, at_most, ratios, spread
from tests.bench.load import Talk
from tests.bench.processes import free_port, memory_mb, process, wait_for
from tests.bench.stores import BenchStore, Ground, bench_ground

FEW: Final = 1_000
MANY: Final = 1_000_000
BYTES: Final = 1024
PART: Final = 1.1

WORDS: Final = ("hola", "a qué hora abren", "cuánto vale la marraqueta")
"""What everybody wrote: each is answered."""
MODELS: Final = 6
WRITERS: Final = 800
AT_ONCE: Final = 400
"""The product's flow waits 1.5 s for more words: that many wait at the same time."""
SLICES: Final = 4
"""For each round, of each store."""
WARM: Final = 3
"""Slices that do not count: a store that was just filled has its free memory in one heap of pieces."""
SEED: Final = 20261122

KEYS: Final = {
    "state (box)": "box:",
    "timer (ready)": "ready:",
    "addresses (alias, two)": "alias:",
    f"dedupe marks (seen, {len(WORDS)} messages, for eight days)": "seen:",
}


def measure(rounds: int, console: Console) -> Section:
    with bench_ground(stores=2) as ground, ExitStack() as stack:
        crowd, model = _model(ground)
        ground.renew(receipts=True)
        small, large = ground.stores
        _fill(crowd, small, FEW)
        weights = _fill(crowd, large, MANY)
        console.print(f"filled: {weights}")
        drivers = []
        for store in ground.stores:
            port, graph = free_port(), free_port()
            environment = ground.environment(port=port, graph=graph, store=store)
            command = server.command(product=True)
            child = stack.enter_context(process(command, env=environment, log=ground.log))
            wait_for(port, ground.log)
            drivers.append((stack.enter_context(driving(port=port, graph=graph)), child.pid, store))
        found: list[list[Measured]] = [[], []]
        for n in range(WARM + rounds * SLICES):
            for which in (0, 1) if n % 2 else (1, 0):
                driver, pid, store = drivers[which]
                measured = _slice(driver, pid, store, (FEW, MANY)[which])
                if n >= WARM:
                    found[which].append(measured)
            if n >= WARM:
                few, many = (rows[-1] for rows in found)
                console.print(
                    f"slice {n - WARM + 1}: a message {few.cpu_us:.0f} → {many.cpu_us:.0f} µs, "
                    f"its store {few.store_us:.0f} → {many.store_us:.0f} µs"
                )
        faults = [fault for driver, _, _ in drivers for fault in driver.faults]
    few_rows, many_rows = found
    return Section(
        title="A million conversations",
        how=f"Every conversation is what the product's own flow left after {len(WORDS)} messages (compared byte for byte "
        f"with {MODELS} real ones), all keys counted. Then {WRITERS} of the people in each store write, in turns, "
        f"{rounds * SLICES} slices; they are answered by the same flow.",
        goals=[
            at_most(
                "memory of an idle conversation in the store",
                [weights["used memory"]],
                BYTES,
                "B",
                0,
            ),
            at_most(
                "the same as resident memory of its process",
                [weights["resident memory"]],
                BYTES,
                "B",
                0,
            ),
            at_most(
                "CPU of a message, at a million / at a thousand",
                ratios([m.cpu_us for m in many_rows], [m.cpu_us for m in few_rows]),
                PART,
            ),
            at_most(
                "CPU of the store for it, at a million / at a thousand",
                ratios([m.store_us for m in many_rows], [m.store_us for m in few_rows]),
                PART,
            ),
            at_most(
                "both together",
                ratios(
                    [m.cpu_us + m.store_us for m in many_rows],
                    [m.cpu_us + m.store_us for m in few_rows],
                ),
                PART,
            ),
        ],
        tables=[
            Table(
                ("bytes a conversation", ""),
                [(name, f"{size:,.0f}") for name, size in weights.items()]
                + [("the state itself, as JSON", f"{len(model.state[2]):,}")],
            ),
            Table(
                ("conversations", "CPU µs/message", "store µs/message", "ack p99 ms"),
                [
                    (
                        f"{count:,}",
                        spread([m.cpu_us for m in rows]),
                        spread([m.store_us for m in rows]),
                        spread([m.seen.ack.p99 for m in rows], 1),
                    )
                    for count, rows in zip((FEW, MANY), found, strict=True)
                ],
            ),
        ],
        faults=faults,
    )


def _model(ground: Ground) -> tuple[Crowd, Left]:
    """The crowd's model, from real people who wrote to a real server."""
    ground.renew(receipts=True)
    port, graph = free_port(), free_port()
    environment = ground.environment(port=port, graph=graph)
    with process(server.command(product=True), env=environment, log=ground.log):
        wait_for(port, ground.log)
        with driving(port=port, graph=graph) as driver:
            driver.order(Talk(MODELS, each=len(WORDS), words=WORDS, statuses=True))
            if driver.faults:
                raise SystemExit(f"the models were not answered: {driver.faults}")
            run = driver.run
        ground.store.settle()
    channel, addresses = asyncio.run(_directory(ground))
    real = left_behind(ground.store, addresses, channel, run=run)
    if len(real) != MODELS:
        raise SystemExit(f"{len(real)} conversations were left by {MODELS} people")
    crowd = Crowd(channel, addresses, real[0], run=run)
    check(crowd, ground.store, real)
    return crowd, real[0]


async def _directory(ground: Ground) -> tuple[Channel, Addresses]:
    """The number that people write to, and who knows where their addresses lie."""
    async with Database.open(ground.postgres.app) as database:
        [sealed] = await list_channels(database)
        async with database.system() as connection:
            pepper = await connection.fetchval("SELECT pepper FROM smarterbot.installation")
    wire = await Wire.open(ground.store.url)
    await wire.close()  # they are asked for places only
    return sealed.channel, Addresses(wire, pepper=pepper, shards=SHARDS)


def _fill(crowd: Crowd, store: BenchStore, people: int) -> dict[str, float]:
    """Fill a store; answers how many bytes each conversation takes, by kind of key and in all."""
    client = store.client
    before, rss_before = int(client.info("memory")["used_memory"]), memory_mb(store.pid)[0]
    # What is written here is no part of the measurement; what comes after is.
    client.config_set("appendfsync", "no")
    client.config_set("auto-aof-rewrite-percentage", 0)
    crowd.fill(store, range(people), rng=random.Random(SEED))
    client.config_set("appendfsync", "always")
    weights: dict[str, float] = {"used memory": 0.0}
    for name, start in KEYS.items():
        keys = client.keys(f"{PREFIX}{start}*")
        weights[name] = sum(client.memory_usage(key, samples=0) or 0 for key in keys) / people
    weights["used memory"] = (int(client.info("memory")["used_memory"]) - before) / people
    weights["resident memory"] = (memory_mb(store.pid)[0] - rss_before) * 1e6 / people
    return weights


def _slice(driver: Driver, pid: int, store: BenchStore, people: int) -> Measured:
    """Some of the people write once more, the same number in both stores."""
    order = Talk(
        WRITERS,
        each=1,
        at_once=AT_ONCE,
        statuses=True,
        first=0,
        stride=people // WRITERS,
        words=WORDS[1:2],
    )
    return driver.measure(order, servers=[pid], store=store)
