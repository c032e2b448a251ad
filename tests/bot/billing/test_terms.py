"""What a firm sets about money, and what a month is."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.billing.terms import (
    BUDGET_MAX,
    POINTS,
    Month,
    TermsError,
    check_budget,
    check_price,
    check_share,
    check_warnings,
    points,
    terms_of,
)
from tests.bot.billing.firm import ZONE


def test_without_a_budget_nothing_is_limited() -> None:
    assert terms_of({"hours": "lun-vie 9:00-18:00"}).budget is None


def test_a_budget_keeps_a_fifth_for_answers_and_warns_where_that_begins() -> None:
    terms = terms_of({"budget": "1000"})

    assert terms.ceiling(answers=True) == 1_000 * POINTS
    assert terms.ceiling(answers=False) == 800 * POINTS
    assert terms.warnings == (80, 100)


def test_everything_can_be_set() -> None:
    key, value = check_price("PE.service=30.5")
    terms = terms_of(
        {
            "budget": check_budget("150 lucas"),
            "budget_reserve": check_share(50),
            "budget_warnings": check_warnings([90, 50, 90]),
            key: value,
        }
    )

    assert (terms.budget, terms.reserve, terms.warnings) == (150_000, 50, (50, 90))
    rate = terms.rate(None, "PE", "service")
    assert rate is not None
    assert (rate.amount, rate.certainty) == (Decimal("30.5"), "own")
    assert terms.rate(None, "CL", "service") is None


@pytest.mark.parametrize("text", ["", "-1", "1.5e3", "mucho", str(BUDGET_MAX + 1)])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(TermsError):
        check_budget(text)


@pytest.mark.parametrize(
    "pair", ["CL.service", "service=1", "CL.beer=1", "cl.service=1", "CL.service=1.23456"]
)
def test_what_is_no_price_is_refused(pair: str) -> None:
    with pytest.raises(TermsError):
        check_price(pair)


@pytest.mark.parametrize("shares", [[0], [101], list(range(1, 12))])
def test_what_is_no_warning_is_refused(shares: list[int]) -> None:
    with pytest.raises(TermsError):
        check_warnings(shares)


def test_the_largest_budget_is_a_whole_number_for_lua() -> None:
    assert BUDGET_MAX * POINTS < 2**53


@given(st.decimals(min_value=0, max_value=100_000, places=4))
def test_points_are_exact(amount: Decimal) -> None:
    assert Decimal(points(amount)) / POINTS == amount


@given(st.integers(0, 4_102_444_800_000))
def test_every_moment_is_in_one_month_of_the_firms_zone(ms: int) -> None:
    month = Month.at(ms, ZONE)

    assert month.begins.timestamp() * 1000 <= ms < month.ends.timestamp() * 1000
    assert Month.at(int(month.ends.timestamp() * 1000), ZONE).before() == month
    assert timedelta(days=27) < month.ends - month.begins < timedelta(days=32)


def test_a_month_begins_at_midnight_of_the_firm() -> None:
    first = 1_793_502_000_000  # 2026-11-01T00:00 in Chile, 03:00 UTC

    assert Month.at(first - 1, ZONE).name == "2026-10"
    assert Month.at(first, ZONE).name == "2026-11"
