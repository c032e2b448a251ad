"""The front of the web server: every connection begins here; small signed POSTs are answered at once, the rest is aiohttp's.

Webhooks are four in five of all that happens to us (a message, then three statuses of its reply), and aiohttp's way from
bytes to handler costs more than all that we do with them. So a request that names a `Post`, and is whole, is read by
llhttp (`httptools`) and goes straight to its function. Whatever is not exactly that (another path, a large body, an
`Expect`, a pipeline) is handed over to aiohttp together with its connection, byte for byte.
"""

import asyncio
import re
import resource
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast

import httptools
import structlog
from aiohttp import web

KEEPALIVE_S: Final = 75.0  # longer than any proxy's own, so that the proxy ends it
HEAD_S: Final = 10.0  # for a request's head to come in, whole
REST_S: Final = 1.0  # for the rest of a body; then aiohttp waits for it
HEAD_BYTES_MAX: Final = 32 * 1024
WHOLE_BYTES_MAX: Final = 64 * 1024  # a request that is larger is aiohttp's
CONNECTIONS_MAX: Final = 16_384  # over it, the one that has been idle the longest is closed
HANDED_MAX_PART: Final = 2  # aiohttp may have one in so many of them: webhooks always find room
FILES_SPARE: Final = 512  # open files that are no connections of ours: stores, Graph, logs
LOOK_S: Final = 1.0
BACKLOG: Final = 1024

_END: Final = b"\r\n\r\n"

log = structlog.get_logger()

Handle = Callable[[bytes, bytes], Awaitable[int]]
"""Takes the body and the value of the route's header (empty if there is none); gives the status of the answer."""


@dataclass(frozen=True, slots=True)
class Post:
    """A route whose requests are proved by a header and answered by a status alone."""

    path: str
    header: str
    """The proof's name, e.g. `X-Hub-Signature-256`."""
    handle: Handle


