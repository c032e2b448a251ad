"""`make bench ARGS="--profile"`: where the hottest paths spend their time, by py-spy, from outside the process."""

import re
import signal
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bot.app import Role
from tests.bench import server
from tests.bench.driver import Driver, driving
from tests.bench.load import Accept, Report, Talk
from tests.bench.processes import OTHER_CORES, free_port, on, process, wait_for
from tests.bench.scenarios.peers import PEER_PYTHON
from tests.bench.stores import bench_ground

PY_SPY: Final = PEER_PYTHON.with_name("py-spy")
RATE: Final = 400  # samples a second
SECONDS: Final = 8.0
TOP: Final = 20
FRAME: Final = re.compile(r"(.+) \((.+?)(?::\d+)?\)")


LOOP: Final = ("Runner.run", "asyncio/runners.py")
"""uvloop is C and shows as its caller: waiting for sockets, reading them, calling back."""

Order = Accept | Talk | Report


@dataclass(frozen=True)
class Hot:
    """A path, and the order that keeps it busy."""

    name: str
    role: Role
    order: Order
    first: Order | None = None
    """What the order needs each time, outside of the profile."""


TALK: Final = Talk(100, each=15)
HOT: Final = (
    Hot("accept (role web)", "web", Accept(400)),
    Hot("end to end (role all), without statuses", "all", TALK),
    Hot("statuses (role all)", "all", Report(TALK.people * TALK.each), first=TALK),
)


def profile(console: Console) -> None:
    if not PY_SPY.exists():
        raise SystemExit("no py-spy in .venv-bench: run `make bench`, which installs it")
    for hot in HOT:
        selves = _samples(hot)
        total = sum(selves.values())
        parts: Counter[str] = Counter()
        for (function, file), count in selves.items():
            parts[_part(function, file)] += count
        console.rule(f"{hot.name}: {total} samples", align="left")
        functions = Table("self time", "function", "file")
        for (function, file), count in selves.most_common(TOP):
            functions.add_row(f"{100 * count / total:.1f} %", function, file)
        shares = Table("self time", "part")
        for part, count in parts.most_common(TOP):
            shares.add_row(f"{100 * count / total:.1f} %", part)
        console.print(functions)
        console.print(shares)


def _samples(hot: Hot) -> Counter[tuple[str, str]]:
    """Samples by the function that ran, (name, file)."""
    found: Counter[tuple[str, str]] = Counter()
    with bench_ground() as ground:
        ground.renew()
        port, graph = free_port(), free_port()
        environment = ground.environment(port=port, graph=graph)
        with process(server.command(hot.role), env=environment, log=ground.log) as child:
            wait_for(port, ground.log)
            with driving(port=port, graph=graph) as driver:
                driver.order(Accept(100) if hot.role == "web" else TALK)
                spent = 0.0
                while spent < SECONDS:
                    if hot.first is not None:
                        driver.order(hot.first)
                        ground.store.settle()
                    with tempfile.TemporaryDirectory(prefix="sb-bench-") as folder:
                        spent += _recorded(driver, hot.order, child.pid, Path(folder) / "raw")
                        found.update(_selves((Path(folder) / "raw").read_text()))
    return found


def _recorded(driver: Driver, order: Order, pid: int, raw: Path) -> float:
    """Carry out an order under py-spy; answers the seconds that it took."""
    command = [
        str(PY_SPY), "record", "--pid", str(pid), "--rate", str(RATE), "--format", "raw",
        "--function", "--output", str(raw), "--duration", "600",
    ]  # fmt: skip
    spy = subprocess.Popen(
        on(OTHER_CORES, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert spy.stdout
    spy.stdout.readline()  # it says that it samples
    seen = driver.order(order)
    spy.send_signal(signal.SIGINT)
    said = spy.communicate()[0]
    if not raw.exists():
        raise SystemExit(f"py-spy recorded nothing: {said}")
    return seen.seconds


def _selves(raw: str) -> Counter[tuple[str, str]]:
    """From lines `frame;frame;… count`, the innermost frame last."""
    found: Counter[tuple[str, str]] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        last = stack.rpartition(";")[2]
        match = FRAME.fullmatch(last)
        found[(match[1], _short(match[2])) if match else (last, "C")] += int(count)
    return found


def _short(file: str) -> str:
    """Within the repository or the package."""
    for start in ("site-packages/", "python3.11/"):
        _, found, rest = file.partition(start)
        if found:
            return rest
    return file


def _part(function: str, file: str) -> str:
    """The part of the program or the package that a function belongs to."""
    if (function, file) == LOOP:
        return "event loop (uvloop)"
    start, slash, rest = file.partition("/")
    if not slash:
        return "standard library"
    return f"{start}/{rest.partition('/')[0]}" if start in ("bot", "handlers", "flows") else start
