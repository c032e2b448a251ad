"""Which language a message looks like, when it is not Spanish."""

from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from flows.values.words import plain

Language = Literal["en", "pt", "ht"]
"""English, Portuguese, Kreyòl."""

SHARE_MIN: Final = 0.5
"""Of the words of a message, how many must belong to the language: our choice, tried on the examples in the tests."""


class _Words(msgspec.Struct, frozen=True):
    words: frozenset[str]
    surely: frozenset[str] = frozenset()
    """Words that neither Spanish nor a sister language has; empty where `words` are all of that kind."""


class _Languages(msgspec.Struct, frozen=True):
    en: _Words
    pt: _Words
    ht: _Words


@cache
def _languages() -> _Languages:
    return msgspec.toml.decode(
        files(__package__).joinpath("languages.toml").read_bytes(), type=_Languages
    )


def language_of(text: str) -> Language | None:
    """The language that a message looks like; None for Spanish and for what tells nothing.

    Short words decide by counting, so a name or a *bye* inside a Spanish sentence changes nothing.
    """
    heard = plain(text).split()
    if not heard:
        return None
    languages = _languages()
    tongues: tuple[tuple[Language, _Words], ...] = (
        ("en", languages.en),
        ("ht", languages.ht),
        ("pt", languages.pt),
    )
    shares = {
        tongue: sum(word in known.words for word in heard) / len(heard)
        for tongue, known in tongues
        if not known.surely or known.surely.intersection(heard)
    }
    if not shares:
        return None
    best = max(shares, key=lambda tongue: shares[tongue])
    return best if shares[best] >= SHARE_MIN else None
