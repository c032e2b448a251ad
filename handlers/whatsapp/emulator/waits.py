"""Waiting on a clock that can be moved, and tasks that have an owner."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Final, Self

from handlers.ports import Clock

_LOOK_AGAIN_S: Final = 3600.0  # ours: a wait never trusts one timer for longer
_log: Final = logging.getLogger(__name__)


class Waits:
    """Waits until a moment of the clock, however the clock gets there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moved = asyncio.Event()
        self.waiting = 0
        """How many wait now."""

    async def until(self, at_ms: int) -> None:
        """Return once the clock shows `at_ms`."""
        self.waiting += 1
        try:
            while (left_ms := at_ms - self._clock.now_ms()) > 0:
                await self._look_again(min(left_ms / 1000, _LOOK_AGAIN_S))
        finally:
            self.waiting -= 1

    async def during(self, ms: int) -> None:
        """Return once the clock has gone on by `ms`."""
        await self.until(self._clock.now_ms() + ms)

    async def _look_again(self, after_s: float) -> None:
        """Return when the clock is moved, at the latest after so many real seconds."""
        try:
            async with asyncio.timeout(after_s):
                await self._moved.wait()
        except TimeoutError:
            return

    def moved(self) -> None:
        """The clock was moved: everybody looks again."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


class Chores:
    """Owns the tasks that outlive the request that began them; leaving the context ends them all."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def pending(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def begin(self, work: Coroutine[object, object, None]) -> Callable[[], object]:
        """Run it in the background; calling what is answered ends it early."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._ended)
        return task.cancel

    async def done(self) -> None:
        """Return once nothing is under way."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Cancel what is under way and wait for its end."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("emulator.chore_failed", exc_info=error)
