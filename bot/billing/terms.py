"""What a firm has set about money: its budget, the reserve, when it is warned, prices of its own.

They lie among the tenant's settings, so every process knows them from the directory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from bot.billing.cards import CATEGORIES, PLACES, Card, Rate, is_country, read_amount
from flows.values.money import PESOS_MAX, read_pesos

CURRENCY: Final = "CLP"
"""Of budgets and bills: the firms are Chilean, and Meta bills in it."""
HOME: Final = "CL"
"""Recipients are taken to be here until a status tells otherwise."""
POINTS: Final = 10**PLACES
"""Parts of a unit of the currency that budgets are counted in: prices have so many decimal places."""

BUDGET: Final = "budget"
RESERVE: Final = "budget_reserve"
WARNINGS: Final = "budget_warnings"
PRICE: Final = "price."
"""`price.<country>.<category>`"""

RESERVE_SHARE: Final = 20
WARNING_SHARES: Final = (80, 100)
BUDGET_MAX: Final = (
    10_000_000_000  # so that the points of it are whole numbers for Lua too, which counts to 2**53
)
WARNINGS_MAX: Final = 10


class TermsError(ValueError):
    """A value does not fit; the text says what would."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one firm. Amounts of the budget are whole pesos, shares are percent of it."""

    budget: int | None = None
    """Of each month; None: nothing is limited. It is all that is spent, the reserve among it."""
    reserve: int = RESERVE_SHARE
    """This share is kept for answers to customers."""
    warnings: tuple[int, ...] = WARNING_SHARES
    own: Mapping[tuple[str, str], Rate] = field(default_factory=dict)
    """Prices of the firm's own, by (country, category)."""

    def ceiling(self, *, answers: bool) -> int:
        """Up to where may be spent for this, in points."""
        assert self.budget is not None
        share = 100 if answers else 100 - self.reserve
        return self.budget * POINTS * share // 100

    def rate(self, card: Card | None, country: str, category: str) -> Rate | None:
        """The price of a message to that country; None if nobody has told us."""
        own = self.own.get((country, category))
        return own if own is not None or card is None else card.rate(country, category, CURRENCY)


def terms_of(settings: Mapping[str, str]) -> Terms:
    """What these settings of a tenant say. Its values were checked when they were written."""
    own = {}
    for key, value in settings.items():
        if key.startswith(PRICE):
            country, _, category = key.removeprefix(PRICE).partition(".")
            own[country, category] = Rate(Decimal(value), "own")
    return Terms(
        budget=int(settings[BUDGET]) if BUDGET in settings else None,
        reserve=int(settings.get(RESERVE, RESERVE_SHARE)),
        warnings=tuple(map(int, settings[WARNINGS].split(",")))
        if WARNINGS in settings
        else WARNING_SHARES,
        own=own,
    )


def check_budget(text: str) -> str:
    """The budget as it is to be stored.

    Raises:
        TermsError: it is no amount of pesos.
    """
    amount = int(text) if text.isascii() and text.isdigit() else read_pesos(text)
    if amount is None or not 0 <= amount <= min(BUDGET_MAX, PESOS_MAX):
        raise TermsError(f"whole pesos a month are expected, up to {BUDGET_MAX}, e.g. 150000")
    return str(amount)


def check_share(share: int) -> str:
    """A reserve as it is to be stored.

    Raises:
        TermsError: it is no share.
    """
    if not 0 <= share <= 100:
        raise TermsError("percent of the budget are expected, from 0 to 100")
    return str(share)


def check_warnings(shares: list[int]) -> str:
    """The shares as they are to be stored: each once, in order.

    Raises:
        TermsError: one is no share, or there are too many.
    """
    if not all(1 <= share <= 100 for share in shares) or len(shares) > WARNINGS_MAX:
        raise TermsError(f"up to {WARNINGS_MAX} shares from 1 to 100 are expected, e.g. 80 and 100")
    return ",".join(map(str, sorted(set(shares))))


def check_price(pair: str) -> tuple[str, str]:
    """(key, value) of a setting, from `CL.service=15.50`; an empty value unsets it.

    Raises:
        TermsError: it is no price of a category.
    """
    name, equals, value = pair.partition("=")
    country, _, category = name.partition(".")
    if not equals or not is_country(country) or category not in CATEGORIES:
        raise TermsError(f"{pair}: write it as CL.service=15.50; there are {', '.join(CATEGORIES)}")
    if not value:
        return PRICE + name, ""
    try:
        return PRICE + name, str(read_amount(value))
    except ValueError as error:
        raise TermsError(f"{pair}: {error}") from error


def points(amount: Decimal) -> int:
    """An amount in points."""
    return int((amount * POINTS).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Month:
    """A month in a firm's zone."""

    name: str
    """2026-11"""
    begins: datetime
    ends: datetime
    """When the next one begins."""

    @classmethod
    def at(cls, ms: int, zone: str) -> "Month":
        """The month of a moment, ms since the epoch."""
        there = datetime.fromtimestamp(ms / 1000, ZoneInfo(zone))
        return cls.of(there.year, there.month, zone)

    @classmethod
    def of(cls, year: int, month: int, zone: str) -> "Month":
        begins = datetime(year, month, 1, tzinfo=ZoneInfo(zone))
        following = year * 12 + month  # months since year 0, of the next one
        ends = datetime(following // 12, following % 12 + 1, 1, tzinfo=ZoneInfo(zone))
        return cls(f"{year:04}-{month:02}", begins, ends)

    def before(self) -> "Month":
        zone = str(self.begins.tzinfo)
        earlier = self.begins.year * 12 + self.begins.month - 2
        return Month.of(earlier // 12, earlier % 12 + 1, zone)

    def passed(self, now_ms: int) -> tuple[int, int]:
        """How much of it has passed, and how long it is, in seconds."""
        whole = int((self.ends.astimezone(UTC) - self.begins.astimezone(UTC)).total_seconds())
        gone = int(now_ms // 1000 - self.begins.timestamp())
        return max(0, min(whole, gone)), whole
