"""The short way in: the same answers as aiohttp's, whatever the bytes come like, and a bound on everything."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from aiohttp import ClientSession, web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.web import front as front_module
from bot.web.front import Front, Post

PATH = "/hook"
PROOF = "X-Proof"


@dataclass
class Hook:
    """What the route's function was given, and what it answers."""

    heard: list[tuple[bytes, bytes]] = field(default_factory=list)
    by_aiohttp: list[tuple[bytes, bytes]] = field(default_factory=list)
    status: int = 200
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def handle(self, body: bytes, proof: bytes) -> int:
        self.heard.append((body, proof))
        await self.gate.wait()
        if body == b"break":
            raise RuntimeError("broken")
        return self.status

    async def route(self, request: web.Request) -> web.Response:
        body, proof = await request.read(), request.headers.get(PROOF, "").encode()
        self.by_aiohttp.append((body, proof))
        return web.Response(status=await self.handle(body, proof))


@dataclass
class Site:
    port: int
    front: Front
    hook: Hook

    async def talk(self, *parts: bytes) -> bytes:
        """Send the parts one by one, close our side, and read to the end."""
        async with connected(self.port) as (reader, writer):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.002)
            return await asyncio.wait_for(reader.read(), 5)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def site(port: int, *, connections_max: int = 1000) -> AsyncIterator[Site]:
    hook = Hook()
    app = web.Application(client_max_size=2**22)

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.add_routes([web.post(PATH, hook.route), web.get("/hello", hello)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    front = Front(runner, [Post(PATH, PROOF, hook.handle)], connections_max=connections_max)
    await front.listen("127.0.0.1", port)
    try:
        yield Site(port, front, hook)
    finally:
        hook.gate.set()
        await front.stop(1)
        await runner.cleanup()


@pytest.fixture
async def here(free_port: int) -> AsyncIterator[Site]:
    async with site(free_port) as found:
        yield found


def request(body: bytes = b"{}", *, more: bytes = b"Connection: close\r\n") -> bytes:
    return (
        b"POST /hook HTTP/1.1\r\nHost: here\r\nx-proof:  abc \r\nContent-Type: application/json\r\n"
        b"%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)
    )


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# ------------------------------------------------------------------ the short way


async def test_a_whole_request_goes_straight_to_its_function(here: Site) -> None:
    answer = await here.talk(request(b'{"a": 1}'))

    assert status_of(answer) == 200
    assert here.hook.heard == [(b'{"a": 1}', b"abc")]
    assert here.hook.by_aiohttp == []
    assert b"\r\nDate: " in answer


async def test_a_status_is_answered_as_it_was_given(here: Site) -> None:
    here.hook.status = 503

    assert (await here.talk(request())).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


async def test_without_a_proof_the_function_is_told_so(here: Site) -> None:
    await here.talk(b"POST /hook HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")

    assert here.hook.heard == [(b"hi", b"")]


async def test_a_proof_in_the_body_is_none(here: Site) -> None:
    body = b"\r\nX-Proof: forged\r\n\r\n"
    await here.talk(
        b"POST /hook HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )

    assert here.hook.heard == [(body, b"")]


async def test_a_connection_is_kept_for_the_next_request(here: Site) -> None:
    async with connected(here.port) as (reader, writer):
        for n in range(3):
            writer.write(request(b"%d" % n, more=b""))
            assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200

    assert [body for body, _ in here.hook.heard] == [b"0", b"1", b"2"]
    assert here.hook.by_aiohttp == []


async def test_a_function_that_breaks_is_a_500_and_the_next_connection_goes_on(here: Site) -> None:
    assert status_of(await here.talk(request(b"break", more=b""))) == 500
    assert status_of(await here.talk(request())) == 200


@given(cuts=st.lists(st.integers(1, len(request(b"x" * 40)) - 1), max_size=6, unique=True))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_however_it_is_cut_it_is_the_same_request(free_port: int, cuts: list[int]) -> None:
    whole = request(b"x" * 40)
    edges = [0, *sorted(cuts), len(whole)]

    async def check() -> None:
        async with site(free_port) as here:
            parts = [whole[a:b] for a, b in pairwise(edges)]
            assert status_of(await here.talk(*parts)) == 200
            assert here.hook.heard == [(b"x" * 40, b"abc")]

    asyncio.run(check())


async def test_chunks_are_put_together(here: Site) -> None:
    answer = await here.talk(
        b"POST /hook HTTP/1.1\r\nX-Proof: abc\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    assert status_of(answer) == 200
    assert here.hook.heard == [(b"abcde", b"abc")]


# ------------------------------------------------------------------ aiohttp's


async def test_any_other_path_is_aiohttps(here: Site) -> None:
    async with ClientSession() as session:
        for _ in range(2):
            async with session.get(f"http://127.0.0.1:{here.port}/hello") as answer:
                assert await answer.text() == "hello"
        async with session.get(f"http://127.0.0.1:{here.port}/nowhere") as answer:
            assert answer.status == 404


async def test_a_connection_may_carry_both(here: Site) -> None:
    async with connected(here.port) as (reader, writer):
        writer.write(request(b"1", more=b""))
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.write(b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n")
        assert status_of(await reader.readuntil(b"hello")) == 200
        writer.write(request(b"2", more=b""))
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200

    assert [body for body, _ in here.hook.heard] == [b"1", b"2"]
    assert [body for body, _ in here.hook.by_aiohttp] == [b"2"]


async def test_a_large_body_is_aiohttps(here: Site) -> None:
    body = b"x" * 1_000_000
    assert status_of(await here.talk(request(body))) == 200

    assert here.hook.by_aiohttp == [(body, b"abc")]


async def test_who_asks_before_sending_is_told_to_go_on(here: Site) -> None:
    async with connected(here.port) as (reader, writer):
        head, _, body = request(more=b"Expect: 100-continue\r\n").rpartition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 100
        writer.write(body)
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200


async def test_a_pipeline_is_answered_in_order(here: Site) -> None:
    answer = await here.talk(request(b"1", more=b"") + request(b"2", more=b"") + request(b"3"))

    assert answer.count(b"HTTP/1.1 200") == 3
    assert [body for body, _ in here.hook.heard] == [b"1", b"2", b"3"]


async def test_what_comes_while_one_is_under_way_waits_for_its_turn(here: Site) -> None:
    here.hook.gate.clear()
    async with connected(here.port) as (reader, writer):
        writer.write(request(b"1", more=b""))
        await until(lambda: len(here.hook.heard) == 1)
        writer.write(request(b"2"))
        await asyncio.sleep(0.02)
        assert len(here.hook.heard) == 1
        here.hook.gate.set()
        answer = await reader.read()

    assert answer.count(b"HTTP/1.1 200") == 2
    assert [body for body, _ in here.hook.heard] == [b"1", b"2"]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Content-Length: 2\r\nContent-Length: 3\r\n", id="two-lengths"),
        pytest.param(
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", id="length-and-chunks"
        ),
        pytest.param(b"Content-Length: +2\r\n", id="signed-length"),
        pytest.param(b"Content-Length : 2\r\n", id="blank-before-colon"),
        pytest.param(b"X-Proof: a\r\n b\r\nContent-Length: 2\r\n", id="folded"),
        pytest.param(b"X-Proof: a\x00b\r\nContent-Length: 2\r\n", id="nul"),
        pytest.param(b"Transfer-Encoding: chunked, identity\r\n", id="odd-coding"),
    ],
)
async def test_what_two_readers_could_read_differently_is_refused(here: Site, head: bytes) -> None:
    answer = await here.talk(b"POST /hook HTTP/1.1\r\nHost: a\r\n%b\r\nhi\r\n" % head)

    assert status_of(answer) == 400
    assert here.hook.heard == []


# ------------------------------------------------------------------ bounds


async def test_a_head_that_does_not_end_is_cut_off(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "HEAD_S", 0.0)

    assert status_of(await here.talk(b"POST /hook HTTP/1.1\r\nX-Slow: ")) == 408


async def test_a_head_without_end_is_refused(here: Site) -> None:
    answer = await here.talk(b"GET /hello HTTP/1.1\r\n" + b"X-A: b\r\n" * 5_000)

    assert status_of(answer) == 431


async def test_a_body_that_trickles_is_left_to_aiohttp(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "REST_S", 0.0)
    async with connected(here.port) as (reader, writer):
        whole = request(b"slowly")
        writer.write(whole[:-3])
        await asyncio.sleep(2.1)  # the front looks around once a second
        writer.write(whole[-3:])
        assert status_of(await reader.read()) == 200

    assert here.hook.by_aiohttp == [(b"slowly", b"abc")]


async def test_who_says_nothing_is_closed(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "KEEPALIVE_S", 0.0)

    async with connected(here.port) as (reader, _):
        assert await idle_end(reader) == b""


async def test_what_was_handed_over_is_held_by_nobody_else(here: Site) -> None:
    """Nor until the garbage collector comes by, which is late under a flood of large bodies."""
    body = b"x" * 200_000
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(40):
            assert status_of(await here.talk(request(body))) == 200
            here.hook.heard.clear()
            here.hook.by_aiohttp.clear()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()

    assert held < 10 * len(body)


async def test_the_idlest_makes_room_for_the_next(free_port: int) -> None:
    async with site(free_port, connections_max=20) as here, AsyncExitStack() as stack:
        for _ in range(40):
            await stack.enter_async_context(connected(free_port))
        assert status_of(await here.talk(request())) == 200


async def test_webhooks_find_room_however_many_others_there_are(free_port: int) -> None:
    async with site(free_port, connections_max=20) as here, AsyncExitStack() as stack:
        answers = set()
        for _ in range(40):
            reader, writer = await stack.enter_async_context(connected(free_port))
            writer.write(b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n")
            answers.add(status_of(await reader.readuntil(b"\r\n\r\n")))
        assert answers == {200, 503}
        assert status_of(await here.talk(request())) == 200


# ------------------------------------------------------------------ the end


async def test_asked_to_stop_it_answers_what_is_under_way(free_port: int) -> None:
    async with (
        site(free_port) as here,
        connected(free_port) as (reader, writer),
        connected(free_port) as (idle, _),
    ):
        here.hook.gate.clear()
        writer.write(request(b"last", more=b""))
        await until(lambda: bool(here.hook.heard))
        stop = asyncio.create_task(here.front.stop(5))
        assert await idle_end(idle) == b""
        assert not stop.done()
        here.hook.gate.set()
        answer = await reader.read()
        await stop
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free_port)

    assert status_of(answer) == 200
    assert b"Connection: close" in answer


async def test_a_client_that_leaves_does_not_hold_the_stop_up(free_port: int) -> None:
    async with site(free_port) as here:
        async with connected(free_port) as (_, writer):
            here.hook.gate.clear()
            writer.write(request())
            await until(lambda: bool(here.hook.heard))
            writer.transport.abort()
        await asyncio.wait_for(here.front.stop(5), 2)


async def idle_end(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection ended."""
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  what is on the other side of a socket tells by no event
            await asyncio.sleep(0.005)
