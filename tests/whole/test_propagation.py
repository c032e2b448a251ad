"""A login through everything, and out again: the firm's own systems hear of the person, signed and once."""

import asyncio
import random
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import redis

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.identity import people
from bot.identity.moments import moment
from bot.identity.propagation import CHORE
from bot.lanes import PREFIX
from bot.people.channels import Mark
from bot.people.systems import set_system
from bot.people.tenants import add_tenant
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import TenantId, Ugid
from flows.values.rut import Rut
from handlers.persons import System
from tests.echo import echo_book
from tests.handlers.chatwoot import fake as chatwoot
from tests.handlers.n8n.fake import SECRET, FakeN8n, serving
from tests.whole.conftest import KEYS, Whole, whole_server
from tests.whole.machines import Server
from tests.whole.people import phone, until
from tests.whole.waits import SHORT

PERSON: Final = 7


@pytest.fixture
async def n8n() -> AsyncIterator[FakeN8n]:
    async with serving(FakeN8n(now_s=None)) as n8n:
        yield n8n


@pytest.fixture
async def desk() -> AsyncIterator[chatwoot.FakeChatwoot]:
    async with chatwoot.serving(chatwoot.FakeChatwoot()) as desk:
        yield desk


@pytest.fixture
async def whole(
    stores: Stores, tmp_path: Path, free_port: int, n8n: FakeN8n, desk: chatwoot.FakeChatwoot
) -> AsyncIterator[Whole]:
    origins = f"{n8n.url.partition('/webhook')[0]},{desk.url}"
    async with (
        whole_server(
            stores,
            tmp_path,
            free_port,
            mark=Mark.PLATFORM,
            book=echo_book(),
            environment={"SYSTEM_ORIGINS": origins},
        ) as whole,
        Database.open(stores.postgres.app) as database,
    ):
        at = moment(whole.server.clock)
        box = SecretBox(whole.settings.keys)
        firm = firm_of(whole)
        account = {"account": str(chatwoot.ACCOUNT)}
        for system in (
            System(firm, "n8n", n8n.url, {}, SECRET),
            System(firm, "chatwoot", desk.url, account, chatwoot.TOKEN),
        ):
            await set_system(database, box, system, at=at)
        await whole.people.join(PERSON)
        yield whole


def firm_of(whole: Whole) -> TenantId:
    """The only one."""
    [firm] = whole.server.directory.firms()
    return firm.id


