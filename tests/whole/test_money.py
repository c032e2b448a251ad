"""A firm's budget from end to end: what it starts stops first, answers use the reserve, and the meter agrees with Meta's bill."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from bot.billing.bill import Bill, count_month, reckon
from bot.billing.budget import Budget
from bot.billing.cards import read_cards
from bot.billing.meter import fares_of, write_fares
from bot.billing.reckoning import Reckoning
from bot.billing.terms import Month, terms_of
from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.people.directory import publish_directory
from bot.people.tenants import change_settings
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import Wamid
from handlers.journal import StatusSeen
from tests.bot.billing.test_budget import Bells
from tests.bot.engine.errand import NAP_S, errand_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until

NOON_MS = 1_794_754_800_000
"""15 November 2026: far from the ends of the month."""
PRICE = Decimal("17.6584")
ANA = 1
NAPS_MS = (NAP_S + 1) * 1000


@dataclass
class Shop:
    """The firm, its budget, and what became of its messages."""

    whole: Whole
    database: Database
    wire: Wire

    @property
    def firm(self) -> Firm:
        [firm] = self.whole.server.directory.firms()
        return firm

    async def sets(self, **changes: str) -> None:
        await change_settings(self.database, self.firm.id, changes)
        box = SecretBox((Key(id="t1", secret=bytes(32)),))
        await publish_directory(self.database, self.wire, box)
        await self.whole.server.directory.check()

    async def has_no_free_messages(self) -> None:
        """The number has answered a thousand times this month; to its customers of before."""
        channel = self.whole.server.directory.channel_by_number(NUMBER.id)
        assert channel is not None
        statuses = [
            StatusSeen(
                tenant=channel.tenant,
                wamid=Wamid(f"wamid.before-{n}"),
                status="delivered",
                at=NOON_MS // 1000 - 86_400,
                category="service",
                price_type="free_customer_service",
                channel=channel.id,
                country="CL",
            )
            for n in range(1_000)
        ]
        async with self.database.tenant(channel.tenant) as connection:
            await write_fares(connection, channel.tenant, fares_of([], statuses))
        self.whole.emulator.world.change_number(NUMBER.id, free_service=0)
        await self.corrects()

    async def has_alerted(self, kind: str) -> bool:
        """Whether just one alert of that kind is open."""
        async with self.database.tenant(self.firm.id) as connection:
            opened = await connection.fetchval(
                "SELECT count(*) FROM smarterbot.alerts WHERE kind = $1 AND settled_at IS NULL",
                kind,
            )
        return bool(opened == 1)

    async def corrects(self) -> None:
        """A round of the reckoning, without the waiting."""
        server, cards = self.whole.server, read_cards()

        async def writes_the_journal(_seconds: float) -> None:
            await server.journal.drain_once()

        budget = Budget(
            self.wire,
            cards,
            firm_of=server.directory.firm,
            alerts=Bells(),
            clock=server.clock,
            metrics=server.metrics,
        )
        reckoning = Reckoning(
            budget,
            server.lanes,
            self.database,
            cards,
            firms=server.directory.firms,
            clock=server.clock,
            metrics=server.metrics,
            sleep=writes_the_journal,
        )
        assert await reckoning.correct()

    async def nap(self, words: str) -> None:
        """Ana writes `nap …`: she is answered, and the firm writes again by itself later."""
        await self.whole.people.write(ANA, f"nap {words}")

    async def taken(self, messages: int) -> None:
        async def are() -> bool:
            return self.whole.truth.taken == messages

        await until(are, what=f"message {messages}")

    async def refused(self, messages: int) -> list[str]:
        """Waits for so many refusals in the journal; answers their reasons."""
        found: list[str] = []

        async def are() -> bool:
            await self.whole.server.journal.drain_once()
            async with self.database.tenant(self.firm.id) as connection:
                rows = await connection.fetch("SELECT fault FROM smarterbot.refusals ORDER BY at")
            found[:] = [row["fault"] for row in rows]
            return len(found) >= messages

        await until(are, what=f"refusal {messages}")
        return found

    async def bill(self) -> Bill:
        month = Month.at(NOON_MS, self.firm.zone)
        counts = await count_month(self.database, self.firm.id, month)
        return reckon(counts, month, cards=read_cards(), terms=terms_of(self.firm.settings))

    async def metric(self, name: str) -> float:
        async with self.whole.http.get(f"{self.whole.server.address}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        found = [line for line in lines if line.startswith(name)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


@pytest.fixture
async def shop(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Shop]:
    clock = Clock(NOON_MS - Clock().now_ms())
    wire = await Wire.open(stores.redis_url)
    async with (
        Database.open(stores.postgres.app) as database,
        whole_server(stores, tmp_path, free_port, book=errand_book(), clock=clock) as whole,
    ):
        yield Shop(whole, database, wire)
    await wire.close()


async def test_what_the_firm_starts_stops_answers_use_the_reserve_and_then_stop_too(
    shop: Shop,
) -> None:
    # Ten messages in all; three of them are kept for answers.
    await shop.sets(budget=str(int(10 * PRICE) + 1), budget_reserve="30", budget_warnings="80")
    await shop.has_no_free_messages()
    whole = shop.whole

    for n in range(3):
        await shop.nap(f"n{n}")
        await shop.taken(2 * n + 1)
        await whole.people.moves_time(NAPS_MS)
        await shop.taken(2 * n + 2)

    await shop.nap("n3")
    await shop.taken(7)
    await whole.people.moves_time(NAPS_MS)
    assert await shop.refused(1) == ["budget_spent"]
    assert whole.truth.taken == 7
    assert await shop.metric('smarterbot_events_total{detail="start_refused",name="budget"}') == 1

    for n in range(3):
        await whole.people.write(ANA, f"say s{n}")
        await shop.taken(8 + n)
    await whole.people.write(ANA, "say too much")
    assert await shop.refused(2) == ["budget_spent"] * 2
    assert whole.truth.taken == 10
    assert await shop.metric('smarterbot_events_total{detail="answer_refused",name="budget"}') == 1
    await until(partial(shop.has_alerted, "budget"), what="the alert")

    # With more money the conversation goes on where it was.
    await shop.sets(budget=str(int(11 * PRICE) + 1))
    await whole.people.write(ANA, "say again")
    await shop.taken(11)


async def test_the_meter_and_metas_bill_agree_whatever_happens_to_statuses(shop: Shop) -> None:
    """Doubled, late, in any order, without `billable`, some messages failing."""
    whole = shop.whole
    await shop.sets(budget="100000")
    await shop.has_no_free_messages()
    await whole.people.faults(
        duplicate=-1, overtaken=6, reorder=3, statuses_first=2, price_at_read=1, no_billable=1
    )
    for n in range(12):
        if n == 8:
            await whole.people.faults(fail_with=131026)
        await whole.people.write(ANA, f"say w{n}")
        await shop.taken(n + 1)

    async def settled() -> bool:
        truth = await whole.people.truth()
        return bool(truth["pending"] == 0)

    await whole.people.faults(reorder=0)
    await until(settled, what="the last status")

    async def agree() -> bool:
        await whole.server.journal.drain_once()
        bill = await shop.bill()
        return sum(line.billed for line in bill.lines) == 8

    await until(agree, what="the meter")
    bill = await shop.bill()
    [billed] = whole.emulator.world.bill()
    assert (billed.category, billed.type, billed.messages) == ("service", "regular", 8)
    [line] = bill.lines
    assert (line.billed, line.free, line.under_way) == (8, 1_000, 0)
    assert bill.cost == 8 * PRICE

    # The failed ones were taken from the budget when they were sent, and are given back.
    await shop.corrects()
    await shop.sets(budget=str(int(9 * PRICE) + 1), budget_reserve="0")
    await whole.people.faults(fail_with=0)
    await whole.people.write(ANA, "say the last one")
    await shop.taken(13)
    await whole.people.write(ANA, "say one too many")
    assert await shop.refused(1) == ["budget_spent"]
