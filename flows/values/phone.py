"""Telephone numbers: WhatsApp's digits, what people type, what people read."""

import re
import unicodedata
from typing import Final, NewType

import phonenumbers

WaId = NewType("WaId", str)
"""Digits of a phone as WhatsApp keeps it: `56961234567`. What WhatsApp tells is never doubted."""

_CHILE: Final = "56"


def parse_phone(text: str) -> WaId | None:
    """Read a number that a person typed, Chilean unless it names its country; None if it cannot be one.

    Only the length is judged: phonenumbers calls real Chilean mobiles invalid, and a code proves the rest.
    """
    typed = unicodedata.normalize("NFKC", text).strip()
    if re.search(r"[^\d\s+().\-/‐‑–]", typed, re.ASCII):
        return None
    digits = re.sub(r"\D", "", typed, flags=re.ASCII)
    if not typed.startswith("+"):
        digits = _with_country(digits)
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None
    return WaId(digits) if phonenumbers.is_possible_number(number) else None


def display_phone(phone: str) -> str:
    """`56961234567` as `+56 9 6123 4567`. What cannot be grouped is shown as it is, with its plus."""
    if phone.startswith("569") and len(phone) == 11:
        # phonenumbers loses the grouping of mobile blocks that it does not know.
        return f"+56 9 {phone[3:7]} {phone[7:]}"
    try:
        number = phonenumbers.parse(f"+{phone}")
    except phonenumbers.NumberParseException:
        return f"+{phone}"
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def phone_ending(phone: str) -> str:
    """What may be said of a number to others: its last four digits."""
    return phone[-4:]


def _with_country(digits: str) -> str:
    digits = digits.removeprefix("00")
    if len(digits) == 8:
        return f"{_CHILE}9{digits}"
    if len(digits) == 10 and digits.startswith("09"):
        return f"{_CHILE}{digits[1:]}"
    if len(digits) == 10 and digits.startswith("0"):
        return f"{_CHILE}{digits[1:]}"
    if len(digits) == 9 and digits[0] in "2345679":
        return f"{_CHILE}{digits}"
    return digits
