"""What a firm tells about itself: its settings, each with one way to be read."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, get_args

from flows.dialog.ctx import Firm
from flows.values.hours import OpeningHours, parse_hours
from flows.values.phone import display_phone, parse_phone
from flows.values.quiet import QUIET, parse_quiet
from flows.values.words import plain

LINE_MAX: Final = 160
"""One fact of a message; our choice, so that two of them fit a phone's screen."""
TEXT_MAX: Final = 700
"""A list of products, an answer. WhatsApp cuts the body of a message with buttons at 1,024."""
ROW_NOTE_MAX: Final = 72
"""Interactive list messages: description of a row."""
DAYS_MAX: Final = 3650

QUIET_MINUTES_MAX: Final = 10_080  # a week

TOLD: Final = ("hours", "address", "prices", "delivery", "payment", "contact")
"""Options of the main list that settings answer, in the order in which they stand if the firm names none."""
Taken = Literal["book", "move", "buy", "orders", "quote", "document", "debt", "paid", "problem"]
"""Options whose answer people give: the bot takes down what it is about."""
OPTIONS: Final = (*TOLD, *get_args(Taken), "human")
MENU_MAX: Final = 7
"""Beside a person, one's own data and the other language, which are always there: a list has ten rows."""

_JOINER: Final = "\u200d"
_FIRMS_KEPT: Final = 4096


class SettingError(ValueError):
    """A value that a setting cannot have. The text says how to mend it."""

    def __init__(self, key: str, mend: str) -> None:
        super().__init__(f"{key}: {mend}")
        self.key = key
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Setting:
    what: str
    example: str
    read: Callable[[str], str]
    """Gives the value as it is stored. Raises ValueError with what to write instead."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The settings of one firm. Empty means: the owner has not said."""

    hours: OpeningHours | None = None
    address: str = ""
    maps_url: str = ""
    products: str = ""
    products_note: str = ""
    is_food: bool = False
    delivery: str = ""
    payment: str = ""
    phone: str = ""
    email: str = ""
    web: str = ""
    privacy_url: str = ""
    emoji: str = ""
    greeting: str = ""
    menu: tuple[str, ...] = ()
    """Options of the main list, of `OPTIONS`; empty: all that the settings answer."""

    @property
    def privacy(self) -> str:
        """The address of the privacy notice as a text shows it."""
        return self.privacy_url.removeprefix("https://").removesuffix("/")

    @property
    def phone_shown(self) -> str:
        return display_phone(self.phone) if self.phone else ""

    @property
    def site(self) -> str:
        return self.web.removeprefix("https://").removesuffix("/")

    @property
    def has_contact(self) -> bool:
        return bool(self.phone or self.email or self.web)


def shop_of(firm: Firm) -> Shop:
    """The firm's settings as flows use them; a value that no longer fits counts as not said."""
    return _shop(
        tuple(sorted((key, firm.settings[key]) for key in SETTINGS if key in firm.settings))
    )


def shown(firm: Firm | None) -> Firm | None:
    """The firm as its bot is shown on a number that is not its own: what it tells its customers, and nothing else of it.

    None if there is none, or its owner does not want it shown.
    """
    if firm is None or firm.settings.get("demo") == "no":
        return None
    told = {key: firm.settings[key] for key in SETTINGS.keys() - INTERNAL if key in firm.settings}
    return replace(firm, desk=False, settings=told)


def check_setting(key: str, value: str) -> str:
    """The value as it is to be stored; empty unsets it.

    Raises:
        SettingError: no such key, or the value does not fit; the text says what would.
    """
    setting = SETTINGS.get(key)
    if setting is None:
        raise SettingError(key, f"is no setting; there are {', '.join(sorted(SETTINGS))}")
    if not value.strip():
        return ""
    try:
        return setting.read(unicodedata.normalize("NFC", value).strip())
    except ValueError as error:
        raise SettingError(key, f"{error}; for example: {setting.example}") from error


def _hours(value: str) -> str:
    return str(parse_hours(value))


def _line(value: str) -> str:
    return _within(" ".join(value.split()), LINE_MAX)


def _note(value: str) -> str:
    return _within(" ".join(value.split()), ROW_NOTE_MAX)


def _lines(value: str) -> str:
    lines = (" ".join(line.split()) for line in value.splitlines())
    return _within("\n".join(line for line in lines if line), TEXT_MAX)


def _within(value: str, limit: int) -> str:
    if len(value) > limit:
        raise ValueError(f"has {len(value)} characters, {limit} fit")
    return value


def _url(value: str) -> str:
    address = value if "://" in value else f"https://{value}"
    if not re.fullmatch(r"https://[^\s/.]+(\.[^\s/.]+)+(/\S*)?", address):
        raise ValueError("is no web address that begins with https://")
    return _within(address, LINE_MAX)


def _phone(value: str) -> str:
    number = parse_phone(value)
    if number is None:
        raise ValueError("is no telephone number")
    return number


