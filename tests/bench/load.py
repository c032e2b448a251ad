"""The other side of the benchmark: contacts that write and a Graph API that takes, in one light process.

Raw asyncio protocols, so that it costs little beside what it measures. It takes orders on standard input, one line of
JSON each, and answers each with one line. Everything stays on 127.0.0.1; it ends when its input does.
"""

import argparse
import asyncio
import contextlib
import gc
import hashlib
import hmac
import json
import re
import statistics
import sys
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, assert_never, cast

import msgspec
import uvloop
from msgspec import Struct

SECRET = b"bench-secret"
NUMBER = "555000111"
PATH = "/webhooks/whatsapp"
FIRST_PHONE = 56_920_000_000

CONNECTIONS_MAX = 256
REPLY_S_MAX = 30.0
STATUSES = ("sent", "delivered", "read")

LINE = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
TO = re.compile(rb'"(?:to|recipient)":\s*"\+?(?:CL\.)?(\d+)"')
REF = re.compile(rb'"biz_opaque_callback_data":\s*"([^"]*)"')
BODY = re.compile(rb'"body":\s*"((?:[^"\\]|\\.)*)"')
RUN = uuid.uuid4().hex[:6].upper()


# ------------------------------------------------------------------ what is ordered and what is answered


class Accept(Struct, tag="accept"):
    """People write, and only the answer to the webhook is waited for."""

    people: int
    each: int = 15
    """Messages of one person."""
    at_once: int = 32
    """People who write at the same time."""


class Talk(Struct, tag="talk"):
    """People write, and wait for the reply before they write again."""

    people: int
    each: int = 15
    at_once: int = 32
    statuses: bool = False
    """Three statuses for each reply."""
    first: int | None = None
    """The first person's number; None = people who never wrote before."""
    stride: int = 1
    words: tuple[str, ...] = ()
    """What each writes, in turn; empty = numbered words, which the reply must repeat."""


class Rate(Struct, tag="rate"):
    """Messages at a fixed rate, whatever the server does. Times are counted from when each was due."""

    per_s: float
    seconds: float
    each: int = 15
    mix: bool = False
    """Replies are expected, and their three statuses follow."""


class Report(Struct, tag="report"):
    """The three statuses of replies that were taken and not yet reported, one by one."""

    replies: int
    at_once: int = 32


class Batch(Struct, tag="batch"):
    """One webhook with many statuses or messages."""

    what: str
    """`messages`, or a status."""
    size: int
    first: int = 0
    """The first person, or the first of the replies that were taken."""
    replies: bool = False
    """Wait for the replies, too."""


Order = Accept | Talk | Rate | Report | Batch


class Spread(Struct):
    """Milliseconds."""

    p50: float = 0.0
    p99: float = 0.0
    most: float = 0.0

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        if not seconds:
            return cls()
        if len(seconds) == 1:
            return cls(*[round(seconds[0] * 1000, 2)] * 3)
        cuts = statistics.quantiles(seconds, n=1000, method="inclusive")
        return cls(*(round(s * 1000, 2) for s in (cuts[499], cuts[989], max(seconds))))


class Seen(Struct):
    """What the load saw of one order."""

    count: int
    """Messages, or statuses of a `Report` or `Batch`."""
    seconds: float
    ack: Spread = msgspec.field(default_factory=Spread)
    reply: Spread = msgspec.field(default_factory=Spread)
    late: Spread = msgspec.field(default_factory=Spread)
    """How late the load itself was with a webhook."""
    replies: int = 0
    missing: int = 0
    """Replies that did not come."""
    doubled: int = 0
    """Replies that came again."""
    wrong: int = 0
    """Replies that do not say what they should."""
    refused: int = 0
    """Webhooks that were not answered 200 at first."""


# ------------------------------------------------------------------ Meta


