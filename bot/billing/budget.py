"""The firms' monthly budgets, shared by all replicas: messages are leased from a count in the store, never from PostgreSQL.

A message is estimated when it is sent, at the price of the firm's own country, and the free ones first; the meter corrects
the count behind it (`bot/billing/reckoning.py`). A lease is counted before it is used, so all replicas together never
take more than the budget, by the estimate; what a replica has leased and not used yet is at most a sixteenth of what was left,
and comes back with the next correction. What can be overshot is what the estimate is wrong by (recipients in dearer
countries), until the meter tells; and after a failover of the store what the replica had not heard of yet.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, cast

import structlog

from bot.billing.cards import Cards
from bot.billing.terms import BUDGET, HOME, POINTS, Month, Terms, points, terms_of
from bot.clock import Clock
from bot.lanes import PREFIX, LaneError, Script, StoreLostError, Wire
from bot.metrics import Metrics
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from handlers.ports import Alerts, StoreDownError

HOLD_MS: Final = 5_000  # a leased message is good for so long
EMPTY_MS: Final = 1_000  # an empty budget is not asked again for so long
BATCH_MAX: Final = 32
PART: Final = 16
REMEMBERED_S: Final = 70 * 86_400  # a month, and the next one
PURSES_MAX: Final = 4_096

SPENT: Final = "spent"
FREE: Final = "free:"
"""`free:<channel>`: service messages of the channel that cost nothing."""

_BASE: Final = ":base"  # see lease.lua

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Counted:
    """What a month came to by estimate."""

    by_field: Mapping[str, int]
    """`SPENT` in points, `FREE…` in messages."""
    corrected: bool
    """Whether the meter has corrected it before."""


@dataclass(slots=True)
class _Purse:
    """What this process holds for one kind of message of a firm. Times are ms of our clock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    under: tuple[int, str] = (0, "")
    """What the lease was made under, (points up to which may be spent, month): anything else makes it void."""
    messages: int = 0
    granted: int = 0
    wanted: int = 1
    good_until: int = 0
    empty_until: int = 0


