"""What the firm's settings answer: words for each topic, ready to be said together."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from flows.customer.shop import Shop, shop_of
from flows.customer.wish import Topic, Wish
from flows.dialog.ctx import Ctx
from flows.dialog.flow import Say, say
from flows.values.hours import Opening, OpeningHours
from flows.values.words import plain

ANSWERED: Final[tuple[Topic, ...]] = (
    "prices",
    "hours",
    "payment",
    "delivery",
    "contact",
    "robot",
    "who",
    "address",  # last: it may end with a link
)

_WORD_LETTERS_MIN: Final = 3
_NOT_THINGS: Final = frozenset(
    (
        "kilo", "cada", "unidad", "con", "para", "por", "del", "los", "las", "una", "uno", "the",
        "menu", "carta", "precio", "lista", "price",
    )
)  # fmt: skip
"""Words of a question that a list of prices also uses."""

_SOME_MONDAY: Final = date(2024, 1, 1)
"""Gives the days of the week their names."""


def answer(topic: Topic, wish: Wish, shop: Shop, ctx: Ctx) -> Say | None:
    """Words on one topic; None if the owner has not said."""
    match topic:
        case "prices":
            return _prices(wish, shop)
        case "hours":
            return _hours(wish, shop.hours, ctx.now) if shop.hours else None
        case "payment":
            return say("pay_by", payment=ended(shop.payment)) if shop.payment else None
        case "delivery":
            return say("delivered", delivery=ended(shop.delivery)) if shop.delivery else None
        case "contact":
            return say("reach", shop=shop) if shop.has_contact else None
        case "address":
            return say("located", shop=shop) if shop.address else None
        case "robot":
            return say("automatic")
        case "who":
            return say("keeps", shop=shop_of(ctx.keeper))
        case _:
            raise ValueError(f"{topic} is not answered by settings")


def has_product(wish: Wish, shop: Shop) -> bool:
    """Whether a thing that was asked for stands in the list."""
    return bool(_lines_about(wish.text, shop))


def _prices(wish: Wish, shop: Shop) -> Say | None:
    if not shop.products:
        return None
    lines = _lines_about(wish.text, shop)
    return say("price", lines=ended("\n".join(lines))) if lines else say("price_list", shop=shop)


def _lines_about(text: str, shop: Shop) -> list[str]:
    """The lines of the list that name most of what the message names, in singular or plural."""
    asked = {_singular(word) for word in plain(text).split() if len(word) >= _WORD_LETTERS_MIN}
    asked -= _NOT_THINGS
    hits = {
        line: len(asked & {_singular(word) for word in plain(line).split()})
        for line in shop.products.splitlines()
    }
    most = max(hits.values(), default=0)
    return [line for line, count in hits.items() if count == most] if most else []


def ended(words: str) -> str:
    """The owner's words as a sentence, if they are one line: another may follow."""
    return words if "\n" in words or words.endswith((".", "!", "?", "…")) else f"{words}."


def _singular(word: str) -> str:
    return re.sub(r"(?<=[aeiou])s$|(?<=[^aeious])es$", "", word)


def _hours(wish: Wish, hours: OpeningHours, now: datetime) -> Say | None:
    opens_today = bool(hours.on(now.date(), like=now))
    if wish.day is not None and not (wish.day == 0 and opens_today):
        return _on_day(hours, now.date() + timedelta(days=wish.day), now)
    if "week" in wish.topics and wish.day is None:
        return say("week", days=list(days_of(hours)))
    upcoming = hours.next_opening(now)
    if hours.is_open(now):
        closes = hours.closes_at(now)
        if closes is None:
            return say("always_open")
        again = upcoming is not None and upcoming.start.date() == now.date()
        near = _is_near(upcoming, now)
        return say("open_now", closes=closes, opens=upcoming, again=again, near=near)
    if upcoming is None:
        return None
    return say("closed_now", opens=upcoming, near=_is_near(upcoming, now))


def _on_day(hours: OpeningHours, day: date, now: datetime) -> Say:
    near = day <= now.date() + timedelta(days=1)
    openings = hours.on(day, like=now)
    if not openings:
        return say("closed_day", day=day, near=near)
    return say("open_day", day=day, near=near, openings=openings)


def days_of(hours: OpeningHours) -> Iterator[tuple[date, date, tuple[Opening, ...]]]:
    """(first day, last day, what is open) of days in a row that are alike, as the text `customer.week` shows them."""
    midnight = datetime(2024, 1, 1)  # noqa: DTZ001 - only the clock of it is shown
    for first, last, _ in hours.groups():
        day = _SOME_MONDAY + timedelta(days=first)
        yield day, _SOME_MONDAY + timedelta(days=last), hours.on(day, like=midnight)


def _is_near(opening: Opening | None, now: datetime) -> bool:
    """Whether the day has a name: today, tomorrow."""
    return opening is not None and opening.start.date() <= now.date() + timedelta(days=1)
