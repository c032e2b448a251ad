"""A firm's system over real HTTP: whatever goes wrong on the way, it is set up once, or said not to be."""

from collections.abc import AsyncIterator

import pytest

from bot.onboarding import setup
from bot.onboarding.parts import begin_again
from bot.onboarding.setup import SetUpFirm, put_set_up
from bot.people.alerts import list_alerts, raise_alert
from flows.values.ids import TenantId
from handlers.ports import Again, Done
from tests.bot.onboarding.conftest import RUT, House
from tests.outer_system import Fault, HttpSetUp, OuterSystems


@pytest.fixture
async def odoo() -> AsyncIterator[OuterSystems]:
    system = OuterSystems()
    await system.start()
    yield system
    await system.stop()


@pytest.fixture
async def tenant(house: House, odoo: OuterSystems) -> TenantId:
    """A firm that was opened just now."""
    house.systems["odoo"] = HttpSetUp(f"{odoo.address}/odoo")
    opened = await (await house.somebody(1)).opens()
    return TenantId(opened["tenant"])


async def part(house: House, tenant: TenantId) -> tuple[str, str]:
    return (await house.parts(tenant))["odoo"]


async def test_it_is_told_of_the_firm(house: House, odoo: OuterSystems, tenant: TenantId) -> None:
    await house.carries()

    assert await part(house, tenant) == ("done", "")
    assert odoo.made == {
        f"odoo {tenant}": {"name": "Panadería Sol", "rut": RUT, "email": "ana@sol.example", "template": "pedidos"}
    }  # fmt: skip


@pytest.mark.parametrize("fault", ["broken", "busy", "slow", "lost", "strange"])
async def test_what_fails_is_done_again_and_made_once(
    house: House,
    odoo: OuterSystems,
    tenant: TenantId,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fault == "slow":
        monkeypatch.setattr(setup, "WITHIN_S", 0.3)
    odoo.faults = [fault]

    [first] = await house.carries()
    assert isinstance(first, Again)
    assert await part(house, tenant) == ("pending", "down")
    [second] = await house.carries(tries=2)

    assert isinstance(second, Done)
    assert await part(house, tenant) == ("done", "")
    assert (odoo.asked, list(odoo.made)) == ([f"odoo {tenant}"] * 2, [f"odoo {tenant}"])
    assert house.raised.told == []


async def test_it_is_waited_for_while_nobody_listens(
    house: House, odoo: OuterSystems, tenant: TenantId
) -> None:
    await odoo.stop()
    await house.carries()
    assert await part(house, tenant) == ("pending", "down")
    await odoo.start()

    await house.carries(tries=2)

    assert await part(house, tenant) == ("done", "")


async def test_it_is_given_up_in_the_end(
    house: House, odoo: OuterSystems, tenant: TenantId
) -> None:
    await odoo.stop()

    waits = [outcome for n in range(1, 13) for outcome in await house.carries(tries=n)]

    assert [getattr(wait, "after_ms", 0) for wait in waits] == [
        1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000, *[1_800_000] * 5, 0,
    ]  # fmt: skip
    assert await part(house, tenant) == ("failed", "down")
    assert house.raised.told == [("set_up_failed", "odoo")]


async def test_what_it_refuses_waits_for_an_operator(
    house: House, odoo: OuterSystems, tenant: TenantId
) -> None:
    odoo.refuses = 422
    await house.carries()
    assert await part(house, tenant) == ("failed", "status_422")
    [(kind, about)] = house.raised.told
    await raise_alert(house.database, tenant, None, kind, about, at=house.clock.now_ms())
    odoo.refuses = 0
    async with house.database.tenant(tenant) as connection:
        round_ = await begin_again(connection, tenant, "odoo", at=house.moment())
    assert round_ is not None
    await put_set_up(house.errands, SetUpFirm(tenant, "odoo", round_), day=0)

    await house.carries()

    assert await part(house, tenant) == ("done", "")
    assert (odoo.asked, list(odoo.made)) == ([f"odoo {tenant}"] * 2, [f"odoo {tenant}"])
    assert await list_alerts(house.database, tenant, settled=False) == []
