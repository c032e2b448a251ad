"""A primary may die, and its replica take its place: whatever was told outside is still there, if we waited for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from bot.clock import Clock
from bot.lanes import (
    Lanes,
    NotReplicatedError,
    Push,
    Put,
    Script,
    StoreLostError,
    Taken,
    Wire,
)
from bot.lanes.lanes import UNKNOWN_REST_MS
from tests.bot.lanes.lag import Lag
from tests.bot.lanes.servers import Replicated, replicated, until
from tests.bot.lanes.traffic import LEASE_MS, Traffic, Truth

SHARDS = 8
LAG_S = 0.02  # two machines in two cities; what is acknowledged meanwhile is at stake
SET = Script.of("#!lua\nreturn redis.call('SET', KEYS[1], ARGV[1])")
SEND = "wa/c1"


@pytest.fixture(scope="module")
def running() -> Iterator[Replicated]:
    with replicated() as (store, _):
        yield store


@pytest.fixture
def store(running: Replicated) -> Replicated:
    """Emptied, primary and replica at work."""
    running.primary.ask("FLUSHALL")
    return running


@pytest.fixture
async def wire(store: Replicated) -> AsyncIterator[Wire]:
    wire = await waiting_wire(store)
    yield wire
    await wire.close()


async def waiting_wire(store: Replicated) -> Wire:
    """It gives up soon: nobody comes back in these tests."""
    return await Wire.open(store.url, replicas=1, replicas_wait_ms=50)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes(wire: Wire, clock: Clock) -> Lanes:
    return lanes_over(wire, clock)


def lanes_over(wire: Wire, clock: Clock) -> Lanes:
    return Lanes(wire, shards=SHARDS, clock=clock, lease_ms=LEASE_MS)


@asynccontextmanager
async def away(store: Replicated) -> AsyncIterator[None]:
    """The replica hears nothing for a while."""
    store.replica.freeze()
    try:
        yield
    finally:
        store.replica.thaw()


# ------------------------------------------------------------ waiting for it


async def test_what_is_acknowledged_is_on_the_replica(store: Replicated, wire: Wire) -> None:
    assert await wire.call("SET", "k", "v", replicated=True) == b"OK"
    assert await wire.script(SET, ["s"], ["v"], replicated=True) == b"OK"

    assert (store.replica.ask("GET", "k"), store.replica.ask("GET", "s")) == ("v", "v")


async def test_a_batch_asks_once(store: Replicated, wire: Wire) -> None:
    store.primary.ask("CONFIG", "RESETSTAT")

    await asyncio.gather(*(wire.call("SET", f"k{n}", n, replicated=True) for n in range(50)))
    await asyncio.gather(*(wire.call("SET", f"k{n}", n) for n in range(50)))

    calls = store.primary.ask("INFO", "commandstats")
    assert isinstance(calls, dict)
    assert calls["cmdstat_wait"]["calls"] == 1


async def test_without_its_replica_it_is_done_and_not_acknowledged(
    store: Replicated, wire: Wire
) -> None:
    async with away(store):
        waiting = wire.call("SET", "k", "v", replicated=True)
        other = wire.call("SET", "other", "v")

        with pytest.raises(NotReplicatedError) as error:
            await waiting
        assert error.value.reply == b"OK"
        assert await other == b"OK"
        assert await wire.call("GET", "k") == b"v"

    assert await wire.call("SET", "k", "w", replicated=True) == b"OK"


async def test_who_trusts_the_primary_alone_waits_for_nobody(store: Replicated) -> None:
    trusting = await Wire.open(store.url)
    async with away(store):
        assert await trusting.call("SET", "k", "v", replicated=True) == b"OK"
    await trusting.close()


async def test_a_primary_that_dies_while_the_replica_is_waited_for_acknowledges_nothing() -> None:
    with replicated() as (store, _):
        wire = await Wire.open(store.url, replicas=1)
        async with away(store):
            waiting = wire.call("SET", "k", "v", replicated=True)
            await until(lambda: store.primary.ask("GET", "k") == "v")
            store.primary.kill()

            with pytest.raises(StoreLostError):
                await waiting
        await wire.close()


# ------------------------------------------------------------------ the lanes


async def test_an_event_that_is_told_again_is_not_acknowledged_before_the_replica_has_it(
    store: Replicated, lanes: Lanes
) -> None:
    """The second teller comes by another connection, whose own writes the replica may well have."""
    other = await waiting_wire(store)
    async with away(store):
        for teller in (lanes, lanes_over(other, Clock())):
            with pytest.raises(NotReplicatedError):
                await teller.put(0, "conv/c1", b"hello", mark="e1")

    assert await lanes_over(other, Clock()).put(0, "conv/c1", b"hello", mark="e1") is Put.SEEN
    await other.close()


async def test_an_event_that_is_not_acknowledged_keeps_no_lane_from_others(
    store: Replicated, lanes: Lanes, clock: Clock
) -> None:
    async with away(store):
        with pytest.raises(NotReplicatedError):
            await lanes.put(0, "conv/c1", b"hello", take=True)

    clock.shift_ms += UNKNOWN_REST_MS
    (taken,) = (await lanes.claim(0, "conv")).taken
    assert (taken.items, taken.was, taken.tries) == ((b"hello",), -1, 1)


async def test_a_status_is_not_acknowledged_before_the_replica_has_it(
    store: Replicated, lanes: Lanes
) -> None:
    async with away(store):
        with pytest.raises(NotReplicatedError):
            await lanes.confirm(0, "wa", b"line", [])


async def test_nothing_is_sent_on_a_lease_that_the_replica_does_not_know(
    store: Replicated, lanes: Lanes, clock: Clock
) -> None:
    """Another worker would get the same item after a failover, and think that nobody had it."""
    await lanes.put(0, SEND, b"hello")
    async with away(store):
        with pytest.raises(NotReplicatedError):
            await lanes.claim(0, "wa", items=1)

    clock.shift_ms += UNKNOWN_REST_MS
    (taken,) = (await lanes.claim(0, "wa", items=1)).taken
    assert (taken.items, taken.was, taken.tries) == ((b"hello",), -1, 1)


async def test_a_turn_that_the_replica_does_not_know_is_done_and_sends_nothing_yet(
    store: Replicated, lanes: Lanes, clock: Clock
) -> None:
    turn = await lanes.put(0, "conv/c1", b"hello", take=True)
    assert isinstance(turn, Taken)
    async with away(store):
        committed = await lanes.commit(turn, consumed=1, push=[Push(SEND, b"answer", take=True)])

    assert committed is not None
    assert committed.taken == ()
    clock.shift_ms += UNKNOWN_REST_MS
    (taken,) = (await lanes.claim(0, "wa", items=1)).taken
    assert (taken.items, taken.was, taken.tries) == ((b"answer",), -1, 1)


async def test_decisions_wait_for_nobody(store: Replicated, lanes: Lanes) -> None:
    """What a failover takes back of them is decided again, with the same outcome."""
    await lanes.put(0, "conv/c1", b"hello")
    async with away(store):
        (turn,) = (await lanes.claim(0, "conv")).taken
        assert await lanes.renew([turn]) == [True]
        assert await lanes.commit(turn, consumed=1, push=[Push(SEND, b"answer")]) is not None


# --------------------------------------------------------------- the failover


async def under_load(store: Replicated, lag: Lag, *, replicas: int) -> Truth:
    """People write, the primary dies, the replica takes over, the old primary comes back as its replica."""
    first, second = store.servers
    wire = await Wire.open(store.url, replicas=replicas)
    async with Traffic(lanes_over(wire, Clock()), people=40) as traffic:
        await traffic.flows(400)
        lag.cut()
        first.kill()
        await until(lambda: store.primary is second)
        store.start(first, heard_at=second.port)
        await traffic.flows(100)
        truth = await traffic.settle()
    await wire.close()
    return truth


async def test_a_failover_under_load_loses_and_doubles_nothing_that_the_replica_was_waited_for() -> (
    None
):
    with replicated(lag_s=LAG_S) as (store, lag):
        truth = await under_load(store, lag, replicas=1)

    assert (truth.lost, truth.doubled, truth.is_in_order) == (0, 0, True)


@pytest.mark.nightly
@pytest.mark.parametrize("replicas", [0, 1])
def test_what_failovers_cost(replicas: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Without waiting some are lost and some are doubled: else the test above would prove nothing."""
    truths = []
    for _ in range(5):
        with replicated(lag_s=LAG_S) as (store, lag):
            truths.append(asyncio.run(under_load(store, lag, replicas=replicas)))

    lost, doubled = sum(t.lost for t in truths), sum(t.doubled for t in truths)
    with capsys.disabled():
        print(  # noqa: T201  a figure for who reads the night's run
            f"\n{len(truths)} failovers, {replicas} replicas waited for: of "
            f"{sum(truth.total for truth in truths)} acknowledged {lost} lost, {doubled} doubled"
        )
    assert all(truth.is_in_order for truth in truths)
    assert (lost > 0, doubled > 0) == ((False, False) if replicas else (True, True))


