"""Lanes: durable FIFOs with lease, fencing, retry and a dead-letter end.

A lane is named `<kind>/<conversation>`. It is leased whole, so its items are handled by one holder at a time and
in order; a lease that is not ended runs out, and the lane is due again. The rules live in `scripts/*.lua`, each
file one atomic step; this is their Python face.
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Final, cast
from zlib import crc32

from bot.clock import Clock
from bot.lanes.errors import LaneError, NotReplicatedError, StoreLostError
from bot.lanes.line import Reply
from bot.lanes.script import Script
from bot.lanes.values import (
    Claimed,
    Committed,
    DeadLetter,
    Depth,
    Depths,
    LaneView,
    Lease,
    Push,
    Put,
    Taken,
)
from bot.lanes.wire import Wire
from flows.values.ids import ItemId

PREFIX: Final = (
    "smarterbot:"  # of every key, so that a store may be shared and one ACL pattern covers us
)

# Lua cannot unpack more than about 8,000 values, and a script holds everybody up while it runs. What is over
# these is refused before anything is sent; our own choice, far above what a turn needs.
ITEMS_MAX: Final = 1_000
PUSHES_MAX: Final = 200
LINES_MAX: Final = 1_000
CLAIM_MAX: Final = 256
JOURNAL_BYTES_MAX: Final = 256 * 1024  # of one shard at once; all shards are read together
PROOFS_MAX: Final = 1_000  # Meta batches up to 1,000 statuses; more are split
NEAR_MS: Final = 60_000  # as far ahead as a lease, or a doubt about a send, is noted
LOOK_MAX: Final = 1_000  # leases counted per shard and kind; more are shown as this many

UNKNOWN_REST_MS: Final = (
    1_000  # of a lease that the replicas do not know; chosen: they may come back
)

# Meta repeats a webhook for up to seven days; a redelivery falls into the set of the event's own day.
SEEN_TTL_S: Final = 8 * 86_400

_DOUBTED: Final = -2
_WHY = re.compile(r"[^\s]{1,64}")
_ITEM = re.compile(r"([a-z][a-z0-9_-]*/[!-~]{1,200}):([0-9]{1,15})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class _Keys:
    """The fixed keys of one shard; the braces keep them on one node of a cluster."""

    box: str
    journal: str
    dead: str
    seen: str
    ready: str

    @classmethod
    def of(cls, shard: int) -> "_Keys":
        tag = f"{{{shard}}}"
        return cls(
            *(f"{PREFIX}{name}:{tag}" for name in ("box", "journal", "dead", "seen", "ready"))
        )


@dataclass(frozen=True, slots=True)
class _Scripts:
    put: Script
    claim: Script
    commit: Script
    renew: Script
    retry: Script
    confirm: Script
    journal_read: Script
    journal_trim: Script
    depth: Script
    inspect: Script
    replay: Script
    set_back: Script


@cache
def _scripts() -> _Scripts:
    return _Scripts(
        **{
            name: Script.read("bot.lanes", name, shared="_lane")
            for name in _Scripts.__dataclass_fields__
        }
    )


class Lanes:
    """All lanes of one store.

    Every method raises StoreLostError when the store did not answer, or refuses for now. The outcome is unknown
    then, and repeating the call does no harm: a put is known by its mark, and whatever ends a lease ends it once.
    LaneError is a defect.

    What is told outside must outlive the primary, so it waits for the replicas, if the wire was told of any: an
    event that was put, a status that was confirmed, and a lease of one item, which allows an effect that cannot be
    repeated. Anything else may be lost by a failover: it is done again.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        shards: int,
        clock: Clock,
        lease_ms: int = 15_000,
        most_items: int = 32,
    ) -> None:
        """
        Args:
            shards: as `install` answered it.
            clock: the scripts use the store's own time plus this clock's shift. A shift also ends all leases.
            lease_ms: a holder that is silent for so long has vanished.
            most_items: shown to a holder at once; the rest stays in the lane.
        """
        if not 0 < most_items <= ITEMS_MAX:
            raise LaneError(f"most_items must be 1 to {ITEMS_MAX}")
        self.shards = shards
        self.lease_ms = lease_ms
        self._wire = wire
        self._clock = clock
        self._most_items = most_items
        self._scripts = _scripts()
        self._keys = [_Keys.of(shard) for shard in range(shards)]
        self._ready: dict[tuple[int, str], str] = {}

    # ---------------------------------------------------------- the work

    def shard(self, conversation: str) -> int:
        """Where a conversation lives, with all its lanes."""
        return crc32(conversation.encode()) % self.shards

    async def put(
        self,
        shard: int,
        lane: str,
        body: bytes,
        *,
        mark: str = "",
        day: int = 0,
        take: bool = False,
    ) -> Taken | Put:
        """Append one event, once.

        Args:
            mark: what makes the event itself: a second one with this mark and day is SEEN. Empty: always new.
            day: of the event's own timestamp, never of its arrival.
            take: lease the lane to us if nobody holds it and it does not rest.
        """
        kind = _kind(lane)
        keys = self._keys[shard]
        asked_s = self._clock.steady_s()
        try:
            reply = await self._wire.script(
                self._scripts.put,
                (keys.box, self._ready_key(shard, kind), f"{keys.seen}:{day}"),
                (
                    self._clock.shift_ms,
                    lane,
                    body,
                    blake2b(mark.encode(), digest_size=8).digest() if mark else b"",
                    SEEN_TTL_S,
                    self.lease_ms if take else 0,
                    self._most_items,
                ),
                replicated=True,
            )
        except NotReplicatedError as error:
            if isinstance(error.reply, list):
                await self._let_go([self._taken(shard, asked_s, error.reply)])
            raise
        if isinstance(reply, list):
            return self._taken(shard, asked_s, reply)
        return Put.SEEN if reply == b"seen" else Put.WAITING

    async def has_seen(self, shard: int, mark: str, days: Sequence[int]) -> bool:
        """Whether an event with this mark was put into a lane of the shard, its own timestamp being of one of these days."""
        seen = self._keys[shard].seen
        digest = blake2b(mark.encode(), digest_size=8).digest()
        replies = [self._wire.call("SISMEMBER", f"{seen}:{day}", digest) for day in days]
        return any([cast(int, await reply) for reply in replies])

    async def claim(
        self, shard: int, kind: str, *, lanes: int = 16, items: int | None = None
    ) -> Claimed:
        """Lease up to `lanes` due lanes, the longest due first.

        Args:
            items: most items to see of each; 1 for effects that cannot be repeated, so that only the head can
                ever be in doubt.
        """
        if not (0 < lanes <= CLAIM_MAX and 0 < (items or 1) <= ITEMS_MAX):
            raise LaneError(f"claim: at most {CLAIM_MAX} lanes of {ITEMS_MAX} items")
        asked_s = self._clock.steady_s()
        try:
            reply = await self._wire.script(
                self._scripts.claim,
                (self._keys[shard].box, self._ready_key(shard, kind)),
                (self._clock.shift_ms, self.lease_ms, lanes, items or self._most_items),
                replicated=items == 1,
            )
        except NotReplicatedError as error:
            _, *taken = cast(list[Reply], error.reply)
            await self._let_go(self._all_taken(shard, asked_s, taken))
            raise
        next_due_ms, *taken = cast(list[Reply], reply)
        return Claimed(cast(int, next_due_ms), self._all_taken(shard, asked_s, taken))

    async def commit(
        self,
        taken: Taken,
        *,
        consumed: int,
        state: bytes | None = None,
        wake_ms: int = 0,
        push: Sequence[Push] = (),
        journal: Sequence[bytes] = (),
        items: int = 1,
    ) -> Committed | None:
        """End the lease with everything that was decided, in one step.

        Args:
            consumed: how many of the oldest items are done; 0 gives the lane back and counts no attempt.
            state: None keeps what there is, empty drops it.
            wake_ms: when the lane is due without a new item, ms since the epoch; 0 = never. Ignored while
                items are left after some were consumed, or none was seen: the lane is due at once then. Each
                commit states it anew.
            push: items for other lanes of the same conversation, or of its shard. A lane that it takes is not ours
                after all when too few replicas know of it in time.
            items: most items to see of a lane that a push takes; 1 as in `claim`.

        Returns:
            None if the lease is no longer ours: nothing was done.
        """
        return await self._end(
            taken,
            consumed=consumed,
            why="",
            state=state,
            wake_ms=wake_ms,
            push=push,
            journal=journal,
            items=items,
        )

    async def bury(
        self,
        taken: Taken,
        *,
        why: str,
        push: Sequence[Push] = (),
        journal: Sequence[bytes] = (),
        state: bytes | None = None,
        wake_ms: int = 0,
    ) -> Committed | None:
        """As `commit` of the head, which is kept among the dead letters.

        Args:
            why: a name for the reason, one word, without personal data.
        """
        if not _WHY.fullmatch(why):
            raise LaneError("bury: the reason must be one word of up to 64 characters")
        if not taken.items:
            raise LaneError("bury: there is no item")
        return await self._end(
            taken,
            consumed=1,
            why=why,
            state=state,
            wake_ms=wake_ms,
            push=push,
            journal=journal,
            items=1,
        )

    async def renew(self, takens: Sequence[Taken]) -> list[bool]:
        """Push out the end of these leases; False = it is no longer ours. The answers are in order."""
        groups: dict[tuple[int, str], list[int]] = {}
        for n, taken in enumerate(takens):
            groups.setdefault((taken.shard, taken.kind), []).append(n)
        until_s = self._clock.steady_s() + self.lease_ms / 1000
        replies = [
            self._wire.script(
                self._scripts.renew,
                (self._keys[shard].box, self._ready_key(shard, kind)),
                (
                    self._clock.shift_ms,
                    self.lease_ms,
                    *(arg for n in group for arg in (takens[n].lane, takens[n].token)),
                ),
            )
            for (shard, kind), group in groups.items()
        ]
        kept = [False] * len(takens)
        for group, reply in zip(groups.values(), replies, strict=True):
            for n, mine in zip(group, cast(list[int], await reply), strict=True):
                kept[n] = mine == 1
                if kept[n]:
                    takens[n].lease.renew(until_s)
        return kept

    async def retry(
        self, taken: Taken, *, delay_ms: int, doubt: bool = False, counts: bool = True
    ) -> bool:
        """Give the lane back untouched; it rests for `delay_ms`, and new items do not wake it.

        A doubt stays with its item: a lane that came with a vanished holder or in doubt goes back as it came,
        whatever this holder says. Only consuming the head ends it.

        Args:
            doubt: the head may have taken effect. Its proof, even if it came before, wakes the lane.
            counts: whether this was an attempt (`Taken.tries`).

        Returns:
            False if the lease is no longer ours: nothing was done.
        """
        if doubt or taken.was == _DOUBTED:
            left_as = "doubted"
        elif taken.was > 0:
            left_as = "vanished"
        else:
            left_as = "clean"
        reply = await self._wire.script(
            self._scripts.retry,
            (self._keys[taken.shard].box, self._ready_key(taken.shard, taken.kind)),
            (
                self._clock.shift_ms,
                taken.lane,
                taken.token,
                max(0, delay_ms),
                left_as,
                int(counts),
            ),
        )
        return reply == 1

    async def confirm(
        self, shard: int, kind: str, line: bytes, proofs: Sequence[tuple[ItemId, bytes]]
    ) -> list[int]:
        """Journal a line, and keep proofs that items took effect for those still in a lane of this kind.

        Ids that are not ours, or not of this kind, are passed over: they come from outside.

        Args:
            shard: whose journal takes the line; the items may be of any shard with the same `home`.

        Returns:
            The shards that proofs were kept in, one for each proof.
        """
        ours = f"{kind}/"
        known = [
            (self.shard(match[1].removeprefix(ours)), (match[1], match[2], match[3], proof))
            for item, proof in proofs
            if item.startswith(ours) and (match := _ITEM.fullmatch(item)) is not None
        ]
        # Most items are done long before the last status of them: a look is cheaper than a script. It goes before the
        # line, so that replicas which have the line know of every commit that the look saw.
        waiting = [
            self._wire.call("HEXISTS", self._keys[at].box, f"i:{lane}:{k}")
            for at, (lane, _, k, _) in known
        ]
        journaled = self._wire.call("RPUSH", self._keys[shard].journal, line, replicated=True)
        by_shard: dict[int, list[tuple[str, str, str, bytes]]] = {}
        *looks, _ = await _all([*waiting, journaled])
        for (at, status), waits in zip(known, looks, strict=True):
            if waits:
                by_shard.setdefault(at, []).append(status)
        kept = [
            (
                at,
                self._wire.script(
                    self._scripts.confirm,
                    (self._keys[at].box, self._ready_key(at, kind)),
                    (
                        self._clock.shift_ms,
                        *(arg for status in found[n : n + PROOFS_MAX] for arg in status),
                    ),
                    replicated=True,
                ),
            )
            for at, found in by_shard.items()
            for n in range(0, len(found), PROOFS_MAX)
        ]
        counts = await _all([reply for _, reply in kept])
        return [
            at for (at, _), count in zip(kept, counts, strict=True) for _ in range(cast(int, count))
        ]

    def home(self, shard: int) -> int:
        """Shards of the same home are on one server for as long as we run."""
        return shard if self._wire.is_cluster else 0

    # ------------------------------------------------------- the journal

    async def read_journal(self, shard: int, n: int) -> tuple[int, list[bytes]]:
        """The oldest lines of a shard, up to `n` or `JOURNAL_BYTES_MAX`, and the position that `trim_journal` asks for."""
        keys = self._keys[shard]
        reply = await self._wire.script(
            self._scripts.journal_read, (keys.box, keys.journal), (n, JOURNAL_BYTES_MAX)
        )
        position, lines = cast(tuple[int, list[bytes]], reply)
        return position, lines

    async def journal_ends(self) -> list[int]:
        """Of each shard: the position behind its last line; see `journal_trimmed`."""
        lengths = [self._wire.call("LLEN", keys.journal) for keys in self._keys]
        held = [cast(int, await length) for length in lengths]
        # Asked for after the lengths: what is trimmed meanwhile makes an end too far, never too near.
        trimmed = await self.journal_trimmed()
        return [position + length for position, length in zip(trimmed, held, strict=True)]

    async def journal_trimmed(self) -> list[int]:
        """Of each shard: the position up to which its lines have been written and dropped."""
        replies = [self._wire.call("HGET", keys.box, "trimmed") for keys in self._keys]
        return [int(cast("bytes | None", await reply) or 0) for reply in replies]

    async def trim_journal(self, shard: int, position: int, lines: Sequence[bytes]) -> bool:
        """Drop the lines that were read at `position`; at least one.

        Returns:
            False if they are not there any more: nothing was done, and what we read may be read again.
        """
        keys = self._keys[shard]
        reply = await self._wire.script(
            self._scripts.journal_trim,
            (keys.box, keys.journal),
            (position, len(lines), lines[-1]),
        )
        return reply == 1

    # ------------------------------------------------------ looking after

    async def depths(self) -> Depths:
        """How full everything is: one short script per shard, whatever the number of idle lanes."""
        kinds = await self._kinds()
        replies = [
            self._wire.script(
                self._scripts.depth,
                (
                    keys.box,
                    keys.journal,
                    keys.dead,
                    *(f"{keys.ready}:{kind}" for kind in kinds),
                ),
                (self._clock.shift_ms, self.lease_ms, LOOK_MAX),
            )
            for keys in self._keys
        ]
        rows = [cast(list[int], await reply) for reply in replies]
        return Depths(
            kinds={
                kind: Depth(
                    waiting=sum(row[at] for row in rows),
                    leased=sum(row[at + 1] for row in rows),
                    oldest_ms=max(row[at + 2] for row in rows),
                )
                for at, kind in zip(range(2, 2 + 3 * len(kinds), 3), kinds, strict=True)
            },
            journal=sum(row[0] for row in rows),
            dead=sum(row[1] for row in rows),
        )

    async def set_back(self, ms: int) -> int:
        """The store's clock was set back by `ms` just now: nobody waits for it to catch up.

        Lanes with work keep what was left of their lease or rest. Not for small corrections: what is noted for less
        than `NEAR_MS` ahead stays, for it may have been noted since.

        Returns:
            How many lanes would have waited.
        """
        kinds = await self._kinds()
        replies = [
            self._wire.script(
                self._scripts.set_back,
                (keys.box, f"{keys.ready}:{kind}"),
                (self._clock.shift_ms, ms, NEAR_MS),
            )
            for keys in self._keys
            for kind in kinds
        ]
        return sum([cast(int, await reply) for reply in replies])

    async def dead_letters(self, *, most: int = 100) -> list[DeadLetter]:
        """Items that were set aside, the oldest first; which ones, if there are more than `most`, is not said."""
        letters: list[DeadLetter] = []
        for keys in self._keys:
            cursor = b"0"
            while len(letters) < most:
                reply = await self._wire.call("HSCAN", keys.dead, cursor, "COUNT", 100)
                cursor, page = cast(tuple[bytes, list[bytes]], reply)
                letters += map(_dead_letter, page[::2], page[1::2])
                if cursor == b"0":
                    break
        # A scan may show a field twice.
        unique = {letter.item: letter for letter in letters[:most]}
        return sorted(unique.values(), key=lambda letter: letter.at_ms)

    async def replay(self, item: ItemId) -> bool:
        """Put a dead letter back at the end of its lane, as a new item with a new id.

        Returns:
            False if there is no such dead letter.
        """
        lane = _lane_of(item)
        shard = self.shard(lane.partition("/")[2])
        keys = self._keys[shard]
        reply = await self._wire.script(
            self._scripts.replay,
            (keys.box, self._ready_key(shard, _kind(lane)), keys.dead),
            (self._clock.shift_ms, lane, item),
        )
        return reply == 1

    async def forget(self, item: ItemId) -> bool:
        """Drop a dead letter for good. False if there is no such dead letter."""
        shard = self.shard(_lane_of(item).partition("/")[2])
        return await self._wire.call("HDEL", self._keys[shard].dead, item) == 1

    async def state_of(self, lane: str) -> bytes | None:
        """What the last commit left of a lane; None if it never was, or its state was dropped."""
        shard = self.shard(lane.partition("/")[2])
        reply = await self._wire.call("HGET", self._keys[shard].box, f"s:{lane}")
        return cast(bytes | None, reply)

    async def inspect(self, lane: str) -> LaneView:
        """One lane as it stands, untouched. A lane that never was looks idle."""
        shard = self.shard(lane.partition("/")[2])
        keys = self._keys[shard]
        reply = await self._wire.script(
            self._scripts.inspect,
            (keys.box, f"{keys.ready}:{_kind(lane)}"),
            (self._clock.shift_ms, lane, self._most_items),
        )
        due_in, token, tries, tail, head, proof, state, *found = cast(list[Reply], reply)
        first = cast(int, head)
        ids, bodies = _opened(lane, first, found)
        return LaneView(
            lane=lane,
            shard=shard,
            due_in_ms=cast(int | None, due_in),
            token=cast(int, token),
            tries=cast(int, tries),
            waiting=cast(int, tail) - first,
            state=cast(bytes | None, state),
            proof=cast(bytes | None, proof),
            items=tuple(zip(ids, bodies, strict=True)),
        )

    # ------------------------------------------------------------ within

    async def _end(
        self,
        taken: Taken,
        *,
        consumed: int,
        why: str,
        state: bytes | None,
        wake_ms: int,
        push: Sequence[Push],
        journal: Sequence[bytes],
        items: int,
    ) -> Committed | None:
        if not 0 <= consumed <= len(taken.items):
            raise LaneError(f"commit: {consumed} consumed of {len(taken.items)} seen")
        if len(push) > PUSHES_MAX or len(journal) > LINES_MAX or not 0 < items <= ITEMS_MAX:
            raise LaneError(
                f"commit: {len(push)} pushes (at most {PUSHES_MAX}), {len(journal)} lines "
                f"(at most {LINES_MAX}), {items} items (at most {ITEMS_MAX})"
            )
        shard, keys = taken.shard, self._keys[taken.shard]
        asked_s = self._clock.steady_s()
        is_known_to_replicas = True
        try:
            reply: object = await self._wire.script(
                self._scripts.commit,
                (
                    keys.box,
                    self._ready_key(shard, taken.kind),
                    keys.journal,
                    keys.dead,
                    *(self._ready_key(shard, _kind(p.lane)) for p in push),
                ),
                (
                    self._clock.shift_ms,
                    taken.lane,
                    taken.token,
                    consumed,
                    why,
                    "keep" if state is None else "set" if state else "drop",
                    state or b"",
                    wake_ms,
                    self.lease_ms,
                    items,
                    len(journal),
                    len(taken.items),
                    *journal,
                    *(arg for p in push for arg in (p.lane, p.body, int(p.take))),
                ),
                replicated=items == 1 and any(p.take for p in push),
            )
        except NotReplicatedError as error:
            # It is done as any commit is; only what it leased must not be acted upon.
            reply, is_known_to_replicas = error.reply, False
        if not isinstance(reply, list):
            return None
        left, *pushed = cast(list[Reply], reply)
        following = self._all_taken(shard, asked_s, pushed)
        if not is_known_to_replicas:
            await self._let_go(following)
            following = ()
        return Committed(cast(int, left), following)

    async def _let_go(self, takens: Sequence[Taken]) -> None:
        """Nobody may act on these leases: a failover would forget them, and another worker would act, too."""
        with contextlib.suppress(StoreLostError):
            for taken in takens:
                await self.retry(taken, delay_ms=UNKNOWN_REST_MS, counts=False)

    async def _kinds(self) -> list[str]:
        """All kinds of lanes that ever were."""
        names = cast(list[bytes], await self._wire.call("SMEMBERS", f"{PREFIX}kinds"))
        return sorted(name.decode() for name in names)

    def _ready_key(self, shard: int, kind: str) -> str:
        try:
            return self._ready[shard, kind]
        except KeyError:
            # Kinds are told to the store once per process and shard, so that `depths` can name them; nothing
            # waits for it, and the next process tells them again.
            self._wire.tell("SADD", f"{PREFIX}kinds", kind)
            key = self._ready[shard, kind] = f"{self._keys[shard].ready}:{kind}"
            return key

    def _taken(self, shard: int, asked_s: float, reply: list[Reply]) -> Taken:
        # The shape is written above `take` in _lane.lua.
        lane, head = cast(bytes, reply[0]).decode(), cast(int, reply[4])
        ids, bodies = _opened(lane, head, reply[7:])
        return Taken(
            shard,
            lane.partition("/")[0],
            lane,
            cast(int, reply[1]),
            cast(int, reply[2]),
            cast(int, reply[3]),
            head,
            cast(bytes | None, reply[5]),
            cast(bytes | None, reply[6]),
            bodies,
            ids,
            Lease(self._clock, asked_s + self.lease_ms / 1000),
        )

    def _all_taken(self, shard: int, asked_s: float, replies: list[Reply]) -> tuple[Taken, ...]:
        return tuple(self._taken(shard, asked_s, cast(list[Reply], reply)) for reply in replies)


