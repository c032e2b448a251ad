"""A session goes on as long as its newest refresh token comes back, and ends when an old one does."""

import asyncio
import base64

import asyncpg
import pytest

from bot.embedded.postgres import PostgresUrls
from bot.identity import people
from bot.identity.moments import moment
from bot.identity.sessions import GRACE, IDLE, SESSIONS_MAX
from flows.values.ids import TenantId, Ugid
from tests.bot.identity.conftest import NEW_KEY, OLD_KEY, House, house_of, number
from tests.bot.people.conftest import BAKERY, BUTCHERY

ANA, BEA = number(1), number(2)


async def test_a_refresh_token_is_replaced_each_time(house: House) -> None:
    first = await house.login(ANA)
    seen = {first["refresh_token"]}
    token = first["refresh_token"]
    for _ in range(5):
        house.passes(600)
        reply = await house.refresh(token)
        assert (reply.status, reply.body["ugid"]) == (200, first["ugid"])
        token = reply.body["refresh_token"]
        seen.add(token)
    assert len(seen) == 6


async def test_a_token_that_comes_again_outside_the_grace_ends_the_session(house: House) -> None:
    stolen = (await house.login(ANA))["refresh_token"]
    newest = (await house.refresh(stolen)).body["refresh_token"]
    house.passes(GRACE.total_seconds() + 1)

    assert (await house.refresh(stolen)).status == 401

    assert (await house.refresh(newest)).status == 401
    assert house.counted("refresh", "reuse") == 1


async def test_an_old_token_ends_the_session_even_within_the_grace(house: House) -> None:
    oldest = (await house.login(ANA))["refresh_token"]
    old = (await house.refresh(oldest)).body["refresh_token"]
    newest = (await house.refresh(old)).body["refresh_token"]

    assert (await house.refresh(oldest)).status == 401
    assert (await house.refresh(newest)).status == 401


async def test_tokens_that_come_together_get_the_same_one(house: House) -> None:
    token = (await house.login(ANA))["refresh_token"]

    replies = await asyncio.gather(*(house.refresh(token) for _ in range(10)))

    assert {reply.status for reply in replies} == {200}
    [after] = {reply.body["refresh_token"] for reply in replies}
    house.passes(GRACE.total_seconds() + 1)
    assert (await house.refresh(after)).status == 200


async def test_a_lost_answer_may_be_asked_for_again_within_the_grace(house: House) -> None:
    token = (await house.login(ANA))["refresh_token"]
    lost = (await house.refresh(token)).body["refresh_token"]
    house.passes(GRACE.total_seconds() - 2)

    assert (await house.refresh(token)).body["refresh_token"] == lost


