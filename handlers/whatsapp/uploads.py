"""Gives Meta the files that we send: a message names a file by Meta's id, which lives 30 days.

An upload comes before the message and may be repeated, so it never puts a message in doubt: whatever breaks here, the
message has not left.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from typing import Final
from weakref import WeakValueDictionary

from flows.values.ids import ChannelId, FileId, TenantId
from handlers.filetypes import TYPES, FileTypeError, check_said
from handlers.outside import RefusedUrlError
from handlers.ports import Channel, Clock, FileGoneError, Files, FilesDownError, StoredFile
from handlers.whatsapp.errors import MaybeSentError, NotSentError
from handlers.whatsapp.media_client import MediaClient
from handlers.whatsapp.meter import Meter

GOOD_MS: Final = 29 * 24 * 3_600_000
"""Meta keeps an upload for 30 days; the last one is left for what waits in a lane."""
LINK_S: Final = 7 * 24 * 3_600
"""How long a link lives that is sent in place of a file: people read messages days later."""


class UnfitError(Exception):
    """A file cannot be sent: too large for Meta, or gone. Send words and links instead.

    `why` is a word of a closed vocabulary.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Uploads:
    """Meta's ids of our files, for the sender."""

    def __init__(self, client: MediaClient, files: Files, *, clock: Clock, meter: Meter) -> None:
        self._client = client
        self._files = files
        self._clock = clock
        self._meter = meter
        # A lock lives for as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[tuple[ChannelId, str], asyncio.Lock] = (
            WeakValueDictionary()
        )

    async def meta_ids(
        self,
        tenant: TenantId,
        files: Iterable[FileId],
        channel: Channel,
        token: str,
        *,
        refused: Mapping[FileId, str] = {},
    ) -> dict[FileId, str]:
        """The ids under which `channel` may send these files; what Meta does not have is uploaded.

        Args:
            refused: ids that Meta did not take any more (131053, or 100 for one that it does not know).

        Raises:
            UnfitError: one of them can never be sent.
            GraphFault: Meta refuses an upload, for the reasons that it may refuse a message for.
            NotSentError: not now.
        """
        try:
            return {
                each: await self._meta_id(tenant, each, channel, token, refused.get(each, ""))
                for each in files
            }
        except FileGoneError:
            raise UnfitError("gone") from None
        except FileTypeError as error:
            raise UnfitError(error.why) from None
        except (RefusedUrlError, FilesDownError, MaybeSentError) as error:
            # What may have arrived is the file. The message has not left.
            raise NotSentError(str(error)) from None

    async def links(self, tenant: TenantId, files: Iterable[FileId]) -> list[str]:
        """Addresses of these files for the person's browser; what is gone is left out.

        Raises:
            FilesDownError: not now.
        """
        found = [await self._files.find(tenant, each) for each in files]
        return [self._files.link(file, for_s=LINK_S) for file in found if file is not None]

    async def _meta_id(
        self, tenant: TenantId, id: FileId, channel: Channel, token: str, refused: str
    ) -> str:
        file = await self._files.find(tenant, id)
        if file is None:
            raise FileGoneError
        check_said(file.mime, file.size)
        # A file for many people at once goes up once.
        lock = self._locks.setdefault((channel.id, file.sha256), asyncio.Lock())
        async with lock:
            known = await self._files.uploaded(file, channel.id)
            if known and known != refused:
                return known
            return await self._upload(file, channel, token)

    async def _upload(self, file: StoredFile, channel: Channel, token: str) -> str:
        until_ms = self._clock.now_ms() + GOOD_MS
        async with aclosing(self._files.read(file)) as pieces:
            # Whether there is anything to read is found out before Meta is told to listen.
            first = await anext(pieces, b"")
            meta_id = await self._client.upload(
                _chained(first, pieces),
                size=file.size,
                mime=file.mime,
                extension=TYPES[file.mime].extensions[0],
                phone_number_id=channel.phone_number_id,
                token=token,
            )
        self._meter.count("media", "uploaded")
        await self._files.remember_upload(file, channel.id, meta_id, until_ms=until_ms)
        return meta_id


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
