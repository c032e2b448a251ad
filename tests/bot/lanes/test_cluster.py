"""On a cluster every key of a script must be named beforehand and live in one slot; a node refuses anything else."""

import asyncio
from collections.abc import Iterator

import pytest

from bot.clock import Clock
from bot.engine.intake_health import IntakeHealth
from bot.engine.limits import Limits
from bot.lanes import LaneError, Lanes, Push, Script, Taken, Wire, install
from tests.bot.lanes.machine import run_machine
from tests.bot.lanes.servers import StoreServer, store_server


async def claim_all_slots(url: str) -> None:
    wire = await Wire.open(url)
    await wire.call("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
    async with asyncio.timeout(10):
        while "cluster_state:ok" not in str(await wire.call("CLUSTER", "INFO")):  # noqa: ASYNC110  the server tells by no event
            await asyncio.sleep(0.005)  # it tells nobody when it is ready
    await wire.close()


@pytest.fixture
def node(free_port: int) -> Iterator[StoreServer]:
    """A cluster of one node."""
    with store_server() as server:
        server.start(
            *("--cluster-enabled", "yes", "--cluster-port", str(free_port)),
            *("--bind", "127.0.0.1"),
        )
        with asyncio.Runner() as runner:
            runner.run(claim_all_slots(server.url))
        yield server


def test_every_step_keeps_to_the_keys_that_it_names(node: StoreServer) -> None:
    run_machine(node.url, sequences=20, shrink=False)


def test_all_shards_and_what_else_asks_the_store(node: StoreServer) -> None:
    async def work() -> None:
        wire = await Wire.open(node.url)
        shards = await install(wire, shards=16)
        lanes = Lanes(wire, shards=shards, clock=Clock())
        for n in range(50):
            shard = lanes.shard(f"c{n}")
            taken = await lanes.put(shard, f"wa/c{n}", b"hello", mark="e", day=n, take=True)
            assert isinstance(taken, Taken)
            await lanes.bury(taken, why="tries", push=[Push(f"conv/c{n}", b"refused")])
        for letter in await lanes.dead_letters():
            assert await lanes.replay(letter.item)
        depths = await lanes.depths()
        assert (depths.dead, depths.kinds["wa"].waiting) == (0, 50)
        assert (await lanes.inspect("wa/c1")).waiting == 1
        assert await Limits(wire, clock=Clock()).take("number", per_s=80, burst=80) == 0
        health = IntakeHealth(wire, clock=Clock())
        assert await health.pulse() == 0
        await wire.close()

    asyncio.run(work())


def test_a_node_does_refuse_what_lives_elsewhere(node: StoreServer) -> None:
    async def work() -> None:
        wire = await Wire.open(node.url)
        strays = Script.of(
            "#!lua\nredis.call('SET', KEYS[1], 1) return redis.call('SET', 'b{2}', 1)"
        )
        with pytest.raises(LaneError, match="slot"):
            await wire.script(strays, ["a{1}"], [])
        await wire.close()

    asyncio.run(work())
