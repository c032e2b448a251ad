"""A line: one multiplexed connection to one server of the store.

A client library takes a connection, wraps retries around it and waits, for each command: 200 µs and more of
CPU. Here all commands of one tick of the event loop leave in one write, replies come back in order, and each
settles its future. Whether a command that was lost took effect is not known and nothing of that is repeated:
every script of the lanes may be repeated by whoever cares.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from hiredis import HiredisError, Reader, ReplyError, pack_command

from bot.lanes.address import Address
from bot.lanes.errors import LaneError, NotReplicatedError, StoreLostError
from bot.lanes.script import Script

HOLD_S: Final = 0.001  # the event loop's timers are no finer; about one fsync
HOLD_COMMANDS_MAX: Final = 256
STALL_GRACE_S: Final = (
    0.05  # our own loop may have stood still: let it read what has already arrived
)
LOADS_MAX: Final = 3  # of a script that the store does not know

# The store is there, and does not take this now. With any of these the command did not run.
NOT_NOW: Final = frozenset(
    [
        "LOADING",
        "OOM",
        "READONLY",
        "CLUSTERDOWN",
        "MASTERDOWN",
        "TRYAGAIN",
        "MOVED",
        "ASK",
        "BUSY",
        "NOREPLICAS",
        "MISCONF",
    ]
)

LOST: Final = "connection lost"

Reply = int | bytes | None | list["Reply"]
Arg = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Manner:
    """How all servers of a store are dealt with."""

    name: str
    """What CLIENT LIST shows."""
    deadline_s: float
    """A reply later than this means that the server hangs: the connection is given up."""
    pending_max: int
    """Commands without a reply beyond it are refused."""
    replicas: int
    """How many must have a command that asks for it; 0: no command may ask."""
    replicas_wait_ms: int
    """For so long they are waited for."""


@dataclass(slots=True, eq=False)
class Pending:
    """A command on its way, with what it takes to repeat it when the store did not run it."""

    packed: bytes
    future: asyncio.Future[Reply]
    since_s: float
    """When it took its place in the row, by the loop's clock."""
    key: Arg | None = None
    """Where it belongs in a cluster; None = anywhere."""
    script: Script | None = None
    replicated: bool = False
    """It counts as done only when the replicas have it."""
    asks: bool = False
    """It goes where a slot is moving to, which the node there allows for one command (ASK)."""
    loads: int = 0
    """How often its script was unknown."""
    refusals: int = 0
    """How often a node of a cluster refused it since it was last tried."""
    first_s: float = 0.0
    """When it took its first place; 0 before it is repeated."""


class Line(asyncio.Protocol):
    """One connection from its first byte to its last."""

    def __init__(self, manner: Manner) -> None:
        """Use `connect`."""
        self.pending: deque[Pending] = deque()
        self.on_lost: Callable[[str], None] | None = None
        self.on_refused: Callable[[Pending, str], bool] | None = None
        """Told of a command that the store refused, and why; True = it is taken care of."""
        self.mode = ""
        """standalone, cluster or sentinel."""
        self.role = ""
        """master or replica."""
        self._manner = manner
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._out: list[bytes] = []
        self._written = 0
        """Commands that have left and have no reply yet."""
        self._held = False
        """A batch gathers until the one that is under way has been answered."""
        self._hold: asyncio.TimerHandle | None = None
        """Held at most until then."""
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._loading: set[str] = set()
        # what waits for replicas
        self._wants_wait = False
        self._wait: Pending | None = None
        self._unproved: list[tuple[Pending, Reply]] = []

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio hands a stream protocol a Transport; its own signature says less.
        self._transport = cast(asyncio.Transport, transport)

    def call(self, *command: Arg) -> asyncio.Future[Reply]:
        """One command of the line's own; raises as `Wire.call`."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.send(Pending(packed(command), future, self._loop.time()))
        return future

    def send(self, pending: Pending) -> None:
        """Take a place in the row. `since_s` says since when."""
        if self._transport is None:
            fail(pending.future, StoreLostError(LOST))
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        if pending.asks:
            # The node forgets its leave with the next command, so the two must be neighbours.
            self._out.append(_ASKING)
            self.pending.append(Pending(_ASKING, self._unheard(), pending.since_s))
        self._out.append(pending.packed)
        self.pending.append(pending)
        if pending.replicated:
            self._wants_wait = True
        if self._watch is None:
            self._watch = self._loop.call_later(self._manner.deadline_s, self._look)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._written -= 1
                self._settle(self.pending.popleft(), reply)
        except (HiredisError, IndexError) as error:
            self.close(f"not the store's protocol: {type(error).__name__}")
            return
        if self._held and not self._written:
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
        unproved, self._unproved = self._unproved, []
        for pending, reply in unproved:
            fail(pending.future, NotReplicatedError(reply))
        for pending in lost:
            fail(pending.future, StoreLostError(why))
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost(why)

    # ------------------------------------------------------------ writing

    def _flush(self) -> None:
        """Write what has gathered; while a batch is under way the next one gathers a little longer.

        The store answers a batch with one fsync, so commands that wait for its answer leave together: fewer
        writes here, fewer fsyncs there. A lone command is never held. While replicas are waited for the store
        reads nothing more of this connection, so everything gathers until they have answered.
        """
        if self._held or not self._out:
            return
        if self._wait is not None:
            self._held = True
        elif self._written and len(self._out) < HOLD_COMMANDS_MAX:
            self._held = True
            self._hold = self._loop.call_later(HOLD_S, self._write)
        else:
            self._write()

    def _write(self) -> None:
        self._held = False
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        if self._transport is None or not self._out:
            return
        if self._wants_wait:
            # It counts the replicas that have all of this connection's writes: one question for the batch.
            self._wants_wait = False
            command = packed(("WAIT", self._manner.replicas, self._manner.replicas_wait_ms))
            self._wait = Pending(command, self._unheard(), self._loop.time(), replicated=True)
            self._out.append(command)
            self.pending.append(self._wait)
        self._written += len(self._out)
        self._transport.write(b"".join(self._out))
        self._out.clear()

    def _unheard(self) -> asyncio.Future[Reply]:
        """For a reply that nobody waits for."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        future.add_done_callback(disregard)
        return future

    # ------------------------------------------------------------ settling

    def _settle(self, pending: Pending, reply: object) -> None:
        if pending is self._wait:
            self._prove(reply)
        elif isinstance(reply, ReplyError):
            self._refused(pending, str(reply))
        elif pending.replicated:
            self._unproved.append((pending, cast(Reply, reply)))
        elif not pending.future.done():
            # hiredis without an encoding answers exactly these: integers, bytes, None and lists of them.
            pending.future.set_result(cast(Reply, reply))

    def _prove(self, reply: object) -> None:
        """How many replicas have what was written before; an error (a failover under way) is none."""
        self._wait = None
        proved = isinstance(reply, int) and reply >= self._manner.replicas
        unproved, self._unproved = self._unproved, []
        for pending, answer in unproved:
            if not proved:
                fail(pending.future, NotReplicatedError(answer))
            elif not pending.future.done():
                pending.future.set_result(answer)

    def _refused(self, pending: Pending, text: str) -> None:
        if pending.script is not None and text.startswith("NOSCRIPT"):
            self._load_and_repeat(pending, pending.script)
        elif self.on_refused is None or not self.on_refused(pending, text):
            fail(pending.future, refusal(text))

    def _load_and_repeat(self, pending: Pending, script: Script) -> None:
        """The script did not run, so repeating it is safe; loading goes ahead of it, once for all that wait."""
        pending.loads += 1
        if pending.loads > LOADS_MAX:
            fail(pending.future, StoreLostError("the store forgets our scripts"))
            return
        if script.sha not in self._loading:
            self._loading.add(script.sha)
            loaded = self.call("SCRIPT", "LOAD", script.text)
            loaded.add_done_callback(disregard)
            loaded.add_done_callback(lambda _: self._loading.discard(script.sha))
        # It takes its place in the row of replies anew, and so does its deadline.
        pending.since_s = self._loop.time()
        self.send(pending)

    def _look(self, *, stalled: bool = False) -> None:
        """Whether the oldest command has waited too long. One timer for all of them."""
        self._watch = None
        if not self.pending:
            return
        left_s = self.pending[0].since_s + self._manner.deadline_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        elif not stalled:
            self._watch = self._loop.call_later(STALL_GRACE_S, lambda: self._look(stalled=True))
        else:
            self.close("the store does not answer")


