"""Typed words made comparable: without accents, punctuation, courtesy and one slip of the finger."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import product
from typing import Final

import msgspec

TYPO_LETTERS_MIN: Final = 6
"""Shorter words are compared exactly: *baja*, *alta*, *menu* have neighbours that mean something else."""

_KEPT: Final = 512
_APOSTROPHES = re.compile(r"['’`´]")
_NOT_WORDS = re.compile(r"[^a-z0-9]+")
_ONE_OF = re.compile(r"\(([^)]*)\)")
_STRETCHED = re.compile(r"([a-z])\1{2,}")


class _Courtesy(msgspec.Struct, frozen=True):
    """`courtesy.toml`: what surrounds a wish without changing it, and words that are no slips."""

    phrases: tuple[str, ...]
    real_words: frozenset[str]


@cache
def _courtesy() -> _Courtesy:
    data = files(__package__).joinpath("courtesy.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Courtesy)


@cache
def _phrases() -> tuple[tuple[str, ...], ...]:
    phrases = (tuple(plain(phrase).split()) for phrase in _courtesy().phrases)
    return tuple(sorted(phrases, key=len, reverse=True))


# One message is read by several readers, and a title is compared in every turn.
@lru_cache(maxsize=_KEPT)
def plain(text: str) -> str:
    """Lower case, no accents, no punctuation, single spaces, `holaaa` as `hola`.

    Digits keep their repetitions: `1000` stays `1000`.
    """
    flat = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", text)).lower()
    flat = "".join(sign for sign in flat if not unicodedata.combining(sign))
    return _STRETCHED.sub(r"\1", _NOT_WORDS.sub(" ", flat)).strip()


@lru_cache(maxsize=_KEPT)
def bare(text: str) -> str:
    """`plain(text)` without courtesy at either end: *hola, quiero el menú porfa* is *el menu*."""
    words = tuple(plain(text).split())
    while words:
        for phrase in _phrases():
            if words[: len(phrase)] == phrase:
                words = words[len(phrase) :]
                break
            if words[-len(phrase) :] == phrase:
                words = words[: -len(phrase)]
                break
        else:
            break
    return " ".join(words)


def same(heard: str, phrase: str) -> bool:
    """Whether two plain phrases are one, forgiving one slip in one word of six letters or more."""
    if heard == phrase:
        return True
    if abs(len(heard) - len(phrase)) > 1:
        return False
    heard_words, words = heard.split(), phrase.split()
    if len(heard_words) != len(words):
        return False
    differing = [
        (typed, meant) for typed, meant in zip(heard_words, words, strict=True) if typed != meant
    ]
    if len(differing) > 1:
        return False
    return is_slip(*differing[0])


def is_slip(typed: str, meant: str) -> bool:
    """Whether `typed` is `meant` with one letter missing, added, changed, or two neighbours swapped."""
    if abs(len(typed) - len(meant)) > 1 or min(len(typed), len(meant)) < TYPO_LETTERS_MIN:
        return False
    if typed[:2] != meant[:2] and typed[-2:] != meant[-2:]:
        # One slip leaves one end as it was: most words part here.
        return False
    if typed in _courtesy().real_words:
        return False
    if len(typed) == len(meant):
        at = [n for n, (one, other) in enumerate(zip(typed, meant, strict=True)) if one != other]
        if len(at) == 1:
            return True
        swapped = len(at) == 2 and at[1] == at[0] + 1
        return swapped and typed[at[0]] == meant[at[1]] and typed[at[1]] == meant[at[0]]
    longer, shorter = sorted((typed, meant), key=len, reverse=True)
    return any(longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer)))


def has_phrase(heard: str, phrase: str) -> bool:
    """Whether a plain text holds a plain phrase as whole words, in order and together."""
    return f" {phrase} " in f" {heard} "


def spellings(phrase: str) -> Iterator[str]:
    """Every phrase that a word list's `(a|b)` stands for."""
    pieces = _ONE_OF.split(phrase)
    choices = [piece.split("|") if n % 2 else [piece] for n, piece in enumerate(pieces)]
    return map("".join, product(*choices))
