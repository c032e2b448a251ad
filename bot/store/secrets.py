"""Secrets of tenants at rest: AES-256-GCM, bound to the tenant and the field they were sealed for.

A sealed value copied to another tenant's row, or to another field, does not open.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bot.store.errors import SealError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # random: 2**32 values under one key are safe (NIST SP 800-38D, 8.3)
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class Key:
    """One encryption key, by the name that sealed values carry."""

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not KEY_ID.fullmatch(self.id):
            raise ValueError("the id of a key is 1 to 32 letters, digits, - or _")
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")


class SecretBox:
    """Seals with the first key and opens with any, so that keys can be replaced while values are re-sealed."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        assert keys
        self._current = keys[0]
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}

    def seal(self, secret: str, *, tenant: str, field: str) -> str:
        """Answers `<key id>.<base64>`; sealing twice gives two different texts."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        key = self._current.id
        sealed = self._ciphers[key].encrypt(nonce, secret.encode(), _bound(tenant, field, key))
        return f"{key}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, tenant: str, field: str) -> str:
        """What was sealed for this tenant and field.

        Raises:
            SealError: it was not, or its key is not among ours.
        """
        key, _, text = sealed.partition(".")
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise SealError(f"{field}: sealed with a key that SMARTERBOT_KEYS does not hold")
        try:
            data = base64.b64decode(text, altchars=b"-_", validate=True)
            opened = cipher.decrypt(
                data[:NONCE_BYTES], data[NONCE_BYTES:], _bound(tenant, field, key)
            )
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise SealError(f"{field}: was not sealed for this tenant and field") from error
        return opened.decode()

    def is_current(self, sealed: str) -> bool:
        """Whether it was sealed with the first key; if not, seal it anew before the old key is thrown away."""
        return sealed.partition(".")[0] == self._current.id


def _bound(tenant: str, field: str, key: str) -> bytes:
    # Three parts always; none of ours holds a bar, so no two triples read the same.
    assert "|" not in tenant + field + key
    return f"{tenant}|{field}|{key}".encode()
