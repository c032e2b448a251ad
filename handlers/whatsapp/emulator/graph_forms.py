"""The Graph API of forms, with Meta's errors.

GET  /{version}/{phone_number_id}/whatsapp_business_encryption
POST /{version}/{phone_number_id}/whatsapp_business_encryption   {business_public_key}
GET  /{version}/{waba_id}/flows                                  all on one page
POST /{version}/{waba_id}/flows                                  {name, categories, endpoint_uri?}
POST /{version}/{flow_id}                                        {endpoint_uri}
POST /{version}/{flow_id}/assets                                 multipart: name, asset_type, file
POST /{version}/{flow_id}/publish                                asks its endpoint first, if it has one

Source: Meta, "Business encryption", "Flows API".
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import BodyPartReader, web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.form_client import FormClient
from handlers.whatsapp.emulator.forms import ID_DIGITS, FormStore, MetaForm, put_json
from handlers.whatsapp.emulator.graph import check_token, refusal, unknown_object
from handlers.whatsapp.emulator.world import Number, NumberId, World

KEY_BITS: Final = 2048
CANNOT_PUBLISH: Final = 139002

Serve = Callable[[web.Request], Awaitable[web.Response]]


class GraphForms:
    """Answers the bot's operator about forms."""

    def __init__(self, *, world: World, store: FormStore, client: FormClient) -> None:
        self._world = world
        self._store = store
        self._client = client

    def routes(self) -> list[web.RouteDef]:
        """Before those of `Graph`, whose ids are of any length."""
        version = r"/{version:v\d+\.\d+}"
        form = rf"{version}/{{id:\d{{{ID_DIGITS}}}}}"
        key = version + r"/{id:\d+}/whatsapp_business_encryption"
        return [
            web.get(key, _refusing(self._key)),
            web.post(key, _refusing(self._put_key)),
            web.get(version + r"/{id:\d+}/flows", _refusing(self._list)),
            web.post(version + r"/{id:\d+}/flows", _refusing(self._make)),
            web.post(form, _refusing(self._change)),
            web.post(form + "/assets", _refusing(self._upload)),
            web.post(form + "/publish", _refusing(self._publish)),
        ]

    # -------------------------------------------------------------- keys

    async def _key(self, request: web.Request) -> web.Response:
        number = self._number(request)
        pem = self._store.keys.get(number.id)
        kept = {"business_public_key": pem, "business_public_key_signature_status": "VALID"}
        return web.json_response({"data": [kept] if pem else []})

    async def _put_key(self, request: web.Request) -> web.Response:
        number = self._number(request)
        pem = str((await _body(request)).get("business_public_key", ""))
        try:
            key = serialization.load_pem_public_key(pem.encode())
        except ValueError:
            key = None
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != KEY_BITS:
            raise GraphError(
                100, f"Param business_public_key must be a {KEY_BITS}-bit RSA key in PEM"
            )
        self._store.keys[number.id] = pem
        return web.json_response({"success": True})

    # -------------------------------------------------------------- forms

    async def _list(self, request: web.Request) -> web.Response:
        waba = self._waba(request)
        forms = [
            {"id": form.id, "name": form.name, "status": form.status}
            for form in self._store.of(waba)
        ]
        return web.json_response({"data": forms, "paging": {"cursors": {}}})

    async def _make(self, request: web.Request) -> web.Response:
        waba = self._waba(request)
        told = await _body(request)
        name, categories = told.get("name"), told.get("categories")
        if (
            not isinstance(name, str)
            or not name
            or not isinstance(categories, list)
            or not categories
        ):
            raise GraphError(100, "name and categories are required")
        if self._store.named(waba, name) is not None:
            raise GraphError(100, "Flow name already exists")
        return web.json_response({"id": self._store.make(waba, name).id, "success": True})

    async def _change(self, request: web.Request) -> web.Response:
        form = self._form(request)
        form.endpoint = str((await _body(request)).get("endpoint_uri", form.endpoint))
        return web.json_response({"success": True})

    async def _upload(self, request: web.Request) -> web.Response:
        form = self._form(request)
        parts: dict[str, bytes] = {}
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name:
                parts[part.name] = bytes(await part.read())
        if parts.get("asset_type") != b"FLOW_JSON" or parts.get("name") != b"flow.json":
            raise GraphError(100, "asset_type must be FLOW_JSON, name flow.json")
        wrong = put_json(form, parts.get("file", b""))
        errors = [
            {"error": "INVALID_PROPERTY_VALUE", "message": each, "line_start": 1} for each in wrong
        ]
        return web.json_response({"success": not errors, "validation_errors": errors})

    async def _publish(self, request: web.Request) -> web.Response:
        form = self._form(request)
        if not form.screens:
            raise GraphError(CANNOT_PUBLISH, "Flow can't be published: it has no Flow JSON.")
        if form.asks:
            numbers = [n for n in self._world.numbers.values() if n.waba_id == form.waba]
            keyed = [number for number in numbers if number.id in self._store.keys]
            if not keyed or not form.endpoint:
                raise GraphError(
                    CANNOT_PUBLISH,
                    "Flow can't be published: endpoint_uri and a public key are needed.",
                )
            health = await self._client.ping(keyed[0].id, form)
            if health.error:
                raise GraphError(
                    CANNOT_PUBLISH,
                    f"Flow can't be published: the endpoint answers {health.status}.",
                )
        form.status = "PUBLISHED"
        return web.json_response({"success": True})

    # -------------------------------------------------------------- whose

    def _number(self, request: web.Request) -> Number:
        known = self._world.numbers.get(NumberId(request.match_info["id"]))
        if known is None:
            raise unknown_object(request.match_info["id"])
        check_token(request, known)
        return known

    def _waba(self, request: web.Request) -> str:
        waba = request.match_info["id"]
        numbers = [number for number in self._world.numbers.values() if number.waba_id == waba]
        if not numbers:
            raise unknown_object(waba)
        check_token(request, *numbers)
        return waba

    def _form(self, request: web.Request) -> MetaForm:
        form = self._store.find(request.match_info["id"])
        if form is None:
            raise unknown_object(request.match_info["id"])
        check_token(request, *(n for n in self._world.numbers.values() if n.waba_id == form.waba))
        return form


def _refusing(serve: Serve) -> Serve:
    async def served(request: web.Request) -> web.Response:
        try:
            return await serve(request)
        except GraphError as error:
            return refusal(error)

    return served


async def _body(request: web.Request) -> JSON:
    try:
        return msgspec.json.decode(await request.read(), type=JSON)
    except msgspec.DecodeError as error:
        raise GraphError(100, "The request body is no JSON object.") from error
