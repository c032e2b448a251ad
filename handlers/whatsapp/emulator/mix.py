"""What the people of a load test do: so many of each kind, and each time something that is always answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Final, Literal

import msgspec

from handlers.whatsapp.emulator.content import (
    Buttons,
    Heard,
    Menu,
    Picture,
    Place,
    Tapped,
    Text,
    Unsupported,
)
from handlers.whatsapp.emulator.world import Message

Kind = Literal["text", "menu", "tap", "media", "location", "unsupported"]

USUAL: Final[Mapping[Kind, int]] = {
    "text": 70,
    "menu": 10,
    "tap": 10,
    "media": 5,
    "location": 2,
    "unsupported": 3,
}
"""Parts of each kind."""

_PLACE: Final = Place(-33.0425, -71.3733, "Villa Alemana")


class Words(msgspec.Struct, frozen=True):
    """What people write and tap; the usual ones lie in `mix.toml`."""

    text: tuple[str, ...]
    menu: tuple[str, ...]
    captions: tuple[str, ...]
    taps: frozenset[str]
    """Options that may be tapped: the last part of their id."""


@cache
def usual_words() -> Words:
    """What the customer conversation answers in every state."""
    return msgspec.toml.decode(Path(__file__).with_name("mix.toml").read_bytes(), type=Words)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person does."""

    kind: Kind
    content: Heard
    quotes: str = ""
    """Wamid of the message whose button is tapped."""


class Mix:
    """Draws what is done next."""

    def __init__(self, parts: Mapping[Kind, int], *, seed: int, words: Words | None = None) -> None:
        """`parts`: how often each kind is drawn, against the sum of all; at least one is positive."""
        self._words = words or usual_words()
        self._kinds: list[Kind] = list(parts)
        self._parts = list(parts.values())
        self._dice = Random(seed)  # noqa: S311 - no secret hangs on it

    def draw(self, last: Message | None) -> Act:
        """What somebody does whom the bot said `last` to. Where nothing can be tapped they ask for the menu."""
        words = self._words
        [kind] = self._dice.choices(self._kinds, self._parts)
        match kind:
            case "tap":
                tap = self._tap(last)
                return tap or Act("menu", Text(self._dice.choice(words.menu)))
            case "menu":
                return Act(kind, Text(self._dice.choice(words.menu)))
            case "text":
                return Act(kind, Text(self._dice.choice(words.text)))
            case "media":
                return Act(kind, Picture(self._dice.choice(words.captions)))
            case "location":
                return Act(kind, _PLACE)
            case "unsupported":
                return Act(kind, Unsupported())

    def _tap(self, last: Message | None) -> Act | None:
        if last is None:
            return None
        options: list[Heard] = []
        match last.content:
            case Buttons(buttons=buttons):
                options += [
                    Tapped("button_reply", button.id, button.title)
                    for button in buttons
                    if self._may_tap(button.id)
                ]
            case Menu(sections=sections):
                options += [
                    Tapped("list_reply", row.id, row.title, row.description)
                    for section in sections
                    for row in section.rows
                    if self._may_tap(row.id)
                ]
            case _:
                pass
        return Act("tap", self._dice.choice(options), quotes=last.wamid) if options else None

    def _may_tap(self, option: str) -> bool:
        return option.rsplit(":", 1)[-1] in self._words.taps
