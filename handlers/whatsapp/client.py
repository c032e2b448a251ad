"""Speaks to the Graph API, straight over aiohttp: the hot path of sending.

Every failure tells what it means for doubt: the send API has no idempotency key, so whoever does not know
whether a message left must not simply send it again.

    GraphError
    ├── GraphFault       Meta refused it, and said why: nothing was sent
    ├── NotSentError     nothing left this process, or nobody was there to take it
    └── MaybeSentError   it left, and no answer that can be read came back
"""

import re
from typing import Final

import aiohttp
import msgspec

from flows.values.ids import Wamid
from handlers.whatsapp.faults import UNKNOWN, Fault, fault_of

CONNECT_S: Final = 5.0  # including the wait for a free connection
TOTAL_S: Final = (
    15.0  # Meta answers in well under one second; after this its answer is not waited for
)
ANSWER_BYTES_MAX: Final = 64 * 1024
DETAILS_CHARS_MAX: Final = 200
RETRY_AFTER_S_MAX: Final = 3600

_NOTHING_LEFT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)

TIMEOUT: Final = aiohttp.ClientTimeout(total=TOTAL_S, connect=CONNECT_S)


class GraphError(Exception):
    """A request to the Graph API that did not succeed."""


class NotSentError(GraphError):
    """Nothing was sent: no connection, no name, no trust."""


class MaybeSentError(GraphError):
    """It may have been sent: the connection broke, the time was up, or the answer cannot be read."""


class GraphFault(GraphError):  # noqa: N818  "fault" is the word for what Meta answers
    """Meta refused the request. `details` holds no personal data."""

    def __init__(
        self, fault: Fault, *, code: int, details: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(f"{fault.name} ({code})")
        self.fault = fault
        self.code = code
        self.details = details
        self.retry_after_s = retry_after_s


class Accepted(msgspec.Struct, frozen=True):
    """Meta took the message. That is no delivery: most refusals come later, as a status."""

    wamid: Wamid
    held: bool = False
    """Template pacing keeps it back until Meta has seen how people like the first ones."""


class Graph:
    """The Graph API under one HTTP session, for the numbers and tokens of all tenants."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        version: str,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        """`base_url`: e.g. `https://graph.facebook.com`; `version`: e.g. `v26.0`."""
        self._session = session
        self._root = f"{base_url.rstrip('/')}/{version}"
        self._timeout = timeout

    async def post_message(self, phone_number_id: str, token: str, body: bytes) -> Accepted:
        """Send one message.

        Raises:
            GraphFault: Meta refused it.
            NotSentError: it did not reach Meta.
            MaybeSentError: it may have; ask the statuses before it is sent again.
        """
        answer = await self._request("POST", f"{phone_number_id}/messages", token, body)
        match answer:
            case {"messages": [{"id": str(wamid), **rest}, *_]} if wamid:
                held = rest.get("message_status") == "held_for_quality_assessment"
                return Accepted(Wamid(wamid), held=held)
            case _:
                raise MaybeSentError("accepted without an id")

    async def post_receipt(self, phone_number_id: str, token: str, body: bytes) -> None:
        """Mark as read, show the typing dots. Raises as `post_message`."""
        await self._request("POST", f"{phone_number_id}/messages", token, body)

    async def get(self, path: str, token: str) -> object:
        """What the API knows under `path`, e.g. `<phone_number_id>?fields=quality_rating`: JSON, unread.

        Raises:
            GraphError: as `post_message`; nothing is ever changed by it.
        """
        return await self._request("GET", path, token, None)

    async def _request(self, method: str, path: str, token: str, body: bytes | None) -> object:
        if self._session.closed:
            raise NotSentError("the session is closed")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method,
                f"{self._root}/{path}",
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                text = await _capped(response)
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except _NOTHING_LEFT as error:
            raise NotSentError(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise MaybeSentError(type(error).__name__) from error
        # From here on nothing of the request is in an exception: it holds a token and a message.
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            answer = None
        if status < 300 and not (isinstance(answer, dict) and "error" in answer):
            return answer
        raise _failure(status, answer, _seconds(retry_after))


async def _capped(response: aiohttp.ClientResponse) -> bytes:
    """The answer's body; empty if it is longer than any real one."""
    if 0 <= (response.content_length or -1) <= ANSWER_BYTES_MAX:
        return await response.read()
    text = bytearray()
    async for chunk in response.content.iter_any():
        text += chunk
        if len(text) > ANSWER_BYTES_MAX:
            response.close()
            return b""
    return bytes(text)


def _failure(status: int, answer: object, retry_after_s: int) -> GraphError:
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


def _seconds(retry_after: str) -> int:
    """`Retry-After` in seconds; a date counts as absent, Meta sends none."""
    digits = retry_after.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return 0
    return min(int(digits), RETRY_AFTER_S_MAX)
