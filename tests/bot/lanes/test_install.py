"""The number of shards is fixed when a store is first used."""

import pytest

from bot.lanes import InstallError, Wire, install
from bot.lanes.install import SHARDS


async def test_a_new_store_takes_the_number_that_is_wanted(wire: Wire) -> None:
    assert await install(wire, shards=16) == 16

    assert await install(wire, shards=16) == 16
    assert await install(wire) == 16


async def test_a_new_store_has_a_number_of_its_own(wire: Wire) -> None:
    assert await install(wire) == SHARDS


async def test_another_number_is_refused_and_both_are_named(wire: Wire) -> None:
    await install(wire, shards=16)

    with pytest.raises(InstallError, match=r"with 16 shards.* asks for 64"):
        await install(wire, shards=64)


async def test_another_protocol_is_refused(wire: Wire) -> None:
    await wire.call("HSET", "smarterbot:install", "protocol", 99)

    with pytest.raises(InstallError, match="protocol 99"):
        await install(wire)
