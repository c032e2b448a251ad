"""The RUT: how people type it, how it is stored, how it is shown.

Stored as digits and check digit without separators, `K` in upper case, no leading zeros: `765432103`.
A natural person's RUT is personal data: never a key, never in a log.
"""

import re
import unicodedata
from enum import Enum
from typing import Final

COMPANY_BODY_MIN: Final = 50_000_000
"""Legal persons start here (BancoEstado, cited by cl-sii); below are natural persons."""

BODY_MAX: Final = 99_999_999

_SII: Final = "60803000K"

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
_LABEL = re.compile(r"R\.?\s?U\.?\s?[TN]\b\.?|R\.?U\.?T\.?(?=\d)|\bCL[\s-]*(?=\d)")
_BODY = r"\d{1,3}(?:[.,' ]\d{3}){1,2}|\d+"
_ALONE = r"(?<![0-9A-Z+])(?<!\d[.,-])"
_END = r"(?![0-9A-Z]|[.,-]\d)"
_HYPHENED = re.compile(rf"{_ALONE}({_BODY})\s*-\s*([0-9K]){_END}")
_GROUPED = re.compile(rf"{_ALONE}(\d{{1,3}}(?:[.,' ]\d{{3}}){{1,2}})(?: ?([0-9K]))?{_END}")
_RUN = re.compile(rf"{_ALONE}(\d+) ?(K?){_END}")
_SPACED = re.compile(rf"{_ALONE}(\d{{7,8}}) ([0-9K]){_END}")


class RutProblem(Enum):
    """Why a text is no RUT."""

    SHAPE = "shape"  # nothing in it looks like one
    DIGIT = "digit"  # the check digit belongs to another number
    MISSING_DIGIT = "missing_digit"  # it probably ends before its check digit
    IMPOSSIBLE = "impossible"  # nobody's: zero, out of range, or one of the generic ones


class Rut(str):
    """A RUT in its stored form; make it with `parse_rut`. The empty one means *none yet*."""

    __slots__ = ()

    @property
    def body(self) -> int:
        return int(self[:-1])

    @property
    def digit(self) -> str:
        return self[-1:]

    @property
    def display(self) -> str:
        """As people write it: `76.543.210-3`."""
        return f"{self.body:,}".replace(",", ".") + f"-{self.digit}" if self else ""

    @property
    def sii(self) -> str:
        """As the SII's XML writes it: `76543210-3`."""
        return f"{self.body}-{self.digit}" if self else ""

    @property
    def ending(self) -> str:
        """What may be said of it to others: `210-3`."""
        return f"{self[-4:-1]}-{self.digit}" if self else ""

    @property
    def is_company(self) -> bool:
        return self.body >= COMPANY_BODY_MIN

    @property
    def can_be_tenant(self) -> bool:
        """Whether a firm may be registered under it: the SII's own is a favourite of form fillers."""
        return self != _SII


def check_digit(body: int) -> str:
    """Modulo 11 over the weights 2 to 7, from the right."""
    total = sum(int(figure) * (2 + place % 6) for place, figure in enumerate(reversed(str(body))))
    return "0K987654321"[total % 11]


def parse_rut(text: str) -> Rut | RutProblem:
    """Read the RUT in what a person typed: alone or in a sentence, with or without its signs.

    Of several numbers the first that holds wins. Digits without separators that may lack their check digit
    are not guessed at: one in eleven would pass as somebody else's RUT.
    """
    clean = unicodedata.normalize("NFKC", text).translate(_DASHES).upper()
    clean = _LABEL.sub(" ", clean)
    problems: list[RutProblem] = []
    for body, digit in _candidates(clean):
        found = _judge(body, digit)
        if isinstance(found, Rut):
            return found
        problems.append(found)
    return problems[0] if problems else RutProblem.SHAPE


def may_lack_check_digit(digits: str) -> bool:
    """Whether bare digits rather are a body without its check digit.

    Eight of them are, if as a body they fall where RUTs are given out (10 to 29 and 50 to 99 million);
    seven always are: with a check digit they would be of a person over a hundred.
    """
    return len(digits) == 7 or (len(digits) == 8 and digits[0] in "1256789")


def _candidates(clean: str) -> list[tuple[str, str]]:
    """(body, check digit or nothing), the surest way of writing first."""
    for pattern in (_HYPHENED, _GROUPED, _SPACED):
        found = [
            (re.sub(r"\D", "", body, flags=re.ASCII), digit)
            for body, digit in pattern.findall(clean)
        ]
        found = [(body, digit) for body, digit in found if len(body) >= 7 or digit]
        if found:
            return found
    runs: list[tuple[str, str]] = []
    for digits, letter in _RUN.findall(clean):
        figures = digits.lstrip("0")
        if letter:
            runs.append((digits, letter))
        elif may_lack_check_digit(figures):
            runs.append((figures, ""))
        elif len(figures) in (8, 9) or (digits and not figures):
            runs.append((digits[:-1], digits[-1]))
    return runs


def _judge(body: str, digit: str) -> Rut | RutProblem:
    if not body.isascii() or len(body) > 12:
        return RutProblem.SHAPE
    number = int(body or "0")
    if not 0 < number <= BODY_MAX:
        return RutProblem.IMPOSSIBLE
    if not digit:
        return RutProblem.MISSING_DIGIT
    if check_digit(number) != digit:
        return RutProblem.DIGIT
    # 11111111-1 … 99999999-9 check out, and stand for "any person" on tills and in export papers.
    if len(set(f"{number}{digit}")) == 1:
        return RutProblem.IMPOSSIBLE
    return Rut(f"{number}{digit}")
