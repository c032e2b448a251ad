"""The name of a login that a browser began, as it stands in the message that a person sends to go on with it."""

import re
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like a digit."""
LETTERS: Final = 26
"""Of 5 bits each: 130 bits."""

REF: Final = re.compile(
    rf"(?P<label>\bref[.:]?\s*)(?P<ref>[0-9A-HJKMNP-TV-Z]{{{LETTERS}}})\b", re.IGNORECASE
)


def find_ref(text: str) -> str:
    """The name in a message, `… Ref: 7KQ2M9XD4TVB8RHW3NCZ6PYJ5E`; empty if there is none."""
    found = REF.search(text)
    return found["ref"].upper() if found else ""
