"""Processes and stores are killed between the 202 and the send: nothing that was accepted is lost, nothing is said twice."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from bot.lanes import Wire
from bot.people.directory import publish_directory
from bot.people.tenants import change_settings, list_firms
from bot.store.database import Database
from bot.store.keys import read_keys
from bot.store.secrets import SecretBox
from tests.whole.api import Caller, make_key, price_list
from tests.whole.installation import Installation, installation
from tests.whole.people import until

KEYS = read_keys(f"t1:{base64.b64encode(bytes(32)).decode()}")


@pytest.fixture
async def site() -> AsyncIterator[Installation]:
    async with installation() as site:
        yield site


@pytest.fixture
async def api(site: Installation) -> AsyncIterator[Caller]:
    new = await make_key(site.stores, KEYS)
    await until(lambda: templates_are_known(site), within_s=site.patience_s)
    await asyncio.sleep(2.5)  # processes look every two seconds
    async with aiohttp.ClientSession() as http:
        yield Caller(http, site.webs[0].address, new.key)


async def templates_are_known(site: Installation) -> bool:
    async with Database.open(site.stores.postgres.app) as database:
        [firm] = await list_firms(database)
        async with database.tenant(firm.id) as connection:
            return bool(await connection.fetchval("SELECT count(*) FROM smarterbot.templates"))


async def said(site: Installation) -> list[int]:
    """How many messages each person got."""
    return [len(texts) for texts in (await site.people.replies()).values()]


async def accepted(api: Caller, n: int) -> str:
    """Sent as a careful system sends: again with the same key until it is accepted."""
    while True:
        try:
            answer = await api.send(n, once=f"order-of-{n}")
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
            continue
        if answer.status == 202:
            return str(answer.body["id"])
        assert answer.status == 503, answer
        await asyncio.sleep(0.05)


async def test_what_was_accepted_is_sent_though_everybody_dies_before(
    site: Installation, api: Caller
) -> None:
    web, worker = site.webs[0], site.workers[0]
    for n in range(5):
        await site.people.join(n)
    worker.kill()
    ids = [await accepted(api, n) for n in range(5)]
    assert [(await api.fate(id))["status"] for id in ids] == ["accepted"] * 5
    web.kill()
    site.valkey.kill()
    await site.valkey.start()
    await asyncio.gather(web.start(), worker.start())

    for id in ids:
        await api.fate_is(id, "delivered", "read")

    await site.at_rest()
    assert await said(site) == [1] * 5
    assert [await accepted(api, n) for n in range(5)] == ids


@pytest.mark.nightly
async def test_killed_under_load_nothing_is_lost_or_doubled(
    site: Installation, api: Caller
) -> None:
    people = range(40)
    for n in people:
        await site.people.join(n)
    site.faults(slow_ms=100)

    async def kill() -> None:
        for server in (*site.servers, *site.servers):
            await asyncio.sleep(0.3)
            server.kill()
            await server.start()

    async def send() -> list[str]:
        ids = []
        for start in range(0, 40, 4):
            ids += await asyncio.gather(*(accepted(api, n) for n in people[start : start + 4]))
            await asyncio.sleep(0.2)
        return ids

    ids, _ = await asyncio.gather(send(), kill())

    for id in ids:
        await api.fate_is(id, "delivered", "read")
    await site.at_rest()
    assert await said(site) == [1] * 40


@pytest.mark.nightly
async def test_a_campaign_whose_worker_is_killed_reaches_everybody_once(
    site: Installation, api: Caller
) -> None:
    await never_quiet(site)
    people = range(60)
    for n in people:
        await site.people.join(n)
    worker = site.workers[0]
    begun = await api.call(
        *("POST", "/v1/campaigns"),
        {
            "title": "Precios",
            "recipients": [price_list(n) for n in people],
            "per_minute": 1_200,
        },
    )
    assert begun.status == 202, begun
    for _ in range(3):
        await asyncio.sleep(0.7)
        worker.kill()
        await worker.start()

    done = await api.progress_is(begun.body["id"], "done", within_s=60)

    assert done["released"] == 60

    async def everybody() -> bool:
        return len(await said(site)) == 60

    await until(everybody, within_s=site.patience_s)
    await site.at_rest()
    assert await said(site) == [1] * 60


async def test_without_postgresql_a_known_key_still_sends(site: Installation, api: Caller) -> None:
    for n in range(3):
        await site.people.join(n)
    before = await accepted(api, 0)
    await api.fate_is(before, "delivered", "read")
    unknown = await make_key(site.stores, KEYS, publish=False)
    site.postgres.kill()

    sent = await accepted(api, 1)

    async def arrived() -> bool:
        return await said(site) == [1, 1]

    await until(arrived, within_s=site.patience_s)
    asked = await api.call("GET", f"/v1/messages/{sent}")
    stranger = await Caller(api.http, api.address, unknown.key).send(2)
    campaign = await api.call(
        *("POST", "/v1/campaigns"), {"title": "Precios", "recipients": [price_list(2)]}
    )
    for answer in (asked, stranger, campaign):
        assert (answer.status, answer.body["type"]) == (503, "urn:smarterbot:problem:unavailable")
        assert int(answer.headers["Retry-After"]) > 0

    await site.postgres.start()
    await until(lambda: tells(api, sent), within_s=site.patience_s)
    await api.fate_is(sent, "delivered", "read")


async def tells(api: Caller, id: str) -> bool:
    return (await api.call("GET", f"/v1/messages/{id}")).status == 200


async def never_quiet(site: Installation) -> None:
    """The real time goes by in these processes: whatever it is, the quiet hours are twelve hours away."""
    async with Database.open(site.stores.postgres.app) as database:
        [firm] = await list_firms(database)
        local = datetime.now(UTC).astimezone(ZoneInfo(firm.zone)) + timedelta(hours=12)
        end = local + timedelta(minutes=1)
        quiet = f"{local:%H:%M}-{end:%H:%M}"
        await change_settings(database, firm.id, {"quiet_hours": quiet})
        wire = await Wire.open(site.stores.redis_url, name="test")
        try:
            await publish_directory(database, wire, SecretBox(KEYS))
        finally:
            await wire.close()
    await asyncio.sleep(2.5)  # processes look every two seconds
