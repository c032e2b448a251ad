"""The store as it lies there: every lane, every dead letter, the lines of the journal; read without asking the product."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, cast
from zlib import crc32

from bot.lanes import PREFIX, Wire
from flows.values.ids import ItemId

KINDS: Final = ("conv", "wa", "works")
SHARDS: Final = 2

# A lane's token: a number above 0 is a lease.
FREE: Final = 0
DOUBTED: Final = -2


@dataclass
class Lane:
    token: int = FREE
    items: dict[ItemId, bytes] = field(default_factory=dict)
    """In their order."""
    state: bytes | None = None
    due_ms: int | None = None


@dataclass
class Store:
    lanes: dict[str, Lane] = field(default_factory=dict)
    """Those of which there is anything."""
    proofs: int = 0
    dead: dict[ItemId, bytes] = field(default_factory=dict)
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    """(shard, line) of the journal since the last look."""

    @classmethod
    async def look(cls, wire: Wire, seen: list[int]) -> "Store":
        """`seen`: how many lines of each shard's journal were read before; counted on."""
        commands = [
            command
            for shard in range(SHARDS)
            for command in (
                ("HGETALL", f"{PREFIX}box:{{{shard}}}"),
                ("HGETALL", f"{PREFIX}dead:{{{shard}}}"),
                ("LRANGE", f"{PREFIX}journal:{{{shard}}}", seen[shard], -1),
                *(
                    ("ZRANGE", f"{PREFIX}ready:{{{shard}}}:{kind}", 0, -1, "WITHSCORES")
                    for kind in KINDS
                ),
            )
        ]
        replies = [wire.call(*command) for command in commands]
        found = [cast(list[bytes], await reply) for reply in replies]
        store = cls()
        each = len(commands) // SHARDS
        for shard in range(SHARDS):
            box, dead, lines, *ready = found[shard * each : (shard + 1) * each]
            seen[shard] += len(lines)
            store.lines += [(shard, line) for line in lines]
            store._fill(box, dead, ready)
        return store

    def lane(self, name: str) -> Lane:
        return self.lanes.get(name) or Lane()

    def _fill(self, box: list[bytes], dead: list[bytes], ready: list[list[bytes]]) -> None:
        lanes: defaultdict[str, Lane] = defaultdict(Lane, self.lanes)
        items: dict[tuple[str, int], bytes] = {}
        for name, value in zip(box[::2], box[1::2], strict=True):
            what, colon, rest = name.decode().partition(":")
            if not colon:
                continue  # a counter of the shard
            match what:
                case "m":
                    lanes[rest].token = int(value.split(b" ")[0])
                case "s":
                    lanes[rest].state = value
                case "d":
                    self.proofs += 1
                case "i":
                    lane, _, place = rest.rpartition(":")
                    items[lane, int(place)] = value
                case _:
                    raise AssertionError(f"a field of no kind: {what}")
        for (lane, k), value in sorted(items.items()):
            number, _, body = value.partition(b" ")
            lanes[lane].items[ItemId(f"{lane}:{number.decode()}-{k}")] = body
        for flat in ready:
            for name, due in zip(flat[::2], flat[1::2], strict=True):
                lanes[name.decode()].due_ms = int(due)
        for name, letter in zip(dead[::2], dead[1::2], strict=True):
            self.dead[ItemId(name.decode())] = letter.partition(b"\n")[2]
        self.lanes = dict(lanes)

    def due(self, kind: str, shard: int) -> list[tuple[int, str]]:
        """(when in ms, lane) of a kind's lanes, in the order in which they are to be carried."""
        return sorted(
            (lane.due_ms, name)
            for name, lane in self.lanes.items()
            if lane.due_ms is not None and name.startswith(f"{kind}/") and _shard(name) == shard
        )


def _shard(lane: str) -> int:
    return crc32(lane.partition("/")[2].encode()) % SHARDS
