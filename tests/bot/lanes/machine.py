"""Random interleavings of producers, workers, crashes, expiries, statuses and failovers, against a model.

A worker is a lease that we hold; a crash is a lease that we forget; a failover takes the store back to an earlier
moment, and not the workers. Time is moved, never waited for; what passes of itself is bracketed by the store's own
clock. After every step the store must be what the model says, down to the time at which each lane is due.
"""

import argparse
import asyncio
import copy
import math
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bot.clock import Clock
from bot.lanes import PREFIX, Committed, Lanes, Push, Put, Taken, Wire
from bot.lanes.lanes import ITEMS_MAX
from flows.values.ids import ItemId

T = TypeVar("T")

LEASE_MS: Final = 60_000
DELAY_MS: Final = 5_000
SHOWN: Final = 3  # most items
KINDS: Final = ("conv", "wa")
LANES: Final = tuple(f"{kind}/{n}" for kind in KINDS for n in range(3))
NOTICED: Final = 3  # the exit code of a run that found something wrong
ABANDONED: Final = 0.5  # a token that nobody knows: the lease of a holder that vanished

# What happens, and how often in proportion.
STEPS: Final = {
    "put": 5,
    "claim": 4,
    "end": 7,
    "retry": 4,
    "renew": 1,
    "crash": 1,
    "status": 3,
    "dead_letter": 1,
    "reader": 3,
    "later": 3,
    "replicate": 1,
    "failover": 1,
}

# What the store holds of the model, and a failover takes back.
HELD_BY_THE_STORE: Final = (
    *("lanes", "gripped", "marks", "proofs", "born", "done", "dead", "forgotten"),
    *("journal", "trimmed", "written"),
)

PATTERN: Final = f"{PREFIX}*:{{0}}*"
KEYS: Final = {name: f"{PREFIX}{name}:{{0}}" for name in ("box", "journal", "dead", "ready")}

lane_names = st.sampled_from(LANES)
pushes = st.lists(st.tuples(lane_names, st.booleans()), max_size=3)
wakes = st.sampled_from([False, False, True])


@dataclass(frozen=True)
class Moment:
    """Between these two readings of the store's clock it happened."""

    lo: int
    hi: int

    def later(self, ms: int) -> "Moment":
        return Moment(self.lo + ms, self.hi + ms)

    def earlier_of(self, other: "Moment | None") -> "Moment":
        if other is None:
            return self
        return Moment(min(self.lo, other.lo), min(self.hi, other.hi))


@dataclass
class Lane:
    """What a lane should be."""

    items: list[bytes] = field(default_factory=list)
    token: float = 0
    tries: int = 0
    state: bytes | None = None
    due: Moment | None = None

    @property
    def is_idle(self) -> bool:
        return not self.items and self.token == 0


@dataclass(frozen=True)
class Reading:
    position: int
    lines: list[bytes]
    failovers: int
    """That had been."""


@dataclass(frozen=True)
class Replica:
    """What a replica has heard of."""

    dumps: dict[bytes, bytes]
    model: dict[str, object]


