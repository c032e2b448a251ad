"""A crowd of idle conversations: each is what one real conversation left, with other ids.

A million of them are put into a store without a million people having to write. Whatever a real conversation leaves
and this module does not know of is an error, and a sample of real ones is compared byte for byte.
"""

import random
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, cast
from urllib.parse import urlsplit
from uuid import UUID
from zlib import crc32

import hiredis
from msgspec.structs import replace

from bot.engine.conversation import decode, encode
from bot.lanes import PREFIX
from bot.lanes.install import SHARDS
from bot.lanes.lanes import SEEN_TTL_S
from bot.lanes.line import Arg, packed
from bot.people.addresses import Addresses, addresses_of, conversation_of
from flows.values.ids import ContactId
from handlers.events import Sender
from handlers.ports import Channel
from tests.bench.load import FIRST_PHONE, phone, wamid
from tests.bench.stores import BenchStore

BATCH: Final = 2_048  # people in one write
DAY_S: Final = 86_400
MESSAGES_MAX: Final = 100  # that a model wrote

Entry = tuple[str, bytes, bytes]
"""Key, field or member, value or score."""

# What is kept once for all people; anything else is kept for each.
SHARED: Final = ("directory", "install", "intake", "kinds", "limit:", "rota:")
SHARED_FIELDS: Final = (b"#", b"trimmed")


@dataclass(frozen=True)
class Left:
    """What one person leaves in the store, by kind."""

    state: Entry
    wake: Entry
    aliases: tuple[Entry, ...]
    marks: tuple[Entry, ...]
    """One a message, forgotten after eight days."""

    def entries(self) -> Iterator[Entry]:
        yield from (self.state, self.wake, *self.aliases, *self.marks)


class Crowd:
    """People as the product's flow leaves them, made after a real one."""

    def __init__(self, channel: Channel, addresses: Addresses, model: Left, *, run: str) -> None:
        """`model`: what a real person left; `run`: of the load that wrote it."""
        self._channel = channel
        self._addresses = addresses
        self._model = decode(model.state[2])
        self._wake_ms = int(float(model.wake[2]))
        self._seen_day = model.marks[0][0].rpartition(":")[2]
        self._messages = len(model.marks)
        self._run = run

    def left(self, number: int, contact: ContactId, *, ago_s: int = 0) -> Left:
        """What person `number` leaves; `ago_s`: everything happened so much before."""
        person = phone(number)
        sender = Sender(wa_id=person, bsuid=f"CL.{person}", name=self._model.sender.name)
        conversation = conversation_of(self._channel.id, contact)
        shard = crc32(conversation.encode()) % SHARDS
        lane = f"conv/{conversation}".encode()
        model = self._model
        session = replace(
            model.session,
            timers=tuple(replace(timer, at=timer.at - ago_s) for timer in model.session.timers),
        )
        at_rest = replace(
            model,
            contact=contact,
            sender=sender,
            last_in=model.last_in - ago_s,
            pair_ms=model.pair_ms - ago_s * 1000,
            session=session,
        )
        return Left(
            state=(f"{PREFIX}box:{{{shard}}}", b"s:" + lane, encode(at_rest)),
            wake=(
                f"{PREFIX}ready:{{{shard}}}:conv",
                lane,
                b"%d" % (self._wake_ms - ago_s * 1000),
            ),
            aliases=tuple(
                (
                    *self._addresses._place(address),
                    UUID(contact).bytes
                    + (
                        self._addresses._trace(self._channel, sender)
                        if address.kind == "phone"
                        else b""
                    ),
                )
                for address in addresses_of(self._channel, sender)
            ),
            marks=tuple(
                (
                    f"{PREFIX}seen:{{{shard}}}:{self._seen_day}",
                    _mark(person, n, self._run),
                    b"",
                )
                for n in range(1, self._messages + 1)
            ),
        )

    def fill(self, store: BenchStore, numbers: Iterable[int], *, rng: random.Random) -> int:
        """Put people into the store; their last words are spread over a day. Answers how many."""
        pipe = _Pipe(store.url)
        count = 0
        for number in numbers:
            contact = ContactId(str(UUID(int=rng.getrandbits(128), version=4)))
            for entry in self.left(number, contact, ago_s=rng.randrange(DAY_S)).entries():
                pipe.add(entry)
            count += 1
            if count % BATCH == 0:
                pipe.flush()
        pipe.flush()
        pipe.close()
        return count


