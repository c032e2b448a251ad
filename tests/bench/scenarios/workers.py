"""More worker processes behind one web: what a message costs as they grow, and how many messages they answer.

On a machine whose cores the load and the stores share, throughput ends where the cores do. So each worker also runs
with a small part of a core: then the cores are never full, and throughput can only grow with the workers.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from tests.bench import server
from tests.bench.driver import Measured, driving
from tests.bench.figures import Goal, Section, Table, at_least, at_most, middle, ratios, spread
from tests.bench.load import Talk
from tests.bench.processes import CORES, cpu_s, free_port, process, wait_for
from tests.bench.quota import may_set, quota
from tests.bench.stores import Ground, bench_ground

WORKERS: Final = (1, 2, 3, 4)
EACH: Final = 15
# For each worker, so that every one has as much to do however many there are.
PEOPLE: Final = 100
AT_ONCE: Final = 32
WARM: Final = Talk(100, each=5)

SHARE: Final = 0.12
"""Of a core, for each worker with a quota: four of them leave room for the web, the stores and the load."""
FLAT: Final = 1.1
LINEAR: Final = 0.9


@dataclass(frozen=True)
class Run:
    measured: Measured
    by_process: tuple[float, ...]
    """CPU of each worker, s."""

    @property
    def evenness(self) -> float:
        """The busiest worker's part over an even part."""
        return max(self.by_process) * len(self.by_process) / sum(self.by_process)


def measure(rounds: int, console: Console) -> Section:
    free: dict[int, list[Run]] = {n: [] for n in WORKERS}
    limited: dict[int, list[Run]] = {n: [] for n in WORKERS}
    faults: list[str] = []
    quotas = may_set()
    with bench_ground(pinned=False) as ground:
        for r in range(rounds):
            for n in WORKERS if r % 2 == 0 else reversed(WORKERS):
                free[n].append(_run(ground, n, 0, faults))
                if quotas:
                    limited[n].append(_run(ground, n, SHARE, faults))
                console.print(
                    f"round {r + 1}/{rounds} · {n} workers: {free[n][-1].measured.cpu_us:.0f} µs a message, "
                    f"{free[n][-1].measured.per_s:.0f}/s"
                    + (
                        f"; with {SHARE:g} core each {limited[n][-1].measured.per_s:.0f}/s"
                        if quotas
                        else ""
                    )
                )
    most = WORKERS[-1]
    flat = ratios(
        [run.measured.cpu_us for run in free[most]], [run.measured.cpu_us for run in free[1]]
    )
    goals = [at_most(f"CPU of a message with {most} workers / with one", flat, FLAT)]
    if quotas:
        linear = [
            many / one / most
            for many, one in zip(
                [run.measured.per_s for run in limited[most]],
                [run.measured.per_s for run in limited[1]],
                strict=True,
            )
        ]
        goals.append(
            at_least(
                f"messages/s of {most} workers of {SHARE:g} core / {most} × one", linear, LINEAR
            )
        )
    else:
        goals.append(
            Goal(
                "messages/s of workers with a part of a core",
                "not measured: no right to set quotas",
            )
        )
    tables = [_table("workers, whole cores", free)]
    if quotas:
        tables.append(_table(f"workers, {SHARE:g} core each", limited))
    return Section(
        title="More workers",
        how=f"{rounds} rounds. One web and 1 to {most} workers, {AT_ONCE} people at once for each, closed loop, no statuses. "
        f"The machine has {len(CORES)} cores, and the load, Valkey and PostgreSQL work on the same ones: messages/s "
        "stop growing when they are full; the cost of a message must not grow.",
        goals=goals,
        tables=tables,
        faults=faults,
    )


def _run(ground: Ground, workers: int, share: float, faults: list[str]) -> Run:
    ground.renew()
    port, graph = free_port(), free_port()
    with ExitStack() as stack:
        pids = []
        for n in range(workers + 1):
            own = port if n == 0 else free_port()
            environment = ground.environment(port=own, graph=graph)
            command = server.command("web" if n == 0 else "worker")
            child = stack.enter_context(
                process(command, env=environment, log=ground.log, cores=CORES)
            )
            wait_for(own, ground.log)
            pids.append(child.pid)
        driver = stack.enter_context(driving(port=port, graph=graph, cores=CORES))
        driver.order(WARM)
        if share:
            for pid in pids[1:]:
                stack.enter_context(quota(pid, share))
        before = [cpu_s(pid) for pid in pids[1:]]
        measured = driver.measure(
            Talk(PEOPLE * workers, each=EACH, at_once=AT_ONCE * workers),
            servers=pids,
            store=ground.store,
        )
        by_process = tuple(cpu_s(pid) - b for pid, b in zip(pids[1:], before, strict=True))
        faults += [f"{workers} workers: {fault}" for fault in driver.faults]
    return Run(measured, by_process)


def _table(name: str, found: dict[int, list[Run]]) -> Table:
    return Table(
        (
            name,
            "CPU µs/message",
            "store µs/message",
            "messages/s",
            "reply p50 / p99 ms",
            "busiest worker / even part",
        ),
        [
            (
                str(n),
                spread([run.measured.cpu_us for run in runs]),
                spread([run.measured.store_us for run in runs]),
                spread([run.measured.per_s for run in runs]),
                f"{middle([run.measured.seen.reply.p50 for run in runs]):.0f} / "
                f"{middle([run.measured.seen.reply.p99 for run in runs]):.0f}",
                spread([run.evenness for run in runs], 2),
            )
            for n, runs in found.items()
        ],
    )