class LanesMachine(RuleBasedStateMachine):
    def __init__(self, runner: asyncio.Runner, wire: Wire) -> None:
        super().__init__()
        self.runner = runner
        self.wire = wire
        self.clock = Clock()
        self.store = Lanes(wire, shards=1, clock=self.clock, lease_ms=LEASE_MS, most_items=SHOWN)
        self.everything = Lanes(wire, shards=1, clock=self.clock, most_items=ITEMS_MAX)
        self.run(self.empty())

        self.count = 0
        self.lanes = {name: Lane() for name in LANES}
        self.held: list[Taken] = []
        self.readings: list[Reading] = []
        self.failovers = 0
        self.replica: Replica | None = None
        # what happened
        self.gripped: dict[str, Moment] = {}
        """When each lane was last taken or renewed."""
        self.marks: list[bytes] = []
        self.ids: dict[ItemId, tuple[str, bytes]] = {}
        self.proofs: set[bytes] = set()
        self.tokens: set[tuple[str, int]] = set()
        self.born: list[tuple[str, bytes]] = []
        self.done: list[tuple[str, bytes]] = []
        self.dead: dict[ItemId, tuple[str, bytes]] = {}
        self.forgotten: list[tuple[str, bytes]] = []
        self.outlived: set[ItemId] = set()
        self.journal: list[bytes] = []
        self.trimmed: list[bytes] = []
        self.written: list[bytes] = []

    # ------------------------------------------------------------ running

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def timed(self, work: Callable[[], Coroutine[None, None, T]]) -> tuple[Moment, T]:
        """Do it, between two looks at the store's clock.

        Each step is at least 1 ms after the one before: what fell due first does not hang on our speed.
        """
        self.clock.shift_ms += 1

        async def between() -> tuple[Moment, T]:
            lo = self.ms(await self.wire.call("TIME"))
            result = await work()
            return Moment(lo, self.ms(await self.wire.call("TIME"))), result

        return self.runner.run(between())

    def ms(self, reply: object) -> int:
        seconds, micros = cast(list[bytes], reply)
        return int(seconds) * 1000 + int(micros) // 1000 + self.clock.shift_ms

    def fresh(self, letter: str) -> bytes:
        self.count += 1
        return f"{letter}{self.count:04}".encode()

    # -------------------------------------------------------------- model

    def took(self, taken: Taken, at: Moment, *, shown: int) -> None:
        lane = self.lanes[taken.lane]
        lane.tries += 1
        assert taken.items == tuple(lane.items[:shown])
        assert taken.state == lane.state
        assert taken.tries == lane.tries
        assert taken.kind == taken.lane.partition("/")[0]
        if lane.token == ABANDONED:
            assert taken.was > 0
        else:
            assert taken.was == lane.token
        assert (taken.proof is not None) == (bool(lane.items) and lane.items[0] in self.proofs)
        assert (taken.lane, taken.token) not in self.tokens, "a token never repeats"

        for n, body in enumerate(taken.items):
            known = self.ids.setdefault(taken.id(n), (taken.lane, body))
            assert known == (taken.lane, body), "an item's id never repeats"
        self.tokens.add((taken.lane, taken.token))
        lane.token = taken.token
        lane.due = at.later(LEASE_MS)
        self.gripped[taken.lane] = at
        self.held.append(taken)

    def appended(self, name: str, body: bytes, at: Moment) -> None:
        lane = self.lanes[name]
        self.born.append((name, body))
        lane.items.append(body)
        if lane.token == 0:
            lane.due = at.earlier_of(lane.due)

    def stands_behind(self, name: str, at: Moment) -> None:
        """A lane that goes on takes its place behind all that were due before: nobody starves."""
        queue = self.ready(name.partition("/")[0])
        [mine] = [due for other, due in queue if other == name]
        waited = [due for _, due in queue if due < at.lo]
        assert all(due <= mine for due in waited)

    def pushed(self, push: list[Push], committed: Committed, at: Moment) -> None:
        taken = iter(committed.taken)
        for one in push:
            lane = self.lanes[one.lane]
            takes = one.take and lane.token == 0
            self.appended(one.lane, one.body, at)
            if takes:
                self.took(next(taken), at, shown=1)
        assert next(taken, None) is None

    def is_ours(self, taken: Taken) -> bool:
        return self.lanes[taken.lane].token == taken.token

    # -------------------------------------------------------------- rules

    @rule(
        data=st.data(),
        step=st.sampled_from([step for step, weight in STEPS.items() for _ in range(weight)]),
    )
    def step(self, data: st.DataObject, step: str) -> None:
        """One rule for everything: of several, hypothesis leaves out some in each sequence, and lanes that
        nobody fills, claims or ends show little."""
        match step:
            case "claim":
                self.claim(data)
            case "end" if self.held:
                self.end(data)
            case "retry" if self.held:
                self.retry(data)
            case "renew" if self.held:
                self.renew(data)
            case "crash" if self.held:
                self.held.remove(data.draw(st.sampled_from(self.held)))
            case "status" if self.ids:
                self.status(data)
            case "dead_letter" if self.dead:
                self.dead_letter(data)
            case "reader":
                self.reader(data)
            case "replicate":
                self.replicate()
            case "failover" if self.replica is not None:
                self.failover(self.replica)
            case "later":
                self.clock.shift_ms += data.draw(
                    st.sampled_from([DELAY_MS + 1_000, LEASE_MS + 1_000])
                )
            case _:
                self.put(data)

    def put(self, data: st.DataObject) -> None:
        name = data.draw(lane_names)
        take = data.draw(st.booleans())
        again = data.draw(st.sampled_from([None, None, None, 0, 7, 23]))
        repeats = again is not None and bool(self.marks)
        mark = (
            self.marks[again % len(self.marks)]
            if again is not None and repeats
            else self.fresh("e")
        )
        at, answer = self.timed(
            partial(self.store.put, 0, name, mark, mark=mark.decode(), day=1, take=take)
        )

        if repeats:
            assert answer is Put.SEEN
            return
        self.marks.append(mark)
        is_free = self.lanes[name].token == 0
        self.appended(name, mark, at)
        if take and is_free:
            assert isinstance(answer, Taken)
            self.took(answer, at, shown=SHOWN)
        else:
            assert answer is Put.WAITING

    def claim(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(KINDS))
        lanes = data.draw(st.integers(1, 3))
        items = data.draw(st.sampled_from([1, SHOWN]))
        waiting = self.ready(kind)
        at, claimed = self.timed(partial(self.store.claim, 0, kind, lanes=lanes, items=items))

        # The longest due first: nobody starves.
        must = [name for name, due in waiting if due <= at.lo][:lanes]
        may = [name for name, due in waiting if due <= at.hi][:lanes]
        got = [taken.lane for taken in claimed.taken]
        assert got[: len(must)] == must
        assert got == may[: len(got)]
        for taken in claimed.taken:
            self.took(taken, at, shown=items)
        rest = self.ready(kind)
        assert claimed.next_due_ms == (rest[0][1] if rest else 0)

    def end(self, data: st.DataObject) -> None:
        """Commit or bury; with `repeat` the same lease is ended again later, which must do nothing."""
        to = data.draw(pushes)
        wake, repeat, bury = data.draw(st.tuples(wakes, st.booleans(), st.booleans()))
        state = data.draw(st.sampled_from([b"some", b"other", b"", None]))
        taken = data.draw(st.sampled_from(self.held))
        if not repeat:
            self.held.remove(taken)
        bury = bury and bool(taken.items)
        used = 1 if bury else data.draw(st.integers(0, len(taken.items)))
        push = [Push(name, self.fresh("p"), take) for name, take in to]
        lines = [self.fresh("j") for _ in to]
        wake_ms = self.now() + DELAY_MS if wake else 0
        if bury:
            work = partial(self.store.bury, taken, why="tries")
        else:
            work = partial(self.store.commit, taken, consumed=used)
        at, committed = self.timed(
            partial(work, state=state, wake_ms=wake_ms, push=push, journal=lines)
        )

        if not self.is_ours(taken):
            assert committed is None
            return
        assert committed is not None
        lane = self.lanes[taken.lane]
        gone = [(taken.lane, body) for body in lane.items[:used]]
        if bury:
            self.dead[taken.id()] = gone[0]
        else:
            self.done += gone
        del lane.items[:used]
        lane.token = 0
        lane.tries = 0 if used or not lane.items else lane.tries - 1
        if state is not None:
            lane.state = state or None
        # Whoever saw nothing knows nothing of what came meanwhile.
        waits = wake and not used and taken.items
        if waits or (wake and not lane.items):
            lane.due = Moment(wake_ms, wake_ms)
        else:
            lane.due = at if lane.items else None
        self.journal += lines
        self.written += lines
        assert committed.left == len(lane.items)
        if committed.left and not waits:
            self.stands_behind(taken.lane, at)
        self.pushed(push, committed, at)

    def retry(self, data: st.DataObject) -> None:
        doubt, counts = data.draw(st.tuples(st.booleans(), st.booleans()))
        taken = data.draw(st.sampled_from(self.held))
        self.held.remove(taken)
        at, done = self.timed(
            partial(self.store.retry, taken, delay_ms=DELAY_MS, doubt=doubt, counts=counts)
        )

        assert done == self.is_ours(taken)
        if not done:
            return
        lane = self.lanes[taken.lane]
        lane.due = at.later(DELAY_MS)
        if not counts:
            lane.tries -= 1
        if doubt or taken.was == -2:
            lane.token = -2
            if lane.items and lane.items[0] in self.proofs:
                lane.due = at
        else:
            lane.token = ABANDONED if taken.was > 0 else -1

    def renew(self, data: st.DataObject) -> None:
        takens = data.draw(st.lists(st.sampled_from(self.held), min_size=1, max_size=3))
        at, kept = self.timed(partial(self.store.renew, takens))

        assert kept == [self.is_ours(taken) for taken in takens]
        for taken in takens:
            if self.is_ours(taken):
                self.lanes[taken.lane].due = at.later(LEASE_MS)
                self.gripped[taken.lane] = at

    def status(self, data: st.DataObject) -> None:
        """A status names an item: in flight, in doubt, done long ago, or not at its turn yet."""
        item = data.draw(st.sampled_from(sorted(self.ids)))
        name, body = self.ids[item]
        again = data.draw(st.booleans())
        line = b"told again" if again else self.fresh("j")
        kind = name.partition("/")[0]
        at, kept = self.timed(
            partial(self.store.confirm, 0, kind, line, [(item, b"wamid"), (ItemId("foreign"), b"")])
        )

        lane = self.lanes[name]
        assert kept == [0] * (body in lane.items and item not in self.outlived)
        self.journal.append(line)
        self.written.append(line)
        if kept:
            self.proofs.add(body)
            if lane.token == -2 and lane.items[0] == body:
                lane.due = at

    def dead_letter(self, data: st.DataObject) -> None:
        forget = data.draw(st.booleans())
        item = data.draw(st.sampled_from(sorted(self.dead)))
        name, body = self.dead.pop(item)
        work = self.store.forget if forget else self.store.replay
        at, done = self.timed(partial(work, item))

        assert done
        assert not self.run(work(item)), "it is there once"
        if forget:
            self.forgotten.append((name, body))
        else:
            self.born.remove((name, body))
            self.proofs.discard(body)
            self.outlived |= {id for id, (_, known) in self.ids.items() if known == body}
            self.appended(name, body, at)

    def reader(self, data: st.DataObject) -> None:
        """Any number of readers, each with what it read some time ago."""
        trims: bool = data.draw(st.booleans())
        if self.readings and trims:
            self.trim(data)
        else:
            self.read(data.draw(st.integers(1, 4)))

    def read(self, n: int) -> None:
        position, lines = self.run(self.store.read_journal(0, n))

        assert lines == self.journal[:n]
        assert position == len(self.trimmed)
        if lines:
            self.readings.append(Reading(position, lines, self.failovers))

    def trim(self, data: st.DataObject) -> None:
        reading = data.draw(st.sampled_from(self.readings))
        n = len(reading.lines)
        done = self.run(self.store.trim_journal(0, reading.position, reading.lines))

        there = self.journal[:n]
        # A failover may put other lines in their place; that the same one comes to stand last is left to chance.
        same = there if reading.failovers == self.failovers else there[n - 1 :]
        stands = reading.position == len(self.trimmed) and len(there) == n
        assert done == (stands and same == reading.lines[-len(same) :])
        if done:
            self.trimmed += self.journal[:n]
            del self.journal[:n]

    def replicate(self) -> None:
        """The replica hears of everything up to now."""

        async def dump() -> dict[bytes, bytes]:
            names = cast(list[bytes], await self.wire.call("KEYS", PATTERN))
            return {name: cast(bytes, await self.wire.call("DUMP", name)) for name in names}

        model = copy.deepcopy({part: getattr(self, part) for part in HELD_BY_THE_STORE})
        self.replica = Replica(self.runner.run(dump()), model)

    async def empty(self) -> None:
        for name in cast(list[bytes], await self.wire.call("KEYS", PATTERN)):
            await self.wire.call("DEL", name)

    def failover(self, replica: Replica) -> None:
        """The replica becomes the store. Workers, readers and statuses of before are still about."""

        async def restore() -> set[ItemId]:
            last = int(cast(bytes, await self.wire.call("HGET", KEYS["box"], "#") or b"0"))
            await self.empty()
            for name, dumped in replica.dumps.items():
                await self.wire.call("RESTORE", name, 0, dumped)
            # It takes longer than the moment by which we, in a hurry, may be ahead of the clock.
            while 10 * (self.ms(await self.wire.call("TIME")) - self.clock.shift_ms) <= last:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            found: set[ItemId] = set()
            for lane in LANES:
                found |= {item for item, _ in (await self.everything.inspect(lane)).items}
            return found

        there = self.runner.run(restore())
        self.failovers += 1
        for part, value in copy.deepcopy(replica.model).items():
            setattr(self, part, value)
        # What was taken, buried or replayed since is what it was; an id that it had since is lost.
        self.outlived = {
            item
            for item, (name, body) in self.ids.items()
            if body in self.lanes[name].items and item not in there
        }

    # --------------------------------------------------------- invariants

    def ready(self, kind: str) -> list[tuple[str, int]]:
        """Lanes of a kind and when they are due, in order."""
        key = f"{KEYS['ready']}:{kind}"
        flat = cast(list[bytes], self.run(self.wire.call("ZRANGE", key, 0, -1, "WITHSCORES")))
        return [(name.decode(), int(due)) for name, due in zip(flat[::2], flat[1::2], strict=True)]

    def now(self) -> int:
        return self.ms(self.run(self.wire.call("TIME")))

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        async def look() -> list[list[bytes]]:
            commands = (
                ("HGETALL", KEYS["box"]),
                ("LRANGE", KEYS["journal"], 0, -1),
                ("HKEYS", KEYS["dead"]),
                *(("ZRANGE", f"{KEYS['ready']}:{kind}", 0, -1, "WITHSCORES") for kind in KINDS),
            )
            replies = [self.wire.call(*command) for command in commands]
            return [cast(list[bytes], await reply) for reply in replies]

        flat, journal, dead, *queues = self.runner.run(look())
        box = dict(zip(flat[::2], flat[1::2], strict=True))
        box.pop(b"#", None)
        trimmed = int(box.pop(b"trimmed", b"0"))
        fields = {
            prefix: {k[2:].decode(): v for k, v in box.items() if k.startswith(prefix)}
            for prefix in (b"m:", b"i:", b"d:", b"s:")
        }
        assert sum(map(len, fields.values())) == len(box)
        assert set(fields[b"m:"]) == {n for n, lane in self.lanes.items() if not lane.is_idle}
        assert fields[b"s:"] == {n: lane.state for n, lane in self.lanes.items() if lane.state}
        bodies = {place: item.partition(b" ")[2] for place, item in fields[b"i:"].items()}
        assert sorted(bodies.values()) == sorted(
            body for lane in self.lanes.values() for body in lane.items
        )
        assert {bodies[place] for place in fields[b"d:"]} == {
            body for lane in self.lanes.values() for body in lane.items if body in self.proofs
        }
        assert set(map(bytes.decode, dead)) == set(self.dead)
        assert journal == self.journal
        assert trimmed == len(self.trimmed)
        ready = {
            name.decode(): int(due)
            for queue in queues
            for name, due in zip(queue[::2], queue[1::2], strict=True)
        }
        assert set(ready) == {name for name, lane in self.lanes.items() if lane.due is not None}
        for name, due in ready.items():
            lane = self.lanes[name]
            assert lane.due is not None
            assert lane.due.lo <= due <= lane.due.hi
            if lane.token > ABANDONED:
                assert due <= self.gripped[name].hi + LEASE_MS, "a vanished holder is outwaited"

    def teardown(self) -> None:
        """A healthy worker empties every lane: nothing is lost, nothing comes twice, all in order.

        After one lease it reaches every lane, whoever held it, and then as often as its items ask for.
        """
        longest = max(len(lane.items) for lane in self.lanes.values())
        for _ in range(max(1, math.ceil(longest / SHOWN))):
            self.clock.shift_ms += LEASE_MS + 1_000
            taken = [
                one
                for kind in KINDS
                for one in self.run(self.store.claim(0, kind, lanes=len(LANES))).taken
            ]
            assert {one.lane for one in taken} == {
                name for name, lane in self.lanes.items() if lane.due is not None
            }
            for one in taken:
                lane = self.lanes[one.lane]
                assert one.items == tuple(lane.items[:SHOWN])
                used = len(one.items)
                committed = self.run(self.store.commit(one, consumed=used))
                assert committed == Committed(len(lane.items) - used, ())
                self.done += [(one.lane, body) for body in one.items]
                del lane.items[:used]
                lane.due = Moment(0, 0) if lane.items else None

        assert all(not self.ready(kind) for kind in KINDS)
        ended = [*self.done, *self.dead.values(), *self.forgotten]
        assert sorted(ended) == sorted(self.born)
        for name in LANES:
            assert [x for x in self.born if x[0] == name and x in self.done] == [
                x for x in self.done if x[0] == name
            ]
        assert [*self.trimmed, *self.journal] == self.written


def run_machine(url: str, *, sequences: int, shrink: bool = True) -> None:
    """Run so many random sequences on the store at `url`, whose shard 0 is emptied."""
    phases = set(Phase) if shrink else {Phase.generate}
    with asyncio.Runner() as runner:
        wire = runner.run(Wire.open(url))
        try:
            run_state_machine_as_test(
                # A factory serves as well as the class that the signature names.
                lambda: LanesMachine(runner, wire),  # type: ignore[arg-type]  # a factory, as hypothesis allows
                settings=settings(
                    max_examples=sequences,
                    stateful_step_count=60,
                    deadline=None,
                    phases=phases,
                    suppress_health_check=list(HealthCheck),
                    print_blob=False,
                    database=None,
                ),
            )
        finally:
            runner.run(wire.close())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("sequences", type=int)
    arguments = parser.parse_args()
    try:
        run_machine(arguments.url, sequences=arguments.sequences, shrink=False)
    except Exception:  # noqa: BLE001  whatever it is, the store or the model is wrong
        sys.exit(NOTICED)
