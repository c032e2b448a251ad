"""Keys of keyed hashes, each for one purpose, made of the installation's keys."""

import hashlib
import hmac
from typing import Final

from bot.store.secrets import Key

MAC_BYTES: Final = 32


class Macs:
    """HMAC-SHA256 under keys of one purpose. The first makes; all may have made what is checked."""

    def __init__(self, keys: tuple[Key, ...], purpose: str) -> None:
        """`purpose`: keeps its hashes apart from those of any other."""
        # A key of their own, so that no hash says anything about what the sealing key seals.
        label = f"smarterbot {purpose} v1".encode()
        self._keys = {key.id: hmac.digest(key.secret, label, hashlib.sha256) for key in keys}

    @property
    def current(self) -> str:
        """Id of the key that makes."""
        return next(iter(self._keys))

    def make(self, *parts: bytes, key: str = "") -> bytes:
        """The hash of these parts, in this order, whatever is in them; under the current key if none is named."""
        told = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._keys[key or self.current], told, hashlib.sha256)

    def all(self, *parts: bytes) -> dict[str, bytes]:
        """The hash under every key, by key id: one of them is what an older key made."""
        return {key: self.make(*parts, key=key) for key in self._keys}

    def fits(self, mac: bytes, *parts: bytes) -> bool:
        """Whether one of the keys made it. Every key is tried, whichever fits: the time it takes tells nothing."""
        fits = [hmac.compare_digest(made[: len(mac)], mac) for made in self.all(*parts).values()]
        return any(fits)
