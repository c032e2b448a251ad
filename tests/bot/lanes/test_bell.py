"""The doorbell wakes whoever listens, once per tick of whoever rings."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bot.lanes import Bell, Wire
from tests.bot.lanes.servers import until


@asynccontextmanager
async def listening(bell: Bell, on_ring: Callable[[int, str], None]) -> AsyncIterator[None]:
    stands = asyncio.Event()
    listener = asyncio.create_task(bell.listen(on_ring, on_subscribed=stands.set))
    await stands.wait()
    yield
    listener.cancel()
    await asyncio.wait([listener])


async def test_rings_of_one_tick_are_one_message(wire: Wire) -> None:
    heard: list[tuple[int, str]] = []
    bell = Bell(wire)
    await wire.call("CONFIG", "RESETSTAT")

    async with listening(Bell(wire), lambda shard, kind: heard.append((shard, kind))):
        for _ in range(3):
            bell.ring(17, "conv")
            bell.ring(3, "wa")
        await until(lambda: len(heard) == 2)
        bell.ring(17, "conv")
        await until(lambda: len(heard) == 3)

    assert heard == [(17, "conv"), (3, "wa"), (17, "conv")]
    info = await wire.call("INFO", "commandstats")
    assert isinstance(info, bytes)
    assert b"cmdstat_publish:calls=2," in info


async def test_nonsense_on_the_channel_stops_nobody(clean_valkey: str, wire: Wire) -> None:
    heard: list[tuple[int, str]] = []

    async with listening(Bell(wire), lambda shard, kind: heard.append((shard, kind))):
        for nonsense in ("", "x", "x conv", "17", "-1 conv,,", "²  conv"):
            wire.tell("PUBLISH", "smarterbot:bell", nonsense)
        Bell(wire).ring(1, "conv")
        await until(lambda: bool(heard))

    assert heard == [(1, "conv")]


async def test_a_ring_without_a_store_is_only_lost(wire: Wire) -> None:
    await wire.close()

    Bell(wire).ring(1, "conv")
    await asyncio.sleep(0)
