"""A login through everything, and out again: the firm's own systems hear of the person, signed and once."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.identity import people
from bot.identity.moments import moment
from bot.people.systems import set_system
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import TenantId, Ugid
from handlers.persons import System
from tests.echo import echo_book
from tests.handlers.chatwoot import fake as chatwoot
from tests.handlers.n8n.fake import SECRET, FakeN8n, serving
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

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
