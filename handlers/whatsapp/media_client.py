"""Speaks to the Graph API of files: what a media id stands for, its bytes, and giving Meta a file of ours.

Rare and large, so everything streams; the answers mean what they mean in `client`.

Source: Cloud API, "Media" (v26.0): a media id that came in lives 7 days, one that we made 30, a download URL 5 minutes.
"""

import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import aiohttp
import msgspec

from handlers.outside import Outside, UnreachableError
from handlers.whatsapp.client import failure, seconds
from handlers.whatsapp.errors import MaybeSentError, NotSentError

HOSTS: Final = ("lookaside.fbsbx.com", "*.fbcdn.net", "*.whatsapp.net")
"""Where Meta's download URLs lead, besides the Graph API's own host. Our token goes nowhere else."""

ANSWER_S: Final = 15.0
TRANSFER_S: Final = 90.0  # an item of a lane may take two minutes
ANSWER_BYTES_MAX: Final = 64 * 1024
CHUNK_BYTES: Final = 256 * 1024
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,128}")


class Described(msgspec.Struct, frozen=True):
    """What Meta says of a media id."""

    url: str
    sha256: str = ""
    file_size: int = 0


class _Uploaded(msgspec.Struct, frozen=True):
    id: str


class DeadUrlError(Exception):
    """The download URL is not good (any more): ask for another."""


class MediaClient:
    """The media calls, for the numbers and tokens of all tenants."""

    def __init__(self, outside: Outside, *, base_url: str, version: str) -> None:
        """`base_url`, `version`: as of `Graph`; `outside` trusts the base."""
        self._outside = outside
        self._root = f"{base_url.rstrip('/')}/{version}"

    async def describe(self, media_id: str, *, phone_number_id: str, token: str) -> Described:
        """Where the bytes are for the next five minutes, and what they should be.

        Raises:
            GraphError: of `errors`; nothing is ever changed by it.
            RefusedUrlError: of `handlers.outside`.
        """
        if not _ID.fullmatch(media_id):
            raise failure(400, {"error": {"code": 100}}, 0)
        answer = await self._call("GET", f"{media_id}?phone_number_id={phone_number_id}", token)
        try:
            return msgspec.convert(answer, Described, strict=False)
        except msgspec.ValidationError:
            raise MaybeSentError("described without a URL") from None

    @asynccontextmanager
    async def download(self, url: str, token: str) -> AsyncIterator[AsyncIterable[bytes]]:
        """The bytes behind a download URL, in pieces.

        Raises:
            DeadUrlError: Meta does not know it (any more).
            GraphError: the token is refused, we ask too often, or Meta stumbled.
            RefusedUrlError: it leads where our token does not go.
            UnreachableError: it broke off, now or while it was read.
        """
        async with self._outside.request(
            "GET", url, hosts=HOSTS, headers=_authorized(token), within_s=TRANSFER_S
        ) as response:
            if response.status in (404, 410):
                raise DeadUrlError
            if response.status != 200:
                raise failure(response.status, None, _wait_s(response))
            yield response.content.iter_chunked(CHUNK_BYTES)

    async def upload(
        self,
        pieces: AsyncIterable[bytes],
        *,
        size: int,
        mime: str,
        extension: str,
        phone_number_id: str,
        token: str,
    ) -> str:
        """Give Meta a file; answers its id, which this phone number may send for 30 days. Doing it twice does no harm.

        Raises:
            GraphError, RefusedUrlError: as `describe`. Whatever `pieces` raises.
        """
        boundary = secrets.token_hex(16)
        # The name that people see is part of the message; Meta gets none.
        head = b"".join(
            (
                _part(boundary, 'name="messaging_product"') + b"whatsapp\r\n",
                _part(boundary, 'name="type"') + mime.encode() + b"\r\n",
                _part(boundary, f'name="file"; filename="file{extension}"', mime),
            )
        )
        tail = f"\r\n--{boundary}--\r\n".encode()

        async def body() -> AsyncIterator[bytes]:
            yield head
            async for piece in pieces:
                yield piece
            yield tail

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + size + len(tail)),
        }
        answer = await self._call(
            "POST",
            f"{phone_number_id}/media",
            token,
            data=body(),
            headers=headers,
            within_s=TRANSFER_S,
        )
        try:
            return msgspec.convert(answer, _Uploaded, strict=False).id
        except msgspec.ValidationError:
            raise MaybeSentError("uploaded without an id") from None

    async def _call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        token: str,
        *,
        data: AsyncIterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        within_s: float = ANSWER_S,
    ) -> object:
        try:
            async with self._outside.request(
                method,
                f"{self._root}/{path}",
                headers=_authorized(token) | (headers or {}),
                data=data,
                within_s=within_s,
            ) as response:
                text = await _capped(response)
                status, wait_s = response.status, _wait_s(response)
        except UnreachableError as error:
            raise (MaybeSentError if error.sent else NotSentError)(str(error)) from None
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            answer = None
        if status < 300 and not (isinstance(answer, dict) and "error" in answer):
            return answer
        raise failure(status, answer, wait_s)


def _authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _part(boundary: str, disposition: str, mime: str = "") -> bytes:
    kind = f"Content-Type: {mime}\r\n" if mime else ""
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n".encode()


def _wait_s(response: aiohttp.ClientResponse) -> int:
    return seconds(response.headers.get("Retry-After", ""))


async def _capped(response: aiohttp.ClientResponse) -> bytes:
    """The answer's body; empty if it is longer than any real one."""
    text = bytearray()
    async for chunk in response.content.iter_any():
        text += chunk
        if len(text) > ANSWER_BYTES_MAX:
            return b""
    return bytes(text)
