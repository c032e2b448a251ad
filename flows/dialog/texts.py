"""The catalogues: what is said, by key and language. A text is Jinja2; what it shows is made tame.

    customer.menu.ask   ->  "Hola {{ name }}, ¿qué necesitas?"

Names in every text: `s` the flow's data, `ctx`, `firm`, `now`, `name`, and what `say(...)` gives.
Filters: money uf day weekday date long_date slot hour rut rut_ending phone phone_ending label link;
for words from outside: paragraphs markdown bold italic strike mono block quote bullets numbers.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final

from babel.dates import format_date, format_datetime
from babel.messages.mofile import read_mo
from babel.numbers import format_decimal
from jinja2 import StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from flows.dialog import formatting
from flows.dialog.answers import snake
from flows.dialog.formatting import Kept, tame
from flows.dialog.markdown import from_markdown
from flows.values.money import show_pesos
from flows.values.phone import display_phone, phone_ending
from flows.values.rut import Rut

DEFAULT_LOCALE: Final = "es_CL"
COMMON_NAMES: Final = frozenset(("s", "ctx", "firm", "now", "name"))
FORMAT_KEYS: Final = (
    "format.today",
    "format.tomorrow",
    "format.day",
    "format.weekday",
    "format.date",
    "format.long_date",
    "format.slot",
    "format.hour",
)
"""Babel's date patterns of a language, and its words for the two days that have a name."""


class TextError(ValueError):
    """A catalogue that cannot be spoken from."""


class Voice:
    """One language, ready to speak."""

    def __init__(self, locale: str, sources: Mapping[str, str]) -> None:
        self.locale = locale
        self._babel = locale.partition("@")[0]
        self._sources = sources
        self._compiled: dict[str, Template | str] = {}
        self.environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, finalize=tame, trim_blocks=True, autoescape=False
        )
        self.environment.filters.update(self._filters())
        # Nothing is called in a text; and what is there is copied for each text that is spoken.
        self.environment.globals.clear()

    def __contains__(self, key: str) -> bool:
        return key in self._sources

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def source(self, key: str) -> str:
        return self._sources[key]

    def first(self, *keys: str) -> str | None:
        """The first key that has a text."""
        return next((key for key in keys if key in self._sources), None)

    def render(self, key: str, names: Mapping[str, Any]) -> str:
        """The words of a key. KeyError if it has none, jinja2.UndefinedError if a name is missing."""
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compile(key)
        return compiled if isinstance(compiled, str) else compiled.render(names).strip()

    def _compile(self, key: str) -> Template | str:
        source = self._sources[key]
        plain = "{" not in source
        compiled = source.strip() if plain else self.environment.from_string(source)
        self._compiled[key] = compiled
        return compiled

    def _filters(self) -> dict[str, Any]:
        return {
            "money": lambda amount: Kept(show_pesos(int(amount))),
            "uf": self._uf,
            "day": pass_context(partial(self._near, key="format.day")),
            "weekday": pass_context(partial(self._near, key="format.weekday")),
            "date": partial(self.dated, key="format.date"),
            "long_date": partial(self.dated, key="format.long_date"),
            "slot": self._slot,
            "hour": partial(self.dated, key="format.hour"),
            "rut": lambda rut: Kept(Rut(rut).display),
            "rut_ending": lambda rut: Kept(Rut(rut).ending),
            "phone": lambda phone: Kept(display_phone(str(phone))),
            "phone_ending": lambda phone: Kept(phone_ending(str(phone))),
            "label": self._label,
            "link": Kept,
            "paragraphs": formatting.paragraphs,
            "markdown": lambda words: from_markdown(str(words)),
            "bold": formatting.bold,
            "italic": formatting.italic,
            "strike": formatting.strike,
            "mono": formatting.mono,
            "block": formatting.block,
            "quote": formatting.quote,
            "bullets": formatting.bullets,
            "numbers": formatting.numbers,
        }

    def _uf(self, amount: Decimal | float) -> Kept:
        return Kept(f"{format_decimal(amount, '#,##0.##', self._babel)} UF")

    def dated(self, at: date, *, key: str) -> Kept:
        """A day or a moment by the pattern of a key, e.g. `format.date`."""
        show = format_datetime if isinstance(at, datetime) else format_date
        return Kept(show(at, self._sources[key], locale=self._babel))

    def _near(self, context: Context, at: date, *, key: str) -> Kept:
        now: datetime = context["now"]
        day = at.astimezone(now.tzinfo).date() if isinstance(at, datetime) else at
        named = {
            now.date(): "format.today",
            now.date() + timedelta(days=1): "format.tomorrow",
        }.get(day)
        words = self.dated(day, key=key)
        return Kept(f"{self._sources[named]} {words}") if named else words

    def _slot(self, at: datetime) -> Kept:
        words = self.dated(at, key="format.slot")
        return Kept(words[:1].upper() + words[1:])

    def _label(self, member: Enum, stem: str = "") -> Kept:
        """What the button of an Enum's member says; `stem` is the state that shows it, if not shared."""
        key = f"{stem or snake(type(member).__name__)}.{member.name}"
        return Kept(self.render(key, {}))


class Texts:
    """The catalogues of all languages. A language `es_CL@usted` says what differs from `es_CL`."""

    def __init__(
        self, catalogues: Mapping[str, Mapping[str, str]], *, default: str = DEFAULT_LOCALE
    ) -> None:
        if default not in catalogues:
            raise TextError(f"there is no catalogue {default}")
        self.default = default
        self._voices = {
            locale: Voice(locale, {**catalogues.get(locale.partition("@")[0], {}), **texts})
            for locale, texts in catalogues.items()
        }
        self._known: dict[str, Voice] = {}

    @classmethod
    def load(cls, folder: Path, *, default: str = DEFAULT_LOCALE) -> "Texts":
        """Read `<folder>/<locale>/LC_MESSAGES/messages.mo` of every locale that has a .po."""
        catalogues: dict[str, dict[str, str]] = {}
        for source in sorted(folder.glob("*/LC_MESSAGES/messages.po")):
            compiled = source.with_suffix(".mo")
            if not compiled.exists():
                raise TextError(f"{compiled} is missing: run `smarterbot flows texts --write`")
            with compiled.open("rb") as file:
                catalogues[source.parent.parent.name] = {
                    str(message.id): str(message.string)
                    for message in read_mo(file)
                    if message.id and message.string
                }
        if not catalogues:
            raise TextError(f"{folder} holds no <locale>/LC_MESSAGES/messages.po")
        return cls(catalogues, default=default)

    @property
    def locales(self) -> tuple[str, ...]:
        return tuple(self._voices)

    def voice(self, locale: str) -> Voice:
        """The voice of a locale, else of its language, else the default one."""
        found = self._known.get(locale)
        if found is None:
            found = self._known[locale] = self._nearest(locale)
        return found

    def language_of(self, locale: str) -> str:
        """The locale of its voice, however that addresses people: `es_CL` of `es_CL@usted`."""
        return self.voice(locale).locale.partition("@")[0]

    def voices(self) -> tuple[Voice, ...]:
        return tuple(self._voices.values())

    def _nearest(self, locale: str) -> Voice:
        language = re.split(r"[_@-]", locale)[0]
        near = (name for name in self._voices if re.split(r"[_@-]", name)[0] == language)
        return (
            self._voices.get(locale)
            or self._voices.get(locale.partition("@")[0])
            or self._voices[next(near, self.default)]
        )
