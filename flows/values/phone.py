"""Telephone numbers: WhatsApp's digits, what people type, what people read."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final, NewType

import phonenumbers

WaId = NewType("WaId", str)
"""Digits of a phone as WhatsApp keeps it: `56961234567`. What WhatsApp tells is never doubted."""

_CHILE: Final = "56"
_WORLD: Final = "001"  # phonenumbers: a code of no country, e.g. satellites
_BSUID = re.compile(r"([A-Z]{2})\.(ENT\.)?[A-Za-z0-9]{1,128}")
_DIGITS = re.compile(r"[0-9]{5,20}")


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


def is_of_country(phone: WaId, countries: Sequence[str]) -> bool:
    """Whether a number belongs to one of these countries (ISO 3166, upper case).

    The calling code decides. Where countries share one (+1, +7, +44 …), phonenumbers must know the number itself.
    """
    try:
        number = phonenumbers.parse(f"+{phone}")
    except phonenumbers.NumberParseException:
        return False
    regions = phonenumbers.region_codes_for_country_code(number.country_code or 0)
    if len(regions) == 1:
        return regions[0] in countries
    return phonenumbers.region_code_for_number(number) in countries


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


def country_of(address: str) -> str:
    """ISO code of the country that a wa_id or a BSUID tells, as prices go by it; empty if it tells none.

    Numbers of Canada count as the United States': nothing but long lists of area codes tells them apart.
    """
    if not _DIGITS.fullmatch(address):
        bsuid = _BSUID.fullmatch(address)
        return "" if bsuid is None else bsuid[1]
    for length in (2, 1, 3):
        if regions := phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(address[:length])):
            for begins, region in _told_by_their_begin(regions[1:]):
                if begins.match(address, length):
                    return region
            return regions[0] if regions[0] != _WORLD else ""
    return ""


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


@cache
def _told_by_their_begin(regions: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Of the countries that share a calling code, those whose numbers begin in a way of their own."""
    known = ((phonenumbers.PhoneMetadata.metadata_for_region(region), region) for region in regions)
    return tuple(
        (re.compile(metadata.leading_digits), region)
        for metadata, region in known
        if metadata is not None and metadata.leading_digits
    )
