"""The crash matrix: each process is killed at each named point, under load, again and again.

python -m tests.whole.crash_matrix [--trials 20] [--only worker/posted] [--waits brisk|production] [--keep FILE] [--json] [--write]

A cell is a victim and a point. In each trial a trap stops the web or the worker process at the point, the victim gets
kill -9 while it is stopped there, and is started again; people write all the while. A cell has an installation of its
own, and ends with a look at everything that its people wrote. `--write` puts the table into CRASHES.md.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from bot.app import Waits
from bot.cli.output import print_line
from bot.embedded.postgres import postgres_binaries
from bot.embedded.valkey import valkey_binary
from tests.whole.installation import Installation, installation
from tests.whole.machines import Machine
from tests.whole.people import until
from tests.whole.town import Town, Verdict
from tests.whole.traps import Exchange, Point
from tests.whole.waits import BRISK

TRIALS: Final = 20
PER_S: Final = 30.0
"""Messages a second while a cell is at work."""
WARM_UP_S: Final = (0.3, 0.8)
"""Between two trials: the trap is set at a moment that nobody chose."""
MISSES_MAX: Final = 40
"""Trials in which the victim was gone before the kill; they do not count."""
REPORT: Final = Path(__file__).with_name("CRASHES.md")

VICTIMS: Final = ("web", "worker", "valkey", "postgres")


# ------------------------------------------------------------------ points


def _is_message(exchange: Exchange) -> bool:
    return exchange.argument(2).startswith(b"conv/") and exchange.answer.startswith(
        b"$7\r\nwaiting"
    )


def _took_conversation(exchange: Exchange) -> bool:
    return b"conv/" in exchange.answer


def _of_turn(exchange: Exchange) -> bool:
    return exchange.argument(2).startswith(b"conv/") and b"wa/" in b" ".join(exchange.words[-3:])


def _of_send(exchange: Exchange) -> bool:
    return exchange.argument(2).startswith(b"wa/")


def _of_turns(exchange: Exchange) -> bool:
    return any(b"INTO smarterbot.turns" in statement for statement in exchange.words)


def _any(_exchange: Exchange) -> bool:
    return True


HEARD: Final = Point(
    "heard", "web", "put", "answer", _is_message, "the message is durable, 200 is not answered"
)
CLAIMED: Final = Point(
    "claimed",
    "worker",
    "claim",
    "answer",
    _took_conversation,
    "the conversation is leased, the worker does not know",
)
DECIDED: Final = Point(
    "decided",
    "worker",
    "commit",
    "request",
    _of_turn,
    "the turn is made, its commit has not arrived",
)
COMMITTED: Final = Point(
    "committed", "worker", "commit", "answer", _of_turn, "the turn is committed, nothing is sent"
)
POSTED: Final = Point(
    "posted",
    "worker",
    "POST",
    "answer",
    _any,
    "Graph has taken the message, its answer is on the way",
)
ANSWERED: Final = Point(
    "answered",
    "worker",
    "commit",
    "request",
    _of_send,
    "Graph has answered, the send is not marked as done",
)
MARKED: Final = Point(
    "marked",
    "worker",
    "commit",
    "answer",
    _of_send,
    "the send is marked as done, the worker does not know",
)
WRITING: Final = Point(
    "journal, before commit",
    "worker",
    "COMMIT",
    "request",
    _of_turns,
    "a batch is inserted, not committed",
)
WRITTEN: Final = Point(
    "journal, before trim", "worker", "journal_trim", "request", _any, "a batch is in PostgreSQL and still in the store"
)  # fmt: skip
POINTS: Final = (
    HEARD, CLAIMED, DECIDED, COMMITTED, POSTED, ANSWERED, MARKED, WRITING, WRITTEN,
)  # fmt: skip
STOPPING: Final = "stopping"
"""The victim has been told to stop, has work under way, and is killed while it stops."""
PLACES: Final = (*(point.name for point in POINTS), STOPPING)


# ------------------------------------------------------------------ trials


class MissedError(Exception):
    """The victim had ended by itself before the kill."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One kill. Seconds since it."""

    next_reply_s: float
    """Until the first message was sent that had not been on its way."""
    caught_up_s: float
    """Until everything was answered that had been written before the kill."""


