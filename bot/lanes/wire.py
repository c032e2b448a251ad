"""The wire: one multiplexed connection to Valkey or Redis.

A client library takes a connection, wraps retries around it and waits, for each command: 200 µs and more of
CPU. Here all commands of one tick of the event loop leave in one write, replies come back in order, and each
settles its future. Whether a command that was lost took effect is not known and nothing is repeated: every
script of the lanes may be repeated by whoever cares.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files
from typing import Final, Self, cast
from urllib.parse import unquote, urlsplit

import structlog
from hiredis import HiredisError, Reader, ReplyError, pack_command

from bot.lanes.errors import LaneError, StoreLostError

DEADLINE_S: Final = (
    5.0  # chosen: a webhook must be answered within Meta's patience, and 503 is an answer
)
PENDING_MAX: Final = (
    20_000  # commands without a reply; chosen: twenty of Meta's largest webhooks at once
)
HOLD_S: Final = 0.001  # the event loop's timers are no finer; about one fsync
HOLD_COMMANDS_MAX: Final = 256
BACKOFF_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0
STALL_GRACE_S: Final = (
    0.05  # our own loop may have stood still: let it read what has already arrived
)
LISTEN_PING_S: Final = 10.0  # a subscription that hears nothing asks whether anybody is still there
REPEATS_MAX: Final = 3  # of a script that the store does not know

PORT: Final = 6379

# The store is there, and does not take this now.
NOT_NOW: Final = frozenset(
    [
        "LOADING",
        "OOM",
        "READONLY",
        "CLUSTERDOWN",
        "MASTERDOWN",
        "TRYAGAIN",
        "BUSY",
        "NOREPLICAS",
        "MISCONF",
    ]
)

LOST: Final = "connection lost"

Reply = int | bytes | None | list["Reply"]
Arg = str | bytes | int | float

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """Where the store is and who we are there. Its text carries no password."""

    host: str = ""
    port: int = PORT
    path: str = ""
    """Of a unix socket, in place of host and port."""
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """`redis://[user:password@]host[:port][/0]`, `rediss://…` (TLS), `unix://[user:password@]/path`.

        Raises:
            ValueError: anything else; the message repeats no password.
        """
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ValueError("the store's address takes no ?options")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        match parts.scheme:
            case "unix" if parts.path:
                return cls(path=unquote(parts.path), user=user, password=password)
            case "redis" | "rediss" if parts.hostname:
                if parts.path not in ("", "/", "/0"):
                    raise ValueError("the lanes live in database 0: a cluster has no other")
                return cls(
                    host=parts.hostname,
                    port=parts.port or PORT,
                    tls=parts.scheme == "rediss",
                    user=user,
                    password=password,
                )
            case _:
                raise ValueError(
                    "the store's address must be redis://host, rediss://host or unix:///path"
                )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def greeting(self, name: str) -> list[tuple[Arg, ...]]:
        """The first commands on a new connection; PING also tells whether the store has loaded its data."""
        sign_in: list[tuple[Arg, ...]] = []
        if self.password:
            who = (self.user, self.password) if self.user else (self.password,)
            sign_in.append(("AUTH", *who))
        return [*sign_in, ("CLIENT", "SETNAME", name), ("PING",)]


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the name under which the store keeps it."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

    @classmethod
    def read(cls, package: str, name: str, *, shared: str = "") -> Self:
        """`scripts/<name>.lua` of `package`, with `scripts/<shared>.lua` between its first line and the rest."""
        folder = files(package) / "scripts"
        text = (folder / f"{name}.lua").read_text()
        if shared:
            first, _, rest = text.partition("\n")
            text = f"{first}\n{(folder / f'{shared}.lua').read_text()}\n{rest}"
        return cls.of(text)


@dataclass(slots=True)
class _Evaluation:
    """A script on its way: what it takes to repeat it when the store does not know it."""

    script: Script
    packed: bytes
    repeats: int = 0


@dataclass(slots=True)
class _Pending:
    future: asyncio.Future[Reply]
    since_s: float
    evaluation: _Evaluation | None


class Wire:
    """One connection of one process. Reconnects by itself; while it is down, every call fails at once."""

    def __init__(self, address: Address, *, name: str, deadline_s: float, pending_max: int) -> None:
        """Use `Wire.open`."""
        self.address = address
        self._name = name
        self._deadline_s = deadline_s
        self._pending_max = pending_max
        self._line: _Line | None = None
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        name: str = "smarterbot",
        deadline_s: float = DEADLINE_S,
        pending_max: int = PENDING_MAX,
    ) -> Self:
        """Connect; see `Address.parse` for `url`.

        Args:
            name: what CLIENT LIST shows.
            deadline_s: a reply later than this means that the store hangs: the connection is given up.
            pending_max: calls beyond it are refused.

        Raises:
            ValueError: the address is none.
            StoreLostError: nobody answers there now.
            LaneError: it refuses our name or password.
        """
        wire = cls(Address.parse(url), name=name, deadline_s=deadline_s, pending_max=pending_max)
        wire._line = await wire._connect()
        return wire

    @property
    def is_up(self) -> bool:
        return self._line is not None

    def call(self, *command: Arg) -> asyncio.Future[Reply]:
        """Send one command.

        The future raises:
            StoreLostError: not sent, or sent and its outcome is unknown.
            LaneError: the store answered with an error.
        """
        return self._send(_packed(command), None)

    def tell(self, *command: Arg) -> None:
        """Send one command whose outcome nobody waits for."""
        self.call(*command).add_done_callback(_disregard)

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg]
    ) -> asyncio.Future[Reply]:
        """Run a script; it is loaded on the way if the store does not know it. Raises as `call`."""
        packed = _packed(("EVALSHA", script.sha, len(keys), *keys, *args))
        return self._send(packed, _Evaluation(script, packed))

    async def close(self) -> None:
        """Close the connection; what waits for a reply fails."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        line, self._line = self._line, None
        if line is not None:
            line.close("closed by us")

    def _send(self, packed: bytes, evaluation: _Evaluation | None) -> asyncio.Future[Reply]:
        line = self._line
        if line is None:
            return _failed(StoreLostError("no connection to the store"))
        if len(line.pending) >= self._pending_max:
            return _failed(StoreLostError("too much is waiting for the store"))
        return line.send(packed, evaluation)

    async def _connect(self) -> "_Line":
        loop = asyncio.get_running_loop()
        address = self.address
        tls = ssl.create_default_context() if address.tls else None
        try:
            async with asyncio.timeout(self._deadline_s):
                if address.path:
                    _, line = await loop.create_unix_connection(self._new_line, address.path)
                else:
                    _, line = await loop.create_connection(
                        self._new_line, address.host, address.port, ssl=tls
                    )
                try:
                    for packed in map(_packed, address.greeting(self._name)):
                        await line.send(packed, None)
                except BaseException:
                    line.close("the greeting failed")
                    raise
        except (OSError, TimeoutError) as error:
            raise StoreLostError(f"no store at {address}: {type(error).__name__}") from error
        if not line.is_open:
            # It broke between the last answer and now, when nobody was told of a loss yet.
            raise StoreLostError(f"no store at {address}: {LOST}")
        line.on_lost = self._lost
        return line

    def _new_line(self) -> "_Line":
        return _Line(self._deadline_s)

    def _lost(self, why: str) -> None:
        if self._line is None:
            return
        self._line = None
        log.warning("store.lost", address=str(self.address), why=why)
        self._keeper = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        wait_s = BACKOFF_S
        while True:
            try:
                self._line = await self._connect()
            except StoreLostError:
                pass
            except LaneError as error:
                log.error("store.refused", address=str(self.address), error=str(error))
            else:
                log.info("store.back", address=str(self.address))
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, BACKOFF_MAX_S)


