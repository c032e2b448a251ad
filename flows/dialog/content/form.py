"""A WhatsApp form (Meta's "Flow") behind a button.

Source: WhatsApp Flows, "Sending a Flow" (message version 3).
"""

import re
from typing import Final

import msgspec
import regex
from msgspec import Raw, Struct

from flows.dialog.content.checks import ContentError, fits, is_number
from flows.dialog.content.media import Header, check_header
from flows.dialog.content.text import BODY_MAX, BUTTON_TITLE_MAX, FOOTER_MAX
from flows.dialog.events import NO_JSON

TOKEN_MAX: Final = 600  # ours: Meta names none. A sealed one has about 300
FORM_NAME_MAX: Final = 200  # ours, likewise

_SCREEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_EMOJI = regex.compile(r"\p{Extended_Pictographic}|\p{Regional_Indicator}")


class Form(Struct, frozen=True, tag="form", omit_defaults=True):
    """A text with a button that opens a form. What is filled in comes back as JSON, with the token in it."""

    body: str
    title: str
    """What the button says, without emoji."""
    id: str = ""
    """Meta's id of the form; or its `name`."""
    name: str = ""
    token: str = ""
    """Comes back with the answer, which does not say which form it is of. A question's own one is put in by the language."""
    screen: str = ""
    """The first screen; without it the form's endpoint says which one."""
    data: Raw = NO_JSON
    """JSON object that the first screen is given."""
    draft: bool = False
    """Not published yet: for tests by the firm's own people."""
    footer: str = ""
    header: Header = ""

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)
        fits("title", self.title, BUTTON_TITLE_MAX)
        if _EMOJI.search(self.title):
            raise ContentError("title", "has an emoji, which this button takes none of")
        fits("footer", self.footer, FOOTER_MAX, empty=True)
        check_header("header", self.header)
        if bool(self.id) == bool(self.name):
            raise ContentError("id", "or else name says which form, and only one of them")
        if self.id:
            is_number("id", self.id)
        fits("name", self.name, FORM_NAME_MAX, empty=True)
        check_start("", token=self.token, data=self.data)
        if self.screen and not _SCREEN.fullmatch(self.screen):
            raise ContentError("screen", "is no name of a screen")
        if self.data != NO_JSON and not self.screen:
            raise ContentError("screen", "is missing: data are given to a screen")


def check_start(at: str, *, token: str, data: Raw) -> None:
    """What a form is opened with, from a message or from a template's button."""
    fits(f"{at}token", token, TOKEN_MAX, empty=True)
    if data == NO_JSON:
        return
    try:
        told = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise ContentError(f"{at}data", "is no JSON object") from error
    if not told:
        raise ContentError(f"{at}data", "is empty: leave it out")