# ------------------------------------------------------------------ sentinels


async def test_a_sentinel_that_is_down_is_passed_over(store: Replicated) -> None:
    where = store.url.replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,")

    wire = await Wire.open(where)

    assert await wire.call("SET", "k", "v") == b"OK"
    await wire.close()


async def test_a_primary_that_no_sentinel_knows_is_no_store(store: Replicated) -> None:
    with pytest.raises(StoreLostError, match=r"no sentinel of 127\.0\.0\.1.*'nobody'"):
        await Wire.open(store.url.replace("/main", "/nobody"))


async def test_a_replica_is_no_store(store: Replicated) -> None:
    with pytest.raises(StoreLostError, match="is a replica"):
        await Wire.open(store.replica.url)


@pytest.mark.nightly
async def test_a_primary_that_is_replaced_in_good_health_is_left_at_once() -> None:
    """For some ten seconds more it takes writes, which are lost when it is made a replica."""
    with replicated() as (store, _):
        wire = await Wire.open(store.url)
        old = store.primary
        await until(store.changes)
        await until(lambda: store.primary is not old)

        def arrives() -> bool:
            wire.tell("SET", "k", "v")
            return store.primary.ask("GET", "k") == "v"

        await until(arrives)
        assert old.replication["role"] == "master"
        await wire.close()