class _Line(asyncio.Protocol):
    """One connection from its first byte to its last."""

    def __init__(self, deadline_s: float) -> None:
        self.pending: deque[_Pending] = deque()
        self.on_lost: Callable[[str], None] | None = None
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._out: list[bytes] = []
        self._written = 0
        """Commands that have left and have no reply yet."""
        self._hold: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._loading: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio hands a stream protocol a Transport; its own signature says less.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, packed: bytes, evaluation: _Evaluation | None) -> asyncio.Future[Reply]:
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._enqueue(_Pending(future, self._loop.time(), evaluation), packed)
        return future

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._written -= 1
                self._settle(self.pending.popleft(), reply)
        except (HiredisError, IndexError) as error:
            self.close(f"not the store's protocol: {type(error).__name__}")
            return
        if self._hold is not None and not self._written:
            self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LOST if exc is None else type(exc).__name__)

    def close(self, why: str) -> None:
        """Give the connection up; nothing more is read."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    def _end(self, why: str) -> None:
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        self._out.clear()
        lost, self.pending = self.pending, deque()
        for pending in lost:
            _fail(pending.future, StoreLostError(why))
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost(why)

    def _enqueue(self, pending: _Pending, packed: bytes) -> None:
        if self._transport is None:
            _fail(pending.future, StoreLostError(LOST))
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)
        self.pending.append(pending)
        if self._watch is None:
            self._watch = self._loop.call_later(self._deadline_s, self._look)

    def _flush(self) -> None:
        """Write what has gathered; while a batch is under way the next one gathers a little longer.

        The store answers a batch with one fsync, so commands that wait for its answer leave together: fewer
        writes here, fewer fsyncs there. A lone command is never held.
        """
        if self._hold is not None or not self._out:
            return
        if self._written and len(self._out) < HOLD_COMMANDS_MAX:
            self._hold = self._loop.call_later(HOLD_S, self._write)
        else:
            self._write()

    def _write(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        if self._transport is not None and self._out:
            self._written += len(self._out)
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def _settle(self, pending: _Pending, reply: object) -> None:
        if isinstance(reply, ReplyError):
            text = str(reply)
            if pending.evaluation is not None and text.startswith("NOSCRIPT"):
                self._load_and_repeat(pending, pending.evaluation)
            else:
                _fail(pending.future, _error(text))
        elif not pending.future.done():
            # hiredis without an encoding answers exactly these: integers, bytes, None and lists of them.
            pending.future.set_result(cast(Reply, reply))

    def _load_and_repeat(self, pending: _Pending, evaluation: _Evaluation) -> None:
        """The script did not run, so repeating it is safe; loading goes ahead of it, once for all that wait."""
        evaluation.repeats += 1
        if evaluation.repeats > REPEATS_MAX:
            _fail(pending.future, StoreLostError("the store forgets our scripts"))
            return
        script = evaluation.script
        if script.sha not in self._loading:
            self._loading.add(script.sha)
            loaded = self.send(_packed(("SCRIPT", "LOAD", script.text)), None)
            loaded.add_done_callback(lambda _: self._loading.discard(script.sha))
        self._enqueue(pending, evaluation.packed)
        # It takes its place in the row of replies anew, and so does its deadline.
        pending.since_s = self._loop.time()

    def _look(self, *, stalled: bool = False) -> None:
        """Whether the oldest command has waited too long. One timer for all of them."""
        self._watch = None
        if not self.pending:
            return
        left_s = self.pending[0].since_s + self._deadline_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        elif not stalled:
            self._watch = self._loop.call_later(STALL_GRACE_S, lambda: self._look(stalled=True))
        else:
            self.close("the store does not answer")


async def listen(
    url_or_address: str | Address,
    channels: Sequence[str],
    on_message: Callable[[str, bytes], None],
    *,
    name: str = "smarterbot:listener",
    deadline_s: float = DEADLINE_S,
    on_subscribed: Callable[[], None] | None = None,
) -> None:
    """Hear what is published, on a connection of its own; subscribes again by itself. Runs until cancelled.

    What is published while the connection is down is not heard.
    """
    address = (
        url_or_address if isinstance(url_or_address, Address) else Address.parse(url_or_address)
    )
    wait_s = BACKOFF_S
    while True:
        try:
            async with _subscription(address, channels, name, deadline_s) as messages:
                wait_s = BACKOFF_S
                if on_subscribed is not None:
                    on_subscribed()
                async for channel, body in messages:
                    on_message(channel, body)
        except (OSError, TimeoutError, HiredisError, StoreLostError, LaneError) as error:
            log.warning("listener.lost", address=str(address), error=type(error).__name__)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, BACKOFF_MAX_S)


@contextlib.asynccontextmanager
async def _subscription(
    address: Address, channels: Sequence[str], name: str, deadline_s: float
) -> AsyncIterator[AsyncIterator[tuple[str, bytes]]]:
    async with asyncio.timeout(deadline_s):
        if address.path:
            stream, writer = await asyncio.open_unix_connection(address.path)
        else:
            tls = ssl.create_default_context() if address.tls else None
            stream, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    try:
        reader = Reader()
        commands = [*address.greeting(name), ("SUBSCRIBE", *channels)]
        writer.write(b"".join(map(_packed, commands)))
        async with asyncio.timeout(deadline_s):
            for _ in range(len(commands) - 1 + len(channels)):
                await _next(stream, reader)
        yield _messages(stream, writer, reader, deadline_s)
    finally:
        writer.transport.abort()


async def _messages(
    stream: asyncio.StreamReader, writer: asyncio.StreamWriter, reader: Reader, deadline_s: float
) -> AsyncIterator[tuple[str, bytes]]:
    while True:
        try:
            async with asyncio.timeout(LISTEN_PING_S):
                reply = await _next(stream, reader)
        except TimeoutError:
            writer.write(_packed(("PING",)))
            async with asyncio.timeout(deadline_s):
                reply = await _next(stream, reader)
        match reply:
            case [b"message", bytes(channel), bytes(body)]:
                yield channel.decode(), body
            case _:
                pass  # the answer to PING


async def _next(stream: asyncio.StreamReader, reader: Reader) -> object:
    """One reply.

    Raises:
        StoreLostError, LaneError: the reply is an error, or there will be none.
    """
    while (reply := reader.gets()) is False:
        data = await stream.read(65_536)
        if not data:
            raise StoreLostError(LOST)
        reader.feed(data)
    if isinstance(reply, ReplyError):
        raise _error(str(reply))
    return cast(object, reply)


def _error(text: str) -> StoreLostError | LaneError:
    code = text.partition(" ")[0]
    if code in NOT_NOW:
        return StoreLostError(f"the store refuses for now: {code}")
    if code in ("MOVED", "ASK"):
        return LaneError(f"{code}: this store is a cluster, whose nodes the wire does not follow")
    return LaneError(text)


def _packed(command: Sequence[Arg]) -> bytes:
    # The library's stub knows commands of one word only.
    return cast(bytes, pack_command(tuple(command)))  # type: ignore[arg-type]  # the stub is narrower


def _failed(error: Exception) -> asyncio.Future[Reply]:
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    _fail(future, error)
    return future


def _disregard(future: asyncio.Future[Reply]) -> None:
    if not future.cancelled():
        future.exception()


def _fail(future: asyncio.Future[Reply], error: Exception) -> None:
    if future.done():
        return
    future.set_exception(error)
    # A loss is no news to a caller that did not wait; without this asyncio complains about each of them.
    if isinstance(error, StoreLostError):
        _disregard(future)
