"""How many messages a second Meta lets a number send. Source: Meta, "Throughput" (v26.0)."""

from typing import Final

STANDARD: Final = 80
UPGRADED: Final = 1_000

_OF_LEVEL: Final = {"STANDARD": STANDARD, "HIGH": UPGRADED}


def per_s_of(level: object) -> int:
    """What `throughput.level` of a number means; 0 for a word that we do not know."""
    return _OF_LEVEL.get(level, 0) if isinstance(level, str) else 0
