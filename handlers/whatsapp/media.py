"""Serves the lanes `media/<conversation>`: fetches the files that people send, before Meta forgets them.

What Meta says about a file is a claim like any other: its bytes are counted, hashed, and its type told from them before
anything is kept. Fetching may be repeated; a message's file is kept once.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import structlog

from flows.dialog.events import FileLost, MediaKind
from handlers.actions import FetchMedia
from handlers.filetypes import HEARD_MAX, FileTypeError, check_heard
from handlers.journal import RefusedRecord
from handlers.outside import RefusedUrlError, UnreachableError
from handlers.ports import (
    Again,
    Clock,
    Dead,
    Directory,
    Done,
    Draft,
    Files,
    FilesDownError,
    Item,
    Outcome,
    StoredFile,
)
from handlers.whatsapp.errors import GraphFault, MaybeSentError, NotSentError
from handlers.whatsapp.faults import Reaction
from handlers.whatsapp.media_client import DeadUrlError, Described, MediaClient
from handlers.whatsapp.meter import Meter

AT_ONCE_MAX: Final = 24
"""Files under way in one process; more wait in their lanes, so that conversations find room beside them."""
BUSY_MS: Final = (
    1_000  # up to five times as long, so that a crowd of waiting lanes does not keep the store busy
)
UNREACHABLE_REST_MS: Final = 15_000
NO_CHANNEL_MS: Final = 300_000

BACKOFF_MS: Final = 2_000
BACKOFF_MS_MAX: Final = 600_000
TRIES_MAX: Final = 40  # about five hours of back-off
DAMAGED_TRIES_MAX: Final = 5
AGE_MS_MAX: Final = 7 * 24 * 3_600_000  # Meta: a media id that came in is good for so long

DOWNLOAD_FAILED: Final = 131052
"""Meta's code for a person's file that cannot be had."""

log = structlog.get_logger()

_decode: Final = msgspec.json.Decoder(FetchMedia).decode


class _DamagedError(Exception):
    """What came is not what Meta announced."""


class MediaFetcher:
    """The handler of kind `media`."""

    def __init__(
        self,
        client: MediaClient,
        files: Files,
        *,
        directory: Directory,
        clock: Clock,
        meter: Meter,
        jitter: Callable[[], float],
    ) -> None:
        """`jitter`: evenly spread in [0, 1), e.g. `random.random`."""
        self._client = client
        self._files = files
        self._directory = directory
        self._clock = clock
        self._meter = meter
        self._jitter = jitter
        self._under_way = 0

    @property
    def kind(self) -> str:
        return "media"

    async def serve(self, item: Item) -> Outcome:
        try:
            fetch = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        if self._under_way >= AT_ONCE_MAX:
            return self._rest(BUSY_MS + int(4 * BUSY_MS * self._jitter()), "busy")
        self._under_way += 1
        try:
            return await self._fetch(fetch, item)
        except FilesDownError:
            return self._rest(UNREACHABLE_REST_MS, "files_down")
        finally:
            self._under_way -= 1

    async def _fetch(self, fetch: FetchMedia, item: Item) -> Outcome:
        if await self._files.of_message(fetch.tenant, fetch.message) is not None:
            return Done()
        if self._clock.now_ms() - fetch.at > AGE_MS_MAX:
            return self._lost(fetch, item, "expired")
        channel = self._directory.channel(fetch.channel)
        token = self._directory.token(fetch.channel)
        if channel is None or not token:
            return self._rest(NO_CHANNEL_MS, "no_channel")
        try:
            file = await self._received(fetch, number=channel.phone_number_id, token=token)
        except FileTypeError as error:
            return self._lost(fetch, item, error.why)
        except RefusedUrlError as error:
            # Somebody tampers, or Meta has a new place for files: a person must look.
            log.error("media.refused_url", item=item.id, why=error.why)
            return self._lost(fetch, item, "refused_url", dead=True)
        except GraphFault as refusal:
            return self._react(refusal, fetch, item)
        except NotSentError:
            return self._rest(UNREACHABLE_REST_MS, "unreachable")
        except (MaybeSentError, UnreachableError, DeadUrlError) as error:
            return self._again(fetch, item, type(error).__name__, tries_max=TRIES_MAX)
        except _DamagedError:
            return self._again(fetch, item, "damaged", tries_max=DAMAGED_TRIES_MAX)
        self._meter.count("media", "kept")
        log.info("media.kept", item=item.id, media=file.id, kind=file.kind, size=file.size)
        return Done()

    async def _received(self, fetch: FetchMedia, *, number: str, token: str) -> StoredFile:
        """Download, look, keep."""
        media = fetch.media
        async with self._files.draft() as draft:
            described = await self._client.describe(media.id, phone_number_id=number, token=token)
            try:
                await self._download(described, draft, media.kind, token)
            except DeadUrlError:
                # It lives five minutes, and the way to us may have taken longer.
                described = await self._client.describe(
                    media.id, phone_number_id=number, token=token
                )
                await self._download(described, draft, media.kind, token)
            claims = set(_digests(media.sha256, described.sha256))
            if claims - {draft.sha256}:
                raise _DamagedError
            found = await asyncio.to_thread(check_heard, draft.path, media.kind)
            return await self._files.keep(
                draft, media, tenant=fetch.tenant, mime=found.mime, wamid=fetch.message
            )

    async def _download(
        self, described: Described, draft: Draft, kind: MediaKind, token: str
    ) -> None:
        most = HEARD_MAX[kind]
        if described.file_size > most:
            raise FileTypeError("too_large")
        async with self._client.download(described.url, token) as pieces:
            async for piece in pieces:
                if draft.size + len(piece) > most:
                    raise FileTypeError("too_large")
                await draft.write(piece)

    # -------------------------------------------------------------- outcomes

    def _react(self, refusal: GraphFault, fetch: FetchMedia, item: Item) -> Outcome:
        fault = refusal.fault
        self._meter.count("whatsapp_fault", fault.name)
        asked_ms = refusal.retry_after_s * 1000
        match fault.reaction:
            case Reaction.PAUSE:
                log.warning("media.fault", item=item.id, fault=fault.name, code=refusal.code)
                return self._rest(max(fault.rest_s * 1000, asked_ms), fault.name)
            case Reaction.RETRY | Reaction.PAIR:
                return self._again(
                    fetch, item, fault.name, tries_max=fault.tries_max, least_ms=asked_ms
                )
            case _:
                # No such id: it was deleted, or its week is over.
                return self._lost(fetch, item, "gone")

    def _again(
        self, fetch: FetchMedia, item: Item, why: str, *, tries_max: int, least_ms: int = 0
    ) -> Outcome:
        if item.tries >= tries_max:
            return self._lost(fetch, item, why if why == "damaged" else "unavailable", dead=True)
        backoff_ms = min(BACKOFF_MS << min(item.tries - 1, 20), BACKOFF_MS_MAX)
        return Again(self._spread(max(backoff_ms, least_ms)), why)

    def _rest(self, wait_ms: int, why: str) -> Again:
        """Nothing is wrong with this file: wait, however often."""
        return Again(self._spread(wait_ms), why, counts=False)

    def _lost(self, fetch: FetchMedia, item: Item, why: str, *, dead: bool = False) -> Done | Dead:
        """The file will not be had: it is recorded, and the conversation is told."""
        self._meter.count("media", why)
        log.info("media.lost", item=item.id, kind=fetch.media.kind, why=why)
        fault = f"file_{why}"
        record = RefusedRecord(
            tenant=fetch.tenant,
            ref=fetch.message,
            item=item.id,
            at=self._clock.now_ms(),
            fault=fault,
            code=DOWNLOAD_FAILED,
        )
        event = FileLost(message=fetch.message, kind=fetch.media.kind, why=why)
        if dead:
            return Dead(fault, records=(record,), event=event)
        return Done(records=(record,), event=event)

    def _spread(self, wait_ms: int) -> int:
        return wait_ms + int(wait_ms * 0.25 * self._jitter())


def _digests(*claims: str) -> Iterator[str]:
    """Claimed SHA-256 digests as hex. Meta writes base64 in webhooks and hex in answers; what is neither claims nothing."""
    for claim in claims:
        try:
            raw = (
                bytes.fromhex(claim) if len(claim) == 64 else base64.b64decode(claim, validate=True)
            )
        except (ValueError, binascii.Error):
            continue
        if len(raw) == 32:
            yield raw.hex()
