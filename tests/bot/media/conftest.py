"""The library over a real database, two firms, and a clock that is moved."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.clock import Clock
from bot.media.folder import Folder
from bot.media.library import Library
from bot.media.links import Links
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import Key
from flows.dialog.events import Attachment
from flows.values.ids import TenantId, Wamid
from handlers.ports import StoredFile
from tests.bot.people.conftest import BAKERY, BAKERY_RUT, BUTCHERY, BUTCHERY_RUT

KEYS = (Key(id="k1", secret=bytes(range(32))),)
DAYS = {BAKERY.id: 90, BUTCHERY.id: 7}
DAY_MS = 24 * 3_600_000
PHOTO = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
async def library(database: Database, folder: Path, tmp_path: Path, clock: Clock) -> Library:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_tenant(database, BUTCHERY, rut=BUTCHERY_RUT)
    return Library(
        database,
        Folder(folder),
        drafts=tmp_path / "drafts",
        links=Links(KEYS),
        public_url="https://bot.example",
        days_of=DAYS.__getitem__,
        clock=clock,
    )


async def keep(
    library: Library,
    tenant: TenantId,
    wamid: str,
    data: bytes = PHOTO,
    *,
    mime: str = "image/jpeg",
    heard: Attachment | None = None,
) -> StoredFile:
    """A file that came with a message."""
    async with library.draft() as draft:
        for at in range(0, len(data), 400):
            await draft.write(data[at : at + 400])
        return await library.keep(
            draft, heard or Attachment("image", "m1"), tenant=tenant, mime=mime, wamid=Wamid(wamid)
        )


async def content(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def everything_in(folder: Path) -> list[Path]:
    """A folder, and the files and folders in it."""
    return [folder, *folder.rglob("*")]


def kept_in(folder: Path) -> list[str]:
    """The files in a folder, by their path below it."""
    return sorted(str(path.relative_to(folder)) for path in everything_in(folder) if path.is_file())
