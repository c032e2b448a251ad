"""Traps on the wires between the processes: proxies that hold one request, or its answer, at a named point.

The product knows nothing of them. A script is recognised by its SHA, a transaction by its statements, a send by its
JSON. Whatever is not looked for passes unchanged, and a side that dies takes its connections with it.
"""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from bot.clock import Clock
from bot.lanes import Script

CHUNK: Final = 65_536
CAUGHT_WITHIN_S: Final = 30.0
ACCEPTED_S: Final = 0.01  # what was accepted before the end shows up in a moment

Stage = Literal["request", "answer"]


# ------------------------------------------------------------------ what is caught


@dataclass(slots=True)
class Exchange:
    """One request on its way, and its answer once it is there."""

    process: str
    """Whose connection it came by."""
    what: str
    """Name of a script (`put`, `commit` …) or command, `COMMIT` of a transaction, `POST` of a message."""
    words: list[bytes] = field(default_factory=list)
    """Of a command, all of them; of a transaction, the statements that were bound in it; of a send, its JSON."""
    answer: bytes = b""

    def argument(self, n: int) -> bytes:
        """ARGV[n] of a script, counted from 1 as Lua does."""
        return self.words[2 + int(self.words[2]) + n]


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in the life of a message: between two steps, visible on a wire."""

    name: str
    holder: Literal["web", "worker"]
    """The role of the process that is stopped there."""
    what: str
    stage: Stage
    """The request is held before it arrives, or its answer after it took effect."""
    is_it: Callable[[Exchange], bool]
    meaning: str

    def matches(self, exchange: Exchange, stage: Stage) -> bool:
        return (
            stage == self.stage
            and exchange.what == self.what
            and exchange.process.startswith(self.holder)
            # A script that the store did not know yet, or a store that refuses: nothing took effect.
            and not exchange.answer.startswith(b"-")
            and self.is_it(exchange)
        )


class Trap:
    """Set for one exchange; holds it until it is released."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.caught: Exchange | None = None
        self._sprung = asyncio.Event()
        self._over = asyncio.Event()
        self._drop = False

    async def sprung(self) -> Exchange:
        """The exchange that is held now.

        Raises:
            TimeoutError: nothing came by.
        """
        async with asyncio.timeout(CAUGHT_WITHIN_S):
            await self._sprung.wait()
        assert self.caught is not None
        return self.caught

    @property
    def is_holding(self) -> bool:
        return self._sprung.is_set() and not self._over.is_set()

    def release(self, *, drop: bool) -> None:
        """Let it go on its way, or throw it away: whoever sent it is dead, and never sent it. What was said first holds."""
        if not self._over.is_set():
            self._drop = drop
        self._over.set()

    async def hold(self, exchange: Exchange) -> bool:
        """Called by the wires; answers whether it may go on."""
        self.caught = exchange
        self._sprung.set()
        await self._over.wait()
        return not self._drop


class Traps:
    """The trap that is set now, for all wires of an installation."""

    def __init__(self) -> None:
        self._set: Trap | None = None

    @contextlib.contextmanager
    def set(self, point: Point) -> Iterator[Trap]:
        """Set a trap; at the end of the block what it still holds goes on."""
        assert self._set is None
        trap = self._set = Trap(point)
        try:
            yield trap
        finally:
            self._set = None
            trap.release(drop=False)

    async def passes(self, exchange: Exchange, stage: Stage) -> bool:
        trap = self._set
        if trap is None or trap.caught is not None or not trap.point.matches(exchange, stage):
            return True
        return await trap.hold(exchange)


# ------------------------------------------------------------------ wires


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
Forward = Callable[[bytes], None]


class _Talk(Protocol):
    """One connection: what passes in each direction, chunk by chunk."""

    async def ask(self, chunk: bytes, forward: Forward) -> None: ...

    async def answer(self, chunk: bytes, forward: Forward) -> None: ...


class _DroppedError(Exception):
    """The trap threw the exchange away: the connection ends here."""


async def _carry(near: Streams, dial: Callable[[], Awaitable[Streams]], talk: _Talk) -> None:
    """Connect a client with the server behind the wire until one of them ends."""
    reader, writer = near
    try:
        far_reader, far_writer = await dial()
    except OSError:
        return
    pumps = [
        asyncio.create_task(_pump(reader, far_writer, talk.ask)),
        asyncio.create_task(_pump(far_reader, writer, talk.answer)),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # At once: who ends this connection may not wait for us to come back from the pumps.
        far_writer.transport.abort()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    look: Callable[[bytes, Forward], Awaitable[None]],
) -> None:
    with contextlib.suppress(OSError, _DroppedError):
        while chunk := await source.read(CHUNK):
            await look(chunk, sink.write)
            await sink.drain()


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    """The process at the other end of a unix socket."""
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


