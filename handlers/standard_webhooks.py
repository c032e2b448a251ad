"""Standard Webhooks: is this post from whom it says, as it was signed, and of now? Clerk (by Svix) and Supabase sign so,
and so do we.

base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`. Source: Standard Webhooks 1.0; Svix calls the same headers `svix-…`;
Supabase joins several signatures with ", " instead of a blank (supabase/auth, internal/hooks/hookshttp).
"""

import asyncio
import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from handlers.ports import Clock

TOLERANCE_S: Final = 300
KEY_BYTES_MIN: Final = 24  # Standard Webhooks: 24 to 64
BODY_BYTES_MAX: Final = 1024 * 1024
BODY_S_MAX: Final = 10.0
READING_BYTES_MAX: Final = 32 * 1024 * 1024  # of bodies that are coming in, whoever sends them
SIGNATURES_CHARS_MAX: Final = 4096

_NAMES: Final = ("webhook", "svix")
# The specification keeps the full stop out of an id: it parts the signed text.
_ID = re.compile(r"[!-\-/-~]{1,256}")
_AT = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"(v[0-9]+[a-z]?),([^,\s]+)")


class HookError(Exception):
    """The post is refused; nothing of it was believed. `why` is a word of a closed vocabulary."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Hook:
    """A post that was proved."""

    id: str
    """Of the message; what the other side repeats has the same one (but for Supabase)."""
    at: int
    """When it was signed, seconds since the epoch."""
    body: bytes


def read_secrets(text: str) -> tuple[bytes, ...]:
    """`whsec_<base64>`, Supabase's `v1,whsec_<base64>`, or several while one is being replaced: `…|…`.

    Raises:
        ValueError: it says what is expected. The secret itself is not in the text.
    """
    return tuple(_read_secret(each.strip()) for each in text.split("|")) if text else ()


def _read_secret(text: str) -> bytes:
    encoded = text.removeprefix("v1,")
    if not encoded.startswith("whsec_"):
        raise ValueError("whsec_ and base64 is expected; several parted by |")
    try:
        secret = base64.b64decode(encoded.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("what follows whsec_ is not base64") from None
    if len(secret) < KEY_BYTES_MIN:
        raise ValueError(f"the key is shorter than {KEY_BYTES_MIN} bytes")
    return secret


def sign(id: str, at: int, body: bytes, secret: bytes) -> str:
    """One entry of the signature header."""
    signed = hmac.digest(secret, b"%s.%d.%s" % (id.encode(), at, body), "sha256")
    return f"v1,{base64.b64encode(signed).decode()}"


def signed_headers(id: str, at: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """What a post of ours carries: a signature with each secret, so that the receiver can change to the newest one.

    Args:
        id: of the message: the same whenever it is sent again, without a full stop.
        at: when this very attempt is made, seconds since the epoch.
    """
    assert secrets
    assert _ID.fullmatch(id)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(sign(id, at, body, secret) for secret in secrets),
    }


def verify(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes], *, now_s: int
) -> Hook:
    """Check the headers against these very bytes.

    Raises:
        HookError: 400 if the headers cannot be read, 401 if they prove nothing or are of another time.
    """
    id, at_text, signatures = _headers(headers)
    at = int(at_text)
    if abs(now_s - at) > TOLERANCE_S:
        raise HookError(401, "other_time")
    genuine = False
    for secret in secrets:
        expected = sign(id, at, body, secret).encode()
        for given in signatures:
            genuine |= hmac.compare_digest(given, expected)
    if not genuine:
        raise HookError(401, "signature")
    return Hook(id, at, body)


def _headers(headers: Mapping[str, str]) -> tuple[str, str, list[bytes]]:
    for name in _NAMES:
        id, at, signature = (
            headers.get(f"{name}-{part}", "") for part in ("id", "timestamp", "signature")
        )
        if id or at or signature:
            break
    else:
        raise HookError(400, "unsigned")
    if not (_ID.fullmatch(id) and _AT.fullmatch(at) and len(signature) <= SIGNATURES_CHARS_MAX):
        raise HookError(400, "headers")
    # One blank, or Supabase's comma and blank, between signatures; each holds one comma.
    entries = [_SIGNATURE.fullmatch(entry.removesuffix(",")) for entry in signature.split()]
    if not entries or not all(entries):
        raise HookError(400, "headers")
    # A version that we do not know proves nothing, and stands beside one that we do. A header may hold any byte.
    return (
        id,
        at,
        [
            entry[0].encode(errors="surrogateescape")
            for entry in entries
            if entry is not None and entry[1] == "v1"
        ],
    )


class Receiver:
    """Takes posts of one sender, one after the other or many at once."""

    def __init__(
        self, secrets: Sequence[bytes], *, clock: Clock, body_s: float = BODY_S_MAX
    ) -> None:
        """
        Args:
            secrets: two while one is being replaced; without any every post is refused.
            body_s: for a body to come in; shorter only in trials.
        """
        self._secrets = secrets
        self._clock = clock
        self._body_s = body_s
        self._reading = 0
        """Bytes under way. Not posts: whoever sends slowly, or nothing, takes no room from the others."""

    async def receive(self, request: web.Request) -> Hook:
        """
        Raises:
            HookError: 400, 401 as `verify`; 408, 413, 415 for what nobody sends who means it; 503 to be repeated.
        """
        if request.content_type != "application/json":
            raise HookError(415, "content_type")
        body = await self._read(request)
        return verify(body, request.headers, self._secrets, now_s=self._clock.now_ms() // 1000)

    async def _read(self, request: web.Request) -> bytes:
        # Not `request.read()`: its limit belongs to the whole application.
        if (request.content_length or 0) > BODY_BYTES_MAX:
            raise HookError(413, "too_large")
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                while chunk := await request.content.readany():
                    body += chunk
                    self._reading += len(chunk)
                    if len(body) > BODY_BYTES_MAX:
                        raise HookError(413, "too_large")
                    if self._reading > READING_BYTES_MAX:
                        raise HookError(503, "busy")
        except TimeoutError:
            raise HookError(408, "slow_body") from None
        finally:
            self._reading -= len(body)
        return bytes(body)
