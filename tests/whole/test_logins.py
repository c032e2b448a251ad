"""Other logins at the whole server: a user of Clerk becomes a person, a code of Supabase's reaches the phone."""

from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import redis

from bot.embedded.stores import Stores
from bot.people.channels import Mark
from handlers.clerk.login import PATH as LOGIN
from handlers.clerk.webhook import PATH as CLERK
from handlers.supabase.webhook import PATH as SUPABASE
from tests.echo import echo_book
from tests.handlers.clerk.fake import PARTY, SECRET_KEY, WEBHOOK_SECRET, FakeClerk, User, serving
from tests.handlers.supabase import fake as supabase
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

CODE = "561166"


@pytest.fixture
async def clerk() -> AsyncIterator[FakeClerk]:
    async with serving(FakeClerk()) as clerk:
        yield clerk


@pytest.fixture
async def whole(
    stores: Stores, tmp_path: Path, free_port: int, clerk: FakeClerk
) -> AsyncIterator[Whole]:
    environment = {
        "CLERK_ISSUER": clerk.url,
        "CLERK_AUTHORIZED_PARTIES": PARTY,
        "CLERK_WEBHOOK_SIGNING_SECRET": WEBHOOK_SECRET,
        "CLERK_SECRET_KEY": SECRET_KEY,
        "CLERK_API_URL": clerk.url,
        "SUPABASE_SEND_SMS_HOOK_SECRET": supabase.SECRET,
    }
    async with whole_server(
        stores, tmp_path, free_port, mark=Mark.PLATFORM, book=echo_book(), environment=environment
    ) as whole:
        yield whole


