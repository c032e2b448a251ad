"""Our server against its peers: CPU a message and messages a second, as ratios.

What is compared runs at the same time and is measured in turns, slice by slice: the machine's speed moves within a
minute, so only neighbours are compared.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.bench import server
from tests.bench.driver import Driver, Measured, driving
from tests.bench.figures import Goal, Section, Table, at_least, at_most, ratios, spread
from tests.bench.load import Accept, Talk
from tests.bench.processes import free_port, process, wait_for
from tests.bench.stores import Ground, bench_ground

PEERS: Final = Path(__file__).parent.parent / "peers"
PEER_PYTHON: Final = PEERS.parent.parent.parent / ".venv-bench/bin/python"

SLICES: Final = 3
SLICE_CPU_S: Final = 0.6
"""What a slice costs the server at least: less would be noise."""
EACH: Final = 15
PEOPLE_MIN: Final = 40
WARM: Final = 100  # people

BARE: Final = "bare aiohttp handler"
WEB: Final = "SmarterBot, accept only (role web)"
MINIMAL: Final = "minimal aiohttp + Redis echo"
WHOLE: Final = "SmarterBot, end to end"
PYWA: Final = "pywa async + FastAPI echo"
RECEIPTS: Final = "SmarterBot, with read receipts"


@dataclass(frozen=True)
class Peer:
    name: str
    command: Sequence[str]
    """Without its ports."""
    own: bool = False
    """Ours: it takes its ports from the environment."""
    talks: bool = True

    def order(self, people: int) -> Accept | Talk:
        if self.talks:
            return Talk(people, each=EACH, statuses=True)
        return Accept(people, each=EACH)


@dataclass
class Running:
    peer: Peer
    driver: Driver
    pid: int
    people: int = WARM
    slices: list[Measured] = field(default_factory=list)


def groups(store_url: str) -> list[tuple[bool, list[Peer]]]:
    """What is compared with each other; first whether the firm sends read receipts."""
    minimal = [sys.executable, str(PEERS / "minimal.py"), "--store", store_url]
    return [
        (
            False,
            [
                Peer(BARE, [sys.executable, str(PEERS / "bare.py")], talks=False),
                Peer(WEB, server.command("web"), own=True, talks=False),
            ],
        ),
        (
            False,
            [
                Peer(MINIMAL, minimal),
                Peer(WHOLE, server.command(), own=True),
                Peer(PYWA, [str(PEER_PYTHON), str(PEERS / "pywa_echo.py")]),
            ],
        ),
        (True, [Peer(RECEIPTS, server.command(), own=True)]),
    ]


def measure(rounds: int, console: Console) -> Section:
    if not PEER_PYTHON.exists():
        raise SystemExit("no .venv-bench: run `make bench`, which makes it")
    found: dict[str, list[Measured]] = {}
    faults: list[str] = []
    with bench_ground() as ground:
        for n in range(rounds):
            for receipts, compared in groups(ground.store.url):
                ground.renew(receipts=receipts)
                for one in _round(ground, compared):
                    found.setdefault(one.peer.name, []).extend(one.slices)
                    faults += [f"{one.peer.name}: {fault}" for fault in one.driver.faults]
                    console.print(
                        f"round {n + 1}/{rounds} · {one.peer.name}: "
                        f"{spread([s.cpu_us for s in one.slices])} µs CPU, {spread([s.per_s for s in one.slices])}/s"
                    )
    return Section(
        title="Against peers",
        how=f"{rounds} rounds of {SLICES} slices, each of at least {SLICE_CPU_S:g} s of the server's CPU; in a round "
        "the compared servers run side by side and are measured in turns. Closed loop, 32 people at once, three "
        "statuses a reply.",
        goals=_goals(found),
        tables=[_table(found)],
        faults=faults,
    )


def _round(ground: Ground, compared: list[Peer]) -> list[Running]:
    with ExitStack() as stack:
        running = []
        for peer in compared:
            port, graph = free_port(), free_port()
            command = [*peer.command]
            if not peer.own:
                command += ["--port", str(port)]
                command += ["--graph", f"http://127.0.0.1:{graph}"] if peer.talks else []
            environment = ground.environment(port=port, graph=graph)
            child = stack.enter_context(process(command, env=environment, log=ground.log))
            wait_for(port, ground.log)
            driver = stack.enter_context(driving(port=port, graph=graph))
            running.append(Running(peer, driver, child.pid))
        for one in running:
            warm = _slice(ground, one)
            needed = SLICE_CPU_S / (warm.cpu_us / 1e6) / EACH
            one.people = max(PEOPLE_MIN, round(needed))
        for n in range(SLICES):
            for one in running if n % 2 == 0 else reversed(running):
                one.slices.append(_slice(ground, one))
        return running


def _slice(ground: Ground, one: Running) -> Measured:
    return one.driver.measure(one.peer.order(one.people), servers=[one.pid], store=ground.store)


def _table(found: dict[str, list[Measured]]) -> Table:
    return Table(
        (
            "",
            "CPU µs/message",
            "store µs/message",
            "messages/s",
            "reply p50 / p99 ms",
            "ack p99 ms",
        ),
        [
            (
                name,
                spread([s.cpu_us for s in slices]),
                spread([s.store_us for s in slices]),
                spread([s.per_s for s in slices]),
                f"{spread([s.seen.reply.p50 for s in slices], 1)} / {spread([s.seen.reply.p99 for s in slices], 1)}",
                spread([s.seen.ack.p99 for s in slices], 1),
            )
            for name, slices in found.items()
        ],
    )


def _goals(found: dict[str, list[Measured]]) -> list[Goal]:
    def cpu(above: str, below: str) -> list[float]:
        return ratios([s.cpu_us for s in found[above]], [s.cpu_us for s in found[below]])

    def per_s(above: str, below: str) -> list[float]:
        return ratios([s.per_s for s in found[above]], [s.per_s for s in found[below]])

    return [
        at_most("accept path / bare handler, CPU", cpu(WEB, BARE), 1.5),
        at_least("end to end / pywa, messages per s", per_s(WHOLE, PYWA), 5),
        Goal("pywa / end to end, CPU", spread(cpu(PYWA, WHOLE), 2)),
        at_least("end to end / minimal echo, messages per s", per_s(WHOLE, MINIMAL), 1),
        Goal("end to end / minimal echo, CPU", spread(cpu(WHOLE, MINIMAL), 2)),
    ]
