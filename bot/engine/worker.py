"""The worker: a leased conversation, its waiting events, a turn, one commit."""

import random
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import MsgspecError
from msgspec.json import Decoder, Encoder

from bot.clock import Clock
from bot.engine.conversation import Conversation
from bot.engine.conversation import decode as decode_conversation
from bot.engine.conversation import encode as encode_conversation
from bot.engine.draft import KNOCK_EVERY_MS, without_secrets
from bot.engine.roots import customers
from bot.engine.runner import After
from bot.engine.turn import Decision, decide
from bot.lanes import Lanes, Push, Taken
from bot.metrics import Metrics
from flows.dialog.advance import Book
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, ItemId, TenantId
from handlers.events import Arrived, Event, Proposed
from handlers.journal import RefusedRecord, TurnRecord

TRIES_MAX: Final = 5  # then the head event is set aside and the conversation goes on
BACKOFF_MS: Final = 500
BACKOFF_MAX_MS: Final = 30_000

log = structlog.get_logger()

_decode_event = Decoder[Event](Event).decode
_encode_record = Encoder().encode


class Worker:
    """Carries lanes of kind `conv`."""

    def __init__(
        self,
        lanes: Lanes,
        book: Book,
        *,
        firm_of: Callable[[TenantId], Firm | None],
        clock: Clock,
        metrics: Metrics,
        room: Callable[[], int],
        root_of: Callable[[ChannelId], str] = customers,
        knock_every_ms: int = KNOCK_EVERY_MS,
    ) -> None:
        """
        Args:
            room: how many more action lanes this process would carry; pushed lanes are leased only then.
            root_of, knock_every_ms: see `bot.engine.turn.decide`.
        """
        self._lanes = lanes
        self._book = book
        self._firm_of = firm_of
        self._clock = clock
        self._metrics = metrics
        self._room = room
        self._root_of = root_of
        self._knock_every_ms = knock_every_ms

    async def carry(self, taken: Taken) -> After:
        started = self._clock.now_ms()
        if taken.tries > TRIES_MAX and taken.items:
            return await self._set_aside(taken, "tries")
        # After a failure events are tried one by one, so that only the one that fails is set aside.
        bodies = taken.items if taken.tries <= 1 else taken.items[:1]
        try:
            events = [_decode_event(body) for body in bodies]
        except MsgspecError:
            if len(bodies) > 1:
                return await self._again(taken)
            return await self._set_aside(taken, "unreadable")
        try:
            rest = None if taken.state is None else decode_conversation(taken.state)
            decision = decide(
                self._book,
                self._firm_of,
                taken.conversation,
                rest,
                events,
                started,
                root_of=self._root_of,
                knock_every_ms=self._knock_every_ms,
            )
        except Exception as error:
            log.error("turn.failed", lane=taken.lane, tries=taken.tries, error=type(error).__name__)
            log.debug("turn.failed.trace", lane=taken.lane, exc_info=error)
            self._metrics.turn("failed")
            return await self._again(taken)
        before = "" if rest is None else rest.session.state
        return await self._commit(taken, events, decision, started, before=before)

    async def _commit(
        self, taken: Taken, events: list[Event], decision: Decision, started: int, *, before: str
    ) -> After:
        take = self._room() > 0
        committed = await self._lanes.commit(
            taken,
            consumed=decision.consumed,
            state=encode_conversation(decision.conversation),
            wake_ms=decision.wake_ms,
            push=[Push(lane, body, take=take) for lane, body in decision.pushes],
            journal=[_encode_record(record) for record in decision.records],
        )
        if committed is None:
            log.warning("turn.stale", lane=taken.lane)
            self._metrics.turn("stale")
            return After()
        now = self._clock.now_ms()
        self._metrics.turn("committed" if decision.consumed else "waiting")
        self._metrics.turn_seconds.observe((now - started) / 1000)
        for event in events[: decision.consumed]:
            if isinstance(event, Arrived) and event.received:
                self._metrics.reply_seconds.observe(max(0, now - event.received) / 1000)
        after = decision.conversation.session.state
        if after != before:
            self._metrics.moved(before, after)
        for record in decision.records:
            if isinstance(record, TurnRecord):
                for end in record.ended:
                    self._metrics.ends.labels(end).inc()
        mine = {t.lane for t in committed.taken}
        claim = {lane.partition("/")[0] for lane, _ in decision.pushes if lane not in mine}
        if committed.left and (decision.consumed or not taken.items):
            claim.add(taken.kind)
        return After(taken=committed.taken, claim=tuple(sorted(claim)), wake_ms=decision.wake_ms)

    async def _again(self, taken: Taken) -> After:
        delay_ms = min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** max(0, taken.tries - 1))
        delay_ms += random.randrange(BACKOFF_MS)  # noqa: S311  spreads retries, guards nothing
        await self._lanes.retry(taken, delay_ms=delay_ms)
        return After(wake_ms=self._clock.now_ms() + delay_ms)

    async def _set_aside(self, taken: Taken, why: str) -> After:
        log.error("event.set_aside", item=taken.id(), tries=taken.tries, why=why)
        self._metrics.turn("set_aside")
        record = self._failure(taken, why)
        rest = self._readable(taken.state)
        wakes_at = None if rest is None else rest.session.wake_at()
        buried = await self._lanes.bury(
            taken,
            why=why,
            journal=[] if record is None else [_encode_record(record)],
            wake_ms=0 if wakes_at is None else int(wakes_at.timestamp() * 1000),
        )
        return After(claim=(taken.kind,) if buried is not None and buried.left else ())

    def _failure(self, taken: Taken, why: str) -> TurnRecord | RefusedRecord | None:
        """The journal's line for an event that no turn could take: the message itself is kept."""
        try:
            event: Event | None = _decode_event(taken.items[0])
        except MsgspecError:
            event = None
        if isinstance(event, Proposed):
            return RefusedRecord(
                tenant=event.tenant,
                ref=event.id,
                item=ItemId(""),
                at=self._clock.now_ms(),
                fault="set_aside",
            )
        rest = self._readable(taken.state)
        source: Arrived | Conversation | None = event if isinstance(event, Arrived) else rest
        if source is None:
            return None
        return TurnRecord(
            tenant=source.tenant,
            channel=source.channel,
            contact=source.contact,
            conversation=taken.conversation,
            turn=-(taken.head + 1),  # no turn took it: outside the row of turns, yet unique
            at=self._clock.now_ms(),
            sender=event.sender if isinstance(event, Arrived) else None,
            heard=(without_secrets(event.heard),) if isinstance(event, Arrived) else (),
            failed=why,
        )

    def _readable(self, state: bytes | None) -> Conversation | None:
        try:
            return None if state is None else decode_conversation(state)
        except MsgspecError:
            return None
