"""People and places that are passed on, and reactions.

Source: Cloud API, "Contacts messages", "Location messages", "Reaction messages" (v26.0).
"""

import re
from typing import Final, Literal

import regex
from msgspec import Struct

from flows.dialog.content.checks import ContentError, counts, fits, is_link
from flows.values.ids import Wamid

CARDS_MAX: Final = 257
PART_MAX: Final = 255  # ours, of a name, a street, a mail address: Meta names no limit
PLACE_NAME_MAX: Final = 1000  # ours, likewise
PHONES_MAX: Final = 20  # ours, of phones, mails, links and addresses each

_PHONE = re.compile(r"\+?[0-9][0-9 ()\-]{4,24}")
_WA_ID = re.compile(r"[0-9]{5,20}")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
_DAY = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_EMOJI = regex.compile(r"(?=.*(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3))\X")


class CardPhone(Struct, frozen=True, omit_defaults=True):
    phone: str
    """As it is shown, with the country: `+56 9 6123 4567`."""
    kind: Literal["CELL", "MAIN", "IPHONE", "HOME", "WORK"] = "CELL"
    wa_id: str = ""
    """Digits, if the number is on WhatsApp: the card has a button to write to it then."""


class CardMail(Struct, frozen=True, omit_defaults=True):
    mail: str
    kind: Literal["HOME", "WORK"] = "WORK"


class CardLink(Struct, frozen=True, omit_defaults=True):
    url: str
    kind: Literal["HOME", "WORK"] = "WORK"


class CardAddress(Struct, frozen=True, omit_defaults=True):
    street: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    country_code: str = ""
    """Two letters."""
    kind: Literal["HOME", "WORK"] = "WORK"


class Card(Struct, frozen=True, omit_defaults=True):
    """Somebody who can be saved as a contact."""

    name: str
    """As it is shown."""
    first: str = ""
    """Without it, and without `last`, the shown name is the first name too: Meta wants a part of it."""
    last: str = ""
    phones: tuple[CardPhone, ...] = ()
    mails: tuple[CardMail, ...] = ()
    links: tuple[CardLink, ...] = ()
    addresses: tuple[CardAddress, ...] = ()
    company: str = ""
    department: str = ""
    role: str = ""
    """Their title there; without a company it is not shown."""
    birthday: str = ""
    """`1990-05-31`."""


class Contacts(Struct, frozen=True, tag="contacts"):
    """One or more contact cards."""

    cards: tuple[Card, ...]

    def __post_init__(self) -> None:
        counts("cards", self.cards, 1, CARDS_MAX)
        for n, card in enumerate(self.cards):
            _check_card(f"cards[{n}].", card)


class Place(Struct, frozen=True, tag="place", omit_defaults=True):
    """A point on the map."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    """Shown below the name."""

    def __post_init__(self) -> None:
        check_place("", self)


class Reaction(Struct, frozen=True, tag="reaction", omit_defaults=True):
    """An emoji on a message of the person, or its taking back. Of several the last counts."""

    message: Wamid
    emoji: str = ""
    """Empty takes it back."""

    def __post_init__(self) -> None:
        fits("message", self.message, 512)
        if self.emoji and not _EMOJI.fullmatch(self.emoji):
            raise ContentError("emoji", "is not one emoji")


def check_place(at: str, place: Place) -> None:
    # False for NaN.
    if not -90 <= place.latitude <= 90:
        raise ContentError(f"{at}latitude", "is not within -90 and 90")
    if not -180 <= place.longitude <= 180:
        raise ContentError(f"{at}longitude", "is not within -180 and 180")
    fits(f"{at}name", place.name, PLACE_NAME_MAX, empty=True)
    fits(f"{at}address", place.address, PLACE_NAME_MAX, empty=True)
    if place.address and not place.name:
        raise ContentError(f"{at}address", "is not shown without a name")


def _check_card(at: str, card: Card) -> None:
    fits(f"{at}name", card.name, PART_MAX)
    for part in ("first", "last", "company", "department", "role"):
        fits(f"{at}{part}", getattr(card, part), PART_MAX, empty=True)
    for part in ("phones", "mails", "links", "addresses"):
        counts(f"{at}{part}", getattr(card, part), 0, PHONES_MAX)
    for n, phone in enumerate(card.phones):
        if not _PHONE.fullmatch(phone.phone):
            raise ContentError(f"{at}phones[{n}].phone", "is no telephone number")
        if phone.wa_id and not _WA_ID.fullmatch(phone.wa_id):
            raise ContentError(f"{at}phones[{n}].wa_id", "is not made of digits")
    for n, mail in enumerate(card.mails):
        fits(f"{at}mails[{n}].mail", mail.mail, PART_MAX)
        if not _MAIL.fullmatch(mail.mail):
            raise ContentError(f"{at}mails[{n}].mail", "is no mail address")
    for n, link in enumerate(card.links):
        is_link(f"{at}links[{n}].url", link.url)
    for n, address in enumerate(card.addresses):
        _check_address(f"{at}addresses[{n}]", address)
    if (card.department or card.role) and not card.company:
        raise ContentError(f"{at}company", "is missing beside a department or a role")
    if card.birthday and not _DAY.fullmatch(card.birthday):
        raise ContentError(f"{at}birthday", "is no day like 1990-05-31")


def _check_address(at: str, address: CardAddress) -> None:
    parts = ("street", "city", "state", "zip", "country")
    for part in parts:
        fits(f"{at}.{part}", getattr(address, part), PART_MAX, empty=True)
    if not any(getattr(address, part) for part in parts):
        raise ContentError(at, "says nothing")
    if address.country_code and not re.fullmatch("[A-Z]{2}", address.country_code):
        raise ContentError(f"{at}.country_code", "is not two capital letters")