@dataclass(slots=True)
class Cell:
    """A victim, a point, and what came of it."""

    victim: str
    place: str
    mutant: str = ""
    """What is wrong with the victim on purpose; see `tests.whole.mutants`."""
    trials: list[Trial] = field(default_factory=list)
    misses: int = 0
    verdict: Verdict | None = None
    journal_wrong: int = 0
    """Messages that PostgreSQL lacks or has twice, turns that are missing, lines put aside."""
    left_over: int = 0
    """Lanes at work, journal lines and dead letters in the store when all is over."""

    @property
    def is_clean(self) -> bool:
        verdict = self.verdict
        return (
            verdict is not None
            and verdict.is_clean
            and not self.journal_wrong
            and not self.left_over
        )


async def run_cell(
    victim: str,
    place: str,
    trials: int,
    *,
    mutant: str = "",
    waits: Waits = BRISK,
    chance: random.Random,
) -> Cell:
    """All trials of a cell, in an installation of its own."""
    mutants = {f"{victim}-1": mutant} if mutant else {}
    async with installation(waits=waits, mutants=mutants) as site:
        return await try_cell(site, victim, place, trials, mutant=mutant, chance=chance)


async def try_cell(
    site: Installation,
    victim: str,
    place: str,
    trials: int,
    *,
    mutant: str = "",
    chance: random.Random,
) -> Cell:
    """All trials of a cell, with people who are new in town."""
    cell = Cell(victim, place, mutant)
    town = Town(site.emulator, seed=chance.randrange(1_000))
    async with asyncio.TaskGroup() as group:
        load = group.create_task(town.keep_writing(PER_S))
        while len(cell.trials) < trials:
            await asyncio.sleep(chance.uniform(*WARM_UP_S))
            try:
                cell.trials.append(await strike(site, town, victim, place, chance=chance))
            except MissedError:
                cell.misses += 1
                assert cell.misses <= MISSES_MAX, f"{victim}/{place}: the victim is never there"
        load.cancel()
    await look_back(site, town, cell)
    return cell


async def strike(
    site: Installation, town: Town, victim: str, place: str, *, chance: random.Random
) -> Trial:
    """Kill the victim at the point, start it again, wait until all is well.

    Raises:
        MissedError: it had ended before.
    """
    machine = site.machine(victim if victim in ("valkey", "postgres") else f"{victim}-1")
    if place == STOPPING:
        point = HEARD if victim == "web" else POSTED
    else:
        point = next(point for point in POINTS if point.name == place)
    before: list[str] = []

    async def stopped() -> None:
        if place == STOPPING:
            await _begin_to_stop(machine, chance)
        before.extend(town.written)

    try:
        struck_ms = await kill_at(site, point, machine, while_stopped=stopped)
    finally:
        await machine.start()
        caught_up_ms = await site.answers(town, before)
    next_ms = await _next_reply(site, struck_ms)
    gone = [server.name for server in site.servers if not server.is_running]
    assert not gone, f"{gone} ended because {machine.name} was killed\n{site.tails()}"
    return Trial((next_ms - struck_ms) / 1000, max(0, caught_up_ms - struck_ms) / 1000)