@contextlib.asynccontextmanager
async def _serving(
    start: Callable[[Connected], Awaitable[asyncio.Server]], serve: Serve
) -> AsyncIterator[asyncio.Server]:
    """A server that ends with its connections."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # Also when it is ended before it has begun.
        task.add_done_callback(lambda _: writer.transport.abort())

    server = await start(connected)
    try:
        yield server
    finally:
        server.close()
        await asyncio.sleep(ACCEPTED_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def balancer(ports: Sequence[int]) -> AsyncIterator[int]:
    """A load balancer in front of several web processes: in turn, and past those that do not listen; gives its port."""
    turn = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def dial() -> Streams:
            first = next(turn)
            for n in range(len(ports)):
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection(
                        "127.0.0.1", ports[(first + n) % len(ports)]
                    )
            raise ConnectionRefusedError

        await _carry((reader, writer), dial, _Plain())

    async with _serving(
        lambda connected: asyncio.start_server(connected, "127.0.0.1", 0), serve
    ) as server:
        yield server.sockets[0].getsockname()[1]


class _Plain:
    """Whatever it is."""

    async def ask(self, chunk: bytes, forward: Forward) -> None:
        forward(chunk)

    async def answer(self, chunk: bytes, forward: Forward) -> None:
        forward(chunk)


# ------------------------------------------------------------------ the store


@contextlib.asynccontextmanager
async def store_wire(
    traps: Traps, path: Path, upstream: Path, who: Callable[[int], str]
) -> AsyncIterator[None]:
    """Listen on `path` in front of the store at `upstream`. `who` names the process of a pid."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _StoreTalk(traps, who(_peer_pid(writer)))
        await _carry((reader, writer), lambda: asyncio.open_unix_connection(upstream), talk)

    async with _serving(lambda connected: asyncio.start_unix_server(connected, path), serve):
        yield


def _script_names() -> dict[bytes, str]:
    names = {}
    for package, shared in (("bot.lanes", "_lane"), ("bot.engine", "")):
        for file in (files(package) / "scripts").iterdir():
            name = file.name.removesuffix(".lua")
            if not name.startswith("_"):
                names[Script.read(package, name, shared=shared).sha.encode()] = name
    return names


_SCRIPTS: Final = _script_names()


class _StoreTalk:
    """RESP of the lanes' own connection; others (subscriptions, redis-py) pass as they are."""

    def __init__(self, traps: Traps, process: str) -> None:
        self._traps = traps
        self._process = process
        self._plain = False
        self._asked = bytearray()
        self._answered = bytearray()
        self._under_way: deque[Exchange] = deque()

    async def ask(self, chunk: bytes, forward: Forward) -> None:
        if self._plain:
            forward(chunk)
            return
        self._asked += chunk
        at = 0
        while (end := _frame_end(self._asked, at)) is not None:
            raw, at = bytes(self._asked[at:end]), end
            words = _words(raw)
            if words[0] == b"SUBSCRIBE" or words[:2] == [b"HELLO", b"3"]:
                self._plain = True
                forward(raw + bytes(self._asked[at:]))
                return
            exchange = Exchange(self._process, _name_of(words), words)
            if not await self._traps.passes(exchange, "request"):
                raise _DroppedError
            self._under_way.append(exchange)
            forward(raw)
        del self._asked[:at]

    async def answer(self, chunk: bytes, forward: Forward) -> None:
        if self._plain and not self._under_way:
            forward(chunk)
            return
        self._answered += chunk
        at = 0
        while self._under_way and (end := _frame_end(self._answered, at)) is not None:
            raw, at = bytes(self._answered[at:end]), end
            exchange = self._under_way.popleft()
            exchange.answer = raw
            if not await self._traps.passes(exchange, "answer"):
                raise _DroppedError
            forward(raw)
        del self._answered[:at]
        if self._plain and not self._under_way:
            forward(bytes(self._answered))
            self._answered.clear()


def _name_of(words: list[bytes]) -> str:
    if words[0] == b"EVALSHA":
        return _SCRIPTS.get(words[1], "EVALSHA")
    return words[0].decode(errors="replace")


