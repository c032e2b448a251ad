"""Budgets are corrected by what Meta's statuses say, and only by what the journal has written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from bot.billing.budget import Budget
from bot.billing.cards import read_cards
from bot.billing.reckoning import JOURNAL_WAIT_S, SETTLE_S, Reckoning
from bot.engine.journal import Journal
from bot.engine.rota import Rota
from bot.lanes import PREFIX, Lanes, StoreLostError, Wire
from bot.metrics import Metrics
from bot.people.tenants import add_tenant
from bot.store.database import Database
from flows.dialog.ctx import Firm
from flows.values.ids import ItemId, Wamid
from flows.values.rut import Rut
from handlers.journal import SentRecord, StatusRecord, StatusSeen
from tests.bot.billing.firm import CHANNEL, NOON_MS, NOVEMBER, TENANT, firm
from tests.bot.billing.test_budget import PRICE, Bells, Still

SHARDS = 2


@dataclass
class Office:
    """A firm whose messages are taken from a budget, sent, told of by Meta, and written down."""

    lanes: Lanes
    database: Database
    journal: Journal
    budget: Budget
    reckoning: Reckoning
    metrics: Metrics
    clock: Still
    firms: list[Firm] = field(default_factory=list)
    meanwhile: list[asyncio.Event] = field(default_factory=list)
    n: int = 0

    async def sends(self, *, category: str = "utility", answers: bool = False) -> Wamid | None:
        """The wamid; None if there was no budget for it."""
        if not await self.budget.take(TENANT, CHANNEL, category, answers=answers):
            return None
        self.n += 1
        wamid = Wamid(f"wamid.{self.n}")
        record = SentRecord(
            tenant=TENANT,
            ref=f"c-{self.n}",
            item=ItemId(f"wa/c:{self.n}-0"),
            wamid=wamid,
            at=NOON_MS,
            channel=CHANNEL,
            category=category,
            country="CL",
        )
        await self.writes(msgspec.json.encode(record))
        return wamid

    async def meta_says(self, wamid: Wamid, status: str, *, price_type: str = "regular") -> None:
        seen = StatusSeen(
            tenant=TENANT,
            wamid=wamid,
            status=status,  # type: ignore[arg-type]  # one of the five
            at=NOON_MS // 1000,
            category="utility",
            price_type=price_type,
            channel=CHANNEL,
            country="CL",
        )
        await self.writes(msgspec.json.encode(StatusRecord((seen,))))

    async def writes(self, line: bytes) -> None:
        await self.lanes.confirm(self.n % SHARDS, "wa", line, [])

    async def all_that_is_left(self) -> int:
        n = 0
        while await self.sends() is not None:
            n += 1
        return n


@pytest.fixture
async def office(clean_valkey: str, database: Database) -> AsyncIterator[Office]:
    wire = await Wire.open(clean_valkey)
    clock, metrics = Still(), Metrics()
    house: Office

    lanes = Lanes(wire, shards=SHARDS, clock=clock)
    journal = Journal(lanes, database)

    async def passes(seconds: float) -> None:
        """While the reckoning waits, the journal is written, unless somebody holds it up."""
        assert seconds in (SETTLE_S, JOURNAL_WAIT_S)
        clock.ms += int(seconds * 1000)
        for event in house.meanwhile:
            event.set()
        if not house.meanwhile:
            await journal.drain_once()

    cards = read_cards()
    budget = Budget(
        wire,
        cards,
        firm_of=lambda _: house.firms[0],
        alerts=Bells(),
        clock=clock,
        metrics=metrics,
    )
    reckoning = Reckoning(
        budget,
        lanes,
        database,
        cards,
        firms=lambda: house.firms,
        clock=clock,
        metrics=metrics,
        sleep=passes,
    )
    house = Office(lanes, database, journal, budget, reckoning, metrics, clock)
    house.firms = [firm(budget=str(int(10 * PRICE) + 1), budget_reserve="0")]
    await add_tenant(database, house.firms[0], rut=Rut("765432103"))
    yield house
    await wire.close()


async def test_only_what_arrives_is_paid_for(office: Office) -> None:
    sent = [await office.sends() for _ in range(8)]
    for n, wamid in enumerate(sent):
        assert wamid is not None
        await office.meta_says(wamid, "sent")
        await office.meta_says(wamid, "failed" if n < 3 else "delivered")

    assert await office.reckoning.correct()

    assert await office.all_that_is_left() == 5


async def test_what_turns_out_to_be_free_is_given_back(office: Office) -> None:
    for _ in range(4):
        wamid = await office.sends()
        assert wamid is not None
        await office.meta_says(wamid, "delivered", price_type="free_entry_point")

    assert await office.reckoning.correct()

    assert await office.all_that_is_left() == 10


async def test_what_is_on_its_way_stays_counted(office: Office) -> None:
    for _ in range(4):
        await office.sends()

    assert await office.reckoning.correct()

    assert await office.all_that_is_left() == 6


async def test_what_never_left_is_forgotten(office: Office) -> None:
    """A process that took from the budget and ended before it posted."""
    for _ in range(4):
        assert await office.budget.take(TENANT, CHANNEL, "utility", answers=False)

    assert await office.reckoning.correct()

    assert await office.all_that_is_left() == 10


async def test_what_was_spent_before_there_was_a_budget_counts(office: Office) -> None:
    budgeted = office.firms
    office.firms = [firm()]
    for _ in range(4):
        await office.sends()
    await office.journal.drain_once()
    office.firms = budgeted

    assert await office.reckoning.correct()

    assert await office.all_that_is_left() == 6


async def test_while_the_journal_is_behind_nothing_is_corrected(office: Office) -> None:
    office.meanwhile.append(asyncio.Event())  # it is held up
    for _ in range(4):
        await office.sends()
    assert not await office.reckoning.correct()
    assert await office.all_that_is_left() == 6


async def test_rounds_may_follow_one_another(office: Office) -> None:
    for _ in range(3):
        for _ in range(2):
            wamid = await office.sends()
            assert wamid is not None
            await office.meta_says(wamid, "delivered")
        assert await office.reckoning.correct()
        assert await office.reckoning.correct()

    assert await office.all_that_is_left() == 4


async def test_where_the_budgets_stand_is_shown_without_naming_a_firm(office: Office) -> None:
    await office.all_that_is_left()
    await office.reckoning.correct()

    shown = office.metrics.exposition().decode()
    assert 'smarterbot_budgets{state="reserve"} 0.0' in shown
    assert (
        'smarterbot_budgets{state="fine"} 1.0' in shown
    )  # less than a message is left, and that is not nothing
    assert TENANT not in shown
    assert NOVEMBER.name not in shown


# ------------------------------------------------------------------ again and again


class EnoughError(Exception):
    """The test has seen enough rounds."""


async def rounds(office: Office, wire: Wire, firms: Callable[[], list[Firm]], n: int) -> None:
    """`n` pauses of a process that corrects budgets whenever it is its turn."""
    left = n

    async def passes(seconds: float) -> None:
        nonlocal left
        await office.journal.drain_once()
        if seconds not in (SETTLE_S, JOURNAL_WAIT_S):
            left -= 1
            if left < 0:
                raise EnoughError

    reckoning = Reckoning(
        office.budget,
        office.lanes,
        office.database,
        read_cards(),
        firms=firms,
        clock=office.clock,
        metrics=office.metrics,
        sleep=passes,
        jitter=lambda: 0.0,
    )
    with pytest.raises(EnoughError):
        await reckoning.run(Rota(wire, "reckoning"))


async def test_an_outage_is_waited_for(office: Office, clean_valkey: str) -> None:
    wire = await Wire.open(clean_valkey)
    asked = 0

    def firms() -> list[Firm]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise StoreLostError("gone for a moment")
        return office.firms

    for _ in range(4):
        wamid = await office.sends()
        assert wamid is not None
        await office.meta_says(wamid, "failed")

    await rounds(office, wire, firms, 1)
    await wire.call("DEL", f"{PREFIX}rota:reckoning")  # its rest is over
    await rounds(office, wire, firms, 1)

    assert asked == 2
    assert await office.all_that_is_left() == 10
    await wire.close()


async def test_one_process_at_a_time_corrects(office: Office, clean_valkey: str) -> None:
    wire = await Wire.open(clean_valkey)
    asked = 0

    def firms() -> list[Firm]:
        nonlocal asked
        asked += 1
        return office.firms

    await rounds(office, wire, firms, 3)

    assert asked == 1  # afterwards all of them rest
    await wire.close()
