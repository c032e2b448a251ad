"""A load test of the real server: stores, flow, lanes and HTTP, and the mistakes that operators make before it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from bot.app import running
from bot.demo import prepare_demo
from bot.embedded.stores import Stores
from bot.loadtest.run import load_test
from bot.loadtest.values import LoadTestError, Target
from bot.settings import read_settings
from handlers.whatsapp.emulator.mix import USUAL
from handlers.whatsapp.emulator.plan import Plan
from handlers.whatsapp.emulator.world import NumberId
from handlers.whatsapp.webhook import PATH
from tests.echo import echo_book
from tests.whole.conftest import KEYS, SECRET
from tests.whole.people import FAST
from tests.whole.waits import SHORT

PLAN = Plan(people=60, messages=120, rate=100, parts=USUAL, wait_s=10, quiet_s=0.3)


@asynccontextmanager
async def deployment(
    stores: Stores, data: Path, port: int, graph_port: int
) -> AsyncIterator[Target]:
    """The server as an operator would run it for a rehearsal."""
    settings = read_settings(
        {
            "DATABASE_URL": stores.postgres.app,
            "DATABASE_OWNER_URL": stores.postgres.owner,
            "REDIS_URL": stores.redis_url,
            "SMARTERBOT_KEYS": KEYS,
            "SMARTERBOT_DATA": str(data),
            "SMARTERBOT_SHARDS": "8",
            "PORT": str(port),
            "WHATSAPP_APP_SECRET": SECRET,
            "WHATSAPP_VERIFY_TOKEN": "test-verify-token",
            "WHATSAPP_GRAPH_URL": f"http://127.0.0.1:{graph_port}",
        }
    )
    await prepare_demo(settings, stores, number=FAST)
    # The firm's own conversation lets people finish writing, which is most of the time of a load this small.
    async with running(settings, stores, book=echo_book(), waits=SHORT) as server:
        yield Target(f"{server.address}{PATH}", SECRET, structs.replace(FAST, token=""), graph_port)


@pytest.fixture
async def target(
    stores: Stores, tmp_path: Path, free_port: int, other_port: int
) -> AsyncIterator[Target]:
    async with deployment(stores, tmp_path, free_port, other_port) as target:
        yield target


async def test_the_server_loses_doubles_and_inverts_nothing(target: Target) -> None:
    result = await load_test(target, PLAN, seed=1)

    assert result.problems == []
    assert result.counts.sent == result.counts.acknowledged == result.counts.replies == 120
    assert set(result.counts.webhooks) == {"200"}
    # A message and two or three statuses of its answer: the last of them may still be on their way.
    assert result.counts.webhooks["200"] >= 3 * 120
    assert result.counts.kinds["text"] > result.counts.kinds["menu"] > 0


async def test_the_operators_mistakes_are_told_apart(target: Target, free_port: int) -> None:
    unknown = structs.replace(target.number, id=NumberId("100000000000009"))
    mistakes = {
        "--phone-number-id: the server has no number": replace(target, number=unknown),
        "WHATSAPP_APP_SECRET: ": replace(target, app_secret="another"),
        "--callback-url: there is no webhook": replace(
            target, callback_url=target.callback_url.removesuffix(PATH)
        ),
        "WHATSAPP_GRAPH_URL: the server took a message": replace(target, graph_port=0),
    }

    for told, mistaken in mistakes.items():
        with pytest.raises(LoadTestError, match=told):
            await load_test(mistaken, PLAN, seed=1, greet_s=1.0)
