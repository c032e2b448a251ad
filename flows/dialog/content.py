"""What can be said on WhatsApp: immutable values whose limits hold once they exist.

Limits: Cloud API reference, "Interactive messages" and "Message templates" (v26.0).
"""

from typing import Final

from msgspec import Struct

TEXT_BODY_MAX: Final = 4096
BODY_MAX: Final = 1024  # of reply buttons, links and templates
LIST_BODY_MAX: Final = 4096
FOOTER_MAX: Final = 60
BUTTONS_MAX: Final = 3
BUTTON_TITLE_MAX: Final = 20  # reply buttons, the button that opens a list, links
BUTTON_ID_MAX: Final = 256
ROWS_MAX: Final = 10
ROW_TITLE_MAX: Final = 24
ROW_ID_MAX: Final = 200
ROW_DESCRIPTION_MAX: Final = 72
TEMPLATE_NAME_MAX: Final = 512
TEMPLATE_CODE_MAX: Final = 15
URL_MAX: Final = 2000


class ContentError(ValueError):
    """A value that WhatsApp would refuse. `field` names what to mend, e.g. `buttons[2].title`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def _fits(field: str, text: str, limit: int, *, empty: bool = False) -> None:
    if not empty and not text.strip():
        raise ContentError(field, "is empty")
    if len(text) > limit:
        raise ContentError(field, f"has {len(text)} characters, {limit} fit")


class Text(Struct, frozen=True, tag="text", omit_defaults=True):
    """Free-form text."""

    body: str
    preview: bool = False
    """Whether WhatsApp shows a card for the first link in the body."""

    def __post_init__(self) -> None:
        _fits("body", self.body, TEXT_BODY_MAX)


class Button(Struct, frozen=True):
    """A reply button. `id` comes back when it is tapped."""

    id: str
    title: str


class Buttons(Struct, frozen=True, tag="buttons", omit_defaults=True):
    """A question with one to three reply buttons."""

    body: str
    buttons: tuple[Button, ...]
    footer: str = ""

    def __post_init__(self) -> None:
        _fits("body", self.body, BODY_MAX)
        _fits("footer", self.footer, FOOTER_MAX, empty=True)
        if not 1 <= len(self.buttons) <= BUTTONS_MAX:
            raise ContentError("buttons", f"are {len(self.buttons)}, 1 to {BUTTONS_MAX} fit")
        for n, button in enumerate(self.buttons):
            _fits(f"buttons[{n}].id", button.id, BUTTON_ID_MAX)
            _fits(f"buttons[{n}].title", button.title, BUTTON_TITLE_MAX)
        _distinct("buttons", [b.id for b in self.buttons], [b.title for b in self.buttons])


class Row(Struct, frozen=True, omit_defaults=True):
    """A row of a list. `id` comes back when it is chosen."""

    id: str
    title: str
    description: str = ""


class Rows(Struct, frozen=True, tag="rows", omit_defaults=True):
    """A question with a list of one to ten rows behind one button."""

    body: str
    button: str
    rows: tuple[Row, ...]
    footer: str = ""

    def __post_init__(self) -> None:
        _fits("body", self.body, LIST_BODY_MAX)
        _fits("button", self.button, BUTTON_TITLE_MAX)
        _fits("footer", self.footer, FOOTER_MAX, empty=True)
        if not 1 <= len(self.rows) <= ROWS_MAX:
            raise ContentError("rows", f"are {len(self.rows)}, 1 to {ROWS_MAX} fit")
        for n, row in enumerate(self.rows):
            _fits(f"rows[{n}].id", row.id, ROW_ID_MAX)
            _fits(f"rows[{n}].title", row.title, ROW_TITLE_MAX)
            _fits(f"rows[{n}].description", row.description, ROW_DESCRIPTION_MAX, empty=True)
        _distinct("rows", [r.id for r in self.rows], [r.title for r in self.rows])


class Link(Struct, frozen=True, tag="link", omit_defaults=True):
    """A text with one button that opens a web page (WhatsApp's CTA URL)."""

    body: str
    title: str
    url: str
    footer: str = ""

    def __post_init__(self) -> None:
        _fits("body", self.body, BODY_MAX)
        _fits("title", self.title, BUTTON_TITLE_MAX)
        _fits("footer", self.footer, FOOTER_MAX, empty=True)
        _fits("url", self.url, URL_MAX)
        if not self.url.startswith("https://"):
            raise ContentError("url", "does not start with https://")


class Template(Struct, frozen=True, tag="template", omit_defaults=True):
    """An approved message template with its named variables."""

    name: str
    language: str
    variables: tuple[tuple[str, str], ...] = ()
    """(name, value) of each body variable."""
    payloads: tuple[str, ...] = ()
    """What each quick-reply button sends back, in the template's order of buttons."""
    code: str = ""
    """The one-time code of an authentication template: shown in its body, copied by its button."""

    def __post_init__(self) -> None:
        _fits("name", self.name, TEMPLATE_NAME_MAX)
        _fits("code", self.code, TEMPLATE_CODE_MAX, empty=True)
        _fits("language", self.language, 10)
        for name, value in self.variables:
            _fits(f"variables[{name}]", value, BODY_MAX)
            if "\n" in value or "\t" in value or "    " in value:
                raise ContentError(f"variables[{name}]", "holds a line break, a tab or a gap")


Content = Text | Buttons | Rows | Link | Template
"""One message to one person. msgspec tells the kinds apart by their tag."""


def body_of(content: Content) -> str:
    """The words that a person reads first; a template shows its name."""
    return content.name if isinstance(content, Template) else content.body


def _distinct(field: str, ids: list[str], titles: list[str]) -> None:
    # Error 131009: WhatsApp refuses equal ids, and equal titles on reply buttons.
    if len(set(ids)) < len(ids):
        raise ContentError(field, "repeat an id")
    if len(set(titles)) < len(titles):
        raise ContentError(field, "repeat a title")
