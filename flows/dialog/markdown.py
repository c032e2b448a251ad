"""Markdown of people and models as WhatsApp shows it.

Headings become a bold line, links `words: address`, pictures their address, tables lines `first: second`. HTML is dropped.
What Markdown means as plain signs does not become formatting, and formatting that WhatsApp could not show leaves no
signs behind.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from flows.dialog.formatting import BOLD, CODE, ITALIC, QUOTE, STRIKE, Kept, block

SOURCE_MAX: Final = 20_000
"""Characters of a text that are read; our choice, more than are ever sent of one."""

ADDRESS: Final = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]}'*_~`]")
_OTHER_BREAKS = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
_SIGNS = re.compile(r"[*_~`]+")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_NEVER_BLANK = re.compile(r"\n{3,}")

_MARKS: Final = {"strong": BOLD, "em": ITALIC, "s": STRIKE}
_TIMES: Final = {ITALIC: "*", BOLD: "**"}

Style = frozenset[str]
"""The marks of one sign."""
Run = tuple[str, Style]
_PLAIN: Final[Style] = frozenset()


def from_markdown(source: str) -> Kept:
    """The text as it may be sent; empty if nothing of it can be shown."""
    text = _OTHER_BREAKS.sub("\n", source[:SOURCE_MAX])
    said = _blocks(SyntaxTreeNode(_parser().parse(text)).children)
    return Kept(_NEVER_BLANK.sub("\n\n", said).strip())


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


# ---------------------------------------------------------------- blocks


def _blocks(nodes: Sequence[SyntaxTreeNode], between: str = "\n\n") -> str:
    return between.join(said for node in nodes if (said := _BLOCKS[node.type](node)))


def _paragraph(node: SyntaxTreeNode) -> str:
    return _inline(node)


def _heading(node: SyntaxTreeNode) -> str:
    return _inline(node, frozenset(BOLD))


def _code(node: SyntaxTreeNode) -> str:
    return block(node.content)


def _quote(node: SyntaxTreeNode) -> str:
    lines = _blocks(node.children, "\n").split("\n")
    return "\n".join(f"{QUOTE}{line.removeprefix(QUOTE)}" for line in lines if line)


def _bullets(node: SyntaxTreeNode) -> str:
    return "\n".join(_item(item, "- ") for item in node.children)


def _numbers(node: SyntaxTreeNode) -> str:
    first = int(node.attrs.get("start", 1))
    return "\n".join(_item(item, f"{n}. ") for n, item in enumerate(node.children, first))


def _item(item: SyntaxTreeNode, mark: str) -> str:
    parts = []
    for node in item.children:
        said = _BLOCKS[node.type](node)
        inner = node.type in ("bullet_list", "ordered_list")
        # WhatsApp knows no lists within lists: they are only set in.
        parts.append(said.replace("\n", "\n  ").join(("  ", "")) if inner else said)
    return (mark + "\n".join(part for part in parts if part)).rstrip()


def _table(node: SyntaxTreeNode) -> str:
    rows = [
        [_inline(cell) for cell in row.children] for part in node.children for row in part.children
    ]
    head, *body = rows
    return "\n".join(said for row in body or [head] if (said := _row(head, row)))


def _row(head: Sequence[str], row: Sequence[str]) -> str:
    """`first: second`, or with the heads of the columns where there are more."""
    first, *others = row
    told = [
        f"{name} {cell}" if name and len(others) > 1 and row is not head else cell
        for name, cell in zip(head[1:], others, strict=True)
        if cell
    ]
    return ": ".join(part for part in (first, ", ".join(told)) if part)


def _nothing(_node: SyntaxTreeNode) -> str:
    return ""


_BLOCKS: Final[dict[str, Callable[[SyntaxTreeNode], str]]] = {
    "paragraph": _paragraph,
    "heading": _heading,
    "fence": _code,
    "code_block": _code,
    "blockquote": _quote,
    "bullet_list": _bullets,
    "ordered_list": _numbers,
    "table": _table,
    "hr": _nothing,
    "html_block": _nothing,
}


# ---------------------------------------------------------------- words


def _inline(node: SyntaxTreeNode, style: Style = _PLAIN) -> str:
    runs = [run for child in node.children for run in _runs(child, style)]
    signs = [(sign, marks) for text, marks in runs for sign in text]
    lines: list[list[Run]] = [[]]
    for sign in signs:
        if sign[0] == "\n":
            lines.append([])
        else:
            lines[-1].append(sign)
    written = (_written(line) for line in lines)
    return "\n".join(line for line in written if line)


def _runs(node: SyntaxTreeNode, style: Style) -> Iterator[Run]:
    match node.type:
        case "inline" | "strong" | "em" | "s":
            mark = _MARKS.get(node.type, "")
            inner = style | {mark} if mark else style
            for child in node.children:
                yield from _runs(child, inner)
        case "text":
            yield node.content, style
        case "softbreak" | "hardbreak":
            yield "\n", style
        case "code_inline":
            yield node.content.replace(CODE, "'"), style | {CODE}
        case "link":
            yield from _link(node, style)
        case "image":
            yield _addressed(node.content, str(node.attrs.get("src", ""))), style
        case "html_inline" if _LINE_BREAK.fullmatch(node.content):
            yield "\n", style
        case _:
            return


def _link(node: SyntaxTreeNode, style: Style) -> Iterator[Run]:
    runs = [run for child in node.children for run in _runs(child, style)]
    words = "".join(text for text, _ in runs)
    address = str(node.attrs.get("href", ""))
    if address.startswith(("https://", "http://")):
        # Over the line's end a mark would not reach: the address stands for itself.
        said = _addressed(words, address)
        if said == address:
            yield said, _PLAIN
            return
        yield from runs
        yield f": {address}", _PLAIN
    else:
        yield from runs


def _addressed(words: str, address: str) -> str:
    if not address.startswith(("https://", "http://")):
        return words
    told = words.strip()
    return address if not told or unquote(told) == unquote(address) else f"{told}: {address}"


def _written(line: Sequence[Run]) -> str:
    """One line with WhatsApp's signs where it will read them, and none where it would not or must not."""
    signs = _without_signs(_stripped(line))
    text = "".join(sign for sign, _ in signs)
    opens: dict[int, list[str]] = {}
    closes: dict[int, list[str]] = {}
    spans = [span for mark in (BOLD, ITALIC, STRIKE, CODE) for span in _spans(signs, text, mark)]
    # The longer ones are outside.
    for start, end, mark in sorted(spans, key=lambda span: span[0] - span[1]):
        opens.setdefault(start, []).append(mark)
        closes.setdefault(end, []).insert(0, mark)
    written = [
        "".join([*closes.get(n, ()), *opens.get(n, ()), sign]) for n, sign in enumerate(text)
    ]
    return "".join([*written, *closes.get(len(text), ())])


