"""Speaks to a firm's Chatwoot: the contacts of its account.

A contact is found by an exact filter, never by `search`, which looks for parts and is throttled for the account as a
whole. A phone, an e-mail and an identifier are one contact's alone: 422 names which of them is another's, and not whose.
Source: Chatwoot 4.15, contacts_controller.rb; the token is of an administrator (a bot's may not touch contacts).
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from handlers.chatwoot.settings import ACCOUNT
from handlers.outside import Outside, OutsideError
from handlers.persons import (
    WITHIN_S,
    System,
    TellError,
    Then,
    ours,
    read_answer,
    refused,
    unreached,
)

_OK: Final = (200, 204)
Key = Literal["identifier", "phone_number"]
Answer = TypeVar("Answer")


class Contact(Struct, frozen=True):
    """A contact, as far as we look at it."""

    id: int
    identifier: str | None = None


class InvalidError(Exception):
    """It does not take one of these (`phone_number`, `email`, `identifier`): another contact has it, or it is none.

    Which of the two is told in words of the account's language only.
    """

    def __init__(self, attributes: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(attributes)))
        self.attributes = attributes


class _Found(Struct, frozen=True):
    payload: list[Contact]


class _Made(Struct, frozen=True):
    class Payload(Struct, frozen=True):
        contact: Contact

    payload: Payload


class _Invalid(Struct, frozen=True):
    attributes: list[str] = []


class ChatwootClient:
    """Any firm's Chatwoot. Every method raises TellError."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def find(self, system: System, key: Key, value: str) -> Contact | None:
        """The contact with just this value."""
        query = {
            "payload": [
                {
                    "attribute_key": key,
                    "filter_operator": "equal_to",
                    "values": [value],
                    "query_operator": None,
                }
            ]
        }
        answer = await self._call(system, "POST", "/filter", query)
        found = _read(answer, _Found).payload
        return found[0] if found else None

    async def create(
        self, system: System, fields: Mapping[str, str | None], is_ours: Callable[[], bool]
    ) -> Contact:
        """
        Raises:
            InvalidError: see there.
        """
        ours(is_ours)
        return _read(await self._call(system, "POST", "", fields), _Made).payload.contact

    async def update(
        self,
        system: System,
        contact: int,
        fields: Mapping[str, str | None],
        is_ours: Callable[[], bool],
    ) -> None:
        """
        Raises:
            InvalidError: see there.
        """
        ours(is_ours)
        await self._call(system, "PUT", f"/{contact}", fields)

    async def delete(self, system: System, contact: int, is_ours: Callable[[], bool]) -> None:
        """With the contact go its conversations. One that is not there is as good as deleted."""
        ours(is_ours)
        await self._call(system, "DELETE", f"/{contact}", None)

    async def _call(
        self,
        system: System,
        method: Literal["POST", "PUT", "DELETE"],
        path: str,
        body: object,
    ) -> bytes:
        account = system.options.get(ACCOUNT, "")
        headers = {
            "api_access_token": system.secret,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        try:
            async with self._outside.request(
                method,
                f"{system.address}/api/v1/accounts/{account}/contacts{path}",
                headers=headers,
                data=None if body is None else msgspec.json.encode(body),
                within_s=WITHIN_S,
            ) as response:
                status, answer = response.status, await read_answer(response)
                told = response.headers
        except OutsideError as error:
            raise unreached(error) from None
        if status in _OK:
            return answer
        if status == 404:
            if method == "DELETE":
                return b""
            # A contact that was merged or deleted a moment ago; or the account is another one.
            raise TellError("not_found", Then.LATER)
        if status == 422:
            raise _invalid(answer, method)
        raise refused(status, told, otherwise=Then.NEVER)


def _invalid(answer: bytes, method: str) -> Exception:
    if method == "DELETE":
        # Whoever is online cannot be deleted.
        return TellError("online", Then.LATER)
    try:
        attributes = msgspec.json.decode(answer, type=_Invalid).attributes
    except (msgspec.MsgspecError, UnicodeDecodeError):
        attributes = []
    return (
        InvalidError(frozenset(attributes)) if attributes else TellError("status_422", Then.NEVER)
    )


def _read(answer: bytes, type: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(answer, type=type)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise TellError("unreadable", Then.LATER) from None
