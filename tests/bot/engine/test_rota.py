"""Whose turn a chore is."""

from collections.abc import AsyncIterator

import pytest

from bot.engine.rota import Rota
from bot.lanes import Wire
from tests.whole.people import until


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


async def test_one_process_at_a_time_does_a_chore(wire: Wire) -> None:
    one, other = Rota(wire, "sweep"), Rota(wire, "sweep")

    assert [await one.take(), await other.take()] == [True, False]


async def test_chores_are_apart(wire: Wire) -> None:
    assert await Rota(wire, "sweep").take()
    assert await Rota(wire, "dust").take()


async def test_what_is_passed_on_is_free_at_once_or_in_a_while(wire: Wire) -> None:
    one, other = Rota(wire, "sweep"), Rota(wire, "sweep")

    await one.take()
    one.pass_on(after_s=0)
    assert await other.take()

    other.pass_on(after_s=0.05)
    assert not await one.take()
    await until(one.take, within_s=5)


async def test_whoever_vanishes_holds_a_chore_for_a_while_only(wire: Wire) -> None:
    assert await Rota(wire, "sweep", hold_s=0.05).take()

    await until(Rota(wire, "sweep").take, within_s=5)


async def test_a_full_store_keeps_nobody_from_emptying_it(wire: Wire) -> None:
    await wire.call("CONFIG", "SET", "maxmemory", 1)
    try:
        assert await Rota(wire, "journal").take()
    finally:
        await wire.call("CONFIG", "SET", "maxmemory", 0)
