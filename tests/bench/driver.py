"""Drives a load process: an order, what it saw, and what that cost the servers and the store."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from tests.bench.load import Order, Seen
from tests.bench.processes import OTHER_CORES, cpu_s, die_with_us, on
from tests.bench.stores import BenchStore


@dataclass(frozen=True)
class Measured:
    """One order, carried out."""

    seen: Seen
    cpu_s: float
    """Of the servers, with what they wrote into PostgreSQL afterwards."""
    store_s: float
    load_s: float
    """Of the load itself, which shares a core with the stores."""

    @property
    def cpu_us(self) -> float:
        """CPU of the servers, µs a message (or status)."""
        return self.cpu_s / self.seen.count * 1e6

    @property
    def store_us(self) -> float:
        return self.store_s / self.seen.count * 1e6

    @property
    def per_s(self) -> float:
        return self.seen.count / self.seen.seconds


class Driver:
    """The bench's side of one load process."""

    def __init__(self, child: subprocess.Popen[str], run: str) -> None:
        self._child = child
        self.run = run
        """Part of the ids of its messages."""
        self.faults: list[str] = []
        """What must not be: replies doubled or wrong, webhooks refused."""

    def order(self, order: Order) -> Seen:
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit("the load broke off")
        seen = msgspec.json.decode(line, type=Seen)
        if seen.missing:
            raise SystemExit(f"{type(order).__name__}: {seen.missing} replies are missing")
        for name in ("doubled", "wrong", "refused"):
            if count := getattr(seen, name):
                self.faults.append(f"{type(order).__name__}: {count} {name}")
        return seen

    def measure(
        self, order: Order, *, servers: Sequence[int], store: BenchStore, settles: bool = True
    ) -> Measured:
        """Carry out an order; if it `settles`, the journal that it fills is written out before the clocks are read."""
        if settles:
            store.settle()
        before = _cpus(servers, store, self._child)
        seen = self.order(order)
        if settles:
            store.settle()
        after = _cpus(servers, store, self._child)
        return Measured(seen, *(b - a for a, b in zip(before, after, strict=True)))


def _cpus(
    servers: Sequence[int], store: BenchStore, load: subprocess.Popen[str]
) -> tuple[float, float, float]:
    return cpu_s(*servers), cpu_s(store.pid), cpu_s(load.pid)


@contextmanager
def driving(*, port: int, graph: int, cores: Sequence[int] = OTHER_CORES) -> Iterator[Driver]:
    """A load process against the server on `port`, with a Graph API on `graph`."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.load",
        "--port",
        str(port),
        "--graph-port",
        str(graph),
    ]
    child = subprocess.Popen(
        on(cores, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_us(),
    )
    assert child.stdin
    assert child.stdout
    try:
        ready, _, run = child.stdout.readline().strip().partition(" ")
        if ready != "ready":
            raise SystemExit("the load did not start")
        yield Driver(child, run)
    finally:
        child.kill()
        child.wait()
