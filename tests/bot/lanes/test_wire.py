"""The wire: one connection for everybody, and an honest error whenever the outcome is not known."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.lanes import LaneError, Script, StoreLostError, Wire, listen
from tests.bot.lanes.servers import StoreServer, store_server, until

ADD = Script.of("#!lua\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])")


@pytest.fixture
async def own(server: StoreServer) -> AsyncIterator[Wire]:
    """A wire to the test's own server."""
    wire = await Wire.open(server.url, deadline_s=0.2)
    yield wire
    await wire.close()


# ----------------------------------------------------------- ordinary traffic


async def test_calls_of_one_tick_are_answered_in_order(wire: Wire) -> None:
    calls = [wire.call("ECHO", str(n)) for n in range(500)]

    assert [await call for call in calls] == [str(n).encode() for n in range(500)]


async def test_calls_of_one_tick_leave_in_one_write(wire: Wire) -> None:
    before = await reads_of_the_server(wire)

    await asyncio.gather(*(wire.call("PING") for _ in range(100)))

    assert await reads_of_the_server(wire) - before == 2


async def reads_of_the_server(wire: Wire) -> int:
    info = await wire.call("INFO", "stats")
    assert isinstance(info, bytes)
    lines = dict(line.split(":") for line in info.decode().split("\r\n") if ":" in line)
    return int(lines["total_reads_processed"])


async def test_the_connection_has_a_name(wire: Wire) -> None:
    assert await wire.call("CLIENT", "GETNAME") == b"smarterbot"


async def test_an_error_of_the_store_is_a_defect(wire: Wire) -> None:
    with pytest.raises(LaneError, match="unknown command"):
        await wire.call("NONSENSE")

    assert await wire.call("PING") == b"PONG"


async def test_a_cancelled_call_does_not_shift_the_replies(wire: Wire) -> None:
    given_up = wire.call("ECHO", "a")
    given_up.cancel()

    assert await wire.call("ECHO", "b") == b"b"


async def test_an_unknown_script_is_loaded_once_and_each_call_runs_once(wire: Wire) -> None:
    await wire.call("SCRIPT", "FLUSH")
    await wire.call("CONFIG", "RESETSTAT")

    answers = await asyncio.gather(*(wire.script(ADD, ["n"], [1]) for _ in range(50)))

    assert answers == list(range(1, 51))
    assert await commands_of(wire, "script|load") == 1


async def test_a_script_is_found_again_after_a_flush(wire: Wire) -> None:
    await wire.script(ADD, ["n"], [1])
    await wire.call("SCRIPT", "FLUSH")

    assert await wire.script(ADD, ["n"], [1]) == 2


async def commands_of(wire: Wire, name: str) -> int:
    info = await wire.call("INFO", "commandstats")
    assert isinstance(info, bytes)
    found = [line for line in info.decode().split("\r\n") if line.startswith(f"cmdstat_{name}:")]
    return int(found[0].partition("calls=")[2].partition(",")[0]) if found else 0


async def test_a_password_opens_the_store_and_a_wrong_one_is_a_defect() -> None:
    with store_server() as server:
        server.start("--requirepass", "s3cret", answers=b"-NOAUTH")
        path = server.url.removeprefix("unix://")

        wire = await Wire.open(f"unix://:s3cret@{path}")
        assert await wire.call("PING") == b"PONG"
        await wire.close()
        for wrong in (f"unix://:wrong@{path}", server.url):
            with pytest.raises(LaneError, match=r"WRONGPASS|NOAUTH"):
                await Wire.open(wrong)


# ---------------------------------------------------------------- when it breaks


async def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(StoreLostError, match="no store at /nowhere"):
        await Wire.open("unix:///nowhere")


