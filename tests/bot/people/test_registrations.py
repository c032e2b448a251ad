"""Registrations: the PIN lies sealed, and Meta's limit is kept before Meta is asked."""

import pytest

from bot.people.errors import PeopleError
from bot.people.registrations import TRIES_MAX, count_try, keep_pin, read_pin, reseal_pin
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from tests.bot.people.conftest import BAKERY_CHANNEL

NOW = 1_795_392_000_000
HOUR = 3_600_000


async def test_a_pin_lies_sealed(bakery: Database, box: SecretBox) -> None:
    before = await read_pin(bakery, box, BAKERY_CHANNEL)
    await keep_pin(bakery, box, BAKERY_CHANNEL, "123456")

    async with bakery.tenant(BAKERY_CHANNEL.tenant) as connection:
        stored = await connection.fetchval("SELECT pin FROM smarterbot.channels")
    assert (before, await read_pin(bakery, box, BAKERY_CHANNEL)) == ("", "123456")
    assert "123456" not in stored


async def test_a_pin_can_be_forgotten(bakery: Database, box: SecretBox) -> None:
    await keep_pin(bakery, box, BAKERY_CHANNEL, "123456")
    await keep_pin(bakery, box, BAKERY_CHANNEL, "")

    assert await read_pin(bakery, box, BAKERY_CHANNEL) == ""


async def test_a_pin_is_sealed_anew(bakery: Database, box: SecretBox) -> None:
    await keep_pin(bakery, box, BAKERY_CHANNEL, "123456")
    newer = SecretBox((Key("k2", bytes(32)), Key("k1", bytes(range(32)))))

    changed = [await reseal_pin(bakery, newer, BAKERY_CHANNEL) for _ in range(2)]

    only = SecretBox((Key("k2", bytes(32)),))
    assert changed == [True, False]
    assert await read_pin(bakery, only, BAKERY_CHANNEL) == "123456"


async def test_ten_tries_in_three_days_are_enough(bakery: Database) -> None:
    left = [await count_try(bakery, BAKERY_CHANNEL, at=NOW + n) for n in range(TRIES_MAX)]

    with pytest.raises(PeopleError, match="try again after"):
        await count_try(bakery, BAKERY_CHANNEL, at=NOW + 71 * HOUR)

    assert left == list(range(TRIES_MAX - 1, -1, -1))
    assert await count_try(bakery, BAKERY_CHANNEL, at=NOW + 72 * HOUR) == 0
