"""Login over real HTTP, with real stores; codes are read where the sender would take them."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.engine.limits import Limits
from bot.identity.assembly import Identity
from bot.lanes import Bell, Lanes, Wire, install
from bot.metrics import Metrics
from bot.people.channels import add_channel
from bot.people.directory import Directory
from bot.people.tenants import add_tenant
from bot.settings import Settings, read_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from handlers.actions import SendCode
from tests.bot.people.conftest import (
    BAKERY,
    BAKERY_CHANNEL,
    BAKERY_RUT,
    BUTCHERY,
    BUTCHERY_RUT,
)

ISSUER: Final = "https://login.example"
OLD_KEY: Final = f"t1:{base64.b64encode(bytes(32)).decode()}"
NEW_KEY: Final = f"t2:{base64.b64encode(bytes(range(32))).decode()}"
SHARDS: Final = 4

Json = dict[str, Any]


def number(n: int) -> str:
    """The n-th phone; none shares a block of numbers with another."""
    return str(56_961_000_000 + n * 10_000)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Json
    headers: Mapping[str, str]

    @property
    def problem(self) -> str:
        return str(self.body["type"]).removeprefix("urn:smarterbot:problem:")


@dataclass
class House:
    """A server of login, and whoever asks it."""

    clock: Clock
    wire: Wire
    lanes: Lanes
    database: Database
    directory: Directory
    identity: Identity
    metrics: Metrics
    settings: Settings
    http: aiohttp.ClientSession
    sent: dict[str, list[str]] = field(default_factory=dict)
    """Codes by phone, as they were sent."""

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        given = dict(headers or {})
        if token:
            given["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, path, json=body, headers=given) as answer:
            data = await answer.read()
            return Reply(answer.status, msgspec.json.decode(data) if data else {}, answer.headers)

    async def ask(
        self,
        phone: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str = "",
        **more: object,
    ) -> Reply:
        return await self.call(
            "POST", "/auth/otp", {"phone": f"+{phone}", **more}, headers=headers, token=token
        )

    async def give(self, challenge: str, code: str, *, token: str = "") -> Reply:
        body = {"challenge_id": challenge, "code": code}
        return await self.call("POST", "/auth/otp/verify", body, token=token)

    async def codes(self, phone: str) -> list[str]:
        """All codes that were sent to a phone, the last one last."""
        for shard in range(SHARDS):
            claimed = await self.lanes.claim(shard, "wa", lanes=200)
            for taken in claimed.taken:
                for body in taken.items:
                    letter = msgspec.json.decode(body, type=SendCode)
                    opened = self.identity.letters.open(taken.conversation, letter.sealed)
                    assert opened is not None
                    self.sent.setdefault(opened[0], []).append(opened[1])
                await self.lanes.commit(taken, consumed=len(taken.items))
        return self.sent.get(phone, [])

    async def challenge(self, phone: str, **more: Any) -> tuple[str, str]:
        """Ask for a code; answers (challenge, code)."""
        asked = await self.ask(phone, **more)
        assert asked.status == 202, asked.body
        return str(asked.body["challenge_id"]), (await self.codes(phone))[-1]

    async def login(self, phone: str, **more: Any) -> Json:
        reply = await self.give(*await self.challenge(phone, **more))
        assert reply.status == 200, reply.body
        return reply.body

    async def refresh(self, token: str) -> Reply:
        return await self.call("POST", "/auth/refresh", {"refresh_token": token})

    def passes(self, seconds: float) -> None:
        self.clock.shift(int(seconds * 1000))

    def counted(self, name: str, detail: str = "") -> float:
        value = self.metrics.registry.get_sample_value(
            "smarterbot_events_total", {"name": name, "detail": detail}
        )
        return value or 0.0


def wrong(code: str, by: int = 1) -> str:
    """Another code."""
    return f"{(int(code) + by) % 1_000_000:06}"


@asynccontextmanager
async def house_of(
    valkey_url: str, postgres: PostgresUrls, **variables: str
) -> AsyncIterator[House]:
    settings = read_settings(
        {
            "DATABASE_URL": postgres.app,
            "REDIS_URL": valkey_url,
            "SMARTERBOT_KEYS": OLD_KEY,
            "PUBLIC_URL": ISSUER,
            "OTP_PER_IP_HOUR": "1000000",
            **variables,
        }
    )
    clock, metrics = Clock(), Metrics()
    wire = await Wire.open(valkey_url)
    box = SecretBox(settings.keys)
    async with Database.open(settings.database_url) as database:
        directory = Directory(database, wire, box)
        await directory.load()
        lanes = Lanes(wire, shards=await install(wire, shards=SHARDS), clock=clock)
        identity = Identity.assemble(
            settings,
            wire,
            lanes,
            Bell(wire),
            database=database,
            directory=directory,
            keys=settings.keys,
            box=box,
            limits=Limits(wire, clock=clock),
            clock=clock,
            metrics=metrics,
        )
        await identity.keys.load()
        app = web.Application()
        app.add_routes(identity.routes)
        async with (
            TestServer(app) as server,
            aiohttp.ClientSession(server.make_url("/")) as http,
        ):
            yield House(clock, wire, lanes, database, directory, identity, metrics, settings, http)
    await wire.close()


@pytest.fixture
async def firms(database: Database) -> None:
    """Two firms; the number of the first is the platform's."""
    box = SecretBox(read_settings({"SMARTERBOT_KEYS": OLD_KEY}).keys)
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_tenant(database, BUTCHERY, rut=BUTCHERY_RUT)
    channel = msgspec.structs.replace(BAKERY_CHANNEL, platform=True)
    await add_channel(database, box, channel, token="EAAG-bakery")


@pytest.fixture
async def house(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> AsyncIterator[House]:
    async with house_of(clean_valkey, clean_postgres) as house:
        yield house
