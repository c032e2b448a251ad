"""The intake's health: since when have we been hearing what the outside tells us?

Whoever waits for a status before sending again must not count time in which no status could have reached us.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, cast

import structlog

from bot.clock import Clock
from bot.lanes import PREFIX, Script, StoreLostError, Wire
from bot.lanes.lanes import NEAR_MS

BEAT_S: Final = 1.0
REFUSED_S: Final = 0.05  # an outage refuses many, and is told no oftener
GAP_MAX_MS: Final = 3_000  # two beats may be lost
KEY: Final = f"{PREFIX}intake"

log = structlog.get_logger()


class IntakeHealth:
    """Implements `handlers.ports.IntakeHealth`; every process that hears also beats."""

    def __init__(
        self,
        wire: Wire,
        *,
        clock: Clock,
        on_set_back: Callable[[int], Awaitable[object]] | None = None,
    ) -> None:
        """`on_set_back`: told by how many ms the store's clock was set back, once, in one of all processes. Less than
        `NEAR_MS` is waited for.
        """
        self._on_set_back = on_set_back
        self._wire = wire
        self._clock = clock
        self._beat = Script.read("bot.engine", "beat")
        self._healthy = Script.read("bot.engine", "healthy")
        self._refused = asyncio.Event()
        """Something was, since the last beat that arrived."""

    def refused(self) -> None:
        """Statuses came and could not be kept, on this node of a cluster or that: the stretch ends here."""
        self._refused.set()

    async def beat(self) -> None:
        """Say once a second that our intake is up, and at once when it was not. Runs until cancelled."""
        starts = True
        while True:
            # A beat that does not arrive is itself the news.
            with contextlib.suppress(StoreLostError):
                await self.pulse(starts=starts)
                starts = False
            await asyncio.sleep(REFUSED_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S - REFUSED_S):
                    await self._refused.wait()

    async def pulse(self, *, starts: bool = False) -> int:
        """One beat. Answers the ms since the present stretch began; it begins anew with a process that starts.

        Raises:
            StoreLostError: the store takes nothing, so neither does the intake.
        """
        refused = self._refused.is_set()
        self._refused.clear()
        try:
            ms = await self._ask(self._beat, int(starts or refused))
        except StoreLostError:
            if refused:
                self._refused.set()
            raise
        if ms <= -NEAR_MS and self._on_set_back is not None:
            log.error("store.clock_set_back", by_ms=-ms)
            await self._on_set_back(-ms)
        return max(0, ms)

    async def healthy_ms(self) -> int:
        """See `handlers.ports.IntakeHealth.healthy_ms`."""
        try:
            return await self._ask(self._healthy)
        except StoreLostError:
            return 0

    async def _ask(self, script: Script, *more: int) -> int:
        reply = await self._wire.script(script, (KEY,), (self._clock.shift_ms, GAP_MAX_MS, *more))
        return cast(int, reply)
