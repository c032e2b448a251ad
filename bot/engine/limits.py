"""Rates that all replicas share: one token bucket per name, in the store.

At load a process leases tokens in batches, so that the store is asked about once for ten of them. A leased token
is good for a short while only, and the bucket holds that much less: over any stretch of time, all processes
together never take more than `per_s * time + burst`.
"""

import asyncio
import math
from dataclasses import dataclass, field
from typing import Final, cast

from bot.clock import Clock
from bot.lanes import PREFIX, Script, Wire

HOLD_S: Final = 0.125  # at 80 messages a second, Meta's default for a number, that is ten tokens
BURST_PART: Final = 4  # at most this part of the burst is given up for batches
WAIT_MAX_MS: Final = 60_000  # ask again by then, however many wait
BUCKETS_MAX: Final = 4_096  # names remembered by one process


@dataclass(slots=True)
class _Bucket:
    """What this process knows of one bucket. Times are ms of our clock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # the tokens we lease
    wanted: int = 1
    granted: int = 0
    tokens: int = 0
    good_until: int = 0
    # while it is empty
    empty_until: int = 0
    promised: float = 0
    """The time told to the last who had to wait; the next is told a later one."""
    # whether all this still means something
    looked_at: int = 0


class Limits:
    """Implements `handlers.ports.Limits`."""

    def __init__(self, wire: Wire, *, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._script = Script.read("bot.engine", "limit")
        self._buckets: dict[str, _Bucket] = {}

    async def take_spare(self, name: str, *, per_s: float, burst: int, reserve: int) -> int:
        """Take one token of those above the `reserve`, for what must never stand before others: as `take` otherwise.

        The store is asked each time, and whoever takes from the same bucket meanwhile is made no promise by it.
        """
        reply = await self._wire.script(
            self._script,
            (f"{PREFIX}limit:{name}",),
            (self._clock.shift_ms, math.ceil(1_000_000 / per_s), burst, 1, reserve),
        )
        _, wait_ms = cast(tuple[int, int], reply)
        return wait_ms

    async def take(self, name: str, *, per_s: float, burst: int) -> int:
        """See `handlers.ports.Limits.take`. With an answer above 0 no token was taken: ask again then.

        Args:
            name: of the bucket; ids only, it is part of a key.
            per_s: tokens that flow in per second, above 0.
            burst: tokens that a full bucket holds, 1 or more.

        Raises:
            StoreLostError: the store does not answer.
        """
        if per_s <= 0 or burst < 1:
            raise ValueError("a limit needs a rate above 0 and a burst of 1 or more")
        each_ms = 1000 / per_s
        bucket = self._bucket(name)
        async with bucket.lock:
            now = self._clock.now_ms()
            if now < bucket.looked_at:
                # The clock was set back: moments that we noted lie too far ahead.
                bucket.tokens = bucket.empty_until = 0
                bucket.promised = 0
            bucket.looked_at = now
            if not (bucket.tokens and now <= bucket.good_until):
                if now < bucket.empty_until:
                    return _promise(bucket, now, bucket.promised + each_ms)
                wait_ms = await self._lease(bucket, name, now, per_s=per_s, burst=burst)
                if wait_ms:
                    bucket.empty_until = now + wait_ms
                    return _promise(bucket, now, max(now + wait_ms, bucket.promised + each_ms))
            bucket.tokens -= 1
            return 0

    async def _lease(
        self, bucket: _Bucket, name: str, now: int, *, per_s: float, burst: int
    ) -> int:
        """Fill our part of the bucket; answers ms to wait if there is nothing."""
        batch_max = max(1, min(math.floor(per_s * HOLD_S), burst // BURST_PART))
        if bucket.granted:
            # More only when the last batch was used up in time: what a process does not use is lost for all.
            used = bucket.granted - bucket.tokens
            was_used_up = bucket.tokens == 0 and now <= bucket.good_until
            bucket.wanted = used * 2 if was_used_up else used
        bucket.wanted = max(1, min(batch_max, bucket.wanted))
        held = batch_max if batch_max > 1 else 0
        reply = await self._wire.script(
            self._script,
            (f"{PREFIX}limit:{name}",),
            (self._clock.shift_ms, math.ceil(1_000_000 / per_s), burst - held, bucket.wanted, 0),
        )
        bucket.tokens, wait_ms = cast(tuple[int, int], reply)
        bucket.granted = bucket.tokens
        # Counted from before the question, so that our time is never longer than the store's.
        bucket.good_until = now + math.floor(held * 1000 / per_s)
        if bucket.tokens and self._clock.now_ms() > bucket.good_until:
            bucket.tokens = bucket.granted = (
                1  # the answer was slow: only the one that is asked for now
            )
        return wait_ms

    def _bucket(self, name: str) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                # It loses a few leased tokens and promises, and no limit.
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[name] = _Bucket()
        return bucket


def _promise(bucket: _Bucket, now: int, at: float) -> int:
    bucket.promised = min(at, now + WAIT_MAX_MS)
    return max(1, math.ceil(bucket.promised - now))
