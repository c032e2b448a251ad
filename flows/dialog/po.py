"""The catalogues' sources: which keys flows need, written into the .po files for the translator."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from flows.dialog.checker import Use, merge, uses
from flows.dialog.flow import Flow

_WIDTH = 120


def extend(
    source: bytes,
    flows: Iterable[Flow[Any, Any]],
    *,
    locale: str,
    also: Iterable[Use] = (),
) -> tuple[bytes, list[str]]:
    """A .po file with the keys that flows need and it lacks, and those keys; `also`: texts of others.

    A new key is empty: an empty text is none, so nothing can be released before it is written.
    Every key tells the translator where it is said and how long it may be.
    """
    catalogue = read_po(BytesIO(source), locale=locale.partition("@")[0])
    added = []
    for use in merge((*uses(flows), *also)):
        present = [key for key in use.keys if catalogue.get(key) is not None]
        if not present and use.optional:
            continue
        key = present[0] if present else use.keys[0]
        if not present:
            catalogue.add(key)
            added.append(key)
        message = catalogue.get(key)
        assert message is not None
        message.auto_comments = [_comment(use)]
    return _header(source) + _written(catalogue), added


def _header(source: bytes) -> bytes:
    """The first entry as it stands: Babel would fill it with dates that change with every run."""
    first, _, _ = source.lstrip().partition(b"\n\n")
    return first.rstrip() + b"\n\n" if b'msgid ""\nmsgstr ""' in first else b""


def _written(catalogue: Catalog) -> bytes:
    target = BytesIO()
    write_po(target, catalogue, width=_WIDTH, sort_output=True, omit_header=True)
    return target.getvalue()


def _comment(use: Use) -> str:
    kind = {
        "ask": "question",
        "say": "words",
        "sorry": "not understood or refused",
        "title": "button",
        "row": "row of a list",
        "about": "line below a row",
        "words": "part of a sentence",
        "format": "date pattern",
    }[use.role]
    return f"{use.where}: {kind}, at most {use.limit} characters"
