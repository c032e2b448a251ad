"""The templates of a WABA as the Graph API lists them, page after page."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from flows.window import Category
from handlers.ports import Template
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import MaybeSentError

PAGE: Final = 100
PAGES_MAX: Final = 100  # Meta: at most 6,000 templates of a WABA
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # of one page; a template with ten cards has 20 KB
FIELDS: Final = "id,name,language,status,category,quality_score,components,parameter_format"

_VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_CATEGORIES: Final[dict[str, Category]] = {
    "UTILITY": "utility",
    "MARKETING": "marketing",
    "AUTHENTICATION": "authentication",
}


async def list_templates(graph: Graph, waba_id: str, token: str) -> list[dict[str, object]]:
    """Each template as Meta describes it.

    Raises:
        GraphError: not all of it could be read.
    """
    found: list[dict[str, object]] = []
    after = ""
    for _ in range(PAGES_MAX):
        cursor = f"&after={quote(after, safe='')}" if after else ""
        page = await graph.request(
            "GET",
            f"{waba_id}/message_templates?fields={FIELDS}&limit={PAGE}{cursor}",
            token,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
        match page:
            case {"data": list(data), **rest}:
                found += [each for each in data if isinstance(each, dict)]
            case _:
                raise MaybeSentError("a page of templates cannot be read")
        match rest.get("paging"):
            case {"next": str(), "cursors": {"after": str(cursor_after)}} if (
                cursor_after and cursor_after != after
            ):
                after = cursor_after
            case _:
                return found
    raise MaybeSentError("the list of templates does not end")


def templates_of(listed: list[dict[str, object]]) -> list[Template]:
    """What of them is a template that we understand."""
    return list({(t.name, t.locale): t for each in listed for t in _template(each)}.values())


def body_parameters(description: dict[str, object]) -> tuple[str, ...]:
    """Names of the body's variables, in order of appearance."""
    components = description.get("components")
    for component in components if isinstance(components, list) else ():
        match component:
            case {"type": str(kind), "text": str(text)} if kind.upper() == "BODY":
                return tuple(dict.fromkeys(_VARIABLE.findall(text)))
            case _:
                pass
    return ()


def _template(described: dict[str, object]) -> Iterator[Template]:
    match described:
        case {
            "name": str(name),
            "language": str(locale),
            "status": str(status),
            "category": str(word),
        }:
            # A category that we have not heard of: the strictest rules are never wrong.
            category = _CATEGORIES.get(word.upper(), "marketing")
            if name and locale and status:
                yield Template(
                    name=name,
                    locale=locale.replace("-", "_"),
                    status=status.upper(),
                    category=category,
                    quality=_quality(described.get("quality_score")),
                    parameters=body_parameters(described),
                )
        case _:
            pass


def _quality(score: object) -> str:
    match score:
        case {"score": str(word)} if word in ("GREEN", "YELLOW", "RED"):
            return word
        case _:
            return "UNKNOWN"
