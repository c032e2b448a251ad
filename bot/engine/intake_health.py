"""The intake's health: since when have we been hearing what the outside tells us?

Whoever waits for a status before sending again must not count time in which no status could have reached us.
"""

import asyncio
import contextlib
from typing import Final, cast

from bot.clock import Clock
from bot.lanes import PREFIX, Script, StoreLostError, Wire

BEAT_S: Final = 1.0
GAP_MAX_MS: Final = 3_000  # two beats may be lost
KEY: Final = f"{PREFIX}intake"


class IntakeHealth:
    """Implements `handlers.ports.IntakeHealth`; every process that hears also beats."""

    def __init__(self, wire: Wire, *, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._beat = Script.read("bot.engine", "beat")
        self._healthy = Script.read("bot.engine", "healthy")

    async def beat(self) -> None:
        """Say once a second that our intake is up. Runs until cancelled."""
        while True:
            # A beat that does not arrive is itself the news.
            with contextlib.suppress(StoreLostError):
                await self.pulse()
            await asyncio.sleep(BEAT_S)

    async def pulse(self) -> int:
        """One beat. Answers the ms since the present stretch began.

        Raises:
            StoreLostError: the store takes nothing, so neither does the intake.
        """
        return await self._ask(self._beat)

    async def healthy_ms(self) -> int:
        """See `handlers.ports.IntakeHealth.healthy_ms`."""
        try:
            return await self._ask(self._healthy)
        except StoreLostError:
            return 0

    async def _ask(self, script: Script) -> int:
        reply = await self._wire.script(script, (KEY,), (self._clock.shift_ms, GAP_MAX_MS))
        return cast(int, reply)
