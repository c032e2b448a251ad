"""All time comes from here, so that it can be moved instead of waited for."""

import asyncio
import time
from typing import Final

# It also goes on while the machine sleeps; only Linux has it.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """Wall-clock time plus a shift. Only the emulator and tests shift it."""

    def __init__(self, shift_ms: int = 0) -> None:
        self.shift_ms = shift_ms
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        """ms since the epoch."""
        return time.time_ns() // 1_000_000 + self.shift_ms

    def steady_s(self) -> float:
        """Seconds of a clock that nobody sets, and that goes on while this process stands still; shifted as the other."""
        return time.clock_gettime(_STEADY) + self.shift_ms / 1000

    def shift(self, ms: int) -> None:
        """Move the time, and wake whoever sleeps: what they wait for may be due."""
        self.shift_ms += ms
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the time is moved."""
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            return
