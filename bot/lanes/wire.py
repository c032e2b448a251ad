"""The wire: how a process talks to its store, whether that is one server, a primary with replicas, or a cluster.

It hides where a command goes and what happens when a node is lost; `bot/lanes/line.py` says what it costs.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol, Self

from bot.lanes.address import Address, StoreUrl
from bot.lanes.cluster import Cluster
from bot.lanes.errors import LaneError, StoreLostError
from bot.lanes.line import Arg, Manner, Pending, Reply, connect, disregard, packed
from bot.lanes.node import Node
from bot.lanes.script import Script
from bot.lanes.sentinel import find_primary

DEADLINE_S: Final = (
    5.0  # chosen: a webhook must be answered within Meta's patience, and 503 is an answer
)
PENDING_MAX: Final = (
    20_000  # commands without a reply; chosen: twenty of Meta's largest webhooks at once
)
REPLICAS_WAIT_MS: Final = 1_000  # a replica answers in a few; one that needs longer is no safety
SENTINEL_WAIT_S: Final = 0.5  # for each of them: there are several, and they are near
SENTINEL_LOOK_S: Final = 1.0

KEYLESS: Final = frozenset(["PUBLISH"])
"""Commands whose first word is no key, so that any node takes them."""


class Nodes(Protocol):
    """The servers of a store."""

    @property
    def is_up(self) -> bool: ...

    def send(self, pending: Pending) -> None:
        """Send it where its key lives, without one to any that is up; or fail it."""
        ...

    async def addresses(self) -> list[Address]:
        """Where something published can be heard, the best first."""
        ...

    async def close(self, why: str) -> None: ...


class Wire:
    """The connections of one process. They come back by themselves; while a node is down, every call to it fails
    at once."""

    def __init__(self, nodes: Nodes, *, replicas: int) -> None:
        """Use `Wire.open`."""
        self._nodes = nodes
        self._waits = replicas > 0
        # looked up once: these are called for every command
        self._send = nodes.send
        loop = asyncio.get_running_loop()
        self._new_future: Callable[[], asyncio.Future[Reply]] = loop.create_future
        self._now_s = loop.time

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        name: str = "smarterbot",
        deadline_s: float = DEADLINE_S,
        pending_max: int = PENDING_MAX,
        replicas: int = 0,
        replicas_wait_ms: int = REPLICAS_WAIT_MS,
    ) -> Self:
        """Connect; see `StoreUrl.parse` for `url`. A cluster is recognised by what its first node says of itself.

        Args:
            name: what CLIENT LIST shows.
            deadline_s: a reply later than this means that the node hangs: the connection is given up. What a
                cluster refuses for a moment is repeated within it.
            pending_max: calls to one node beyond it are refused.
            replicas: how many must have what is called with `replicated`; 0 = the primary is trusted alone.
            replicas_wait_ms: for how long they are waited for; shorter than the deadline.

        Raises:
            ValueError: the address is none.
            StoreLostError: nobody answers there now.
            LaneError: it refuses our name or password, or is no cluster although several nodes were named.
        """
        manner = Manner(name, deadline_s, pending_max, replicas, replicas_wait_ms)
        return cls(await _opened(StoreUrl.parse(url), manner), replicas=replicas)

    @property
    def is_up(self) -> bool:
        """Whether every call would be sent."""
        return self._nodes.is_up

    @property
    def is_cluster(self) -> bool:
        """Whether two keys may lie on two servers."""
        return isinstance(self._nodes, Cluster)

    def call(self, *command: Arg, replicated: bool = False) -> asyncio.Future[Reply]:
        """Send one command, its key first.

        The future raises:
            StoreLostError: not sent, or sent and its outcome is unknown.
            NotReplicatedError: done, and with `replicated` fewer replicas have it than `open` was told.
            LaneError: the store answered with an error.
        """
        key = command[1] if len(command) > 1 and command[0] not in KEYLESS else None
        future = self._new_future()
        waits = replicated and self._waits
        self._send(Pending(packed(command), future, self._now_s(), key, None, waits))
        return future

    def tell(self, *command: Arg) -> None:
        """Send one command whose outcome nobody waits for."""
        self.call(*command).add_done_callback(disregard)

    def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Arg],
        *,
        replicated: bool = False,
    ) -> asyncio.Future[Reply]:
        """Run a script; it is loaded on the way if the store does not know it. Raises as `call`.

        In a cluster all keys must have one hash tag.
        """
        command = packed(("EVALSHA", script.sha, len(keys), *keys, *args))
        future = self._new_future()
        waits = replicated and self._waits
        self._send(Pending(command, future, self._now_s(), keys[0], script, waits))
        return future

    async def addresses(self) -> list[Address]:
        """Where something published can be heard, the best first.

        Raises:
            StoreLostError: nobody knows.
        """
        return await self._nodes.addresses()

    async def close(self) -> None:
        """Close every connection; what waits for a reply fails."""
        await self._nodes.close("closed by us")


class _Single:
    """One server at a time: always the same, or the one that sentinels name."""

    def __init__(self, where: StoreUrl, manner: Manner) -> None:
        self._where = where
        self._node = Node(self._locate, manner, on_refused=_leave_a_replica, writes=True)
        self._watch: asyncio.Task[None] | None = None
        self.send = self._node.send

    async def open(self) -> None:
        await self._node.open()
        if self._where.primary:
            self._watch = asyncio.get_running_loop().create_task(self._follow())

    @property
    def is_up(self) -> bool:
        return self._node.line is not None

    async def addresses(self) -> list[Address]:
        return [await self._locate()]

    async def close(self, why: str) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._node.close(why)

    async def _locate(self) -> Address:
        if self._where.primary:
            return await find_primary(self._where, wait_s=SENTINEL_WAIT_S)
        return self._where.servers[0]

    async def _follow(self) -> None:
        """A primary that is replaced while it is well takes our writes for seconds more, and they are lost."""
        while True:
            await asyncio.sleep(SENTINEL_LOOK_S)
            with contextlib.suppress(StoreLostError):
                found, line = await self._locate(), self._node.line
                if line is not None and found != self._node.address:
                    line.close("the sentinels name another primary")


def _leave_a_replica(node: Node, _pending: Pending, text: str) -> bool:
    """After a failover the old primary is a replica, and the same name may lead to the new one."""
    if text.startswith("READONLY") and node.line is not None:
        asyncio.get_running_loop().call_soon(node.line.close, "it became a replica")
    return False


async def _opened(where: StoreUrl, manner: Manner) -> Nodes:
    if not where.primary:
        if await _mode(where, manner) == "cluster":
            cluster = Cluster(where.servers, manner)
            await cluster.open()
            return cluster
        if len(where.servers) > 1:
            raise LaneError(f"several servers are named, and {where.servers[0]} is no cluster's")
    single = _Single(where, manner)
    await single.open()
    return single


async def _mode(where: StoreUrl, manner: Manner) -> str:
    """What the first server that answers says of itself."""
    lost: StoreLostError | None = None
    for address in where.servers:
        try:
            line = await connect(address, manner)
        except StoreLostError as error:
            lost = error
        else:
            line.close("asked")
            return line.mode
    assert lost is not None, "an address names a server"
    raise lost
