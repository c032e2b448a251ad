"""Message templates as a WABA keeps them."""

import re
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from handlers.whatsapp.emulator.content import ButtonKind

VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

Category = Literal["UTILITY", "MARKETING", "AUTHENTICATION"]
TemplateStatus = Literal["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED", "ARCHIVED"]
HeaderKind = Literal["", "TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION", "PRODUCT"]


class Button(Struct, frozen=True):
    """A button of a template; `url` is the address (may end in a variable) of a URL button."""

    type: ButtonKind
    text: str
    url: str = ""
    phone: str = ""
    """Of a PHONE_NUMBER button."""
    flow_id: str = ""
    """Of a FLOW button."""


class Card(Struct, frozen=True):
    """A card of a carousel template."""

    header: Literal["IMAGE", "VIDEO", "PRODUCT"]
    body: str = ""
    buttons: tuple[Button, ...] = ()


class Template(Struct, frozen=True, kw_only=True):
    """One template in one language."""

    name: str
    language: str
    category: Category
    body: str
    status: TemplateStatus = "APPROVED"
    rejected: str = "NONE"
    """Why, of a rejected one."""
    quality: Literal["GREEN", "YELLOW", "RED", "UNKNOWN"] = "UNKNOWN"
    parameter_format: Literal["NAMED", "POSITIONAL"] = "NAMED"
    header: HeaderKind = ""
    """What has to come with each send; empty for none, or for words without a variable."""
    header_text: str = ""
    """Words of a header, perhaps with one variable."""
    footer: str = ""
    buttons: tuple[Button, ...] = ()
    cards: tuple[Card, ...] = ()
    offer: str = ""
    """Words of a limited-time offer."""
    offer_expires: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the body's variables, in order of appearance."""
        return variables_of(self.body)

    @property
    def id(self) -> str:
        """Graph id of the template: digits that stay the same for a name and a language."""
        return str(int.from_bytes(f"{self.name}/{self.language}".encode()) % 10**15)


def variables_of(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(VARIABLE.findall(text)))


def filled(text: str, values: dict[str, str]) -> str:
    return VARIABLE.sub(lambda found: values[found[1]], text)


def read_templates(path: Path) -> tuple[Template, ...]:
    """The templates of a JSON file: a list of objects with the fields of `Template`."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[Template, ...])


SAMPLES: Final = Path(__file__).with_name("templates.json")
"""Utility, marketing and authentication templates of a sample firm, in Spanish and English."""