async def connect(address: Address, manner: Manner) -> Line:
    """A line to this server, which has told that it has its data.

    Raises:
        StoreLostError: nobody answers there now.
        LaneError: it refuses our name or password.
    """
    loop = asyncio.get_running_loop()

    def new_line() -> Line:
        return Line(manner)

    try:
        async with asyncio.timeout(manner.deadline_s):
            if address.path:
                _, line = await loop.create_unix_connection(new_line, address.path)
            else:
                _, line = await loop.create_connection(
                    new_line, address.host, address.port, ssl=tls_of(address)
                )
            try:
                *_, hello, _ = [
                    await line.call(*command) for command in greeting(address, manner.name)
                ]
            except BaseException:
                line.close("the greeting failed")
                raise
    except (OSError, TimeoutError) as error:
        raise StoreLostError(f"no store at {address}: {type(error).__name__}") from error
    if not line.is_open:
        # It broke between the last answer and now, when nobody was told of a loss yet.
        raise StoreLostError(f"no store at {address}: {LOST}")
    facts = cast(list[Reply], hello)
    told = dict(zip(facts[::2], facts[1::2], strict=True))
    line.mode, line.role = (
        cast(bytes, told.get(fact, b"")).decode() for fact in (b"mode", b"role")
    )
    return line


def greeting(address: Address, name: str) -> list[tuple[Arg, ...]]:
    """The first commands on a new connection; PING also tells whether the store has loaded its data."""
    sign_in = ("AUTH", address.user or "default", address.password) if address.password else ()
    return [("HELLO", 2, *sign_in, "SETNAME", name), ("PING",)]


def tls_of(address: Address) -> ssl.SSLContext | None:
    return ssl.create_default_context() if address.tls else None


def refusal(text: str) -> StoreLostError | LaneError:
    """What an error of the store means to the caller."""
    code = text.partition(" ")[0]
    if code in NOT_NOW:
        return StoreLostError(f"the store refuses for now: {code}")
    return LaneError(text)


def packed(command: tuple[Arg, ...]) -> bytes:
    """The command as it travels."""
    # The library's stub knows commands of one word only.
    return pack_command(command)  # type: ignore[arg-type, no-any-return]  # the stub is narrower


def fail(future: asyncio.Future[Reply], error: Exception) -> None:
    """Settle a future with an error, unless it is settled."""
    if future.done():
        return
    future.set_exception(error)
    # A loss is no news to a caller that did not wait; without this asyncio complains about each of them.
    if isinstance(error, StoreLostError):
        disregard(future)


def disregard(future: asyncio.Future[Reply]) -> None:
    """Nobody waits for it: what it holds is no news."""
    if not future.cancelled():
        future.exception()


_ASKING: Final = packed(("ASKING",))
