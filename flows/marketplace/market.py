"""Reads the templates of the marketplace, `<id>/template.toml` with its workflows beside it, and says what is wrong with them."""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from flows import calls
from flows.customer.shop import OPTIONS, SettingError, check_setting
from flows.dialog.calls import Call
from flows.dialog.checker import Problem
from flows.dialog.style import Role, judge
from flows.dialog.templates import Templates
from flows.marketplace.workflows import Workflow, read_workflow, workflow_problems

MARKETPLACE: Final = Path(__file__).parent
SHIPPED: Final = MARKETPLACE / "shipped.json"
FILE: Final = "template.toml"
SIGNATURE: Final = "signature.js"

ID_PATTERN: Final = r"^[a-z][a-z0-9_]{1,31}$"
NAME_MAX: Final = 24
"""Interactive list messages: title of a row."""
ABOUT_MAX: Final = 72
"""… and its description."""
TEXTS: Final = ("greeting",)
"""Settings that a template words, in each language."""

Id = Annotated[str, Meta(pattern=ID_PATTERN)]


class MarketError(ValueError):
    """Templates that cannot be offered; each line of the text names the file and the field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Template(Struct, frozen=True, forbid_unknown_fields=True):
    """What a firm can begin with, as its file says."""

    version: Annotated[int, Meta(ge=1)]
    """Raised with each change that was released."""
    name: dict[str, str]
    """By language; so are `about` and each of `texts`."""
    about: dict[str, str]
    menu: tuple[str, ...]
    """The setting `menu`."""
    texts: dict[str, dict[str, str]]
    """Other settings, by key: what the firm says."""
    templates: tuple[Id, ...]
    """Message templates that Meta must have approved before all of it works."""
    workflows: tuple[Id, ...]
    """Files `<name>.json` for n8n."""
    tools: tuple[str, ...]
    """Calls that must be served."""

    def settings(self, locale: str) -> dict[str, str]:
        """The firm's settings as it would have them, checked as the owner's are.

        Args:
            locale: the firm's; in another of its language, else in the default one, if it is not spoken here.
        """
        worded = {
            key: check_setting(key, nearest(words, locale)) for key, words in self.texts.items()
        }
        return {"menu": check_setting("menu", ", ".join(self.menu)), **worded}


class Shipped(Struct, frozen=True):
    """What was released of one template."""

    version: int
    shape: str
    """Hash of all that it holds."""


@dataclass(frozen=True, slots=True)
class Market:
    """All templates, by id."""

    templates: Mapping[str, Template]
    workflows: Mapping[str, tuple[Workflow, ...]] = field(default_factory=dict)
    """By id of the template, in its order."""


def read_market(
    folder: Path, messages: Templates, *, shipped: Mapping[str, Shipped] | None = None
) -> Market:
    """Read and check every template of a folder.

    Args:
        messages: the message templates that there are.
        shipped: the committed record of what was released; None: it is not compared.

    Raises:
        MarketError: naming everything that is wrong.
    """
    problems: list[Problem] = []
    templates: dict[str, Template] = {}
    workflows: dict[str, tuple[Workflow, ...]] = {}
    signature = (folder / SIGNATURE).read_text("utf-8") if (folder / SIGNATURE).exists() else ""
    if not signature:
        problems.append(Problem(SIGNATURE, "is missing or empty"))
    files = sorted(folder.glob(f"*/{FILE}"))
    if not files:
        problems.append(Problem(folder.name, f"holds no <id>/{FILE}"))
    for file in files:
        id, at = file.parent.name, f"{file.parent.name}/{FILE}"
        try:
            msgspec.convert(id, Id)
            template = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Template)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            problems.append(Problem(at, str(error)))
            continue
        templates[id] = template
        problems += [Problem(at, each) for each in _template_problems(template, messages)]
        found, wrong = _workflows(file.parent, template, signature)
        workflows[id] = tuple(found.values())
        problems += wrong
    market = Market(templates, workflows)
    problems += _repeated(market)
    if shipped is not None:
        problems += _history(market, shipped)
    if problems:
        raise MarketError(problems)
    return market


def nearest(words: Mapping[str, str], locale: str) -> str:
    """The words of a locale, else of its language, else the first."""
    language = locale.partition("_")[0]
    near = (words[other] for other in words if other.partition("_")[0] == language)
    return words.get(locale) or next(near, next(iter(words.values())))


# ------------------------------------------------------------------ one template


def _template_problems(template: Template, messages: Templates) -> Iterator[str]:
    yield from _words_problems("name", template.name, NAME_MAX, messages.locales)
    yield from _words_problems("about", template.about, ABOUT_MAX, messages.locales)
    yield from _setting_problems("menu", ", ".join(template.menu), "menu")
    if missing := sorted(set(TEXTS) - set(template.texts)):
        yield f"texts: {', '.join(missing)} is missing"
    for key, words in template.texts.items():
        if key not in TEXTS:
            yield f"texts.{key}: is no text of a firm; there are {', '.join(TEXTS)}"
            continue
        yield from _words_problems(f"texts.{key}", words, None, messages.locales)
        for locale, said in words.items():
            yield from _setting_problems(f"texts.{key}.{locale}", said, key)
    for name in template.templates:
        for locale in messages.locales:
            if messages.get(name, locale) is None:
                yield f"templates: there is no {name} in {locale}; there are {', '.join(messages.names())}"
    tools = known_tools()
    for name in template.tools:
        if name not in tools:
            yield f"tools: there is no call {name}; there are {', '.join(tools)}"
    for name in ("templates", "workflows", "tools"):
        yield from _doubles(name, getattr(template, name))


def _words_problems(
    at: str, words: Mapping[str, str], most: int | None, locales: Sequence[str]
) -> Iterator[str]:
    for locale in sorted(set(locales) - set(words)):
        yield f"{at}: is missing in {locale}"
    for locale, said in words.items():
        if locale not in locales:
            yield f"{at}.{locale}: is no language; there are {', '.join(locales)}"
        elif not said.strip():
            yield f"{at}.{locale}: is empty"
        if most is not None and len(said) > most:
            yield f"{at}.{locale}: has {len(said)} characters, {most} fit"
        if "{" in said:
            yield f"{at}.{locale}: is said as it stands, and holds no placeholders"
        role: Role = "say" if most is None else "about"
        for finding in judge(said, role=role, locale=locale):
            yield f"{at}.{locale}: {finding.what}"


def _setting_problems(at: str, value: str, key: str) -> Iterator[str]:
    try:
        check_setting(key, value)
    except SettingError as error:
        yield f"{at}: {error.mend}"
    else:
        if not value.strip():
            yield (
                f"{at}: is empty"
                if key != "menu"
                else f"menu: is empty; there are {', '.join(OPTIONS)}"
            )


def _doubles(at: str, names: Iterable[str]) -> Iterator[str]:
    listed = list(names)
    for name in sorted({name for name in listed if listed.count(name) > 1}):
        yield f"{at}: names {name} twice"


@cache
def known_tools() -> tuple[str, ...]:
    """Names of the calls that flows can make, `flows/calls/`."""
    modules = [
        import_module(f"{calls.__name__}.{each.name}") for each in iter_modules(calls.__path__)
    ]
    found = {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Call)
        and value.__module__ == module.__name__
    }
    return tuple(sorted(found))


# ------------------------------------------------------------------ its workflows


def _workflows(
    folder: Path, template: Template, signature: str
) -> tuple[dict[str, Workflow], list[Problem]]:
    found: dict[str, Workflow] = {}
    problems = [
        Problem(f"{folder.name}/{FILE}", f"workflows: {file.name} lies beside it and is not named")
        for file in sorted(folder.glob("*.json"))
        if file.stem not in template.workflows
    ]
    for name in dict.fromkeys(template.workflows):
        file, at = folder / f"{name}.json", f"{folder.name}/{name}.json"
        try:
            found[name] = workflow = read_workflow(file.read_bytes())
        except FileNotFoundError:
            problems.append(Problem(at, "is missing, and workflows names it"))
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            problems.append(Problem(at, str(error)))
            continue
        wrong = workflow_problems(
            workflow,
            path=f"{folder.name}-{name}",
            signature=signature,
            templates=template.templates,
        )
        problems += [Problem(at, each) for each in wrong]
    return found, problems


def _repeated(market: Market) -> Iterator[Problem]:
    """One n8n takes all of them: two webhooks with one id switch each other off."""
    seen: dict[tuple[str, str], str] = {}
    for id, workflows in market.workflows.items():
        for workflow in workflows:
            marks = [("name", workflow.name)]
            marks += [("webhookId", node.webhook_id) for node in workflow.nodes if node.webhook_id]
            for mark in marks:
                if mark in seen:
                    yield Problem(id, f"{workflow.name}: {seen[mark]} has the same {mark[0]}")
                seen[mark] = f"{id}, {workflow.name}"


# ------------------------------------------------------------------ versions


def read_shipped_market(file: Path = SHIPPED) -> dict[str, Shipped]:
    """The committed record of what was released; empty if nothing was."""
    if not file.exists():
        return {}
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Shipped])


def ship_market(market: Market, past: Mapping[str, Shipped]) -> dict[str, Shipped]:
    """The record with what is released now; ids once shipped stay for ever."""
    now = {id: Shipped(t.version, _shape(market, id)) for id, t in market.templates.items()}
    return dict(sorted({**past, **now}.items()))


def _shape(market: Market, id: str) -> str:
    whole: list[Any] = [market.templates[id], market.workflows[id]]
    told = msgspec.json.encode(whole, order="sorted")
    return hashlib.sha256(told).hexdigest()[:16]


def _history(market: Market, shipped: Mapping[str, Shipped]) -> Iterator[Problem]:
    for id, past in shipped.items():
        template = market.templates.get(id)
        if template is None:
            yield Problem(id, "was shipped and is gone: firms have it")
        elif template.version < past.version:
            yield Problem(
                f"{id}/{FILE}", f"version: {past.version} was shipped before {template.version}"
            )
        elif template.version == past.version and _shape(market, id) != past.shape:
            yield Problem(
                f"{id}/{FILE}", f"version: raise it, {past.version} was shipped as it was"
            )
