"""Meta's store of media: what people's phones and the business put there, for how long, and under which URL.

Pure state, in memory and bounded: the oldest files are forgotten first.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict
from pathlib import Path
from typing import Final

from msgspec import Struct

from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.world import NumberId

INBOUND_MS: Final = 7 * 24 * 3_600_000  # Meta: a media id in a webhook
UPLOAD_MS: Final = 30 * 24 * 3_600_000  # Meta: a media id of an upload
URL_MS: Final = 5 * 60_000  # Meta: a download URL
BYTES_MAX: Final = 256 * 2**20  # ours, over all files
SAMPLES: Final = Path(__file__).with_name("samples")

MB: Final = 1_000_000
TYPES: Final[dict[str, int]] = {
    "audio/aac": 16 * MB,
    "audio/amr": 16 * MB,
    "audio/mpeg": 16 * MB,
    "audio/mp4": 16 * MB,
    "audio/ogg": 16 * MB,
    "text/plain": 100 * MB,
    "application/pdf": 100 * MB,
    "application/msword": 100 * MB,
    "application/vnd.ms-excel": 100 * MB,
    "application/vnd.ms-powerpoint": 100 * MB,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": 100 * MB,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": 100 * MB,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": 100 * MB,
    "image/jpeg": 5 * MB,
    "image/png": 5 * MB,
    "image/webp": 500_000,
    "video/mp4": 16 * MB,
    "video/3gpp": 16 * MB,
}
"""What a business may upload, and how many bytes of it. Source: Cloud API, "Supported media types"."""


class StoredMedium(Struct, frozen=True, kw_only=True):
    """One file."""

    id: str
    number: NumberId
    mime: str
    data: bytes
    until_ms: int
    name: str = ""

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.data).digest()


class Media:
    """The files of all numbers."""

    def __init__(self, *, salt: str) -> None:
        self._salt = salt.encode()
        self._made = 0
        self._bytes = 0
        self._kept: OrderedDict[str, StoredMedium] = OrderedDict()
        self._samples: dict[str, bytes] = {}

    def reset(self) -> None:
        """Forget the files. No id is used twice."""
        self._kept.clear()
        self._bytes = 0

    def receive(
        self, number: NumberId, mime: str, data: bytes, *, name: str = "", now_ms: int
    ) -> StoredMedium:
        """A person's phone sends a file to the number."""
        return self._keep(number, mime, data, name, now_ms + INBOUND_MS)

    def sample(self, number: NumberId, file: str, mime: str, *, now_ms: int) -> StoredMedium:
        """A file for a bubble that nobody gave one."""
        if file not in self._samples:
            self._samples[file] = (SAMPLES / file).read_bytes()
        return self.receive(number, mime, self._samples[file], now_ms=now_ms)

    def upload(self, number: NumberId, mime: str, data: bytes, *, now_ms: int) -> StoredMedium:
        """The business uploads a file.

        Raises:
            GraphError: of a type that Meta does not take, or too large.
        """
        most = TYPES.get(mime.partition(";")[0].strip())
        if most is None:
            raise GraphError(
                100,
                f"Param file must be a file with one of the following types: {', '.join(TYPES)}.",
            )
        if len(data) > most:
            raise GraphError(131053, f"The file is larger than {most} bytes.")
        return self._keep(number, mime, data, "", now_ms + UPLOAD_MS)

    def find(self, id: str, *, now_ms: int) -> StoredMedium | None:
        medium = self._kept.get(id)
        return medium if medium is not None and now_ms < medium.until_ms else None

    def forget(self, id: str) -> None:
        medium = self._kept.pop(id, None)
        if medium is not None:
            self._bytes -= len(medium.data)

    # -------------------------------------------------------------- URLs

    def query(self, medium: StoredMedium, *, now_ms: int) -> dict[str, str]:
        """The query of a download URL that is good from now on."""
        ext = str(now_ms + URL_MS)
        return {"mid": medium.id, "ext": ext, "hash": self._proof(medium.id, ext)}

    def behind(self, query: dict[str, str], *, now_ms: int) -> StoredMedium | None:
        """What a download URL leads to; None if it is over, or was never made."""
        mid, ext, proof = (query.get(key, "") for key in ("mid", "ext", "hash"))
        genuine = hmac.compare_digest(proof.encode(), self._proof(mid, ext).encode())
        return self.find(mid, now_ms=now_ms) if genuine and now_ms < int(ext) else None

    def _proof(self, mid: str, ext: str) -> str:
        digest = hmac.digest(self._salt, f"{mid}/{ext}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()

    def _keep(
        self, number: NumberId, mime: str, data: bytes, name: str, until_ms: int
    ) -> StoredMedium:
        self._made += 1
        run = int.from_bytes(hashlib.sha256(self._salt).digest()[:5]) % 10**13
        medium = StoredMedium(
            # Longer than the ids of numbers and accounts: what stands behind an id is told by its length here.
            id=f"{run:013d}{self._made:07d}",
            number=number,
            mime=mime,
            data=data,
            until_ms=until_ms,
            name=name,
        )
        self._kept[medium.id] = medium
        self._bytes += len(data)
        while self._bytes > BYTES_MAX and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))
        return medium