async def tells(whole: Whole, clerk: FakeClerk, kind: str, user: User, *, id: str) -> int:
    body = clerk.event(kind, user)
    headers = clerk.headers(body, id=id, at=whole.server.clock.now_ms() // 1000)
    async with whole.http.post(
        f"{whole.server.address}{CLERK}", data=body, headers=headers
    ) as response:
        return response.status


async def logs_in(whole: Whole, clerk: FakeClerk, user: str) -> tuple[int, str]:
    token = clerk.token(user, whole.server.clock.now_ms() // 1000)
    async with whole.http.post(
        f"{whole.server.address}{LOGIN}", headers={"Authorization": f"Bearer {token}"}
    ) as response:
        return response.status, (await response.json()).get("ugid", "")


async def test_a_user_becomes_a_person_who_is_known_by_session_and_external_id_until_deleted(
    whole: Whole, clerk: FakeClerk, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = clerk.users["user_1"] = User(
        "user_1",
        1_000,
        phones=[("+56961234567", "verified", "phone_code")],
        emails=[("ana@example.com", "verified", "email_code")],
    )
    assert await logs_in(whole, clerk, "user_1") == (404, "")

    clerk.limit = 1
    clerk.retry_after = "0"
    assert await tells(whole, clerk, "user.created", ana, id="msg_1") == 200
    assert await tells(whole, clerk, "user.created", ana, id="msg_1") == 200

    async def written_back() -> bool:
        return ana.external_id is not None

    await until(written_back, within_s=20, what="the external id")
    assert ana.external_id is not None
    assert UUID(ana.external_id).version == 4
    assert await logs_in(whole, clerk, "user_1") == (200, ana.external_id)

    # Clerk tells of the change that we made ourselves; then the deletion; and then, late, something old.
    assert await tells(whole, clerk, "user.updated", ana, id="msg_2") == 200
    assert await tells(whole, clerk, "user.deleted", ana, id="msg_3") == 200
    assert await tells(whole, clerk, "user.updated", ana, id="msg_4") == 200

    async def nobody() -> bool:
        return await logs_in(whole, clerk, "user_1") == (404, "")

    await until(nobody, within_s=20, what="the deletion")
    assert clerk.asked_for("/v1/users/user_1") == 2
    with redis.Redis.from_url(whole.stores.redis_url) as store:
        names = [list(store.scan_iter())]
        names += [store.hkeys(key) for key in names[0] if store.type(key) == b"hash"]
    async with whole.http.get(f"{whole.server.address}/metrics") as response:
        metrics = await response.text()
    printed = capsys.readouterr()
    for place in (repr(names), metrics, printed.out, printed.err):
        for told in ("961234567", "user_1", "ana@example.com", SECRET_KEY):
            assert told not in place


async def test_the_secret_of_one_path_opens_no_other(whole: Whole, clerk: FakeClerk) -> None:
    now_s = whole.server.clock.now_ms() // 1000
    body = clerk.event("user.created", User("user_1", 1_000))
    posts = [
        (SUPABASE, body, clerk.headers(body, id="msg_1", at=now_s)),
        (CLERK, payload := supabase.body(), supabase.headers(payload, now_s)),
    ]

    for path, data, headers in posts:
        url = f"{whole.server.address}{path}"
        async with whole.http.post(url, data=data, headers=headers) as response:
            assert response.status == 401


async def test_200_comes_before_slow_work(whole: Whole, clerk: FakeClerk) -> None:
    ana = clerk.users["user_1"] = User("user_1", 1_000)
    superuser = await asyncpg.connect(
        whole.stores.postgres.app.replace("smarterbot_app@", "postgres@")
    )
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE smarterbot.clerk_users")
        assert await tells(whole, clerk, "user.created", ana, id="msg_1") == 200
        assert ana.external_id is None
    await superuser.close()

    async def written_back() -> bool:
        return ana.external_id is not None

    await until(written_back, within_s=20, what="the external id")


async def test_what_clerk_told_outlives_an_outage_of_postgresql_and_of_clerk(
    whole: Whole, clerk: FakeClerk
) -> None:
    ana = clerk.users["user_1"] = User("user_1", 1_000)
    clerk.down = True
    url = whole.stores.postgres.app.replace("smarterbot_app@", "postgres@")
    superuser = await asyncpg.connect(url)
    await superuser.execute("ALTER ROLE smarterbot_app CONNECTION LIMIT 0")
    await superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'smarterbot_app'"
    )
    try:
        assert await tells(whole, clerk, "user.created", ana, id="msg_1") == 200

        async def is_waiting() -> bool:
            waited = whole.server.metrics.registry.get_sample_value(
                "smarterbot_served_total", {"kind": "clerk", "outcome": "waited"}
            )
            return bool(waited)

        await until(is_waiting, within_s=30, what="the first try")
    finally:
        await superuser.execute("ALTER ROLE smarterbot_app CONNECTION LIMIT -1")
        await superuser.close()

    async def tried() -> bool:
        whole.server.clock.shift(5_000)
        return clerk.asked_for("/v1/users/user_1") > 0

    await until(tried, within_s=30, what="the call to Clerk")
    clerk.down = False

    async def written_back() -> bool:
        whole.server.clock.shift(5_000)
        return ana.external_id is not None

    await until(written_back, within_s=30, what="the external id")


async def test_a_code_of_supabase_s_arrives_once_by_the_authentication_template(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    await whole.people.join(1)
    url = f"{whole.server.address}{SUPABASE}"
    payload = supabase.body(phone(1), CODE)
    now_s = whole.server.clock.now_ms() // 1000
    # Two of three answers are lost: each try comes under a new id.
    assert await supabase.calls(whole.http, url, payload, now_s, lose_answers=2) == {}

    async def arrived() -> bool:
        return whole.truth.taken > 0

    await until(arrived, within_s=20, what="the code")
    assert await supabase.calls(whole.http, url, payload, now_s) == {}
    [said] = chain.from_iterable((await whole.people.replies()).values())
    assert CODE in said
    assert whole.truth.taken == 1
    with redis.Redis.from_url(whole.stores.redis_url) as store:
        kept = repr([store.hgetall(key) for key in store.scan_iter() if store.type(key) == b"hash"])
    printed = capsys.readouterr()
    for place in (kept, printed.out, printed.err):
        assert CODE not in place
        assert phone(1) not in place
