"""The code of a firm's demo, as it stands in the message that a link prefills: `Demo 7K2MQ9XD4`."""

import re
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like a digit."""
SIGNS: Final = 9
"""Of 5 bits each: 45 bits."""
DIGITS_MIN: Final = 2
"""So many signs of a code are digits from 2 to 9, so that no word is taken for one: «una demo excelente»."""
_DIGITS: Final = frozenset("23456789")

_GROUP = "[0-9A-TV-Z]{3}"
_CODE = rf"(?P<code>{_GROUP}[-\s]?{_GROUP}[-\s]?{_GROUP})\b"
_NAMED: Final = re.compile(rf"\bdemo\b[\s:.,#«\"*_-]*{_CODE}", re.IGNORECASE)
_ALONE: Final = re.compile(rf"\W*{_CODE}\W*", re.IGNORECASE)
_READ: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})


def is_code(signs: str) -> bool:
    """Whether these signs of the alphabet may be a code."""
    return len(signs) == SIGNS and sum(sign in _DIGITS for sign in signs) >= DIGITS_MIN


def find_demo_code(text: str) -> str:
    """The code in a message, after the word *demo* or alone, however it is spaced; empty if there is none."""
    for found in (*_NAMED.finditer(text), _ALONE.fullmatch(text)):
        if found is not None:
            code = re.sub(r"[-\s]", "", found["code"]).upper().translate(_READ)
            if is_code(code):
                return code
    return ""
