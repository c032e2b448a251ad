"""What a firm lives by: ten broad trades, each with the words by which people say it (`trades.toml`)."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum, nonmember
from functools import cache
from importlib.resources import files
from typing import Final, Literal, Self

import msgspec

from flows.dialog.answers import Bad
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.values.words import plain

STEM_MIN: Final = 4


class Trade(StrEnum):
    """Broad on purpose: nobody should have to think. Chosen from a list, or said: *pan y pasteles* is `food`."""

    food = "food"
    grocery = "grocery"
    clothing = "clothing"
    beauty = "beauty"
    health = "health"
    repair = "repair"
    building = "building"
    services = "services"
    transport = "transport"
    other = "other"

    numeric = nonmember(value=False)
    whys = nonmember(("none",))

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        found = read_trade(heard.text)
        return Bad("none") if found is None else cls(found)


def read_trade(text: str) -> Trade | None:
    """The trade that most words of a text speak of; None if none does, or two do alike."""
    words = plain(text).split()
    told = Counter(
        trade
        for word in words
        for trade, stems in _stems().items()
        if any(_fits(word, stem) for stem in stems)
    )
    most = told.most_common(2)
    if not most or (len(most) > 1 and most[0][1] == most[1][1]):
        return None
    return most[0][0]


def _fits(word: str, stem: str) -> bool:
    return (
        word.startswith(stem) if len(stem) >= STEM_MIN else word in (stem, f"{stem}s", f"{stem}es")
    )


@cache
def _stems() -> Mapping[Trade, tuple[str, ...]]:
    data = files(__package__).joinpath("trades.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[Trade, tuple[str, ...]])


First = Literal["horas", "pedidos", "captacion", "soporte", "cobranza"]
"""What the firm's assistant is to do first: a template of the marketplace."""

LIKELY: Final[Mapping[Trade, tuple[First, ...]]] = {
    Trade.food: ("pedidos", "captacion"),
    Trade.grocery: ("pedidos", "captacion"),
    Trade.clothing: ("pedidos", "captacion"),
    Trade.beauty: ("horas", "captacion"),
    Trade.health: ("horas", "captacion"),
    Trade.repair: ("horas", "soporte"),
    Trade.building: ("captacion", "cobranza"),
    Trade.services: ("captacion", "cobranza"),
    Trade.transport: ("captacion", "pedidos"),
    Trade.other: ("soporte", "captacion"),
}
"""What firms of a trade mostly want first."""