def _email(value: str) -> str:
    if not re.fullmatch(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+", value):
        raise ValueError("is no e-mail address")
    return _within(value.lower(), LINE_MAX)


def _emoji(value: str) -> str:
    # Signs that vary or join the one before are no signs of their own.
    signs = [sign for sign in value if unicodedata.category(sign) not in ("Mn", "Cf", "Sk", "Me")]
    is_flag = len(signs) == 2 and all("\U0001f1e6" <= sign <= "\U0001f1ff" for sign in signs)
    one = len(signs) == 1 + value.count(_JOINER)
    if not (one or is_flag) or any(unicodedata.category(sign) != "So" for sign in signs):
        raise ValueError("is not one emoji")
    return value


def _menu(value: str) -> str:
    options = [option for option in re.split(r"[\s,;]+", value.lower()) if option]
    for option in options:
        if option not in OPTIONS:
            raise ValueError(f"has no option {option}; there are {', '.join(OPTIONS)}")
        if options.count(option) > 1:
            raise ValueError(f"names {option} twice")
    wishes = len(options) - options.count("human")
    if not 1 <= wishes <= MENU_MAX:
        raise ValueError(f"names {wishes} options beside human, 1 to {MENU_MAX} are expected")
    return ", ".join(options)


def _days(value: str) -> str:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= DAYS_MAX):
        raise ValueError(f"is not a number of days from 1 to {DAYS_MAX}")
    return str(int(value))


def _yes_no(value: str) -> str:
    match plain(value):
        case "si" | "yes" | "on":
            return "yes"
        case "no" | "off":
            return "no"
        case _:
            raise ValueError("is neither yes nor no")


def _minutes(value: str) -> str:
    if not value.isdecimal() or int(value) > QUIET_MINUTES_MAX:
        raise ValueError(f"is no number of minutes up to {QUIET_MINUTES_MAX}")
    return str(int(value))


SETTINGS: Final[Mapping[str, Setting]] = {
    "hours": Setting(
        "opening hours, in the firm's time zone",
        "lun-vie 9:00-18:00; sáb 10:00-14:00; dom cerrado",
        _hours,
    ),
    "address": Setting("street address, as customers say it", "Av. Los Aromos 123, Villa Alemana", _line),
    "maps_url": Setting("link to the place on a map", "https://maps.example/sol", _url),
    "products": Setting(
        "prices or products, one fact per line", "Marraqueta: $2.290 el kilo", _lines
    ),
    "products_note": Setting("what the list of prices holds, in a few words", "Pan, pasteles y tortas", _note),
    "food": Setting("whether the firm serves food: its list is called carta and comes first", "yes", _yes_no),
    "delivery": Setting("how products reach the customer", "Despacho en Villa Alemana por $2.000", _lines),
    "payment": Setting("how customers can pay", "Efectivo, tarjetas y transferencia", _lines),
    "phone": Setting("telephone for calls", "+56 9 6123 4567", _phone),
    "email": Setting("e-mail for customers", "hola@sol.example", _email),
    "web": Setting("web page", "https://sol.example", _url),
    "legal_url": Setting(
        "page of the terms and the data-processing agreement: of the platform's own firm", "https://smarteros.example/legal", _url
    ),
    "terms_version": Setting("version of the terms that is in force", "2026-11", _line),
    "data_processing_version": Setting("version of the data-processing agreement that is in force", "2026-11", _line),
    "accept_each": Setting("whether each of the two is accepted with a tap of its own", "no", _yes_no),
    "privacy_url": Setting("page of the privacy notice", "https://sol.example/privacidad", _url),
    "read_receipts": Setting(
        "whether customers see blue ticks on what the bot has read", "yes", _yes_no
    ),
    "quiet_hours": Setting(
        "when campaigns rest, in the firm's time zone", str(QUIET), lambda value: str(parse_quiet(value))
    ),
    "quiet_minutes": Setting(
        "how long the bot is silent after somebody of the firm answers from their phone; 0: not at all", "120", _minutes
    ),
    "media_days": Setting("for how many days the files that customers send are kept", "90", _days),
    "emoji": Setting("one emoji for the greeting", "🥖", _emoji),
    "greeting": Setting(
        "what the greeting says of the firm, in one line", "Aquí puedes pedir tu hora", _line
    ),
    "demo": Setting("whether its bot may be tried out on the demo number", "no", _yes_no),
    "menu": Setting(
        "the main list, in its order; what its settings do not tell is left out", "book, hours, prices, human", _menu
    ),
}  # fmt: skip
"""Every key that an owner can set. A new one is a row here and a field of `Shop`."""


INTERNAL: Final = frozenset((
    "demo", "media_days", "quiet_hours", "quiet_minutes", "read_receipts",
    "legal_url", "terms_version", "data_processing_version", "accept_each",
))  # fmt: skip
"""Settings that are the server's affair, or the sign-up's, and not the conversation's with customers."""


@lru_cache(maxsize=_FIRMS_KEPT)
def _shop(settings: tuple[tuple[str, str], ...]) -> Shop:
    told: dict[str, str] = {}
    for key, value in settings:
        try:
            told[key] = check_setting(key, value)
        except SettingError:
            continue
    hours = told.pop("hours", "")
    food = told.pop("food", "")
    menu = told.pop("menu", "")
    for key in INTERNAL:
        told.pop(key, None)
    return Shop(
        hours=parse_hours(hours) if hours else None,
        is_food=food == "yes",
        menu=tuple(menu.split(", ")) if menu else (),
        **told,
    )
