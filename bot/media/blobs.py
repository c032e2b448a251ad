"""Where bytes lie: the port, and which of its two implementations a URL names.

A key names what it holds (`<tenant>/<first two digits>/<sha256>`), so nothing is ever replaced and putting twice is the
same as putting once.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

CHUNK_BYTES: Final = 256 * 1024


class BlobsDownError(Exception):
    """The place cannot be reached now."""


class BlobGoneError(Exception):
    """Nothing lies under this key."""


class Blobs(Protocol):
    """All but `read` raise BlobsDownError alone."""

    async def put(self, key: str, path: Path) -> None:
        """Copy a finished file there; once it returns, the bytes survive a power cut. The file stays where it is."""
        ...

    def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Its bytes from `start` to before `stop`, in pieces.

        Raises:
            BlobGoneError, BlobsDownError
        """
        ...

    async def exists(self, key: str) -> bool: ...

    async def delete(self, key: str) -> None:
        """It is no error if nothing is there."""
        ...

    async def sweep(self) -> None:
        """Remove what processes that died have left unfinished."""
        ...


def open_blobs(url: str, folder: Path) -> Blobs:
    """The place that MEDIA_URL names; `folder` when it is empty.

    Raises:
        ValueError: that says what is expected.
    """
    if not url or urlsplit(url).scheme == "file":
        from bot.media.folder import Folder

        return Folder(Path(unquote(urlsplit(url).path)) if url else folder)
    try:
        from bot.media.bucket import Bucket  # its library is an extra: a small install stays small
    except ImportError as error:
        raise ValueError("s3:// needs the extra: pip install 'smarterbot[s3]'") from error
    return Bucket.of(url)


def check_media_url(url: str) -> str:
    """Whether MEDIA_URL can be read, without opening anything. Raises as `open_blobs`."""
    parts = urlsplit(url)
    if url and not (
        (parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"))
        or (parts.scheme == "s3" and parts.hostname)
    ):
        raise ValueError(
            "file:///folder or s3://KEY:SECRET@bucket/prefix?endpoint=https://…&region=… is expected"
        )
    return url