async def test_the_same_token_is_given_again_though_the_keys_were_changed_meanwhile(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    async with house_of(clean_valkey, clean_postgres) as house:
        token = (await house.login(ANA))["refresh_token"]
        lost = (await house.refresh(token)).body["refresh_token"]
    changed = house_of(clean_valkey, clean_postgres, SMARTERBOT_KEYS=f"{NEW_KEY},{OLD_KEY}")
    async with changed as house:
        again = (await house.refresh(token)).body["refresh_token"]
        assert (await house.refresh(again)).status == 200
    # What it says and keeps secret is the same; our signature is another key's.
    assert again[:90] == lost[:90]


@pytest.mark.parametrize("place", [0, 20, 34, 50, 80])
async def test_a_token_that_we_did_not_make_ends_nothing(house: House, place: int) -> None:
    token = (await house.login(ANA))["refresh_token"]
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    data[place] ^= 1

    forged = base64.urlsafe_b64encode(data).decode().rstrip("=")

    assert (await house.refresh(forged)).status == 401
    assert (await house.refresh(token)).status == 200


async def test_a_session_that_nobody_uses_is_over(house: House) -> None:
    token = (await house.login(ANA))["refresh_token"]
    house.passes(IDLE.total_seconds())
    assert (await house.refresh(token)).status == 401


async def test_a_token_is_no_access_token_and_the_other_way_round(house: House) -> None:
    login = await house.login(ANA)

    assert (await house.call("GET", "/auth/me", token=login["refresh_token"])).status == 401
    assert (await house.refresh(login["access_token"][:200])).status == 401


async def test_no_token_is_kept(house: House, clean_postgres: PostgresUrls) -> None:
    login = await house.login(ANA)
    token = login["refresh_token"]
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    owner = await asyncpg.connect(clean_postgres.owner)
    row = await owner.fetchrow("SELECT * FROM smarterbot.sessions")
    await owner.close()
    assert row is not None

    assert len(row["token_hash"]) == 32
    assert token not in repr(dict(row))
    assert not any(isinstance(kept, bytes) and kept in data for kept in row.values())


async def test_a_logout_ends_this_session(house: House) -> None:
    here = await house.login(ANA)
    house.passes(60)
    elsewhere = await house.login(ANA)

    assert (await house.call("POST", "/auth/logout", token=here["access_token"])).status == 204

    assert (await house.refresh(here["refresh_token"])).status == 401
    assert (await house.call("GET", "/auth/me", token=here["access_token"])).status == 401
    assert (await house.refresh(elsewhere["refresh_token"])).status == 200


async def test_a_logout_everywhere_ends_them_all(house: House) -> None:
    here = await house.login(ANA)
    house.passes(60)
    elsewhere = await house.login(ANA)

    body = {"everywhere": True}
    token = here["access_token"]
    assert (await house.call("POST", "/auth/logout", body, token=token)).status == 204

    for login in (here, elsewhere):
        assert (await house.refresh(login["refresh_token"])).status == 401
    # A session that is over ends no others.
    house.passes(120)
    await house.login(ANA)
    assert (await house.call("POST", "/auth/logout", body, token=token)).status == 401


async def test_a_person_sees_and_ends_their_sessions(house: House) -> None:
    here = await house.login(ANA)
    house.passes(60)
    elsewhere = await house.login(ANA, tenant=BAKERY.id)
    token = here["access_token"]

    listed = (await house.call("GET", "/auth/sessions", token=token)).body["sessions"]

    assert [(one["current"], one["tenant"]) for one in listed] == [(False, BAKERY.id), (True, None)]
    ended = await house.call("DELETE", f"/auth/sessions/{listed[0]['id']}", token=token)
    assert ended.status == 204
    assert (await house.refresh(elsewhere["refresh_token"])).status == 401
    [left] = (await house.call("GET", "/auth/sessions", token=token)).body["sessions"]
    assert left["current"]


async def test_nobody_ends_another_s_session(house: House) -> None:
    ana, bea = await house.login(ANA), await house.login(BEA)
    [hers] = (await house.call("GET", "/auth/sessions", token=bea["access_token"])).body["sessions"]

    for session in (hers["id"], "00000000-0000-4000-8000-000000000000", "x"):
        refused = await house.call("DELETE", f"/auth/sessions/{session}", token=ana["access_token"])
        assert (refused.status, refused.problem) == (404, "session")

    assert (await house.refresh(bea["refresh_token"])).status == 200


async def test_a_person_has_so_many_sessions(house: House) -> None:
    logins = []
    for _ in range(SESSIONS_MAX + 1):
        house.passes(4 * 3_600)
        logins.append(await house.login(ANA))

    token = logins[-1]["access_token"]
    listed = (await house.call("GET", "/auth/sessions", token=token)).body["sessions"]

    assert len(listed) == SESSIONS_MAX
    assert (await house.refresh(logins[0]["refresh_token"])).status == 401
    assert (await house.refresh(logins[1]["refresh_token"])).status == 200


async def test_acting_for_another_firm_is_another_token(house: House) -> None:
    login = await house.login(ANA, tenant=BAKERY.id)
    async with house.database.system() as connection:
        await people.set_role(
            connection, Ugid(login["ugid"]), TenantId(BUTCHERY.id), "owner", moment(house.clock)
        )

    switched = await house.call(
        "POST", "/auth/tenant", {"tenant": BUTCHERY.id}, token=login["access_token"]
    )

    read = house.identity.tokens.read
    assert (read(login["access_token"]).tenant, read(login["access_token"]).role) == (
        BAKERY.id,
        "customer",
    )
    now = read(switched.body["access_token"])
    assert (now.tenant, now.role) == (BUTCHERY.id, "owner")
    assert "refresh_token" not in switched.body
    # The session remembers.
    refreshed = await house.refresh(login["refresh_token"])
    assert read(refreshed.body["access_token"]).tenant == BUTCHERY.id


async def test_nobody_acts_for_a_firm_that_they_do_not_belong_to(house: House) -> None:
    login = await house.login(ANA, tenant=BAKERY.id)

    for tenant in (BUTCHERY.id, "00000000-0000-4000-8000-000000000000"):
        refused = await house.call(
            "POST", "/auth/tenant", {"tenant": tenant}, token=login["access_token"]
        )
        assert (refused.status, refused.problem) == (403, "no_member")
    none = await house.call("POST", "/auth/tenant", {"tenant": None}, token=login["access_token"])
    assert house.identity.tokens.read(none.body["access_token"]).tenant is None


async def test_a_person_is_told_who_they_are(house: House) -> None:
    login = await house.login(ANA, tenant=BAKERY.id)

    me = (await house.call("GET", "/auth/me", token=login["access_token"])).body

    assert (me["ugid"], me["tenant"], me["role"]) == (login["ugid"], BAKERY.id, "customer")
    assert [(one["kind"], one["value"]) for one in me["identities"]] == [("phone", ANA)]
    assert me["tenants"] == [{"id": BAKERY.id, "name": BAKERY.name, "role": "customer"}]


async def test_whoever_is_disabled_is_out_and_stays_out(house: House) -> None:
    login = await house.login(ANA)
    async with house.database.system() as connection:
        assert await people.disable(connection, Ugid(login["ugid"]), moment(house.clock))

    house.passes(60)
    challenge, code = await house.challenge(ANA)
    refused = await house.give(challenge, code)

    assert (refused.status, refused.problem) == (401, "code")
    assert (await house.refresh(login["refresh_token"])).status == 401


PRIVATE = (
    ("POST", "/auth/logout"),
    ("POST", "/auth/tenant"),
    ("GET", "/auth/me"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions/00000000-0000-4000-8000-000000000000"),
)


@pytest.mark.parametrize(("method", "path"), PRIVATE)
@pytest.mark.parametrize("scheme", ["", "Basic YTpi", "Bearer", "Bearer x", "bearer a.b.c"])
async def test_without_a_token_nothing_private_is_answered(
    house: House, method: str, path: str, scheme: str
) -> None:
    headers = {"Authorization": scheme} if scheme else {}
    body = {"tenant": None} if path == "/auth/tenant" else None

    reply = await house.call(method, path, body, headers=headers)

    assert (reply.status, reply.problem) == (401, "token")
