"""What a customer wants, by the words they used: no model, no guess, several wishes in one message."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import ClassVar, Final, Literal, Self

import msgspec

from flows.dialog.answers import Bad
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.values.language import Language, language_of
from flows.values.secrets import mask_secrets
from flows.values.words import TYPO_LETTERS_MIN, has_phrase, is_slip, plain, spellings

Topic = Literal[
    # what the firm's settings answer
    "prices", "hours", "payment", "delivery", "contact", "address", "robot", "who",
    # how to answer them
    "week", "stock",
    # what people have to do
    "orders", "buy", "annul", "debt", "document",
    # what needs one more question
    "account", "plan",
    # what needs to know who asks
    "panel",
    # the talk itself
    "offers_off", "wrong_number", "person", "complaint", "abuse", "others", "english", "spanish", "greeting",
    "secret", "child",
]  # fmt: skip

File = Literal["image", "video", "document", "voice", "place", "contacts"]
"""What was sent instead of words."""

ADULT_FROM: Final = 14
"""Younger people need their parents' leave (Law 19.628 as reformed by 21.719, art. 16 quater)."""

_AGE = re.compile(r"(?:tengo|im|i am) (\d{1,2}) (?:anos|anitos|years)")
_MORNING = re.compile(r"\b(?:en|por|de) la manana\b")


@dataclass(frozen=True, slots=True)
class Wish:
    """One message of a customer, or several in a row."""

    text: str = ""
    """What was written, secrets masked."""
    topics: frozenset[Topic] = frozenset()
    """Empty if no word was known."""
    day: int | None = None
    """The day asked about, as days from today."""
    language: Language | None = None
    """If it is not Spanish."""
    file: File | None = None
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("media", "unknown")

    @classmethod
    def read(cls, heard: Heard, ctx: Ctx, /) -> Self | Bad:
        if heard.kind == "place":
            return cls(heard.text, file="place")
        if heard.kind == "contacts":
            return cls(heard.text, file="contacts")
        if heard.media is not None:
            match heard.media.kind:
                case "image" | "video" | "document" as kind:
                    return cls(mask_secrets(heard.text), file=kind)
                case "voice" | "audio":
                    return cls(file="voice")
                case _:
                    return Bad("media")
        if heard.kind not in ("text", "tap", "row") or not heard.text.strip():
            return Bad("unknown")
        text = mask_secrets(heard.text.strip())
        topics = set(topics_in(text))
        if text != heard.text.strip():
            topics.add("secret")
        return cls(text, frozenset(topics), _day_in(text, ctx), language_of(text))


def topics_in(text: str) -> Iterator[Topic]:
    """The topics that a message touches. A word counts for the longest phrase that holds it."""
    heard = f" {plain(text)} "
    age = _AGE.search(heard)
    if age and int(age[1]) < ADULT_FROM:
        yield "child"
    found: dict[Topic, None] = {}
    taken = heard
    for phrase, topics in _phrases():
        # The first look is cheap, and nearly always enough.
        if phrase in taken and f" {phrase} " in taken:
            found |= dict.fromkeys(topics)
            taken = taken.replace(f" {phrase} ", " | ")
    for word in taken.split():
        # Of each length one slip away.
        near = (_long_words().get(len(word) + step, ()) for step in (-1, 0, 1))
        for phrase, topics in chain.from_iterable(near):
            if is_slip(word, phrase):
                found |= dict.fromkeys(topics)
    yield from found


def _day_in(text: str, ctx: Ctx) -> int | None:
    heard = _MORNING.sub(" ", plain(text))
    words = _words()
    # The longest first: "pasado manana" holds "manana".
    for phrase, ahead in sorted(words.near.items(), key=lambda item: -len(item[0])):
        if has_phrase(heard, phrase):
            return ahead
    for word in heard.split():
        if word in words.days:
            return (words.days[word] - ctx.now.weekday()) % 7
    return None


class _Words(msgspec.Struct, frozen=True):
    topics: Mapping[Topic, tuple[str, ...]]
    days: Mapping[str, int]
    near: Mapping[str, int]


@cache
def _words() -> _Words:
    data = files(__package__).joinpath("wishes.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Words)


@cache
def _phrases() -> tuple[tuple[str, tuple[Topic, ...]], ...]:
    """(phrase, its topics), the longest first."""
    known: dict[str, list[Topic]] = {}
    for topic, phrases in _words().topics.items():
        for phrase in phrases:
            for spelled in spellings(phrase):
                known.setdefault(spelled, []).append(topic)
    return tuple(
        (phrase, tuple(known[phrase]))
        for phrase in sorted(known, key=lambda p: (-len(p.split()), -len(p), p))
    )


@cache
def _long_words() -> Mapping[int, tuple[tuple[str, tuple[Topic, ...]], ...]]:
    """What a slip is forgiven in, by its length."""
    found: dict[int, tuple[tuple[str, tuple[Topic, ...]], ...]] = {}
    for phrase, topics in _phrases():
        if len(phrase) >= TYPO_LETTERS_MIN and " " not in phrase:
            found[len(phrase)] = (*found.get(len(phrase), ()), (phrase, topics))
    return found
