"""What the lanes are asked with and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from bot.clock import Clock
from flows.values.ids import ConversationId, ItemId


class Lease:
    """For how long a lane is surely ours, by this machine's own count.

    It counts from before the lane was asked for, so a slow answer, or a process that stood still, makes it no longer
    than the store's. Who writes to the store need not ask: the token settles it. It is for effects outside.
    """

    __slots__ = ("_clock", "_until_s")

    def __init__(self, clock: Clock, until_s: float) -> None:
        """`until_s`: by `Clock.steady_s`."""
        self._clock = clock
        self._until_s = until_s

    def holds(self) -> bool:
        return self._clock.steady_s() < self._until_s

    def renew(self, until_s: float) -> None:
        self._until_s = until_s


@dataclass(frozen=True, slots=True)
class Taken:
    """A leased lane: what its holder knows."""

    shard: int
    kind: str
    lane: str
    token: int
    """Fences the lease: whatever is written under an older one is refused."""
    was: int
    """How the lane was left: 0 free · > 0 the last holder vanished · -1 backed off · -2 in doubt whether the
    head took effect."""
    tries: int
    """How often the head has been taken, this time included; releases and waiting do not count."""
    head: int
    proof: bytes | None
    """What `confirm` learnt about the head: it took effect."""
    state: bytes | None
    items: tuple[bytes, ...]
    """The oldest items; empty when the lane was due by time alone."""
    ids: tuple[ItemId, ...]
    """Theirs. An id is never used again, even when a failover takes the store back."""
    lease: Lease = field(compare=False)

    def id(self, n: int = 0) -> ItemId:
        """The id of `items[n]`."""
        return self.ids[n]

    @property
    def conversation(self) -> ConversationId:
        return ConversationId(self.lane.partition("/")[2])


@dataclass(frozen=True, slots=True)
class Push:
    """One item for another lane of the same shard."""

    lane: str
    body: bytes
    take: bool = False
    """Lease the lane to the committer if nobody holds it."""


class Put(Enum):
    """What became of an event that we did not take."""

    WAITING = "waiting"
    SEEN = "seen"
    """It had been put before; nothing was done."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit left."""

    left: int
    """Items in the lane; if there are any, it is due."""
    taken: tuple[Taken, ...]
    """The pushed lanes that are now ours."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found."""

    next_due_ms: int
    """When the next lane of this kind is due, ms since the epoch; 0 = none. Past when more are due already."""
    taken: tuple[Taken, ...]


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the lanes of one kind are, over all shards."""

    waiting: int
    """Lanes that are due and not claimed yet."""
    leased: int
    oldest_ms: int
    """For how long the longest waiting lane has been due."""


@dataclass(frozen=True, slots=True)
class Depths:
    """How full the store is."""

    kinds: Mapping[str, Depth]
    journal: int
    """Lines on their way to PostgreSQL."""
    dead: int
    """Dead letters."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that was set aside."""

    item: ItemId
    at_ms: int
    tries: int
    why: str
    body: bytes

    @property
    def lane(self) -> str:
        return self.item.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane as it stands, for a person who looks into it."""

    lane: str
    shard: int
    due_in_ms: int | None
    """None = idle: nothing waits and no timer is set."""
    token: int
    """As `Taken.was`."""
    tries: int
    waiting: int
    """Number of items."""
    state: bytes | None
    proof: bytes | None
    items: tuple[tuple[ItemId, bytes], ...]
    """The oldest of them, with their bodies."""
