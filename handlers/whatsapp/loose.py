"""Reads JSON whose values may have any shape: what cannot be used is empty, never an error."""

import json
import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

DEPTH_MAX: Final = 64  # deepest nesting that we read; Meta's own payloads stay under 16
ID_CHARS_MAX: Final = 512
"""Meta's own limit for `biz_opaque_callback_data`; its other ids are shorter."""
NAME_CHARS_MAX: Final = 256

BSUID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
PHONE: Final = re.compile(r"\+?([0-9]{5,20})")
ITEM: Final = re.compile(r"[a-z]+/[^\s:]+:[0-9]+-[0-9]+")
WORD: Final = re.compile(r"[A-Za-z_]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")

_MS_FROM: Final = 100_000_000_000  # a timestamp above this is in ms (seconds reach it in year 5138)
_AT_MAX: Final = 4_102_444_800  # 2100-01-01

Object = Mapping[str, object]
"""A JSON object of which nothing is known yet."""


class MalformedError(ValueError):
    """The body is not JSON, however kindly read."""


def get(value: object, key: str) -> object:
    """What an object has under a key; None if it is no object, or has not."""
    return value.get(key) if isinstance(value, dict) else None


def list_of(value: object) -> list[object]:
    """A list; anything else is an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """A text; empty if it is none."""
    if isinstance(value, str):
        return value
    # A number where a text belongs is still readable; a flag is not.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def short(value: object) -> str:
    """A text of at most `NAME_CHARS_MAX` characters; the rest is cut off."""
    return text_of(value)[:NAME_CHARS_MAX]


def id_of(value: object) -> str:
    """An identifier: a short text without blanks, or a number; empty when it is neither."""
    if isinstance(value, str):
        return value if len(value) <= ID_CHARS_MAX and value.strip() == value else ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def int_of(value: object) -> int:
    """A whole number, or a text of its digits; 0 if it is neither, or is absurd."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**15 else 0
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else 0


def at_of(value: object) -> int:
    """Seconds since the epoch; 0 when Meta gave no time that makes sense, so that no window opens by it."""
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else 0
    at = int_of(value)
    if at >= _MS_FROM:
        at //= 1000
    return at if 0 < at < _AT_MAX else 0


def degrees_of(value: object, limit: float) -> float | None:
    """Degrees between -limit and limit."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        degrees = float(value)
    except (ValueError, OverflowError):
        return None
    return degrees if abs(degrees) <= limit else None  # false for NaN


# An escaped NUL, which PostgreSQL cannot store, with the escaped backslashes before it.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def decode(body: bytes) -> object:
    """The JSON value, without NULs.

    Raises:
        MalformedError: it is not JSON.
    """
    if b"\\u0000" in body:
        body = _NUL.sub(rb"\1", body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _mend(body)


def _mend(body: bytes) -> object:
    """Reads what a strict decoder refuses as a whole because of one bad value deep inside.

    That is: bytes that are no UTF-8, half of an emoji, numbers out of range, control characters, nesting
    beyond all use.
    """
    try:
        text = _pruned(body.decode("utf-8-sig", errors="replace"))
        value = json.loads(
            text,
            strict=False,
            parse_int=lambda digits: int(digits) if len(digits) < 19 else 0,
            parse_float=lambda digits: number if math.isfinite(number := float(digits)) else 0,
            parse_constant=lambda _name: None,
        )
        # Half an emoji (a lone surrogate) is a legal escape in JSON and an illegal character in UTF-8.
        clean = json.dumps(value, ensure_ascii=False).encode(errors="replace")
        return msgspec.json.decode(_NUL.sub(rb"\1", clean))
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error


def _pruned(text: str) -> str:
    """The text with every value deeper than `DEPTH_MAX` replaced by null."""
    depth, kept, start = 0, [], 0
    for token in _BRACKETS.finditer(text):
        match token[0]:
            case "[" | "{":
                if depth == DEPTH_MAX:
                    kept.append(text[start : token.start()] + "null")
                depth += 1
            case "]" | "}":
                depth -= 1
                if depth == DEPTH_MAX:
                    start = token.end()
            case _:
                pass
    if depth > DEPTH_MAX:
        return text
    return "".join([*kept, text[start:]])
