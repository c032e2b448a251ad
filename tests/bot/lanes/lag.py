"""A slow way from a primary to its replica: what is on it when the primary dies is lost, as with a machine that dies.

On one machine the kernel hands over whatever was written, even by a process that was killed; no failover would lose
anything.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Final

HERE: Final = "127.0.0.1"
CHUNK: Final = 65_536
LOOK_S: Final = 0.02


class Lag:
    """Whoever connects to `port` reaches the server at `to`, and hears it `lag_s` later."""

    def __init__(self, port: int, to: int, lag_s: float) -> None:
        self.port = port
        self._to = to
        self._lag_s = lag_s
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = False
        self._closing = False

    def cut(self) -> None:
        """From any thread: nothing arrives any more, what is on its way included."""
        self._cut = True

    def close(self) -> None:
        """From any thread: `serve` ends."""
        self._closing = True

    async def serve(self) -> None:
        server = await asyncio.start_server(self._accept, HERE, self.port)
        while not self._closing:  # noqa: ASYNC110  another thread says so
            await asyncio.sleep(LOOK_S)
        server.close()
        await asyncio.sleep(LOOK_S)  # whoever is connecting has connected
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(LOOK_S)  # what was carried has ended

    async def _accept(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        self._writers.add(to_near)
        try:
            far, to_far = await asyncio.open_connection(HERE, self._to)
        except OSError:
            to_near.transport.abort()
            return
        self._writers.add(to_far)
        await asyncio.gather(self._carry(near, to_far, 0.0), self._carry(far, to_near, self._lag_s))

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lag_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while data := await source.read(CHUNK):
                loop.call_later(lag_s, self._arrive, sink, data)
        loop.call_later(lag_s, sink.transport.abort)

    def _arrive(self, sink: asyncio.StreamWriter, data: bytes) -> None:
        if self._cut:
            sink.transport.abort()
        else:
            sink.write(data)


@contextlib.contextmanager
def lagging(port: int, to: int, lag_s: float) -> Iterator[Lag]:
    """The way is open for as long as the block lasts, in a thread of its own."""
    lag = Lag(port, to, lag_s)
    thread = threading.Thread(target=lambda: asyncio.run(lag.serve()))
    thread.start()
    try:
        yield lag
    finally:
        lag.close()
        thread.join()
