"""Chilean pesos: whole numbers, heard in many ways, written in one."""

import re
import unicodedata
from decimal import Decimal
from typing import Final

PESOS_MAX: Final = 999_999_999_999

_UNITS: Final = {
    **dict.fromkeys(("gamba", "gambas"), 100),
    **dict.fromkeys(("mil", "luca", "lucas", "k"), 1_000),
    **dict.fromkeys(("palo", "palos", "millon", "millones"), 1_000_000),
}
_NUMBERS: Final = {"un": Decimal(1), "una": Decimal(1), "uno": Decimal(1)}
_HALVES: Final = {"medio": Decimal("0.5"), "media": Decimal("0.5")}
_FILLER: Final = frozenset(
    ("son", "unos", "unas", "como", "a", "pesos", "clp", "de", "aprox", "total")
)
_TOKEN = re.compile(r"\d[\d.,]*|[a-z]+")
_GROUPED = re.compile(r"\d{1,3}([.,])\d{3}(?:\1\d{3})*")
_DECIMAL = re.compile(r"\d+[.,]\d{1,2}")


def show_pesos(amount: int) -> str:
    """`$1.990`; a debt is `-$1.990`."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,}".replace(",", ".")


def read_pesos(text: str) -> int | None:
    """Read an amount: `$15.000`, `15 lucas`, `15 mil`, `1,5 palos`, `2 millones 300 mil`; None if it is not one.

    Whatever is read is echoed before it is used: `15` is fifteen pesos here, and may be meant as `15 lucas`.
    """
    flat = unicodedata.normalize("NFKD", text).lower().replace("$", " ")
    flat = "".join(sign for sign in flat if not unicodedata.combining(sign))
    flat = re.sub(r"\.-|,-|[.,!?¿¡]+(?=\s|$)", " ", flat)
    if re.sub(r"[\s]|" + _TOKEN.pattern, "", flat):
        return None
    tokens = [token for token in _TOKEN.findall(flat) if token not in _FILLER]
    total, last_unit = Decimal(0), PESOS_MAX
    place = 0
    while place < len(tokens):
        if place and tokens[place] == "y":
            place += 1
            if tokens[place : place + 1] and tokens[place] in _HALVES:
                total += _HALVES[tokens[place]] * last_unit
                place += 1
                continue
        if place >= len(tokens):
            return None
        if tokens[place] == "mil":
            tokens.insert(place, "un")
        unit = _UNITS.get(tokens[place + 1], 1) if place + 1 < len(tokens) else 1
        number = _number(tokens[place], whole=unit == 1)
        if number is None or unit >= last_unit:
            return None
        total += number * unit
        last_unit = unit
        place += 1 if unit == 1 else 2
    if not tokens or total != int(total) or total > PESOS_MAX:
        return None
    return int(total)


def _number(token: str, *, whole: bool) -> Decimal | None:
    if token.isdigit():
        return Decimal(token)
    if _GROUPED.fullmatch(token):
        return Decimal(re.sub(r"[.,]", "", token))
    if whole:
        return None
    if _DECIMAL.fullmatch(token):
        return Decimal(token.replace(",", "."))
    return _NUMBERS.get(token) or _HALVES.get(token)
