"""When WhatsApp says that a number is another's, whoever had it is logged out and must prove the new one."""

import pytest

from bot.identity import people
from bot.identity.logins import Logins
from handlers.events import MovedWhy, Sender
from tests.bot.identity.conftest import House, number
from tests.bot.people.conftest import BAKERY_CHANNEL

ANA, NEW = number(1), number(2)


async def moves(house: House, why: MovedWhy, *, phone: str = "") -> None:
    logins = Logins(house.database, clock=house.clock)
    await logins.void(BAKERY_CHANNEL, (Sender(wa_id=ANA),), why, phone)


async def test_a_changed_number_logs_out_and_the_new_one_is_the_same_person(house: House) -> None:
    login = await house.login(ANA)

    await moves(house, "number", phone=NEW)
    await moves(house, "number", phone=NEW)

    assert (await house.refresh(login["refresh_token"])).status == 401
    assert (await house.login(NEW))["ugid"] == login["ugid"]
    house.passes(60)
    # Whoever gets the old number is somebody else.
    assert (await house.login(ANA))["ugid"] != login["ugid"]


async def test_a_number_that_went_nobody_knows_where_is_nobody_s(house: House) -> None:
    login = await house.login(ANA)

    await moves(house, "user_id")

    assert (await house.refresh(login["refresh_token"])).status == 401
    house.passes(60)
    assert (await house.login(ANA))["ugid"] != login["ugid"]


async def test_a_new_telephone_must_prove_itself_again(house: House) -> None:
    login = await house.login(ANA)

    await moves(house, "identity")

    assert (await house.refresh(login["refresh_token"])).status == 401
    house.passes(60)
    assert (await house.login(ANA))["ugid"] == login["ugid"]


@pytest.mark.parametrize("why", ["number", "identity"])
async def test_a_number_that_nobody_proved_changes_nothing(house: House, why: MovedWhy) -> None:
    await moves(house, why, phone=NEW)
    async with house.database.system() as connection:
        assert await people.person_of(connection, "phone", "", NEW) is None


async def test_a_number_that_was_given_to_somebody_else_is_nobody_s(house: House) -> None:
    login = await house.login(ANA)

    await moves(house, "recycled", phone=NEW)

    assert (await house.refresh(login["refresh_token"])).status == 401
    house.passes(60)
    assert (await house.login(NEW))["ugid"] != login["ugid"]
