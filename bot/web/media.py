"""`GET /media/<token>`: a file for whoever holds a link to it, for as long as the link says.

A file was made by a stranger. So it is never shown as a page of ours: its type is the one told from its bytes, browsers may
not guess another, nothing in it may run or load, and only pictures, sound and video are shown in place.
"""

import asyncio
from contextlib import aclosing
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import web

from bot.media.library import PATH, Library
from handlers.filetypes import TYPES
from handlers.ports import FileGoneError, FilesDownError, StoredFile

SEND_S: Final = 600.0  # for the whole file: a reader who takes longer is no reader
SHOWN: Final = ("image/", "audio/", "video/")

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "private, no-store",
    "Accept-Ranges": "bytes",
}

log = structlog.get_logger()


def media_route(library: Library) -> web.RouteDef:
    """Also answers HEAD. Whatever is wrong with a link, the answer is the same: 404."""

    async def give(request: web.Request) -> web.StreamResponse:
        try:
            file = await library.linked(request.match_info["token"])
            if file is None:
                return _not_found()
            return await _give(request, library, file)
        except FileGoneError:
            return _not_found()
        except FilesDownError:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_HEADERS)

    return web.get(f"{PATH}/{{token}}", give)


async def _give(request: web.Request, library: Library, file: StoredFile) -> web.StreamResponse:
    response = web.StreamResponse(headers=_HEADERS)
    response.content_type = file.mime
    response.headers["Content-Disposition"] = _disposition(file)
    start, stop = 0, file.size
    if "Range" in request.headers:
        try:
            asked = request.http_range
            start, stop, _ = slice(asked.start, asked.stop).indices(file.size)
        except ValueError:
            pass  # RFC 9110, 14.2: a Range that cannot be read is as good as none
        else:
            if start >= stop:
                response.set_status(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                response.headers["Content-Range"] = f"bytes */{file.size}"
                response.content_length = 0
                await response.prepare(request)
                return response
            response.set_status(HTTPStatus.PARTIAL_CONTENT)
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    response.content_length = stop - start
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    async with aclosing(library.read(file, start, stop)) as pieces:
        # The first piece before the first header: then it is still time to say that there is no such file.
        first = await anext(pieces, b"")
        try:
            async with asyncio.timeout(SEND_S):
                await response.prepare(request)
                await response.write(first)
                async for piece in pieces:
                    await response.write(piece)
        except (FileGoneError, FilesDownError, TimeoutError) as error:
            # Too late for another answer: the reader sees that this one broke off.
            log.warning("media.broke_off", media=file.id, error=type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
    return response


def _not_found() -> web.Response:
    return web.Response(status=HTTPStatus.NOT_FOUND, headers=_HEADERS)


def _disposition(file: StoredFile) -> str:
    how = "inline" if file.mime.startswith(SHOWN) else "attachment"
    name = file.name or f"{file.id}{TYPES[file.mime].extensions[0]}"
    # RFC 6266: the plain name for old readers, in ASCII; the true one beside it.
    plain = "".join(
        sign if (sign.isascii() and sign.isalnum()) or sign in " ._-" else "_" for sign in name
    )
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