def check(crowd: Crowd, store: BenchStore, real: dict[int, Left]) -> None:
    """The crowd's people are what real ones leave, but for the time of their last words.

    Raises:
        SystemExit: they are not.
    """
    for number, left in real.items():
        contact = decode(left.state[2]).contact
        made = crowd.left(number, contact)
        if _timeless(left) != _timeless(made):
            raise SystemExit(f"the crowd is not like its model, person {number}:\n{left}\n{made}")
    known = {entry[:2] for left in real.values() for entry in left.entries()}
    if unknown := {entry[:2] for entry in _all(store)} - known:
        raise SystemExit(f"a conversation leaves what the crowd does not know of: {unknown}")


def left_behind(
    store: BenchStore, addresses: Addresses, channel: Channel, *, run: str
) -> dict[int, Left]:
    """What each real person left in a store, by number."""
    found = {}
    everything = _all(store)
    by_key = defaultdict(list)
    for entry in everything:
        by_key[entry[0]].append(entry)
    for state in (entry for entry in everything if entry[1].startswith(b"s:")):
        rest = decode(state[2])
        number = int(rest.sender.wa_id) - FIRST_PHONE
        shard = state[0].removeprefix(f"{PREFIX}box:")
        [wake] = [e for e in by_key[f"{PREFIX}ready:{shard}:conv"] if e[1] == state[1][2:]]
        places = [addresses._place(address) for address in addresses_of(channel, rest.sender)]
        aliases = [e for place in places for e in by_key[place[0]] if e[1] == place[1]]
        written = {_mark(rest.sender.wa_id, n, run) for n in range(1, MESSAGES_MAX)}
        marks = [
            entry
            for key, kept in by_key.items()
            if key.startswith(f"{PREFIX}seen:{shard}:")
            for entry in kept
            if entry[1] in written
        ]
        found[number] = Left(state, wake, tuple(aliases), tuple(marks))
    return found


def _timeless(left: Left) -> object:
    """To compare by: the same without the moments, which are as long in both."""
    at_rest = decode(left.state[2])
    session = at_rest.session
    still = replace(
        at_rest,
        last_in=0,
        pair_ms=0,
        session=replace(session, timers=tuple(replace(timer, at=0) for timer in session.timers)),
    )
    # The bytes as they are, so that a field that is written in another way shows as well.
    return (
        left.state[:2],
        len(left.state[2]),
        encode(still),
        left.wake[:2],
        len(left.wake[2]),
        sorted(left.aliases),
        sorted(left.marks),
    )


def _mark(person: str, n: int, run: str) -> bytes:
    return blake2b(wamid(person, n, run).encode(), digest_size=8).digest()


def _all(store: BenchStore) -> set[Entry]:
    """All that a store keeps for single people."""
    found: set[Entry] = set()
    # redis-py's own annotations leave open whether replies are decoded; ours are not.
    client = cast(Any, store.client)
    for raw in client.keys("*"):
        key = raw.decode()
        if key.removeprefix(PREFIX).startswith(SHARED):
            continue
        match client.type(key):
            case b"hash":
                found |= {(key, name, value) for name, value in client.hgetall(key).items()}
            case b"zset":
                scored = client.zrange(key, 0, -1, withscores=True)
                found |= {(key, member, b"%d" % score) for member, score in scored}
            case b"set":
                found |= {(key, member, b"") for member in client.smembers(key)}
            case other:
                raise SystemExit(f"a conversation leaves {key}, a {other!r}")
    return {entry for entry in found if entry[1] not in SHARED_FIELDS}


class _Pipe:
    """Writes entries in few large commands, over a socket of its own."""

    def __init__(self, url: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(urlsplit(url).path)
        self._reader = hiredis.Reader()
        self._commands: dict[tuple[str, str], list[bytes]] = {}

    def add(self, entry: Entry) -> None:
        key, field, value = entry
        kind = key.removeprefix(PREFIX).partition(":")[0]
        match kind:
            case "ready":
                self._commands.setdefault(("ZADD", key), []).extend((value, field))
            case "seen":
                self._commands.setdefault(("SADD", key), []).append(field)
            case _:
                self._commands.setdefault(("HSET", key), []).extend((field, value))

    def flush(self) -> None:
        commands: list[tuple[Arg, ...]] = [(*head, *args) for head, args in self._commands.items()]
        commands += [
            ("EXPIRE", key, SEEN_TTL_S, "NX") for name, key in self._commands if name == "SADD"
        ]
        self._commands.clear()
        self._socket.sendall(b"".join(map(packed, commands)))
        answered = 0
        while answered < len(commands):
            self._reader.feed(self._socket.recv(1 << 16))
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.ReplyError):
                    raise SystemExit(f"the crowd could not be stored: {reply}")
                answered += 1

    def close(self) -> None:
        self._socket.close()
