"""Meta's price cards: what a delivered message costs, and what is free, from which day on.

One file a card, `cards/<first day>.toml`. Meta changes cards on the first of January, April, July and October only.
Amounts are decimal numbers of a currency, never binary fractions.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, Literal, cast, get_args

Category = Literal[
    "service",
    "utility",
    "marketing",
    "marketing_lite",
    "authentication",
    "authentication-international",
]
"""Meta's words in `pricing.category`, but for `referral_conversion`, which is always free."""
Certainty = Literal["official", "second-hand", "unverified", "own"]
"""Where a price comes from: Meta's own file, somebody who read it, a guess with a reason, the firm itself."""

CATEGORIES: Final[tuple[str, ...]] = get_args(Category)
FOLDER: Final = Path(__file__).parent / "cards"
PLACES: Final = 4
"""Decimal places of Meta's prices."""
_FROM_FILES: Final = ("official", "second-hand", "unverified")
_CHANGE_MONTHS: Final = (1, 4, 7, 10)
_RULES: Final = {
    "service_is_free": bool,
    "utility_is_free_in_window": bool,
    "service_free_messages": int,
    "free_entry_point_hours": int,
}


class CardError(Exception):
    """Cards are wrong; one line for each problem, which names the file."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is free."""

    service_is_free: bool
    utility_is_free_in_window: bool
    service_free_messages: int
    """Service messages of each number in each month."""
    free_entry_point_hours: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one message."""

    amount: Decimal
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class Card:
    """What holds from one day on, until the next card."""

    effective: date
    rules: Rules
    rates: Mapping[tuple[str, str, str], Rate] = field(repr=False)
    """By (country as ISO writes it, category, currency)."""

    def is_free(self, category: str, *, in_window: bool) -> bool:
        """Whether nothing of that category is billed, however much of it there is."""
        if category == "service":
            return self.rules.service_is_free
        return category == "utility" and in_window and self.rules.utility_is_free_in_window

    def rate(self, country: str, category: str, currency: str) -> Rate | None:
        return self.rates.get((country, category, currency))


class Cards:
    """All cards that we have."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = sorted(cards, key=lambda card: card.effective)

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards)

    def at(self, day: date) -> Card | None:
        """The card of that day; None before the first one."""
        found = [card for card in self._cards if card.effective <= day]
        return found[-1] if found else None

    def is_due(self, day: date) -> date | None:
        """The day since when Meta may have another card than our last one; None if that day has not come."""
        if not self._cards:
            return day
        last = self._cards[-1].effective
        change = _next_change(last)
        return change if day >= change else None


def read_cards(folder: Path = FOLDER) -> Cards:
    """All cards of a folder, checked.

    Raises:
        CardError: of all of them.
    """
    problems: list[str] = []
    cards = []
    for file in sorted(folder.glob("*.toml")):
        try:
            cards.append(_card(file))
        except CardError as error:
            problems.append(str(error))
    if problems:
        raise CardError("\n".join(problems))
    return Cards(cards)


def read_amount(text: object) -> Decimal:
    """An amount of a price: `17.6584`.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str):
        raise ValueError(
            'a price is written as a text, "17.6584": a bare number would be a binary fraction'
        )
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no price; write it as 17.6584") from error
    exponent = amount.as_tuple().exponent
    if not amount.is_finite() or amount < 0 or amount >= 1_000_000:
        raise ValueError(f"{text!r} is no price")
    if not isinstance(exponent, int) or exponent < -PLACES:
        raise ValueError(f"{text!r} has more than {PLACES} decimal places")
    return amount


def is_country(text: object) -> bool:
    return isinstance(text, str) and len(text) == 2 and text.isascii() and text.isupper()


def _card(file: Path) -> Card:
    problems: list[str] = []
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"{file.name}: {error}") from error
    effective = data.get("effective")
    if not isinstance(effective, date) or isinstance(effective, datetime):
        raise CardError(f"{file.name}: effective: the first day is expected, as 2026-10-01")
    if file.stem != effective.isoformat():
        problems.append(f"effective is {effective}, so the file is to be named {effective}.toml")
    if effective.day != 1 or effective.month not in _CHANGE_MONTHS:
        problems.append("effective: Meta changes cards on 1 January, April, July and October only")
    unknown = data.keys() - {"effective", "rules", "rates"}
    problems.extend(f"{key}: no such key" for key in sorted(unknown))
    rules = data.get("rules", {})
    for name, kind in _RULES.items():
        if type(rules.get(name)) is not kind:
            problems.append(f"rules.{name}: {kind.__name__} is expected")
    problems.extend(f"rules.{key}: no such rule" for key in sorted(rules.keys() - _RULES.keys()))
    rates: dict[tuple[str, str, str], Rate] = {}
    for place, row in enumerate(data.get("rates", []), start=1):
        problems.extend(f"rates, row {place}: {problem}" for problem in _read_row(row, rates))
    if not rates:
        problems.append("rates: there are none")
    if problems:
        raise CardError("\n".join(f"{file.name}: {problem}" for problem in problems))
    return Card(effective, Rules(**{name: rules[name] for name in _RULES}), rates)


def _read_row(row: Mapping[str, object], rates: dict[tuple[str, str, str], Rate]) -> list[str]:
    """Puts the row's prices into `rates`; answers what is wrong with it."""
    problems = []
    country, currency, certainty = row.get("country"), row.get("currency"), row.get("certainty")
    if not is_country(country):
        problems.append("country: two capitals are expected, as CL")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isupper()):
        problems.append("currency: three capitals are expected, as CLP")
    if certainty not in _FROM_FILES:
        problems.append(f"certainty: one of {', '.join(_FROM_FILES)} is expected")
    for name, value in row.items():
        if name in ("country", "currency", "certainty"):
            continue
        if name not in CATEGORIES:
            problems.append(f"{name}: no such category; there are {', '.join(CATEGORIES)}")
            continue
        try:
            rate = Rate(read_amount(value), cast(Certainty, certainty))
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        if rates.setdefault((str(country), name, str(currency)), rate) is not rate:
            problems.append(f"{name}: {country} in {currency} has a price already")
    return problems


def _next_change(day: date) -> date:
    later = [month for month in _CHANGE_MONTHS if month > day.month]
    return date(day.year, later[0], 1) if later else date(day.year + 1, 1, 1)
