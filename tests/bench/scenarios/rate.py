"""The answer to Meta at a fixed rate, whatever the server does meanwhile, and the highest rate that it bears.

Open loop: each webhook has a time at which it is due, and its latency is counted from then, so a server that stalls
cannot slow down the question.
"""

from dataclasses import dataclass
from typing import Final

from rich.console import Console

from bot.app import Role
from tests.bench import server
from tests.bench.driver import Measured, driving
from tests.bench.figures import Goal, Section, Table, at_most, spread
from tests.bench.load import Accept, Rate, Talk
from tests.bench.processes import free_port, process, wait_for
from tests.bench.stores import Ground, bench_ground

PER_S: Final = 1_000.0
STATUSES: Final = 3
P99_MS: Final = 250.0
SECONDS: Final = 6.0
RATES: Final = (2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000)
REFINE: Final = 2
"""Halvings between the last rate that held and the first that did not."""


@dataclass(frozen=True)
class Case:
    name: str
    role: Role
    order: Rate


CASES: Final = (
    Case("1,000 messages/s, role web alone", "web", Rate(PER_S, SECONDS)),
    Case(
        "250 messages/s, answered, and their 750 statuses/s, one process for all",
        "all",
        Rate(PER_S / (1 + STATUSES), SECONDS, mix=True),
    ),
)


def measure(rounds: int, console: Console) -> Section:
    found: dict[str, list[Measured]] = {case.name: [] for case in CASES}
    highest: list[float] = []
    steps: list[tuple[float, Measured]] = []
    faults: list[str] = []
    with bench_ground() as ground:
        for n in range(rounds):
            for case in CASES:
                [measured] = _run(ground, case.role, [case.order], faults)
                found[case.name].append(measured)
                console.print(
                    f"round {n + 1}/{rounds} · {case.name}: ack p99 {measured.seen.ack.p99} ms"
                )
            held, tried = _highest(ground, faults)
            highest.append(held)
            steps += tried
            console.print(f"round {n + 1}/{rounds} · p99 holds up to {held:,.0f}/s")
    goals = [
        at_most(
            f"ack p99, {case.name}", [m.seen.ack.p99 for m in found[case.name]], P99_MS, "ms", 1
        )
        for case in CASES
    ]
    goals.append(
        Goal(f"highest rate with ack p99 ≤ {P99_MS:g} ms, role web alone, per s", spread(highest))
    )
    return Section(
        title="A fixed rate",
        how=f"{rounds} rounds of {SECONDS:g} s for each rate. Latency is counted from the moment at which a webhook was "
        "due (no coordinated omission); statuses, from the moment their message reached that state. The highest rate is the load's or the store's own end where their core is full first.",
        goals=goals,
        tables=[_cases(found), _steps(steps)],
        faults=faults,
    )


def _run(ground: Ground, role: Role, orders: list[Rate], faults: list[str]) -> list[Measured]:
    ground.renew()
    port, graph = free_port(), free_port()
    environment = ground.environment(port=port, graph=graph)
    with process(server.command(role), env=environment, log=ground.log) as child:
        wait_for(port, ground.log)
        with driving(port=port, graph=graph) as driver:
            driver.order(Accept(200) if role == "web" else Talk(100, statuses=True))
            found = [
                driver.measure(order, servers=[child.pid], store=ground.store) for order in orders
            ]
            faults += [f"{role}: {fault}" for fault in driver.faults]
    return found


def _highest(ground: Ground, faults: list[str]) -> tuple[float, list[tuple[float, Measured]]]:
    """The highest rate at which p99 holds, and every rate that was tried."""
    tried: list[tuple[float, Measured]] = []

    def holds(per_s: float) -> bool:
        # What is refused beyond the limit is the server's right, so it is no fault here.
        [measured] = _run(ground, "web", [Rate(per_s, SECONDS)], [])
        tried.append((per_s, measured))
        return measured.seen.ack.p99 <= P99_MS and not measured.seen.refused

    held, broke = PER_S, 0.0
    for per_s in RATES:
        if not holds(per_s):
            broke = per_s
            break
        held = per_s
    for _ in range(REFINE if broke else 0):
        middle = (held + broke) / 2
        if holds(middle):
            held = middle
        else:
            broke = middle
    return held, tried


def _cases(found: dict[str, list[Measured]]) -> Table:
    return Table(
        (
            "",
            "ack p50 ms",
            "p99 ms",
            "max ms",
            "reply p50 / p99 ms",
            "server's core",
            "store's and load's",
            "load late p99 ms",
        ),
        [
            (
                name,
                spread([m.seen.ack.p50 for m in rows], 1),
                spread([m.seen.ack.p99 for m in rows], 1),
                spread([m.seen.ack.most for m in rows], 1),
                f"{spread([m.seen.reply.p50 for m in rows], 1)} / {spread([m.seen.reply.p99 for m in rows], 1)}",
                *_busy(rows),
                spread([m.seen.late.p99 for m in rows], 1),
            )
            for name, rows in found.items()
        ],
    )


def _steps(steps: list[tuple[float, Measured]]) -> Table:
    rows = []
    for per_s in sorted({per_s for per_s, _ in steps}):
        at = [m for tried, m in steps if tried == per_s]
        rows.append(
            (
                f"{per_s:,.0f}",
                spread([m.seen.ack.p50 for m in at], 1),
                spread([m.seen.ack.p99 for m in at], 1),
                spread([m.seen.ack.most for m in at], 1),
                *_busy(at),
                spread([m.seen.late.p99 for m in at], 1),
            )
        )
    head = (
        "webhooks/s, role web alone",
        "ack p50 ms",
        "p99 ms",
        "max ms",
        "server's core",
        "store's and load's",
        "load late p99 ms",
    )
    return Table(head, rows)


def _busy(measured: list[Measured]) -> tuple[str, str]:
    """How busy the cores were, in percent: the server's, and the one that Valkey and the load share."""
    server = [100 * m.cpu_s / m.seen.seconds for m in measured]
    other = [100 * (m.store_s + m.load_s) / m.seen.seconds for m in measured]
    return f"{spread(server)} %", f"{spread(other)} %"
