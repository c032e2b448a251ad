"""Speaks to the Graph API: one client for the hot path of sending and for the rare calls beside it."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from flows.values.ids import Wamid
from handlers.whatsapp.errors import GraphError, GraphFault, MaybeSentError, NotSentError
from handlers.whatsapp.faults import UNKNOWN, fault_of
from handlers.whatsapp.http import ANSWER_BYTES_MAX, Method, Origin, header_lines

DETAILS_CHARS_MAX: Final = 200
RETRY_AFTER_S_MAX: Final = 3600
TOKENS_KEPT_MAX: Final = 1024  # heads of requests that are kept ready, one for each token in use


class Accepted(msgspec.Struct, frozen=True):
    """Meta took the message. That is no delivery: most refusals come later, as a status."""

    wamid: Wamid
    held: bool = False
    """Template pacing keeps it back until Meta has seen how people like the first ones."""


class Graph:
    """The Graph API at one origin, for the numbers and tokens of all tenants."""

    def __init__(self, origin: Origin, *, version: str) -> None:
        """`version`: e.g. `v26.0`."""
        self._origin = origin
        self._version = version
        self._headers = lru_cache(TOKENS_KEPT_MAX)(_headers)

    async def post_message(
        self,
        phone_number_id: str,
        token: str,
        body: bytes,
        *,
        may_leave: Callable[[], bool] = lambda: True,
    ) -> Accepted:
        """Send one message.

        Args:
            may_leave: asked when all is ready, right before it leaves.

        Raises:
            GraphFault: Meta refused it.
            NotSentError: it did not reach Meta.
            HeldBackError: it may not leave any more.
            MaybeSentError: it may have; ask the statuses before it is sent again.
        """
        answer = await self.request(
            "POST", f"{phone_number_id}/messages", token, body, may_leave=may_leave
        )
        match answer:
            case {"messages": [{"id": str(wamid), **rest}, *_]} if wamid:
                held = rest.get("message_status") == "held_for_quality_assessment"
                return Accepted(Wamid(wamid), held=held)
            case _:
                raise MaybeSentError("accepted without an id")

    async def post_receipt(self, phone_number_id: str, token: str, body: bytes) -> None:
        """Mark as read, show the typing dots. Raises as `post_message`."""
        await self.request("POST", f"{phone_number_id}/messages", token, body)

    async def get(self, path: str, token: str) -> object:
        """What the API knows under `path`, e.g. `<phone_number_id>?fields=quality_rating`: JSON, unread.

        Raises:
            GraphError: as `post_message`; nothing is ever changed by it.
        """
        return await self.request("GET", path, token)

    async def request(
        self,
        method: Method,
        path: str,
        token: str,
        body: bytes | None = None,
        *,
        content_type: str = "application/json",
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        may_leave: Callable[[], bool] = lambda: True,
    ) -> object:
        """Any call of the API: JSON there and back. Raises as `post_message`.

        Args:
            path: under the version, with its query; as it goes over the wire.
            body: JSON, or of `content_type`.
            answer_bytes_max: more than this cannot be read; lists may need more than a send does.
        """
        try:
            headers = self._headers(token, content_type)
        except ValueError:
            raise NotSentError("the token cannot be sent") from None
        answer = await self._origin.request(
            method,
            f"/{self._version}/{path}",
            headers,
            body,
            answer_bytes_max=answer_bytes_max,
            may_leave=may_leave,
        )
        try:
            told = msgspec.json.decode(answer.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            told = None
        if answer.status < 300 and not (isinstance(told, dict) and "error" in told):
            return told
        raise failure(answer.status, told, seconds(answer.retry_after))


def _headers(token: str, content_type: str) -> bytes:
    return header_lines({"Authorization": f"Bearer {token}", "Content-Type": content_type})


def failure(status: int, answer: object, retry_after_s: int) -> GraphError:
    """What an answer of the Graph API that is no success means; `answer` is its JSON, None if it has none."""
    match answer:
        case {"error": {"code": int(code), **error}}:
            return GraphFault(
                fault_of(code),
                code=code,
                details=_details(error),
                retry_after_s=retry_after_s,
            )
        case _ if status >= 500 or status < 300 or status == 408:
            return MaybeSentError(f"HTTP {status}")
        case _:
            # Refused by something in between that does not speak Meta's language.
            return GraphFault(
                _FAULT_OF_STATUS.get(status, UNKNOWN),
                code=0,
                details=f"HTTP {status}",
                retry_after_s=retry_after_s,
            )


_FAULT_OF_STATUS: Final = {401: fault_of(190), 403: fault_of(10), 429: fault_of(130429)}

# What people are known by, and what was quoted from a message: telephone numbers, RUTs, e-mail, BSUIDs.
_PERSONAL: Final = re.compile(
    r"\S+@\S+|\b[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{5,}|\+?\d(?:[ .()-]{0,2}[\dkK]){4,}|\"[^\"]*\"|'[^']*'"
)


def _details(error: dict[object, object]) -> str:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    text = details if isinstance(details, str) else error.get("message")
    return _PERSONAL.sub("…", text[:1000])[:DETAILS_CHARS_MAX] if isinstance(text, str) else ""


def seconds(retry_after: str) -> int:
    """`Retry-After` in seconds; a date counts as absent, Meta sends none."""
    if not (retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10):
        return 0
    return min(int(retry_after), RETRY_AFTER_S_MAX)
