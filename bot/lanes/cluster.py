"""A cluster: which of its nodes serves which slot, followed as slots move and nodes come and go."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final, cast

import structlog
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from bot.lanes.address import Address
from bot.lanes.errors import LaneError, StoreLostError
from bot.lanes.line import Arg, Manner, Pending, Reply, connect, fail, packed, refusal
from bot.lanes.node import BACKOFF_MAX_S, BACKOFF_S, Node

ASK_WAIT_S: Final = 1.0  # one node that hangs must not keep us from asking the next
AT_ONCE_MAX: Final = 2  # redirections that are followed without a pause
AGAIN_S: Final = 0.01
AGAIN_MAX_S: Final = 0.25
KEYS_MAX: Final = 4_096  # whose slots are remembered

# The command did not run, and it may soon: the slot is moving key by key, or has no primary for a moment.
NOT_YET: Final = frozenset(["TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"])

log = structlog.get_logger()


class Cluster:
    """All nodes that serve slots, and a line to each."""

    def __init__(self, seeds: tuple[Address, ...], manner: Manner) -> None:
        """Use `open`."""
        self._seeds = seeds
        self._manner = manner
        self._slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._nodes: dict[Address, Node] = {}
        self._others: list[Address] = []
        """Replicas: they can be asked, and listened to."""
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._leaving: set[asyncio.Task[None]] = set()
        self._queues: dict[int, _Queue] = {}
        """Of slots whose commands are repeated after a while."""
        self._closed = False

    async def open(self) -> None:
        """Learn the map and connect to the nodes; some of them may be down.

        Raises:
            StoreLostError: none of them answers.
            LaneError: they refuse our name or password.
        """
        await self._look(self._seeds)
        pings = [_ping(node) for node in self._nodes.values()]
        answers = await asyncio.gather(*pings, return_exceptions=True)
        if all(isinstance(answer, BaseException) for answer in answers):
            await self.close("nobody answers")
            raise next(answer for answer in answers if isinstance(answer, BaseException))

    @property
    def is_up(self) -> bool:
        """Whether every slot is served by a node that we are connected to."""
        return all(node is not None and node.line is not None for node in set(self._slots))

    def send(self, pending: Pending) -> None:
        """Send it where its key lives, without one to any node that is up; or fail it."""
        node: Node | None
        if pending.key is None:
            node = next((node for node in self._nodes.values() if node.line is not None), None)
        else:
            slot = slot_of(pending.key)
            if slot in self._queues:
                self._queues[slot].add(pending)
                return
            node = self._slots[slot]
        if node is None:
            fail(pending.future, StoreLostError("no node serves this now"))
        else:
            node.send(pending)

    async def addresses(self) -> list[Address]:
        """All servers of the cluster, those that we are connected to first."""
        up = [address for address, node in self._nodes.items() if node.line is not None]
        return list(dict.fromkeys((*up, *self._nodes, *self._others, *self._seeds)))

    async def close(self, why: str) -> None:
        self._closed = True
        tasks = [*self._leaving, *([self._looking] if self._looking is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for queue in self._queues.values():
            queue.close(why)
        self._queues.clear()
        for node in self._nodes.values():
            await node.close(why)

    # --------------------------------------------------------- redirections

    def _refused(self, node: Node, pending: Pending, text: str) -> bool:
        """Repeat what did not run, where it belongs now."""
        if pending.key is None or self._closed:
            return False
        slot = slot_of(pending.key)
        there: Node | None = None
        pending.asks = False
        code, *rest = text.split(" ")
        match code, rest:
            case "MOVED", [_, place]:
                there = self._slots[slot] = self._node_at(place, told_by=node)
                self._look_soon()
            case "ASK", [_, place]:
                there = self._node_at(place, told_by=node)
                pending.asks = True
            case _ if code in NOT_YET:
                self._look_soon()
            case _:
                return False
        pending.first_s = pending.first_s or pending.since_s
        pending.refusals += 1
        queue = self._queues.get(slot)
        if (
            there is not None
            and (queue is None or queue.tries(pending))
            # Two nodes may each hold the other to be the owner for a moment.
            and pending.refusals <= AT_ONCE_MAX
        ):
            pending.since_s = asyncio.get_running_loop().time()
            there.send_when_up(pending)
        else:
            if queue is None:
                queue = self._queues[slot] = _Queue(
                    self._manner, partial(self._try_one, slot), partial(self._resume, slot)
                )
            queue.refused(pending, text)
        return True

    def _try_one(self, slot: int, pending: Pending) -> bool:
        """Send this one to whom the slot belongs now; False if that is nobody."""
        node = self._slots[slot]
        if node is not None:
            node.send_when_up(pending)
        return node is not None

    def _resume(self, slot: int, waiting: Iterable[Pending]) -> None:
        """The slot is served again: these go first, in order."""
        del self._queues[slot]
        for pending in waiting:
            pending.since_s = asyncio.get_running_loop().time()
            self.send(pending)

    def _node_at(self, place: str, *, told_by: Node) -> Node:
        """The node that a redirection names, `host:port`; without a host it is the teller's."""
        host, _, port = place.rpartition(":")
        assert told_by.address is not None, "it has answered, so it was found"
        return self._node(told_by.address.at(host or told_by.address.host, int(port)))

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:

            async def locate() -> Address:
                return address

            node = self._nodes[address] = Node(
                locate, self._manner, on_refused=self._refused, on_lost=self._look_soon
            )
            node.keep()
        return node

    # ------------------------------------------------------------- the map

    def _look_soon(self) -> None:
        """Learn the map anew, behind the scenes; while that is under way, once more after it."""
        self._look_again = True
        if self._looking is None and not self._closed:
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        wait_s = BACKOFF_S
        while self._look_again:
            self._look_again = False
            try:
                await self._look(await self.addresses())
            except (StoreLostError, LaneError) as error:
                log.warning("cluster.no_map", error=type(error).__name__)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, BACKOFF_MAX_S)
        self._looking = None

    async def _look(self, addresses: Sequence[Address]) -> None:
        """Ask one after the other until one tells who is in the cluster and finds it well.

        A node that is cut off from the others finds it failed, and what it tells is old; that is better than nothing.

        Raises:
            StoreLostError, LaneError: of the last one, when none tells anything.
        """
        lost: StoreLostError | LaneError = StoreLostError("no node of the cluster serves anything")
        old: tuple[list[list[Reply]], Address] | None = None
        for address in addresses:
            try:
                is_well, ranges = await self._ask(address)
            except (StoreLostError, LaneError) as error:
                lost = error
                continue
            if is_well:
                self._adopt(ranges, address)
                return
            old = old or ((ranges, address) if ranges else None)
        if old is None:
            raise lost
        self._adopt(*old)

    async def _ask(self, address: Address) -> tuple[bool, list[list[Reply]]]:
        """What this node thinks of the cluster, on a connection of its own: ours may be in trouble."""
        manner = replace(self._manner, deadline_s=min(self._manner.deadline_s, ASK_WAIT_S))
        line = await connect(address, manner)
        try:
            info, ranges = line.call("CLUSTER", "INFO"), line.call("CLUSTER", "SLOTS")
            is_well = b"cluster_state:ok" in cast(bytes, await info)
            return is_well, cast(list[list[Reply]], await ranges)
        finally:
            line.close("asked")

    def _adopt(self, ranges: list[list[Reply]], teller: Address) -> None:
        """Take over what CLUSTER SLOTS told: [first slot, last slot, [host, port, …] of the primary, of replicas…]."""
        slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        owners: dict[Address, Node] = {}
        self._others = []
        for first, last, *servers in ranges:
            primary, *replicas = (_address(cast(list[Reply], s), teller) for s in servers)
            node = owners[primary] = self._node(primary)
            start, end = cast(int, first), cast(int, last) + 1
            slots[start:end] = [node] * (end - start)
            self._others += replicas
        for address in self._nodes.keys() - owners.keys():
            task = asyncio.get_running_loop().create_task(self._leave(self._nodes[address]))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        self._slots, self._nodes = slots, owners

    async def _leave(self, node: Node) -> None:
        """What is still on its way there gets its answer, or passes its deadline."""
        try:
            await asyncio.sleep(self._manner.deadline_s)
        finally:
            await node.close("it left the cluster")


