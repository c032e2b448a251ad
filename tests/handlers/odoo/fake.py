"""Odoo 17 as a server: databases of one name, a user with a key, partners with external ids. It refuses what Odoo refuses."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

DATABASE = "panaderia"
LOGIN = "smarterbot"
KEY = "f00dbabe" * 5
UID = 7
FIELDS = {"id", "name", "phone", "email", "active", "company_id/.id"}
SECRET_TEXT = 'psycopg2 at "db.internal", port 5432 failed'


@dataclass
class Partner:
    name: str
    phone: str | bool = False
    email: str | bool = False
    active: bool = True
    company: int | None = None
    has_invoices: bool = False
    is_user: bool = False


class RaisedError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class FakeOdoo:
    def __init__(self) -> None:
        self.partners: dict[int, Partner] = {}
        self.external: dict[str, int] = {}
        self.key = KEY
        self.may_write = True
        self.companies = [1]
        self.calls: list[str] = []
        """service.method, or model.method"""
        self.answers: list[web.Response] = []
        """What whatever stands before it says to the next requests instead."""
        self.fault = ""
        """Name of an exception that each call raises now."""
        self.silent = 0
        """Answers that get lost, their work done, before the next one is given."""
        self.url = ""
        self._next = 40

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/jsonrpc", self._jsonrpc)])
        return app

    def partner(self, ugid: str) -> Partner | None:
        id = self.external.get(f"__smarterbot__.{ugid}")
        return None if id is None else self.partners[id]

    async def _jsonrpc(self, request: web.Request) -> web.StreamResponse:
        if self.answers:
            return self.answers.pop(0)
        asked = await request.json()
        params = asked["params"]
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            result = self._service(params["service"], params["method"], params["args"])
            if result is not None:  # None has no result
                reply["result"] = result
        except RaisedError as fault:
            reply["error"] = {
                "code": 200,
                "message": "Odoo Server Error",
                "data": {
                    "name": fault.name,
                    "message": SECRET_TEXT,
                    "debug": f"Traceback {SECRET_TEXT}",
                },
            }
        if self.silent:
            self.silent -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response(reply)

    def _service(self, service: str, method: str, args: list[Any]) -> Any:
        if service == "common" and method == "authenticate":
            self.calls.append("common.authenticate")
            database, login, key, _ = args
            if database != DATABASE:
                raise RaisedError("psycopg2.OperationalError")
            return UID if (login, key) == (LOGIN, self.key) else False
        assert (service, method) == ("object", "execute_kw")
        database, uid, key, model, method, positional, named = args
        self.calls.append(f"{model}.{method}")
        if database != DATABASE:
            raise RaisedError("psycopg2.OperationalError")
        if (uid, key) != (UID, self.key):
            raise RaisedError("odoo.exceptions.AccessDenied")
        if method.startswith("_"):
            raise RaisedError("odoo.exceptions.AccessError")
        if self.fault:
            raise RaisedError(self.fault)
        if model != "res.partner":
            raise RaisedError("odoo.exceptions.UserError")
        context = named.get("context", {})
        if not set(context.get("allowed_company_ids", [])) <= set(self.companies):
            raise RaisedError("odoo.exceptions.AccessError")
        match method:
            case "load":
                return self._load(*positional)
            case "write":
                return self._write(*positional)
            case "unlink":
                return self._unlink(*positional)
            case _:
                raise RaisedError("builtins.AttributeError")

    def _load(self, names: list[str], rows: list[list[str]]) -> dict[str, Any]:
        if not self.may_write:
            raise RaisedError("odoo.exceptions.AccessError")
        if set(names) - FIELDS:
            raise RaisedError("builtins.ValueError")
        ids = []
        for row in rows:
            if not all(isinstance(cell, str) for cell in row) or len(row) != len(names):
                raise RaisedError("builtins.TypeError")
            values = dict(zip(names, row, strict=True))
            external = values.pop("id")
            if not re.fullmatch(r"[a-zA-Z0-9_]+\.[^.]+", external):
                return self._refused()
            id = self.external.get(external)
            if id is None:
                if not values.get("name"):
                    return self._refused()
                self._next += 1
                id = self.external[external] = self._next
                self.partners[id] = Partner(values["name"])
            self._set(self.partners[id], {name: cell or False for name, cell in values.items()})
            ids.append(id)
        return {"ids": ids, "messages": [], "nextrow": 0}

    def _refused(self) -> dict[str, Any]:
        told = {
            "type": "error",
            "message": "Falta un valor",
            "record": 0,
            "rows": {"from": 0, "to": 0},
        }
        return {"ids": False, "messages": [told], "nextrow": 0}

    def _write(self, ids: list[int], values: dict[str, Any]) -> bool:
        if not self.may_write:
            raise RaisedError("odoo.exceptions.AccessError")
        for id in ids:
            if id not in self.partners:
                raise RaisedError("odoo.exceptions.MissingError")
            if set(values) - FIELDS:
                raise RaisedError("builtins.ValueError")
            if values.get("active") is False and self.partners[id].is_user:
                raise RaisedError("odoo.exceptions.RedirectWarning")
            self._set(self.partners[id], values)
        return True

    def _unlink(self, ids: list[int]) -> bool:
        for id in ids:
            if id not in self.partners:
                raise RaisedError("odoo.exceptions.MissingError")
            if self.partners[id].has_invoices:
                raise RaisedError("odoo.exceptions.UserError")
            if self.partners[id].is_user:
                raise RaisedError("psycopg2.errors.ForeignKeyViolation")
            del self.partners[id]
            self.external = {name: of for name, of in self.external.items() if of != id}
        return True

    def _set(self, partner: Partner, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name == "company_id/.id":
                partner.company = int(value)
            else:
                setattr(partner, name, value)


@asynccontextmanager
async def serving(odoo: FakeOdoo) -> AsyncIterator[FakeOdoo]:
    async with TestServer(odoo.app()) as server:
        odoo.url = str(server.make_url("")).rstrip("/")
        yield odoo


def page(status: int, **headers: str) -> web.Response:
    return web.Response(
        status=status, text="<html>nginx</html>", content_type="text/html", headers=headers
    )