class Client(asyncio.Protocol):
    """One keep-alive connection to the server under test, one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no asyncio.Transport by inheritance.
        self.transport: asyncio.Transport | None = cast(asyncio.Transport, transport)
        self.buffer = b""
        self.answer: asyncio.Future[int] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.answer and not self.answer.done():
            self.answer.set_exception(ConnectionError("lost"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LINE.search(self.buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) >= whole and self.answer and not self.answer.done():
            status = int(self.buffer[9:12])
            self.buffer = self.buffer[whole:]
            self.answer.set_result(status)


class Meta:
    """Sends webhooks as Meta does: signed, and again until they are answered 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[Client] = []
        self.room = asyncio.Semaphore(CONNECTIONS_MAX)
        self.refused = 0

    async def post(self, body: bytes) -> None:
        await self.send(self.request(body))

    def request(self, body: bytes) -> bytes:
        signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        return (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\n"
            f"Content-Type: application/json\r\nX-Hub-Signature-256: sha256={signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def send(self, request: bytes) -> None:
        for attempt in range(200):
            try:
                async with self.room:
                    status = await self._once(request)
            except OSError:
                status = 0
            if status == 200:
                return
            self.refused += 1
            await asyncio.sleep(min(1.0, 0.05 * 2**attempt))
        raise SystemExit("the server does not answer 200")

    async def _once(self, request: bytes) -> int:
        client = None
        while self.idle:
            client = self.idle.pop()
            if client.transport:
                break
            client = None
        if client is None:
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(Client, "127.0.0.1", self.port)
        client.answer = asyncio.get_running_loop().create_future()
        assert client.transport
        client.transport.write(request)
        status = await asyncio.wait_for(client.answer, 20)
        self.idle.append(client)
        return status


def _webhook(contacts: list[dict[str, Any]], key: str, items: list[dict[str, Any]]) -> bytes:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56900000000", "phone_number_id": NUMBER},
        "contacts": contacts,
        key: items,
    }
    change = {"field": "messages", "value": value}
    entry = {"id": "102290129340398", "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def phone(number: int) -> str:
    return str(FIRST_PHONE + number)


def wamid(person: str, n: int, run: str = RUN) -> str:
    """Of a person's n-th message in one run of the load; as long as Meta's are: 58 characters."""
    return f"wamid.HBgL{run}{person}VAgASGBQzQTA{n:017d}AA"


def _now() -> str:
    return str(int(time.time()))  # noqa: TID251  the load's own clock


def _contact(person: str) -> dict[str, Any]:
    return {"profile": {"name": "Ana María Pérez"}, "wa_id": person, "user_id": f"CL.{person}"}


def _text(person: str, n: int, words: str) -> dict[str, Any]:
    """A text as Meta's webhook of v26.0 carries it."""
    return {
        "from": person,
        "from_user_id": f"CL.{person}",
        "id": wamid(person, n),
        "timestamp": _now(),
        "type": "text",
        "text": {"body": words},
    }


def _status(person: str, ref: str, sent: str, what: str) -> dict[str, Any]:
    return {
        "id": sent,
        "status": what,
        "timestamp": _now(),
        "recipient_id": person,
        "recipient_user_id": f"CL.{person}",
        "biz_opaque_callback_data": ref,
        "pricing": {
            "billable": True,
            "pricing_model": "PMP",
            "category": "service",
            "type": "regular",
        },
    }


def message(person: str, n: int, words: str = "") -> bytes:
    return _webhook([_contact(person)], "messages", [_text(person, n, words or f"hola {n}")])


def status(taken: "Taken", what: str) -> bytes:
    return _webhook(
        [{"wa_id": taken.person, "user_id": f"CL.{taken.person}"}],
        "statuses",
        [_status(taken.person, taken.ref, taken.wamid, what)],
    )


# ------------------------------------------------------------------ Graph


class Taken(Struct):
    """A reply that the Graph API took."""

    person: str
    ref: str
    wamid: str


class Graph(asyncio.Protocol):
    """Takes every send at once; a read receipt or anything else is a plain success."""

    def __init__(self, load: "Load") -> None:
        self.load = load

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = LINE.search(self.buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < whole:
                return
            body, self.buffer = self.buffer[end + 4 : whole], self.buffer[whole:]
            self._take(body)

    def _take(self, body: bytes) -> None:
        to = TO.search(body)
        if to is None:
            self._answer(b'{"success":true}')
            return
        person = to[1].decode()
        ref = REF.search(body)
        text = BODY.search(body)
        sent = "wamid.HBgLNTY5NjEyMzQ1NjcVAgARGBI" + uuid.uuid4().hex[:20]
        self._answer(
            b'{"messaging_product":"whatsapp","contacts":[{"input":"%b","wa_id":"%b"}],'
            b'"messages":[{"id":"%b"}]}' % (to[1], to[1], sent.encode())
        )
        taken = Taken(person, ref[1].decode() if ref else "", sent)
        self.load.sent(taken, text[1].decode() if text else "")

    def _answer(self, body: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )


# ------------------------------------------------------------------ the work


class Load:
    """Carries out one order after the other."""

    def __init__(self, port: int) -> None:
        self.meta = Meta(port)
        self.taken: list[Taken] = []
        self.reported = 0
        self.refs: set[str] = set()
        self.next_person = 0
        self.written: dict[str, int] = {}
        """Messages of each person so far: ids never repeat."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._begin()

    def _begin(self) -> None:
        """Forget the figures of the last order."""
        self.acks: list[float] = []
        self.replied: list[float] = []
        self.lates: list[float] = []
        self.waiting: dict[str, deque[tuple[float, str, asyncio.Future[float] | None]]] = {}
        self.expected = 0
        self.all_replied = asyncio.Event()
        self.doubled = 0
        self.wrong = 0
        self.taken_before = len(self.taken)
        self.refused_before = self.meta.refused
        self.with_statuses = False

    async def carry(self, order: Order) -> Seen:
        self._begin()
        start = time.perf_counter()
        match order:
            case Accept():
                count = order.people * order.each
                start = await self._accept(order)
            case Talk():
                count = order.people * order.each
                start = await self._talk(order)
            case Rate():
                count = int(order.per_s * order.seconds)
                start = await self._rate(order, count)
            case Report():
                count = order.replies * len(STATUSES)
                start = await self._report(order)
            case Batch():
                count = order.size
                start = await self._batch(order)
            case other:
                assert_never(other)
        await self._settle()
        came = len(self.taken) - self.taken_before
        return Seen(
            count=count,
            seconds=time.perf_counter() - start,
            ack=Spread.of(self.acks),
            reply=Spread.of(self.replied),
            late=Spread.of(self.lates),
            replies=came,
            missing=max(0, self.expected - len(self.replied)),
            doubled=self.doubled,
            wrong=self.wrong,
            refused=self.meta.refused - self.refused_before,
        )

    async def _settle(self) -> None:
        while self.tasks:
            await asyncio.gather(*self.tasks)

    def _later(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _strangers(self, people: int) -> range:
        """Numbers of people who never wrote before."""
        first = self.next_person
        self.next_person += people
        return range(first, first + people)

    def _message(self, number: int, words: str = "") -> tuple[str, str, bytes]:
        """Somebody's next message: who, what, and the webhook's body."""
        who = phone(number)
        n = self.written[who] = self.written.get(who, 0) + 1
        words = words or f"hola {n}"
        return who, words, message(who, n, words)

    # -------------------------------------------------------------- orders

    async def _accept(self, order: Accept) -> float:
        numbers = iter(self._strangers(order.people))

        async def writes() -> None:
            for number in numbers:
                for _ in range(order.each):
                    request = self.meta.request(self._message(number)[2])
                    start = time.perf_counter()
                    await self.meta.send(request)
                    self.acks.append(time.perf_counter() - start)

        return await _at_once(order.at_once, writes)

    async def _talk(self, order: Talk) -> float:
        if order.first is None:
            numbers: Iterator[int] = iter(self._strangers(order.people))
        else:
            numbers = iter(
                range(order.first, order.first + order.people * order.stride, order.stride)
            )
        self.expected = order.people * order.each
        self.with_statuses = order.statuses

        async def talks() -> None:
            for number in numbers:
                for n in range(order.each):
                    words = order.words[n % len(order.words)] if order.words else ""
                    who, said, body = self._message(number, words)
                    request = self.meta.request(body)
                    future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
                    start = time.perf_counter()
                    self._await_reply(who, start, "" if words else said, future)
                    await self.meta.send(request)
                    self.acks.append(time.perf_counter() - start)
                    try:
                        await asyncio.wait_for(future, REPLY_S_MAX)
                    except TimeoutError:
                        self.waiting.pop(who, None)

        return await _at_once(order.at_once, talks)

    async def _rate(self, order: Rate, count: int) -> float:
        numbers = self._strangers(-(-count // order.each))
        written = [self._message(numbers[n % len(numbers)]) for n in range(count)]
        requests = [self.meta.request(body) for _, _, body in written]
        self.with_statuses = order.mix
        self.expected = count if order.mix else 0
        start = time.perf_counter() + 0.1
        sent = 0
        while sent < count:
            now = time.perf_counter()
            while sent < count and (due := start + sent / order.per_s) <= now:
                if order.mix:
                    self._await_reply(written[sent][0], due, written[sent][1], None)
                self._later(self._due(requests[sent], due))
                sent += 1
            await asyncio.sleep(0.001)
        while self.tasks:
            await self._settle()
        await self._replies()
        return start

    async def _due(self, request: bytes, due: float) -> None:
        """One webhook; whatever it waits for, a connection of ours included, counts."""
        self.lates.append(time.perf_counter() - due)
        await self.meta.send(request)
        self.acks.append(time.perf_counter() - due)

    async def _report(self, order: Report) -> float:
        replies = iter(self.taken[self.reported : self.reported + order.replies])
        if len(self.taken) - self.reported < order.replies:
            raise SystemExit("fewer replies were taken than are to be reported")
        self.reported += order.replies

        async def reports() -> None:
            for taken in replies:
                for what in STATUSES:
                    request = self.meta.request(status(taken, what))
                    start = time.perf_counter()
                    await self.meta.send(request)
                    self.acks.append(time.perf_counter() - start)

        return await _at_once(order.at_once, reports)

    async def _batch(self, order: Batch) -> float:
        if order.what == "messages":
            written = [self._message(order.first + n) for n in range(order.size)]
            contacts = [_contact(who) for who, _, _ in written]
            texts = [_text(who, self.written[who], said) for who, said, _ in written]
            body = _webhook(contacts, "messages", texts)
        else:
            replies = self.taken[order.first : order.first + order.size] or _never_sent(order.size)
            people = [{"wa_id": t.person, "user_id": f"CL.{t.person}"} for t in replies]
            items = [_status(t.person, t.ref, t.wamid, order.what) for t in replies]
            written, body = [], _webhook(people, "statuses", items)
        request = self.meta.request(body)
        start = time.perf_counter()
        if order.replies:
            self.expected = len(written)
            for who, said, _ in written:
                self._await_reply(who, start, said, None)
        await self.meta.send(request)
        self.acks.append(time.perf_counter() - start)
        await self._replies()
        return start

    # -------------------------------------------------------------- replies

    async def _replies(self) -> None:
        """Wait until all that are expected have come; what is late is missing."""
        if len(self.replied) < self.expected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.all_replied.wait(), REPLY_S_MAX)

    def _await_reply(
        self, who: str, since: float, said: str, future: asyncio.Future[float] | None
    ) -> None:
        """`said`: what the reply must repeat; empty = it may say anything."""
        self.waiting.setdefault(who, deque()).append((since, said, future))

    def sent(self, taken: Taken, text: str) -> None:
        """The server sent a reply."""
        self.taken.append(taken)
        if taken.ref:
            self.doubled += taken.ref in self.refs
            self.refs.add(taken.ref)
        waiting = self.waiting.get(taken.person)
        if waiting:
            since, said, future = waiting.popleft()
            now = time.perf_counter()
            self.replied.append(now - since)
            self.wrong += said not in text
            if len(self.replied) == self.expected:
                self.all_replied.set()
            if future and not future.done():
                future.set_result(now)
        elif self.expected:
            self.doubled += not taken.ref  # without a reference a reply too many is all that shows
        if self.with_statuses:
            self._later(self._statuses(taken))

    async def _statuses(self, taken: Taken) -> None:
        for what in STATUSES:
            due = time.perf_counter()
            await self.meta.post(status(taken, what))
            if self.lates:  # at a fixed rate their times count as well
                self.acks.append(time.perf_counter() - due)


async def _at_once(count: int, work: Callable[[], Awaitable[None]]) -> float:
    """Do `work` so many times at once; answers when it began."""
    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(count)))
    return start


def _never_sent(count: int) -> list[Taken]:
    """Replies that look like ours, for a server that sends none."""
    return [
        Taken(
            phone(n), f"wa/{uuid.uuid4()}:{n + 1}-0", f"wamid.HBgLNTY5NjEyMzQ1NjcVAgARGBI{n:020d}"
        )
        for n in range(count)
    ]


_ORDERS: Final = msgspec.json.Decoder(Order)
_ENCODE: Final = msgspec.json.Encoder().encode


async def serve(port: int, graph_port: int) -> None:
    gc.disable()  # a pause of ours would count as the server's
    load = Load(port)
    loop = asyncio.get_running_loop()
    graph = await loop.create_server(lambda: Graph(load), "127.0.0.1", graph_port)
    print(f"ready {RUN}", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        seen = await load.carry(_ORDERS.decode(line))
        print(_ENCODE(seen).decode(), flush=True)
    graph.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--graph-port", type=int, required=True)
    args = parser.parse_args()
    uvloop.run(serve(args.port, args.graph_port))


if __name__ == "__main__":
    main()