class _Queue:
    """Commands to a slot that cannot be served just now, in order: the first is tried again and again, then all go.

    A command that overtook another would put two messages of one person the wrong way round.
    """

    def __init__(
        self,
        manner: Manner,
        try_one: Callable[[Pending], bool],
        resume: Callable[[Iterable[Pending]], None],
    ) -> None:
        self._manner = manner
        self._try_one = try_one
        self._resume = resume
        self._waiting: deque[Pending] = deque()
        self._why = ""
        self._wait_s = AGAIN_S
        self._timer: asyncio.TimerHandle | None = None
        """None: the first is on its way."""

    def tries(self, pending: Pending) -> bool:
        """Whether this is the first, on its way."""
        return self._timer is None and bool(self._waiting) and self._waiting[0] is pending

    def refused(self, pending: Pending, why: str) -> None:
        """This one came back."""
        self._why = why
        if not (self._waiting and self._waiting[0] is pending):
            self.add(pending)
        if self._waiting and self._waiting[0] is pending:
            self._try_later()

    def add(self, pending: Pending) -> None:
        """It comes last."""
        pending.first_s = pending.first_s or pending.since_s
        if len(self._waiting) >= self._manner.pending_max:
            fail(pending.future, StoreLostError("too much is waiting for the store"))
        else:
            self._waiting.append(pending)

    def close(self, why: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, deque()
        for pending in waiting:
            fail(pending.future, StoreLostError(why))

    def _try_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._wait_s, self._try)
        self._wait_s = min(self._wait_s * 2, AGAIN_MAX_S)

    def _try(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._waiting and (
            now > self._waiting[0].first_s + self._manner.deadline_s
            or self._waiting[0].future.done()
        ):
            fail(self._waiting.popleft().future, refusal(self._why))
        if not self._waiting:
            self._resume(())
            return
        first = self._waiting[0]
        first.future.add_done_callback(self._done)
        first.refusals = 0
        first.since_s = now
        self._timer = None
        if not self._try_one(first):
            self._try_later()

    def _done(self, future: asyncio.Future[Reply]) -> None:
        """The first got its answer: the others follow."""
        if self._waiting and self._waiting[0].future is future:
            if self._timer is not None:
                self._timer.cancel()
            self._waiting.popleft()
            self._resume(self._waiting)


@lru_cache(maxsize=KEYS_MAX)
def slot_of(key: Arg) -> int:
    """The slot that a key belongs to, by its hash tag if it has one."""
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def _address(server: list[Reply], teller: Address) -> Address:
    host, port, *_ = server
    # Empty or unknown: the server that tells means itself.
    name = host.decode() if isinstance(host, bytes) and host not in (b"", b"?") else teller.host
    return teller.at(name, cast(int, port))


def _ping(node: Node) -> asyncio.Future[Reply]:
    loop = asyncio.get_running_loop()
    pending = Pending(packed(("PING",)), loop.create_future(), loop.time())
    node.send_when_up(pending)
    return pending.future