def _frame_end(buffer: bytearray, start: int) -> int | None:
    """Where the RESP value that begins at `start` ends; None when it is not whole yet."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, end = chr(buffer[start]), line_end + 2
    if kind in "+-:":
        return end
    count = int(buffer[start + 1 : line_end])
    if kind == "$":
        if count < 0:
            return end
        end += count + 2
        return end if end <= len(buffer) else None
    assert kind == "*", kind
    for _ in range(max(count, 0)):
        inner = _frame_end(buffer, end)
        if inner is None:
            return None
        end = inner
    return end


def _words(raw: bytes) -> list[bytes]:
    """The words of a command."""
    words = []
    at = raw.index(b"\r\n") + 2
    while at < len(raw):
        line_end = raw.index(b"\r\n", at)
        size = int(raw[at + 1 : line_end])
        words.append(raw[line_end + 2 : line_end + 2 + size])
        at = line_end + 4 + size
    return words


# ------------------------------------------------------------------ the database


@contextlib.asynccontextmanager
async def database_wire(
    traps: Traps, path: Path, upstream: Path, who: Callable[[int], str]
) -> AsyncIterator[None]:
    """Listen on `path` in front of PostgreSQL's socket at `upstream`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _DatabaseTalk(traps, who(_peer_pid(writer)))
        await _carry((reader, writer), lambda: asyncio.open_unix_connection(upstream), talk)

    async with _serving(lambda connected: asyncio.start_unix_server(connected, path), serve):
        yield


class _DatabaseTalk:
    """PostgreSQL's protocol, version 3, as far as it tells which statements a transaction holds.

    A message is a letter, its length with itself but without the letter, and the rest; only the first has no letter.
    """

    def __init__(self, traps: Traps, process: str) -> None:
        self._traps = traps
        self._process = process
        self._begun = False
        self._asked = bytearray()
        self._prepared: dict[bytes, bytes] = {}
        self._bound: list[bytes] = []

    async def ask(self, chunk: bytes, forward: Forward) -> None:
        self._asked += chunk
        while len(self._asked) >= (head := 5 if self._begun else 4):
            size = head - 4 + int.from_bytes(self._asked[head - 4 : head])
            if len(self._asked) < size:
                return
            raw = bytes(self._asked[:size])
            del self._asked[:size]
            if self._begun:
                await self._look(raw[:1], raw[5:])
            self._begun = True
            forward(raw)

    async def answer(self, chunk: bytes, forward: Forward) -> None:
        forward(chunk)

    async def _look(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            name, query, _ = body.split(b"\0", 2)
            self._prepared[name] = query
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            self._bound.append(self._prepared.get(name, b""))
        elif kind == b"Q":
            statement = body.rstrip(b"\0; ").upper()
            if statement == b"COMMIT":
                exchange = Exchange(self._process, "COMMIT", list(self._bound))
                if not await self._traps.passes(exchange, "request"):
                    raise _DroppedError
            if statement.startswith((b"BEGIN", b"COMMIT", b"ROLLBACK")):
                self._bound.clear()


# ------------------------------------------------------------------ Graph


class _Sent(msgspec.Struct):
    status: str = ""
    """Of a read receipt, which is no message."""


class GraphWire:
    """In front of the Graph API, one for each worker; remembers when it was asked for what."""

    def __init__(self, traps: Traps, process: str, host: str, port: int) -> None:
        self.traps = traps
        self.process = process
        self.address = ""
        self.asked_ms: list[int] = []
        """When the request of each message passed, taken or not; ms since the epoch."""
        self._upstream = (host, port)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with _serving(
            lambda connected: asyncio.start_server(connected, "127.0.0.1", 0), self._serve
        ) as server:
            self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _carry(
            (reader, writer), lambda: asyncio.open_connection(*self._upstream), _GraphTalk(self)
        )


class _GraphTalk:
    """HTTP/1.1 with lengths: one request at a time on each connection."""

    def __init__(self, wire: GraphWire) -> None:
        self._wire = wire
        self._asked = bytearray()
        self._answered = bytearray()
        self._under_way: Exchange | None = None

    async def ask(self, chunk: bytes, forward: Forward) -> None:
        self._asked += chunk
        while (end := _http_end(self._asked)) is not None:
            raw = bytes(self._asked[:end])
            del self._asked[:end]
            body = raw[raw.index(b"\r\n\r\n") + 4 :]
            self._under_way = None
            if body and not msgspec.json.decode(body, type=_Sent).status:
                exchange = Exchange(self._wire.process, "POST", [body])
                if not await self._wire.traps.passes(exchange, "request"):
                    raise _DroppedError
                self._under_way = exchange
                self._wire.asked_ms.append(Clock().now_ms())
            forward(raw)

    async def answer(self, chunk: bytes, forward: Forward) -> None:
        self._answered += chunk
        while (end := _http_end(self._answered)) is not None:
            raw = bytes(self._answered[:end])
            del self._answered[:end]
            exchange, self._under_way = self._under_way, None
            if exchange is not None:
                exchange.answer = raw
                if not await self._wire.traps.passes(exchange, "answer"):
                    raise _DroppedError
            forward(raw)


def _http_end(buffer: bytearray) -> int | None:
    """Where the first message in the buffer ends; None when it is not whole yet."""
    head_end = buffer.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    size = 0
    for line in bytes(buffer[:head_end]).lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    end = head_end + 4 + size
    return end if end <= len(buffer) else None