class Budget:
    """Implements `handlers.ports.Budget`."""

    def __init__(
        self,
        wire: Wire,
        cards: Cards,
        *,
        firm_of: Callable[[TenantId], Firm | None],
        alerts: Alerts,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._wire = wire
        self._cards = cards
        self._firm_of = firm_of
        self._alerts = alerts
        self._clock = clock
        self._metrics = metrics
        self._lease = Script.read("bot.billing", "lease")
        self._settle = Script.read("bot.billing", "settle")
        self._purses: dict[tuple[TenantId, ChannelId, str, bool], _Purse] = {}
        self._warned: set[tuple[TenantId, str, int, int]] = set()

    # -------------------------------------------------------------- sending

    async def take(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> bool:
        """See `handlers.ports.Budget.take`.

        Raises:
            StoreLostError: the store does not answer.
        """
        firm = self._firm_of(tenant)
        if firm is None or BUDGET not in firm.settings:
            return True
        terms = terms_of(firm.settings)
        purse = self._purse(tenant, channel, category, answers=answers)
        async with purse.lock:
            now = self._clock.now_ms()
            month = Month.at(now, firm.zone)
            under = (terms.ceiling(answers=answers), month.name)
            if purse.under != under:
                purse.under, purse.messages, purse.empty_until = under, 0, 0
            if now + HOLD_MS < max(purse.good_until, purse.empty_until):
                purse.messages = purse.empty_until = 0  # the clock was set back
            if not (purse.messages and now <= purse.good_until):
                if now < purse.empty_until:
                    return self._refused(answers=answers)
                price, free = self._estimate(terms, month, category, answers=answers)
                if price == 0:
                    return True
                gone = await self._fill(purse, tenant, channel, month, now, price=price, free=free)
                if not purse.messages:
                    purse.empty_until = now + EMPTY_MS
                    await self.warn(tenant, terms, month, reached=under[0])
                    return self._refused(answers=answers)
                await self.warn(tenant, terms, month, reached=gone)
            purse.messages -= 1
            return True

    def give_back(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> None:
        """See `handlers.ports.Budget.give_back`."""
        purse = self._purses.get((tenant, channel, category, answers))
        if purse is not None and self._clock.now_ms() <= purse.good_until:
            purse.messages = min(purse.messages + 1, purse.granted)

    async def _fill(
        self,
        purse: _Purse,
        tenant: TenantId,
        channel: ChannelId,
        month: Month,
        now: int,
        *,
        price: int,
        free: int,
    ) -> int:
        """Lease some; answers points that are gone after it."""
        used = purse.granted - purse.messages
        was_used_up = purse.messages == 0 and now <= purse.good_until
        purse.wanted = max(1, min(BATCH_MAX, used * 2 if was_used_up else used))
        reply = await self._wire.script(
            self._lease,
            (key_of(tenant, month),),
            (
                *(purse.wanted, price, purse.under[0], FREE + channel if free else ""),
                *(free, PART, REMEMBERED_S),
            ),
        )
        purse.messages, gone = cast(tuple[int, int], reply)
        purse.granted = purse.messages
        purse.good_until = now + HOLD_MS
        if purse.messages and self._clock.now_ms() > purse.good_until:
            purse.messages = purse.granted = 1  # the answer was slow: only the one asked for now
        return gone

    def price(self, tenant: TenantId, category: str) -> Decimal | None:
        """Pesos of one message that the firm begins, to its own country; None: nobody has told us."""
        firm = self._firm_of(tenant)
        if firm is None:
            return None
        month = Month.at(self._clock.now_ms(), firm.zone)
        rate = terms_of(firm.settings).rate(self._cards.at(month.begins.date()), HOME, category)
        return None if rate is None else rate.amount

    def _estimate(
        self, terms: Terms, month: Month, category: str, *, answers: bool
    ) -> tuple[int, int]:
        """(points of one message, how many of a number are free in the month)."""
        card = self._cards.at(month.begins.date())
        if card is not None and card.is_free(category, in_window=answers):
            return 0, 0
        rate = terms.rate(card, HOME, category)
        if rate is None:
            # A category that nobody has told the price of is as dear as the dearest.
            known = [terms.rate(card, HOME, other) for other in ("marketing", "utility", "service")]
            amounts = [one.amount for one in known if one is not None]
            self._metrics.count("budget", "no_price")
            if not amounts:
                return 0, 0
            price = points(max(amounts))
        else:
            price = points(rate.amount)
        free = card.rules.service_free_messages if card and category == "service" else 0
        return price, free

    def _refused(self, *, answers: bool) -> bool:
        self._metrics.count("budget", "answer_refused" if answers else "start_refused")
        return False

    def _purse(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> _Purse:
        key = (tenant, channel, category, answers)
        purse = self._purses.get(key)
        if purse is None:
            if len(self._purses) >= PURSES_MAX:
                # What it had leased comes back with the next correction.
                del self._purses[next(iter(self._purses))]
            purse = self._purses[key] = _Purse()
        return purse

    # -------------------------------------------------------------- warning

    async def warn(self, tenant: TenantId, terms: Terms, month: Month, *, reached: int) -> None:
        """Raise the alert of each share of the budget that `reached` (points) has passed: once a month and budget."""
        assert terms.budget is not None
        for share in terms.warnings:
            mark = (tenant, month.name, terms.budget, share)
            if mark in self._warned or reached * 100 < share * terms.budget * POINTS:
                continue
            name = f"warned:{terms.budget}:{share}"
            try:
                if await self._wire.call("HGET", key_of(tenant, month), name) is None:
                    # Before it is noted: better twice than never, and the port tells the same one once.
                    await self._alerts.raise_(tenant, None, "budget", f"{month.name} {share}%")
                    await self._wire.call("HSET", key_of(tenant, month), name, 1)
                    self._metrics.count("budget", f"warned_{_step(share)}")
            except (StoreDownError, StoreLostError, LaneError) as error:
                # A warning must not keep a message from leaving; the next one tries again.
                log.warning("budget.not_warned", tenant=tenant, error=type(error).__name__)
                continue
            if len(self._warned) >= PURSES_MAX:
                self._warned.clear()
            self._warned.add(mark)

    # -------------------------------------------------------------- correcting

    async def counted(self, tenant: TenantId, month: Month) -> Counted:
        """What has been counted by estimate in the month.

        Raises:
            StoreLostError: the store does not answer.
        """
        reply = cast("list[bytes]", await self._wire.call("HGETALL", key_of(tenant, month)))
        fields = {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}
        return Counted(
            by_field={
                name: int(value)
                for name, value in fields.items()
                if name == SPENT or (name.startswith(FREE) and not name.endswith(_BASE))
            },
            corrected=SPENT + _BASE in fields,
        )

    async def settle(
        self,
        tenant: TenantId,
        month: Month,
        counted: Mapping[str, int],
        came_to: Mapping[str, int],
    ) -> int:
        """What was `counted` up to a moment is now known to have come to so much; answers points gone.

        Raises:
            StoreLostError: the store does not answer.
        """
        args = [
            arg
            for name in sorted({SPENT, *counted, *came_to})
            for arg in (name, counted.get(name, 0), came_to.get(name, 0))
        ]
        reply = await self._wire.script(
            self._settle, (key_of(tenant, month),), (REMEMBERED_S, *args)
        )
        return cast(int, reply)


def key_of(tenant: TenantId, month: Month) -> str:
    return f"{PREFIX}budget:{tenant}:{month.name}"


def _step(share: int) -> str:
    return "all" if share == 100 else "part"
