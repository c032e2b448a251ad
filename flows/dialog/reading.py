"""How an answer is understood: shown title or number, then command, then answer type.

Several messages of one turn are read together: a greeting among them is skipped, what one of them says alone
counts, and what only all of them say is read as one text.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from flows.dialog.answers import Bad
from flows.dialog.commands import Asked, Command, read_commands, read_yes_no
from flows.dialog.ctx import Ctx
from flows.dialog.events import NO_JSON, OVERSIZED, Heard
from flows.dialog.flow import State
from flows.dialog.question import GLOBAL, PAGE_MARK, Option, read_tap
from flows.values.words import bare, plain, same

THANKS_WORDS_MAX: Final = 5

URGENT: Final[tuple[Command, ...]] = ("stop", "human")
"""No state may refuse these; of both in one turn the first is done and the person called."""

_KINDLY: Final = {
    "voice": "bot.audio",
    "audio": "bot.audio",
    "image": "bot.image",
    "video": "bot.image",
    "document": "bot.image",
    "sticker": "bot.sticker",
}


@dataclass(frozen=True, slots=True)
class Understood:
    """A value for the step."""

    value: Any


@dataclass(frozen=True, slots=True)
class Commanded:
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Tapped:
    """A button that means the same everywhere."""

    id: str


@dataclass(frozen=True, slots=True)
class Turned:
    page: int


@dataclass(frozen=True, slots=True)
class Missed:
    """Not understood. `keys` are the texts that may say so, the most fitting first."""

    keys: tuple[str, ...]
    counts: bool = True


Reading = Understood | Commanded | Tapped | Turned | Missed


def worth(heards: Sequence[Heard]) -> tuple[Heard, ...]:
    """The messages of a turn that say something; if none does, the last one."""
    saying = [heard for heard in heards if _weight(heard)]
    if len(saying) > 1:
        saying = [heard for heard in saying if _weight(heard) > 1] or saying[-1:]
    return tuple(saying)


def is_thanks(heard: Heard) -> bool:
    """Whether a message only closes a talk: *gracias*, *ok*, a thumb up."""
    if heard.kind == "reaction" or (heard.media and heard.media.kind == "sticker"):
        return True
    words = plain(heard.text).split()
    if heard.kind != "text" or len(words) > THANKS_WORDS_MAX:
        return False
    return all(word in _thanks() for word in words)


def commands_in(heards: Sequence[Heard], asked: Asked = "choice") -> tuple[Command, ...]:
    """The commands of the typed messages of a turn; of several, *stop* and *human* win, else the last."""
    found = [
        command
        for heard in heards
        if heard.kind == "text"
        for command in read_commands(heard.text, asked=asked)
    ]
    first = tuple(command for command in URGENT if command in found)
    return first or tuple(found[-1:])


def read(
    state: State[Any],
    options: Sequence[Option],
    heards: Sequence[Heard],
    *,
    seq: int,
    heeds: Collection[Command],
    more: str,
    ctx: Ctx,
) -> Reading:
    """Read what was said in answer to a question.

    Args:
        state: the one that asks.
        options: what it shows, all pages.
        heards: the messages of the turn, `worth` reading.
        seq: the visit.
        heeds: the commands that would be answered here; others are words.
        more: title of the row that turns the page.
        ctx: for the answer types.
    """
    asked = _asked(state)
    stale = False
    typed: list[Heard] = []
    meant: Reading | None = None
    for heard in reversed(heards):
        found = _shown(state, options, heard, seq=seq, more=more)
        if isinstance(found, Missed):
            stale = True
            continue
        if found is None:
            typed.insert(0, heard)
            commands = tuple(c for c in commands_in((heard,), asked) if c in heeds)
            if state.verbatim and not commands:
                # What a state answers on its own account is meant to be read there.
                commands = tuple(c for c in commands_in((heard,)) if c in state.commands)
            found = Commanded(commands) if commands else None
        meant = meant or found
    urgent = tuple(c for c in commands_in(typed, asked) if c in URGENT)
    if urgent:
        return Commanded(urgent)
    if meant is not None:
        return meant
    if stale or not typed:
        return Missed(("bot.old_button",), counts=False)
    return _answer(state, typed, ctx)


def _weight(heard: Heard) -> int:
    match heard.kind:
        case "system" | "revoke":
            return 0
        case "edit":
            return 1
        case "reaction":
            return 1 if heard.text else 0
        case "text":
            return 2 if bare(heard.text) else 1
        case "media":
            return 1 if heard.media and heard.media.kind == "sticker" else 2
        case "welcome":
            return 1
        case _:
            return 2


def _asked(state: State[Any]) -> Asked:
    if state.verbatim:
        return "words"
    return "number" if state.numeric else "choice"


def _shown(
    state: State[Any], options: Sequence[Option], heard: Heard, *, seq: int, more: str
) -> Reading | None:
    """What a tap, a typed title or a number means; None if it is none of them."""
    if heard.kind in ("tap", "row"):
        if heard.choice.startswith(GLOBAL):
            return Tapped(heard.choice)
        tap = read_tap(heard.choice)
        if tap is not None:
            return _tapped(state, options, heard, tap=tap, seq=seq)
        if state.sends is not None and not state.by_tap:
            # What a flow makes itself bears the options' own ids.
            for option in options:
                if option.id == heard.choice:
                    return Understood(option.value)
    elif heard.kind == "form":
        token = read_tap(_token(heard))
        unproven = heard.form == NO_JSON
        of_another = token is not None and token[1] != state.key
        return Missed(("bot.old_button",), counts=False) if unproven or of_another else None
    elif heard.kind != "text":
        return None
    return _typed(state, options, heard.text, more=more)


def _tapped(
    state: State[Any],
    options: Sequence[Option],
    heard: Heard,
    *,
    tap: tuple[int, str, str],
    seq: int,
) -> Reading:
    visit, name, id = tap
    fresh = visit == seq and name == state.key
    if fresh or (name == state.key and not state.by_tap):
        page = id.removeprefix(PAGE_MARK)
        if id != page and page.isdecimal():
            return Turned(int(page))
        for option in options:
            if option.id == id:
                return Understood(option.value)
    if state.shows is not None and name.startswith(f"{state.flow.name}."):
        # A row of the same menu that is not shown at this moment.
        for choice in state.choices:
            if choice.id == id:
                return Understood(choice.value)
    if not state.by_tap:
        # A button of an older message that is offered again under the same words.
        for option in options:
            if option.title == heard.text:
                return Understood(option.value)
    return Missed(("bot.old_button",), counts=False)


class _Form(msgspec.Struct, frozen=True):
    flow_token: str = ""


def _token(heard: Heard) -> str:
    """What a form was opened with: it is all that tells which question an answer is for."""
    try:
        return msgspec.json.decode(heard.form, type=_Form).flow_token
    except msgspec.DecodeError:
        return ""


def _typed(state: State[Any], options: Sequence[Option], text: str, *, more: str) -> Reading | None:
    heard = plain(text)
    if not heard:
        return None
    titles = [plain(option.title) for option in options]
    for option, title in zip(options, titles, strict=True):
        if heard == title:
            return Understood(option.value)
    if state.by_tap or state.verbatim:
        return None
    if heard.isdecimal():
        if not state.numeric and not any(title.isdecimal() for title in titles):
            place = int(heard)
            if 1 <= place <= len(options):
                return Understood(options[place - 1].value)
        return None
    if heard == plain(more):
        return Turned(-1)
    wish = bare(text)
    near = [
        option
        for option, title in zip(options, titles, strict=True)
        if title and (same(heard, title) or (wish and same(wish, title)))
    ]
    if len(near) == 1:
        return Understood(near[0].value)
    if any(choice.value is True for choice in state.choices):
        said = read_yes_no(text)
        if said is not None:
            return Understood(said)
    return None


def _answer(state: State[Any], heards: Sequence[Heard], ctx: Ctx) -> Reading:
    """Read the answer types from left to right: all messages as one first, then each alone."""
    whole = _joined(heards)
    bad: Missed | None = None
    alone = [heard for heard in reversed(heards) if heard is not whole]
    for heard in (whole, *alone):
        for reader in state.readers:
            value = reader.read(heard, ctx)
            if not isinstance(value, Bad):
                return Understood(value)
            bad = bad or Missed((f"{reader.key}.{value.why}",))
    if (kindly := _kindly(whole)) is not None:
        return kindly
    if state.by_tap:
        return Missed(("choice.tap",))
    return bad or Missed(("choice.unknown",))


def _joined(heards: Sequence[Heard]) -> Heard:
    last = heards[-1]
    if len(heards) == 1:
        return last
    texts = [heard.text for heard in heards if heard.kind == "text" and heard.text]
    return replace(last, text="\n".join(texts)) if last.kind == "text" else last


def _kindly(heard: Heard) -> Missed | None:
    """What is said to a message of a kind that the question has no use for."""
    if heard.kind == "reaction":
        return Missed(("bot.sticker",), counts=False)
    if heard.kind == "media" and heard.media is not None:
        return Missed((_KINDLY[heard.media.kind],), counts=heard.media.kind != "sticker")
    if heard.kind == "unsupported" and heard.text == OVERSIZED:
        return Missed(("bot.oversized",), counts=False)
    if heard.kind in ("unsupported", "order"):
        return Missed(("bot.unsupported",), counts=False)
    return None


class _Thanks(msgspec.Struct, frozen=True):
    words: frozenset[str]


@cache
def _thanks() -> frozenset[str]:
    data = files(__package__).joinpath("thanks.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Thanks).words
