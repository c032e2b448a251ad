"""Asks a register what it knows of a RUT.

Providers that read the tax service's page take one POST with the RUT and answer with the name and the activities, each in
words of its own; so the answer is read by what its fields are called. Source of the request's shape: Khipu, "SII, situación
tributaria" (`RequestData.RolUnicoTributario`).
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from flows.calls.taxpayer import Taxpayer
from flows.values.rut import Rut
from handlers.outside import Outside, OutsideError

WITHIN_S: Final = 6.0
"""For everything: whoever signs up waits no longer, and goes on without."""
ANSWER_BYTES_MAX: Final = 262_144
NAME_MAX: Final = 120
ACTIVITIES_MAX: Final = 20
DEPTH_MAX: Final = 6

_NAMES: Final = ("razonsocial", "nombrerazonsocial", "businessname", "legalname")
_CODE: Final = re.compile(r"[0-9]{5,6}")
_CODES: Final = ("codigo", "code", "codigoactividad", "activitycode")


class RegisterError(Exception):
    """It told nothing. `why`: one word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RegisterClient:
    """Speaks to one register."""

    def __init__(self, outside: Outside, *, url: str, key: str) -> None:
        self._outside = outside
        self._url = url
        self._key = key

    async def find(self, rut: Rut) -> Taxpayer | None:
        """What it knows; None: nothing.

        Raises:
            RegisterError: it did not answer, or not so that it can be read; `key` if it does not take our key.
        """
        body = msgspec.json.encode({"RequestData": {"RolUnicoTributario": rut.sii}})
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "x-api-key": self._key,
        }
        try:
            async with self._outside.request(
                "POST", self._url, headers=headers, data=body, within_s=WITHIN_S
            ) as response:
                if response.status in (401, 403):
                    raise RegisterError("key")
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise RegisterError("status")
                told = bytearray()
                async for chunk in response.content.iter_any():
                    told += chunk
                    if len(told) > ANSWER_BYTES_MAX:
                        raise RegisterError("too_large")
        except OutsideError:
            raise RegisterError("down") from None
        try:
            answer = msgspec.json.decode(bytes(told))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RegisterError("unreadable") from None
        return read_taxpayer(answer)


def read_taxpayer(answer: Any) -> Taxpayer | None:
    """The name and the activities in an answer, wherever they stand; None if it has no name."""
    pairs = list(_pairs(answer, DEPTH_MAX))
    name = next(
        (_line(value) for key, value in pairs if key in _NAMES and isinstance(value, str)), ""
    )
    codes = [
        str(value)
        for key, value in pairs
        if key in _CODES and isinstance(value, str | int) and _CODE.fullmatch(str(value))
    ]
    if not name:
        return None
    return Taxpayer(name[:NAME_MAX].rstrip(), tuple(dict.fromkeys(codes))[:ACTIVITIES_MAX])


def _pairs(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """All fields, however deep, by their names without case and signs."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield re.sub(r"[^a-z]", "", str(key).lower()), inner
            yield from _pairs(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, depth - 1)


def _line(words: str) -> str:
    """On one line, without signs that steer: a name is data, and is shown to people."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
