"""Files over real HTTP: for whoever has a link, in whole or in part, and never as a page of ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from bot.clock import Clock
from bot.media.library import Library
from bot.web.media import media_route
from flows.dialog.events import Attachment
from flows.values.ids import FileId
from tests.bot.media.conftest import PHOTO, clock, folder, keep, kept_in, library
from tests.bot.people.conftest import BAKERY, BUTCHERY

__all__ = ["clock", "folder", "library"]

NOBODY = FileId("7d444840-9dc0-41d1-b245-5ffdce74fad2")


@pytest.fixture
async def http(library: Library) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.add_routes([media_route(library)])
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(server.make_url("/")) as session,
    ):
        yield session


def path_of(link: str) -> str:
    return link.removeprefix("https://bot.example")


async def test_a_link_gives_the_file_with_its_true_type(
    http: aiohttp.ClientSession, library: Library
) -> None:
    file = await keep(library, BAKERY.id, "w1", heard=Attachment("image", "m1", mime="text/html"))

    async with http.get(path_of(library.link(file))) as answer:
        assert answer.status == 200
        assert await answer.read() == PHOTO
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Content-Disposition"].startswith(f'inline; filename="{file.id}.jpg"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Cache-Control"] == "private, no-store"


async def test_a_document_is_saved_and_not_shown(
    http: aiohttp.ClientSession, library: Library
) -> None:
    heard = Attachment("document", "m1", name='cotización "mañana".pdf')
    file = await keep(library, BAKERY.id, "w1", b"%PDF-1.7", mime="application/pdf", heard=heard)

    async with http.get(path_of(library.link(file))) as answer:
        disposition = answer.headers["Content-Disposition"]
    assert disposition == (
        'attachment; filename="cotizaci_n ma_ana.pdf"; '
        "filename*=UTF-8''cotizaci%C3%B3n%20ma%C3%B1ana.pdf"
    )


async def test_a_name_that_would_write_headers_writes_none(
    http: aiohttp.ClientSession, library: Library
) -> None:
    heard = Attachment("document", "m1", name='a"\r\nX-Evil: 1\r\n\r\n<html>.pdf')
    file = await keep(library, BAKERY.id, "w1", b"%PDF-1.7", mime="application/pdf", heard=heard)

    async with http.get(path_of(library.link(file))) as answer:
        assert answer.status == 200
        assert "X-Evil" not in answer.headers
        assert await answer.read() == b"%PDF-1.7"


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        pytest.param("bytes=0-9", 206, 0, 9, id="first-ten"),
        pytest.param("bytes=1000-", 206, 1000, len(PHOTO) - 1, id="from-there-on"),
        pytest.param("bytes=-5", 206, len(PHOTO) - 5, len(PHOTO) - 1, id="last-five"),
        pytest.param("bytes=5-99999", 206, 5, len(PHOTO) - 1, id="beyond-the-end"),
        pytest.param("bytes=0-0,5-9", 200, 0, len(PHOTO) - 1, id="several-parts"),
        pytest.param("lines=1-2", 200, 0, len(PHOTO) - 1, id="other-unit"),
    ],
)
async def test_a_part_may_be_asked_for(
    http: aiohttp.ClientSession, library: Library, asked: str, status: int, first: int, last: int
) -> None:
    file = await keep(library, BAKERY.id, "w1")

    async with http.get(path_of(library.link(file)), headers={"Range": asked}) as answer:
        assert answer.status == status
        assert await answer.read() == PHOTO[first : last + 1]
        if status == 206:
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(PHOTO)}"


async def test_a_part_that_is_not_there_is_told(
    http: aiohttp.ClientSession, library: Library
) -> None:
    file = await keep(library, BAKERY.id, "w1")

    async with http.get(path_of(library.link(file)), headers={"Range": "bytes=99999-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(PHOTO)}"


async def test_only_the_headers_may_be_asked_for(
    http: aiohttp.ClientSession, library: Library
) -> None:
    file = await keep(library, BAKERY.id, "w1")

    async with http.head(path_of(library.link(file))) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(PHOTO)))


async def test_strangers_cannot_tell_what_is_wrong_with_a_link(
    http: aiohttp.ClientSession, library: Library, clock: Clock, folder: Path
) -> None:
    file = await keep(library, BAKERY.id, "w1")
    lost = await keep(library, BUTCHERY.id, "w1")
    await_blob = [path for path in kept_in(folder) if path.startswith(BUTCHERY.id)]
    (folder / await_blob[0]).unlink()
    good = library.link(file)
    links = {
        "forged": good[:-4] + "AAAA",
        "noise": "https://bot.example/media/x",
        "never was": library.link(replace(file, id=NOBODY)),
        "of another tenant": library.link(replace(file, tenant=BUTCHERY.id)),
        "bytes lost": library.link(lost),
        "over": library.link(file, for_s=-1),
    }

    answers = set()
    for link in links.values():
        async with http.get(path_of(link)) as answer:
            headers = {k: v for k, v in answer.headers.items() if k != "Date"}
            answers.add((answer.status, await answer.read(), frozenset(headers.items())))

    assert len(answers) == 1
    assert next(iter(answers))[0] == 404


async def test_an_expired_link_is_no_link(
    http: aiohttp.ClientSession, library: Library, clock: Clock
) -> None:
    path = path_of(library.link(await keep(library, BAKERY.id, "w1")))
    async with http.get(path) as answer:
        assert answer.status == 200

    clock.shift(15 * 60_000)

    async with http.get(path) as answer:
        assert answer.status == 404


async def test_a_link_does_not_open_a_path_beside_it(http: aiohttp.ClientSession) -> None:
    for path in ("/media/../etc/passwd", "/media/%2e%2e%2fetc%2fpasswd", "/media/", "/media/a/b"):
        async with http.get(path) as answer:
            assert answer.status == 404
