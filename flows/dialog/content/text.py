"""Words, and what can be tapped below them: reply buttons, a list, a link, WhatsApp's own requests for a place or a phone.

Source: Cloud API, "Text messages", "Interactive messages", "Business-scoped user IDs" (v26.0).
"""

from typing import Final

from msgspec import Struct

from flows.dialog.content.checks import ContentError, counts, distinct, fits, is_link
from flows.dialog.content.media import Header, check_header

TEXT_BODY_MAX: Final = 4096
BODY_MAX: Final = 1024  # of everything with a button, but lists
LIST_BODY_MAX: Final = 4096
FOOTER_MAX: Final = 60
BUTTONS_MAX: Final = 3
BUTTON_TITLE_MAX: Final = 20  # reply buttons, the button that opens a list, links
BUTTON_ID_MAX: Final = 256
ROWS_MAX: Final = 10
ROW_TITLE_MAX: Final = 24
ROW_ID_MAX: Final = 200
ROW_DESCRIPTION_MAX: Final = 72
SECTION_TITLE_MAX: Final = 24


class Text(Struct, frozen=True, tag="text", omit_defaults=True):
    """Free-form text."""

    body: str
    preview: bool = False
    """Whether WhatsApp shows a card for the first link in the body."""

    def __post_init__(self) -> None:
        fits("body", self.body, TEXT_BODY_MAX)


class Button(Struct, frozen=True):
    """A reply button. `id` comes back when it is tapped."""

    id: str
    title: str


class Buttons(Struct, frozen=True, tag="buttons", omit_defaults=True):
    """A question with one to three reply buttons."""

    body: str
    buttons: tuple[Button, ...]
    footer: str = ""
    header: Header = ""

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)
        fits("footer", self.footer, FOOTER_MAX, empty=True)
        check_header("header", self.header)
        counts("buttons", self.buttons, 1, BUTTONS_MAX)
        check_buttons("", self.buttons, id_max=BUTTON_ID_MAX)


class Row(Struct, frozen=True, omit_defaults=True):
    """A row of a list. `id` comes back when it is chosen."""

    id: str
    title: str
    description: str = ""
    section: str = ""
    """Title of the group that the row stands in: either no row has one, or each."""


class Rows(Struct, frozen=True, tag="rows", omit_defaults=True):
    """A question with a list of one to ten rows behind one button."""

    body: str
    button: str
    rows: tuple[Row, ...]
    footer: str = ""
    header: str = ""
    """Words: a list takes no medium."""

    def __post_init__(self) -> None:
        fits("body", self.body, LIST_BODY_MAX)
        fits("button", self.button, BUTTON_TITLE_MAX)
        fits("footer", self.footer, FOOTER_MAX, empty=True)
        check_header("header", self.header, ())
        counts("rows", self.rows, 1, ROWS_MAX)
        for n, row in enumerate(self.rows):
            fits(f"rows[{n}].id", row.id, ROW_ID_MAX)
            fits(f"rows[{n}].title", row.title, ROW_TITLE_MAX)
            fits(f"rows[{n}].description", row.description, ROW_DESCRIPTION_MAX, empty=True)
            fits(f"rows[{n}].section", row.section, SECTION_TITLE_MAX, empty=True)
        distinct("rows", "an id", [row.id for row in self.rows])
        distinct("rows", "a title", [row.title for row in self.rows])
        self._check_sections()

    def sections(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """(title, rows) of each group, in order; one without a title if there are no groups."""
        grouped: dict[str, list[Row]] = {}
        for row in self.rows:
            grouped.setdefault(row.section, []).append(row)
        return tuple((title, tuple(rows)) for title, rows in grouped.items())

    def _check_sections(self) -> None:
        seen: list[str] = []
        for n, row in enumerate(self.rows):
            if bool(row.section) != bool(self.rows[0].section):
                raise ContentError(f"rows[{n}].section", "is missing here or too much elsewhere")
            if row.section in seen[:-1]:
                raise ContentError(f"rows[{n}].section", "comes back after another one")
            if row.section not in seen:
                seen.append(row.section)


class Link(Struct, frozen=True, tag="link", omit_defaults=True):
    """A text with one button that opens a web page (WhatsApp's CTA URL)."""

    body: str
    title: str
    url: str
    footer: str = ""
    header: Header = ""

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)
        fits("title", self.title, BUTTON_TITLE_MAX)
        fits("footer", self.footer, FOOTER_MAX, empty=True)
        check_header("header", self.header)
        is_link("url", self.url)


class PlaceRequest(Struct, frozen=True, tag="place_request"):
    """A text with WhatsApp's own button to share a location."""

    body: str

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)


class PhoneRequest(Struct, frozen=True, tag="phone_request"):
    """A text with WhatsApp's own button to share the person's number (`request_contact_info`)."""

    body: str

    def __post_init__(self) -> None:
        fits("body", self.body, BODY_MAX)


def check_buttons(at: str, buttons: tuple[Button, ...], *, id_max: int) -> None:
    for n, button in enumerate(buttons):
        fits(f"{at}buttons[{n}].id", button.id, id_max)
        fits(f"{at}buttons[{n}].title", button.title, BUTTON_TITLE_MAX)
    distinct(f"{at}buttons", "an id", [button.id for button in buttons])
    distinct(f"{at}buttons", "a title", [button.title for button in buttons])
