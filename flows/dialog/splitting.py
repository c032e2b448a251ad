"""A long text in several messages: cut where it reads well, and formatted as before on both sides of the cut.

Never inside an address, nor inside what a person sees as one sign (an emoji with its skin and its family); a sign or an
address that is longer than a whole message is the exception that cannot be helped.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import regex

from flows.dialog.formatting import BLOCK, QUOTE

LIMIT_MIN: Final = 20
"""Less would not hold a sign of each formatting around a few letters."""

JOINER: Final = "\u2060"
"""Stands, unseen, before what would turn into a quote or a list at the beginning of a message (WORD JOINER, U+2060)."""

_SIGN = regex.compile(r"\X")
_ADDRESS = re.compile(r"https?://\S+")
_BLOCK = re.compile(r"```.+?```", re.DOTALL)
_QUOTE = re.compile(r"^> .+$", re.MULTILINE)
_CODE_OR_BREAK = re.compile(r"[`\n]")
_MARK_OR_BREAK = re.compile(r"[*_~\n]")
_SENTENCE_END = re.compile(r"""[.!?…]["'»”’)\]]*[*_~`]*$""")
_GAP = re.compile(r"\s+")
# At the beginning of a line, and so of a part, these are a quote or a list.
_LINE_MARK = re.compile(r"(?:>|[-*]|\d+\.)\s")


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of one formatting, its signs included."""

    start: int
    end: int
    opens: str
    closes: str


def split(text: str, limit: int, *, last: int | None = None) -> tuple[str, ...]:
    """The parts of a text, none of them empty, none longer than `limit`; none at all of a blank text.

    Args:
        text: with WhatsApp's formatting.
        limit: of characters, 20 or more.
        last: of the last part, if that holds less; never more than `limit`.
    """
    least = limit if last is None else min(last, limit)
    if least < LIMIT_MIN:
        raise ValueError(f"{least} characters are too few to be split into")
    text = text.strip()
    if len(text) <= least:
        return (text,) if text else ()
    whole = _Whole(text)
    parts: list[str] = []
    at = 0
    while at < len(text):
        part, at = whole.next_part(at, limit, least)
        parts.append(part)
    return tuple(parts)


class _Whole:
    """A text and where it may be cut."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = sorted(_spans(text), key=lambda span: (span.start, -span.end))
        self.whole_signs = [found.end() for found in _SIGN.finditer(text)]
        self.kept = {
            place
            for found in _ADDRESS.finditer(text)
            for place in range(found.start() + 1, found.end())
        }
        for span in self.spans:
            # A cut beside the signs themselves would leave nothing between them.
            self.kept.update(range(span.start + 1, span.start + len(span.opens) + 1))
            self.kept.update(range(span.end - len(span.closes), span.end))

        self.gaps = [
            gap
            for gap in _GAP.finditer(text)
            if gap.start() not in self.kept and self.may_begin(gap)
        ]

    def may_begin(self, gap: re.Match[str]) -> bool:
        """Whether what follows may stand at the beginning of a message and mean the same."""
        return _ends_line(gap) or not _LINE_MARK.match(self.text, gap.end())

    def next_part(self, at: int, limit: int, least: int) -> tuple[str, int]:
        """The part that begins at `at`, and where the next one does."""
        rest = self.written(at, len(self.text))
        if len(rest) <= least:
            return rest, len(self.text)
        highest = min(self.highest(at, limit), len(self.text) - 1)
        # What has to leave so that the rest fits into the last part; a long rest fits into none yet.
        lowest = at + 1 if len(rest) > limit else max(self.lowest(least), at + 1)
        cut = self.cut(at, min(lowest, highest), highest)
        return self.written(at, cut), self.after(cut)

    def written(self, start: int, end: int) -> str:
        """The stretch with its formatting opened anew and closed."""
        around = [span for span in self.spans if span.start < start < span.end]
        open_ = [span for span in self.spans if span.start < end < span.end]
        marks = not around and _LINE_MARK.match(self.text, start)
        turned = marks and not self.begins_line(start)
        return "".join(
            [
                JOINER if turned else "",
                *(span.opens for span in around),
                self.text[start:end].strip("\n").rstrip(),
                *(span.closes for span in reversed(open_)),
            ]
        )

    def begins_line(self, start: int) -> bool:
        return not self.text[:start].rstrip(" ") or self.text[:start].rstrip(" ").endswith("\n")

    def highest(self, at: int, limit: int) -> int:
        """The furthest end of a part that begins at `at`."""
        end = min(at + limit, len(self.text))
        while end > at + 1 and len(self.written(at, end)) > limit:
            end -= 1
        return end

    def lowest(self, least: int) -> int:
        """The first place from which on the rest fits into the last part."""
        start = max(len(self.text) - least, 0)
        while start < len(self.text) and len(self.written(start, len(self.text))) > least:
            start += 1
        return start

    def cut(self, at: int, lowest: int, highest: int) -> int:
        """The best place to cut, from `lowest` to `highest`."""
        first = bisect_left(self.gaps, max(lowest, at + 1), key=re.Match.start)
        beyond = bisect_right(self.gaps, highest, key=re.Match.start)
        gaps = self.gaps[first:beyond]
        half = (at + highest) // 2
        for suits in (_ends_paragraph, _ends_line, self.ends_sentence):
            good = [gap.start() for gap in gaps if gap.start() >= half and suits(gap)]
            if good:
                return good[-1]
        if gaps:
            return gaps[-1].start()
        near = [end for end in self.whole_signs if lowest <= end <= highest]
        free = [end for end in near if end not in self.kept]
        return (free or near or [highest])[-1]

    def ends_sentence(self, gap: re.Match[str]) -> bool:
        return _SENTENCE_END.search(self.text[max(gap.start() - 8, 0) : gap.start()]) is not None

    def after(self, cut: int) -> int:
        """Where the text goes on behind a cut: the indentation of code is kept, other blanks are not."""
        gap = _GAP.match(self.text, cut)
        if gap is None:
            return cut
        coded = any(span.opens == BLOCK and span.start < cut < span.end for span in self.spans)
        breaks = gap[0].rfind("\n") + 1
        return cut + breaks if coded and breaks else gap.end()


