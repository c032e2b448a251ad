"""Time that stands still until a test moves it, and a way out of a process that waits to be told what happens.

Nothing here is slow or unsure: a minute passes in no time, and a request is lost because somebody says so.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

from bot.clock import Clock
from bot.lanes import Address, Arg, LaneError, Reply, Script, StoreLostError, Taken, Wire
from bot.lanes.line import Pending
from handlers.whatsapp.errors import GraphError

NOON_MS: Final = 1_795_392_000_000
TIE_S: Final = 1e-10
TIES_MAX: Final = 1_000_000  # all together less than a ms
TRIP_MS: Final = 2  # to the store and back


# ------------------------------------------------------------------ time


class Shift(int):
    """What the store must add to its own time to be where we are: true for this moment only."""


class StillClock(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = NOON_MS
        super().__init__()

    @property
    def shift_ms(self) -> Shift:
        return Shift(self.ms)

    @shift_ms.setter
    def shift_ms(self, _ms: int) -> None:
        """There is nothing to keep: it is reckoned anew at each look."""

    def now_ms(self) -> int:
        return self.ms

    def steady_s(self) -> float:
        return self.ms / 1000


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers follow a clock that stands still."""

    def __init__(self, clock: StillClock) -> None:
        self._clock = clock
        self._timers = 0
        super().__init__()

    def time(self) -> float:
        return (self._clock.ms - NOON_MS) / 1000

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Of timers that are due together, the one that was set first comes first; asyncio leaves that open."""
        self._timers = (self._timers + 1) % TIES_MAX
        return super().call_at(when + self._timers * TIE_S, callback, *args, context=context)

    async def settled(self) -> None:
        """Until every task waits for something outside this loop, or for time."""
        await asyncio.sleep(0)  # a pass of the loop, so that timers that are due come up
        # asyncio's own; there is no public way to ask
        while self._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110  it is the loop itself that is waited for
            await asyncio.sleep(0)

    def next_timer_ms(self) -> int | None:
        """When the first timer is due that somebody waits for."""
        timers = self._scheduled  # type: ignore[attr-defined]  # as above
        due = min((timer.when() for timer in timers if not timer.cancelled()), default=None)
        return None if due is None else NOON_MS + int(due * 1000) + 1


@dataclass(frozen=True, order=True)
class Moment:
    """When something happened: its place among all that happens, and the time."""

    place: int
    ms: int

    def __bool__(self) -> bool:
        return self.place > 0


NEVER: Final = Moment(0, 0)


@dataclass(frozen=True)
class Lease:
    """A lane in the hands of a process."""

    process: object
    taken: Taken
    since: Moment


UNDER: Final[ContextVar[Lease | None]] = ContextVar("lease", default=None)
"""The lease under which a task works."""


# ------------------------------------------------------------------ the way out


class WayBrokeError(Exception):
    """The connection to an outer system broke."""


class Trip:
    """One thing that leaves a process and whose answer it awaits."""

    def __init__(
        self, gate: "Gate", kind: str, what: str, go: Callable[[], Awaitable[object]]
    ) -> None:
        """`kind`: `store`, or the outer system that it goes to; `what`: which script of lanes or health."""
        self.gate = gate
        self.kind = kind
        self.what = what
        self.lease = UNDER.get()
        self.future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.has_happened = False
        self.result: object = None
        self._go = go
        self._error: Exception | None = None

    async def happen(self) -> None:
        """It arrives and takes effect, if it has not yet; the answer stays here."""
        if self.has_happened:
            return
        self.has_happened = True
        try:
            self.result = await self._go()
        except (LaneError, StoreLostError, GraphError, WayBrokeError) as error:
            self._error = error

    def answer(self) -> None:
        """The answer comes back."""
        if self._error is not None:
            self.fail(self._error)
        elif not self.future.done():
            self.future.set_result(self.result)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            # Whoever did not wait for it misses nothing.
            self.future.exception()


class Gate:
    """The way out of a process: what wants to leave joins the others in `line`, and waits."""

    def __init__(self, line: deque[Trip]) -> None:
        self.line = line
        self.is_shut = False
        """The process is no more."""

    def out(
        self, kind: str, go: Callable[[], Awaitable[object]], *, what: str = ""
    ) -> "asyncio.Future[object]":
        trip = Trip(self, kind, what, go)
        self.line.append(trip)
        return trip.future


class SureWire(Wire):
    """A real wire to a store whose own clock stands at zero, for whoever nothing happens to."""

    def __init__(self, wire: Wire, clock: StillClock) -> None:
        super().__init__(_Deaf(), replicas=0)
        self.wire = wire
        self.clock = clock

    def call(self, *command: Arg, replicated: bool = False) -> "asyncio.Future[Reply]":
        return self.wire.call(*command, replicated=replicated)

    def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Arg],
        *,
        replicated: bool = False,
    ) -> "asyncio.Future[Reply]":
        # However long it waited to leave, the store does it at the time of its arrival.
        now = [int(self.clock.shift_ms) if isinstance(arg, Shift) else arg for arg in args]
        return self.wire.script(_without_time(script), keys, now, replicated=replicated)

    def tell(self, *command: Arg) -> None:
        self.wire.tell(*command)


class GatedWire(SureWire):
    """The same behind a gate. What nobody waits for passes."""

    def __init__(self, gate: Gate, wire: Wire, clock: StillClock) -> None:
        super().__init__(wire, clock)
        self._gate = gate

    def call(self, *command: Arg, replicated: bool = False) -> "asyncio.Future[Reply]":
        pass_on = super().call
        return self._out("", lambda: pass_on(*command, replicated=replicated))

    def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Arg],
        *,
        replicated: bool = False,
    ) -> "asyncio.Future[Reply]":
        pass_on, what = super().script, _names().get(script.sha, "")
        return self._out(what, lambda: pass_on(script, keys, args, replicated=replicated))

    def _out(self, what: str, go: Callable[[], Awaitable[Reply]]) -> "asyncio.Future[Reply]":
        future = self._gate.out("store", go, what=what)
        return cast("asyncio.Future[Reply]", future)  # the wire's own answer


class _Deaf:
    """No way to anything published: whatever the doorbell would tell must come about without it."""

    is_up = True

    def send(self, pending: Pending) -> None:
        raise AssertionError("everything goes over the real wire")

    async def addresses(self) -> list[Address]:
        raise StoreLostError("nothing can be heard")

    async def close(self, why: str) -> None:
        """There is nothing to close."""


def lost() -> StoreLostError:
    return StoreLostError("the connection broke")


@cache
def _without_time(script: Script) -> Script:
    """The same for a store that has no time but what it is told: how fast this machine is makes no difference."""
    return Script.of(script.text.replace("redis.call('TIME')", "{0, 0}"))


@cache
def _names() -> dict[str, str]:
    names = ("put", "claim", "commit", "retry", "renew", "confirm")
    found = {Script.read("bot.lanes", name, shared="_lane").sha: name for name in names}
    return {**found, Script.read("bot.engine", "beat").sha: "beat"}
