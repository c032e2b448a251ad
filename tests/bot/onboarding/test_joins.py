"""Who wants into a firm is let in by whoever administers it, once, and by nobody else."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.engine.proposals import Proposal
from bot.identity import people
from flows.intents import AccessDecided, AccessRequested
from flows.values.ids import TenantId, Ugid
from tests.bot.onboarding.conftest import DAY_MS, PLATFORM, RUT, House, Somebody

RUTS = ("765432103", "761234560", "123456785", "960909607")


async def known(house: House, somebody: Somebody) -> Ugid:
    async with house.database.system() as connection:
        found = await people.known_as(connection, somebody.sender.wa_id, "", "")
    assert found is not None
    return found


async def becomes(house: House, somebody: Somebody, tenant: str, role: people.Role | None) -> None:
    now = datetime.now(UTC)
    async with house.database.system() as connection:
        ugid = await people.enter(
            connection, "phone", "", somebody.sender.wa_id, at=now, method="test"
        )
        await people.set_role(connection, ugid, TenantId(tenant), role, now)


async def role(house: House, somebody: Somebody, tenant: str) -> str | None:
    ugid = await known(house, somebody)
    async with house.database.system() as connection:
        return await people.role_in(connection, ugid, TenantId(tenant))


async def waiting(somebody: Somebody) -> list[str]:
    return [join["id"] for join in (await somebody.asks("FindOwn"))["joins"]]


async def test_the_owner_hears_of_it_and_lets_them_in(house: House) -> None:
    ana, bruno = await house.somebody(4001), await house.somebody(4567)
    tenant = (await ana.opens())["tenant"]

    assert await bruno.asks("RequestJoin", rut=RUT) is True

    [told] = await ana.heard()
    assert isinstance(told.intent, AccessRequested)
    assert (told.intent.business, told.intent.phone_end) == ("Panadería Sol", "4567")
    [join] = (await ana.asks("FindOwn"))["joins"]
    assert (join["firm"], join["phone_end"]) == ("Panadería Sol", "4567")
    assert await ana.asks("DecideJoin", id=join["id"], admit=True) is True
    [answer] = await bruno.heard()
    assert isinstance(answer.intent, AccessDecided)
    assert answer.intent.decision == "admitted"
    assert await role(house, bruno, tenant) == "agent"
    assert await waiting(ana) == []


async def test_who_is_refused_is_told_and_stays_outside(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    tenant = (await ana.opens())["tenant"]
    await bruno.asks("RequestJoin", rut=RUT)

    [join] = await waiting(ana)
    await ana.asks("DecideJoin", id=join, admit=False)

    [answer] = await bruno.heard()
    assert isinstance(answer.intent, AccessDecided)
    assert answer.intent.decision == "refused"
    assert await role(house, bruno, tenant) is None


async def test_whose_the_firm_is_is_told_to_nobody_who_asks(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()
    await bruno.asks("RequestJoin", rut=RUT)

    assert await bruno.asks("FindOwn") == {"firms": [], "joins": []}


async def test_asked_twice_it_is_one_request(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()

    both = await asyncio.gather(*[bruno.asks("RequestJoin", rut=RUT) for _ in range(2)])

    assert both == [True, True]
    assert len(await waiting(ana)) == 1
    assert len(await ana.heard()) == 1


async def test_decided_twice_it_is_told_once(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    tenant = (await ana.opens())["tenant"]
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(ana)

    await asyncio.gather(*[ana.asks("DecideJoin", id=join, admit=True) for _ in range(2)])
    await becomes(house, bruno, tenant, None)
    await ana.asks("DecideJoin", id=join, admit=True)

    assert len(await bruno.heard()) == 1
    # Who was shown out since is not let in again by the old request.
    assert await role(house, bruno, tenant) is None
    assert await ana.asks("DecideJoin", id=join, admit=False) is False


async def test_a_decision_that_is_told_again_tells_the_same(house: House) -> None:
    """Its lane was given back after a crash; it was decided on one day, and is told on the next."""
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(ana)
    before_midnight = DAY_MS - house.clock.now_ms() % DAY_MS - 60_000
    house.clock.shift(before_midnight)
    signups: Any = house.signups
    put: list[Proposal] = []

    class Noted:
        async def put(self, proposal: Proposal) -> None:
            put.append(proposal)
            await proposals.put(proposal)

    proposals, signups._proposals = signups._proposals, Noted()

    await ana.asks("DecideJoin", id=join, admit=True)
    house.clock.shift(120_000)
    await ana.asks("DecideJoin", id=join, admit=True)

    assert put[0] == put[1]
    assert len(await bruno.heard()) == 1


async def test_a_day_is_the_platform_s(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()
    # A minute past midnight by Greenwich: it is the evening before in Chile.
    day = DAY_MS * (house.clock.now_ms() // DAY_MS + 1)
    house.clock.shift(day + 60_000 - house.clock.now_ms())
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(ana)
    await ana.asks("DecideJoin", id=join, admit=True)

    there = datetime.fromtimestamp(day / 1000, ZoneInfo("America/Santiago")).date()
    [asked], [decided] = await ana.heard(), await bruno.heard()
    assert isinstance(asked.intent, AccessRequested)
    assert isinstance(decided.intent, AccessDecided)
    assert asked.intent.day == decided.intent.day == there
    assert there != datetime.fromtimestamp(day / 1000, UTC).date()


async def test_nobody_decides_for_another_firm(house: House) -> None:
    ana, bruno, carla = [await house.somebody(n) for n in (1, 2, 3)]
    tenant = (await ana.opens())["tenant"]
    await carla.opens(draft="wamid.2", rut="761234560", name="Otra")
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(ana)

    assert await carla.asks("DecideJoin", id=join, admit=True) is False
    assert await bruno.asks("DecideJoin", id=join, admit=True) is False
    assert await role(house, bruno, tenant) is None


@pytest.mark.parametrize("now", ["agent", "customer", None])
async def test_only_who_administers_it_decides(house: House, now: people.Role | None) -> None:
    ana, bruno, dina = [await house.somebody(n) for n in (1, 2, 4)]
    tenant = (await ana.opens())["tenant"]
    await becomes(house, dina, tenant, "admin")
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(dina)
    await becomes(house, dina, tenant, now)

    assert await waiting(dina) == []
    assert await dina.asks("DecideJoin", id=join, admit=True) is False


async def test_an_administrator_decides_too(house: House) -> None:
    ana, bruno, dina = [await house.somebody(n) for n in (1, 2, 4)]
    tenant = (await ana.opens())["tenant"]
    await becomes(house, dina, tenant, "admin")
    await bruno.asks("RequestJoin", rut=RUT)

    assert len(await dina.heard()) == 1
    [join] = await waiting(dina)
    assert await dina.asks("DecideJoin", id=join, admit=True) is True


async def test_a_request_is_over_after_a_week(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(ana)

    house.clock.shift(7 * DAY_MS + 1)

    assert await waiting(ana) == []
    assert await ana.asks("DecideJoin", id=join, admit=True) is False


async def test_asked_again_after_a_week_it_is_a_new_request(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()
    await bruno.asks("RequestJoin", rut=RUT)
    [old] = await waiting(ana)
    assert len(await ana.heard()) == 1
    house.clock.shift(7 * DAY_MS + 1)

    assert await bruno.asks("RequestJoin", rut=RUT) is True

    [new] = await waiting(ana)
    assert new != old
    assert len(await ana.heard()) == 1
    assert await ana.asks("DecideJoin", id=old, admit=True) is False
    assert await ana.asks("DecideJoin", id=new, admit=True) is True


async def test_asked_again_after_a_week_it_has_its_limits(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    for n, rut in enumerate(RUTS):
        await ana.opens(draft=f"wamid.{n}", rut=rut, name=f"Firma {n}")
    await bruno.asks("RequestJoin", rut=RUTS[3])
    house.clock.shift(7 * DAY_MS + 1)
    for rut in RUTS[:3]:
        await bruno.asks("RequestJoin", rut=rut)

    assert (await bruno.result("RequestJoin", rut=RUTS[3])).failed == "refused"


async def test_asking_again_makes_a_request_wait_no_longer(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()
    await bruno.asks("RequestJoin", rut=RUT)
    house.clock.shift(6 * DAY_MS)
    await bruno.asks("RequestJoin", rut=RUT)

    house.clock.shift(DAY_MS + 1)

    assert await waiting(ana) == []


async def test_a_firm_that_nobody_runs_can_let_nobody_in(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    tenant = (await ana.opens())["tenant"]
    await becomes(house, ana, tenant, None)

    assert await bruno.asks("RequestJoin", rut=RUT) is False


async def test_a_rut_that_is_nobody_s_has_nobody_to_ask(house: House) -> None:
    assert await (await house.somebody(2)).asks("RequestJoin", rut=RUT) is False


async def test_one_person_asks_three_times_a_day(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    for n, rut in enumerate(RUTS):
        await ana.opens(draft=f"wamid.{n}", rut=rut, name=f"Firma {n}")
    for rut in RUTS[:3]:
        assert await bruno.asks("RequestJoin", rut=rut) is True

    assert (await bruno.result("RequestJoin", rut=RUTS[3])).failed == "refused"
    # A RUT that nobody has is no other.
    assert (await bruno.result("RequestJoin", rut="770000009")).failed == "refused"
    # What waits already was told.
    assert await bruno.asks("RequestJoin", rut=RUTS[0]) is True
    house.clock.shift(DAY_MS + 1)
    assert await bruno.asks("RequestJoin", rut=RUTS[3]) is True
    assert await bruno.asks("RequestJoin", rut="770000009") is False


async def test_one_person_at_once_asks_three_times_a_day(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    for n, rut in enumerate(RUTS):
        await ana.opens(draft=f"wamid.{n}", rut=rut, name=f"Firma {n}")

    found = await asyncio.gather(*[bruno.result("RequestJoin", rut=rut) for rut in RUTS])

    assert sorted(result.failed or "" for result in found) == ["", "", "", "refused"]


async def test_asking_to_come_in_and_asking_whose_it_is_have_one_limit(house: House) -> None:
    bruno = await house.somebody(2)
    for n in range(10):
        call = "RequestJoin" if n % 2 else "FindRut"
        assert (await bruno.result(call, rut=RUT)).failed is None

    assert (await bruno.result("RequestJoin", rut=RUT)).failed == "refused"
    house.clock.shift(3_600_000)
    assert await bruno.asks("RequestJoin", rut=RUT) is False


async def test_a_firm_is_not_buried_in_requests(house: House) -> None:
    ana = await house.somebody(1)
    await ana.opens()
    for n in range(5):
        assert await (await house.somebody(10 + n)).asks("RequestJoin", rut=RUT) is True

    assert await (await house.somebody(20)).asks("RequestJoin", rut=RUT) is False
    assert len(await waiting(ana)) == 5


async def test_a_firm_is_not_buried_in_requests_that_come_at_once(house: House) -> None:
    ana = await house.somebody(1)
    await ana.opens()
    crowd = [await house.somebody(10 + n) for n in range(9)]

    found = await asyncio.gather(*[each.asks("RequestJoin", rut=RUT) for each in crowd])

    assert sorted(found) == [False] * 4 + [True] * 5
    assert len(await waiting(ana)) == 5


async def test_who_goes_by_a_username_asks_without_a_number(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2, username=True)
    await ana.opens()

    await bruno.asks("RequestJoin", rut=RUT)

    [told] = await ana.heard()
    assert isinstance(told.intent, AccessRequested)
    assert told.intent.phone_end == "····"
    assert [join["phone_end"] for join in (await ana.asks("FindOwn"))["joins"]] == [""]


async def test_a_member_of_the_platform_s_own_firm_is_no_one_here(house: House) -> None:
    ana, bruno, root = [await house.somebody(n) for n in (1, 2, 5)]
    await ana.opens()
    await becomes(house, root, PLATFORM.id, "owner")
    await bruno.asks("RequestJoin", rut=RUT)
    [join] = await waiting(ana)

    assert await root.asks("DecideJoin", id=join, admit=True) is False
