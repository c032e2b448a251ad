"""The whole server in this process, with the emulator on the other side of real HTTP."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import aiohttp
import pytest

from bot.app import Role, Running, Waits, running
from bot.clock import Clock
from bot.demo import DEMO_NUMBER, PLATFORM_NUMBER, prepare_demo, prepare_town
from bot.embedded.postgres import PostgresUrls
from bot.embedded.stores import Stores
from bot.people.channels import Mark
from bot.settings import Settings, read_settings
from bot.store.database import STATEMENT_CACHE
from flows.dialog.advance import Book
from handlers.whatsapp.emulator.accounts import APP_ID
from handlers.whatsapp.emulator.phones import Pace
from handlers.whatsapp.emulator.server import Emulator, serving
from handlers.whatsapp.emulator.signups import CONFIG_ID, SDK
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.webhooks import Retries
from handlers.whatsapp.emulator.world import Number, Truth
from handlers.whatsapp.webhook import PATH
from tests.whole.people import FAST, People
from tests.whole.waits import SHORT

SECRET = "test-app-secret"
KEYS = f"t1:{base64.b64encode(bytes(32)).decode()}"


@dataclass
class Whole:
    """A server at work, the people who write to it, and what the emulator knows."""

    server: Running
    emulator: Emulator
    people: People
    stores: Stores
    settings: Settings
    http: aiohttp.ClientSession

    @property
    def truth(self) -> Truth:
        return self.emulator.world.truth()


@pytest.fixture
def stores(clean_valkey: str, clean_postgres: PostgresUrls) -> Stores:
    return Stores(redis_url=clean_valkey, postgres=clean_postgres)


@asynccontextmanager
async def whole_server(
    stores: Stores,
    data: Path,
    port: int,
    *,
    book: Book | None = None,
    waits: Waits = SHORT,
    clock: Clock | None = None,
    meta_clock: Clock | None = None,
    role: Role = "all",
    number: Number = FAST,
    mark: Mark = Mark.FIRM,
    town: bool = False,
    statement_cache: int = STATEMENT_CACHE,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Whole]:
    """
    Args:
        meta_clock: of Meta and the people; by default they go by the server's.
        number: the demo firm's.
        mark: of that number.
        town: as in `make run`: SmarterOS has a number of its own, and one for demos.
        environment: further variables.
    """
    clock = clock or Clock()
    meta_clock = meta_clock or clock

    async def shift(ms: int) -> None:
        meta_clock.shift(ms)

    emulator = Emulator(
        callback_url=f"http://127.0.0.1:{port}{PATH}",
        app_secret=SECRET,
        numbers=[number, PLATFORM_NUMBER, DEMO_NUMBER] if town else [number],
        templates=read_templates(SAMPLES),
        clock=meta_clock,
        on_shift=shift,
        pace=Pace(0, 0, 0),
        retries=Retries(first_ms=50, longest_ms=500),
        salt="whole",
    )
    async with serving(emulator, host="127.0.0.1", port=0) as graph:
        settings = read_settings(
            {
                "DATABASE_URL": stores.postgres.app,
                "DATABASE_OWNER_URL": stores.postgres.owner,
                "DB_STATEMENT_CACHE": str(statement_cache),
                "REDIS_URL": stores.redis_url,
                "SMARTERBOT_KEYS": KEYS,
                "SMARTERBOT_DATA": str(data),
                "SMARTERBOT_SHARDS": "8",
                "PORT": str(port),
                "WHATSAPP_APP_SECRET": SECRET,
                "WHATSAPP_VERIFY_TOKEN": "test-verify-token",
                "WHATSAPP_GRAPH_URL": graph,
                "META_APP_ID": APP_ID,
                "META_CONFIG_ID": CONFIG_ID,
                "META_SDK_URL": f"{graph}{SDK}",
                **environment,
            }
        )
        if town:
            await prepare_town(settings, stores)
        else:
            await prepare_demo(settings, stores, number=number, mark=mark)
        async with (
            running(settings, stores, role=role, book=book, clock=clock, waits=waits) as server,
            aiohttp.ClientSession() as http,
        ):
            people = People(http, graph)
            yield Whole(server, emulator, people, stores, settings, http)
