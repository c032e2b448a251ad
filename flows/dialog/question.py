"""How a question looks: its options, and the message that shows them within WhatsApp's limits."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from msgspec.structs import replace

from flows.dialog.content import (
    BODY_MAX,
    BUTTON_TITLE_MAX,
    BUTTONS_MAX,
    CAPTION_MAX,
    LIST_BODY_MAX,
    ROW_DESCRIPTION_MAX,
    ROW_ID_MAX,
    ROW_TITLE_MAX,
    ROWS_MAX,
    TEXT_BODY_MAX,
    Button,
    Buttons,
    Content,
    Medium,
    Row,
    Rows,
    Text,
)
from flows.dialog.splitting import split

PAGE_MARK: Final = "+"
"""First sign of the id of the row that turns the page: `+2`."""
GLOBAL: Final = "bot:"
"""Ids of buttons that mean the same in every state."""

PARTS_MAX: Final = 4
"""Messages that a long text may become; each of them is billed. Our choice."""

Dress = Callable[[str], Content]
"""Makes a message of the words of a question."""

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


def lay_out(
    body: str,
    options: Sequence[Option],
    *,
    seq: int,
    state: str,
    page: int,
    labels: Labels,
    medium: Medium | None = None,
    dress: Dress | None = None,
) -> tuple[Content, ...]:
    """The messages of a turn, in order: one, but for a text that is too long for it. None if there is nothing to say.

    Args:
        body: the words, the question last.
        options: what can be tapped.
        seq: the visit.
        state: its key.
        page: of the list.
        labels: around the list.
        medium: what carries the words; in front of a list, which can carry none, it is a message of its own.
        dress: shows the words and the options in its own way.
    """
    if dress is None and not body.strip() and not options:
        return () if medium is None else (medium,)
    *ahead, last = _parts(body, _room(options, medium=medium, dress=dress)) or ("",)
    first = tuple(map(Text, ahead))
    if dress is not None:
        return (*first, *([medium] if medium else []), dress(last or labels.open))
    if medium is not None and not options:
        return (*first, replace(medium, caption=last))
    message = show(last, options, seq=seq, state=state, page=page, labels=labels)
    assert message is not None, "there are words or options"
    if medium is not None and isinstance(message, Buttons):
        return (*first, replace(message, header=medium))
    return (*first, *([medium] if medium else []), message)


def _parts(body: str, room: int) -> tuple[str, ...]:
    """The words in as few messages as they fit into. What is too much is left out before the last: it asks."""
    if len(body) > (PARTS_MAX + 1) * TEXT_BODY_MAX:
        body = f"{body[: PARTS_MAX * TEXT_BODY_MAX]}\n\n{body[-room // 2 :]}"
    parts = split(body, TEXT_BODY_MAX, last=room)
    if len(parts) <= PARTS_MAX:
        return parts
    told = parts[: PARTS_MAX - 1]
    return (*told[:-1], f"{short(told[-1], TEXT_BODY_MAX - 2)} …", parts[-1])


def _room(options: Sequence[Option], *, medium: Medium | None, dress: Dress | None) -> int:
    if dress is not None:
        return BODY_MAX
    if not options:
        return CAPTION_MAX if medium else TEXT_BODY_MAX
    return BODY_MAX if _are_buttons(options) else LIST_BODY_MAX


def _are_buttons(options: Sequence[Option]) -> bool:
    return len(options) <= BUTTONS_MAX and not any(
        option.about or len(option.title) > BUTTON_TITLE_MAX for option in options
    )


def show(
    body: str, options: Sequence[Option], *, seq: int, state: str, page: int, labels: Labels
) -> Content | None:
    """One message: text, up to three buttons, or a list in pages. None if there is nothing to say."""
    if not options:
        return Text(cut(body, TEXT_BODY_MAX)) if body.strip() else None
    body = body if body.strip() else labels.open
    if _are_buttons(options):
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