async def post(whole: Whole, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with whole.http.post(f"{whole.server.address}{path}", json=body) as answer:
        assert answer.status in (200, 202), await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


async def logs_in(whole: Whole) -> Ugid:
    asked = await post(whole, "/auth/otp", {"phone": f"+{phone(PERSON)}", "tenant": firm_of(whole)})

    async def came() -> bool:
        return whole.truth.taken >= 1

    await until(came, what="the code")
    person = whole.people.id_of(PERSON)
    assert person is not None
    [message] = [one for one in whole.emulator.world.messages(NUMBER.id, person) if one.outbound]
    code = re.search(r"(?<!\d)\d{6}(?!\d)", repr(message.content))
    assert code is not None
    body = {"challenge_id": asked["challenge_id"], "code": code[0]}
    return Ugid((await post(whole, "/auth/otp/verify", body))["ugid"])


async def test_a_login_reaches_n8n_signed_and_once_and_an_erasure_after_it(
    whole: Whole, n8n: FakeN8n, desk: chatwoot.FakeChatwoot, capsys: pytest.CaptureFixture[str]
) -> None:
    ugid = await logs_in(whole)

    async def told() -> bool:
        return bool(n8n.posts and desk.of(ugid))

    await until(told, within_s=20, what="the event and the contact")
    [event] = n8n.events
    assert event["type"] == "person.created"
    assert event["data"] | {"since": ""} == {
        "ugid": ugid,
        "version": 1,
        "role": "customer",
        "since": "",
        "phone": f"+{phone(PERSON)}",
        "email": None,
    }
    async with (
        Database.open(whole.stores.postgres.app) as database,
        database.system() as connection,
    ):
        await people.erase(connection, ugid, moment(whole.server.clock))

    async def erased() -> bool:
        return len(n8n.posts) > 1 and not desk.contacts

    await until(erased, within_s=20, what="the erasure")
    assert [event["type"] for event in n8n.events] == ["person.created", "person.erased"]
    assert len(n8n.posts) == 2
    assert n8n.refused == 0

    with redis.Redis.from_url(whole.stores.redis_url) as store:
        names = [list(store.scan_iter())]
        names += [store.hkeys(key) for key in names[0] if store.type(key) == b"hash"]
    async with whole.http.get(f"{whole.server.address}/metrics") as response:
        metrics = await response.text()
    assert 'name="tell_n8n"' in metrics
    printed = capsys.readouterr()
    for place in (repr(names), metrics, printed.out, printed.err):
        for word in (phone(PERSON), SECRET, chatwoot.TOKEN):
            assert word not in place


@dataclass(frozen=True)
class Workers:
    """Two processes that work, the database, and the automation of the only firm."""

    servers: tuple[Server, Server]
    database: Database
    firm: TenantId
    superuser: "asyncpg.Connection[asyncpg.Record]"
    n8n: FakeN8n

    async def enters(self, n: int) -> Ugid:
        at = moment(Clock())
        async with self.database.system() as connection:
            ugid = await people.enter(
                connection, "phone", "", phone(n), at=at, method="whatsapp_code"
            )
            await people.join(connection, ugid, self.firm, at)
            return ugid

    async def all_told(self, ugids: list[Ugid]) -> None:
        async def told() -> bool:
            return {event["data"]["ugid"] for event in self.n8n.events} >= set(ugids)

        await until(told, within_s=40, what="everybody's event")


@pytest.fixture
async def workers(stores: Stores, tmp_path: Path, n8n: FakeN8n) -> AsyncIterator[Workers]:
    environment = {
        "DATABASE_URL": stores.postgres.app,
        "DATABASE_OWNER_URL": stores.postgres.owner,
        "REDIS_URL": stores.redis_url,
        "SMARTERBOT_KEYS": KEYS,
        "SMARTERBOT_DATA": str(tmp_path),
        "SMARTERBOT_SHARDS": "8",
        "WHATSAPP_APP_SECRET": "x",
        "WHATSAPP_VERIFY_TOKEN": "x",
        "SYSTEM_ORIGINS": n8n.url.partition("/webhook")[0],
    }
    superuser = await asyncpg.connect(stores.postgres.app.replace("smarterbot_app@", "postgres@"))
    async with (
        Database.open(stores.postgres.app) as database,
        aiohttp.ClientSession() as http,
    ):
        firm = Firm(id=TenantId(str(uuid4())), name="Panadería Sol")
        await add_tenant(database, firm, rut=Rut("765432103"))
        box = SecretBox(read_settings(environment).keys)
        n8n_of = System(firm.id, "n8n", n8n.url, {}, SECRET)
        await set_system(database, box, n8n_of, at=moment(Clock()))
        first, second = (
            Server(f"worker-{n}", tmp_path, role="worker", environment=environment, waits=SHORT, http=http)
            for n in (1, 2)
        )  # fmt: skip
        try:
            await asyncio.gather(first.start(), second.start())
            yield Workers((first, second), database, firm.id, superuser, n8n)
        finally:
            for server in (first, second):
                server.discard()
            await superuser.close()


async def test_killed_after_the_lanes_and_before_the_mark(workers: Workers) -> None:
    """Whoever carried it is killed; the next one carries it again, and it is told once."""
    first, second = workers.servers
    second.kill()
    first.send(signal.SIGSTOP)
    ugid = await workers.enters(1)
    async with workers.superuser.transaction():
        # Lines can be read, and not be marked.
        await workers.superuser.execute("LOCK TABLE smarterbot.identity_outbox IN EXCLUSIVE MODE")
        first.send(signal.SIGCONT)
        await workers.all_told([ugid])
        first.kill()
    waiting = "SELECT count(*) FROM smarterbot.identity_outbox WHERE carried_at IS NULL"
    left = await workers.superuser.fetchval(waiting)
    with redis.Redis.from_url(workers.servers[0].variables["REDIS_URL"]) as store:
        assert store.delete(f"{PREFIX}rota:{CHORE}") == 1  # it would end by itself in ten seconds
    await second.start()

    async def carried() -> bool:
        return bool(await workers.superuser.fetchval(waiting) == 0)

    await until(carried, within_s=30, what="the mark")
    await workers.all_told([await workers.enters(2)])
    assert left == 3
    assert [event["data"]["version"] for event in workers.n8n.events] == [1, 1]
    assert len(workers.n8n.posts) == 2


async def test_killed_at_any_moment_everybody_is_told_once(workers: Workers) -> None:
    chance = random.Random(7)
    ugids = []
    for n in range(24):
        ugids.append(await workers.enters(n))
        if n % 4 == 3:
            await asyncio.sleep(chance.uniform(0.0, 1.2))
            victim = chance.choice(workers.servers)
            victim.kill()
            await victim.start()
    await workers.all_told(ugids)

    told = sorted(event["data"]["ugid"] for event in workers.n8n.events)
    assert told == sorted(ugids)
    assert {event["type"] for event in workers.n8n.events} == {"person.created"}
    assert workers.n8n.refused == 0
