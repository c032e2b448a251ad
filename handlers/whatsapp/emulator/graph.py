"""The Graph API as the bot sees it: sending, reading, templates; with Meta's errors and the faults on demand.

POST /{version}/{phone_number_id}/messages      send · mark read · typing
GET  /{version}/{waba_id}/message_templates     ?name= &limit= &after=
GET  /{version}/{waba_id}/subscribed_apps
GET  /{version}/{phone_number_id}               ?fields=
"""

import secrets
import socket
import struct
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from handlers.ports import Clock
from handlers.whatsapp.emulator.content import Form, Notice, Said, media_in
from handlers.whatsapp.emulator.errors import HTTP_STATUS, GraphError, title_of
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.forms import FormStore
from handlers.whatsapp.emulator.media import Media
from handlers.whatsapp.emulator.phones import Phones
from handlers.whatsapp.emulator.sends import ReadReceipt, read_request
from handlers.whatsapp.emulator.templates import Button, Card, Template
from handlers.whatsapp.emulator.waits import Waits
from handlers.whatsapp.emulator.witness import Witness
from handlers.whatsapp.emulator.world import Number, NumberId, Send, World

PAGE_OF_TEMPLATES: Final = 25  # Meta's default
_BAD_GATEWAY: Final = "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>"


class Graph:
    """Answers the bot."""

    def __init__(
        self,
        *,
        world: World,
        phones: Phones,
        media: Media,
        forms: FormStore,
        faults: Board,
        clock: Clock,
        waits: Waits,
        witness: Witness | None,
    ) -> None:
        self._world = world
        self._phones = phones
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
            web.get(version + r"/{id:\d+}/message_templates", self._templates),
            web.get(version + r"/{id:\d+}/subscribed_apps", self._subscribed_apps),
            web.get(version + r"/{id:\d+}", self._number),
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
        try:
            body = msgspec.json.decode(raw, type=JSON)
        except msgspec.DecodeError as error:
            raise GraphError(100, "The request body is no JSON object.") from error
        try:
            asked = read_request(body, lambda *key: self._world.template(known.waba_id, *key))
            if isinstance(asked, Send):
                self._check_files(number, asked.content)
                self._check_form(known, asked.content)
        except GraphError as error:
            self._world.refuse(error.code)
            raise
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
        if self._faults.take(number, "statuses_first"):
            await self._phones.receive_at_once(accepted)
        else:
            self._phones.receive(accepted)
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
            message["message_status"] = "accepted"
        return web.json_response(
            {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
        )

    # -------------------------------------------------------------- templates

    async def _templates(self, request: web.Request) -> web.Response:
        waba = request.match_info["id"]
        try:
            self._check_waba(request, waba)
            limit = _count(request, "limit", PAGE_OF_TEMPLATES)
            first = _count(request, "after", 0)
        except GraphError as error:
            return refusal(error)
        name = request.query.get("name", "")
        found = [
            template
            for template in self._world.templates(waba)
            if not name or template.name == name
        ]
        last = first + max(1, limit)
        paging: JSON = {"cursors": {"before": str(first), "after": str(last)}}
        if last < len(found):
            paging["next"] = str(request.url.update_query(after=str(last)))
        return web.json_response(
            {"data": [_described(each) for each in found[first:last]], "paging": paging}
        )

    # -------------------------------------------------------------- number and account

    async def _subscribed_apps(self, request: web.Request) -> web.Response:
        try:
            self._check_waba(request, request.match_info["id"])
        except GraphError as error:
            return refusal(error)
        app = {"id": "1", "name": "SmarterBot", "link": "https://example.com/"}
        return web.json_response({"data": [{"whatsapp_business_api_data": app}]})

    async def _number(self, request: web.Request) -> web.Response:
        try:
            known = self._world.numbers.get(NumberId(request.match_info["id"]))
            if known is None:
                raise unknown_object(request.match_info["id"])
            check_token(request, known)
        except GraphError as error:
            return refusal(error)
        everything: JSON = {
            "verified_name": known.name,
            "display_phone_number": known.display_phone,
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "name_status": "APPROVED",
            "health_status": {"can_send_message": "AVAILABLE", "entities": []},
            "throughput": {"level": "STANDARD"},
        }
        asked = request.query.get("fields", ",".join(everything)).split(",")
        return web.json_response(
            {key: value for key, value in everything.items() if key in asked} | {"id": known.id}
        )

    def _check_waba(self, request: web.Request, waba: str) -> None:
        numbers = [number for number in self._world.numbers.values() if number.waba_id == waba]
        if not numbers:
            raise unknown_object(waba)
        check_token(request, *numbers)


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


def _count(request: web.Request, key: str, otherwise: int) -> int:
    text = request.query.get(key, "")
    if text and not text.isdigit():
        raise GraphError(100, f"Param {key} must be an integer.")
    return int(text) if text else otherwise


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


def _described(template: Template) -> JSON:
    components: list[JSON] = []
    if template.header_text:
        components.append({"type": "HEADER", "format": "TEXT", "text": template.header_text})
    elif template.header:
        components.append({"type": "HEADER", "format": template.header})
    if template.offer:
        offer = {"text": template.offer, "has_expiration": template.offer_expires}
        components.append({"type": "LIMITED_TIME_OFFER", "limited_time_offer": offer})
    components.append({"type": "BODY", "text": template.body})
    if template.footer:
        components.append({"type": "FOOTER", "text": template.footer})
    if template.buttons:
        components.append(_buttons(template.buttons))
    if template.cards:
        components.append({"type": "CAROUSEL", "cards": [_card(each) for each in template.cards]})
    return {
        "id": template.id,
        "name": template.name,
        "language": template.language,
        "status": template.status,
        "category": template.category,
        "parameter_format": template.parameter_format,
        "components": components,
    }


def _card(card: Card) -> JSON:
    components: list[JSON] = [{"type": "HEADER", "format": card.header}]
    if card.body:
        components.append({"type": "BODY", "text": card.body})
    if card.buttons:
        components.append(_buttons(card.buttons))
    return {"components": components}


def _buttons(buttons: Sequence[Button]) -> JSON:
    return {"type": "BUTTONS", "buttons": [_button(button) for button in buttons]}


def _button(button: Button) -> JSON:
    # Meta shows the copy-code button of an authentication template as a URL button.
    if button.type == "OTP":
        return {
            "type": "URL",
            "text": button.text,
            "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}",
        }
    described: JSON = {"type": button.type, "text": button.text}
    for key, value in (
        ("url", button.url),
        ("phone_number", button.phone),
        ("flow_id", button.flow_id),
    ):
        if value:
            described[key] = value
    return described
