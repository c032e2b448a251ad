"""The message templates that the product brings: one file for each template and language, `locales/<language>/templates/`.

Their limits are Meta's, checked when a file is read, so that nothing is sent to a review that it cannot pass. Source:
Meta, "Template components", "Authentication templates", "Templates overview" (v26.0).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from flows.window import Category

NAME_MAX: Final = 512
HEADER_MAX: Final = 60
BODY_MAX: Final = 1024
FOOTER_MAX: Final = 60
BUTTONS_MAX: Final = 10
LINKS_MAX: Final = 2
LABEL_MAX: Final = 25
URL_MAX: Final = 2000
EXPIRES_MAX: Final = 90
# Meta refuses too many and does not say how many; its partners tell two words for each, and one more.
WORDS_PER_PLACEHOLDER: Final = 2

TYPES: Final[Mapping[str, tuple[int, str]]] = {
    "person": (60, r".+"),
    "business": (80, r".+"),
    "words": (200, r".+"),
    "date": (40, r".*[0-9].*"),
    "time": (20, r".*[0-9].*"),
    "money": (20, r".*[0-9].*"),
    "number": (40, r".*[0-9].*"),
}
"""What may stand in a placeholder: at most so many characters, of this form."""

VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_NAME: Final = re.compile(r"[a-z0-9_]+")
_PLACEHOLDER: Final = re.compile(r"[a-z_][a-z0-9_]*")
# Error 132012.
_UNFIT: Final = re.compile(r"[\n\r\t]| {4}")


class TemplateFileError(ValueError):
    """A file cannot be a template; each line names it and says what is wrong."""


class Placeholder(Struct, frozen=True, forbid_unknown_fields=True):
    """What stands where `{{name}}` is."""

    type: str
    """One of `TYPES`."""
    example: str
    """For Meta's reviewer."""


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """A button that opens an address; it may end in `{{1}}`, which each send fills in."""

    title: str
    url: str
    example: str = ""


class TemplateFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One template in one language, as its file says."""

    category: Category
    body: str = ""
    """Empty for an authentication template: Meta writes those."""
    header: str = ""
    """Words above the body, without placeholders."""
    footer: str = ""
    replies: tuple[str, ...] = ()
    """Labels of the quick replies."""
    links: tuple[Link, ...] = ()
    button: str = ""
    """Authentication: the label of the button that copies the code."""
    expires_minutes: int = 0
    """Authentication: for how long the code is good."""
    security: bool = False
    """Authentication: whether Meta adds that nobody should be told."""
    placeholders: dict[str, Placeholder] = {}

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the body's placeholders, in order; the code of an authentication template is `1`."""
        if self.category == "authentication":
            return ("1",)
        return tuple(dict.fromkeys(VARIABLE.findall(self.body)))


@dataclass(frozen=True, slots=True)
class Templates:
    """All templates of the product."""

    files: Mapping[tuple[str, str], TemplateFile]
    """By (name, language)."""
    locales: tuple[str, ...]

    def names(self) -> list[str]:
        return sorted({name for name, _ in self.files})

    def get(self, name: str, locale: str) -> TemplateFile | None:
        return self.files.get((name, locale))


def read_templates(folder: Path) -> Templates:
    """Read and check every file below `<folder>/<language>/templates`.

    Raises:
        TemplateFileError: naming every file that is wrong, and why.
    """
    files: dict[tuple[str, str], TemplateFile] = {}
    problems: list[str] = []
    locales = sorted(path.parent.name for path in folder.glob("*/LC_MESSAGES"))
    for file in sorted(folder.glob("*/templates/*.toml")):
        locale, name = file.parent.parent.name, file.stem
        at = f"{locale}/templates/{file.name}"
        try:
            template = msgspec.convert(tomllib.loads(file.read_text("utf-8")), TemplateFile)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            problems.append(f"{at}: {error}")
            continue
        files[name, locale] = template
        problems += [f"{at}: {problem}" for problem in _problems(name, template)]
    templates = Templates(files, tuple(locales))
    problems += _differences(templates)
    if problems:
        raise TemplateFileError("\n".join(problems))
    return templates


# ------------------------------------------------------------------ what Meta would refuse


def _problems(name: str, template: TemplateFile) -> Iterator[str]:
    if not _NAME.fullmatch(name) or len(name) > NAME_MAX:
        yield "its name is not made of small letters, digits and _"
    if template.category == "authentication":
        yield from _code_problems(template)
        return
    for field in ("button", "expires_minutes", "security"):
        if getattr(template, field):
            yield f"{field} is of authentication templates alone"
    yield from _word_problems(template)
    yield from _button_problems(template)


