"""The lean HTTP client: what it reads, what it reuses, and what each failure means for doubt.

Each test runs on asyncio's loop and on uvloop's, which serves in production; their transports differ.
"""

import asyncio
import math
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from handlers.whatsapp.errors import GraphError, MaybeSentError, NotSentError
from handlers.whatsapp.http import (
    ANSWER_BYTES_MAX,
    HEADERS_MAX,
    Answer,
    Origin,
    default_tls,
    header_lines,
)
from tests.handlers.whatsapp.raw_server import (
    Authority,
    Peer,
    RawServer,
    Script,
    answer,
    raw_server,
)

pytestmark = pytest.mark.both_loops

HEADERS = header_lines({"Authorization": "Bearer secret"})
OK = Answer(200, b"{}")


@asynccontextmanager
async def talk(script: Script, **options: Any) -> AsyncIterator[tuple[Origin, RawServer]]:
    """A client and the server it speaks to."""
    async with raw_server(script) as server:
        origin = Origin(server.url, **options)
        try:
            yield origin, server
        finally:
            origin.close()


async def post(origin: Origin, body: bytes = b"{}") -> Answer:
    return await origin.request("POST", "/messages", HEADERS, body)


async def settles(holds: Callable[[], object]) -> None:
    """Poll until it holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  what it looks at rings no bell
            await asyncio.sleep(0.001)


async def keeps_answering(peer: Peer) -> None:
    while True:
        body = await peer.hears()
        await peer.says(answer(body))


# ------------------------------------------------------------------ what is sent


async def test_a_request_is_what_it_seems() -> None:
    async with talk(keeps_answering) as (origin, server):
        await origin.request("POST", "/v26.0/1/messages?a=%20", HEADERS, b'{"a":1}')
        await origin.request("GET", "/v26.0/1", HEADERS)

    authority = server.url.removeprefix("http://").encode()
    head = b"Host: %b\r\nAccept-Encoding: identity\r\nAuthorization: Bearer secret\r\n" % authority
    assert [request for _, request in server.requests] == [
        b"POST /v26.0/1/messages?a=%%20 HTTP/1.1\r\n%bContent-Length: 7\r\n\r\n{" % head
        + b'"a":1}',
        b"GET /v26.0/1 HTTP/1.1\r\n%b\r\n" % head,
    ]


async def test_a_path_of_the_base_url_goes_in_front() -> None:
    async with raw_server(keeps_answering) as server:
        origin = Origin(f"{server.url}/graph/")
        await post(origin)
        origin.close()

    assert server.requests[0][1].startswith(b"POST /graph/messages HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("Authorization", "Bearer se\r\ncret", id="line-break"),
        pytest.param("Authorization", "Bearer se\ncret", id="line-feed"),
        pytest.param("Authorization", "Bearer se\0cret", id="nul"),
        pytest.param("Authorization", "Bearer secretó", id="beyond-ascii"),
        pytest.param("Authorization", "secret ", id="blank-at-the-end"),
        pytest.param("Authorization", "", id="empty"),
        pytest.param("secret:", "x", id="name"),
    ],
)
def test_a_header_that_would_break_its_line_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent") as caught:
        header_lines({name: value})

    assert not re.search("se.*cret", str(caught.value), re.DOTALL)


@pytest.mark.parametrize("target", ["", "messages", "/a b", "/a\r\nX: y", "/ñ"])
async def test_a_path_that_would_break_the_request_is_not_sent(target: str) -> None:
    async with talk(keeps_answering) as (origin, server):
        with pytest.raises(NotSentError):
            await origin.request("GET", target, HEADERS)

    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "http://",
        "ftp://graph.facebook.com",
        "https://user:secret@graph.facebook.com",
        "https://graph.facebook.com?a=b",
        "https://graph.facebook.com/a path",
        "https://graph..facebook.com",
        "https://graph facebook.com",
        "https://graph.facebook.com:https",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the kind is all that the caller knows
        Origin(url)

    assert "secret" not in str(caught.value)


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    ("said", "read", "keeps"),
    [
        pytest.param(answer(b"{}"), OK, True, id="length"),
        pytest.param(answer(b""), Answer(200, b""), True, id="empty"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            *(OK, True),
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nRetry-After: 9\r\n\r\n",
            *(Answer(429, b"{}"), True),
            id="trailers-are-no-headers",
        ),
        pytest.param(b"HTTP/1.1 204 None\r\n\r\n", Answer(204, b""), True, id="no-body"),
        pytest.param(
            b"HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n", Answer(304, b""), True, id="same"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n{}", OK, False, id="until-it-closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", OK, False, id="http-1.0"),
        pytest.param(answer(b"{}", headers=b"Connection: close\r\n"), OK, False, id="close"),
        pytest.param(
            b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\nRetry-After: 1\r\n\r\n"
            + answer(b"{}"),
            *(OK, True),
            id="interim-answers",
        ),
        pytest.param(
            answer(b"{}", status=503, headers=b"reTRY-after:  7 \r\n"),
            *(Answer(503, b"{}", "7"), True),
            id="retry-after",
        ),
        pytest.param(
            answer(b"", status=307, headers=b"Location: /elsewhere\r\n"),
            *(Answer(307, b""), True),
            id="redirect",
        ),
    ],
)
async def test_an_answer_is_read_however_it_is_framed(
    said: bytes, read: Answer, keeps: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(said)
        if not keeps:
            return
        await peer.answers(b"again")

    async with talk(script) as (origin, server):
        assert await post(origin) == read

        if keeps:
            assert await post(origin) == Answer(200, b"again")
            assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200", id="half-a-line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", id="half-a-body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", id="half-the-chunks"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}", id="a-coding-we-did-not-ask-for"
        ),
        pytest.param(b"HTTP/1.1 100 Go on\r\n\r\n", id="interim-only"),
        pytest.param(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", id="upgrade"),
        pytest.param(b"HTTP/1.1 000 ?\r\nContent-Length: 2\r\n\r\n{}", id="status-0"),
        pytest.param(b"<html>Bad gateway</html>", id="no-http"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="a-tls-alert"),
        pytest.param(
            answer(b"{}", headers=b"Content-Length: 9\r\n"), id="two-lengths"
        ),
        pytest.param(
            answer(b"{}", headers=b"Transfer-Encoding: chunked\r\n"), id="length-and-chunks"
        ),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_read_leaves_a_doubt(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(said)
        await peer.closes()

    async with talk(script) as (origin, server):
        with pytest.raises(MaybeSentError):
            await post(origin)

        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000, id="a-header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100, id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000, id="a-body-until-it-closes"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x" * 1000, id="a-body"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 99, id="chunks"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000, id="an-extension"
        ),
        pytest.param(b"", b"HTTP/1.1 102 Wait\r\n\r\n" * 50, id="interim-answers"),
    ],
)  # fmt: skip
async def test_an_answer_without_end_is_not_read_to_its_end(start: bytes, piece: bytes) -> None:
    said: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(start)
        said.append(await peer.floods(piece))

    async with talk(script) as (origin, _):
        with pytest.raises(MaybeSentError):
            await post(origin)
        await settles(lambda: said)

    # What we let in, and what the system's own buffers hold.
    assert said[0] < ANSWER_BYTES_MAX + 8 * 1024 * 1024


async def test_the_bounds_of_an_answer() -> None:
    full = answer(b"x" * 1000)

    async def script(peer: Peer) -> None:
        while True:
            await peer.hears()
            await peer.says(full)

    async with talk(script) as (origin, _):
        just = await origin.request("GET", "/", HEADERS, answer_bytes_max=len(full))
        assert just == Answer(200, b"x" * 1000)

        with pytest.raises(MaybeSentError):
            await origin.request("GET", "/", HEADERS, answer_bytes_max=len(full) - 1)


@pytest.mark.parametrize("count", [HEADERS_MAX - 1, HEADERS_MAX])
async def test_the_bound_of_headers(count: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(answer(b"{}", headers=b"X: y\r\n" * count))
        await peer.is_left()

    async with talk(script) as (origin, _):
        if count < HEADERS_MAX:
            assert await post(origin) == OK
        else:
            with pytest.raises(MaybeSentError):
                await post(origin)


# ------------------------------------------------------------------ reuse


async def test_a_connection_is_kept() -> None:
    async with talk(keeps_answering) as (origin, server):
        for n in range(20):
            assert await post(origin, b"%d" % n) == Answer(200, b"%d" % n)

        assert server.connections == 1


async def test_the_last_used_connection_is_used_first() -> None:
    async with talk(keeps_answering) as (origin, server):
        await asyncio.gather(*(post(origin) for _ in range(5)))
        for _ in range(5):
            await post(origin)

        over = [connection for connection, _ in server.requests[-5:]]
        assert server.connections == 5
        assert len(set(over)) == 1


async def test_a_connection_that_idled_for_too_long_is_not_used() -> None:
    async with talk(keeps_answering, idle_s=0.0) as (origin, server):
        await post(origin)
        await post(origin)

        assert [connection for connection, _ in server.requests] == [1, 2]


async def test_a_connection_that_idles_is_closed_by_itself() -> None:
    async with talk(keeps_answering, idle_s=0.01) as (origin, server):
        await asyncio.gather(*(post(origin) for _ in range(3)))

        await settles(lambda: server.open == 0)
        assert await post(origin) == OK


async def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    async with talk(Peer.answers) as (origin, server):
        await post(origin)
        await settles(lambda: not any(connection.is_free for connection in origin._idle))

        assert await post(origin) == OK
        assert server.connections == 2


async def test_a_connection_that_closes_just_as_we_send_leaves_a_doubt() -> None:
    """RFC 9110 §9.2.2: a POST is not idempotent, so nobody but the caller may repeat it."""

    async def script(peer: Peer) -> None:
        await peer.answers()
        await peer.hears()

    async with talk(script) as (origin, server):
        await post(origin)
        with pytest.raises(MaybeSentError):
            await post(origin)

        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("more", "at_once"),
    [
        pytest.param(b"x", True, id="garbage"),
        pytest.param(b"x", False, id="garbage-later"),
        pytest.param(answer(b"not yours"), True, id="another-answer"),
        pytest.param(answer(b"not yours"), False, id="another-answer-later"),
        pytest.param(b"HTTP/1.1 ", True, id="the-beginning-of-an-answer"),
        pytest.param(b"\r\n", False, id="a-blank-line-later"),
    ],
)
async def test_what_nobody_asked_for_ends_the_connection(more: bytes, at_once: bool) -> None:
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(answer(b"yours") + (more if at_once else b""))
        if not at_once:
            await taken.wait()
            await peer.says(more)
        await peer.is_left()

    async with talk(script) as (origin, server):
        assert await post(origin) == Answer(200, b"yours")
        taken.set()
        await settles(lambda: server.open == 0)

        assert await post(origin) == Answer(200, b"yours")
        assert server.connections == 2


async def test_an_answer_before_the_request_was_read_is_taken_and_the_connection_is_not_kept() -> (
    None
):
    async def script(peer: Peer) -> None:
        await peer.hears_head()
        await peer.says(answer(b"too large", status=413))
        await asyncio.Event().wait()

    async with talk(script) as (origin, server):
        for _ in range(2):
            # More than the system's buffers hold.
            assert await post(origin, b"x" * 16_000_000) == Answer(413, b"too large")

        assert server.connections == 2


# ------------------------------------------------------------------ places


async def test_no_more_connections_than_allowed_and_nobody_is_forgotten() -> None:
    async with talk(keeps_answering, connections_max=20) as (origin, server):
        bodies = [b"%d" % n for n in range(1000)]

        answers = await asyncio.gather(*(post(origin, body) for body in bodies))

        assert [answer.body for answer in answers] == bodies
        assert server.open_max <= 20


async def test_who_waits_longest_is_first() -> None:
    async with talk(keeps_answering, connections_max=1) as (origin, server):
        bodies = [b"%d" % n for n in range(50)]

        await asyncio.gather(*(post(origin, body) for body in bodies))

        assert [request.partition(b"\r\n\r\n")[2] for _, request in server.requests] == bodies
        assert server.connections == 1


async def test_who_finds_no_free_connection_in_time_has_sent_nothing() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hears()
        await go_on.wait()
        await peer.says(answer(b"{}"))
        await keeps_answering(peer)

    async with talk(script, connections_max=1, connect_s=0.05) as (origin, server):
        first = asyncio.create_task(post(origin))
        await settles(lambda: server.requests)

        with pytest.raises(NotSentError):
            await post(origin)

        assert len(server.requests) == 1
        go_on.set()
        assert await first == OK
        # Its place in line was given up, and the connection is there for others.
        assert await post(origin) == OK
        assert server.connections == 1


async def test_a_failure_gives_its_place_back() -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()

    async with talk(script, connections_max=1) as (origin, server):
        results = await asyncio.gather(*(post(origin) for _ in range(20)), return_exceptions=True)

        assert [type(result) for result in results] == [MaybeSentError] * 20
        assert server.connections == 20


async def test_a_door_that_stays_shut_gives_its_place_back() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        origin = Origin(f"http://127.0.0.1:{nobody.getsockname()[1]}", connections_max=1)

        results = await asyncio.gather(*(post(origin) for _ in range(20)), return_exceptions=True)

        assert [type(result) for result in results] == [NotSentError] * 20


# ------------------------------------------------------------------ broken off


async def test_a_connection_reset_before_the_request_was_read() -> None:
    async def script(peer: Peer) -> None:
        peer.resets()

    async with talk(script) as (origin, server):
        with pytest.raises(GraphError):
            await post(origin)

        assert server.requests == []


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="before-the-answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", id="in-the-answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n{}", id="where-only-a-close-would-end-it"),
    ],
)
async def test_a_connection_reset_after_the_request_leaves_a_doubt(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(said)
        peer.resets()

    async with talk(script) as (origin, _):
        with pytest.raises(MaybeSentError):
            await post(origin)


async def test_silence_leaves_a_doubt() -> None:
    left = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.is_left()
        left.set()

    async with talk(script, total_s=0.05) as (origin, _):
        with pytest.raises(MaybeSentError):
            await post(origin)

        async with asyncio.timeout(10):
            await left.wait()


async def test_an_answer_that_trickles_is_not_waited_for() -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await peer.says(b"x")
            await asyncio.sleep(0.005)

    async with talk(script, total_s=0.1) as (origin, _):
        with pytest.raises(MaybeSentError):
            await post(origin)


# ------------------------------------------------------------------ given up


async def test_a_request_given_up_closes_its_connection() -> None:
    left = asyncio.Event()

    async def script(peer: Peer) -> None:
        if (await peer.hears()) == b"given up":
            await peer.is_left()
            left.set()
        else:
            await peer.says(answer(b"{}"))

    async with talk(script, connections_max=1) as (origin, server):
        task = asyncio.create_task(post(origin, b"given up"))
        await settles(lambda: server.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async with asyncio.timeout(10):
            await left.wait()
        assert await post(origin) == OK


async def test_a_request_given_up_in_line_leaves_the_line() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hears()
        await go_on.wait()
        await peer.says(answer(b"{}"))
        await keeps_answering(peer)

    async with talk(script, connections_max=1) as (origin, server):
        first = asyncio.create_task(post(origin))
        await settles(lambda: server.requests)
        others = [asyncio.create_task(post(origin, b"%d" % n)) for n in range(5)]
        await settles(lambda: len(origin._waiting) == 5)
        others[0].cancel()
        others[3].cancel()
        go_on.set()

        await first
        await asyncio.gather(*others, return_exceptions=True)

        heard = [request.partition(b"\r\n\r\n")[2] for _, request in server.requests]
        assert heard == [b"{}", b"1", b"2", b"4"]


async def test_a_request_given_up_in_the_moment_its_turn_comes_passes_the_turn_on() -> None:
    async with talk(keeps_answering, connections_max=1) as (origin, server):

        async def first() -> None:
            await post(origin)
            # The place has gone to `second`, which has not run since.
            second.cancel()

        one = asyncio.create_task(first())
        second = asyncio.create_task(post(origin, b"second"))
        third = asyncio.create_task(post(origin, b"third"))

        await one
        assert await third == Answer(200, b"third")
        with pytest.raises(asyncio.CancelledError):
            await second
        assert server.connections == 1


async def test_a_connection_that_dies_as_it_is_handed_on_is_replaced() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            body = await peer.hears()
            await go_on.wait()
            await peer.says(answer(body))

    async with talk(script, connections_max=1) as (origin, server):

        async def first() -> None:
            await post(origin)
            given = place.result()
            assert given is not None
            given.abort()

        one = asyncio.create_task(first())
        second = asyncio.create_task(post(origin, b"second"))
        await settles(lambda: server.requests and origin._waiting)
        place = origin._waiting[0]
        go_on.set()

        await one
        assert await second == Answer(200, b"second")
        assert server.connections == 2


async def test_a_request_given_up_while_connecting_gives_its_place_back() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            origin = Origin(f"http://127.0.0.1:{port}", connections_max=1)
            task = asyncio.create_task(post(origin))
            await settles(lambda: origin._count == 1)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            assert origin._count == 0


# ------------------------------------------------------------------ the end


async def test_after_the_end_nothing_is_sent_and_who_waited_is_told() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hears()
        await go_on.wait()
        await peer.says(answer(b"{}"))
        await peer.is_left()

    async with talk(script, connections_max=2, connect_s=60.0) as (origin, server):
        under_way = [asyncio.create_task(post(origin)) for _ in range(2)]
        await settles(lambda: len(server.requests) == 2)
        waiting = asyncio.create_task(post(origin))
        await settles(lambda: origin._waiting)

        origin.close()

        async with asyncio.timeout(10):
            with pytest.raises(NotSentError):
                await waiting
        go_on.set()
        assert await asyncio.gather(*under_way) == [OK, OK]
        await settles(lambda: server.open == 0)
        with pytest.raises(NotSentError):
            await post(origin)
        assert server.connections == 2


async def test_at_the_end_idle_connections_are_closed() -> None:
    async with talk(keeps_answering) as (origin, server):
        await asyncio.gather(*(post(origin) for _ in range(3)))
        origin.close()

        await settles(lambda: server.open == 0)


async def test_a_connection_that_opens_after_the_end_carries_nothing() -> None:
    async with talk(keeps_answering) as (origin, server):
        task = asyncio.create_task(post(origin))
        await asyncio.sleep(0)
        assert origin._count == 1
        origin.close()

        with pytest.raises(NotSentError):
            await task
        assert server.requests == []


# ------------------------------------------------------------------ TLS


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def trusting(url: str, authority: Authority, **options: Any) -> Origin:
    tls = default_tls()
    tls.load_verify_locations(authority.file)
    return Origin(url, tls=tls, **options)


async def test_tls_from_handshake_to_reuse(authority: Authority) -> None:
    spoken: list[object] = []
    names: list[str] = []

    async def script(peer: Peer) -> None:
        tls: Any = peer.tls("ssl_object")
        spoken.append(tls.selected_alpn_protocol())
        await keeps_answering(peer)

    context = authority.server("localhost")
    context.sni_callback = lambda _, name, __: names.append(name)
    async with raw_server(script, tls=context) as server:
        origin = trusting(server.url, authority)
        for n in range(5):
            assert await post(origin, b"%d" % n * 9000) == Answer(200, b"%d" % n * 9000)
        await asyncio.gather(*(post(origin) for _ in range(5)))
        origin.close()
        await settles(lambda: server.open == 0)

    assert server.connections == 5
    assert set(spoken) == {"http/1.1"}
    assert set(names) == {"localhost"}
    assert b"\r\nHost: localhost:" in server.requests[0][1]


async def test_tls_answers_that_end_with_the_connection(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.hears()
        await peer.says(b"HTTP/1.1 200 OK\r\n\r\n{}")
        await peer.closes()

    async with raw_server(script, tls=authority.server("localhost")) as server:
        origin = trusting(server.url, authority)
        assert await post(origin) == OK
        origin.close()


@pytest.mark.parametrize("trust", ["wrong-host", "expired", "unknown-authority"])
async def test_who_cannot_be_trusted_is_sent_nothing(
    trust: str, authority: Authority, tmp_path: Path
) -> None:
    match trust:
        case "wrong-host":
            tls = authority.server("graph.example")
        case "expired":
            tls = authority.server("localhost", days=-1)
        case _:
            tls = Authority(tmp_path, "another").server("localhost")
    async with raw_server(keeps_answering, tls=tls) as server:
        origin = trusting(server.url, authority, connections_max=1)
        for _ in range(2):
            with pytest.raises(NotSentError):
                await post(origin)
        origin.close()

    assert server.requests == []


async def test_who_speaks_no_tls_is_sent_nothing(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.says(answer(b"{}"))

    async with raw_server(script) as server:
        origin = trusting(server.url.replace("http:", "https:"), authority)
        with pytest.raises(NotSentError):
            await post(origin)
        origin.close()


@pytest.mark.parametrize("how", ["time", "cancelled"])
async def test_a_handshake_that_is_not_answered_is_given_up(how: str, authority: Authority) -> None:
    left = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.is_left()
        left.set()

    async with raw_server(script) as server:
        connect_s = 0.05 if how == "time" else 30.0
        origin = trusting(
            server.url.replace("http:", "https:"), authority, connect_s=connect_s, connections_max=1
        )
        task = asyncio.create_task(post(origin))
        if how == "cancelled":
            await settles(lambda: server.connections)
            task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)

        assert type(result) is (NotSentError if how == "time" else asyncio.CancelledError)
        async with asyncio.timeout(10):
            await left.wait()
        assert origin._count == 0
        origin.close()


async def test_a_name_that_leads_nowhere_is_not_sent() -> None:
    # A name that needs no look-up beyond this machine: there is no such interface.
    origin = Origin("http://[::1%nosuch]:9")

    with pytest.raises(NotSentError):
        await post(origin)


@pytest.mark.parametrize("first", ["refuses", "is-silent"])
async def test_of_several_addresses_one_that_answers_is_enough(first: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if first == "is-silent":
            other.listen(0)
        async with (
            talk(keeps_answering) as (origin, _),
            AsyncExitStack() as full,
        ):
            if first == "is-silent":
                # The only place in its queue is taken.
                full.enter_context(socket.create_connection(other.getsockname()))
            loop = asyncio.get_running_loop()
            for host, port in (other.getsockname(), ("127.0.0.1", origin._port)):
                origin._addresses += await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            origin._addresses_until_s = math.inf

            assert await post(origin) == OK
