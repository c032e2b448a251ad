"""The bill: counts at the prices of their month, exact, and what it leads to."""

from decimal import Decimal

import pytest

from bot.billing.bill import Bill, Count, Line, forecast, reckon
from bot.billing.cards import read_cards
from bot.billing.terms import Month, Terms, terms_of
from flows.values.ids import ChannelId
from tests.bot.billing.firm import CHANNEL, NOVEMBER, OTHER_CHANNEL, ZONE

UTILITY = Decimal("17.6584")
MARKETING = Decimal("78.4917")
CARDS = read_cards()


def count(
    messages: int,
    category: str = "utility",
    price_type: str = "regular",
    *,
    country: str = "CL",
    channel: ChannelId = CHANNEL,
    arrived: bool = True,
) -> Count:
    return Count(
        channel=channel,
        country=country,
        category=category,
        price_type=price_type,
        arrived=arrived,
        messages=messages,
    )


def bill(*counts: Count, terms: Terms = Terms(), month: Month = NOVEMBER) -> Bill:  # noqa: B008 - frozen
    return reckon(counts, month, cards=CARDS, terms=terms)


def line(*counts: Count, terms: Terms = Terms(), month: Month = NOVEMBER) -> Line:  # noqa: B008 - frozen
    [one] = bill(*counts, terms=terms, month=month).lines
    return one


def test_what_is_billed_costs_the_price_of_its_month_to_the_last_decimal() -> None:
    assert line(count(3)).cost == 3 * UTILITY
    assert line(count(3)).billed == 3
    assert bill(count(3), count(2, "marketing")).cost == 3 * UTILITY + 2 * MARKETING


@pytest.mark.parametrize(
    ("category", "price_type", "field"),
    [
        pytest.param("service", "free_customer_service", "free", id="of-the-free-thousand"),
        pytest.param("service", "free_entry_point", "free_entry", id="after-an-ad"),
        pytest.param("marketing", "free_entry_point", "free_entry", id="a-template-after-an-ad"),
        pytest.param("referral_conversion", "regular", "free_entry", id="the-category-of-ads"),
    ],
)
def test_what_is_free_costs_nothing(category: str, price_type: str, field: str) -> None:
    found = line(count(5, category, price_type))

    assert getattr(found, field) == 5
    assert (found.billed, found.cost) == (0, Decimal(0))


def test_what_has_no_price_is_told_apart_and_not_guessed() -> None:
    found = bill(count(4, country="AR"), count(1))

    assert (found.unpriced, found.cost) == (4, UTILITY)


def test_a_firms_own_price_fills_the_gap() -> None:
    terms = terms_of({"price.AR.utility": "40", "price.CL.utility": "10.5"})

    assert bill(count(4, country="AR"), count(2), terms=terms).cost == Decimal("181.0")


def test_before_the_first_card_nothing_has_a_price() -> None:
    assert bill(count(4), month=Month.of(2026, 1, ZONE)).unpriced == 4


def test_what_is_on_its_way_is_not_billed_yet_and_shows_what_it_will_be() -> None:
    found = bill(count(2), count(3, arrived=False))

    assert found.cost == 2 * UTILITY
    assert found.with_under_way == 5 * UTILITY
    [one] = found.lines
    assert (one.messages, one.under_way) == (2, 3)


def test_what_nobody_has_told_the_price_of_uses_the_free_messages_that_are_left() -> None:
    told = count(998, "service", "free_customer_service")
    found = bill(count(5, "service", ""), told)

    assert found.free_left == {CHANNEL: 0}
    [one] = found.lines
    assert (one.free, one.billed, one.cost) == (1_000, 3, 3 * UTILITY)


def test_free_messages_are_counted_for_each_number() -> None:
    found = reckon(
        [count(10, "service", "free_customer_service")],
        NOVEMBER,
        cards=CARDS,
        terms=Terms(),
        channels=[CHANNEL, OTHER_CHANNEL],
    )

    assert found.free_left == {CHANNEL: 990, OTHER_CHANNEL: 1_000}


def test_when_all_replies_are_free_none_are_left() -> None:
    september = Month.of(2026, 9, ZONE)
    found = bill(count(9, "service", ""), month=september)

    assert not found.free_left
    assert found.cost == 0


# ------------------------------------------------------------------ forecast


def after(days: int) -> int:
    return int(NOVEMBER.begins.timestamp() * 1000) + days * 86_400_000


def test_a_third_of_the_month_is_a_third_of_the_bill() -> None:
    assert forecast(bill(count(9)), after(10), cards=CARDS, terms=Terms()) == 27 * UTILITY


def test_free_messages_are_used_up_once() -> None:
    ten_days = bill(count(500, "service", "free_customer_service"))

    comes_to = forecast(ten_days, after(10), cards=CARDS, terms=Terms())

    assert comes_to == 500 * UTILITY  # of 1,500 in the month


def test_what_is_left_of_them_keeps_the_month_free() -> None:
    ten_days = bill(count(333, "service", "free_customer_service"))

    assert forecast(ten_days, after(10), cards=CARDS, terms=Terms()) == 0


@pytest.mark.parametrize("days", [0, 30, 31])
def test_the_first_day_says_nothing_and_the_past_needs_no_forecast(days: int) -> None:
    assert forecast(bill(count(9)), after(days), cards=CARDS, terms=Terms()) is None


def test_nothing_leads_to_nothing() -> None:
    assert forecast(bill(), after(10), cards=CARDS, terms=Terms()) == 0
