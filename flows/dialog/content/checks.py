"""What every part of a message is checked for, in words that name the part: `cards[3].buttons[1].title`."""

import re
from collections.abc import Sequence, Sized
from typing import Final

URL_MAX: Final = 2000
SKU_MAX: Final = 100  # Meta's catalogues: a product's content id

_URL = re.compile(r"https://[^\s/]\S*")
_DIGITS = re.compile(r"[0-9]{1,32}")


class ContentError(ValueError):
    """A value that WhatsApp would refuse. `field` names what to mend, e.g. `buttons[2].title`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def fits(field: str, text: str, limit: int, *, empty: bool = False) -> None:
    if not empty and not text.strip():
        raise ContentError(field, "is empty")
    if text and not text.strip():
        raise ContentError(field, "is blank")
    if len(text) > limit:
        raise ContentError(field, f"has {len(text)} characters, {limit} fit")


def counts(field: str, parts: Sized, least: int, most: int) -> None:
    if not least <= len(parts) <= most:
        raise ContentError(field, f"are {len(parts)}, {least} to {most} fit")


def distinct(field: str, what: str, values: Sequence[str]) -> None:
    # Error 131009: WhatsApp refuses equal ids, and equal titles on reply buttons.
    if len(set(values)) < len(values):
        raise ContentError(field, f"repeat {what}")


def is_link(field: str, url: str) -> None:
    fits(field, url, URL_MAX)
    if not url.startswith("https://"):
        raise ContentError(field, "does not start with https://")
    if not _URL.fullmatch(url):
        raise ContentError(field, "is no address")


def is_number(field: str, id: str) -> None:
    """One of Meta's own ids."""
    if not _DIGITS.fullmatch(id):
        raise ContentError(field, "is no id of Meta's: digits")
