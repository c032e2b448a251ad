"""Campaigns under way: lanes of kind `bulk`, each of which releases its messages slowly into the conversations.

A campaign's lane is to it what a conversation's is to a person: orders (begin, pause …) are its events, how far it has
come is its state, and its next release is a timer. Whom it goes to lies in PostgreSQL; while that is away campaigns
rest, and replies go on. A message is released only when the number has capacity to spare, so no reply waits for bulk.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from bot.clock import Clock
from bot.engine.limits import Limits
from bot.engine.proposals import DAY_MS, Proposal, Proposals, Recipient
from bot.engine.runner import After
from bot.lanes import Bell, Lanes, StoreLostError, Taken
from bot.metrics import Metrics
from bot.people.campaigns import Addressee, read_recipients
from bot.people.directory import Directory
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE
from flows.dialog.ctx import Firm
from flows.values.ids import CampaignId, ChannelId, TenantId
from flows.values.quiet import QUIET, QuietHours, parse_quiet
from handlers.events import Cap
from handlers.journal import CampaignRecord, CampaignStatus
from handlers.ports import Budget, Channel

PriceOf = Callable[[TenantId, str], Decimal | None]
"""Pesos that one message of a category costs a firm today; None if nobody knows."""

ChangeTo = Literal["pause", "resume", "cancel"]

KIND: Final = "bulk"
LIFE_MS: Final = 30 * 86_400_000
"""A campaign that is not over by then, because nobody resumed it or its number cannot send, is cancelled: what it tells is
old, and its list of people is not kept for nothing."""
TICK_MS: Final = 1_000
"""Messages that are due within it are released together."""
RESERVE_PART: Final = 2
"""One in so many of a number's tokens is kept for replies, whatever waits in campaigns."""
BUSY_MS: Final = 250  # until the number is looked at again
AWAY_MS: Final = 5_000
NO_CHANNEL_MS: Final = 60_000
NO_BUDGET_MS: Final = 600_000
TRIES_MAX: Final = 50
BACKOFF_MAX_MS: Final = 30_000

log = structlog.get_logger()


class Plan(Struct, frozen=True):
    """What was asked for."""

    id: CampaignId
    tenant: TenantId
    channel: ChannelId
    size: int
    per_minute: int
    cap: Cap
    ttl_s: int
    """A message is of no use so long after its release."""
    asked_at: int
    """ms since the epoch."""
    spend_max: int = 0
    """Pesos, by the prices of the day of each release; 0 = no limit but the firm's budget."""


class Begin(Struct, frozen=True, tag="begin"):
    plan: Plan


class Change(Struct, frozen=True, tag="change"):
    to: ChangeTo


Order = Begin | Change
"""What lies in a campaign's lane."""


class State(Struct, frozen=True, omit_defaults=True):
    """A campaign at rest between two releases."""

    plan: Plan
    status: CampaignStatus = "running"
    released: int = 0
    step: int = 0
    spent: Decimal = Decimal(0)
    """Pesos, as estimated."""
    next_ms: int = 0
    """Nothing is released before, ms since the epoch."""
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class _Wait:
    until_ms: int
    why: str = ""


_decode_order: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)
_decode_state: Final = msgspec.json.Decoder(State).decode
_encode: Final = msgspec.json.Encoder().encode

_AFTER: Final[dict[str, CampaignStatus]] = {
    "pause": "paused",
    "resume": "running",
    "cancel": "cancelled",
}


