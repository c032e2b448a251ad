"""How a question looks: its options, and the message that shows them within WhatsApp's limits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from flows.dialog.content import (
    BODY_MAX,
    BUTTON_TITLE_MAX,
    BUTTONS_MAX,
    LIST_BODY_MAX,
    ROW_DESCRIPTION_MAX,
    ROW_ID_MAX,
    ROW_TITLE_MAX,
    ROWS_MAX,
    TEXT_BODY_MAX,
    Button,
    Buttons,
    Content,
    Row,
    Rows,
    Text,
)

PAGE_MARK: Final = "+"
"""First sign of the id of the row that turns the page: `+2`."""
GLOBAL: Final = "bot:"
"""Ids of buttons that mean the same in every state."""

_SENTENCE_END = re.compile(r"[.!?…](?=\s)|\n")


@dataclass(frozen=True, slots=True)
class Option:
    """One answer that is shown."""

    id: str
    title: str
    value: Any = None
    about: str = ""
    """The line below a row's title."""
    fixed: bool = False
    """On every page of a list."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the buttons around a list say."""

    open: str
    more: str


def tap_id(seq: int, state: str, option: str) -> str:
    """The id of an option in the visit `seq` of a state: a tap tells which question it answers."""
    return option if option.startswith(GLOBAL) else f"{seq}:{state}:{option}"


def read_tap(choice: str) -> tuple[int, str, str] | None:
    """(visit, state, option) of `tap_id`; None if the id is not of our making."""
    seq, _, rest = choice.partition(":")
    state, colon, option = rest.partition(":")
    return (int(seq), state, option) if seq.isdecimal() and colon else None


def show(
    body: str, options: Sequence[Option], *, seq: int, state: str, page: int, labels: Labels
) -> Content | None:
    """One message: text, up to three buttons, or a list in pages. None if there is nothing to say."""
    if not options:
        return Text(cut(body, TEXT_BODY_MAX)) if body.strip() else None
    body = body if body.strip() else labels.open
    if len(options) <= BUTTONS_MAX and not any(
        option.about or len(option.title) > BUTTON_TITLE_MAX for option in options
    ):
        titles = _distinct([option.title for option in options], BUTTON_TITLE_MAX)
        buttons = tuple(
            Button(tap_id(seq, state, option.id), title)
            for option, title in zip(options, titles, strict=True)
        )
        return Buttons(cut(body, BODY_MAX), buttons)
    shown = page_of(options, page, labels.more)
    titles = _distinct([option.title for option in shown], ROW_TITLE_MAX)
    rows = tuple(
        Row(
            tap_id(seq, state, option.id)[:ROW_ID_MAX],
            title,
            short(option.about, ROW_DESCRIPTION_MAX),
        )
        for option, title in zip(shown, titles, strict=True)
    )
    return Rows(cut(body, LIST_BODY_MAX), short(labels.open, BUTTON_TITLE_MAX), rows)


def page_of(options: Sequence[Option], page: int, more: str) -> list[Option]:
    """The options of one page: a part of the rows, the row that turns the page, what is on every page."""
    if len(options) <= ROWS_MAX:
        return list(options)
    fixed = [option for option in options if option.fixed][: ROWS_MAX - 2]
    rows = [option for option in options if not option.fixed]
    size = ROWS_MAX - 1 - len(fixed)
    pages = -(-len(rows) // size)
    page %= pages
    turn = Option(f"{PAGE_MARK}{(page + 1) % pages}", more)
    return [*rows[page * size : (page + 1) * size], turn, *fixed]


def cut(words: str, limit: int) -> str:
    """At most `limit` characters, ending where a sentence does if one ends in the second half."""
    if len(words) <= limit:
        return words
    ends = [end.end() for end in _SENTENCE_END.finditer(words[: limit + 1])]
    end = ends[-1] if ends else 0
    return words[:end].rstrip() if end > limit // 2 else short(words, limit)


def short(words: str, limit: int) -> str:
    """At most `limit` characters on one thought, with an ellipsis where something is missing."""
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def _distinct(titles: Sequence[str], limit: int) -> list[str]:
    """Titles within the limit, none empty and no two alike: WhatsApp refuses both."""
    seen: list[str] = []
    for title in titles:
        fitting = short(title.strip() or "…", limit)
        if fitting in seen:
            numbered = (f"{short(title, limit - len(f' {n}'))} {n}" for n in count(2))
            fitting = next(another for another in numbered if another not in seen)
        seen.append(fitting)
    return seen