async def kill_at(
    site: Installation,
    point: Point,
    machine: Machine,
    *,
    before: Callable[[], Awaitable[None]] | None = None,
    while_stopped: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Kill a machine when somebody is at the point; answers the moment, ms since the epoch.

    Args:
        before: called once the trap is set, for what leads into it.

    Raises:
        MissedError: it had ended before.
    """
    with site.traps.set(point) as trap:
        if before is not None:
            await before()
        caught = await trap.sprung()
        if while_stopped is not None:
            await while_stopped()
        assert trap.is_holding
        struck_ms = site.now_ms()
        machine.send(signal.SIGKILL)
        if await machine.end(within_s=5) != -signal.SIGKILL:
            raise MissedError
        # A request of a process that died was never sent; one of a process that lives goes on its way.
        trap.release(drop=caught.process == machine.name)
    return struck_ms


async def _begin_to_stop(machine: Machine, chance: random.Random) -> None:
    machine.send(signal.SIGTERM)
    if machine.name == "valkey":
        # It looks for the signal ten times a second, and is gone a moment later.
        await asyncio.sleep(chance.uniform(0, 0.1))
    else:
        await until(lambda: _is_stopping(machine), what="the stop")


async def _is_stopping(machine: Machine) -> bool:
    return not await machine.is_ready()


async def _next_reply(site: Installation, after_ms: int) -> int:
    async def is_there() -> bool:
        return site.asked_after(after_ms) is not None

    await until(is_there, within_s=site.patience_s, what="the next reply")
    found = site.asked_after(after_ms)
    assert found is not None
    return found


async def look_back(site: Installation, town: Town, cell: Cell) -> None:
    """When everything has settled: what the people saw, what PostgreSQL holds, what the store still holds."""
    await site.answers(town, town.written)
    with contextlib.suppress(TimeoutError):
        await site.at_rest()
    cell.verdict = town.verdict()
    written = await site.written()
    cell.journal_wrong = (
        _differ(written.heard, town.written)
        + _differ(written.said, town.written)
        + written.unsent
        + written.gaps
        + written.rejects
    )
    cell.left_over = await site.at_work() + (await site.depths()).dead


def _differ(found: Sequence[str], expected: Sequence[str]) -> int:
    """How many of the expected words are missing, or there too often."""
    times = Counter(found)
    return sum(abs(times[word] - 1) for word in expected)


# ------------------------------------------------------------------ the whole matrix


CONTROL: Final = ("worker", POSTED.name, "sends-again")
"""A cell that must not be clean: a worker that takes no notice of doubts and proofs."""


async def run_matrix(
    cells: Sequence[tuple[str, str, str]],
    trials: int,
    *,
    waits: Waits,
    seed: int,
    keep: Path | None,
) -> list[Cell]:
    """One cell (victim, place, mutant) after the other, telling how it goes; those in the file `keep` are done."""
    known = _kept(keep)
    done = []
    began = time.monotonic()
    for n, (victim, place, mutant) in enumerate(cells, start=1):
        cell = known.get((victim, place, mutant))
        if cell is None:
            chance = random.Random(f"{seed} {victim} {place}")
            cell = await run_cell(victim, place, trials, mutant=mutant, waits=waits, chance=chance)
            if keep is not None:
                with keep.open("ab") as file:
                    file.write(msgspec.json.encode(cell) + b"\n")
        done.append(cell)
        minutes = (time.monotonic() - began) / 60
        print_line(f"{n}/{len(cells)} {minutes:.0f} min  {_row(cell)}")
    return done


def _kept(keep: Path | None) -> dict[tuple[str, str, str], Cell]:
    if keep is None or not keep.exists():
        return {}
    cells = [msgspec.json.decode(line, type=Cell) for line in keep.read_bytes().splitlines()]
    return {(cell.victim, cell.place, cell.mutant): cell for cell in cells}


_HEAD: Final = (
    "| victim | killed at | trials | messages in | replies out | doubled | lost | out of order | journal wrong | left over "
    "| next reply s, median / max | all caught up s, median / max |\n|" + "---|" * 12
)


def _row(cell: Cell) -> str:
    verdict = cell.verdict
    assert verdict is not None
    nexts = [trial.next_reply_s for trial in cell.trials]
    ups = [trial.caught_up_s for trial in cell.trials]
    columns = (
        cell.victim + (f" ({cell.mutant})" if cell.mutant else ""),
        *(cell.place, len(cell.trials), verdict.messages, verdict.replies),
        *(verdict.doubled, verdict.lost, verdict.inverted + verdict.miscounted),
        *(cell.journal_wrong, cell.left_over),
        *(f"{statistics.median(found):.1f} / {max(found):.1f}" for found in (nexts, ups)),
    )
    return f"| {' | '.join(map(str, columns))} |"


def report(cells: Sequence[Cell], *, waits: Waits, seed: int) -> str:
    """CRASHES.md."""
    kills = sum(len(cell.trials) for cell in cells)
    misses = sum(cell.misses for cell in cells)
    messages = sum(cell.verdict.messages for cell in cells if cell.verdict)
    meanings = "\n".join(f"- **{point.name}**: {point.meaning}." for point in POINTS)
    rows = "\n".join(map(_row, cells))
    return f"""\
# Killed at every point

Made by `python -m tests.whole.crash_matrix --trials {max(len(cell.trials) for cell in cells)} --write` (seed {seed}), on {datetime.now(UTC):%Y-%m-%d}:
{kills} kills, {messages} messages. {_machine()}

`web` and `worker` are processes of their own, on a Valkey with `appendfsync always` and a PostgreSQL with its own
defaults, and the emulator plays Meta. People write {PER_S:.0f} messages a second. In each trial one of the two is stopped
at the point by a wire that holds its request or the answer to it; then the victim gets `kill -9`, and is started
again. A lease is {waits.lease_ms / 1000:.1f} s here, the wait for a status after a crash {waits.outage_doubt_ms / 1000:.1f} s (15 s and 60 s in production): what is in
doubt is answered after both, and that is what "all caught up" mostly shows.

{meanings}
- **{STOPPING}**: the victim was told to stop, has work under way, and is killed while it stops.

doubled: the same message answered twice. lost: never answered. out of order: answered after a later one of the same
person, or with a count that skips or repeats a turn. journal wrong: messages or turns that PostgreSQL lacks or has
twice. left over: lanes at work and dead letters in the store when all is over. next reply: from the kill to the next
send that begins. all caught up: from the kill until everything was answered that had been written before it. A start of
the process is part of both. The kill hit the victim alive and somebody at the point in every trial; {misses} in which the
victim had ended by itself a moment before were repeated.

The last row is the control: a worker that takes no notice of doubts and proofs, so that what was posted is sent again.

{_HEAD}
{rows}
"""


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(
        subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
        .stdout.strip()
        .split(" sha=")[0]
        for binary in (valkey_binary(), postgres_binaries() / "postgres")
    )
    return f"{platform.system()} {platform.release().split('-')[0]}, {cores} cores, Python {platform.python_version()}, {versions}."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--only", action="append", default=[], help="victim/point; may be repeated")
    parser.add_argument("--waits", choices=["brisk", "production"], default="brisk")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--keep", type=Path, help="file of the cells that are done: go on from there"
    )
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    asked = parser.parse_args()
    waits = BRISK if asked.waits == "brisk" else Waits()
    cells = [
        (victim, place, mutant)
        for victim, place, mutant in (
            *((victim, place, "") for place in PLACES for victim in VICTIMS),
            CONTROL,
        )
        if not asked.only or f"{victim}/{place}{f'/{mutant}' if mutant else ''}" in asked.only
    ]
    found = uvloop.run(
        run_matrix(cells, asked.trials, waits=waits, seed=asked.seed, keep=asked.keep)
    )
    if asked.write:
        REPORT.write_text(report(found, waits=waits, seed=asked.seed))
    if asked.json:
        print_line(msgspec.json.encode(found).decode())
    sys.exit(0 if all(cell.is_clean != bool(cell.mutant) for cell in found) else 1)


if __name__ == "__main__":
    main()