def _stripped(line: Sequence[Run]) -> list[Run]:
    start, end = 0, len(line)
    while start < end and line[start][0].isspace():
        start += 1
    while end > start and line[end - 1][0].isspace():
        end -= 1
    return list(line[start:end])


def _without_signs(line: Sequence[Run]) -> list[Run]:
    """The line without the signs that were meant as signs and that WhatsApp would read as marks."""
    text = "".join(sign for sign, _ in line)
    kept = [True] * len(line)
    addresses = [range(*found.span()) for found in ADDRESS.finditer(text)]
    for found in _SIGNS.finditer(text):
        start, end = found.span()
        coded = CODE in line[start][1]
        if coded or any(start in address for address in addresses):
            continue
        before, after = text[start - 1 : start], text[end : end + 1]
        inside = before.isalnum() and after.isalnum()
        alone = end - start == 1 and not before.strip() and not after.strip()
        # Within a word one of them is harmless, and two would be read as a beginning and an end.
        first = start + 1 if inside else start
        if not alone:
            kept[first:end] = [False] * (end - first)
    return _stripped([run for run, keep in zip(line, kept, strict=True) if keep])


def _spans(signs: Sequence[Run], text: str, mark: str) -> Iterator[tuple[int, int, str]]:
    """Where a mark would be read: not in the middle of a word, not beside a blank, not behind an address."""
    start = 0
    while start < len(signs):
        if mark not in signs[start][1]:
            start += 1
            continue
        end = start
        while end < len(signs) and mark in signs[end][1]:
            end += 1
        first, last = start, end
        while first < last and text[first].isspace():
            first += 1
        while last > first and text[last - 1].isspace():
            last -= 1
        readable = first < last and not (
            text[:first][-1:].isalnum()
            or text[last : last + 1].isalnum()
            or any(found.end() == last for found in ADDRESS.finditer(text, first))
        )
        if readable:
            yield first, last, mark
        elif text[:first][-1:].isdigit() and text[first : first + 1].isdigit():
            # Markdown takes 2*3*4 for emphasis; WhatsApp does not, and nobody means it.
            yield first, last, _TIMES.get(mark, "")
        start = end
