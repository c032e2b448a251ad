"""HTTP/1.1 to one origin over kept connections: the lean client under the hot path of sending.

A general client costs several times the CPU of a request like ours. So this one knows only what a JSON API needs:
asyncio's transports and TLS, httptools' parser, one request at a time on a connection. Left out on purpose:
redirects, cookies, compression, proxies, pipelining, and any retry, for only the caller knows what may be repeated.
"""

import asyncio
import math
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from handlers.whatsapp.errors import HeldBackError, MaybeSentError, NotSentError

CONNECT_S: Final = 5.0  # including the wait for a free connection
TOTAL_S: Final = (
    15.0  # Meta answers in well under one second; after this its answer is not waited for
)
# A connection that Meta closed while it idled would put the next send in doubt.
IDLE_S: Final = 15.0
# The kernel goes on sending for minutes what a broken network does not let through, also when we have long given the
# connection up or are dead. It must not get there when we have waited for it, and send it again.
UNHEARD_S: Final = 10.0
_TCP_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
CONNECTIONS_MAX: Final = 400  # above all sends and receipts at once: nobody waits for one in vain

ANSWER_BYTES_MAX: Final = 64 * 1024  # as it comes over the wire, with its head and its framing
HEADERS_MAX: Final = 100  # of one answer; Meta sends about twenty

RESOLVED_S: Final = 10.0  # how long an address that the name led to is used for new connections
HAPPY_EYEBALLS_S: Final = 0.25  # RFC 8305 §8: after this the other kind of address is tried too