async def test_a_killed_store_fails_every_call_and_is_found_again(
    server: StoreServer, own: Wire
) -> None:
    waiting = [own.call("BLPOP", "nothing", 0), own.call("PING")]
    await asyncio.sleep(0)

    server.kill()

    lost = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in lost] == [StoreLostError, StoreLostError]
    with pytest.raises(StoreLostError, match="no connection"):
        await own.call("PING")

    server.start()
    await until(lambda: own.is_up)
    assert await own.script(ADD, ["n"], [1]) == 1


async def test_a_hung_store_becomes_an_error_and_is_found_again(
    server: StoreServer, own: Wire
) -> None:
    server.freeze()

    with pytest.raises(StoreLostError, match="does not answer"):
        await own.call("PING")
    with pytest.raises(StoreLostError):
        await own.call("PING")

    server.thaw()
    await until(lambda: own.is_up)
    assert await own.call("PING") == b"PONG"


async def test_a_full_store_refuses_what_takes_room_and_lets_the_rest_through(
    server: StoreServer, own: Wire
) -> None:
    drain = Script.of("#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], 1)")
    await own.call("CONFIG", "SET", "maxmemory", 1)

    for call in (own.call("SET", "k", "v"), own.script(ADD, ["n"], [1])):
        with pytest.raises(StoreLostError, match="OOM"):
            await call

    assert await own.script(drain, ["n"], []) == b"OK"


async def test_a_replica_that_takes_no_writes_is_a_lost_store(own: Wire) -> None:
    await own.call("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(StoreLostError, match="READONLY"):
        await own.call("SET", "k", "v")


async def test_a_loading_store_is_not_there_yet(server: StoreServer, own: Wire) -> None:
    await own.call("CONFIG", "SET", "rdbcompression", "no")
    for n in range(300):
        own.tell("SET", f"k{n}", "v" * 2_000)
    await own.call("SAVE")
    server.kill()
    # 20 ms for each key, looking around after each: it loads for as long as we look.
    slow = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    server.start(*slow, answers=b"-LOADING")

    with pytest.raises(StoreLostError, match="LOADING"):
        await Wire.open(server.url)
    with pytest.raises(StoreLostError):
        await own.call("PING")


async def test_too_much_waiting_is_refused_and_what_waits_is_served(clean_valkey: str) -> None:
    wire = await Wire.open(clean_valkey, pending_max=10)

    calls = [wire.call("PING") for _ in range(12)]

    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[:10] == [b"PONG"] * 10
    assert [str(error) for error in answers[10:]] == ["too much is waiting for the store"] * 2
    assert await wire.call("PING") == b"PONG"
    await wire.close()


async def test_closing_fails_what_waits_and_whoever_does_not_wait_hears_nothing(
    clean_valkey: str,
) -> None:
    wire = await Wire.open(clean_valkey)
    wire.tell("NONSENSE")
    await wire.call("PING")
    waiting = wire.call("BLPOP", "nothing", 0)
    wire.tell("PING")

    await wire.close()

    with pytest.raises(StoreLostError, match="closed by us"):
        await waiting
    with pytest.raises(StoreLostError):
        await wire.call("PING")


# ---------------------------------------------------------------- listening


async def test_a_listener_subscribes_again_after_a_crash_of_the_store(
    server: StoreServer, own: Wire
) -> None:
    heard: list[tuple[str, bytes]] = []
    stands = asyncio.Event()

    def hear(channel: str, body: bytes) -> None:
        heard.append((channel, body))

    listener = asyncio.create_task(listen(own, ["one", "two"], hear, on_subscribed=stands.set))
    await stands.wait()
    own.tell("PUBLISH", "one", "a")
    await until(lambda: len(heard) == 1)
    stands.clear()

    server.kill()
    server.start()
    await asyncio.wait_for(stands.wait(), 10)
    await until(lambda: own.is_up)
    own.tell("PUBLISH", "two", "b")
    await until(lambda: len(heard) == 2)

    assert heard == [("one", b"a"), ("two", b"b")]
    listener.cancel()
    await asyncio.wait([listener])
