"""Chatwoot 4.15: one account with contacts, an administrator and a bot. It refuses what Chatwoot refuses."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

ACCOUNT = 3
TOKEN = "administrator-s-token"
BOT_TOKEN = "bot-s-token"
UNIQUE = ("phone_number", "email", "identifier")
PERMITTED = {"name", "identifier", "email", "phone_number"}


@dataclass
class Contact:
    id: int
    name: str = ""
    identifier: str | None = None
    phone_number: str | None = None
    email: str | None = None


class FakeChatwoot:
    def __init__(self) -> None:
        self.contacts: dict[int, Contact] = {}
        self.asked: list[str] = []
        """method and path, below the account"""
        self.answers: list[web.Response] = []
        self.online: set[int] = set()
        self.lost: list[str] = []
        """Methods and paths whose next answer gets lost, their work done."""
        self.url = ""
        self._next = 100

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._before])
        base = f"/api/v1/accounts/{ACCOUNT}/contacts"
        app.add_routes(
            [
                web.post(base, self._create),
                web.post(f"{base}/filter", self._filter),
                web.put(f"{base}/{{id}}", self._update),
                web.delete(f"{base}/{{id}}", self._destroy),
            ]
        )
        return app

    def add(self, **values: str) -> Contact:
        """Somebody else made it: an agent, another integration."""
        self._next += 1
        contact = self.contacts[self._next] = Contact(self._next, **values)
        return contact

    def of(self, identifier: str) -> list[Contact]:
        return [each for each in self.contacts.values() if each.identifier == identifier]

    @web.middleware
    async def _before(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {re.sub(r'.*/contacts|[0-9]+$', '', request.path)}")
        if self.answers:
            return self.answers.pop(0)
        token = request.headers.get("api_access_token", "")
        if token == BOT_TOKEN:
            told = {"error": "Access to this endpoint is not authorized for bots"}
            return web.json_response(told, status=401)
        if token != TOKEN:
            return web.json_response({"error": "Invalid Access Token"}, status=401)
        response: web.Response = await handler(request)
        if self.asked[-1] in self.lost:
            self.lost.remove(self.asked[-1])
            assert request.transport is not None
            request.transport.close()
        if "gzip" in request.headers.get("Accept-Encoding", "") and response.body:
            assert isinstance(response.body, bytes)
            response.body = gzip.compress(response.body)
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def _create(self, request: web.Request) -> web.Response:
        values = await self._values(request)
        contact = Contact(self._next + 1)
        if taken := self._invalid(contact, values):
            return _record_invalid(taken)
        self._next += 1
        self._set(contact, values)
        self.contacts[contact.id] = contact
        inbox = {"inbox": None, "source_id": None}
        return web.json_response({"payload": {"contact": _shown(contact), "contact_inbox": inbox}})

    async def _update(self, request: web.Request) -> web.Response:
        contact = self._find(request)
        values = await self._values(request)
        if taken := self._invalid(contact, values):
            return _record_invalid(taken)
        self._set(contact, values)
        return web.json_response({"payload": _shown(contact)})

    async def _destroy(self, request: web.Request) -> web.Response:
        contact = self._find(request)
        if contact.id in self.online:
            return web.json_response(
                {"message": "Ana is Online, please try again later"}, status=422
            )
        del self.contacts[contact.id]
        return web.Response(status=200)

    async def _filter(self, request: web.Request) -> web.Response:
        [query] = (await request.json())["payload"]
        key, [value] = query["attribute_key"], query["values"]
        if key not in UNIQUE or query["filter_operator"] != "equal_to":
            return web.json_response({"error": "Invalid attribute key"}, status=422)
        if key == "phone_number":
            value = f"+{value.removeprefix('+')}"
        found = [
            _shown(each)
            for each in self.contacts.values()
            if (getattr(each, key) or "").lower() == value.lower()
        ]
        return web.json_response({"meta": {"count": len(found)}, "payload": found})

    def _find(self, request: web.Request) -> Contact:
        found = self.contacts.get(int(request.match_info["id"]))
        if found is None:
            told = json.dumps({"error": "Resource could not be found"})
            raise web.HTTPNotFound(text=told, content_type="application/json")
        return found

    async def _values(self, request: web.Request) -> dict[str, Any]:
        values = await request.json()
        assert set(values) <= PERMITTED, "Rails would leave these out without a word"
        return dict(values)

    def _invalid(self, contact: Contact, values: dict[str, Any]) -> list[str]:
        found = []
        for name in UNIQUE:
            value = values.get(name)
            others = [each for each in self.contacts.values() if each.id != contact.id]
            if value and any(getattr(each, name) == value for each in others):
                found.append(name)
        phone = values.get("phone_number")
        if phone and not re.fullmatch(r"\+[1-9]\d{1,14}", phone):
            found.append("phone_number")
        return found

    def _set(self, contact: Contact, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(contact, name, value)


@asynccontextmanager
async def serving(chatwoot: FakeChatwoot) -> AsyncIterator[FakeChatwoot]:
    async with TestServer(chatwoot.app()) as server:
        chatwoot.url = str(server.make_url("")).rstrip("/")
        yield chatwoot


def _record_invalid(attributes: list[str]) -> web.Response:
    """In the language of the account."""
    told = {"message": "El teléfono ya está en uso", "attributes": attributes}
    return web.json_response(told, status=422)


def _shown(contact: Contact) -> dict[str, Any]:
    return asdict(contact) | {"contact_inboxes": [], "custom_attributes": {}, "thumbnail": ""}
