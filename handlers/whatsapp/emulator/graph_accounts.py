"""The Graph API of accounts and numbers: templates, health, tokens, subscription, registration.

GET  /{version}/{waba_id}/message_templates     ?name= &limit= &after=
POST /{version}/{waba_id}/message_templates     create; it is reviewed
DELETE /{version}/{waba_id}/message_templates   ?name= [&hsm_id=]: all languages, or the one with that id
POST /{version}/{template_id}                   edit; it is reviewed anew
GET|POST|DELETE /{version}/{waba_id}/subscribed_apps
GET  /{version}/{phone_number_id}               ?fields=
POST /{version}/{phone_number_id}               {pin}: two-step verification
POST /{version}/{phone_number_id}/register      {messaging_product, pin}
POST /{version}/{phone_number_id}/deregister
GET  /{version}/debug_token                     ?input_token=
GET  /{version}/oauth/access_token              ?client_id= &client_secret= &code=
GET  /{version}/{waba_id}                       ?fields=owner_business_info
GET  /{version}/{waba_id}/phone_numbers         ?fields= &limit= &after=
POST /{version}/{phone_number_id}/smb_app_data  {messaging_product, sync_type}
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from handlers.whatsapp.emulator.accounts import APP_ID, Accounts
from handlers.whatsapp.emulator.creation import read_creation, read_edit
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.fields import JSON, a_text
from handlers.whatsapp.emulator.graph import check_token, refusal, unknown_object
from handlers.whatsapp.emulator.signups import Grant, Signups
from handlers.whatsapp.emulator.templates import Button, Card, Template
from handlers.whatsapp.emulator.world import Number, NumberId, World

PAGE_OF_TEMPLATES: Final = 25  # Meta's default
TEMPLATES_MAX: Final = 250  # Meta: of a WABA that is not verified
EDITABLE: Final = frozenset({"APPROVED", "REJECTED", "PAUSED"})

_PIN: Final = re.compile(r"[0-9]{6}")

_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GraphAccounts:
    """Answers the bot, and the operator's commands."""

    def __init__(
        self, *, world: World, accounts: Accounts, signups: Signups, faults: Board
    ) -> None:
        self._world = world
        self._signups = signups
        self._accounts = accounts
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        version = r"/{version:v\d+\.\d+}"
        templates = version + r"/{id:\d+}/message_templates"
        apps = version + r"/{id:\d+}/subscribed_apps"
        return [
            web.get(version + "/debug_token", _refusing(self._token)),
            web.get(version + "/oauth/access_token", _refusing(self._exchange)),
            web.get(version + r"/{id:\d+}/phone_numbers", _refusing(self._phone_numbers)),
            web.post(version + r"/{id:\d+}/smb_app_data", _refusing(self._sync)),
            web.get(templates, _refusing(self._templates)),
            web.post(templates, _refusing(self._create)),
            web.delete(templates, _refusing(self._remove)),
            web.get(apps, _refusing(self._apps)),
            web.post(apps, _refusing(self._subscribe)),
            web.delete(apps, _refusing(self._unsubscribe)),
            web.post(version + r"/{id:\d+}/register", _refusing(self._register)),
            web.post(version + r"/{id:\d+}/deregister", _refusing(self._deregister)),
            web.get(version + r"/{id:\d+}", _refusing(self._number)),
            web.post(version + r"/{id:\d+}", _refusing(self._change)),
        ]

    # -------------------------------------------------------------- templates

    async def _templates(self, request: web.Request) -> web.Response:
        waba, _ = self._waba(request)
        limit = _count(request, "limit", PAGE_OF_TEMPLATES)
        first = _count(request, "after", 0)
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

    async def _create(self, request: web.Request) -> web.Response:
        waba, [line, *_] = self._waba(request)
        template = read_creation(await _body(request))
        if self._world.template(waba, template.name, template.language) is not None:
            raise GraphError(100, "Content in this language already exists", subcode=2388024)
        if len(self._world.templates(waba)) >= TEMPLATES_MAX:
            raise GraphError(100, "Message template limit exceeded", subcode=2388019)
        self._accounts.reviews(line, template)
        return web.json_response(
            {"id": template.id, "status": "PENDING", "category": template.category}
        )

    async def _remove(self, request: web.Request) -> web.Response:
        waba, _ = self._waba(request)
        name, id = request.query.get("name", ""), request.query.get("hsm_id", "")
        gone = [
            template
            for template in self._world.templates(waba)
            if template.name == name and id in ("", template.id)
        ]
        if not gone:
            raise GraphError(100, "Message template not found", subcode=2593002)
        for template in gone:
            self._world.remove_template(waba, template.name, template.language)
        return web.json_response({"success": True})

    async def _edit(self, request: web.Request, waba: str, template: Template) -> web.Response:
        line = self._line_of(request, waba)
        if template.status not in EDITABLE:
            raise GraphError(
                100, f"A template that is {template.status} cannot be edited", subcode=2388039
            )
        self._accounts.reviews(line, read_edit(await _body(request), template))
        return web.json_response({"success": True})

    # -------------------------------------------------------------- numbers

    async def _number(self, request: web.Request) -> web.Response:
        if any(line.waba_id == request.match_info["id"] for line in self._world.numbers.values()):
            waba, [line, *_] = self._waba(request)
            owner = {"id": line.portfolio_id, "name": line.name}
            return web.json_response({"id": waba, "owner_business_info": owner})
        line = self._line(request)
        return web.json_response(self._facts(request, line))

    async def _phone_numbers(self, request: web.Request) -> web.Response:
        waba = request.match_info["id"]
        grant = self._signups.grant(_bearer(request))
        if grant is not None and waba in grant.accounts:
            # Also of an account without a number, and for a token that is newer than its numbers'.
            lines = [each for each in self._world.numbers.values() if each.waba_id == waba]
            if any(self._accounts.standing(line.id).away for line in lines):
                raise web.HTTPBadGateway(text="<html>Sorry, something went wrong.</html>")
        else:
            _, lines = self._waba(request)
        first = _count(request, "after", 0)
        last = first + max(1, _count(request, "limit", PAGE_OF_TEMPLATES))
        paging: JSON = {"cursors": {"before": str(first), "after": str(last)}}
        if last < len(lines):
            paging["next"] = str(request.url.update_query(after=str(last)))
        data = [self._facts(request, line) for line in lines[first:last]]
        return web.json_response({"data": data, "paging": paging})

    async def _sync(self, request: web.Request) -> web.Response:
        line = self._line(request)
        body = await _body(request)
        if body.get("messaging_product") != "whatsapp":
            raise GraphError(131008, "Missing required parameter: messaging_product")
        kind = a_text(body, "sync_type", "sync_type")
        return web.json_response(self._signups.sync(line.id, kind))

    def _facts(self, request: web.Request, line: Number) -> JSON:
        standing = self._accounts.standing(line.id)
        codes = {
            "WABA": 141_000 if standing.disabled else 0,
            "BUSINESS": 141_006 if standing.unpaid else 0,
            "PHONE_NUMBER": 0 if standing.registered else 141_000,
        }
        entities = [
            {
                "entity_type": kind,
                "id": line.id,
                "can_send_message": "BLOCKED",
                "errors": [{"error_code": code}],
            }
            for kind, code in codes.items()
            if code
        ]
        everything: JSON = {
            "verified_name": line.name,
            "display_phone_number": line.display_phone,
            "quality_rating": standing.quality,
            "code_verification_status": standing.verified,
            "name_status": standing.name_status,
            "health_status": {"can_send_message": standing.can_send, "entities": entities},
            "throughput": {"level": standing.throughput},
            "whatsapp_business_manager_messaging_limit": standing.tier,
            "is_pin_enabled": bool(standing.pin) or standing.in_app,
            "is_on_biz_app": standing.in_app,
            "platform_type": "CLOUD_API" if standing.registered else "NOT_APPLICABLE",
        }
        asked = request.query.get("fields", ",".join(everything)).split(",")
        return {key: value for key, value in everything.items() if key in asked} | {"id": line.id}

    async def _change(self, request: web.Request) -> web.Response:
        """A template or a number, by its id."""
        if (found := self._world.template_of_id(request.match_info["id"])) is not None:
            return await self._edit(request, *found)
        line = self._line(request)
        self._accounts.change(line.id, {"pin": _pin(await _body(request))})
        return web.json_response({"success": True})

    async def _register(self, request: web.Request) -> web.Response:
        line = self._line(request)
        body = await _body(request)
        if body.get("messaging_product") != "whatsapp":
            raise GraphError(131008, "Missing required parameter: messaging_product")
        self._accounts.register(line.id, _pin(body))
        return web.json_response({"success": True})

    async def _deregister(self, request: web.Request) -> web.Response:
        line = self._line(request)
        self._accounts.change(line.id, {"registered": False})
        return web.json_response({"success": True})

    # -------------------------------------------------------------- accounts and tokens

    async def _apps(self, request: web.Request) -> web.Response:
        _, [line, *_] = self._waba(request)
        app = {"id": APP_ID, "name": "SmarterBot", "link": "https://example.com/"}
        subscribed = self._accounts.standing(line.id).subscribed
        return web.json_response(
            {"data": [{"whatsapp_business_api_data": app}] if subscribed else []}
        )

    async def _subscribe(self, request: web.Request) -> web.Response:
        _, lines = self._waba(request)
        for line in lines:
            self._accounts.change(line.id, {"subscribed": True})
        return web.json_response({"success": True})

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        _, lines = self._waba(request)
        for line in lines:
            self._accounts.change(line.id, {"subscribed": False})
        return web.json_response({"success": True})

    async def _exchange(self, request: web.Request) -> web.Response:
        asked = {key: request.query.get(key, "") for key in ("client_id", "client_secret", "code")}
        return web.json_response(self._signups.exchange(**asked))

    async def _token(self, request: web.Request) -> web.Response:
        numbers = list(self._world.numbers.values())
        asked = request.query.get("input_token", "")
        if not self._signups.is_app(_bearer(request)):
            check_token(request, *numbers)
        if (grant := self._signups.grant(asked)) is not None:
            return web.json_response({"data": self._granted(grant)})
        line = next((number for number in numbers if number.token in (asked, "")), None)
        if line is None:
            problem = {"code": 190, "message": "Invalid OAuth access token."}
            return web.json_response({"data": {"error": problem, "is_valid": False, "scopes": []}})
        standing = self._accounts.standing(line.id)
        data = {
            "app_id": APP_ID,
            "type": standing.token_kind,
            "application": "SmarterBot",
            "expires_at": standing.token_expires_at,
            "is_valid": standing.token_valid,
            "scopes": list(standing.scopes),
            "user_id": "2",
        }
        return web.json_response({"data": data})

    def _granted(self, grant: Grant) -> JSON:
        lines = [each for each in self._world.numbers.values() if each.token == grant.token]
        valid = all(self._accounts.standing(line.id).token_valid for line in lines)
        targets = [{"scope": scope, "target_ids": list(grant.accounts)} for scope in grant.scopes]
        return {
            "app_id": grant.app_id,
            "type": "SYSTEM_USER",
            "application": "SmarterBot",
            "expires_at": 0,
            "is_valid": valid,
            "scopes": [*grant.scopes, "public_profile"],
            "granular_scopes": targets,
            "user_id": "3",
        }

    # -------------------------------------------------------------- whose

    def _line(self, request: web.Request) -> Number:
        """The number that the path names, with a token that is good for it."""
        number = NumberId(request.match_info["id"])
        line = self._world.numbers.get(number)
        if line is None:
            raise unknown_object(number)
        self._check(request, line)
        return line

    def _line_of(self, request: web.Request, waba: str) -> Number:
        [line, *more] = [each for each in self._world.numbers.values() if each.waba_id == waba]
        self._check(request, line, *more)
        return line

    def _waba(self, request: web.Request) -> tuple[str, list[Number]]:
        waba = request.match_info["id"]
        numbers = [number for number in self._world.numbers.values() if number.waba_id == waba]
        if not numbers:
            raise unknown_object(waba)
        self._check(request, *numbers)
        return waba, numbers

    def _check(self, request: web.Request, *numbers: Number) -> None:
        if self._accounts.standing(numbers[0].id).away:
            raise web.HTTPBadGateway(text="<html>Sorry, something went wrong.</html>")
        check_token(request, *numbers)
        self._accounts.check_token(numbers[0].id)
        if self._faults.take(numbers[0].id, "token_expired"):
            raise GraphError(190, "Session has expired", subcode=463)


def _refusing(answer: _Answer) -> _Answer:
    async def refusing(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except GraphError as error:
            return refusal(error)

    return refusing


async def _body(request: web.Request) -> JSON:
    try:
        return msgspec.json.decode(await request.read(), type=JSON)
    except msgspec.DecodeError as error:
        raise GraphError(100, "The request body is no JSON object.") from error


def _pin(body: JSON) -> str:
    pin = a_text(body, "pin", "pin")
    if not _PIN.fullmatch(pin):
        raise GraphError(100, "Param pin must be 6 digits.")
    return pin


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _count(request: web.Request, key: str, otherwise: int) -> int:
    text = request.query.get(key, "")
    if text and not text.isdigit():
        raise GraphError(100, f"Param {key} must be an integer.")
    return int(text) if text else otherwise


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
        "rejected_reason": template.rejected,
        "quality_score": {"score": template.quality},
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
