"""Delivery statuses, the flood (three a reply), one by one and a thousand in one webhook; and a thousand messages."""

from typing import Final

from rich.console import Console

from bot.app import Role
from tests.bench import server
from tests.bench.driver import Driver, Measured, driving
from tests.bench.figures import Goal, Section, Table, at_most, ratios, spread
from tests.bench.load import STATUSES, Accept, Batch, Report, Talk
from tests.bench.processes import free_port, process, wait_for
from tests.bench.stores import Ground, bench_ground

SIZE: Final = 1_000  # Meta batches up to so many
ACCEPT_MS: Final = 100.0
PART: Final = 1 / 5
PEOPLE: Final = 3_000
"""Whose replies the webhooks report: three of a thousand, each with three statuses."""
FAR: Final = 1_000_000
"""People of this number and above write in batches alone."""
TALK: Final = Talk(100, each=15)
SLICES: Final = 2

Found = dict[str, list[Measured]]


def measure(rounds: int, console: Console) -> Section:
    batches: Found = {}
    messages: list[Measured] = []
    statuses: list[Measured] = []
    faults: list[str] = []
    with bench_ground() as ground:
        for n in range(rounds):
            for role in ("web", "all"):
                _round(ground, role, batches, messages, statuses, faults)
            worst = max(
                m.seen.ack.most for name in batches if "statuses" in name for m in batches[name]
            )
            console.print(
                f"round {n + 1}/{rounds} · a status {statuses[-1].cpu_us:.0f} µs, a message {messages[-1].cpu_us:.0f} µs; "
                f"{SIZE} statuses in one webhook: at most {worst:.0f} ms so far"
            )
    goals = [
        at_most(f"{name}, ms to the 200", [m.seen.ack.most for m in rows], ACCEPT_MS, "ms", 1)
        if "statuses" in name
        else Goal(f"{name}, ms to the 200", spread([m.seen.ack.most for m in rows], 1) + " ms")
        for name, rows in batches.items()
    ]
    parts = ratios([m.cpu_us for m in statuses], [m.cpu_us for m in messages])
    goals.append(at_most("one status / one message end to end, CPU", parts, PART, digits=3))
    return Section(
        title="Statuses and large webhooks",
        how=f"{rounds} rounds. One by one: {TALK.people * TALK.each} messages answered, then their {len(STATUSES)} "
        "statuses each, 32 at once, with what both write into PostgreSQL. Large: one webhook at a time.",
        goals=goals,
        tables=[_one_by_one(messages, statuses), _large(batches)],
        faults=faults,
    )


def _round(
    ground: Ground,
    role: Role,
    batches: Found,
    messages: list[Measured],
    statuses: list[Measured],
    faults: list[str],
) -> None:
    ground.renew()
    port, graph = free_port(), free_port()
    environment = ground.environment(port=port, graph=graph)
    with process(server.command(role), env=environment, log=ground.log) as child:
        wait_for(port, ground.log)
        with driving(port=port, graph=graph) as driver:
            servers = [child.pid]
            if role == "all":
                driver.order(TALK)  # warm
                driver.order(Report(TALK.people * TALK.each))
                for _ in range(SLICES):
                    messages.append(driver.measure(TALK, servers=servers, store=ground.store))
                    report = Report(TALK.people * TALK.each)
                    statuses.append(driver.measure(report, servers=servers, store=ground.store))
            else:
                driver.order(Accept(100))
            _batches(ground, role, driver, servers, batches)
            faults += [f"role {role}: {fault}" for fault in driver.faults]


def _batches(
    ground: Ground, role: Role, driver: Driver, servers: list[int], batches: Found
) -> None:
    answers = role == "all"

    def add(name: str, order: Batch) -> None:
        # A web alone writes its journal for a worker to empty: there is none to wait for.
        measured = driver.measure(order, servers=servers, store=ground.store, settles=answers)
        batches.setdefault(f"{name}, role {role}", []).append(measured)

    known = 0
    if answers:
        already = (SLICES + 1) * TALK.people * TALK.each
        driver.measure(Talk(PEOPLE, each=1), servers=servers, store=ground.store)
        known = already
    for start in range(0, PEOPLE, SIZE):
        for what in STATUSES:
            add(f"{SIZE} statuses", Batch(what, SIZE, first=known + start))
    for start in range(0, PEOPLE, SIZE):
        add(f"{SIZE} messages of new people", Batch("messages", SIZE, FAR + start, replies=answers))
        add(
            f"{SIZE} messages of known people",
            Batch("messages", SIZE, FAR + start, replies=answers),
        )


def _one_by_one(messages: list[Measured], statuses: list[Measured]) -> Table:
    return Table(
        ("one by one", "CPU µs", "store µs", "per s"),
        [
            (
                name,
                spread([m.cpu_us for m in rows]),
                spread([m.store_us for m in rows]),
                spread([m.per_s for m in rows]),
            )
            for name, rows in (("a message, end to end", messages), ("a status", statuses))
        ],
    )


def _large(batches: Found) -> Table:
    return Table(
        ("one webhook", "ms to the 200", "CPU ms", "store ms", "ms to the last reply"),
        [
            (
                name,
                spread([m.seen.ack.most for m in rows], 1),
                spread([m.cpu_s * 1000 for m in rows], 1),
                spread([m.store_s * 1000 for m in rows], 1),
                spread([m.seen.reply.most for m in rows]) if rows[0].seen.replies else "–",
            )
            for name, rows in batches.items()
        ],
    )
