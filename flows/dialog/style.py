"""How a text must sound: the rules of the voice that a machine can check, by language."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec
from jinja2 import Environment, TemplateError, nodes

BODY_TARGET: Final = 300
LINES_TARGET: Final = 6
SENTENCE_WORDS_TARGET: Final = 20
ALIKE: Final = 12
"""Titles that begin alike this far are told apart badly, by eye and by ear."""

Role = Literal[
    "ask",    # a question
    "say",    # words in front of a question, or at an end
    "sorry",  # not understood, refused, failed
    "title",  # a button
    "row",    # a row of a list
    "about",  # the line below a row's title
    "words",  # a part of a sentence
    "format", # a pattern, not words
]  # fmt: skip

VARIANTS_MAX: Final = 64
"""Ways through the conditions of one text; more of them nobody could read either."""

_SOME: Final = "x"
"""Stands for what is only known when a text is rendered."""
_PARSER: Final = Environment(trim_blocks=True, autoescape=True)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a-\u23ff]"
)
_SENTENCE = re.compile(r"[.!?…:\n]+")
_BOLD = re.compile(r"\*[^*\n]+\*")
_SHOWY = re.compile(r"\*\*|```|~[^~\n]+~|(?<!\w)_[^_\n]+_(?!\w)|^#|\.{4,}|-{3,}|\|", re.MULTILINE)
_HANDMADE = re.compile(r"\$\s?\d|\b\d{1,2}/\d{1,2}/\d{2,4}\b|#\d")
_GENDERED = re.compile(r"\w{2}/[oae]s?\b|\w\([oae]s?\)|\w@(?!\w)", re.IGNORECASE)
_BARE_TITLES: Final = frozenset(("ok", "aceptar", "accept"))


@dataclass(frozen=True)
class Finding:
    what: str
    warning: bool = False


class _Language(msgspec.Struct, frozen=True):
    banned: tuple[str, ...] = ()
    blame: tuple[str, ...] = ()
    promises: tuple[str, ...] = ()
    address: tuple[str, ...] = ()
    inverted: bool = False
    """Whether questions and exclamations begin with a sign too."""


def visible(source: str) -> str:
    """The words of a text as far as they are known before it is rendered: of its variants the longest."""
    return max(variants(source), key=len)


def variants(source: str) -> list[str]:
    """What a text may say, one for each way through its conditions; loops are gone through once."""
    try:
        tree = _PARSER.parse(source)
    except TemplateError:
        return [source]
    return [words.strip() for words in _variants(tree.body)] or [""]


def _variants(body: Sequence[nodes.Node]) -> list[str]:
    found = [""]
    for node in body:
        found = [words + more for words in found for more in _said(node)][:VARIANTS_MAX]
    return found


def _said(node: nodes.Node) -> list[str]:
    match node:
        case nodes.TemplateData(data=data):
            return [data]
        case nodes.Output(nodes=parts):
            return _variants(parts)
        case nodes.If(body=body, elif_=others, else_=otherwise):
            branches = [body, *(other.body for other in others), otherwise]
            return [words for branch in branches for words in _variants(branch)]
        case nodes.For(body=body):
            return _variants(body)
        case nodes.Const(value=value):
            return [str(value)]
        case nodes.Expr():
            return [_SOME]
        case _:
            return [""]


def judge(source: str, *, role: Role, locale: str) -> Iterator[Finding]:
    """What is wrong with a text, or (a warning) worth another look."""
    if role == "format":
        return
    found = (finding for words in variants(source) for finding in _judge(words, role, locale))
    yield from dict.fromkeys(found)


def _judge(words: str, role: Role, locale: str) -> Iterator[Finding]:
    yield from _signs(words, role)
    yield from _vocabulary(words, locale)
    if role in ("title", "row"):
        if words.lower() in _BARE_TITLES:
            yield Finding(f"a button says what it does, not only '{words}'")
    elif role not in ("about", "words"):
        yield from _length(words)


def _signs(words: str, role: Role) -> Iterator[Finding]:
    emoji = _EMOJI.findall(words)
    if emoji and role not in ("ask", "say"):
        yield Finding("an emoji has no place here")
    elif len(emoji) > 1:
        yield Finding(f"{len(emoji)} emoji, one fits")
    elif emoji and not re.search(rf"{emoji[0]}\ufe0f?(\s*$|\s+[A-ZÁÉÍÓÚÑ¿¡*]|\s+{_SOME}\b)", words):
        yield Finding("an emoji stands at the end of a sentence")
    if words.count("!") > 1:
        yield Finding(f"{words.count('!')} exclamations, one fits", warning=True)
    if words.count("?") > 1:
        yield Finding(f"{words.count('?')} questions, one fits", warning=True)
    if len(_BOLD.findall(words)) > 1:
        yield Finding("more than one thing in bold", warning=True)
    if found := _SHOWY.search(words):
        yield Finding(f"formatting that WhatsApp or a screen reader garbles: {found[0]!r}")
    if found := _HANDMADE.search(words):
        yield Finding(f"written by hand, use a filter: {found[0]!r}", warning=True)
    if found := _GENDERED.search(words):
        yield Finding(f"address without gender: {found[0]!r}")
    if re.search(r"\b[A-ZÁÉÍÓÚÑ]{5,}\b", words):
        yield Finding("capitals", warning=True)


def _vocabulary(words: str, locale: str) -> Iterator[Finding]:
    language = _languages().get(locale) or _languages().get(re.split(r"[_@-]", locale)[0])
    if language is None:
        return
    rules = (
        ("banned word", language.banned),
        ("blames the person", language.blame),
        ("promises a time that nobody measured", language.promises),
        ("another way to address people", () if "@usted" in locale else language.address),
    )
    for what, phrases in rules:
        for phrase in phrases:
            if re.search(rf"(?<!\w){phrase}(?!\w)", words, re.IGNORECASE):
                yield Finding(f"{what}: '{phrase}'")
    if language.inverted and (
        words.count("¿") != words.count("?") or words.count("¡") != words.count("!")
    ):
        yield Finding("¿ and ¡ open what ? and ! close")


def _length(words: str) -> Iterator[Finding]:
    if len(words) > BODY_TARGET:
        yield Finding(f"{len(words)} characters, the target is {BODY_TARGET}", warning=True)
    if words.count("\n") >= LINES_TARGET:
        yield Finding(
            f"{words.count(chr(10)) + 1} lines, the target is {LINES_TARGET}", warning=True
        )
    longest = max((len(sentence.split()) for sentence in _SENTENCE.split(words)), default=0)
    if longest > SENTENCE_WORDS_TARGET:
        yield Finding(
            f"a sentence of {longest} words, the target is {SENTENCE_WORDS_TARGET}", warning=True
        )


@cache
def _languages() -> dict[str, _Language]:
    data = files(__package__).joinpath("style.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[str, _Language])