async def _all(replies: Sequence[asyncio.Future[Reply]]) -> list[Reply]:
    """The replies, or the first error as soon as all of them came.

    As `asyncio.gather`, at half the cost for many that come together.
    """
    found: list[Reply] = []
    lost: StoreLostError | LaneError | None = None
    for reply in replies:
        try:
            found.append(await reply)
        except (StoreLostError, LaneError) as error:
            lost = lost or error
    if lost is not None:
        raise lost
    return found


def _kind(lane: str) -> str:
    kind, slash, conversation = lane.partition("/")
    if not (kind and slash and conversation):
        raise LaneError("a lane is named <kind>/<conversation>")
    return kind


def _lane_of(item: ItemId) -> str:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise LaneError("an item is named <kind>/<conversation>:<number>-<k>")
    return match[1]


def _opened(
    lane: str, head: int, items: Sequence[Reply]
) -> tuple[tuple[ItemId, ...], tuple[bytes, ...]]:
    """The ids and the bodies of items as they lie in the box: "number body"."""
    ids, bodies = [], []
    for k, item in enumerate(items, head):
        number, _, body = cast(bytes, item).partition(b" ")
        ids.append(ItemId(f"{lane}:{number.decode()}-{k}"))
        bodies.append(body)
    return tuple(ids), tuple(bodies)


def _dead_letter(item: bytes, record: bytes) -> DeadLetter:
    head, _, body = record.partition(b"\n")
    at_ms, tries, why = head.decode().split(" ")
    return DeadLetter(ItemId(item.decode()), int(at_ms), int(tries), why, body)
