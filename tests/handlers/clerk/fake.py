"""Clerk: an instance with users, its Backend API, its keys, and the events that it posts. It refuses what Clerk refuses."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers.standard_webhooks import sign

SECRET_KEY = "sk_test_of-the-fake"
KEY = b"a webhook key of thirty-two byte"
WEBHOOK_SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
PARTY = "https://app.example"
# Made once: a key takes longer than a test.
RSA = {
    kid: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for kid in ("ins_1", "ins_2")
}


@dataclass
class User:
    id: str
    updated_at: int
    external_id: str | None = None
    phones: list[tuple[str, str, str]] = field(default_factory=list)
    """(number, status, strategy)"""
    emails: list[tuple[str, str, str]] = field(default_factory=list)


class FakeClerk:
    """One instance."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.kids = ["ins_1"]
        self.asked: list[tuple[str, str]] = []
        """(method, path) of each request."""
        self.down = False
        self.keys_down = False
        self.limit = 0
        """Requests that are refused with 429 before the next one is taken."""
        self.retry_after = "2"
        self.secret_key = SECRET_KEY
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.patch("/v1/users/{id}", self._update),
                web.get("/.well-known/jwks.json", self._keys),
            ]
        )
        return app

    def asked_for(self, path: str) -> int:
        return sum(asked == path for _, asked in self.asked)

    # -------------------------------------------------------------- events

    def event(self, kind: str, user: User) -> bytes:
        """As it is posted."""
        data: dict[str, Any]
        if kind == "user.deleted":
            data = {"object": "user", "id": user.id, "deleted": True}
            if user.external_id:
                data["external_id"] = user.external_id
        else:
            data = {
                "object": "user",
                "id": user.id,
                "external_id": user.external_id,
                "username": None,
                "first_name": "Ana",
                "last_name": None,
                "phone_numbers": [
                    {
                        "id": f"idn_{n}",
                        "object": "phone_number",
                        "phone_number": number,
                        "verification": {"status": status, "strategy": strategy, "attempts": 1},
                    }
                    for n, (number, status, strategy) in enumerate(user.phones)
                ],
                "email_addresses": [
                    {
                        "id": f"idn_{n}",
                        "object": "email_address",
                        "email_address": address,
                        "linked_to": [],
                        "verification": {"status": status, "strategy": strategy},
                    }
                    for n, (address, status, strategy) in enumerate(user.emails)
                ],
                "public_metadata": {},
                "created_at": 1_000,
                "updated_at": user.updated_at,
            }
        return json.dumps(
            {
                "type": kind,
                "object": "event",
                "data": data,
                "event_attributes": {"http_request": {"client_ip": "192.0.2.1", "user_agent": "x"}},
            }
        ).encode()

    def headers(self, body: bytes, *, id: str, at: int) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "svix-id": id,
            "svix-timestamp": str(at),
            "svix-signature": sign(id, at, body, KEY),
        }

    # -------------------------------------------------------------- sessions

    def token(
        self,
        user: str,
        now_s: int,
        *,
        kid: str = "ins_1",
        signed_by: str = "",
        algorithm: str = "RS256",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A session token of a minute; a claim that is None is left out."""
        told: dict[str, Any] = {
            "azp": PARTY,
            "exp": now_s + 60,
            "fva": [0, -1],
            "iat": now_s,
            "iss": self.url,
            "nbf": now_s - 10,
            "sid": "sess_1",
            "sts": "active",
            "sub": user,
            "v": 2,
        } | claims
        return jwt.encode(
            {name: value for name, value in told.items() if value is not None},
            RSA[signed_by or kid],
            algorithm=algorithm,
            headers={"kid": kid, "cat": "cl_B7d4PD111AAA", **(headers or {})},
        )

    # -------------------------------------------------------------- the APIs

    async def _update(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path))
        if self.down:
            return web.Response(status=503)
        if self.limit:
            self.limit -= 1
            return _fault(429, "too_many_requests", {"Retry-After": self.retry_after})
        if request.headers.get("Authorization") != f"Bearer {self.secret_key}":
            return _fault(401, "authentication_invalid")
        if request.content_type != "application/json":
            return _fault(415, "unsupported_content_type")
        told = await request.json()
        if unknown := set(told) - {"external_id"}:
            return _fault(422, "form_param_unknown", {"X-Param": ",".join(sorted(unknown))})
        user = self.users.get(request.match_info["id"])
        if user is None:
            return _fault(404, "resource_not_found")
        if any(u.external_id == told["external_id"] for u in self.users.values() if u is not user):
            return _fault(422, "form_identifier_exists")
        user.external_id = told["external_id"]
        user.updated_at += 1
        return web.json_response({"id": user.id, "object": "user", "external_id": user.external_id})

    async def _keys(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path))
        if self.keys_down:
            return web.Response(status=503)
        return web.json_response({"keys": [_jwk(kid) for kid in self.kids]})


@asynccontextmanager
async def serving(clerk: FakeClerk) -> AsyncIterator[FakeClerk]:
    async with TestServer(clerk.app()) as server:
        clerk.url = str(server.make_url("")).rstrip("/")
        yield clerk


def _fault(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    told = {"errors": [{"message": code, "long_message": code, "code": code, "meta": {}}]}
    return web.json_response(told, status=status, headers=headers)


def _jwk(kid: str) -> dict[str, str]:
    public = RSA[kid].public_key()
    told: dict[str, str] = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    return {name: told[name] for name in ("n", "e")} | {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
    }
