"""Any answer reads the same however it is cut; any bytes end in an answer or in doubt, never in a hang."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.whatsapp.errors import MaybeSentError, NotSentError
from handlers.whatsapp.http import Answer, _Connection

# The same examples in each run, and no stopwatch: the machine may be busy.
steadily = settings(deadline=None, derandomize=True, max_examples=300)

IDLE_S = 15.0
LATER_S = 15.0
BOUND = 64 * 1024


class Pipe(asyncio.Transport):
    """The system's side of a connection: takes what is written, and remembers how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.aborted

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return 0


@dataclass(frozen=True)
class Seen:
    """What came of one request, and whether its connection is there for another."""

    answer: Answer | type[MaybeSentError] | None
    is_free: bool


async def take(pieces: Sequence[bytes], *, closes: bool = False) -> Seen:
    """Ask, and hear the answer in these pieces; then perhaps the end of the connection."""
    connection, pipe = _Connection(IDLE_S), Pipe()
    connection.connection_made(pipe)
    future = connection.ask(b"", asyncio.get_running_loop().time() + LATER_S, BOUND)
    for piece in pieces:
        if pipe.aborted:
            break
        connection.data_received(piece)
    if closes and not pipe.aborted:
        connection.eof_received()
        assert pipe.aborted
    if pipe.aborted:
        connection.connection_lost(None)
        assert future.done()
    seen = Seen(_outcome(future), connection.is_free)
    connection.abort()
    return seen


def _outcome(future: asyncio.Future[Answer]) -> Answer | type[MaybeSentError] | None:
    if not future.done():
        return None
    error = future.exception()
    if error is None:
        return future.result()
    assert type(error) is MaybeSentError
    return MaybeSentError


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def test_nothing_is_written_to_a_connection_that_is_closing() -> None:
    connection, pipe = _Connection(IDLE_S), Pipe()
    connection.connection_made(pipe)
    pipe.abort()

    assert not connection.is_free
    with pytest.raises(NotSentError):
        await connection.ask(b"", asyncio.get_running_loop().time() + LATER_S, BOUND)


async def test_each_request_has_its_own_time() -> None:
    """A connection has one timer: what the first request set must not ring for the second."""
    loop = asyncio.get_running_loop()
    connection, pipe = _Connection(IDLE_S), Pipe()
    connection.connection_made(pipe)

    first = connection.ask(b"", loop.time() + 0.02, BOUND)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    second = connection.ask(b"", loop.time() + LATER_S, BOUND)
    await asyncio.sleep(0.04)

    assert await first == Answer(200, b"")
    assert not second.done()
    connection.abort()


# ------------------------------------------------------------------ answers

visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip)
names = st.text("ABCXYZabcxyz-0123", min_size=1, max_size=12).map(lambda name: f"X{name}")
headers = st.lists(st.tuples(names, visible), max_size=8)


@dataclass(frozen=True)
class Said:
    raw: bytes
    answer: Answer
    keeps: bool
    closes: bool
    """Only the end of the connection ends it."""


@st.composite
def answers(draw: st.DrawFn) -> Said:
    status = draw(st.sampled_from([200, 201, 299, 302, 400, 404, 429, 500, 503, 599]))
    body = draw(st.binary(max_size=300))
    lines = [f"{name}: {value}\r\n" for name, value in draw(headers)]
    retry_after = draw(st.sampled_from(["", "7", "Wed, 21 Oct 2026 07:28:00 GMT"]))
    if retry_after:
        lines.append(f"Retry-After: {retry_after}\r\n")
    stays = draw(st.booleans())
    if not stays:
        lines.append("Connection: close\r\n")
    framing = draw(st.sampled_from(["length", "chunks", "close"]))
    match framing:
        case "length":
            lines.append(f"Content-Length: {len(body)}\r\n")
            framed = body
        case "chunks":
            lines.append("Transfer-Encoding: chunked\r\n")
            framed = draw(chunked(body))
        case _:
            framed = body
    head = "".join(draw(st.permutations(lines)))
    interim = draw(
        st.sampled_from(["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 \r\nX: y\r\n\r\n"])
    )
    raw = f"{interim}HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + framed
    return Said(
        raw,
        Answer(status, body, retry_after),
        keeps=stays and framing != "close",
        closes=framing == "close",
    )  # fmt: skip


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    said = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from([b"", b";a=b"]))
        said += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
        body = body[size:]
    return said + b"0\r\n" + draw(st.sampled_from([b"", b"X-Sum: 1\r\n"])) + b"\r\n"


def cut(raw: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(raw) + 1) for place in places} - {0, len(raw)}), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


places = st.lists(st.integers(0, 100_000), max_size=12)


@steadily
@given(said=answers(), places=places)
def test_an_answer_reads_the_same_however_it_is_cut(
    runner: asyncio.Runner, said: Said, places: list[int]
) -> None:
    expected = Seen(said.answer, is_free=said.keeps)

    for pieces in ([said.raw], cut(said.raw, places), cut(said.raw, range(len(said.raw)))):
        assert runner.run(take(pieces, closes=said.closes)) == expected


@steadily
@given(said=answers(), at=st.integers(0, 100_000))
def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(
    runner: asyncio.Runner, said: Said, at: int
) -> None:
    part = said.raw[: at % len(said.raw)]

    seen = runner.run(take([part], closes=True))

    if said.closes and isinstance(seen.answer, Answer):
        # What only the end of the connection ends may be cut short; its reader must judge it.
        assert said.answer.body.startswith(seen.answer.body)
    else:
        assert seen == Seen(MaybeSentError, is_free=False)


@steadily
@given(said=answers(), more=st.binary(min_size=1, max_size=50), places=places)
def test_what_follows_an_answer_never_reaches_another(
    runner: asyncio.Runner, said: Said, more: bytes, places: list[int]
) -> None:
    if said.closes or not more.strip(b"\r\n"):
        return  # it is part of the body; or blank lines, which the parser skips and which say nothing

    seen = runner.run(take(cut(said.raw + more, places)))

    assert seen == Seen(said.answer, is_free=False)


fragments = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 \r\n", b"HTTP/9.9 999 \r\n", b"HTTP/1.1 101 \r\n", b"\r\n", b"\r\n\r\n",
        b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n", b"Transfer-Encoding: gzip\r\n", b": \r\n", b"X:", b" folded\r\n",
        b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"{}", b"\0", b"x" * 70_000, b"X: y\r\n" * 120,
    ]
)  # fmt: skip
noise = st.lists(fragments | st.binary(max_size=40), max_size=12)


@steadily
@given(pieces=noise)
def test_any_bytes_end_in_an_answer_or_in_doubt(
    runner: asyncio.Runner, pieces: list[bytes]
) -> None:
    seen = runner.run(take([piece for piece in pieces if piece], closes=True))

    # `take` lets every other exception through.
    assert seen.answer is not None
    assert not seen.is_free


@steadily
@given(said=answers(), places=places, more=st.binary(max_size=20), at=st.integers(0, 100_000))
def test_a_spoilt_answer_ends_in_an_answer_or_in_doubt(
    runner: asyncio.Runner, said: Said, places: list[int], more: bytes, at: int
) -> None:
    at %= len(said.raw)
    spoilt = said.raw[:at] + more + said.raw[at + len(more) // 2 :]

    assert runner.run(take(cut(spoilt, places), closes=True)).answer is not None
