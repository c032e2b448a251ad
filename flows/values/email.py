"""Addresses of e-mail, as people type them."""

import re
import unicodedata
from typing import Final

EMAIL_MAX: Final = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets
LOCAL_MAX: Final = 64  # §4.5.3.1.1

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL: Final = re.compile(rf"([a-z0-9.!#$%&'*+/=?^_`{{|}}~-]+)@((?:{_LABEL}\.)+[a-z]{{2,63}})")


def parse_email(text: str) -> str | None:
    """The address in lower case; None if it cannot be one. As a browser judges it, with a domain that has a dot."""
    typed = unicodedata.normalize("NFKC", text).strip().strip("<>").removeprefix("mailto:").lower()
    found = _EMAIL.fullmatch(typed)
    if found is None or len(typed) > EMAIL_MAX or len(found[1]) > LOCAL_MAX:
        return None
    return None if found[1].startswith(".") or found[1].endswith(".") or ".." in found[1] else typed
