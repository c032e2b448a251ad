"""Corrects the budgets by the meter: what was estimated when it was sent becomes what Meta's statuses say it came to.

One process does it at a time. The counts of a moment are noted; once everything of that moment is in PostgreSQL (the journal has
gone past it), they are replaced by the meter's. What was taken since stays as it was estimated, and part of it is
in the meter already: until the next round a budget looks emptier than it is, never fuller.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, NoReturn

import asyncpg
import structlog

from bot.billing.bill import Bill, count_month, reckon
from bot.billing.budget import FREE, SPENT, Budget, Counted
from bot.billing.cards import Cards
from bot.billing.terms import Month, Terms, points, terms_of
from bot.clock import Clock
from bot.engine.rota import Rota
from bot.lanes import LaneError, Lanes, StoreLostError
from bot.metrics import Metrics
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.dialog.ctx import Firm

ROUND_S: Final = 30.0
SETTLE_S: Final = 30.0
"""What was counted before is in the journal by then, or was never sent: a lease is good for 5 s, an answer of Meta is
waited for for 15."""
JOURNAL_WAIT_S: Final = 1.0
JOURNAL_WAITS: Final = 30
ROTA_S: Final = 120.0  # longer than a round takes

log = structlog.get_logger()


class Reckoning:
    """See the module."""

    def __init__(
        self,
        budget: Budget,
        lanes: Lanes,
        database: Database,
        cards: Cards,
        *,
        firms: Callable[[], Collection[Firm]],
        clock: Clock,
        metrics: Metrics,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._budget = budget
        self._lanes = lanes
        self._database = database
        self._cards = cards
        self._firms = firms
        self._clock = clock
        self._metrics = metrics
        self._sleep = sleep
        self._jitter = jitter

    async def run(self, rota: Rota) -> NoReturn:
        """Correct all budgets, again and again, when it is our turn. An outage of either side is waited for."""
        while True:
            await self._sleep(ROUND_S * (0.5 + self._jitter()))
            try:
                if await rota.take():
                    try:
                        await self.correct()
                    finally:
                        rota.pass_on(after_s=ROUND_S / 2)
            except (
                *UNAVAILABLE,
                StoreLostError,
                LaneError,
                StoreError,
                asyncpg.PostgresError,
            ) as error:
                # The budgets go on by their estimates.
                log.warning("reckoning.waits", error=type(error).__name__)

    async def correct(self) -> bool:
        """One round over all firms that have a budget; False if the journal did not get far enough to tell.

        Raises:
            StoreLostError, LaneError: of `bot.lanes`.
            bot.store.errors.UNAVAILABLE, asyncpg.PostgresError: of PostgreSQL.
        """
        noted: list[tuple[Firm, Terms, Month, Counted]] = []
        for firm in self._firms():
            terms = terms_of(firm.settings)
            if terms.budget is None:
                continue
            month = Month.at(self._clock.now_ms(), firm.zone)
            counted = await self._budget.counted(firm.id, month)
            if not counted.corrected:
                # What was spent before there was a budget counts from now on. Nothing is taken off yet, for what was
                # just sent may not be in PostgreSQL.
                await self._settle(firm, terms, month, counted, least=counted.by_field)
            noted.append((firm, terms, month, counted))
        if noted:
            await self._sleep(SETTLE_S)
            if not await self._journal_is_written():
                log.info("reckoning.journal_behind")
                return False
        self._show([await self._settle(*each, least={}) for each in noted])
        return True

    async def _journal_is_written(self) -> bool:
        """Whether all that is in the journal now gets into PostgreSQL in time."""
        ends = await self._lanes.journal_ends()
        for _ in range(JOURNAL_WAITS):
            trimmed = await self._lanes.journal_trimmed()
            if all(now >= end for now, end in zip(trimmed, ends, strict=True)):
                return True
            await self._sleep(JOURNAL_WAIT_S)
        return False

    async def _settle(
        self, firm: Firm, terms: Terms, month: Month, counted: Counted, *, least: Mapping[str, int]
    ) -> tuple[Terms, int]:
        """Puts the meter's truth in place, but no less than `least`; answers points gone."""
        counts = await count_month(self._database, firm.id, month)
        told = came_to(reckon(counts, month, cards=self._cards, terms=terms))
        truth = {name: max(told.get(name, 0), least.get(name, 0)) for name in {*told, *least}}
        gone = await self._budget.settle(firm.id, month, counted.by_field, truth)
        await self._budget.warn(firm.id, terms, month, reached=gone)
        return terms, gone

    def _show(self, firms: list[tuple[Terms, int]]) -> None:
        """How many firms are where, for /metrics."""
        found = dict.fromkeys(("fine", "reserve", "spent"), 0)
        for terms, gone in firms:
            spent = gone >= terms.ceiling(answers=True)
            reserve = gone >= terms.ceiling(answers=False)
            found["spent" if spent else "reserve" if reserve else "fine"] += 1
        for state, firms_there in found.items():
            self._metrics.budgets.labels(state).set(firms_there)


def came_to(bill: Bill) -> dict[str, int]:
    """The bill in the fields of the store: what is under way counts as arrived."""
    used = {FREE + channel: messages for channel, messages in bill.free_used.items()}
    return {SPENT: points(bill.with_under_way)} | used
