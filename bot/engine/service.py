"""The service: a leased action lane, its head item, one effect outside, one commit."""

import asyncio
from typing import Final, assert_never

import structlog
from msgspec.json import Encoder

from bot.clock import Clock
from bot.engine.runner import After
from bot.lanes import Committed, Lanes, Push, StoreLostError, Taken
from bot.metrics import Metrics
from handlers.events import Event
from handlers.ports import Again, Before, Dead, Done, Doubt, Handler, Item, Outcome

TRIES_MAX: Final = 50  # a handler that never gives up is given up for
STORE_LOST_REST_MS: Final = 1_000
GIVE_BACK_PAUSE_S: Final = 0.2
BROKEN_DOUBT_MS: Final = 60_000  # a handler broke off: what left the process is not known

log = structlog.get_logger()

_encode = Encoder().encode


class Service:
    """Carries the lanes of one handler's kind, one item at a time."""

    def __init__(self, lanes: Lanes, handler: Handler, *, clock: Clock, metrics: Metrics) -> None:
        self._lanes = lanes
        self._handler = handler
        self._clock = clock
        self._metrics = metrics

    async def carry(self, taken: Taken) -> After:
        if not taken.items:
            # A wake without an item: an action lane has nothing to do by time alone.
            await self._lanes.commit(taken, consumed=0)
            return After()
        outcome = await self._serve(taken)
        self._metrics.serve(taken.kind, _name(outcome))
        match outcome:
            case Done(records=records, event=event):
                committed = await self._lanes.commit(
                    taken,
                    consumed=1,
                    push=self._tell(taken, event),
                    journal=[_encode(record) for record in records],
                )
                return self._after(taken, committed, event)
            case Dead(why=why, records=records, event=event):
                log.error("item.dead", item=taken.id(), why=why, tries=taken.tries)
                committed = await self._lanes.bury(
                    taken,
                    why=why,
                    push=self._tell(taken, event),
                    journal=[_encode(record) for record in records],
                )
                return self._after(taken, committed, event)
            case Again(after_ms=after_ms, why=why, counts=counts):
                if counts:
                    log.info("item.again", item=taken.id(), why=why, after_ms=after_ms)
                await self._give_back(taken, after_ms, counts=counts)
                return After(wake_ms=self._clock.now_ms() + after_ms)
            case Doubt(after_ms=after_ms, why=why, counts=counts):
                log.warning("item.doubt", item=taken.id(), why=why, after_ms=after_ms)
                await self._lanes.retry(taken, delay_ms=after_ms, doubt=True, counts=counts)
                return After(wake_ms=self._clock.now_ms() + after_ms)
            case other:
                assert_never(other)

    async def _give_back(self, taken: Taken, after_ms: int, *, counts: bool) -> None:
        """Nothing has left the process, and the lane must say so: else it would count as in doubt."""
        give_up_ms = self._clock.now_ms() + self._lanes.lease_ms
        while True:
            try:
                await self._lanes.retry(taken, delay_ms=after_ms, counts=counts)
            except StoreLostError:
                if self._clock.now_ms() >= give_up_ms:
                    raise
                await asyncio.sleep(GIVE_BACK_PAUSE_S)
            else:
                return

    async def _serve(self, taken: Taken) -> Outcome:
        item = Item(
            id=taken.id(),
            conversation=taken.conversation,
            body=taken.items[0],
            tries=taken.tries,
            before=_before(taken.was),
            proof=taken.proof,
            is_ours=taken.lease.holds,
        )
        if taken.tries > TRIES_MAX and taken.proof is None:
            return Dead(why="tries")
        try:
            return await self._handler.serve(item)
        except StoreLostError:
            # Handlers ask the store before they act (limits, the intake's health), never while they do.
            return Again(after_ms=STORE_LOST_REST_MS, why="store_lost", counts=False)
        except Exception as error:
            log.error("item.broken", item=item.id, error=type(error).__name__)
            log.debug("item.broken.trace", item=item.id, exc_info=error)
            return Doubt(after_ms=BROKEN_DOUBT_MS, why="broken")

    def _tell(self, taken: Taken, event: Event | None) -> list[Push]:
        if event is None:
            return []
        return [Push(f"conv/{taken.conversation}", _encode(event), take=True)]

    def _after(self, taken: Taken, committed: Committed | None, event: Event | None) -> After:
        if committed is None:
            log.warning("item.stale", item=taken.id())
            self._metrics.serve(taken.kind, "stale")
            return After()
        claim: tuple[str, ...] = (taken.kind,) if committed.left else ()
        if event is not None and not committed.taken:
            claim += ("conv",)
        return After(taken=committed.taken, claim=claim)


def _before(was: int) -> Before:
    if was > 0:
        return Before.VANISHED
    return Before.DOUBTED if was == -2 else Before.CLEAN


def _name(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "done"
        case Again(counts=True):
            return "again"
        case Again():
            return "waited"
        case Doubt():
            return "doubt"
        case Dead():
            return "dead"
        case other:
            assert_never(other)
