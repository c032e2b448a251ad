"""Valkeys of the test's own: one, a primary with a replica, or a cluster; to be killed, stopped, filled and brought back.

They die with the process that started them, whatever becomes of it.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis
from redis.crc import key_slot

from bot.embedded.process import Server, folder_lock
from bot.embedded.valkey import valkey_binary
from tests.bot.lanes.lag import HERE, Lag, lagging

READY_WITHIN_S: Final = 10.0
POLL_S: Final = 0.005
PORTS: Final = range(12_000, 32_000)
SLOTS: Final = 16_384
PRIMARIES: Final = 3
BETWEEN_KEYS_S: Final = 0.02  # both nodes have some, and the traffic goes on


class StoreServer:
    """One server in a folder of its own; on a unix socket, or on a TCP port when it must be reached by others."""

    def __init__(self, folder: Path, lock: int, port: int = 0) -> None:
        self.port = port
        self._folder = folder
        self._lock = lock
        self._path = folder / "s"
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"redis://{HERE}:{self.port}" if self.port else f"unix://{self._path}"

    def start(self, *options: str, answers: bytes = b"+PONG") -> None:
        """Run it, until it answers PING with `answers`."""
        where = (
            ("--port", str(self.port), "--bind", HERE)
            if self.port
            else ("--port", "0", "--unixsocket", str(self._path))
        )
        self._run(*where, "--dir", str(self._folder), "--save", "", *options, answers=answers)

    def start_sentinel(self, *lines: str) -> None:
        """Run it as a sentinel with this configuration, which it keeps up to date."""
        config = self._folder / "sentinel.conf"
        config.write_text("".join(f"{line}\n" for line in (f"port {self.port}", *lines)))
        self._run(str(config), "--sentinel", "--bind", HERE, answers=b"+PONG")

    def _run(self, *arguments: str, answers: bytes) -> None:
        self._server = Server(
            (str(valkey_binary()), *arguments),
            name="Valkey",
            log=self._folder / "log",
            lock=self._lock,
            stop_signal=signal.SIGKILL,
        )
        self._server.wait_ready(lambda: self._says(answers), wait_s=READY_WITHIN_S)

    @property
    def is_running(self) -> bool:
        return self._server is not None

    def kill(self) -> None:
        """As a crash does."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._path.unlink(missing_ok=True)

    def freeze(self) -> None:
        """It keeps its connections and answers nobody."""
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGCONT)

    def ask(self, *command: str | int) -> object:
        """One command on a connection of its own; its answer as the library decodes it."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return client.execute_command(*command)

    @property
    def replication(self) -> dict[str, object]:
        """What INFO says of it."""
        facts = self.ask("INFO", "replication")
        assert isinstance(facts, dict)
        return facts

    @property
    def is_in_step(self) -> bool:
        """A primary, or a replica that hears its primary."""
        facts = self.replication
        return facts["role"] == "master" or facts["master_link_status"] == "up"

    def _says(self, answer: bytes) -> bool:
        try:
            with self._socket() as connection:
                connection.settimeout(1)
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(answer)
        except OSError:
            return False

    def _socket(self) -> socket.socket:
        if self.port:
            return socket.create_connection((HERE, self.port), timeout=1)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(1)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection


@contextmanager
def store_server(*, port: int = 0) -> Iterator[StoreServer]:
    """A server that is not yet started; killed, with its folder, at the end. From the main thread only."""
    # The path of a socket has little room, and pytest's folders are deep.
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))
    try:
        with folder_lock(folder) as lock:
            server = StoreServer(folder, lock, port)
            try:
                yield server
            finally:
                server.kill()
    finally:
        shutil.rmtree(folder)


# -------------------------------------------------------------------- a cluster


class StoreCluster:
    """Three primaries, each with a third of the slots, and as many replicas as are asked for."""

    def __init__(self, nodes: Sequence[StoreServer], bus: Sequence[int]) -> None:
        self.nodes = nodes
        """The primaries first."""
        self._bus = bus

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def start(self, at: int, *options: str) -> None:
        """Run one node, as it was left."""
        self.nodes[at].start(
            *("--cluster-enabled", "yes", "--cluster-port", str(self._bus[at])),
            *("--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"),
            *("--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1"),
            # One lost node must not stop the others.
            *("--cluster-require-full-coverage", "no"),
            *("--appendonly", "yes", "--appendfsync", "no"),
            *options,
        )

    def found(self, *options: str) -> None:
        """Run all nodes and make them a cluster."""
        for at in range(len(self.nodes)):
            self.start(at, *options)
        primaries = self.nodes[:PRIMARIES]
        bounds = [SLOTS * n // PRIMARIES for n in range(PRIMARIES + 1)]
        for node, first, end in zip(primaries, bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for at, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        for at, node in enumerate(self.nodes):
            for other in range(len(self.nodes)):
                if other != at:
                    node.ask("CLUSTER", "MEET", HERE, self.nodes[other].port, self._bus[other])
        _until(lambda: all(self._knows(node) == len(self.nodes) for node in self.nodes))
        for primary, node in zip(primaries, self.nodes[PRIMARIES:], strict=False):
            node.ask("CLUSTER", "REPLICATE", self.id(primary))
        self.until_well()

    def until_well(self) -> None:
        """Until every node that runs finds every slot served, and every replica follows its primary."""
        _until(lambda: all(self._is_well(node) for node in self.nodes if node.is_running))

    def until_all_are_served(self) -> None:
        """Until replicas have taken over what their primaries left."""
        up = {node.port for node in self.nodes if node.is_running}
        _until(lambda: {port for _, _, port in self._ranges()} <= up)

    def id(self, node: StoreServer) -> str:
        return str(node.ask("CLUSTER", "MYID"))

    def owner(self, slot: int) -> StoreServer:
        """The primary that serves a slot, as the first node that runs has it."""
        [owner] = [port for first, last, port in self._ranges() if first <= slot <= last]
        return next(node for node in self.nodes if node.port == owner)

    def _ranges(self) -> list[tuple[int, int, int]]:
        """First slot, last slot, port of the primary."""
        asked = next(node for node in self.nodes if node.is_running)
        ranges = asked.ask("CLUSTER", "SLOTS")
        assert isinstance(ranges, list)
        return [(first, last, primary[1]) for first, last, primary, *_ in ranges]

    async def move(self, key: str) -> None:
        """Give the slot of a key to the next node, as Valkey 9 does it: copied behind the scenes, handed over at once."""
        slot = key_slot(key.encode())
        old, new = self.owners(slot)
        range_ = ("SLOTSRANGE", slot, slot, "NODE", self.id(new))
        await asyncio.to_thread(old.ask, "CLUSTER", "MIGRATESLOTS", *range_)
        async with asyncio.timeout(READY_WITHIN_S):
            while (await asyncio.to_thread(self.owner, slot)) is not new:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(POLL_S)

    async def move_key_by_key(self, key: str) -> None:
        """As `move`, in the way of every version: for a while each of two nodes has some of the slot's keys."""
        begun = await asyncio.to_thread(self.begin_move, key)
        await asyncio.to_thread(begun.new.ask, "SCRIPT", "FLUSH")
        while await asyncio.to_thread(begun.move_one):  # noqa: ASYNC110  as slow as that
            await asyncio.sleep(BETWEEN_KEYS_S)
        await asyncio.to_thread(begun.end, self.nodes)

    def begin_move(self, key: str) -> "Move":
        """The slot of a key is open at two nodes."""
        slot = key_slot(key.encode())
        old, new = self.owners(slot)
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(old))
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(new))
        return Move(slot, old, new, self.id(new))

    def owners(self, slot: int) -> tuple[StoreServer, StoreServer]:
        """The node that has a slot, and the one that comes after it."""
        old = self.owner(slot)
        return old, self.nodes[(self.nodes.index(old) + 1) % PRIMARIES]

    def flush(self) -> None:
        for node in self.nodes:
            if node.replication["role"] == "master":
                node.ask("FLUSHALL")

    def _knows(self, node: StoreServer) -> int:
        lines = str(node.ask("CLUSTER", "NODES")).splitlines()
        return sum("handshake" not in line and " connected" in line for line in lines)

    def _is_well(self, node: StoreServer) -> bool:
        return "cluster_state:ok" in str(node.ask("CLUSTER", "INFO")) and node.is_in_step


