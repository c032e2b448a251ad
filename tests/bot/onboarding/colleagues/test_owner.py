"""A firm's people change what it tells, by chat: those who may, and nobody whom a flow could name."""

import pytest

from bot.identity import people
from bot.people.tenants import get_tenant, revise_settings
from flows.catalogue import LOCALES
from flows.dialog.ctx import Firm
from flows.dialog.templates import read_templates
from flows.marketplace.applying import RECORD, plan_template
from flows.marketplace.market import MARKETPLACE, read_market
from flows.values.ids import TenantId
from handlers.ports import Dead
from tests.bot.onboarding.colleagues.conftest import LUNA, NORTE, Somebody, Town, item

HOURS = "lun-vie 9:00-18:00; sáb-dom cerrado"
NOBODY = TenantId("00000000-0000-4000-8000-000000000000")


async def settings(town: Town, tenant: TenantId = LUNA.id) -> dict[str, str]:
    return dict((await get_tenant(town.house.database, tenant)).firm.settings)


async def reads(who: Somebody, tenant: TenantId = LUNA.id) -> dict[str, str] | None:
    told = await who.asks("ReadFirm", tenant=tenant)
    return None if told is None else told["settings"]


async def changes(
    who: Somebody, key: str, value: str, tenant: TenantId = LUNA.id, *, again: bool = False
) -> bool:
    done: bool = await who.asks("ChangeFirm", again=again, tenant=tenant, key=key, value=value)
    return done


# ------------------------------------------------------------------ what they may


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_whoever_manages_a_firm_changes_what_it_tells(town: Town, role: people.Role) -> None:
    ana = await town.somebody(1, luna=role)

    assert await reads(ana) == {}
    assert await changes(ana, "hours", "lun a vie 9 a 6") is True

    assert await settings(town) == {"hours": HOURS}
    assert await reads(ana) == {"hours": HOURS}


async def test_a_change_reaches_every_process(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")

    await changes(ana, "address", "Calle Larga 45")
    await town.house.directory.load()

    firm = town.house.directory.firm(LUNA.id)
    assert firm is not None
    assert firm.settings["address"] == "Calle Larga 45"


async def test_an_empty_value_unsets(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    await changes(ana, "greeting", "Pan caliente")

    assert await changes(ana, "greeting", "") is True
    assert await settings(town) == {}


async def test_a_change_that_is_asked_for_twice_is_one(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")

    assert await changes(ana, "address", "Calle 1") is True
    assert await changes(ana, "address", "Calle 1", again=True) is True
    assert await settings(town) == {"address": "Calle 1"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hours", "siempre"),
        ("address", "x" * 161),
        ("colour", "red"),
        (RECORD, '{"template":"horas","version":1,"wrote":{}}'),
    ],
)
async def test_what_no_owner_may_set_is_refused(town: Town, key: str, value: str) -> None:
    ana = await town.somebody(1, luna="owner")

    assert await changes(ana, key, value) is False
    assert await settings(town) == {}


# ------------------------------------------------------------------ what they may not


async def test_an_agent_changes_nothing_whatever_the_flow_asks(town: Town) -> None:
    luz = await town.somebody(1, luna="agent")

    assert await reads(luz) is None
    assert await changes(luz, "address", "Calle 1") is False
    assert await settings(town) == {}


@pytest.mark.parametrize("tenant", [NORTE.id, NOBODY, TenantId("x'; --"), TenantId("")])
async def test_another_firms_id_opens_nothing(town: Town, tenant: TenantId) -> None:
    ana = await town.somebody(1, luna="owner")

    assert await reads(ana, tenant) is None
    assert await changes(ana, "address", "Calle 1", tenant) is False
    assert await settings(town, NORTE.id) == {}


async def test_who_belongs_no_more_changes_nothing(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    await town.is_(ana.phone, LUNA.id, None)

    assert await reads(ana) is None
    assert await changes(ana, "address", "Calle 1") is False


async def test_who_may_not_log_in_changes_nothing(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    assert ana.ugid is not None
    async with town.house.database.system() as connection:
        await people.disable(connection, ana.ugid, town.now)

    assert await changes(ana, "address", "Calle 1") is False


async def test_whoever_has_a_number_now_does_not_inherit_its_firms(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    assert ana.ugid is not None
    async with town.house.database.system() as connection:
        await people.unlink(connection, ana.ugid, "phone", "", ana.phone, town.now)

    assert await changes(ana, "address", "Calle 1") is False


async def test_a_conversation_that_is_nobodys_changes_nothing(town: Town) -> None:
    gone = await town.somebody(1, left=True, luna="owner")

    assert await reads(gone) is None
    assert await changes(gone, "address", "Calle 1") is False


async def test_a_stranger_is_told_nothing(town: Town) -> None:
    stranger = await town.somebody(1)

    assert await reads(stranger) is None
    assert await changes(stranger, "address", "Calle 1") is False


async def test_what_cannot_be_read_or_is_not_known_is_set_aside(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")

    assert await town.calls.serve(item(ana.chat, b"{")) == Dead("unreadable")
    assert await ana.serve("ReadFirm") == Dead("unreadable")
    assert await ana.serve("Other") == Dead("unknown_call")


# ------------------------------------------------------------------ and the marketplace


async def test_what_the_owner_changed_stays_theirs_when_a_template_changes(town: Town) -> None:
    """The record says what the template wrote: a greeting that is another since is the owner's."""
    ana = await town.somebody(1, luna="owner")
    templates = read_market(MARKETPLACE, read_templates(LOCALES)).templates

    def apply(firm: Firm, id: str) -> dict[str, str]:
        return dict(plan_template(id, templates[id], firm).writes)

    database = town.house.database
    await revise_settings(database, LUNA.id, lambda firm: apply(firm, "horas"))
    assert await changes(ana, "greeting", "Pide tu corte aquí.") is True
    await revise_settings(database, LUNA.id, lambda firm: apply(firm, "pedidos"))

    after = await settings(town)
    assert after["greeting"] == "Pide tu corte aquí."
    assert after["menu"].startswith("prices, buy")
    assert await reads(ana) == {key: value for key, value in after.items() if key != RECORD}
