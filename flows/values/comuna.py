"""The comuna: how people write it, its code, its region; and which ones a text may mean.

Stored as its CUT code, five digits: `05804`. The names are in `comunas.toml`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from rapidfuzz import process
from rapidfuzz.distance import OSA

from flows.values.words import bare, plain

LIKELY_MAX: Final = 9
"""As many as a list of WhatsApp has rows, less one for *none of these*."""

TEXT_MAX: Final = 80
"""Longer words name no comuna."""

_PREFIX_LETTERS_MIN: Final = 2
_TWO_SLIPS_LETTERS_MIN: Final = 8
_LEAD = re.compile(
    r"^(?:(?:soy|somos|vivo|vivimos|estoy|estamos|esta|queda|es|mi|la|en|de|comuna|ciudad) )*"
    r"(?:en|de|es|comuna|ciudad) (?=.)"
)
_SOUNDS: Final = (
    (re.compile(r"ch"), "x"),
    (re.compile(r"[gh]u(?=[aei])"), "w"),
    (re.compile(r"c(?=[ei])"), "s"),
    (re.compile(r"qu(?=[ei])|[ckq]"), "k"),
    (re.compile(r"z"), "s"),
    (re.compile(r"v"), "b"),
    (re.compile(r"y"), "i"),
    (re.compile(r"h"), ""),
)
_ARTICLE = re.compile(r"^(?:el|la|los|las|lo) ")


class Comuna(str):
    """A comuna by its CUT code; make it with `parse_comuna`. The empty one means *none yet*."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """As it is shown: `Villa Alemana`."""
        return _register().comunas[self] if self else ""

    @property
    def region(self) -> int:
        """Its number, 1 to 16."""
        return int(self[:2])

    @property
    def region_name(self) -> str:
        return _register().regions[self[:2]] if self else ""

    @property
    def province_name(self) -> str:
        return _register().provinces[self[:3]] if self else ""


def comunas() -> tuple[Comuna, ...]:
    """All of them, by code."""
    return tuple(map(Comuna, _register().comunas))


def parse_comuna(text: str) -> Comuna | tuple[Comuna, ...]:
    """The comuna that a text names, or those that it may mean, the likeliest first, none if none.

    Only a whole name (however it is spelt) that is nobody else's, or a code, is the comuna itself. What was begun,
    slipped or said inside a sentence is a guess: even a single one comes as likely, for the person to confirm.
    """
    if len(text) > TEXT_MAX:
        return ()
    typed = plain(text)
    if typed.isdecimal():
        code = Comuna(typed.zfill(5))
        return code if code in _register().comunas else ()
    # As typed first: what is courtesy elsewhere is part of a name, `Yerbas Buenas`.
    ways = [_long(typed), _long(bare(text))]
    ways += [_LEAD.sub("", words) for words in ways]
    for words in ways:
        if found := _named(words):
            return found[0] if len(found) == 1 else found
    head, comma, rest = text.partition(",")
    if comma and (found := _within(_named(_long(bare(head))), _long(plain(rest)))):
        return found[0] if len(found) == 1 else found
    likely = (comuna for words in dict.fromkeys(ways[2:]) for comuna in _guesses(words))
    return tuple(dict.fromkeys(likely))[:LIKELY_MAX]


class _Register(msgspec.Struct, frozen=True):
    """`comunas.toml`: code -> name, and the names beside them."""

    regions: Mapping[str, str]
    provinces: Mapping[str, str]
    comunas: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]]
    short: Mapping[str, str]


@cache
def _register() -> _Register:
    data = files(__package__).joinpath("comunas.toml").read_bytes()
    return msgspec.toml.decode(data, type=_Register)


@cache
def _spelt() -> tuple[tuple[str, Comuna], ...]:
    """Every way of writing, in plain words, with the comuna it means."""
    register = _register()
    own = [(_long(plain(name)), Comuna(code)) for code, name in register.comunas.items()]
    others = [
        (_long(plain(name)), Comuna(code))
        for name, codes in register.names.items()
        for code in codes
    ]
    return (*own, *others)


@cache
def _by_sound() -> Mapping[str, tuple[Comuna, ...]]:
    """What a name sounds like, with and without its article, -> the comunas that it may be."""
    found: dict[str, dict[Comuna, None]] = {}
    for words, comuna in _spelt():
        for spelt in (words, _ARTICLE.sub("", words)):
            found.setdefault(_sound(spelt), {})[comuna] = None
    return {sound: tuple(meant) for sound, meant in found.items()}


@cache
def _letters() -> tuple[str, ...]:
    return tuple(words.replace(" ", "") for words, _ in _spelt())


def _long(words: str) -> str:
    """Plain words, those cut short in full: `pto montt` is `puerto montt`."""
    short = _register().short
    return " ".join(short.get(word, word) for word in words.split())


def _sound(words: str) -> str:
    """What is alike to the ear: `Concepsion` is `Concepción`, `Aisén` is `Aysén`, `Trehuaco` is `Treguaco`."""
    sound = words.replace(" ", "")
    for pattern, said in _SOUNDS:
        sound = pattern.sub(said, sound)
    return sound


def _named(words: str) -> tuple[Comuna, ...]:
    return _by_sound().get(_sound(words), ()) if words else ()


def _within(found: Sequence[Comuna], place: str) -> tuple[Comuna, ...]:
    """Those that lie where the rest of the words says; none if it says something else."""
    if _sound(place) == "xile":
        return tuple(found)
    named = _sound(re.sub(r"^(?:region|provincia) (?:de |del )?", "", place))
    return tuple(
        comuna
        for comuna in found
        if named in (_sound(plain(comuna.region_name)), _sound(plain(comuna.province_name)))
    )


def _guesses(words: str) -> Iterator[Comuna]:
    """One slip, then what begins so, then what has a word that begins so, then what the words hold, then two slips."""
    if not words:
        return
    typed = words.replace(" ", "")
    slips = 2 if len(typed) >= _TWO_SLIPS_LETTERS_MIN else 1
    near = process.extract(typed, _letters(), scorer=OSA.distance, score_cutoff=slips, limit=None)
    yield from (_spelt()[at][1] for _, slips, at in near if slips <= 1)
    if len(typed) >= _PREFIX_LETTERS_MIN:
        for spelt, (_, comuna) in zip(_letters(), _spelt(), strict=True):
            if spelt.startswith(typed):
                yield comuna
        for spelt, comuna in _spelt():
            if f" {words}" in spelt:
                yield comuna
    for spelt, comuna in _spelt():
        if f" {spelt} " in f" {words} ":
            yield comuna
    yield from (_spelt()[at][1] for _, slips, at in near if slips > 1)
