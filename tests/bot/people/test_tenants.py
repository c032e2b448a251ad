"""A firm is registered once, and its settings are its own."""

import pytest

from bot.people.errors import TakenError, UnknownError
from bot.people.tenants import add_tenant, change_settings, get_tenant, list_firms
from bot.store.database import Database
from tests.bot.people.conftest import BAKERY, BAKERY_RUT, BUTCHERY, BUTCHERY_RUT


async def test_a_firm_is_found_as_it_was_registered(database: Database) -> None:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)

    found = await get_tenant(database, BAKERY.id)

    assert (found.firm, found.rut) == (BAKERY, BAKERY_RUT)


async def test_a_rut_registers_one_firm(database: Database) -> None:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)

    with pytest.raises(TakenError) as error:
        await add_tenant(database, BUTCHERY, rut=BAKERY_RUT)

    assert error.value.field == "rut"
    assert BAKERY_RUT not in str(error.value)
    assert await list_firms(database) == [BAKERY]


async def test_firms_are_listed_by_name(database: Database) -> None:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_tenant(database, BUTCHERY, rut=BUTCHERY_RUT)

    assert await list_firms(database) == [BUTCHERY, BAKERY]


async def test_a_setting_is_added_changed_and_unset(database: Database) -> None:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)

    await change_settings(database, BAKERY.id, {"delivery": "Villa Alemana", "emoji": "🥖"})
    after = await change_settings(database, BAKERY.id, {"emoji": "🥐", "phone": ""})

    assert after == {"delivery": "Villa Alemana", "emoji": "🥐"}
    assert (await get_tenant(database, BAKERY.id)).firm.settings == after


async def test_a_firm_that_is_not_there_is_told_as_such(database: Database) -> None:
    with pytest.raises(UnknownError):
        await get_tenant(database, BAKERY.id)
    with pytest.raises(UnknownError):
        await change_settings(database, BAKERY.id, {"emoji": "🥐"})
