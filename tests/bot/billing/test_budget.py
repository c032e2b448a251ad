"""A budget holds over all replicas: nobody spends what another has leased, and the end is reached to the last message."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.billing.budget import EMPTY_MS, FREE, HOLD_MS, PART, SPENT, Budget, key_of
from bot.billing.cards import read_cards
from bot.billing.terms import POINTS, Month
from bot.clock import Clock
from bot.lanes import StoreLostError, Wire
from bot.metrics import Metrics
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from handlers.ports import StoreDownError
from tests.bot.billing.firm import CHANNEL, NOON_MS, NOVEMBER, OTHER_CHANNEL, TENANT, firm

PRICE = Decimal("17.6584")  # of utility in Chile, November 2026


class Still(Clock):
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.ms = NOON_MS

    def now_ms(self) -> int:
        return self.ms


class Bells:
    """Alerts that remember, and can be out of order."""

    def __init__(self) -> None:
        self.raised: list[tuple[str, str]] = []
        self.down = False

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        if self.down:
            raise StoreDownError("down")
        self.raised.append((kind, about))


class House:
    """One firm, one store, and as many replicas as a test asks for."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.clock = Still()
        self.bells = Bells()
        self.firm: Firm | None = firm()

    def replica(self) -> Budget:
        return Budget(
            self.wire,
            read_cards(),
            firm_of=lambda _: self.firm,
            alerts=self.bells,
            clock=self.clock,
            metrics=Metrics(),
        )

    def pays_for(self, messages: int, **terms: str) -> None:
        """The budget pays for so many utility templates; the reserve counts among them."""
        pesos = int(messages * PRICE) + 1  # less than a message over
        self.firm = firm(**{"budget": str(pesos), "budget_reserve": "0"} | terms)


@pytest.fixture
async def house(clean_valkey: str) -> AsyncIterator[House]:
    wire = await Wire.open(clean_valkey)
    yield House(wire)
    await wire.close()


async def takes(
    budget: Budget,
    *,
    answers: bool = False,
    category: str = "utility",
    channel: ChannelId = CHANNEL,
) -> bool:
    return await budget.take(TENANT, channel, category, answers=answers)


async def takes_all(budget: Budget, *, answers: bool = False, category: str = "utility") -> int:
    """Takes until it is refused; answers how many were granted."""
    granted = 0
    while await takes(budget, answers=answers, category=category):
        granted += 1
    return granted


async def gone(house: House) -> int:
    """Points that the store has counted."""
    counted = await house.replica().counted(TENANT, NOVEMBER)
    return counted.by_field.get(SPENT, 0)


async def test_without_a_budget_everything_is_paid_for_and_nobody_is_asked(house: House) -> None:
    assert await takes(house.replica())

    assert await house.wire.call("DBSIZE") == 0


async def test_a_firm_that_is_not_known_is_not_kept_from_sending(house: House) -> None:
    house.firm = None

    assert await takes(house.replica())


@pytest.mark.parametrize("messages", [1, 7, 100])
async def test_a_budget_of_n_messages_pays_for_n(house: House, messages: int) -> None:
    house.pays_for(messages)

    assert await takes_all(house.replica()) == messages


async def test_what_the_firm_starts_stops_where_the_reserve_begins(house: House) -> None:
    house.pays_for(10, budget_reserve="30")
    budget = house.replica()

    assert await takes_all(budget) == 7
    assert await takes_all(budget, answers=True) == 3
    assert not await takes(budget, answers=True)


async def test_answers_use_what_the_firm_has_not_started_with_too(house: House) -> None:
    house.pays_for(10, budget_reserve="30")
    budget = house.replica()

    assert await takes_all(budget, answers=True) == 10
    assert not await takes(budget)


async def test_a_number_answers_free_of_charge_a_thousand_times_a_month(house: House) -> None:
    house.pays_for(2)
    budget = house.replica()

    assert await takes_all(budget, answers=True, category="service") == 1_002
    assert await gone(house) == 2 * PRICE * POINTS