def _ends_paragraph(gap: re.Match[str]) -> bool:
    return gap[0].count("\n") > 1


def _ends_line(gap: re.Match[str]) -> bool:
    return "\n" in gap[0]


def _spans(text: str) -> Iterator[_Span]:
    blocks = [found.span() for found in _BLOCK.finditer(text)]
    for start, end in blocks:
        yield _Span(start, end, BLOCK, BLOCK)
    free = 0
    for start, end in [*blocks, (len(text), len(text))]:
        for found in _QUOTE.finditer(text, free, start):
            yield _Span(*found.span(), QUOTE, "")
        yield from _styled(text, free, start)
        free = end


def _styled(text: str, start: int, end: int) -> Iterator[_Span]:
    """The stretches between two equal marks of one line; in code there are no others."""
    codes = list(_pairs(text, _CODE_OR_BREAK.finditer(text, start, end), start, end))
    coded = {place for span in codes for place in range(span.start, span.end)}
    yield from codes
    marks = (m for m in _MARK_OR_BREAK.finditer(text, start, end) if m.start() not in coded)
    yield from _pairs(text, marks, start, end)


def _pairs(text: str, marks: Iterable[re.Match[str]], start: int, end: int) -> Iterator[_Span]:
    """A mark opens before a letter and closes after one; a word may not go on beside it."""
    begun: dict[str, int] = {}
    for found in marks:
        at, mark = found.start(), found[0]
        before = text[at - 1] if at > start else " "
        after = text[at + 1] if at + 1 < end else " "
        if mark == "\n":
            begun.clear()
        elif mark not in begun:
            if not before.isalnum() and not after.isspace():
                begun[mark] = at
        elif at - begun[mark] > 1 and not before.isspace() and not after.isalnum():
            yield _Span(begun[mark], at + 1, mark, mark)
            # What was opened within it and not closed is no formatting.
            begun = {other: place for other, place in begun.items() if place < begun[mark]}
