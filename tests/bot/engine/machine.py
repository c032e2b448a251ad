"""Random days of the engine on a real store: people write, processes vanish, freeze and lose their store, Meta answers as
it likes, statuses come late, twice or never; and what `witness.py` calls a promise holds all the time, and at the end.

Intake, worker, services and the sender are the product's own. A step does one thing: hear a webhook, claim, carry one
lease, let time pass. On its way it may be cut at one of the things that leave the process, before or after that took
effect. What is frozen there stays so until it is thawed, perhaps long after its lease went to another; or for ever,
which is a crash.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from bot.app import Waits
from bot.engine.intake_health import IntakeHealth
from bot.lanes import Lanes, StoreLostError, Taken, Wire
from bot.metrics import Metrics
from flows.values.ids import ItemId
from handlers.journal import StatusSeen
from handlers.ports import StoreDownError
from tests.bot.engine.chance import from_seed, tried
from tests.bot.engine.outside import PEOPLE, Answer, Message, Outside, Status
from tests.bot.engine.process import Process
from tests.bot.engine.still import (
    NEVER,
    NOON_MS,
    TRIP_MS,
    UNDER,
    Gate,
    GatedWire,
    Lease,
    Moment,
    StillClock,
    StillLoop,
    SureWire,
    Trip,
    lost,
)
from tests.bot.engine.store import KINDS, SHARDS, Store
from tests.bot.engine.witness import GAP_MS, Witness

T = TypeVar("T")

PROCESSES: Final = 3
STEPS_MAX: Final = 40
FLOOD: Final = 50  # more than Meta lets go to one person at once
CLAIM_MAX: Final = 16
TRIPS_MAX: Final = 500
ROUNDS_MAX: Final = 400
BEAT_MS: Final = GAP_MS - 500
FOR_EVER_S: Final = 1e9
DAY_MS: Final = 24 * 3_600_000

WAITS: Final = Waits()

# What happens, and how often in proportion.
STEPS: Final = {
    "write": 5,
    "claim": 5,
    "carry": 10,
    "status": 2,
    "hear_again": 1,
    "later": 3,
    "thaw": 1,
    "renew": 1,
    "crash": 1,
    "operator": 1,
}
VERBS: Final = ("say", "say", "order", "nap", "gather", "gather", "boom")
SIZES: Final = (*(1,) * 30, *(2,) * 15, *(3,) * 9, *(5,) * 4, FLOOD, FLOOD)
STATUSES: Final[tuple[Status, ...]] = ("sent", "delivered", "failed", "read")
MOVES: Final = (
    # ms, and whether our intake is up meanwhile
    (700, True),
    (2_000, True),
    (2_000, True),
    (7_000, True),
    (16_000, True),
    (16_000, True),
    (16_000, False),
    (31_000, True),
    (31_000, True),
    (61_000, True),
    (61_000, True),
    (DAY_MS + 3_600_000, False),
)


class Cut(Enum):
    """What goes wrong with one thing that leaves a process."""

    FREEZE_BEFORE = "the process stops just before it leaves"
    FREEZE_AFTER = "it has taken effect, and the process stops before it reads the answer"
    LOSE_BEFORE = "the connection breaks before it arrives"
    LOSE_AFTER = "it has taken effect, and the connection breaks before the answer"
    REFUSE = "the store takes nothing at this moment"


FREEZES: Final = (Cut.FREEZE_BEFORE, Cut.FREEZE_AFTER)


@dataclass(frozen=True)
class Fate:
    """What awaits a step."""

    cut: Cut | None
    at: int
    """Which of the things that leave is cut; one that does not come to pass is none."""
    answer: Answer
    has_room: bool
    """Whether the process would carry more lanes."""


CALM: Final = Fate(cut=None, at=0, answer=Answer.TAKES, has_room=True)

fates = st.builds(
    Fate,
    cut=st.sampled_from([None, None, None, *Cut]),
    at=st.sampled_from([0, 0, 1, 1, 1, 2, 2, 3, 4, 5]),
    answer=st.sampled_from([*[Answer.TAKES] * 6, *Answer]),
    has_room=st.sampled_from([True, True, False]),
)
picks = st.integers(0, 59)  # of whatever there is, modulo its number


class Worker(Process):
    """A process that begins what it leased when it is told to."""

    def __init__(self, machine: "EngineMachine") -> None:
        super().__init__(
            machine.outside,
            machine.gate,
            GatedWire(machine.gate, machine.wire, machine.clock),
            machine.metrics,
            WAITS,
            room=lambda _kind: int(self.has_room),
            take=lambda taken: self.take([taken]),
            on_refused_statuses=machine.refuse_statuses,
        )
        self._machine = machine
        self.has_room = True
        self.held: list[Lease] = []

    def take(self, takens: Sequence[Taken]) -> None:
        self.held += [Lease(self, taken, self._machine.reached_store) for taken in takens]
        self._machine.witness.leased(takens)


@dataclass
class Activity:
    """Something that a process does, from its begin to its end."""

    process: Worker
    task: "asyncio.Task[object]"
    fate: Fate
    began_ms: int
    lease: Lease | None = None
    """Under which it is done."""
    renews: Sequence[Taken] = ()
    messages: Sequence[Message] = ()
    statuses: Sequence[StatusSeen] = ()
    # once it is frozen
    parked: list[Trip] = field(default_factory=list)
    """What did not leave, or whose answer was not read."""
    reached_store: Moment = NEVER
    gave_back: bool = False
    """Its lane rests, because it said so."""
    stops_process: bool = False
    """An outer system that is slow stops nobody else."""


class EngineMachine(RuleBasedStateMachine):
    def __init__(
        self, runner: asyncio.Runner, wire: Wire, clock: StillClock, metrics: Metrics
    ) -> None:
        super().__init__()
        clock.ms = NOON_MS
        self.runner = runner
        self.wire = wire
        self.clock = clock
        self.metrics = metrics
        self.gate = Gate(deque())
        self.outside = Outside(clock, answers=lambda: self.answer)
        self.witness = Witness(self.outside, WAITS)
        self.processes: list[Worker] = []
        # of the step that goes on
        self.answer = Answer.TAKES
        self.reached_store = NEVER
        """When something of it last took effect."""
        self.frozen: list[Activity] = []
        self.unheard: list[tuple[Sequence[Message], Sequence[StatusSeen]]] = []
        """Webhooks that we did not acknowledge: Meta brings them again."""
        # for the test's own use
        self.seen = [0] * SHARDS
        self.tasks: list[asyncio.Task[object]] = []
        self.beats: list[asyncio.Task[int]] = []
        self.has_failed = False
        self.flooded = False
        self.run(self._start())

    async def _start(self) -> None:
        """An empty store; our intake has been up for a while."""
        await self.wire.call("FLUSHALL")
        self.processes = [Worker(self) for _ in range(PROCESSES)]
        # An operator, and the intake's beat: nothing happens to them.
        sure = SureWire(self.wire, self.clock)
        self.operators = Lanes(sure, shards=SHARDS, clock=self.clock, lease_ms=WAITS.lease_ms)
        self.health = IntakeHealth(sure, clock=self.clock)
        await self.later(2 * WAITS.outage_doubt_ms, is_up=True)

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    # ------------------------------------------------------------ the rule

    @rule(
        step=st.sampled_from([step for step, weight in STEPS.items() for _ in range(weight)]),
        who=st.integers(0, PROCESSES - 1),
        which=picks,
        more=picks,
        fate=fates,
    )
    def step(self, step: str, who: int, which: int, more: int, fate: Fate) -> None:
        """One rule for everything: of several, hypothesis leaves out some in each sequence. And the same draws for
        each step, so that what is drawn never hangs on what happened."""
        try:
            self.run(self._step(step, who, which, more, fate))
        except BaseException:
            self.has_failed = True
            raise

    async def _step(self, step: str, who: int, which: int, more: int, fate: Fate) -> None:
        awake = self.awake()
        process = awake[who % len(awake)]
        held = [(process, lease) for process in awake for lease in process.held]
        dead = sorted(self.witness.store.dead)
        match step:
            case "carry" if held:
                await self.carry(*held[which % len(held)], fate)
            case "claim" | "carry":
                kind, shard, most = KINDS[which % 3], more % SHARDS, 1 + more % 4
                await self.claim(process, kind, shard, most, fate)
            case "thaw" if self.frozen:
                await self.thaw(self.frozen[which % len(self.frozen)])
            case "status" if self.outside.taken():
                await self.status(process, which, more, fate)
            case "hear_again" if self.outside.messages:
                await self.hear_again(process, which, more, fate)
            case "renew":
                await self.renew(process, fate)
            case "crash":
                self.crash(self.processes[who])
            case "operator" if more % 4 == 0:
                self.outside.mended = True
            case "operator" if more % 4 == 1 and self.witness.stories:
                await self.put_unreadable(which)
            case "operator" if dead:
                await self.replay(ItemId(dead[which % len(dead)]))
            case "later":
                await self.later(*MOVES[which % len(MOVES)])
            case _:
                await self.write(process, which, more, fate)
        await self.look()

    async def look(self, lease: Lease | None = None) -> None:
        self.witness.sees(await Store.look(self.wire, self.seen), lease)

    # ------------------------------------------------------------ hearing

    async def write(self, process: Worker, which: int, more: int, fate: Fate) -> None:
        """People write, and Meta brings it in one webhook."""
        size = SIZES[more % len(SIZES)]
        if size == FLOOD and self.flooded:
            size = 1  # once: beyond 90 answers under way the pair limit is Meta's to keep
        self.flooded |= size == FLOOD
        messages = [
            self.outside.writes(
                person=(which + (n // 2 if size < FLOOD else 0)) % len(PEOPLE),
                verb=VERBS[which % len(VERBS)] if n % 2 == 0 and size < FLOOD else "say",
            )
            for n in range(size)
        ]
        await self.hear(process, messages, [], fate)

    async def status(self, process: Worker, which: int, more: int, fate: Fate) -> None:
        """Meta tells what became of messages: of late ones rather, in any order, any number of times."""
        taken = self.outside.taken()[::-1]
        statuses = [
            self.outside.status(taken[(which + n) % len(taken)], STATUSES[(more + n) % 4])
            for n in range(1 + more % 2)
        ]
        await self.hear(process, [], statuses, fate)

    async def hear_again(self, process: Worker, which: int, more: int, fate: Fate) -> None:
        """Meta repeats itself, in another grouping."""
        messages, statuses = self.unheard.pop() if self.unheard else ((), ())
        known = [message for message in self.outside.messages.values() if message.sent]
        others = [known[(which + n) % len(known)] for n in range(more % 4) if known]
        again = {message.wamid: message for message in (*messages, *others)}
        await self.hear(process, list(again.values()), statuses, fate)

    async def hear(
        self,
        process: Worker,
        messages: Sequence[Message],
        statuses: Sequence[StatusSeen],
        fate: Fate,
    ) -> None:
        for message in messages:
            message.sent = message.sent or self.outside.now()
        work = process.intake.hear([message.arrival() for message in messages], statuses)
        await self.begin(process, work, fate, messages=messages, statuses=statuses)

    # ------------------------------------------------------------ working

    async def claim(self, process: Worker, kind: str, shard: int, most: int, fate: Fate) -> None:
        async def work() -> None:
            began_ms = self.clock.ms
            items = None if kind == "conv" else 1
            claimed = await process.lanes.claim(shard, kind, lanes=most, items=items)
            if fate.cut is None:
                self.witness.judge_claim(shard, kind, most, claimed.taken, began_ms)
            process.take(claimed.taken)

        await self.begin(process, work(), fate)

    async def carry(self, process: Worker, lease: Lease, fate: Fate) -> None:
        process.held.remove(lease)

        async def work() -> None:
            UNDER.set(lease)
            after = await process.carriers[lease.taken.kind].carry(lease.taken)
            process.take(after.taken)

        await self.begin(process, work(), fate, lease=lease)

    async def renew(self, process: Worker, fate: Fate) -> None:
        takens = [lease.taken for lease in process.held]
        await self.begin(process, process.lanes.renew(takens), fate, renews=takens)

    # ------------------------------------------------------------ the way of one activity

    async def begin(
        self,
        process: Worker,
        work: Coroutine[object, object, object],
        fate: Fate,
        *,
        lease: Lease | None = None,
        renews: Sequence[Taken] = (),
        messages: Sequence[Message] = (),
        statuses: Sequence[StatusSeen] = (),
    ) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        activity = Activity(process, task, fate, self.clock.ms, lease, renews, messages, statuses)
        await self.go(activity, cut=fate.cut)

    async def go(self, activity: Activity, *, cut: Cut | None) -> None:
        """Let it go on until it ends or freezes."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StillLoop)
        activity.process.has_room = activity.fate.has_room
        self.answer = activity.fate.answer
        self.reached_store = activity.reached_store
        for n in range(TRIPS_MAX):
            await loop.settled()
            if activity.task.done() and not self.gate.line:
                await self._ended(activity)
                return
            if not self.gate.line:
                self.clock.ms += 100  # it sleeps between two tries
                continue
            trip = self.gate.line.popleft()
            is_cut = cut is not None and n == activity.fate.at
            if is_cut and cut in FREEZES:
                await self._freeze(activity, trip, is_before=cut is Cut.FREEZE_BEFORE)
                return
            await self._travel(activity, trip, cut if is_cut else None)
            self.reached_store = self.outside.now()
        raise AssertionError("it never ends")

    async def _travel(self, activity: Activity, trip: Trip, cut: Cut | None) -> None:
        """There and back, or not."""
        if cut is not None and trip.kind != "store":
            # How a way breaks is what the outer system makes of it.
            was_taken = cut is Cut.LOSE_AFTER
            self.answer = Answer.BREAKS_AFTER if was_taken else Answer.BREAKS_BEFORE
        elif cut is Cut.REFUSE:
            trip.fail(StoreLostError("not now"))
            return
        elif cut is not None:
            if cut is Cut.LOSE_AFTER:
                await self._happen(activity, trip)
            trip.fail(lost())
            while self.gate.line:
                self.gate.line.popleft().fail(lost())
            return
        await self._happen(activity, trip)
        trip.answer()

    async def _happen(self, activity: Activity, trip: Trip) -> None:
        await trip.happen()
        if trip.kind == "store":
            self.clock.ms += TRIP_MS
        activity.gave_back |= trip.what == "retry" and trip.result == 1
        for taken in activity.renews:
            self.witness.renewed(taken)

    async def _freeze(self, activity: Activity, trip: Trip, *, is_before: bool) -> None:
        if not is_before:
            await self._happen(activity, trip)
        activity.parked = [trip, *self.gate.line]
        activity.stops_process = trip.kind == "store" or is_before
        activity.reached_store = self.outside.now()
        self.gate.line.clear()
        self.frozen.append(activity)
        self._not_acknowledged(activity)
        await self._judge(activity)

    async def _ended(self, activity: Activity) -> None:
        await self._judge(activity)
        error = activity.task.exception()
        if error is None:
            if activity.lease is not None:
                self.witness.judge_carried(activity.lease, activity.began_ms)
            self.witness.answered_200(activity.messages, activity.statuses)
        elif isinstance(error, StoreDownError):
            self._not_acknowledged(activity)
        elif not isinstance(error, StoreLostError):
            raise error

    def _not_acknowledged(self, activity: Activity) -> None:
        if activity.messages or activity.statuses:
            self.unheard.append((activity.messages, activity.statuses))

    async def _judge(self, activity: Activity) -> None:
        if self.outside.objections:
            raise self.outside.objections[0]
        await self.look(activity.lease)
        if activity.lease is not None and activity.gave_back:
            self.witness.gave_back(activity.lease)

    async def thaw(self, activity: Activity) -> None:
        """It goes on as if nothing had been."""
        self.frozen.remove(activity)
        self.gate.line.extend(activity.parked)
        await self.go(activity, cut=None)

    def crash(self, process: Worker) -> None:
        """It vanishes with all that it holds, and another one is started."""
        self.processes[self.processes.index(process)] = Worker(self)
        self.frozen = [activity for activity in self.frozen if activity.process is not process]

    def awake(self) -> list[Worker]:
        """Those that can do something; if none can, one is given up."""
        frozen = [activity.process for activity in self.frozen if activity.stops_process]
        if all(process in frozen for process in self.processes):
            self.crash(self.processes[0])
        return [process for process in self.processes if process not in frozen]

    # ------------------------------------------------------------ time, and the operator

    async def later(self, ms: int, is_up: bool) -> None:
        """Time passes; our intake beats meanwhile, or is down."""
        until = self.clock.ms + ms
        if is_up:
            await self.beat()
        while is_up and self.clock.ms + BEAT_MS < until:
            self.clock.ms += BEAT_MS
            await self.beat()
        self.clock.ms = max(until, self.clock.ms)
        if is_up:
            await self.beat()
            await asyncio.gather(*self.beats)
            self.beats.clear()

    async def beat(self) -> None:
        """Our intake says that it is up; nobody waits for the answer."""
        self.witness.beat()
        self.beats.append(asyncio.get_running_loop().create_task(self.health.pulse()))
        await asyncio.sleep(0)

    def refuse_statuses(self) -> None:
        """What is told to the intake that beats."""
        self.health.refused()
        self.witness.refused_statuses()

    async def replay(self, item: ItemId) -> None:
        self.witness.replays(item)
        assert await self.operators.replay(item)

    async def put_unreadable(self, which: int) -> None:
        """What a later version of ours might have put there."""
        stories = sorted(self.witness.stories)
        conversation = stories[which % len(stories)]
        shard = self.operators.shard(conversation)
        await self.operators.put(shard, f"conv/{conversation}", b'{"type":"from the future"}')

    # ------------------------------------------------------------ the end

    def teardown(self) -> None:
        try:
            if not self.has_failed:
                self.run(self._come_to_rest())
        finally:
            self.run(self._give_up())

    async def _come_to_rest(self) -> None:
        """Nothing goes wrong any more. What was not acknowledged comes again, time passes until all is done; and then
        those that stood still all the while do their worst."""
        process = Worker(self)
        for activity in self.frozen[::2]:
            await self.thaw(activity)
            await self.look()
        while self.unheard:
            await self.hear(process, *self.unheard.pop(), CALM)
        await self._work_off(process, within_ms=DAY_MS // 2)
        await self.later(DAY_MS, is_up=False)
        await self._work_off(process, within_ms=DAY_MS)
        for activity in self.frozen[:]:
            await self.thaw(activity)
            await self.look()
        await self._work_off(process, within_ms=DAY_MS)
        self.witness.judge_end()

    async def _work_off(self, process: Worker, *, within_ms: int) -> None:
        """Carry whatever is due, for as long as anything is due within this time."""
        for _ in range(ROUNDS_MAX):
            for kind in KINDS:
                for shard in range(SHARDS):
                    await self._carry_due(process, kind, shard)
            lanes = self.witness.store.lanes.values()
            due = [lane.due_ms for lane in lanes if lane.due_ms is not None]
            wait_ms = min(due, default=self.clock.ms + within_ms) - self.clock.ms
            if wait_ms >= within_ms:
                return
            if wait_ms > 0:
                await self.later(wait_ms, is_up=True)
        raise AssertionError("it does not come to rest")

    async def _carry_due(self, process: Worker, kind: str, shard: int) -> None:
        due = self.witness.store.due(kind, shard)
        if due and due[0][0] <= self.clock.ms:
            await self.beat()
            await self.claim(process, kind, shard, CLAIM_MAX, CALM)
            while process.held:
                await self.carry(process, process.held[0], CALM)

    async def _give_up(self) -> None:
        self.gate.line.clear()
        await asyncio.gather(*self.beats)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def run_machine(url: str, *, sequences: int, seed: int | None = None, shrink: bool = True) -> None:
    """Run so many random sequences on the store at `url`, which is emptied."""
    clock, metrics = StillClock(), Metrics()
    # What the product logs about faults that we bring about is no news, and costs a quarter of the time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with asyncio.Runner(loop_factory=lambda: StillLoop(clock)) as runner:
            # Its deadline would follow the clock that we move.
            wire = runner.run(Wire.open(url, deadline_s=FOR_EVER_S))

            @from_seed(seed)
            def machine() -> EngineMachine:
                return EngineMachine(runner, wire, clock, metrics)

            try:
                run_state_machine_as_test(
                    machine,  # type: ignore[arg-type]  # a factory serves as well as the class that the signature names
                    settings=tried(sequences, shrink=shrink, steps=STEPS_MAX),
                )
            finally:
                runner.run(wire.close())
    finally:
        structlog.reset_defaults()