class Front:
    """Listens, and owns the connections until aiohttp has them."""

    def __init__(
        self,
        runner: web.AppRunner,
        posts: Sequence[Post],
        *,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """`runner`: set up; it also serves the paths of `posts`, for the requests that are not short."""
        server = runner.server
        assert server is not None, "the runner is not set up"
        self._app = server
        self._routes = [_Route.of(post) for post in posts]
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._connections_max = max(1, min(connections_max, files - FILES_SPARE))
        self._idle: OrderedDict[_Connection, None] = OrderedDict()
        """Connections without a request under way, the one that waits the longest first."""
        self._busy: set[_Connection] = set()
        self._quiet = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._look: asyncio.TimerHandle | None = None
        self.stopping = False
        self.date = b""

    async def listen(self, host: str, port: int) -> None:
        """
        Raises:
            OSError: the address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Connection(self, loop), host, port, backlog=BACKLOG
        )
        self._look_around()

    async def stop(self, within_s: float) -> None:
        """Take no more; answer what is under way, for so long; then close."""
        self.stopping = True
        if self._look is not None:
            self._look.cancel()
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._idle):
            connection.close()
        if self._busy:
            try:
                async with asyncio.timeout(within_s):
                    await self._quiet.wait()
            except TimeoutError:
                for connection in list(self._busy):
                    connection.close()

    # ---------------------------------------------------------- connections

    def came(self, connection: "_Connection") -> None:
        """Room is made for a new one by closing whoever said nothing for the longest time."""
        if len(self._idle) + len(self._busy) + len(self._app.connections) >= self._connections_max:
            longest = next(iter(self._idle), connection)
            longest.close()
            if longest is connection:
                return
        self._idle[connection] = None

    def works(self, connection: "_Connection") -> None:
        self._idle.pop(connection, None)
        self._busy.add(connection)

    def rests(self, connection: "_Connection") -> None:
        self.went(connection)
        self._idle[connection] = None

    def went(self, connection: "_Connection") -> None:
        self._idle.pop(connection, None)
        self._busy.discard(connection)
        if self.stopping and not self._busy:
            self._quiet.set()

    def route(self, data: bytes) -> "_Route | None":
        for route in self._routes:
            if data.startswith(route.start):
                return route
        return None

    def aiohttp(self) -> asyncio.Protocol | None:
        """A protocol of aiohttp, for a connection that is handed over to it; None: it has enough of them."""
        if len(self._app.connections) >= self._connections_max // HANDED_MAX_PART:
            return None
        return self._app()

    def _look_around(self) -> None:
        """One timer for the time limits of all connections, and for the `Date` of answers."""
        loop = asyncio.get_running_loop()
        self.date = formatdate(usegmt=True).encode()
        now = loop.time()
        for connection in list(self._idle):
            connection.look(now)
        self._look = loop.call_later(LOOK_S, self._look_around)


@dataclass(frozen=True, slots=True)
class _Route:
    start: bytes
    header: re.Pattern[bytes]
    handle: Handle

    @classmethod
    def of(cls, post: Post) -> "_Route":
        name = re.escape(post.header.encode())
        return cls(
            start=b"POST %b HTTP/1.1\r\n" % post.path.encode(),
            header=re.compile(rb"\r\n%b:[ \t]*([^\r\n]*)" % name, re.IGNORECASE),
            handle=post.handle,
        )


class _Connection(asyncio.Protocol):
    """One connection, up to its end or its hand-over."""

    __slots__ = (
        "_begun", "_body", "_data", "_done", "_front", "_keeps", "_loop", "_parser", "_since", "_task", "_transport",
    )  # fmt: skip

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop) -> None:
        self._front = front
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._data = b""
        """What has come of requests that are not answered yet."""
        self._since = loop.time()
        """Since when we wait: for a request, or for the rest of one."""
        self._task: asyncio.Task[None] | None = None
        self._parser = httptools.HttpRequestParser(self)
        # what the parser saw of the data
        self._begun = 0
        self._done = 0
        self._body = b""
        self._keeps = True

    # ------------------------------------------------------- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no asyncio.Transport by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._front.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._front.went(self)
        self._forget()

    def data_received(self, data: bytes) -> None:
        if self._task is not None:
            # It does not wait for our answer: let it wait in its own buffers.
            self._data += data
            if len(self._data) > WHOLE_BYTES_MAX and self._transport is not None:
                self._transport.pause_reading()
            return
        if not self._data:
            self._since = self._loop.time()
            self._data = data
        else:
            self._data += data
        self._read(data)

    def pause_writing(self) -> None:
        # It asks and does not take the answers.
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def look(self, now: float) -> None:
        """Whether it has had its time."""
        waited = now - self._since
        if not self._data:
            if waited > KEEPALIVE_S:
                self.close()
        elif _END not in self._data:
            if waited > HEAD_S:
                self._answer(HTTPStatus.REQUEST_TIMEOUT, last=True)
        elif waited > REST_S:
            self._hand_over()

    # ---------------------------------------------------------- the parser

    def on_message_begin(self) -> None:
        self._begun += 1

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._done += 1
        # llhttp knows it here, and forgets it with the next byte.
        self._keeps = self._parser.should_keep_alive()

    # ------------------------------------------------------------ requests

    def _read(self, new: bytes) -> None:
        route = self._front.route(self._data)
        if route is None:
            if _END in self._data:
                self._hand_over()
            elif len(self._data) > HEAD_BYTES_MAX:
                self._answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, last=True)
            return
        try:
            # What came earlier of this request went through already, unless it was too short to name its route.
            self._parser.feed_data(new if self._begun else self._data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._hand_over()
            return
        if self._begun == self._done == 1:
            self._serve(route)
        elif (
            self._done or len(self._data) > WHOLE_BYTES_MAX or b"\r\nexpect:" in self._data.lower()
        ):
            self._hand_over()

    def _serve(self, route: _Route) -> None:
        data, body = self._data, self._body
        self._data = self._body = b""
        self._begun = self._done = 0
        proof = route.header.search(data, 0, len(data) - len(body))
        self._front.works(self)
        self._task = self._loop.create_task(
            self._handle(route, body, b"" if proof is None else proof[1].rstrip(b" \t"))
        )

    async def _handle(self, route: _Route, body: bytes, proof: bytes) -> None:
        last = not self._keeps
        try:
            status = await route.handle(body, proof)
        except Exception as error:
            # Not answered 200, so it is repeated.
            log.error("front.broken", error=type(error).__name__)
            log.debug("front.broken.trace", exc_info=error)
            status, last = HTTPStatus.INTERNAL_SERVER_ERROR, True
        self._task = None
        if self._transport is None:
            return
        self._since = self._loop.time()
        self._front.rests(self)
        self._answer(status, last=last or self._front.stopping)
        if self._data:
            self._transport.resume_reading()
            self._read(self._data)

    def _answer(self, status: int, *, last: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(
            b"HTTP/1.1 %b\r\nContent-Length: 0\r\nDate: %b\r\n%b\r\n"
            % (_STATUS[status], self._front.date, b"Connection: close\r\n" if last else b"")
        )
        if last:
            transport.close()

    def _hand_over(self) -> None:
        """From here on the connection is aiohttp's, with all that was not answered."""
        protocol = self._front.aiohttp()
        if protocol is None:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, last=True)
            return
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._front.went(self)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        data = self._data
        self._forget()
        protocol.data_received(data)

    def _forget(self) -> None:
        """The parser knows us and we know it: what we hold would stay until the garbage collector's next walk."""
        self._data = self._body = b""


_STATUS: Final = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}