# RFC 9110 §5.6.2 and §5.5: no value may hold a line break, or it would be more than a value.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_TARGET: Final = re.compile(r"/[!-~]*")
_HOST: Final = re.compile(r"[0-9a-z._-]+")


Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Its status is 200 or above; redirects are answers like others."""

    status: int
    body: bytes
    retry_after: str = ""


def header_lines(headers: Mapping[str, str]) -> bytes:
    """The lines of a request's head, for `Origin.request`: made once, sent often.

    Raises:
        ValueError: a name or a value would break its line; the message does not show it.
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a header cannot be sent")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} cannot be sent")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def default_tls() -> ssl.SSLContext:
    """Certificate and host name are checked against the system's authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Origin:
    """One scheme, host and port, and the connections kept to it. `close` it at shutdown."""

    def __init__(
        self,
        url: str,
        *,
        connections_max: int = CONNECTIONS_MAX,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
        idle_s: float = IDLE_S,
        unheard_s: float = UNHEARD_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            url: `https://host` or `http://host:port`; a path is put in front of every request's.
            connections_max: at once; who finds none free waits in line.
            connect_s: how long one request waits for a connection, whether a free one or a new one.
            total_s: how long one request may take as a whole.
            idle_s: after this a connection that nobody used is not used again.
            unheard_s: after this the kernel gives up bytes that the other side has not confirmed.
            tls: for https; `default_tls()` if none is given.

        Raises:
            ValueError: the URL is none that we can speak to.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError("an http:// or https:// URL is expected")
        self._host = _host(url)
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("a URL without user, query and fragment is expected")
        self._path = parts.path.rstrip("/")
        if not _TARGET.fullmatch(f"/{self._path}"):
            raise ValueError("a path of plain characters is expected")
        self._tls = (tls or default_tls()) if parts.scheme == "https" else None
        self._port = parts.port if parts.port is not None else 443 if self._tls else 80
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = shown if parts.port is None else f"{shown}:{parts.port}"
        self._connections_max = connections_max
        self._connect_s = connect_s
        self._total_s = total_s
        self._idle_s = idle_s
        self._unheard_s = unheard_s

        self._closed = False
        self._count = 0
        """Connections that are open or being opened. Who holds a place either has a connection or opens one."""
        self._idle: list[_Connection] = []
        """Free ones, the last used at the end. Only while nobody waits."""
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()
        """Those who found no place, in order; told a connection, or None for a place to open one."""
        self._resolving = asyncio.Lock()
        self._addresses: list[AddrInfoType] = []
        self._addresses_until_s = -math.inf

    async def request(
        self,
        method: Method,
        target: str,
        headers: bytes,
        body: bytes | None = None,
        *,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        may_leave: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """One request and its whole answer. Cancelled midway, it closes its connection.

        Args:
            target: path and query, as they go over the wire.
            headers: see `header_lines`; `Host`, `Accept-Encoding` and `Content-Length` are added.
            answer_bytes_max: a longer answer counts as one that cannot be read.
            may_leave: asked after all waiting, in the moment in which it is handed to a connection.

        Raises:
            NotSentError: not one byte of it was handed to a connection.
            HeldBackError: neither, for it may not leave any more.
            MaybeSentError: it was, and no answer came back that can be read.
        """
        if not _TARGET.fullmatch(target):
            raise NotSentError("the path cannot be sent")
        request = (
            f"{method} {self._path}{target} HTTP/1.1\r\n"
            f"Host: {self._authority}\r\nAccept-Encoding: identity\r\n"
        ).encode() + headers
        if body is None:
            request += b"\r\n"
        else:
            request += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

        deadline_s = asyncio.get_running_loop().time() + self._total_s
        connection = self._reuse() or await self._admit()
        try:
            if not may_leave():
                raise HeldBackError("it may not leave any more")
            return await connection.ask(request, deadline_s, answer_bytes_max)
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Nothing new is sent; what is under way ends by itself, within its time."""
        self._closed = True
        while self._idle:
            self._drop(self._idle.pop())
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(NotSentError("closed"))

    # -------------------------------------------------------------- places

    def _reuse(self) -> "_Connection | None":
        """The free connection that was used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_free:
                return connection
            self._drop(connection)
        return None

    async def _admit(self) -> "_Connection":
        """A connection for who found none free: a new one, or one that another has ended with."""
        if self._closed:
            raise NotSentError("closed")
        try:
            async with asyncio.timeout(self._connect_s):
                connection = await self._place()
                if connection is not None:
                    if connection.is_free:
                        return connection
                    connection.abort()
                try:
                    return await self._open()
                except BaseException:
                    self._pass_on(None)
                    raise
        except (OSError, RuntimeError) as error:
            # Also no name, no trust (ssl.SSLError), and the time is up; uvloop refuses a socket with RuntimeError.
            raise NotSentError(type(error).__name__) from error

    async def _place(self) -> "_Connection | None":
        """Wait for a place; with the connection that is in it, if one is."""
        if self._count < self._connections_max:
            self._count += 1
            return None
        place: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                # It was given in the same moment in which we gave up.
                self._pass_on(place.result())
            raise

    def _give_back(self, connection: "_Connection") -> None:
        if connection.is_free and not self._closed:
            self._pass_on(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: "_Connection") -> None:
        connection.abort()
        self._pass_on(None)

    def _pass_on(self, connection: "_Connection | None") -> None:
        """Give a place to who waits longest; else it is free, and its connection idles."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(connection)
                return
        if connection is None:
            self._count -= 1
        else:
            self._idle.append(connection)

    # -------------------------------------------------------------- opening

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        sock = await start_connection(await self._resolve(), happy_eyeballs_delay=HAPPY_EYEBALLS_S)
        if _TCP_USER_TIMEOUT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(self._unheard_s * 1000))
        # From here on the socket is the transport's.
        _, connection = await loop.create_connection(
            lambda: _Connection(self._idle_s),
            sock=sock,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        if self._closed:
            connection.abort()
            raise NotSentError("closed")
        return connection

    async def _resolve(self) -> list[AddrInfoType]:
        loop = asyncio.get_running_loop()
        async with self._resolving:
            if loop.time() >= self._addresses_until_s:
                self._addresses = list(
                    await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                )
                self._addresses_until_s = loop.time() + RESOLVED_S
            return self._addresses


class _Connection(asyncio.Protocol):
    """One connection from its first byte to its last: one request at a time, and each answer's parser."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        """Of the request under way; it stays when its caller gives up, so that the connection is not used again."""
        self._due_s = math.inf
        """When the request's time is up, or, while idle, the connection's."""
        self._timer: asyncio.TimerHandle | None = None

        # The answer that is coming in.
        self._bytes_left = 0
        self._headers_left = 0
        self._status = 0
        """0 until its head is there."""
        self._retry_after = b""
        self._is_framed = False
        """Whether its head says where it ends; if not, it ends with the connection."""
        self._keeps_alive = False
        self._body: list[bytes] = []

    @property
    def is_free(self) -> bool:
        """Whether it may carry a request: open, nobody's, not idle for too long."""
        return (
            self._answer is None
            and self._transport is not None
            and not self._transport.is_closing()
            and self._loop.time() < self._due_s
        )

    def ask(
        self, request: bytes, deadline_s: float, answer_bytes_max: int
    ) -> asyncio.Future[Answer]:
        """Send one request. `deadline_s`: on the loop's clock.

        The future raises MaybeSentError. Raises NotSentError at once if the connection is gone.
        """
        if self._transport is None or self._transport.is_closing():
            raise NotSentError("the connection was closed at once")
        self._answer = self._loop.create_future()
        self._bytes_left = answer_bytes_max
        self._headers_left = HEADERS_MAX
        self._begin()
        self._watch(deadline_s)
        self._transport.write(request)
        return self._answer

    def abort(self) -> None:
        """Close it without ceremony."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -------------------------------------------------------------- the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no asyncio.Transport by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._fail("nobody asked")
            return
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._fail("the answer is too long")
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            # If the answer was whole, this is what came after it, and only the connection is lost.
            self._fail("the answer cannot be read")

    def eof_received(self) -> None:
        if self._answer is not None and self._status and not self._is_framed:
            self._keeps_alive = False
            self._end(self._answer)
        else:
            self._fail("the connection was closed")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection was lost")

    # -------------------------------------------------------------- the parser calls

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise ValueError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_left -= 1
        if self._headers_left < 0:
            raise ValueError("too many headers")
        if self._status:
            return  # behind a chunked body
        match name.lower():
            case b"content-length" | b"transfer-encoding":
                self._is_framed = True
            case b"retry-after":
                self._retry_after = value
            case _:
                pass

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._keeps_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._begin()  # that was an interim answer; the real one follows
        elif self._answer is not None:
            self._end(self._answer)

    # -------------------------------------------------------------- what follows

    def _begin(self) -> None:
        self._status = 0
        self._retry_after = b""
        self._is_framed = False
        self._body = []

    def _end(self, answer: asyncio.Future[Answer]) -> None:
        """The answer is whole: hand it over, and keep the connection if it is clean."""
        self._answer = None
        if not answer.done():
            body = b"".join(self._body)
            retry_after = self._retry_after.decode("latin-1").strip()
            answer.set_result(Answer(self._status, body, retry_after))
        transport = self._transport
        if self._keeps_alive and transport is not None and not transport.get_write_buffer_size():
            self._watch(self._loop.time() + self._idle_s)
        else:
            self.abort()

    def _fail(self, why: str) -> None:
        self.abort()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(MaybeSentError(why))

    def _watch(self, due_s: float) -> None:
        """Set when the time is up. The timer is left alone if it rings earlier: it looks again then."""
        self._due_s = due_s
        if self._timer is not None:
            if self._timer.when() <= due_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() < self._due_s:
            self._watch(self._due_s)
        else:
            self._fail("no answer in time")


def _host(url: str) -> str:
    """The host as it goes over the wire; an IPv6 address without its brackets."""
    host = urlsplit(url).hostname or ""
    if ":" in host:
        return host
    try:
        host = host.encode("idna").decode()
    except UnicodeError:
        host = ""
    if not _HOST.fullmatch(host):
        raise ValueError("a URL with a host name is expected")
    return host