@dataclass(frozen=True)
class Move:
    """A slot on its way from one node to another."""

    slot: int
    old: StoreServer
    new: StoreServer
    new_id: str

    def move_one(self) -> bool:
        """Carry over one key; False: there are no more."""
        keys = self.old.ask("CLUSTER", "GETKEYSINSLOT", self.slot, 1)
        assert isinstance(keys, list)
        for key in keys:
            self.old.ask("MIGRATE", HERE, self.new.port, "", 0, 5_000, "KEYS", key)
        return bool(keys)

    def end(self, nodes: Sequence[StoreServer]) -> None:
        """Everybody hears who has the slot: the new owner first, so that nobody thinks that none has it."""
        for node in (self.new, self.old, *nodes):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.new_id)

    def stop(self) -> None:
        """It stays where it was."""
        for node in (self.old, self.new):
            node.ask("CLUSTER", "SETSLOT", self.slot, "STABLE")


@contextmanager
def store_cluster(*, replicas: bool = False) -> Iterator[StoreCluster]:
    """A cluster at work; killed, with its folders, at the end. From the main thread only."""
    count = 2 * PRIMARIES if replicas else PRIMARIES
    ports = free_ports(2 * count)
    with ExitStack() as stack:
        nodes = [stack.enter_context(store_server(port=port)) for port in ports[:count]]
        cluster = StoreCluster(nodes, ports[count:])
        cluster.found()
        yield cluster


