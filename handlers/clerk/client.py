"""Speaks to Clerk's Backend API.

Source: Clerk, "Backend API" (PATCH /v1/users/{user_id}), "Errors", "Rate limits" (100 requests in 10 s of a development
instance, 1,000 of a production one; 429 says in Retry-After for how long).
"""

from enum import Enum
from typing import Final

import msgspec
from msgspec import Struct

from flows.values.ids import Ugid
from handlers.outside import Outside, OutsideError

WITHIN_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 1024 * 1024
RETRY_S: Final = 10
RETRY_S_MAX: Final = 600

_TAKEN: Final = frozenset(("form_identifier_exists", "external_id_exists"))


class Answer(Enum):
    """What Clerk says to a change, told apart by what we do next."""

    DONE = "done"
    GONE = "gone"  # there is no such user (any more)
    TAKEN = "taken"  # another user has this external id
    KEY = "key"  # our secret key is not accepted: the operator must mend it
    REFUSED = "refused"  # it will never take this


class BusyError(Exception):
    """Later, after so many seconds."""

    def __init__(self, why: str, after_s: int) -> None:
        super().__init__(why)
        self.why = why
        self.after_s = after_s


class _Fault(Struct, frozen=True):
    code: str = ""


class _Faults(Struct, frozen=True):
    errors: list[_Fault] = []


class ClerkApi:
    """The Backend API of one instance."""

    def __init__(self, outside: Outside, *, base_url: str, secret_key: str) -> None:
        self._outside = outside
        self._base_url = base_url
        self._secret_key = secret_key

    async def set_external_id(self, user_id: str, ugid: Ugid) -> Answer:
        """Write our id of the person into Clerk's user; twice is the same as once.

        Raises:
            BusyError: nothing is known; try again.
        """
        try:
            async with self._outside.request(
                "PATCH",
                f"{self._base_url}/v1/users/{user_id}",
                headers={
                    "Authorization": f"Bearer {self._secret_key}",
                    "Content-Type": "application/json",
                },
                data=msgspec.json.encode({"external_id": ugid}),
                within_s=WITHIN_S,
            ) as response:
                status = response.status
                retry_after = response.headers.get("Retry-After", "")
                codes = _codes(await response.content.read(ANSWER_BYTES_MAX))
        except OutsideError as error:
            raise BusyError(type(error).__name__, RETRY_S) from None
        match status:
            case 200:
                return Answer.DONE
            case 401 | 403:
                return Answer.KEY
            case 404:
                return Answer.GONE
            case 400 | 409 | 422:
                return Answer.TAKEN if codes & _TAKEN else Answer.REFUSED
            case 429:
                raise BusyError("too_many_requests", _seconds(retry_after))
            case _:
                raise BusyError(f"status_{status}", RETRY_S)


def _codes(body: bytes) -> set[str]:
    try:
        return {fault.code for fault in msgspec.json.decode(body, type=_Faults).errors}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return set()


def _seconds(text: str) -> int:
    return min(int(text), RETRY_S_MAX) if text.isascii() and text.isdigit() else RETRY_S
