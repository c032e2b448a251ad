"""The running of lanes: who claims what, how much at once, and what follows a commit."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from bot.clock import Clock
from bot.lanes import Bell, Lanes, StoreLostError, Taken
from bot.metrics import Metrics

AT_ONCE_MAX: Final = (
    256  # lanes of a kind carried at the same time; what is over waits in the store
)
CLAIM_MAX: Final = 16
POLL_S: Final = 1.0  # the safety net under the doorbell, and the clock of timers and back-offs
CARRY_MAX_S: Final = 120.0  # longer than any handler's own limit; after it the lease runs out
RENEW_PART: Final = 3  # a lease is renewed at a third of its length

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class After:
    """What a carried lane leaves to do."""

    taken: tuple[Taken, ...] = ()
    """Lanes that the commit leased to us."""
    claim: tuple[str, ...] = ()
    """Kinds with work in the same shard that nobody holds yet."""
    wake_ms: int = 0
    """When this lane is due again, ms since the epoch; 0 = not by time."""


class Carrier(Protocol):
    """Carries one leased lane to its commit."""

    async def carry(self, taken: Taken) -> After:
        """Raises StoreLostError when the outcome of the commit is not known."""
        ...


class Runner:
    """Claims due lanes of its kinds in all shards and carries them, many at once, each to its end."""

    def __init__(
        self,
        lanes: Lanes,
        bell: Bell,
        carriers: Mapping[str, Carrier],
        *,
        clock: Clock,
        metrics: Metrics,
        single: frozenset[str],
    ) -> None:
        """`single`: kinds whose effects cannot be repeated; they are leased one item at a time."""
        self._lanes = lanes
        self._bell = bell
        self._carriers = carriers
        self._clock = clock
        self._metrics = metrics
        self._single = single
        self._held: dict[asyncio.Task[None], tuple[Taken, float]] = {}
        """What each task carries, and since when by the loop's clock."""
        self._taken: Counter[str] = Counter()
        """Lanes of each kind that are carried, or asked for and perhaps ours in a moment."""
        self._wanted: dict[tuple[int, str], None] = {}
        self._alarms: dict[tuple[int, str], tuple[int, asyncio.TimerHandle]] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    # -------------------------------------------------------------- room

    def room(self, kind: str) -> int:
        """How many more lanes of this kind we would carry now. A kind that is slow takes no room from the others."""
        return 0 if self._stopping else AT_ONCE_MAX - self._taken[kind]

    @contextlib.contextmanager
    def asking(self, kind: str, most: int) -> Iterator[None]:
        """Keep room for lanes that are being asked for; whoever asks meanwhile finds less."""
        self._taken[kind] += most
        try:
            yield
        finally:
            self._taken[kind] -= most

    def take(self, taken: Taken) -> None:
        """Carry a lane that was leased to us elsewhere (by a put or a commit)."""
        task = asyncio.create_task(self._carry(taken))
        self._held[task] = (taken, asyncio.get_running_loop().time())
        self._taken[taken.kind] += 1
        task.add_done_callback(self._let_go)

    def want(self, shard: int, kind: str) -> None:
        """There may be due lanes of this kind in this shard: claim soon."""
        self._wanted[shard, kind] = None
        self._wake.set()

    # -------------------------------------------------------------- life

    async def run(self) -> None:
        """Until cancelled: claim what rings, what is due, and everything once a second."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim_wanted())
            group.create_task(self._poll())
            group.create_task(self._renew())
            group.create_task(self._bell.listen(self._rung))

    async def stop(self, within_s: float) -> None:
        """Take nothing new; let what is held finish; what does not finish in time runs into its lease."""
        self._stopping = True
        for _, alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        if self._held:
            _, late = await asyncio.wait(self._held, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)

    # -------------------------------------------------------------- work

    async def _carry(self, taken: Taken) -> None:
        try:
            after = await self._carriers[taken.kind].carry(taken)
        except StoreLostError:
            # Whether the commit happened is unknown: the lease and its fence settle it.
            self._metrics.count("store_lost", taken.kind)
            return
        if after.wake_ms:
            self._alarm(taken.shard, taken.kind, after.wake_ms)
        for following in after.taken:
            if self._stopping:
                await self._give_back(following)
            else:
                self.take(following)
        for kind in after.claim:
            if kind in self._carriers and not self._stopping:
                self.want(taken.shard, kind)
            else:
                self._bell.ring(taken.shard, kind)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        taken, _ = self._held.pop(task)
        self._taken[taken.kind] -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("lane.broken", lane=taken.lane, exc_info=error)
            self._metrics.count("lane_broken", taken.kind)
        if self._wanted:
            self._wake.set()

    async def _give_back(self, taken: Taken) -> None:
        with contextlib.suppress(StoreLostError):
            await self._lanes.retry(taken, delay_ms=0, counts=False)
        self._bell.ring(taken.shard, taken.kind)

    async def _claim_wanted(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := [(shard, kind) for shard, kind in self._wanted if self.room(kind) > 0]:
                for key in batch:
                    del self._wanted[key]
                await asyncio.gather(*(self._claim(shard, kind) for shard, kind in batch))

    async def _claim(self, shard: int, kind: str) -> None:
        most = min(CLAIM_MAX, self.room(kind))
        if most <= 0:
            self._wanted[shard, kind] = None
            return
        with self.asking(kind, most):
            try:
                claimed = await self._lanes.claim(
                    shard, kind, lanes=most, items=1 if kind in self._single else None
                )
            except StoreLostError:
                return  # the poll comes again
        for taken in claimed.taken:
            if self._stopping:
                await self._give_back(taken)
            else:
                self.take(taken)
        if len(claimed.taken) == most:
            self.want(shard, kind)
        elif claimed.next_due_ms:
            self._alarm(shard, kind, claimed.next_due_ms)

    def _alarm(self, shard: int, kind: str, at_ms: int) -> None:
        """Claim at that moment, if it comes before the next poll."""
        wait_ms = at_ms - self._clock.now_ms()
        if self._stopping or wait_ms >= POLL_S * 1000:
            return
        set_for = self._alarms.get((shard, kind))
        if set_for is not None:
            if set_for[0] <= at_ms:
                return
            set_for[1].cancel()
        handle = asyncio.get_running_loop().call_later(
            max(wait_ms, 0) / 1000, self._alarm_rings, shard, kind
        )
        self._alarms[shard, kind] = (at_ms, handle)

    def _alarm_rings(self, shard: int, kind: str) -> None:
        self._alarms.pop((shard, kind), None)
        self.want(shard, kind)

    def _rung(self, shard: int, kind: str) -> None:
        if kind in self._carriers:
            self.want(shard, kind)

    async def _poll(self) -> None:
        while True:
            for shard in range(self._lanes.shards):
                for kind in self._carriers:
                    self._wanted[shard, kind] = None
            self._wake.set()
            # Time that is moved makes things due at once.
            await self._clock.sleep(POLL_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lanes.lease_ms / 1000 / RENEW_PART)
            late = asyncio.get_running_loop().time() - CARRY_MAX_S
            held = [taken for taken, since in self._held.values() if since > late]
            if not held:
                continue
            try:
                kept = await self._lanes.renew(held)
            except StoreLostError:
                continue
            # One that is not ours any more was committed meanwhile, or is lost: its own commit settles it.
            lost = kept.count(False)
            self._metrics.events.labels("lease_not_renewed", "").inc(lost)
