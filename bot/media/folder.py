"""Bytes in a folder of this machine, or of a disk that all replicas share."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from bot.media.blobs import CHUNK_BYTES, BlobGoneError, BlobsDownError

UNFINISHED: Final = "unfinished"
FORGOTTEN_S: Final = 3_600  # nobody writes a file for so long

T = TypeVar("T")


class Folder:
    """Implements `Blobs`. Files are readable by their owner alone, and never seen unfinished."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, path: Path) -> None:
        await _done(lambda: _put(path, self._root / key, self._root / UNFINISHED))

    async def exists(self, key: str) -> bool:
        return await _done((self._root / key).exists)

    async def delete(self, key: str) -> None:
        await _done(lambda: (self._root / key).unlink(missing_ok=True))

    async def sweep(self) -> None:
        await _done(lambda: sweep_old(self._root / UNFINISHED))

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        try:
            file = await _done(lambda: _opened(self._root / key, start))
        except FileNotFoundError:
            raise BlobGoneError from None
        with file:
            left = stop - start
            while left > 0 and (chunk := await _read(file, min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk


async def _done(work: Callable[[], T]) -> T:
    """Do it in a thread: disks may be slow, or far away."""
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BlobsDownError(type(error).__name__) from error


async def _read(file: BinaryIO, size: int) -> bytes:
    return await _done(lambda: file.read(size))


def _opened(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _put(source: Path, target: Path, unfinished: Path) -> None:
    if target.exists():
        return
    _make_folders(target.parent)
    _make_folders(unfinished)
    descriptor, name = tempfile.mkstemp(dir=unfinished)  # mode 0600
    copy = Path(name)
    try:
        with source.open("rb") as data, os.fdopen(descriptor, "wb") as file:
            while chunk := data.read(CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        copy.replace(target)
    finally:
        copy.unlink(missing_ok=True)
    _sync(target.parent)


def sweep_old(folder: Path) -> None:
    """Remove what processes that died have left in a folder for files under way."""
    if not folder.exists():
        return
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    # The disk's own time, which nobody moves.
    now = Path(name).stat().st_mtime
    Path(name).unlink()
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime > FORGOTTEN_S:
                path.unlink()


def _make_folders(folder: Path) -> None:
    if folder.exists():
        return
    _make_folders(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
