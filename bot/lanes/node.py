"""A node: one server of the store, and the line to it, which is kept up."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bot.lanes.address import Address
from bot.lanes.errors import LaneError, StoreLostError
from bot.lanes.line import Line, Manner, Pending, connect, fail

BACKOFF_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0

log = structlog.get_logger()


class Node:
    """Reconnects by itself. While it is down every call fails at once, but for those that were sent here by
    another node: they wait for the attempt that is under way."""

    def __init__(
        self,
        locate: Callable[[], Awaitable[Address]],
        manner: Manner,
        *,
        on_refused: Callable[["Node", Pending, str], bool],
        on_lost: Callable[[], None] | None = None,
        writes: bool = False,
    ) -> None:
        """
        Args:
            locate: asked before each attempt; raises StoreLostError when nobody knows.
            on_refused: see `Line.on_refused`.
            on_lost: told when the line is lost, and after each attempt that failed.
            writes: a replica is no use here.
        """
        self.line: Line | None = None
        self.address: Address | None = None
        """Where it was last looked for."""
        self.is_new = True
        """The first attempt is not over."""
        self._locate = locate
        self._manner = manner
        self._on_refused = on_refused
        self._on_lost = on_lost
        self._writes = writes
        self._waiting: list[Pending] = []
        self._keeper: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._closed = ""
        """Why, once it is."""

    async def open(self) -> None:
        """Connect, once.

        Raises:
            StoreLostError: nobody answers there now.
            LaneError: it refuses our name or password.
        """
        self.address = await self._locate()
        line = await connect(self.address, self._manner)
        if self._writes and line.role != "master":
            line.close("it is a replica")
            raise StoreLostError(f"the store at {self.address} is a {line.role}")
        line.on_lost = self._lost
        line.on_refused = self._refused
        self.line = line
        self.is_new = False

    def keep(self) -> None:
        """Connect behind the scenes, again and again until it holds."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._connect())

    def send(self, pending: Pending) -> None:
        """Send it, or fail it if the node is down, or overwhelmed."""
        line = self.line
        if line is None:
            if self.is_new:
                self.send_when_up(pending)
            else:
                fail(pending.future, StoreLostError("no connection to the store"))
        elif len(line.pending) >= self._manner.pending_max:
            fail(pending.future, StoreLostError("too much is waiting for the store"))
        else:
            line.send(pending)

    def send_when_up(self, pending: Pending) -> None:
        """Send it now, or after the attempt to connect that is under way, or about to be; it fails with that attempt."""
        if self.line is not None:
            self.line.send(pending)
        elif self._closed:
            fail(pending.future, StoreLostError(self._closed))
        elif len(self._waiting) >= self._manner.pending_max:
            fail(pending.future, StoreLostError("too much is waiting for the store"))
        else:
            self._waiting.append(pending)
            self._hurry.set()
            self.keep()

    async def close(self, why: str) -> None:
        """What waits for a reply fails."""
        self._closed = why
        line, self.line = self.line, None
        if line is not None:
            line.close(why)
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        self._give_up(StoreLostError(why))

    def _refused(self, pending: Pending, text: str) -> bool:
        return self._on_refused(self, pending, text)

    def _lost(self, why: str) -> None:
        if self.line is None:
            return
        self.line = None
        log.warning("store.lost", address=str(self.address), why=why)
        self.keep()
        if self._on_lost is not None:
            self._on_lost()

    async def _connect(self) -> None:
        wait_s = BACKOFF_S / 2
        was_away = not self.is_new
        while True:
            self._hurry.clear()
            try:
                await self.open()
            except (StoreLostError, LaneError) as error:
                if isinstance(error, LaneError):
                    log.error("store.refused", address=str(self.address), error=str(error))
                self.is_new, was_away = False, True
                self._give_up(error)
                if self._on_lost is not None:
                    self._on_lost()
            else:
                break
            await asyncio.sleep(BACKOFF_S)
            wait_s = min(wait_s * 2, BACKOFF_MAX_S)
            # Somebody who was sent here ends the waiting: another node holds this one to be up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s - BACKOFF_S):
                    await self._hurry.wait()
        self._keeper = None
        if was_away:
            log.info("store.back", address=str(self.address))
        waiting, self._waiting = self._waiting, []
        for pending in waiting:
            pending.since_s = asyncio.get_running_loop().time()
            self.send_when_up(pending)

    def _give_up(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, []
        for pending in waiting:
            fail(pending.future, error)
