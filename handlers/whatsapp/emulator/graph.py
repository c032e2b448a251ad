"""The Graph API as the bot sees it: sending and reading; with Meta's errors and the faults on demand.

POST /{version}/{phone_number_id}/messages      send · mark read · typing
"""

import secrets
import socket
import struct
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from handlers.ports import Clock
from handlers.whatsapp.emulator.accounts import Accounts
from handlers.whatsapp.emulator.content import Form, Notice, Said, media_in
from handlers.whatsapp.emulator.errors import HTTP_STATUS, GraphError, title_of
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.forms import FormStore
from handlers.whatsapp.emulator.media import Media
from handlers.whatsapp.emulator.phones import Phones
from handlers.whatsapp.emulator.sends import ReadReceipt, read_request
from handlers.whatsapp.emulator.waits import Waits
from handlers.whatsapp.emulator.witness import Witness
from handlers.whatsapp.emulator.world import Number, NumberId, Send, World

_BAD_GATEWAY: Final = "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>"


class Graph:
    """Answers the bot."""

    def __init__(
        self,
        *,
        world: World,
        phones: Phones,
        media: Media,
        accounts: Accounts,
        forms: FormStore,
        faults: Board,
        clock: Clock,
        waits: Waits,
        witness: Witness | None,
    ) -> None:
        self._world = world
        self._phones = phones
        self._accounts = accounts
        self._media = media
        self._forms = forms
        self._faults = faults
        self._clock = clock
        self._waits = waits
        self._witness = witness

    def routes(self) -> list[web.RouteDef]:
        version = r"/{version:v\d+\.\d+}"
        return [
            web.post(version + r"/{id:\d+}/messages", self._messages),
        ]

    # -------------------------------------------------------------- messages

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        number = NumberId(request.match_info["id"])
        body = await request.read()
        if number in self._world.numbers and (broken := await self._broken(number)) is not None:
            return broken
        try:
            asked = self._read(request, number, body)
            if isinstance(asked, ReadReceipt):
                self._phones.read_by_business(number, asked.message_id, typing=asked.typing)
                return web.json_response({"success": True})
            return await self._send(request, number, asked)
        except GraphError as error:
            if self._witness is not None:
                self._witness.refused(number, error.code)
            return refusal(error)

    async def _broken(self, number: NumberId) -> web.Response | None:
        """What goes wrong before anything is looked at."""
        if slow_ms := self._faults.of(number).slow_ms:
            await self._waits.during(slow_ms)
        if self._faults.take(number, "http_502"):
            return web.Response(
                status=HTTPStatus.BAD_GATEWAY, text=_BAD_GATEWAY, content_type="text/html"
            )
        if self._faults.take(number, "http_500"):
            return refusal(GraphError(131000, "Something went wrong."))
        if self._faults.take(number, "token_expired"):
            return refusal(GraphError(190, "Session has expired", subcode=463))
        return None

    def _read(self, request: web.Request, number: NumberId, raw: bytes) -> Send | ReadReceipt:
        known = self._world.numbers.get(number)
        if known is None:
            raise unknown_object(number)
        check_token(request, known)
        self._accounts.check_token(number)
        try:
            body = msgspec.json.decode(raw, type=JSON)
        except msgspec.DecodeError as error:
            raise GraphError(100, "The request body is no JSON object.") from error
        try:
            asked = read_request(body, lambda *key: self._world.template(known.waba_id, *key))
            if isinstance(asked, Send):
                self._check_files(number, asked.content)
                self._accounts.check_send(number, initiates=isinstance(asked.content, Notice))
                self._check_form(known, asked.content)
        except GraphError as error:
            self._world.refuse(error.code)
            raise
        if isinstance(asked, Send) and (refused := self._faults.of(number).refuse_with):
            self._world.refuse(refused)
            raise GraphError(refused, "As it was asked for.")
        for switch, code in (("pair_limit", 131056), ("throughput", 130429)):
            if isinstance(asked, Send) and self._faults.take(number, switch):
                self._world.refuse(code)
                raise GraphError(code, "Too many messages in a short period of time.")
        if "template" in body and self._faults.take(number, "template_paused"):
            self._world.refuse(132015)
            raise GraphError(132015, "The template is paused because of its quality.")
        return asked

    def _check_files(self, number: NumberId, content: Said) -> None:
        """Meta knows the uploads of this number alone; an address it fetches later."""
        for medium in media_in(content):
            if medium.source.startswith("https://"):
                continue
            found = self._media.find(medium.source, now_ms=self._clock.now_ms())
            if found is None or found.number != number:
                raise GraphError(
                    100,
                    f"Param {medium.kind}['id'] is not a valid whatsapp business account media attachment ID",
                )

    def _check_form(self, number: Number, content: Said) -> None:
        """A form that was uploaded must be published. What was not uploaded here is not looked at."""
        if not isinstance(content, Form):
            return
        for switch, code in (("form_blocked", 132068), ("form_throttled", 132069)):
            if self._faults.take(number.id, switch):
                raise GraphError(code, "Flow is blocked or throttled.")
        form = self._forms.named(number.waba_id, content.form)
        if form is not None and form.status != "PUBLISHED" and not content.draft:
            raise GraphError(131009, "Flow is not published; mode must be draft.")

    async def _send(self, request: web.Request, number: NumberId, send: Send) -> web.StreamResponse:
        faults = self._faults.of(number)
        try:
            accepted = self._world.accept(
                number,
                send,
                now_ms=self._clock.now_ms(),
                fail_with=faults.fail_with,
                window_error=faults.window_error != 0,
            )
        except GraphError as error:
            if error.code == 131047:
                self._faults.take(number, "window_error")  # only now is it used up
            raise
        held_ms = faults.pacing_ms if isinstance(send.content, Notice) else 0
        if self._faults.take(number, "statuses_first"):
            await self._phones.receive_at_once(accepted)
        else:
            self._phones.receive(accepted, held_ms=held_ms)
        if self._faults.take(number, "reset"):
            return _reset(request)
        # Meta: both addresses may be given; the phone wins, and then no user_id is told.
        contact = (
            {"input": send.to, "wa_id": send.phone}
            if send.phone
            else {"input": send.bsuid, "user_id": send.bsuid}
        )
        message = {"id": accepted.message.wamid}
        if isinstance(send.content, Notice):
            message["message_status"] = "held_for_quality_assessment" if held_ms else "accepted"
        return web.json_response(
            {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
        )


def check_token(request: web.Request, *numbers: Number) -> None:
    header = request.headers.get("Authorization", "")
    token = (
        header.removeprefix("Bearer ")
        if header.startswith("Bearer ")
        else request.query.get("access_token", "")
    )
    known = {number.token for number in numbers}
    if token not in known and "" not in known:
        raise GraphError(190, "Invalid OAuth access token - Cannot parse access token")


def unknown_object(name: str) -> GraphError:
    return GraphError(
        100,
        f"Object with ID '{name}' does not exist, cannot be loaded due to missing permissions, or does not support this operation",
        subcode=33,
    )


def refusal(error: GraphError) -> web.Response:
    """An error in Meta's shape."""
    body: JSON = {
        "message": f"(#{error.code}) {title_of(error.code)}",
        "type": "OAuthException",
        "code": error.code,
    }
    if error.details:
        body["error_data"] = {"messaging_product": "whatsapp", "details": error.details}
    if error.subcode:
        body["error_subcode"] = error.subcode
    body["fbtrace_id"] = "A" + secrets.token_urlsafe(16)
    return web.json_response(
        {"error": body}, status=HTTP_STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
    )


def _reset(request: web.Request) -> web.Response:
    """Tear the connection down as a broken network does: the caller sees a reset, and no answer."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
