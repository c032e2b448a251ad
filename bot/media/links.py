"""Links to files: signed, short-lived, and telling nothing but ids that are opaque."""

import base64
import binascii
import hashlib
import hmac
from typing import Final
from uuid import UUID

from bot.store.secrets import Key
from flows.values.ids import FileId, TenantId

LINK_S: Final = 900
MAC_BYTES: Final = 16  # 128 bits: nobody tries so many links in a quarter of an hour
TIME_BYTES: Final = 5  # seconds since the epoch, up to the year 36812
_SIZE: Final = 16 + 16 + TIME_BYTES + MAC_BYTES
_PURPOSE: Final = b"smarterbot media link v1"


class Links:
    """Signs with the first key of the installation; a link signed with another one still opens."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        # A key of their own, so that no signature says anything about what the sealing key seals.
        self._keys = [hmac.digest(key.secret, _PURPOSE, hashlib.sha256) for key in keys]

    def sign(self, tenant: TenantId, file: FileId, *, until_s: int) -> str:
        """A token for a URL: 71 letters, digits, - and _."""
        told = UUID(tenant).bytes + UUID(file).bytes + until_s.to_bytes(TIME_BYTES)
        return base64.urlsafe_b64encode(told + _mac(self._keys[0], told)).decode().rstrip("=")

    def open(self, token: str, *, now_s: int) -> tuple[TenantId, FileId] | None:
        """What a token is for; None if it is not ours, was changed, or its time is over."""
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(data) != _SIZE:
            return None
        told, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
        # Every key is tried, whichever fits: the time it takes tells nothing.
        fits = [hmac.compare_digest(_mac(key, told), mac) for key in self._keys]
        if not any(fits) or now_s >= int.from_bytes(told[32:]):
            return None
        return TenantId(str(UUID(bytes=told[:16]))), FileId(str(UUID(bytes=told[16:32])))


def _mac(key: bytes, told: bytes) -> bytes:
    return hmac.digest(key, told, hashlib.sha256)[:MAC_BYTES]
