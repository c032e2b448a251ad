"""What must not be kept of what a person typed: card numbers, passwords, names of logins; found and masked."""

import re
from typing import Final

from flows.values.login_ref import REF

MASK: Final = "•••"

_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)", re.ASCII)
_PASSWORD = re.compile(
    r"\b(?P<label>clave(?: (?:del banco|bancaria|de internet|din[aá]mica))?|contrase[nñ]a|password|pin|cvv|cvc)"
    r"(?P<is>\s*(?:es|is|:|=)\s*)(?P<secret>\S*[\d!@#$%&*]\S*)",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """`text` with card numbers (13 to 19 digits that pass Luhn's test), told passwords and names of logins masked.

    For everything that stores, mirrors or forwards what a person typed. A text without secrets comes back equal.
    """
    masked = _CARD.sub(lambda card: MASK if _is_card(card[0]) else card[0], text)
    masked = _PASSWORD.sub(lambda told: f"{told['label']}{told['is']}{MASK}", masked)
    return REF.sub(lambda told: f"{told['label']}{MASK}", masked)


def _is_card(digits: str) -> bool:
    figures = [int(sign) for sign in digits if sign.isdigit()]
    doubled = (
        (figure * 2 - 9 if figure > 4 else figure * 2) if place % 2 else figure
        for place, figure in enumerate(reversed(figures))
    )
    return len(set(figures)) > 1 and sum(doubled) % 10 == 0
