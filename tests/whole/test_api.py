"""A firm's own system sends by intent and learns what became of it: the whole server, over HTTP."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.clock import Clock
from bot.embedded.stores import Stores
from tests.whole.api import Caller, caller_of
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until

NOON = datetime(2026, 11, 30, 12, tzinfo=ZoneInfo("America/Santiago"))
HOUR_MS = 3_600_000


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    clock = Clock()
    clock.shift(int(NOON.timestamp() * 1000) - clock.now_ms())
    async with whole_server(stores, tmp_path, free_port, clock=clock) as whole:
        yield whole


@pytest.fixture
async def api(whole: Whole) -> Caller:
    return await caller_of(whole.settings, whole.stores, whole.http, whole.server.address)


async def heard(whole: Whole, person: int) -> list[str]:
    """What the bot has said to a person."""
    replies = await whole.people.replies()
    known = whole.people.id_of(person)
    return next((said for who, said in replies.items() if who in (known, phone_of(person))), [])


def phone_of(n: int) -> str:
    return str(56_961_000_000 + n)


async def writes(whole: Whole, person: int, text: str = "hola") -> None:
    """A person writes and is answered."""
    before = len(await heard(whole, person)) if whole.people.id_of(person) else 0
    await whole.people.write(person, text)
    whole.server.clock.shift(2_000)

    async def answered() -> bool:
        return len(await heard(whole, person)) > before

    await until(answered, within_s=10, what="an answer")


async def test_smoke(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    sent = await api.send(1)
    print(sent)
    print(await api.fate_is(sent.body["id"], "delivered", "read", "failed"))
    print(await heard(whole, 1), await whole.people.replies())
    assert 0
