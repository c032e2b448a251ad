"""An errand is durable once, in its lane's order; neither whose it is nor what makes it itself is seen in a key."""

from collections.abc import AsyncIterator

import pytest
import redis

from bot.clock import Clock
from bot.engine.errands import Errands
from bot.lanes import Bell, Lanes, Wire
from handlers.ports import StoreDownError

PEPPER = b"a pepper of thirty-two bytes, so"


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
def lanes(wire: Wire) -> Lanes:
    return Lanes(wire, shards=4, clock=Clock())


@pytest.fixture
def errands(wire: Wire, lanes: Lanes) -> Errands:
    return Errands(lanes, Bell(wire), pepper=PEPPER)


async def lying(lanes: Lanes) -> dict[str, list[bytes]]:
    """What lies in each lane of the kind."""
    found = {}
    for shard in range(4):
        for taken in (await lanes.claim(shard, "clerk")).taken:
            found[taken.lane] = list(taken.items)
    return found


async def test_errands_about_one_thing_lie_in_one_lane_in_order(
    errands: Errands, lanes: Lanes
) -> None:
    assert await errands.put("clerk", "user_1", b"first", mark="msg_1", day=1)
    assert await errands.put("clerk", "user_1", b"second", mark="msg_2", day=1)
    assert await errands.put("clerk", "user_2", b"other", mark="msg_3", day=1)

    assert sorted((await lying(lanes)).values()) == [[b"first", b"second"], [b"other"]]


async def test_the_same_mark_is_put_once(errands: Errands, lanes: Lanes) -> None:
    assert [await errands.put("clerk", "user_1", b"x", mark="msg_1", day=1) for _ in range(3)] == [
        True,
        False,
        False,
    ]

    assert list((await lying(lanes)).values()) == [[b"x"]]


async def test_no_key_tells_what_it_is_about(
    errands: Errands, lanes: Lanes, clean_valkey: str
) -> None:
    await errands.put("clerk", "user_1", b"-", mark="msg_1", day=1)

    with redis.Redis.from_url(clean_valkey) as store:
        names = [key for key in store.scan_iter() if store.type(key) != b"none"]
        inside = [store.hgetall(key) for key in names if store.type(key) == b"hash"]
    assert b"user_1" not in repr((names, inside)).encode()
    assert b"msg_1" not in repr((names, inside)).encode()


async def test_a_store_that_is_away_is_told_as_such(errands: Errands, wire: Wire) -> None:
    await wire.close()

    with pytest.raises(StoreDownError):
        await errands.put("clerk", "user_1", b"x", mark="msg_1")
