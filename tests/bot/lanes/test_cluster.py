"""On a cluster everything is as on one server: slots may move and nodes may die, and nothing is lost, doubled or out of order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import pytest
from redis.crc import key_slot

from bot.clock import Clock
from bot.engine.intake_health import IntakeHealth
from bot.engine.limits import Limits
from bot.lanes import (
    Bell,
    LaneError,
    Lanes,
    Push,
    Put,
    Script,
    StoreLostError,
    Taken,
    Wire,
    install,
)
from bot.people.addresses import Addresses
from handlers.events import Sender
from tests.bot.lanes.machine import run_machine
from tests.bot.lanes.servers import (
    StoreCluster,
    StoreServer,
    free_ports,
    store_cluster,
    store_server,
    until,
)
from tests.bot.lanes.traffic import LEASE_MS, Traffic
from tests.bot.people.conftest import BAKERY_CHANNEL

SHARDS = 16
ADD = Script.of("#!lua\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])")


@pytest.fixture(scope="module")
def running() -> Iterator[StoreCluster]:
    with store_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running: StoreCluster) -> StoreCluster:
    """Emptied, with all nodes at work."""
    running.until_well()
    running.flush()
    return running


@pytest.fixture
async def wire(cluster: StoreCluster) -> AsyncIterator[Wire]:
    wire = await Wire.open(cluster.url)
    yield wire
    await wire.close()


@pytest.fixture
def lanes(wire: Wire) -> Lanes:
    return Lanes(wire, shards=SHARDS, clock=Clock(), lease_ms=LEASE_MS)


def box(shard: int) -> str:
    """A key of the shard."""
    return f"smarterbot:box:{{{shard}}}"


# ---------------------------------------------------------------- ordinary work


def test_every_step_keeps_to_the_keys_that_it_names(cluster: StoreCluster) -> None:
    run_machine(cluster.url, sequences=10, shrink=False)


async def test_all_shards_and_what_else_asks_the_store(wire: Wire, cluster: StoreCluster) -> None:
    shards = await install(wire, shards=SHARDS)
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
    assert await IntakeHealth(wire, clock=Clock()).pulse() == 0
    addresses = Addresses(wire, pepper=bytes(32), shards=SHARDS)
    people = [(BAKERY_CHANNEL, Sender(wa_id=f"569{n}", bsuid=f"CL.{n}")) for n in range(20)]
    assert len({person.contact for person in await addresses.resolve(people)}) == 20
    assert all(int(str(node.ask("DBSIZE"))) > 5 for node in cluster.nodes)


async def test_a_node_does_refuse_what_lives_elsewhere(wire: Wire) -> None:
    strays = Script.of("#!lua\nredis.call('SET', KEYS[1], 1) return redis.call('SET', 'b{2}', 1)")

    with pytest.raises(LaneError, match="slot"):
        await wire.script(strays, ["a{1}"], [])


async def test_any_node_leads_to_the_others(
    cluster: StoreCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    hosts = ",".join(f"127.0.0.1:{port}" for port in (1, cluster.nodes[1].port))

    wire = await Wire.open(f"redis://{hosts}")

    assert wire.is_up
    assert capfd.readouterr() == ("", ""), "a command's output is its own"
    await wire.close()


async def test_several_servers_that_are_no_cluster_are_refused() -> None:
    [port] = free_ports(1)
    with store_server(port=port) as server:
        server.start()

        with pytest.raises(LaneError, match="no cluster"):
            await Wire.open(f"redis://127.0.0.1:{port},127.0.0.1:{port}")


async def test_without_any_node_there_is_no_store() -> None:
    with pytest.raises(StoreLostError, match="no store at"):
        await Wire.open("redis://127.0.0.1:1,127.0.0.1:2")


async def test_calls_of_one_tick_to_all_nodes_are_each_answered(wire: Wire) -> None:
    answers = await asyncio.gather(*(wire.script(ADD, [f"n{n}"], [n]) for n in range(300)))

    assert answers == list(range(300))


# ---------------------------------------------------------------- slots that move


@pytest.mark.parametrize("move", [StoreCluster.move, StoreCluster.move_key_by_key])
async def test_slots_move_under_load(
    cluster: StoreCluster,
    lanes: Lanes,
    move: Callable[[StoreCluster, str], Coroutine[None, None, None]],
) -> None:
    async with Traffic(lanes, people=40) as traffic:
        await traffic.flows(200)
        for shard in range(3):
            await move(cluster, box(shard))
            await traffic.flows(50)
        truth = await traffic.settle()

    assert (truth.lost, truth.doubled, truth.is_in_order) == (0, 0, True)
    assert truth.refused == 0, "what did not run was repeated"


async def test_puts_keep_their_order_while_their_slot_is_at_two_nodes(
    cluster: StoreCluster, lanes: Lanes
) -> None:
    shard = lanes.shard("c1")
    await lanes.put(shard, "conv/c1", b"0", mark="0")
    move = cluster.begin_move(box(shard))
    assert move.move_one()
    refused = [put(lanes, shard, n) for n in range(1, 6)]
    await until(lambda: "TRYAGAIN" in str(move.old.ask("INFO", "errorstats")))
    while move.move_one():
        pass
    move.end(cluster.nodes)

    await asyncio.gather(*refused, *(put(lanes, shard, n) for n in range(6, 11)))

    view = await lanes.inspect("conv/c1")
    assert [body for _, body in view.items] == [str(n).encode() for n in range(11)]


def put(lanes: Lanes, shard: int, n: int) -> "asyncio.Task[Taken | Put]":
    return asyncio.create_task(lanes.put(shard, "conv/c1", str(n).encode(), mark=str(n)))


async def test_a_slot_that_stays_between_two_nodes_is_refused_in_the_end(
    cluster: StoreCluster,
) -> None:
    wire = await Wire.open(cluster.url, deadline_s=0.3)
    await wire.call("SET", "here{1}", 1)
    move = cluster.begin_move("here{1}")

    calls = [wire.call("MGET", "here{1}", "there{1}") for _ in range(3)]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    move.stop()
    assert [type(answer) for answer in answers] == [StoreLostError] * 3
    assert await wire.call("MGET", "here{1}", "there{1}") == [b"1", None]
    await wire.close()


# ---------------------------------------------------------------- nodes that die


async def test_a_lost_node_stops_its_own_conversations_only(
    cluster: StoreCluster, wire: Wire
) -> None:
    lost = cluster.nodes[1]
    keys = {cluster.owner(key_slot(f"k{n}".encode())): f"k{n}" for n in range(50)}
    for key in keys.values():
        await wire.call("SET", key, "kept")
    waiting = wire.call(
        "BLPOP", next(f"l{n}" for n in range(99) if at(cluster, f"l{n}") is lost), 0
    )

    lost.kill()

    with pytest.raises(StoreLostError):
        await waiting
    for node, key in keys.items():
        if node is lost:
            with pytest.raises(StoreLostError):
                await wire.call("GET", key)
        else:
            assert await wire.call("GET", key) == b"kept"
    cluster.start(1)
    await until(lambda: wire.is_up)
    cluster.until_well()
    assert [await wire.call("GET", key) for key in keys.values()] == [b"kept"] * 3


def at(cluster: StoreCluster, key: str) -> StoreServer:
    return cluster.owner(key_slot(key.encode()))


async def test_a_node_is_killed_and_comes_back_under_load(
    cluster: StoreCluster, lanes: Lanes
) -> None:
    async with Traffic(lanes, people=40) as traffic:
        await traffic.flows(300)
        cluster.nodes[2].kill()
        await traffic.flows(50)
        cluster.start(2)
        await asyncio.to_thread(cluster.until_well)
        await traffic.flows(300)
        truth = await traffic.settle()

    assert (truth.lost, truth.doubled, truth.is_in_order) == (0, 0, True)


@pytest.mark.nightly
async def test_a_replica_takes_over_and_the_wire_follows() -> None:
    with store_cluster(replicas=True) as cluster:
        wire = await Wire.open(cluster.url, replicas=1)
        lanes = Lanes(wire, shards=SHARDS, clock=Clock(), lease_ms=LEASE_MS)
        async with Traffic(lanes, people=40) as traffic:
            await traffic.flows(300)
            cluster.nodes[0].kill()
            await asyncio.to_thread(cluster.until_all_are_served)
            cluster.start(0)
            await asyncio.to_thread(cluster.until_well)
            await traffic.flows(300)
            truth = await traffic.settle()
        await wire.close()
        assert cluster.nodes[0].replication["role"] == "slave"

    assert (truth.lost, truth.doubled, truth.is_in_order) == (0, 0, True)


# ---------------------------------------------------------------- the doorbell


async def test_the_doorbell_is_heard_at_another_node_and_survives_the_loss_of_one(
    cluster: StoreCluster, wire: Wire
) -> None:
    heard: list[int] = []
    bell = Bell(wire)
    stands = asyncio.Event()
    listener = asyncio.create_task(
        bell.listen(lambda shard, _kind: heard.append(shard), on_subscribed=stands.set)
    )
    await stands.wait()
    listened_at = (await wire.addresses())[0].port
    other = next(node for node in cluster.nodes if node.port != listened_at)
    other.ask("PUBLISH", "smarterbot:bell", "1 conv")
    await until(lambda: heard == [1])

    stands.clear()
    at = next(n for n, node in enumerate(cluster.nodes) if node.port == listened_at)
    cluster.nodes[at].kill()
    await asyncio.wait_for(stands.wait(), 10)
    bell.ring(2, "conv")
    await until(lambda: heard == [1, 2])

    listener.cancel()
    await asyncio.wait([listener])
    cluster.start(at)
