"""Hearing what is published, on a connection of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, cast

import structlog
from hiredis import HiredisError, Reader, ReplyError

from bot.lanes.address import Address
from bot.lanes.errors import LaneError, StoreLostError
from bot.lanes.line import LOST, greeting, packed, refusal, tls_of
from bot.lanes.node import BACKOFF_MAX_S, BACKOFF_S
from bot.lanes.wire import DEADLINE_S, Wire

PING_S: Final = 10.0  # a subscription that hears nothing asks whether anybody is still there

log = structlog.get_logger()


async def listen(
    wire: Wire,
    channels: Sequence[str],
    on_message: Callable[[str, bytes], None],
    *,
    name: str = "smarterbot:listener",
    deadline_s: float = DEADLINE_S,
    on_subscribed: Callable[[], None] | None = None,
) -> None:
    """Hear what is published in the wire's store; subscribes again by itself. Runs until cancelled.

    A cluster tells all its nodes, so any of them will do, and when it is lost the next one. What is published while
    the connection is down is not heard.
    """
    wait_s = BACKOFF_S
    turn = 0
    while True:
        try:
            addresses = await wire.addresses()
            address = addresses[turn % len(addresses)]
            turn += 1
            async with _subscription(address, channels, name, deadline_s) as messages:
                wait_s, turn = BACKOFF_S, 0
                if on_subscribed is not None:
                    on_subscribed()
                async for channel, body in messages:
                    on_message(channel, body)
        except (OSError, TimeoutError, HiredisError, StoreLostError, LaneError) as error:
            log.warning("listener.lost", error=type(error).__name__)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, BACKOFF_MAX_S)


@contextlib.asynccontextmanager
async def _subscription(
    address: Address, channels: Sequence[str], name: str, deadline_s: float
) -> AsyncIterator[AsyncIterator[tuple[str, bytes]]]:
    async with asyncio.timeout(deadline_s):
        if address.path:
            stream, writer = await asyncio.open_unix_connection(address.path)
        else:
            stream, writer = await asyncio.open_connection(
                address.host, address.port, ssl=tls_of(address)
            )
    try:
        reader = Reader()
        commands = [*greeting(address, name), ("SUBSCRIBE", *channels)]
        writer.write(b"".join(map(packed, commands)))
        async with asyncio.timeout(deadline_s):
            for _ in range(len(commands) - 1 + len(channels)):
                await _next(stream, reader)
        yield _messages(stream, writer, reader, deadline_s)
    finally:
        writer.transport.abort()


async def _messages(
    stream: asyncio.StreamReader, writer: asyncio.StreamWriter, reader: Reader, deadline_s: float
) -> AsyncIterator[tuple[str, bytes]]:
    while True:
        try:
            async with asyncio.timeout(PING_S):
                reply = await _next(stream, reader)
        except TimeoutError:
            writer.write(packed(("PING",)))
            async with asyncio.timeout(deadline_s):
                reply = await _next(stream, reader)
        match reply:
            case [b"message", bytes(channel), bytes(body)]:
                yield channel.decode(), body
            case _:
                pass  # the answer to PING


async def _next(stream: asyncio.StreamReader, reader: Reader) -> object:
    """One reply.

    Raises:
        StoreLostError, LaneError: the reply is an error, or there will be none.
    """
    while (reply := reader.gets()) is False:
        data = await stream.read(65_536)
        if not data:
            raise StoreLostError(LOST)
        reader.feed(data)
    if isinstance(reply, ReplyError):
        raise refusal(str(reply))
    return cast(object, reply)
