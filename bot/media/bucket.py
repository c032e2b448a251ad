"""Bytes in a bucket of S3, or of anything that speaks its protocol."""

import contextlib
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from bot.media.blobs import CHUNK_BYTES, BlobGoneError, BlobsDownError

if TYPE_CHECKING:
    from obstore.store import S3Config

ANSWER_WITHIN: Final = timedelta(seconds=60)
CONNECT_WITHIN: Final = timedelta(seconds=5)
RETRY_WITHIN: Final = timedelta(seconds=20)  # then the lane waits, not the connection
OPTIONS: Final = frozenset(("endpoint", "region"))


class Bucket:
    """Implements `Blobs`."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    @classmethod
    def of(cls, url: str) -> "Bucket":
        """`s3://KEY:SECRET@bucket/prefix?endpoint=https://…&region=…`; without a key the machine's own role is used.

        Raises:
            ValueError: the URL cannot be read.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        if not options.keys() <= OPTIONS:
            raise ValueError(f"only {' and '.join(sorted(OPTIONS))} may follow the ?")
        endpoint = options.get("endpoint", "")
        config: S3Config = {"region": options.get("region", "us-east-1")}
        if endpoint:
            config["endpoint"] = endpoint
        if parts.username and parts.password:
            config["access_key_id"] = unquote(parts.username)
            config["secret_access_key"] = unquote(parts.password)
        store = S3Store(
            parts.hostname or "",
            prefix=parts.path.strip("/") or None,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": ANSWER_WITHIN,
                "connect_timeout": CONNECT_WITHIN,
            },
            retry_config={"max_retries": 3, "retry_timeout": RETRY_WITHIN},
        )
        return cls(store)

    async def put(self, key: str, path: Path) -> None:
        with _told_apart():
            await obstore.put_async(self._store, key, path)

    async def exists(self, key: str) -> bool:
        try:
            with _told_apart():
                await obstore.head_async(self._store, key)
        except BlobGoneError:
            return False
        return True

    async def delete(self, key: str) -> None:
        with contextlib.suppress(BlobGoneError), _told_apart():
            await obstore.delete_async(self._store, key)

    async def sweep(self) -> None:
        """A bucket's own lifecycle rule does that (`AbortIncompleteMultipartUpload`): uploads have no names here."""

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        with _told_apart():
            found = await obstore.get_async(self._store, key, options={"range": (start, stop)})
            async for chunk in found.stream(CHUNK_BYTES):
                yield bytes(chunk)


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """The library's errors as ours; their texts are not passed on, they may hold a URL with a signature."""
    try:
        yield
    except FileNotFoundError:
        raise BlobGoneError from None
    except (BaseError, OSError) as error:
        raise BlobsDownError(type(error).__name__) from None
