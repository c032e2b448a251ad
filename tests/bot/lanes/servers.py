"""A Valkey of the test's own, to be killed, stopped, filled up and brought back."""

import asyncio
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bot.embedded.valkey import valkey_binary

READY_WITHIN_S: Final = 10.0


class StoreServer:
    """One server on a unix socket in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def start(self, *options: str, answers: bytes = b"+PONG") -> None:
        """Run it, until it answers PING with `answers`."""
        self._process = subprocess.Popen(
            [
                *(str(valkey_binary()), "--port", "0", "--unixsocket", str(self._path)),
                *("--dir", str(self._folder), "--save", "", "--logfile", "log"),
                *options,
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._says(answers):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.005)

    def kill(self) -> None:
        """As a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._path.unlink(missing_ok=True)

    def freeze(self) -> None:
        """It keeps its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _says(self, answer: bytes) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._path))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(answer)
        except OSError:
            return False


@contextmanager
def store_server() -> Iterator[StoreServer]:
    """A server that is not yet started; killed, with its folder, at the end."""
    # The path of a socket has little room, and pytest's folders are deep.
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))
    server = StoreServer(folder)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop run until something that other processes bring about is so."""
    async with asyncio.timeout(READY_WITHIN_S):
        while not is_so():  # noqa: ASYNC110  another process brings it about and sets no event
            await asyncio.sleep(0.005)
