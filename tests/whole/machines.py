"""The processes of an installation, each to be started, killed, frozen and asked to stop at any moment."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from bot.app import Role, Waits
from bot.embedded.process import (
    OURSELVES,
    Account,
    FolderInUseError,
    die_with_parent,
    folder_lock,
    unprivileged_account,
)
from bot.embedded.valkey import valkey_binary

READY_WITHIN_S: Final = 60.0
LOOK_S: Final = 0.01
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Machine:
    """One process, by the name of its role."""

    def __init__(self, name: str, folder: Path, *, account: Account = OURSELVES) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.prelude: Callable[[], None] | None = None
        """Called in the child before it becomes the process, e.g. to limit it."""
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    # -------------------------------------------------------------- what it is

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C"}

    def _inherits(self) -> Sequence[int]:
        """Descriptors that it needs of us."""
        return ()

    # -------------------------------------------------------------- how it is

    async def is_ready(self) -> bool:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def rss_bytes(self) -> int:
        """Memory that it occupies now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    @property
    def descriptors(self) -> int:
        """Open files and connections."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    # -------------------------------------------------------------- what happens to it

    async def start(self) -> None:
        """Run it until it is ready.

        Raises:
            AssertionError: it ended by itself; with the end of its log.
        """
        self.spawn()
        async with asyncio.timeout(READY_WITHIN_S):
            while not await self.is_ready():
                assert self.is_running, f"{self.name} ended: {self.last_words()}"
                await asyncio.sleep(LOOK_S)

    def spawn(self) -> None:
        """Run it, without waiting for anything."""
        assert not self.is_running
        dies = die_with_parent(signal.SIGKILL)

        def prelude() -> None:
            if dies is not None:
                dies()
            if self.prelude is not None:
                self.prelude()

        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                (*self._account.prefix, *self._command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                pass_fds=self._inherits(),
                user=self._account.uid,
                group=self._account.uid,
                preexec_fn=prelude,
            )

    def kill(self) -> None:
        """kill -9. It must have been alive until then."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        assert code == -signal.SIGKILL, f"{self.name} had ended before, with code {code}"

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended_with(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    async def end(self, within_s: float) -> int:
        """Wait for its end; answers the exit code."""
        assert self._process is not None
        async with asyncio.timeout(within_s):
            while (code := self._process.poll()) is None:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(LOOK_S)
        return code

    def discard(self) -> None:
        """The test is over."""
        if self.is_running:
            self.send(signal.SIGKILL)
            assert self._process is not None
            self._process.wait()

    def has_logged(self, word: str) -> bool:
        return word in self.log.read_text(errors="replace")

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


class Valkey(Machine):
    """The store, as `bot.embedded.valkey` runs it: whatever it has answered is on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__("valkey", folder)
        self.socket = folder / "valkey.sock"
        self.options: list[str] = []
        """Further options of the next start."""

    def _command(self) -> Sequence[str]:
        return (
            *(str(valkey_binary()), "--port", "0", "--unixsocket", str(self.socket)),
            *("--dir", str(self.folder), "--save", "", "--maxmemory-policy", "noeviction"),
            *("--appendonly", "yes", "--appendfsync", "always"),
            *self.options,
        )

    @property
    def size_on_disk(self) -> int:
        """Bytes of its largest file."""
        return max(path.stat().st_size for path in (self.folder / "appendonlydir").iterdir())

    def spawn(self) -> None:
        self.socket.unlink(missing_ok=True)
        super().spawn()

    async def is_ready(self) -> bool:
        return _says(self.socket, b"PING\r\n", b"+PONG")


class Postgres(Machine):
    """The database that `bot.embedded.postgres` made in `data`, started as it was the last time."""

    def __init__(self, data: Path) -> None:
        home = (data / "postgres").resolve()
        super().__init__("postgres", data, account=unprivileged_account())
        self._home = home
        self._cluster = home / "cluster"
        self._words = shlex.split((self._cluster / "postmaster.opts").read_text())
        sockets = next(
            word.partition("=")[2] for word in self._words if word.startswith("unix_socket_dir")
        )
        self.socket = Path(sockets) / ".s.PGSQL.5432"
        self._lock = contextlib.ExitStack()
        self._descriptor = -1

    async def start(self) -> None:
        # As the launcher does: the lock is free once the last process of the one before is gone.
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                try:
                    self._descriptor = self._lock.enter_context(folder_lock(self._home, wait_s=0))
                    break
                except FolderInUseError:
                    await asyncio.sleep(LOOK_S)
        self._pid_file.unlink(missing_ok=True)
        self.socket.with_suffix(".5432.lock").unlink(missing_ok=True)
        try:
            await super().start()
        finally:
            self._lock.close()  # the server has it by now

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    def _command(self) -> Sequence[str]:
        return self._words

    def _inherits(self) -> Sequence[int]:
        return (self._descriptor,)

    async def is_ready(self) -> bool:
        try:
            return self._pid_file.read_text().splitlines()[7].strip() == "ready"
        except (FileNotFoundError, IndexError):
            return False


class Server(Machine):
    """One process of ours: the echo firm, with waits of its own."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        role: Role,
        environment: dict[str, str],
        waits: Waits,
        http: aiohttp.ClientSession,
    ) -> None:
        super().__init__(name, folder)
        self.mutant = ""
        """Of the next start."""
        self.systems = ""
        """Address of the systems that firms are made known to; empty: there are none."""
        self._role = role
        self._waits = waits
        self._http = http
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.variables = {
            "PATH": os.defpath,
            "PORT": str(self.port),
            "LOG_LEVEL": "info",
            **environment,
        }

    def _command(self) -> Sequence[str]:
        waits = self._waits
        doubts = f"{waits.lease_ms},{waits.reset_doubt_ms},{waits.outage_doubt_ms}"
        mutant = ("--mutant", self.mutant) if self.mutant else ()
        return (
            *(sys.executable, "-m", "tests.whole.process", self._role, "--waits", doubts),
            *mutant,
            *(("--systems", self.systems) if self.systems else ()),
        )

    def _environment(self) -> dict[str, str]:
        return self.variables

    async def is_ready(self) -> bool:
        return await self.says() == 200

    async def says(self) -> int:
        """Status of /readyz; 0 when nobody listens."""
        try:
            async with self._http.get(f"{self.address}/readyz") as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _says(path: Path, question: bytes, answer: bytes) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(0.5)
            connection.connect(str(path))
            connection.sendall(question)
            return connection.recv(64).startswith(answer)
    except OSError:
        return False
