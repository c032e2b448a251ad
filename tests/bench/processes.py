"""Processes under measurement: started on given cores, what they cost and hold, and their end."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bot.embedded.process import die_with_parent

START_S: Final = 60.0
STOP_S: Final = 15.0
POLL_S: Final = 0.02

CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
SERVER_CORES: Final = CORES[:1]
"""The server under test has a core to itself …"""
OTHER_CORES: Final = CORES[1:2] or CORES
"""… and the stores and the load share another, where there is one."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(pid: int, cores: Iterable[int]) -> None:
    """Keep a process, all its threads and its children, on these cores."""
    for one in (pid, *children(pid)):
        for thread in Path(f"/proc/{one}/task").glob("*"):
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)


def children(pid: int) -> list[int]:
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            found += [child, *children(child)]
    return found


def cpu_s(*pids: int) -> float:
    """CPU seconds of these processes' living threads, from the scheduler: `stat` counts in steps of 10 ms."""
    return (
        sum(
            int(thread.read_text().split()[0])
            for pid in pids
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )
        / 1e9
    )


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process in MB (10⁶ bytes): all, and with shared pages divided among their users."""
    rows = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    rss, pss = (int(rows[name].split()[0]) * 1024 / 1e6 for name in ("Rss", "Pss"))
    return rss, pss


class Others:
    """How much of the machine others use, from now on. Ask when all that we started has ended."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.monotonic(), _busy_s(), _ours_s()

    def part(self) -> float:
        """0 to 1, over all cores."""
        machine_s = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, _busy_s() - self._busy - (_ours_s() - self._ours)) / machine_s


def _busy_s() -> float:
    user, nice, system, _idle, _wait, irq, soft, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _ours_s() -> float:
    """Of this process, and of all descendants that were waited for."""
    return sum(
        use.ru_utime + use.ru_stime
        for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


@contextmanager
def process(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cores: Sequence[int] = SERVER_CORES,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for as long as the block lasts; what it prints goes to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            on(cores, command), env=env, stdout=output, stderr=output, preexec_fn=die_with_us()
        )
    try:
        yield child
    finally:
        stop(child)


def die_with_us() -> Callable[[], None] | None:
    """For `preexec_fn`: whatever ends us, nothing that we started goes on."""
    return die_with_parent(signal.SIGTERM)


def on(cores: Sequence[int], command: Sequence[str]) -> list[str]:
    """The command, kept on these cores where the system allows it."""
    if not shutil.which("taskset"):
        return list(command)
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_for(port: int, log: Path) -> None:
    """Wait until something listens on a port of this machine."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_S)
    raise SystemExit(f"nothing listens after {START_S:.0f} s:\n{log.read_text()[-2000:]}")