def _code_problems(template: TemplateFile) -> Iterator[str]:
    for field in ("body", "header", "footer", "replies", "links", "placeholders"):
        if getattr(template, field):
            yield f"{field} has no place in an authentication template: Meta writes it"
    if not 1 <= len(template.button) <= LABEL_MAX:
        yield f"button: a label of 1 to {LABEL_MAX} characters is expected"
    if not 1 <= template.expires_minutes <= EXPIRES_MAX:
        yield f"expires_minutes: 1 to {EXPIRES_MAX} is expected"


def _word_problems(template: TemplateFile) -> Iterator[str]:
    body = template.body.strip()
    if not body:
        yield "body: is empty"
    for field, most in (("header", HEADER_MAX), ("footer", FOOTER_MAX)):
        words: str = getattr(template, field)
        if len(words) > most:
            yield f"{field}: has {len(words)} characters, {most} fit"
        if "{{" in words:
            yield f"{field}: takes no placeholders here"
    if VARIABLE.match(body) or re.search(r"\{\{\s*\w+\s*\}\}$", body):
        yield "body: a placeholder cannot stand at its beginning or end"
    if re.search(r"\}\}\s*\{\{", body):
        yield "body: placeholders cannot stand side by side"
    if VARIABLE.sub("", body).count("{{"):
        yield "body: holds {{ that is no placeholder"
    found = template.parameters
    if sorted(found) != sorted(template.placeholders):
        yield f"placeholders: the body has {', '.join(found) or 'none'}"
    if len(re.findall(r"\w+", VARIABLE.sub("", body))) <= WORDS_PER_PLACEHOLDER * len(found):
        yield "body: has too few words for its placeholders"
    longest = len(VARIABLE.sub("", body))
    for name, placeholder in template.placeholders.items():
        yield from _placeholder_problems(name, placeholder)
        longest += TYPES.get(placeholder.type, (0, ""))[0] * VARIABLE.findall(body).count(name)
    if longest > BODY_MAX:
        yield f"body: may have {longest} characters when it is filled in, {BODY_MAX} fit"


def _placeholder_problems(name: str, placeholder: Placeholder) -> Iterator[str]:
    if not _PLACEHOLDER.fullmatch(name):
        yield f"placeholders.{name}: is not made of small letters, digits and _"
    if placeholder.type not in TYPES:
        yield f"placeholders.{name}: its type is one of {', '.join(TYPES)}"
    elif why := unfit(placeholder.type, placeholder.example):
        yield f"placeholders.{name}: its example {why}"


def _button_problems(template: TemplateFile) -> Iterator[str]:
    labels = [*template.replies, *(link.title for link in template.links)]
    if len(labels) > BUTTONS_MAX:
        yield f"buttons: there are {len(labels)}, {BUTTONS_MAX} fit"
    if len(template.links) > LINKS_MAX:
        yield f"links: there are {len(template.links)}, {LINKS_MAX} fit"
    for label in labels:
        if not 1 <= len(label) <= LABEL_MAX:
            yield f"“{label}”: a label has 1 to {LABEL_MAX} characters"
    if any(a == b for a, b in pairwise(sorted(labels))):
        yield "buttons: two have the same label"
    for link in template.links:
        if not link.url.startswith("https://") or len(link.url) > URL_MAX:
            yield f"“{link.title}”: its address does not begin with https://"
        ends = VARIABLE.findall(link.url)
        if ends and (ends != ["1"] or not link.url.endswith("}}") or not link.example):
            yield f"“{link.title}”: an address may end in {{{{1}}}}, and needs an example then"


def unfit(type: str, value: str) -> str:
    """Why a value cannot stand in a placeholder of a type; empty if it can."""
    most, form = TYPES[type]
    if not value.strip():
        return "is empty"
    if len(value) > most:
        return f"has {len(value)} characters, {most} fit a {type}"
    if _UNFIT.search(value):
        return "holds a line break, a tab or a gap"
    if not re.fullmatch(form, value):
        return f"is no {type}"
    return ""


def _differences(templates: Templates) -> Iterator[str]:
    """A template is the same in all languages, but for its words."""
    for name in templates.names():
        there = [locale for locale in templates.locales if (name, locale) in templates.files]
        if missing := sorted(set(templates.locales) - set(there)):
            yield f"{name}: is missing in {', '.join(missing)}"
        shapes = {locale: _shape(templates.files[name, locale]) for locale in there}
        for other in there[1:]:
            for part, mine in shapes[there[0]].items():
                if shapes[other][part] != mine:
                    yield f"{name}: its {part} differ between {there[0]} and {other}"


def _shape(template: TemplateFile) -> Mapping[str, object]:
    kinds: Sequence[tuple[str, str]] = sorted(
        (name, placeholder.type) for name, placeholder in template.placeholders.items()
    )
    return {
        "category": template.category,
        "placeholders": kinds,
        "buttons": (len(template.replies), len(template.links)),
        "expires_minutes": template.expires_minutes,
    }
