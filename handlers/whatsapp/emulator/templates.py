"""Message templates as a WABA keeps them, and what a person sees when one is sent."""

import re
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from handlers.whatsapp.emulator.content import Notice, TemplateButton

_VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Button(Struct, frozen=True):
    """A button of a template; `url` is the address (may end in a variable) of a URL button."""

    type: Literal["QUICK_REPLY", "URL", "OTP"]
    text: str
    url: str = ""


class Template(Struct, frozen=True, kw_only=True):
    """One template in one language."""

    name: str
    language: str
    category: Literal["UTILITY", "MARKETING", "AUTHENTICATION"]
    body: str
    status: Literal["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED"] = "APPROVED"
    parameter_format: Literal["NAMED", "POSITIONAL"] = "NAMED"
    header: Literal["", "DOCUMENT", "IMAGE", "VIDEO"] = ""
    """Kind of the header's medium, which has to come with each send; empty for none."""
    footer: str = ""
    buttons: tuple[Button, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the body's variables, in order of appearance."""
        return tuple(dict.fromkeys(_VARIABLE.findall(self.body)))

    @property
    def id(self) -> str:
        """Graph id of the template: digits that stay the same for a name and a language."""
        return str(int.from_bytes(f"{self.name}/{self.language}".encode()) % 10**15)

    def filled(self, values: dict[str, str], *, header: str, buttons: tuple[str, ...]) -> Notice:
        """What the person sees: `values` by variable, `buttons` what each button gives when tapped."""
        return Notice(
            name=self.name,
            language=self.language,
            category=self.category.lower(),
            header=header,
            body=_VARIABLE.sub(lambda found: values[found[1]], self.body),
            footer=self.footer,
            buttons=tuple(
                TemplateButton(kind=button.type, title=button.text, value=value)
                for button, value in zip(self.buttons, buttons, strict=True)
            ),
        )


def read_templates(path: Path) -> tuple[Template, ...]:
    """The templates of a JSON file: a list of objects with the fields of `Template`."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[Template, ...])


SAMPLES: Final = Path(__file__).with_name("templates.json")
"""Utility, marketing and authentication templates of a sample firm, in Spanish and English."""