async def test_each_number_has_free_messages_of_its_own(house: House) -> None:
    house.pays_for(0)
    budget = house.replica()
    for _ in range(1_000):
        assert await takes(budget, answers=True, category="service")

    assert not await takes(budget, answers=True, category="service")
    assert await takes(budget, answers=True, category="service", channel=OTHER_CHANNEL)


async def test_before_october_2026_answers_cost_nothing(house: House) -> None:
    house.firm = firm(budget="0")
    house.clock.ms = NOON_MS - 60 * 86_400_000
    budget = house.replica()

    assert await takes(budget, answers=True, category="service")
    assert await takes(budget, answers=True, category="utility")
    assert not await takes(budget, answers=False, category="utility")


async def test_a_price_of_the_firms_own_counts(house: House) -> None:
    house.firm = firm(**{"budget": "100", "budget_reserve": "0", "price.CL.utility": "50"})

    assert await takes_all(house.replica()) == 2


async def test_a_category_without_a_price_is_as_dear_as_the_dearest(house: House) -> None:
    house.firm = firm(budget="157", budget_reserve="0")  # twice marketing, 78.4917

    assert await takes_all(house.replica(), category="authentication-international") == 2


async def test_a_new_month_begins_anew_in_the_firms_zone(house: House) -> None:
    house.pays_for(3)
    budget = house.replica()
    house.clock.ms = int(NOVEMBER.ends.timestamp() * 1000) - 1
    assert await takes_all(budget) == 3

    house.clock.ms += 1

    assert await takes_all(budget) == 3


async def test_more_money_is_used_at_once(house: House) -> None:
    house.pays_for(3)
    budget = house.replica()
    assert await takes_all(budget) == 3

    house.pays_for(5)

    assert await takes_all(budget) == 2


async def test_while_a_budget_is_empty_the_store_is_asked_now_and_then(house: House) -> None:
    house.pays_for(1)
    budget = house.replica()
    await takes_all(budget)
    await house.wire.call("DEL", key_of(TENANT, NOVEMBER))

    assert not await takes(budget)
    house.clock.ms += EMPTY_MS
    assert await takes(budget)


async def test_what_was_not_sent_can_be_given_back(house: House) -> None:
    house.pays_for(2)
    budget = house.replica()
    await takes(budget)
    budget.give_back(TENANT, CHANNEL, "utility", answers=False)

    assert await takes_all(budget) == 2


async def test_more_than_was_taken_cannot_be_given_back(house: House) -> None:
    house.pays_for(1)
    budget = house.replica()
    assert await takes(budget)
    for _ in range(5):
        budget.give_back(TENANT, CHANNEL, "utility", answers=False)

    assert await takes_all(budget) == 1


async def test_at_load_the_store_is_asked_for_many_at_once(house: House) -> None:
    house.pays_for(100_000)
    budget = house.replica()
    await house.wire.call("CONFIG", "RESETSTAT")

    for _ in range(1_000):
        assert await takes(budget)

    info = await house.wire.call("INFO", "commandstats")
    assert isinstance(info, bytes)
    [line] = [line for line in info.decode().split("\r\n") if line.startswith("cmdstat_evalsha:")]
    assert int(line.partition("calls=")[2].partition(",")[0]) < 50


async def test_a_store_that_does_not_answer_is_told_and_not_guessed(house: House) -> None:
    house.pays_for(1)
    budget = house.replica()
    await house.wire.close()

    with pytest.raises(StoreLostError):
        await takes(budget)


# ------------------------------------------------------------------ replicas


