"""How words look on WhatsApp: bold, italic, struck, monospaced, lists, quotes; and words from outside, made tame.

WhatsApp has no sign that escapes another, so data loses the signs that would format it.
"""

import re
from collections.abc import Iterable
from typing import Final

from jinja2.runtime import Undefined

from flows.values.comuna import Comuna
from flows.values.rut import Rut

BOLD: Final = "*"
ITALIC: Final = "_"
STRIKE: Final = "~"
CODE: Final = "`"
BLOCK: Final = "```"
QUOTE: Final = "> "
BULLET: Final = "- "

_MARKS = str.maketrans("", "", "*_~`")
_BREAKS = re.compile(r"\s*[\r\n\t\v\f\x85\u2028\u2029]+\s*")


class Kept(str):
    """Words of our own: shown as they are."""

    __slots__ = ()


def tame(value: object) -> object:
    """What a text shows of the data: no marks of formatting and no line breaks from outside."""
    if isinstance(value, Kept | Undefined):
        return value
    if isinstance(value, Rut):
        return value.display
    if isinstance(value, Comuna):
        return value.name
    if isinstance(value, str):
        return _BREAKS.sub(" ", str(value).translate(_MARKS))
    return "" if value is None else value


def paragraphs(words: str) -> Kept:
    """Longer words from outside that keep their line breaks."""
    lines = (" ".join(line.split()) for line in str(words).translate(_MARKS).splitlines())
    return Kept(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip())


def bold(words: object) -> Kept:
    return _marked(BOLD, words)


def italic(words: object) -> Kept:
    return _marked(ITALIC, words)


def strike(words: object) -> Kept:
    return _marked(STRIKE, words)


def mono(words: object) -> Kept:
    """On one line; nothing in it is formatted, so only the sign itself has to go."""
    line = _BREAKS.sub(" ", str(words)).replace(CODE, "'").strip()
    return Kept(f"{CODE}{line}{CODE}" if line else "")


def block(words: object) -> Kept:
    """Lines of equal letters, such as a table of a machine."""
    lines = str(words).replace(CODE, "'").strip("\n")
    return Kept(f"{BLOCK}\n{lines}\n{BLOCK}" if lines.strip() else "")


def quote(words: object) -> Kept:
    """Words of somebody else."""
    said = words if isinstance(words, Kept) else paragraphs(str(words))
    lines = (line.removeprefix(QUOTE) for line in said.split("\n") if line.strip())
    return Kept("\n".join(f"{QUOTE}{line}" for line in lines))


def bullets(items: Iterable[object]) -> Kept:
    return Kept("\n".join(f"{BULLET}{item}" for item in map(_line, items) if item))


def numbers(items: Iterable[object], start: int = 1) -> Kept:
    told = [item for item in map(_line, items) if item]
    return Kept("\n".join(f"{n}. {item}" for n, item in enumerate(told, start)))


def _marked(mark: str, words: object) -> Kept:
    """Each line by itself: a mark does not reach over a line's end, nor touch a blank."""
    said = words if isinstance(words, Kept) else Kept(tame(words))
    lines = (f"{mark}{line.strip()}{mark}" if line.strip() else "" for line in said.split("\n"))
    return Kept("\n".join(lines))


def _line(item: object) -> str:
    return " ".join(str(tame(item)).split())
