"""Reads the fields of a request as strictly as Meta: what is missing, of another type, too long, unknown.

Codes: 131008 for what is missing, 131009 for a value of an interactive message, 100 for a malformed parameter.
"""

import re
from collections.abc import Sequence
from typing import Final

import regex

from handlers.whatsapp.emulator.errors import GraphError

JSON = dict[str, object]

_ID: Final = re.compile(r"[0-9]{1,32}")
_ADDRESS: Final = re.compile(r"https?://[^\s/]\S*")
_SIGN: Final = regex.compile(
    r"(?=.*(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\N{COMBINING ENCLOSING KEYCAP}))\X"
)
_EMOJI: Final = regex.compile(r"\p{Extended_Pictographic}|\p{Regional_Indicator}")


def an_object(holder: JSON, key: str) -> JSON:
    value = holder.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: {key}")
    if not isinstance(value, dict):
        raise GraphError(100, f"Param {key} must be a JSON object.")
    return value


def objects(holder: JSON, key: str) -> list[JSON]:
    value = holder.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: {key}")
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise GraphError(100, f"Param {key} must be an array of JSON objects.")
    return value


def a_text(holder: JSON, key: str, path: str) -> str:
    value = holder.get(key)
    if value is None or value == "":
        raise GraphError(131008, f"Missing required parameter: {path}")
    if not isinstance(value, str):
        raise GraphError(100, f"Param {path} must be a string.")
    return value


def optional(holder: JSON, key: str, path: str) -> str:
    return a_text(holder, key, path) if key in holder else ""


def sized(holder: JSON, key: str, what: str, limit: int) -> str:
    value = holder.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: {key}")
    if not isinstance(value, str):
        raise GraphError(100, f"Param {key} must be a string.")
    if not 1 <= len(value) <= limit or not value.strip():
        raise GraphError(131009, f"{what} length invalid. Min length: 1, Max length: {limit}")
    return value


def only(holder: JSON, path: str, *known: str) -> None:
    """Refuse a key that Meta does not know: a misspelt one would be lost without a word."""
    for key in holder:
        if key not in known:
            raise GraphError(100, f'Unexpected key "{key}" on param "{path}".')


def distinct(what: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        raise GraphError(131009, f"{what} are not unique.")


def a_meta_id(holder: JSON, key: str) -> str:
    value = a_text(holder, key, key)
    if not _ID.fullmatch(value):
        raise GraphError(100, f"Param {key} is not a valid id.")
    return value


def an_address(holder: JSON, key: str, path: str) -> str:
    value = a_text(holder, key, path)
    if not _ADDRESS.fullmatch(value):
        raise GraphError(131009, f"{path} is not a valid URL.")
    return value


def is_one_emoji(text: str) -> bool:
    return _SIGN.fullmatch(text) is not None


def has_emoji(text: str) -> bool:
    return _EMOJI.search(text) is not None