# ------------------------------------------------------------------- replicas


class Replicated:
    """A primary and its replica, and a sentinel that makes the replica primary when the primary is gone."""

    NAME: Final = "main"

    def __init__(self, first: StoreServer, second: StoreServer, sentinel: StoreServer) -> None:
        self.servers = (first, second)
        self.sentinel = sentinel

    @property
    def url(self) -> str:
        return f"redis+sentinel://{HERE}:{self.sentinel.port}/{self.NAME}"

    @property
    def primary(self) -> StoreServer:
        """As the sentinel has it."""
        found = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
        assert isinstance(found, list)
        return next(server for server in self.servers if server.port == int(found[1]))

    @property
    def replica(self) -> StoreServer:
        first, second = self.servers
        return second if self.primary is first else first

    def found(self, *, heard_at: int) -> None:
        """Run all three. `heard_at`: the port where the replica hears the first primary."""
        first, second = self.servers
        self.start(first)
        self.start(second, heard_at=heard_at)
        # A sentinel asks its primary for replicas at once, and then every ten seconds.
        _until(lambda: second.is_in_step)
        self.sentinel.start_sentinel(
            f"sentinel monitor {self.NAME} {HERE} {first.port} 1",
            f"sentinel down-after-milliseconds {self.NAME} 1000",
            # Until then it leaves a replica alone that hears its primary elsewhere than it thinks.
            f"sentinel failover-timeout {self.NAME} 60000",
        )
        self.until_in_step()

    def start(self, server: StoreServer, *, heard_at: int = 0) -> None:
        """Run one; as a replica, if it is told where to hear a primary."""
        server.start(
            *("--appendonly", "yes", "--appendfsync", "no", "--repl-diskless-sync-delay", "0"),
            *(("--replicaof", HERE, str(heard_at)) if heard_at else ()),
        )

    def until_in_step(self) -> None:
        """Until the replica follows, and the sentinel knows it."""
        _until(lambda: self.replica.is_in_step and self._watched() == 1)

    def changes(self) -> bool:
        """Ask for a planned change; False: the sentinel does not know the replica well enough yet."""
        with contextlib.suppress(redis.ResponseError):
            return bool(self.sentinel.ask("SENTINEL", "FAILOVER", self.NAME))
        return False

    def _watched(self) -> object:
        facts = self.sentinel.ask("INFO", "sentinel")
        assert isinstance(facts, dict)
        return facts["master0"]["slaves"]


@contextmanager
def replicated(*, lag_s: float = 0.0) -> Iterator[tuple[Replicated, Lag]]:
    """Primary, replica and sentinel at work, and the way to the replica; killed at the end. From the main thread only."""
    *ports, way = free_ports(4)
    with ExitStack() as stack:
        first, second, sentinel = (stack.enter_context(store_server(port=port)) for port in ports)
        lag = stack.enter_context(lagging(way, first.port, lag_s))
        store = Replicated(first, second, sentinel)
        store.found(heard_at=way)
        yield store, lag


# --------------------------------------------------------------------- waiting


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on now, from where the system takes none for outgoing connections."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, 50 * count):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HERE, port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("there are no free ports")


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop run until something that other processes bring about is so."""
    async with asyncio.timeout(READY_WITHIN_S):
        while not is_so():  # noqa: ASYNC110  another process brings it about and sets no event
            await asyncio.sleep(POLL_S)


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline, "the servers do not come to that"
        time.sleep(POLL_S)
