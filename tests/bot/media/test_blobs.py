"""Both places for bytes keep the same promises: a folder, and a bucket behind a server that speaks S3.

The server is moto's: a stateful stand-in over HTTP, without signatures looked at and without the faults of a real one.
"""

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from bot.media.blobs import BlobGoneError, Blobs, BlobsDownError, check_media_url, open_blobs
from tests.bot.media.conftest import content, everything_in, kept_in

KEY = "6f9619ff-8b86-4011-b42d-00c04fc964ff/ab/abcdef"
DATA = bytes(range(256)) * 64 * 1024  # 16 MB: more than one part of an upload


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """MEDIA_URL of a bucket on a server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(f"http://127.0.0.1:{port}/files")
        yield f"s3://KEY:SE%2FCRET@files/prefix?endpoint=http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _make_bucket(url: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the S3 server did not start")


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    url = request.getfixturevalue("bucket") if request.param == "bucket" else ""
    return open_blobs(url, tmp_path / "media")


@pytest.fixture
async def empty(blobs: Blobs) -> AsyncIterator[Blobs]:
    await blobs.delete(KEY)
    yield blobs
    await blobs.delete(KEY)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


async def test_what_was_put_is_read_again_in_whole_and_in_part(empty: Blobs, source: Path) -> None:
    assert not await empty.exists(KEY)

    await empty.put(KEY, source)

    assert await empty.exists(KEY)
    assert everything_in(source) == [source]  # it stays
    assert await content(empty.read(KEY, 0, len(DATA))) == DATA
    assert await content(empty.read(KEY, 250, 260)) == DATA[250:260]


async def test_putting_twice_and_at_once_is_putting_once(empty: Blobs, source: Path) -> None:
    await asyncio.gather(*(empty.put(KEY, source) for _ in range(3)))

    assert await content(empty.read(KEY, 0, len(DATA))) == DATA


async def test_what_is_not_there_is_told(empty: Blobs) -> None:
    with pytest.raises(BlobGoneError):
        await content(empty.read(KEY, 0, 10))
    await empty.delete(KEY)


async def test_a_reader_may_stop_in_the_middle(empty: Blobs, source: Path) -> None:
    await empty.put(KEY, source)

    async with aclosing(empty.read(KEY, 0, len(DATA))) as chunks:
        assert (await anext(chunks))[:256] == DATA[:256]
    await empty.delete(KEY)
    assert not await empty.exists(KEY)


async def test_a_bucket_that_is_not_reached_is_told_apart_from_one_that_is_empty(
    free_port: int, source: Path, tmp_path: Path
) -> None:
    gone = open_blobs(f"s3://KEY:SECRET@files?endpoint=http://127.0.0.1:{free_port}", tmp_path)

    with pytest.raises(BlobsDownError):
        await gone.exists(KEY)


async def test_a_folder_is_never_seen_with_half_a_file(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "media"
    blobs = open_blobs(f"file://{folder}", tmp_path)

    await blobs.put(KEY, source)

    assert kept_in(folder) == [KEY]


@pytest.mark.parametrize(
    "url", ["", "file:///var/media", "s3://files", "s3://K:S@files/a/b?endpoint=https://s3.example"]
)
def test_places_are_named_by_url(url: str) -> None:
    assert check_media_url(url) == url


@pytest.mark.parametrize(
    "url", ["/var/media", "file://host/media", "file://", "s3://", "https://s3.example/files"]
)
def test_what_names_no_place_is_told_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match="file:///folder or s3://"):
        check_media_url(url)


def test_an_option_that_nobody_knows_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only endpoint and region"):
        open_blobs("s3://files?endpont=https://s3.example", tmp_path)
