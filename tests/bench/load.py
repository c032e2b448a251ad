"""The other side of the benchmark: contacts that write and a Graph API that takes, in one light process.

Raw asyncio protocols, so that it costs little beside what it measures. It prints `ready`, waits for a line on
standard input, runs, and prints one JSON object. Everything stays on 127.0.0.1 and ends by itself.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import re
import statistics
import sys
import time
import uuid
from collections.abc import Coroutine
from typing import Any, cast

import uvloop

SECRET = b"bench-secret"
NUMBER = "555000111"
LINE = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
TO = re.compile(rb'"(?:to|recipient)":\s*"\+?(?:CL\.)?(\d+)"')
REF = re.compile(rb'"biz_opaque_callback_data":\s*"([^"]*)"')
BODY = re.compile(rb'"body":\s*"((?:[^"\\]|\\.)*)"')
RUN = uuid.uuid4().hex[:6]


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

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.idle: list[Client] = []
        self.statuses: dict[int, int] = {}
        self.repeats = 0

    async def post(self, body: bytes) -> None:
        signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        request = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\n"
            f"Content-Type: application/json\r\nX-Hub-Signature-256: sha256={signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        for attempt in range(200):
            try:
                status = await self._once(request)
            except OSError:
                status = 0
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status == 200:
                return
            self.repeats += 1
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


def _envelope(contacts: list[dict[str, Any]], key: str, items: list[dict[str, Any]]) -> bytes:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56900000000", "phone_number_id": NUMBER},
        "contacts": contacts,
        key: items,
    }
    change = {"field": "messages", "value": value}
    entry = {"id": "102290129340398", "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def message(person: str, n: int) -> bytes:
    """A text as Meta's webhook of v26.0 carries it."""
    contact = {"profile": {"name": "Ana María Pérez"}, "wa_id": person, "user_id": f"CL.{person}"}
    text = {
        "from": person,
        "from_user_id": f"CL.{person}",
        "id": f"wamid.HBgL{RUN}{person}VAgASGBQz.{n}",
        "timestamp": str(int(time.time())),  # noqa: TID251  the load's own clock
        "type": "text",
        "text": {"body": f"hola {n}"},
    }
    return _envelope([contact], "messages", [text])


def status(person: str, wamid: str, ref: str, what: str) -> bytes:
    item = {
        "id": wamid,
        "status": what,
        "timestamp": str(int(time.time())),  # noqa: TID251  the load's own clock
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
    contact = {"wa_id": person, "user_id": f"CL.{person}"}
    return _envelope([contact], "statuses", [item])


class Load:
    def __init__(self, args: argparse.Namespace) -> None:
        self.meta = Meta(args.port, args.path)
        self.with_statuses = args.statuses
        self.waiting: dict[str, asyncio.Future[float]] = {}
        self.taken: list[tuple[str, str]] = []
        self.acks: list[float] = []
        self.replies: list[float] = []
        self.tasks: set[asyncio.Task[None]] = set()

    # ---------------------------------------------------------- Graph

    def graph(self) -> asyncio.Protocol:
        return Graph(self)

    def sent(self, person: str, ref: str, wamid: str) -> None:
        self.taken.append((person, ref))
        future = self.waiting.pop(person, None)
        if future and not future.done():
            future.set_result(time.perf_counter())
        if self.with_statuses:
            self.later(self._report(person, ref, wamid))

    async def _report(self, person: str, ref: str, wamid: str) -> None:
        for what in ("sent", "delivered", "read"):
            await self.meta.post(status(person, wamid, ref, what))

    def later(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # ---------------------------------------------------------- contacts

    async def person(self, number: int, messages: int, *, replies: bool) -> None:
        who = str(56_920_000_000 + number)
        for n in range(messages):
            start = time.perf_counter()
            if replies:
                future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
                self.waiting[who] = future
                await self.meta.post(message(who, n))
                self.acks.append(time.perf_counter() - start)
                self.replies.append(await asyncio.wait_for(future, 60) - start)
            else:
                await self.meta.post(message(who, n))
                self.acks.append(time.perf_counter() - start)

    async def people(
        self, first: int, count: int, at_once: int, each: int, *, replies: bool
    ) -> None:
        """`count` people write `each` messages, `at_once` people at the same time."""
        numbers = iter(range(first, first + count))

        async def lane() -> None:
            for number in numbers:
                await self.person(number, each, replies=replies)

        await asyncio.gather(*(lane() for _ in range(at_once)))

    async def settle(self) -> None:
        while self.tasks:
            await asyncio.gather(*self.tasks)


class Graph(asyncio.Protocol):
    """Takes every send at once; a read receipt or anything else is a plain success."""

    def __init__(self, load: Load) -> None:
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
        if to is None or BODY.search(body) is None:
            self._answer(b'{"success":true}')
            return
        person = to[1].decode()
        ref = REF.search(body)
        wamid = "wamid.HBgLNTY5NjEyMzQ1NjcVAgARGBI" + uuid.uuid4().hex[:20]
        self._answer(
            b'{"messaging_product":"whatsapp","contacts":[{"input":"%b","wa_id":"%b"}],'
            b'"messages":[{"id":"%b"}]}' % (to[1], to[1], wamid.encode())
        )
        self.load.sent(person, ref[1].decode() if ref else "", wamid)

    def _answer(self, body: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )


def _ms(values: list[float], part: float) -> float:
    if len(values) < 2:
        return 0.0
    return round(statistics.quantiles(values, n=1000)[int(part * 1000) - 1] * 1000, 2)


async def run(args: argparse.Namespace) -> None:
    load = Load(args)
    loop = asyncio.get_running_loop()
    graph = await loop.create_server(load.graph, "127.0.0.1", args.graph_port)
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", args.port)
            writer.close()
            break
        except OSError:
            await asyncio.sleep(0.05)
    replies = args.kind == "talk"
    people = max(1, args.messages // args.each)
    await load.people(900_000, args.at_once, args.at_once, 4, replies=replies)  # warm-up
    await load.settle()
    for figures in (load.taken, load.acks, load.replies):
        cast(list[object], figures).clear()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    start = time.perf_counter()
    await load.people(0, people, args.at_once, args.each, replies=replies)
    talked = time.perf_counter() - start
    await load.settle()
    whole = time.perf_counter() - start
    sent = people * args.each
    refs = [ref for _, ref in load.taken if ref]
    print(
        json.dumps(
            {
                "messages": sent,
                "seconds": round(whole, 3),
                "talk_seconds": round(talked, 3),
                "ack_p50_ms": _ms(load.acks, 0.5),
                "ack_p99_ms": _ms(load.acks, 0.99),
                "reply_p50_ms": _ms(load.replies, 0.5),
                "reply_p99_ms": _ms(load.replies, 0.99),
                "replies": len(load.taken),
                "doubled": len(refs) - len(set(refs)),
                "answers": load.meta.statuses,
            }
        ),
        flush=True,
    )
    graph.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["accept", "talk"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/webhooks/whatsapp")
    parser.add_argument("--graph-port", type=int, required=True)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--each", type=int, default=15, help="messages of one person")
    parser.add_argument("--at-once", type=int, default=32, help="people writing at the same time")
    parser.add_argument(
        "--statuses", action="store_true", help="sent, delivered, read for each reply"
    )
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
