"""The words that work in every state: *menú*, *volver*, *persona*, *baja* and their kin.

A message commands only when all of it does: *cancelar* leaves the flow, *cancelar mi pedido* is a wish, and
*no quiero cancelar* is neither. In Chile *cancelar* also means to pay, so nothing here looks inside a sentence.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from flows.values.words import TYPO_LETTERS_MIN, bare, has_phrase, plain, same, spellings

Command = Literal[
    "menu",    # end the sub-steps, show the main list
    "back",    # one question back
    "cancel",  # leave the flow; nothing written, nothing paid
    "human",   # a person, at once; no state may refuse it
    "stop",    # no message on our initiative any more; no state may refuse it
    "start",   # asks what to receive
    "data",    # the privacy list
    "status",  # where we are, or the orders of this person
    "help",    # what this state wants
    "correct", # something that was told before; heard where a flow answers it
]  # fmt: skip

Asked = Literal["choice", "number", "words", "offer"]
"""What the message answers: a choice or nothing in particular, a question that takes a number, one for a name or free
words, or a marketing template."""

Danger = Literal["emergency", "self_harm", "violence"]

# No state may refuse these two, and of both in one message stop is done first.
_ALWAYS: Final[tuple[Command, ...]] = ("stop", "human")

# A turn asks the same of the same message up to three times, and many people say the same.
_RECENT: Final = 512

_CLAUSES = re.compile(r"[.,;:!?¡¿\n]+|\s+[ye]\s+|\s+and\s+", re.IGNORECASE)


class _Asked(msgspec.Struct, frozen=True):
    zero: Command
    leave: tuple[str, ...]
    enough: tuple[str, ...]


class _Answers(msgspec.Struct, frozen=True):
    yes: tuple[str, ...]
    no: tuple[str, ...]


class _Danger(msgspec.Struct, frozen=True):
    """Plain phrases, looked for anywhere in a message."""

    self_harm: tuple[str, ...]
    violence: tuple[str, ...]
    emergency: tuple[str, ...]
    danger: tuple[str, ...]
    """An emergency only beside one of `cries`."""
    cries: tuple[str, ...]


class _Words(msgspec.Struct, frozen=True):
    danger: _Danger
    commands: Mapping[Command, tuple[str, ...]]
    asked: _Asked
    answers: _Answers


def read_command(text: str, *, asked: Asked = "choice") -> Command | None:
    """The command that a whole message is; None if it is anything else."""
    return next(iter(read_commands(text, asked=asked)), None)


@lru_cache(maxsize=_RECENT)
def read_commands(text: str, *, asked: Asked = "choice") -> tuple[Command, ...]:
    """Like `read_command`; both of *stop* and *human*, in this order, when one message asks for both."""
    whole = _command(text, asked)
    if whole is not None:
        return (whole,)
    clauses = [clause for clause in _CLAUSES.split(text) if bare(clause)]
    if clauses == [text]:
        return ()
    heard = {_command(clause, asked) for clause in clauses}
    if len(heard) > 1:
        # Several messages of one turn arrive as lines: *baja* on a line of its own is *baja*.
        lines = {_command(line, asked) for line in text.splitlines()}
        heard = heard if heard <= set(_ALWAYS) else lines & set(_ALWAYS)
    return tuple(command for command in dict.fromkeys((*_ALWAYS, *_phrases())) if command in heard)


def read_yes_no(text: str) -> bool | None:
    """Yes or no, for a plain question. Never for consent, money or a deletion: those take a tap."""
    answers = _words().answers
    for heard in (plain(text), bare(text)):
        if any(same(heard, phrase) for phrase in answers.no):
            return False
        if any(same(heard, phrase) for phrase in answers.yes):
            return True
    said = bare(text).split()
    if said and all(word in answers.yes for word in said):
        return True
    if said and all(word in answers.no for word in said):
        return False
    return None


def read_danger(text: str) -> Danger | None:
    """Whether somebody is in danger: read before anything else, in every state, a person at the desk or not.

    It looks inside sentences, so the words are few and plain: a false alarm costs one message with telephone numbers.
    """
    heard = plain(text)
    words = _words().danger

    def names(phrases: tuple[str, ...]) -> bool:
        return any(has_phrase(heard, spelled) for spelled in _spelled(phrases))

    if names(words.self_harm):
        return "self_harm"
    if names(words.violence):
        return "violence"
    if names(words.emergency) or (names(words.cries) and names(words.danger)):
        return "emergency"
    return None


@cache
def _spelled(phrases: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(spelled for phrase in phrases for spelled in spellings(phrase))


def _command(text: str, asked: Asked) -> Command | None:
    words = _words()
    # Courtesy holds words that are part of a synonym, as in "no quiero mas mensajes": try the whole first.
    for heard in dict.fromkeys((plain(text), bare(text))):
        if not heard:
            continue
        if asked == "offer" and heard in words.asked.enough:
            return "stop"
        if asked == "words" and heard in words.asked.leave:
            return "cancel"
        if heard == "0":
            return words.asked.zero if asked in ("choice", "offer") else None
        command = _exactly().get(heard) or _nearly(heard)
        if command is not None and (asked != "words" or command in _ALWAYS):
            return command
    return None


@cache
def _words() -> _Words:
    data = files(__package__).joinpath("commands.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Words)


def _nearly(heard: str) -> Command | None:
    """The command that a message is but for one slip. Only long words may slip, so most messages cost nothing."""
    words = heard.split()
    if max(map(len, words)) < TYPO_LETTERS_MIN:
        return None
    near = _by_words().get(len(words), ())
    return next((command for command, phrase in near if same(heard, phrase)), None)


@cache
def _exactly() -> Mapping[str, Command]:
    return {phrase: command for command, phrases in _phrases().items() for phrase in phrases}


@cache
def _by_words() -> Mapping[int, tuple[tuple[Command, str], ...]]:
    """The phrases in which a word is long enough to slip, by their number of words."""
    found: dict[int, tuple[tuple[Command, str], ...]] = {}
    for command, phrases in _phrases().items():
        for phrase in phrases:
            words = phrase.split()
            if max(map(len, words)) >= TYPO_LETTERS_MIN:
                found[len(words)] = (*found.get(len(words), ()), (command, phrase))
    return found


@cache
def _phrases() -> Mapping[Command, tuple[str, ...]]:
    return {
        command: tuple(spelled for phrase in phrases for spelled in spellings(phrase))
        for command, phrases in _words().commands.items()
    }
