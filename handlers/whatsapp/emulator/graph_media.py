"""The Graph API of files, with Meta's errors and the faults on demand.

POST   /{version}/{phone_number_id}/media      multipart: messaging_product, type, file
GET    /{version}/{media_id}                   ?phone_number_id=
DELETE /{version}/{media_id}
GET    /whatsapp_business/attachments/         ?mid= &ext= &hash=: the download URL, for the bearer of the token
"""

from http import HTTPStatus
from typing import Final

from aiohttp import BodyPartReader, web

from handlers.ports import Clock
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.graph import check_token, refusal, unknown_object
from handlers.whatsapp.emulator.media import Media, StoredMedium
from handlers.whatsapp.emulator.waits import Waits
from handlers.whatsapp.emulator.world import NumberId, World

UPLOAD_BYTES_MAX: Final = 101 * 1_000_000
PIECE_BYTES: Final = 64 * 1024
ENDLESS_BYTES: Final = 2**30  # nobody should read so far
INSIDE_URL: Final = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
PROGRAM: Final = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + bytes(112)


class GraphMedia:
    """Answers the bot about files."""

    def __init__(
        self, *, world: World, media: Media, faults: Board, clock: Clock, waits: Waits
    ) -> None:
        self._world = world
        self._media = media
        self._faults = faults
        self._clock = clock
        self._waits = waits

    def routes(self) -> list[web.RouteDef]:
        """Before those of `Graph`, whose ids are of any length."""
        version = r"/{version:v\d+\.\d+}"
        return [
            web.post(version + r"/{id:\d+}/media", self._upload),
            web.get(version + r"/{id:\d{20}}", self._describe),
            web.delete(version + r"/{id:\d{20}}", self._delete),
            web.get("/whatsapp_business/attachments/", self._download),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        number = NumberId(request.match_info["id"])
        try:
            known = self._world.numbers.get(number)
            if known is None:
                raise unknown_object(number)
            check_token(request, known)
            if self._faults.take(number, "upload_refused"):
                raise GraphError(131053, "Media upload error.")
            mime, data = await _form(request)
            medium = self._media.upload(number, mime, data, now_ms=self._clock.now_ms())
        except GraphError as error:
            return refusal(error)
        return web.json_response({"id": medium.id})

    async def _describe(self, request: web.Request) -> web.Response:
        try:
            medium = self._found(request)
            if self._faults.take(medium.number, "media_gone"):
                raise unknown_object(medium.id)
        except GraphError as error:
            return refusal(error)
        query = self._media.query(medium, now_ms=self._clock.now_ms())
        url = str(
            request.url.origin().with_path("/whatsapp_business/attachments/").with_query(query)
        )
        if self._faults.take(medium.number, "media_inside"):
            url = INSIDE_URL
        return web.json_response(
            {
                "messaging_product": "whatsapp",
                "url": url,
                "mime_type": medium.mime,
                "sha256": medium.sha256.hex(),
                "file_size": str(len(medium.data)),
                "id": medium.id,
            }
        )

    async def _delete(self, request: web.Request) -> web.Response:
        try:
            self._media.forget(self._found(request).id)
        except GraphError as error:
            return refusal(error)
        return web.json_response({"success": True})

    def _found(self, request: web.Request) -> StoredMedium:
        medium = self._media.find(request.match_info["id"], now_ms=self._clock.now_ms())
        asked = request.query.get("phone_number_id", "")
        if medium is None or (asked and asked != medium.number):
            raise unknown_object(request.match_info["id"])
        check_token(request, self._world.numbers[medium.number])
        return medium

    # -------------------------------------------------------------- bytes

    async def _download(self, request: web.Request) -> web.StreamResponse:
        medium = self._media.behind(dict(request.query), now_ms=self._clock.now_ms())
        if medium is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        number = medium.number
        try:
            check_token(request, self._world.numbers[number])
        except GraphError:
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        if self._faults.take(number, "media_url_dead"):
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if self._faults.take(number, "media_redirect"):
            return web.Response(status=HTTPStatus.FOUND, headers={"Location": INSIDE_URL})
        if slow_ms := self._faults.of(number).media_slow_ms:
            await self._waits.during(slow_ms)
        if self._faults.take(number, "media_endless"):
            return await self._endless(request, medium)
        data = medium.data
        if self._faults.take(number, "media_swapped"):
            data = PROGRAM
        elif self._faults.take(number, "media_damaged"):
            data = data[:-1] + bytes((data[-1] ^ 1,))
        return web.Response(body=data, headers={"Content-Type": medium.mime})

    async def _endless(self, request: web.Request, medium: StoredMedium) -> web.StreamResponse:
        """More than was announced, and then more: without a length, as a broken or hostile server may."""
        response = web.StreamResponse(headers={"Content-Type": medium.mime})
        await response.prepare(request)
        await response.write(medium.data)
        for _ in range(ENDLESS_BYTES // PIECE_BYTES):
            await response.write(bytes(PIECE_BYTES))
        return response


async def _form(request: web.Request) -> tuple[str, bytes]:
    """(type, bytes) of an upload."""
    if request.content_type != "multipart/form-data":
        raise GraphError(100, "The request is no multipart/form-data.")
    fields: dict[str, bytes] = {}
    mime = ""
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise GraphError(100, "A part of the form cannot be read.")
        data = bytearray()
        while piece := await part.read_chunk(PIECE_BYTES):
            data += piece
            if len(data) > UPLOAD_BYTES_MAX:
                raise GraphError(131053, "The file is too large.")
        fields[part.name] = bytes(data)
        if part.name == "file":
            mime = part.headers.get("Content-Type", "")
    if fields.get("messaging_product") != b"whatsapp":
        raise GraphError(100, "(#100) The parameter messaging_product is required.")
    if "file" not in fields:
        raise GraphError(100, "(#100) The parameter file is required.")
    return fields.get("type", b"").decode(errors="replace") or mime, fields["file"]
