"""The library: every file of every tenant, its bytes and what is known of it. Implements `handlers.ports.Files`."""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, cast
from uuid import uuid4

import asyncpg

from bot.media.blobs import BlobGoneError, Blobs, BlobsDownError
from bot.media.folder import sweep_old
from bot.media.links import LINK_S, Links
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE
from flows.dialog.events import Attachment
from flows.values.ids import ChannelId, FileId, TenantId, Wamid
from handlers import ports
from handlers.filetypes import safe_name
from handlers.ports import Clock, FileGoneError, FilesDownError, StoredFile

PATH: Final = "/media"
"""Where the web server answers links."""

BATCH_MAX: Final = 50  # files that one transaction deletes
_COLUMNS: Final = "tenant_id, id, kind, mime, size, sha256, name"


class Draft:
    """Implements `handlers.ports.Draft`."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def write(self, chunk: bytes) -> None:
        await asyncio.to_thread(self._write, chunk)

    def _write(self, chunk: bytes) -> None:
        with _reached():
            self._file.write(chunk)
        self.size += len(chunk)
        self._hash.update(chunk)


class Library:
    """See the module."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        *,
        drafts: Path,
        links: Links,
        public_url: str,
        days_of: Callable[[TenantId], int],
        clock: Clock,
    ) -> None:
        """
        Args:
            drafts: folder of this machine for what is under way.
            public_url: what links begin with, e.g. `https://bot.example`.
            days_of: for how many days a tenant keeps what people send.
        """
        self._database = database
        self._blobs = blobs
        self._drafts = drafts
        self._links = links
        self._public_url = public_url.rstrip("/")
        self._days_of = days_of
        self._clock = clock

    # -------------------------------------------------------------- coming in

    @contextlib.asynccontextmanager
    async def draft(self) -> AsyncIterator[Draft]:
        file, path = await asyncio.to_thread(self._new_draft)
        try:
            yield Draft(file, path)
        finally:
            file.close()
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def keep(
        self, draft: ports.Draft, heard: Attachment, *, tenant: TenantId, mime: str, wamid: Wamid
    ) -> StoredFile:
        key = _key(tenant, draft.sha256)
        now = self._now()
        with _reached():
            # First without the lock: it may take long, and others wait for the lock.
            await self._blobs.put(key, draft.path)
            async with self._database.tenant(tenant) as connection:
                await _lock(connection, key)
                if not await self._blobs.exists(key):
                    # The last file with these bytes was deleted meanwhile.
                    await self._blobs.put(key, draft.path)
                row = await connection.fetchrow(
                    f"""
                    INSERT INTO smarterbot.media
                      (tenant_id, id, kind, mime, size, sha256, name, wamid, meta_id, created_at, expires_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                    ON CONFLICT (tenant_id, wamid) DO NOTHING RETURNING {_COLUMNS}
                    """,  # noqa: S608  names of columns
                    *(tenant, uuid4(), heard.kind, mime, draft.size, bytes.fromhex(draft.sha256)),
                    *(safe_name(heard.name, mime), wamid, heard.id),
                    *(now, now + timedelta(days=self._days_of(tenant))),
                )
                if row is None:
                    row = await _row_of_message(connection, tenant, wamid)
        assert row is not None
        return _file(row)

    # -------------------------------------------------------------- going out

    async def of_message(self, tenant: TenantId, wamid: Wamid) -> StoredFile | None:
        with _reached():
            async with self._database.tenant(tenant) as connection:
                row = await _row_of_message(connection, tenant, wamid)
        return None if row is None else _file(row)

    async def of_attachment(self, tenant: TenantId, heard: Attachment) -> StoredFile | None:
        with _reached():
            async with self._database.tenant(tenant) as connection:
                row = await connection.fetchrow(
                    f"SELECT {_COLUMNS} FROM smarterbot.media WHERE tenant_id = $1 AND meta_id = $2 "  # noqa: S608  names of columns
                    "ORDER BY created_at DESC LIMIT 1",
                    tenant,
                    heard.id,
                )
        return None if row is None else _file(row)

    async def find(self, tenant: TenantId, file: FileId) -> StoredFile | None:
        with _reached():
            async with self._database.tenant(tenant) as connection:
                row = await connection.fetchrow(
                    f"SELECT {_COLUMNS} FROM smarterbot.media "  # noqa: S608  names of columns
                    "WHERE tenant_id = $1 AND id = $2 AND expires_at > $3",
                    tenant,
                    file,
                    self._now(),
                )
        return None if row is None else _file(row)

    async def read(
        self, file: StoredFile, start: int = 0, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        key, stop = _key(file.tenant, file.sha256), file.size if stop is None else stop
        async with contextlib.aclosing(self._blobs.read(key, start, stop)) as chunks:
            with _reached():
                async for chunk in chunks:
                    yield chunk

    def link(self, file: StoredFile, *, for_s: int = LINK_S) -> str:
        until_s = self._clock.now_ms() // 1000 + for_s
        token = self._links.sign(file.tenant, file.id, until_s=until_s)
        return f"{self._public_url}{PATH}/{token}"

    async def linked(self, token: str) -> StoredFile | None:
        """The file that a link is for; None if the link is not ours or its time, or the file's, is over."""
        told = self._links.open(token, now_s=self._clock.now_ms() // 1000)
        return None if told is None else await self.find(*told)

    # -------------------------------------------------------------- what Meta has

    async def uploaded(self, file: StoredFile, channel: ChannelId) -> str:
        with _reached():
            async with self._database.tenant(file.tenant) as connection:
                meta_id = await connection.fetchval(
                    "SELECT meta_id FROM smarterbot.media_uploads WHERE tenant_id = $1 AND channel_id = $2 "
                    "AND sha256 = $3 AND mime = $4 AND until > $5",
                    *(file.tenant, channel, bytes.fromhex(file.sha256), file.mime, self._now()),
                )
        return cast(str, meta_id or "")

    async def remember_upload(
        self, file: StoredFile, channel: ChannelId, meta_id: str, *, until_ms: int
    ) -> None:
        with _reached():
            async with self._database.tenant(file.tenant) as connection:
                await connection.execute(
                    """
                    INSERT INTO smarterbot.media_uploads (tenant_id, channel_id, sha256, mime, meta_id, until)
                    VALUES ($1, $2, $3, $4, $5, $6)
                    ON CONFLICT (tenant_id, channel_id, sha256, mime)
                    DO UPDATE SET meta_id = excluded.meta_id, until = excluded.until
                    """,
                    *(file.tenant, channel, bytes.fromhex(file.sha256), file.mime, meta_id),
                    datetime.fromtimestamp(until_ms / 1000, UTC),
                )

    # -------------------------------------------------------------- going away

    async def expire(self, tenant: TenantId) -> int:
        """Delete some of a tenant's files whose time is over; answers how many. Several may do it at once.

        Raises:
            FilesDownError: nothing was forgotten of what was not deleted.
        """
        now = self._now()
        with _reached():
            async with self._database.tenant(tenant) as connection:
                rows = await connection.fetch(
                    """
                    SELECT id, sha256 FROM smarterbot.media WHERE tenant_id = $1 AND expires_at <= $2
                    ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED
                    """,
                    *(tenant, now, BATCH_MAX),
                )
                await self._delete(connection, tenant, rows)
                await connection.execute(
                    "DELETE FROM smarterbot.media_uploads WHERE tenant_id = $1 AND until <= $2",
                    *(tenant, now),
                )
        return len(rows)

    async def _delete(
        self, connection: Connection, tenant: TenantId, rows: Sequence[asyncpg.Record]
    ) -> None:
        """The bytes go before the rows are gone for good: what breaks in between is done again, never forgotten."""
        digests = sorted({row["sha256"] for row in rows})
        for digest in digests:
            await _lock(connection, _key(tenant, digest.hex()))
        await connection.execute(
            "DELETE FROM smarterbot.media WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            *(tenant, [row["id"] for row in rows]),
        )
        kept = await connection.fetch(
            "SELECT DISTINCT sha256 FROM smarterbot.media WHERE tenant_id = $1 AND sha256 = ANY($2::bytea[])",
            *(tenant, digests),
        )
        gone = sorted(set(digests) - {row["sha256"] for row in kept})
        await connection.execute(
            "DELETE FROM smarterbot.media_uploads WHERE tenant_id = $1 AND sha256 = ANY($2::bytea[])",
            *(tenant, gone),
        )
        for digest in gone:
            await self._blobs.delete(_key(tenant, digest.hex()))

    async def sweep(self) -> None:
        """Remove what processes that died have left under way."""
        with _reached():
            await self._blobs.sweep()
            await asyncio.to_thread(sweep_old, self._drafts)

    def _new_draft(self) -> tuple[BinaryIO, Path]:
        with _reached():
            self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Readable for us alone, as mkstemp makes it.
            file = tempfile.NamedTemporaryFile(dir=self._drafts, delete=False, buffering=0)  # noqa: SIM115
            return cast(BinaryIO, file), Path(file.name)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """What keeps us from the bytes or the rows, as the port tells it."""
    try:
        yield
    except BlobGoneError:
        raise FileGoneError from None
    except (*UNAVAILABLE, BlobsDownError) as error:
        raise FilesDownError(type(error).__name__) from error


async def _row_of_message(
    connection: Connection, tenant: TenantId, wamid: Wamid
) -> asyncpg.Record | None:
    return await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM smarterbot.media WHERE tenant_id = $1 AND wamid = $2",  # noqa: S608  names of columns
        tenant,
        wamid,
    )


async def _lock(connection: Connection, key: str) -> None:
    """Until the transaction's end nobody else adds the first file with these bytes, or deletes the last one."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)


def _key(tenant: TenantId, sha256: str) -> str:
    return f"{tenant}/{sha256[:2]}/{sha256}"


def _file(row: asyncpg.Record) -> StoredFile:
    return StoredFile(
        id=FileId(str(row["id"])),
        tenant=TenantId(str(row["tenant_id"])),
        kind=row["kind"],
        mime=row["mime"],
        size=row["size"],
        sha256=row["sha256"].hex(),
        name=row["name"],
    )
