"""A firm's own system, as it calls the API."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.people.api_keys import SCOPES, NewKey, Scope, add_key
from bot.people.channels import add_channel
from bot.people.directory import publish_directory
from bot.people.tenants import add_tenant, list_firms
from bot.settings import Settings
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from flows.values.rut import Rut
from handlers.ports import Channel
from tests.whole.conftest import Whole
from tests.whole.people import phone, until

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answered:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def pointers(self) -> list[str]:
        return [error.get("pointer", "") for error in self.body.get("errors", ())]


@dataclass
class Caller:
    """Calls with one key."""

    http: aiohttp.ClientSession
    address: str
    key: str
    headers: dict[str, str] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: object = None, *, once: str = "", **headers: str
    ) -> Answered:
        """`once`: the idempotency key; each call has one of its own by default."""
        given = {
            "Authorization": f"Bearer {self.key}",
            "Idempotency-Key": once or f"test-{next(_numbers)}",
            **headers,
        }
        async with self.http.request(
            method, f"{self.address}{path}", json=body, headers=given
        ) as answer:
            return Answered(answer.status, await answer.json(content_type=None), {**answer.headers})

    async def send(
        self, n: int, changes: Mapping[str, object] | None = None, *, once: str = ""
    ) -> Answered:
        """An order update to the n-th person, with other fields as `changes` says."""
        body = {**order_update(n), **(changes or {})}
        return await self.call("POST", "/v1/messages", body, once=once)

    async def fate(self, id: str) -> dict[str, Any]:
        answer = await self.call("GET", f"/v1/messages/{id}")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body
        return found

    async def fate_is(self, id: str, *statuses: str) -> dict[str, Any]:
        """Wait until its status is one of these."""
        found: dict[str, Any] = {}

        async def is_so() -> bool:
            nonlocal found
            found = await self.fate(id)
            return found["status"] in statuses

        try:
            await until(is_so, within_s=20)
        except TimeoutError:
            raise AssertionError(f"expected {statuses}: {found}") from None
        return found

    async def progress_is(self, id: str, status: str, *, within_s: float = 30) -> dict[str, Any]:
        """Wait until a campaign's status is this."""
        found: dict[str, Any] = {}

        async def is_so() -> bool:
            nonlocal found
            answer = await self.call("GET", f"/v1/campaigns/{id}")
            assert answer.status == 200, answer
            found = answer.body
            return str(found["status"]) == status

        try:
            await until(is_so, within_s=within_s)
        except TimeoutError:
            raise AssertionError(f"expected {status}: {found}") from None
        return found


def order_update(n: int, order: str = "1042") -> dict[str, Any]:
    return {
        "to": {"phone": f"+{phone(n)}"},
        "message": {"intent": "order_update", "name": "Ana", "order": order, "status": "ready"},
        "permission": {"purpose": "notices", "evidence": f"order {order}, placed on the web"},
    }


def price_list(n: int) -> dict[str, Any]:
    return {
        "to": {"phone": f"+{phone(n)}"},
        "message": {
            "intent": "price_list",
            "name": "Ana",
            "week_of": "2026-11-30",
            "document": "https://sol.example/precios.pdf",
        },
        "permission": {"purpose": "marketing", "evidence": "web form 8812"},
    }


async def make_key(
    stores: Stores,
    keys: tuple[Key, ...],
    *,
    tenant: TenantId | None = None,
    scopes: tuple[Scope, ...] = SCOPES,
    per_minute: int = 60_000,
    publish: bool = True,
) -> NewKey:
    """A key of a firm, the only one if none is named."""
    async with Database.open(stores.postgres.app) as database:
        if tenant is None:
            [firm] = await list_firms(database)
            tenant = firm.id
        new = await add_key(database, tenant, name="ERP", scopes=scopes, per_minute=per_minute)
        if publish:
            wire = await Wire.open(stores.redis_url, name="test")
            try:
                await publish_directory(database, wire, SecretBox(keys))
            finally:
                await wire.close()
    return new


async def caller_of(
    settings: Settings,
    stores: Stores,
    http: aiohttp.ClientSession,
    address: str,
    *,
    tenant: TenantId | None = None,
    scopes: tuple[Scope, ...] = SCOPES,
    per_minute: int = 60_000,
) -> Caller:
    new = await make_key(stores, settings.keys, tenant=tenant, scopes=scopes, per_minute=per_minute)
    return Caller(http, address, new.key)


async def a_rival(whole: Whole) -> Caller:
    """Another firm's own system, with every scope."""
    firm = Firm(id=TenantId(str(uuid4())), name="Carnes Luna")
    async with Database.open(whole.stores.postgres.app) as database:
        await add_tenant(database, firm, rut=Rut("761234560"))
        channel = Channel(
            id=ChannelId(str(uuid4())),
            tenant=firm.id,
            phone_number_id="100000000000002",
            waba_id="200000000000002",
            display_phone="+56 2 2999 9999",
        )
        await add_channel(database, SecretBox(whole.settings.keys), channel, token="t")
    rival = await caller_of(
        *(whole.settings, whole.stores, whole.http, whole.server.address), tenant=firm.id
    )
    await whole.server.directory.check()
    return rival