async def put_order(
    lanes: Lanes, bell: Bell, campaign: CampaignId, order: Order, *, asked_at: int
) -> None:
    """Tell a campaign; a second `Begin` is known by its plan.

    Raises:
        StoreLostError, LaneError: of `bot.lanes`; it may be repeated.
    """
    shard = lanes.shard(campaign)
    mark = f"campaign:{campaign}" if isinstance(order, Begin) else ""
    await lanes.put(shard, f"{KIND}/{campaign}", _encode(order), mark=mark, day=asked_at // DAY_MS)
    bell.ring(shard, KIND)


class Campaigns:
    """Carries lanes of kind `bulk`."""

    def __init__(
        self,
        lanes: Lanes,
        database: Database,
        proposals: Proposals,
        *,
        directory: Directory,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
        budget: Budget | None = None,
        price_of: PriceOf | None = None,
        is_held: Callable[[ChannelId], str] | None = None,
    ) -> None:
        """
        Args:
            is_held: why nothing may be sent on a channel now, empty if it may; None: nobody holds channels.
            budget: asked for each message before it is released; None: whoever sends asks.
            price_of: what a message costs; None: nobody can tell, and no campaign has a limit of its own.
        """
        self._lanes = lanes
        self._database = database
        self._proposals = proposals
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._budget = budget
        self._price_of = price_of
        self._is_held = is_held

    async def carry(self, taken: Taken) -> After:
        try:
            orders = [_decode_order.decode(body) for body in taken.items]
            before = None if not taken.state else _decode_state(taken.state)
            after, wake_ms = await self._go_on(_told(before, orders))
        except StoreLostError:
            raise
        except Exception as error:
            log.error("campaign.failed", lane=taken.lane, error=type(error).__name__)
            log.debug("campaign.failed.trace", lane=taken.lane, exc_info=error)
            return await self._again(taken)
        state, records = b"", []
        if after is not None:
            state = _encode(after) if after.status in ("running", "paused") else b""
            if _news(before) != _news(after):
                after = replace(after, step=after.step + 1)
                state = _encode(after) if state else b""
                records = [_encode(self._record(after))]
        committed = await self._lanes.commit(
            taken, consumed=len(taken.items), state=state, wake_ms=wake_ms, journal=records
        )
        if committed is None:
            self._metrics.serve(KIND, "stale")
            return After()
        self._metrics.serve(KIND, "done")
        return After(claim=(KIND,) if committed.left else (), wake_ms=wake_ms)

    # -------------------------------------------------------------- releasing

    async def _go_on(self, state: State | None) -> tuple[State | None, int]:
        """Release what is due; answers the state after it and when to look again (ms since the epoch, 0 = not)."""
        if state is None or state.status not in ("running", "paused"):
            return state, 0
        now = self._clock.now_ms()
        ends_ms = state.plan.asked_at + LIFE_MS
        if now >= ends_ms:
            return replace(state, status="cancelled", waits_for=""), 0
        if state.status == "paused":
            return state, ends_ms
        if state.next_ms - now > 0:
            return state, state.next_ms
        ground = self._ground(state.plan, now)
        if isinstance(ground, _Wait):
            return replace(state, waits_for=ground.why), ground.until_ms
        each_ms = 60_000 / state.plan.per_minute
        most = max(1, int(TICK_MS / each_ms))
        try:
            batch = await read_recipients(
                self._database, state.plan.tenant, state.plan.id, start=state.released, most=most
            )
        except UNAVAILABLE as error:
            log.warning("campaign.waits", campaign=state.plan.id, error=type(error).__name__)
            return replace(state, waits_for="database"), now + AWAY_MS
        released, spent, wait = await self._release(state, batch, ground)
        done = state.released + released
        state = replace(
            state,
            released=done,
            spent=spent,
            waits_for="" if wait is None else wait.why,
            next_ms=now + int(max(1, released) * each_ms) if wait is None else wait.until_ms,
        )
        if done >= state.plan.size or not batch:
            return replace(state, status="done", waits_for=""), 0
        return state, state.next_ms

    def _ground(self, plan: Plan, now: int) -> Channel | _Wait:
        """The channel, if anything may be released now."""
        channel, firm = self._directory.channel(plan.channel), self._directory.firm(plan.tenant)
        if channel is None or firm is None or not self._directory.token(plan.channel):
            return _Wait(now + NO_CHANNEL_MS, "channel")
        if self._is_held is not None and self._is_held(plan.channel):
            return _Wait(now + NO_CHANNEL_MS, "channel")
        local = datetime.fromtimestamp(now / 1000, ZoneInfo(firm.zone))
        until = quiet_hours_of(firm).until(local)
        return channel if until is None else _Wait(_ms(until), "quiet_hours")

    async def _release(
        self, state: State, batch: list[Addressee], channel: Channel
    ) -> tuple[int, Decimal, _Wait | None]:
        """How many were released, what all that was released costs, and what stopped us before the end of the batch."""
        plan, spent = state.plan, state.spent
        per_s = channel.throughput
        for n, one in enumerate(batch):
            now = self._clock.now_ms()
            price = self._price(plan, one)
            if plan.spend_max and (price is None or spent + price > plan.spend_max):
                return n, spent, _Wait(now + NO_BUDGET_MS, "spend_max")
            wait_ms = await self._limits.take_spare(
                f"number:{channel.phone_number_id}",
                per_s=per_s,
                burst=per_s,
                reserve=per_s // RESERVE_PART,
            )
            if wait_ms:
                return n, spent, _Wait(now + max(wait_ms, BUSY_MS), "replies")
            if not await self._is_paid_for(plan, self._category(plan, one)):
                return n, spent, _Wait(now + NO_BUDGET_MS, "budget")
            await self._proposals.put(
                Proposal(
                    id=one.message,
                    channel=channel,
                    to=Recipient(one.sender, one.contact),
                    intent=one.intent,
                    asked_at=plan.asked_at,
                    expires=now + plan.ttl_s * 1000,
                    permission=one.permission,
                    cap=plan.cap,
                )
            )
            spent += price or 0
        return len(batch), spent, None

    async def _is_paid_for(self, plan: Plan, category: str) -> bool:
        """Whether the firm's budget has room for one more. The sender takes it: here it is only looked at."""
        if self._budget is None:
            return True
        if not await self._budget.take(plan.tenant, plan.channel, category, answers=False):
            return False
        self._budget.give_back(plan.tenant, plan.channel, category, answers=False)
        return True

    def _price(self, plan: Plan, one: Addressee) -> Decimal | None:
        if self._price_of is None:
            return None
        return self._price_of(plan.tenant, self._category(plan, one))

    def _category(self, plan: Plan, one: Addressee) -> str:
        """What the message is billed as: Meta may have put the template into another category than ours."""
        firm = self._directory.firm(plan.tenant)
        locale = "" if firm is None else firm.locale.partition("@")[0]
        template = self._directory.template(plan.channel, one.intent.template, locale)
        return one.intent.category if template is None else template.category

    # -------------------------------------------------------------- the rest

    def _record(self, state: State) -> CampaignRecord:
        return CampaignRecord(
            tenant=state.plan.tenant,
            campaign=state.plan.id,
            step=state.step,
            status=state.status,
            released=state.released,
            at=self._clock.now_ms(),
            waits_for=state.waits_for,
        )

    async def _again(self, taken: Taken) -> After:
        if taken.tries > TRIES_MAX and taken.items:
            # An order that nobody can follow; what was released stays released.
            await self._lanes.bury(taken, why="unfit")
            return After()
        delay_ms = min(BACKOFF_MAX_MS, 500 * 2 ** min(10, taken.tries))
        delay_ms += random.randrange(500)  # noqa: S311  spreads retries, guards nothing
        await self._lanes.retry(taken, delay_ms=delay_ms)
        return After(wake_ms=self._clock.now_ms() + delay_ms)


def quiet_hours_of(firm: Firm) -> QuietHours:
    """The firm's quiet hours; those of all if it has said none."""
    try:
        return parse_quiet(firm.settings["quiet_hours"])
    except (KeyError, ValueError):
        return QUIET


def _told(state: State | None, orders: list[Order]) -> State | None:
    """The state once these orders were heard. What has ended hears nothing."""
    for order in orders:
        match order:
            case Begin(plan=plan):
                state = state or State(plan)
            case Change(to=to):
                if state is not None and state.status in ("running", "paused"):
                    state = replace(state, status=_AFTER[to], waits_for="", next_ms=0)
    return state


def _news(state: State | None) -> tuple[object, ...] | None:
    return None if state is None else (state.status, state.released, state.waits_for)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