@given(
    budget=st.integers(0, 200),
    asks=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=300),
    pause_ms=st.sampled_from([0, 10, HOLD_MS]),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_replicas_never_take_more_than_the_budget_and_hold_back_a_sixteenth_at_most(
    house: House, budget: int, asks: list[tuple[int, bool]], pause_ms: int
) -> None:
    await house.wire.call("FLUSHALL")
    house.pays_for(budget, budget_reserve="25")
    replicas = [house.replica() for _ in range(4)]
    granted = {True: 0, False: 0}
    for which, answers in asks:
        house.clock.ms += pause_ms
        granted[answers] += await takes(replicas[which], answers=answers)

    assert granted[True] + granted[False] <= budget
    assert granted[False] <= budget * 75 // 100 + 1

    # Whatever is left can be had but for what others hold.
    house.clock.ms += EMPTY_MS
    rest = await takes_all(replicas[0], answers=True)
    held_max = sum(max(1, budget // PART) for _ in replicas) * 2
    assert granted[True] + granted[False] + rest <= budget
    if pause_ms < HOLD_MS:
        assert granted[True] + granted[False] + rest >= budget - held_max


async def test_four_replicas_at_once_do_not_overshoot(house: House) -> None:
    house.pays_for(500)
    replicas = [house.replica() for _ in range(4)]

    granted = sum(await asyncio.gather(*map(takes_all, replicas)))

    assert granted == 500


# ------------------------------------------------------------------ warnings


async def test_each_share_warns_once(house: House) -> None:
    house.pays_for(10, budget_warnings="50,80,100")
    replicas = [house.replica(), house.replica()]
    for n in range(12):
        await takes(replicas[n % 2])

    assert house.bells.raised == [
        ("budget", "2026-11 50%"),
        ("budget", "2026-11 80%"),
        ("budget", "2026-11 100%"),
    ]


async def test_the_reserve_warns_when_it_begins(house: House) -> None:
    house.pays_for(10, budget_reserve="20")
    budget = house.replica()

    await takes_all(budget)
    assert house.bells.raised == [("budget", "2026-11 80%")]

    await takes_all(budget, answers=True)
    assert house.bells.raised[1:] == [("budget", "2026-11 100%")]


async def test_a_raised_budget_warns_anew(house: House) -> None:
    house.pays_for(5)
    budget = house.replica()
    await takes_all(budget)
    house.pays_for(10)
    await takes_all(budget)

    assert [about for _, about in house.bells.raised] == ["2026-11 80%", "2026-11 100%"] * 2


async def test_an_alert_that_fails_keeps_nothing_back_and_comes_later(house: House) -> None:
    house.pays_for(10)
    budget = house.replica()
    house.bells.down = True
    for _ in range(9):
        assert await takes(budget)
    house.bells.down = False

    assert await takes(budget)
    assert house.bells.raised == [("budget", "2026-11 80%")]


# ------------------------------------------------------------------ corrections


async def test_the_meter_replaces_what_was_estimated(house: House) -> None:
    house.pays_for(10)
    budget = house.replica()
    for _ in range(8):
        await takes(budget)
    counted = (await budget.counted(TENANT, NOVEMBER)).by_field
    house.clock.ms += HOLD_MS + 1
    assert await takes(budget)  # one more while the meter is looked at

    # Of the eight, two failed and one cost nothing.
    await budget.settle(TENANT, NOVEMBER, counted, {SPENT: int(5 * PRICE * POINTS)})

    assert await takes_all(budget) == 4


async def test_free_messages_are_corrected_too(house: House) -> None:
    house.pays_for(0)
    budget = house.replica()
    for _ in range(10):
        await takes(budget, answers=True, category="service")
    counted = (await budget.counted(TENANT, NOVEMBER)).by_field
    assert counted[FREE + CHANNEL] >= 10

    await budget.settle(TENANT, NOVEMBER, counted, {SPENT: 0, FREE + CHANNEL: 999})
    house.clock.ms += HOLD_MS + 1

    assert await takes_all(budget, answers=True, category="service") == 1


async def test_a_correction_may_be_repeated(house: House) -> None:
    house.pays_for(10)
    budget = house.replica()
    await takes(budget)
    counted = (await budget.counted(TENANT, NOVEMBER)).by_field

    first = await budget.settle(TENANT, NOVEMBER, counted, {SPENT: 7})
    second = await budget.settle(TENANT, NOVEMBER, counted, {SPENT: 7})

    assert first == second == 7


def test_the_key_names_no_more_than_the_firm_and_the_month() -> None:
    assert key_of(TENANT, Month.of(2026, 12, "America/Santiago")).endswith(
        f"budget:{TENANT}:2026-12"
    )
