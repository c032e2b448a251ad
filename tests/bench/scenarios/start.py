"""From nothing to a first reply, and what a server at rest takes."""

import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from sys import executable
from typing import Any, Final

from rich.console import Console

from bot.demo import NUMBER
from tests.bench.driver import driving
from tests.bench.figures import Section, Table, at_most, spread
from tests.bench.load import Talk
from tests.bench.processes import (
    CORES,
    cpu_s,
    die_with_us,
    free_port,
    memory_mb,
    on,
    process,
    stop,
    wait_for,
)
from tests.bench.stores import bench_ground

SMARTERBOT: Final = Path(executable).with_name("smarterbot")
REPLY_S: Final = 5.0
REPLY_WAIT_S: Final = 30.0
POLL_S: Final = 0.01
WARM_STARTS: Final = 3

MEMORY_MB: Final = 120.0
IDLE_S: Final = 10.0
IDLE_PERCENT: Final = 2.0
MESSAGES: Final = 10_000
EACH: Final = 5
AT_ONCE: Final = 800
WORDS: Final = (
    "hola",
    "a qué hora abren",
    "cuánto vale la marraqueta",
    "a qué hora abren",
    "dónde están",
)
CALM_S: Final = 3.0


@dataclass(frozen=True)
class Start:
    """Seconds since the process was started."""

    address: float
    reply: float
    """The reply is on the phone."""
    written: float
    """The person wrote."""


@dataclass(frozen=True)
class Rest:
    """A server that has nothing to do."""

    rss_mb: float
    pss_mb: float
    cpu: float
    """Percent of a core."""
    store_cpu: float


def measure(rounds: int, console: Console) -> Section:
    first: list[Start] = []
    warm: list[Start] = []
    for n in range(rounds):
        with tempfile.TemporaryDirectory(prefix="sb-bench-") as folder:
            first.append(_start(Path(folder)))
            warm += [_start(Path(folder)) for _ in range(WARM_STARTS)]
        console.print(
            f"round {n + 1}/{rounds} · first reply after {warm[-1].reply:.2f} s, "
            f"at the very first start {first[-1].reply:.2f} s"
        )
    faults: list[str] = []
    rests = _rests(console, faults)
    began, after = rests["after the start"], rests[f"after {MESSAGES:,} messages"]
    return Section(
        title="Start and rest",
        how=f"{rounds} first starts of `smarterbot dev` (an empty data folder: databases made, schema migrated) and "
        f"{rounds * WARM_STARTS} later ones; the person writes as soon as the address is printed, and the conversation "
        "itself waits 1.5 s for more words. Rest: `smarterbot serve`, the product's flow.",
        goals=[
            at_most("start to first reply, warm", [s.reply for s in warm], REPLY_S, "s"),
            at_most(
                "memory of the server (RSS) after the start", [began.rss_mb], MEMORY_MB, "MB", 0
            ),
            at_most(
                f"memory of the server (RSS) after {MESSAGES:,} messages",
                [after.rss_mb],
                MEMORY_MB,
                "MB",
                0,
            ),
            at_most(
                "CPU of the server at rest", [began.cpu, after.cpu], IDLE_PERCENT, "% of a core", 1
            ),
        ],
        tables=[
            Table(
                (
                    "s since the process was started",
                    "address printed",
                    "first message posted",
                    "reply on the phone",
                ),
                [
                    (
                        name,
                        spread([s.address for s in starts], 2),
                        spread([s.written for s in starts], 2),
                        spread([s.reply for s in starts], 2),
                    )
                    for name, starts in (("first start", first), ("later starts", warm))
                ],
            ),
            Table(
                ("at rest", "RSS MB", "PSS MB", "CPU, % of a core", "CPU of Valkey, %"),
                [
                    (
                        name,
                        f"{r.rss_mb:.0f}",
                        f"{r.pss_mb:.0f}",
                        f"{r.cpu:.1f}",
                        f"{r.store_cpu:.1f}",
                    )
                    for name, r in rests.items()
                ],
            ),
        ],
        faults=faults,
    )


# ------------------------------------------------------------------ starting


def _start(data: Path) -> Start:
    port = free_port()
    environment = {
        "PATH": "/usr/bin:/bin",
        "SMARTERBOT_DATA": str(data / "data"),
        "PORT": str(port),
    }
    began = time.perf_counter()
    child = subprocess.Popen(
        on(CORES, [str(SMARTERBOT), "dev"]),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_us(),
    )
    try:
        assert child.stdout
        while line := child.stdout.readline():
            if b"Chat with the demo firm" in line:
                break
        else:
            raise SystemExit("`smarterbot dev` did not start")
        address = time.perf_counter() - began
        api = f"http://127.0.0.1:{port}/api"
        person = _ask(f"{api}/people", {"name": "Ana", "wa_id": "56961234567"})["id"]
        chat = f"{api}/chats/{NUMBER.id}/{person}"
        _ask(f"{chat}/messages", {"type": "text", "body": "hola"})
        written = time.perf_counter() - began
        while not _replies(_ask(chat)):
            if time.perf_counter() - began > REPLY_WAIT_S:
                raise SystemExit("`smarterbot dev` did not reply")
            time.sleep(POLL_S)
        return Start(address, time.perf_counter() - began, written)
    finally:
        stop(child)


def _replies(chat: dict[str, Any]) -> int:
    return sum(message["outbound"] for message in chat["messages"])


def _ask(url: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=REPLY_WAIT_S) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


# ------------------------------------------------------------------ resting


def _rests(console: Console, faults: list[str]) -> dict[str, Rest]:
    with bench_ground() as ground:
        ground.renew(receipts=True)
        port, graph = free_port(), free_port()
        environment = ground.environment(port=port, graph=graph)
        with process([str(SMARTERBOT), "serve"], env=environment, log=ground.log) as child:
            wait_for(port, ground.log)

            def rest() -> Rest:
                time.sleep(CALM_S)
                before, store_before = cpu_s(child.pid), cpu_s(ground.store.pid)
                began = time.monotonic()
                time.sleep(IDLE_S)
                seconds = time.monotonic() - began
                return Rest(
                    *memory_mb(child.pid),
                    cpu=100 * (cpu_s(child.pid) - before) / seconds,
                    store_cpu=100 * (cpu_s(ground.store.pid) - store_before) / seconds,
                )

            found = {"after the start": rest()}
            with driving(port=port, graph=graph) as driver:
                people = MESSAGES // EACH
                talk = Talk(people, each=EACH, at_once=AT_ONCE, statuses=True, words=WORDS)
                driver.measure(talk, servers=[child.pid], store=ground.store)
                faults += driver.faults
            found[f"after {MESSAGES:,} messages"] = rest()
        console.print(f"at rest: {found}")
        return found
