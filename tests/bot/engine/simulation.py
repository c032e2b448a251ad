"""Whole processes under their real runners, in time that is moved: what goes wrong is planned, all else follows.

Nothing moves the time but `Simulation`, once every task waits for it; and one thing at a time reaches the store. So
the same plan is the same run, and a minute of a server takes a fraction of a second. The doorbell is never heard:
what a ring would tell must come about all the same.
"""

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

import structlog
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder

from bot.app import Waits
from bot.engine.runner import After, Carrier, Runner
from bot.lanes import StoreLostError, Taken, Wire
from bot.metrics import Metrics
from handlers.journal import Record, SentRecord, StatusSeen, TurnRecord
from handlers.ports import StoreDownError
from tests.bot.engine.chance import from_seed, tried
from tests.bot.engine.errand import PAUSE_MS, VERBS
from tests.bot.engine.outside import PEOPLE, Answer, Message, Outside, Post
from tests.bot.engine.process import SINGLE, Process
from tests.bot.engine.still import (
    NOON_MS,
    TRIP_MS,
    UNDER,
    Gate,
    GatedWire,
    Lease,
    StillClock,
    StillLoop,
    Trip,
    lost,
)
from tests.bot.engine.store import SHARDS, Store
from tests.bot.engine.witness import Witness, words_of

WAITS: Final = Waits(lease_ms=4_000, reset_doubt_ms=4_000, outage_doubt_ms=8_000)
SERVERS: Final = 2
REDELIVERY_S: Final = 0.5  # Meta's is longer; its order of growth is not what this is about
STOP_S: Final = 4.0
CHANGES: Final = frozenset(("put", "commit", "retry", "renew", "confirm"))
"""Commands that change a lane; a claim does so only if it finds one."""
QUIET_MS: Final = 3_600_000  # what is due later is a question that nobody answers
REST_MAX_MS: Final = 1_800_000  # a number that must rest again and again, rests longer and longer
DAY_MS: Final = 24 * 3_600_000
FOR_EVER_S: Final = 1e9
PROMPT_MS: Final = 500  # less than a poll takes to come round

_record_of: Final = Decoder[Record](Record).decode


@dataclass(frozen=True)
class Written:
    """Somebody writes, so long after the one before."""

    after_ms: int
    person: int
    verb: str
    size: int = 1


@dataclass(frozen=True)
class Met:
    """How a request to an outer system is met."""

    answer: Answer = Answer.TAKES
    latency_ms: int = 20


@dataclass(frozen=True)
class End:
    """A server ends, so long after the one before; another takes its place."""

    after_ms: int
    server: int
    is_asked: bool
    """It is asked to stop, and not killed."""
    down_ms: int


@dataclass(frozen=True)
class Outage:
    """The store answers nobody, so long after the one before."""

    after_ms: int
    ms: int


@dataclass(frozen=True)
class Plan:
    written: Sequence[Written]
    met: Sequence[Met] = ()
    """In turn; then without end as it should be."""
    statuses: Sequence[int] = (200,)
    """After how many ms the status of a message comes, in turn, again and again; below 0 = never."""
    lost: Mapping[int, bool] = field(default_factory=dict)
    """Which commands that change a lane are lost with their connection; True = after they took effect."""
    ends: Sequence[End] = ()
    outages: Sequence[Outage] = ()


def plans(*, is_calm: bool) -> st.SearchStrategy[Plan]:
    """Days to be had; calm ones know neither faults nor silence."""
    written = st.lists(
        st.builds(
            Written,
            after_ms=st.sampled_from([0, 50, 700, 2_000, 6_000]),
            person=st.integers(0, len(PEOPLE) - 1),
            verb=st.sampled_from(VERBS[:-1] if is_calm else VERBS),
            size=st.sampled_from([1, 1, 1, 2, 4]),
        ),
        min_size=1,
        max_size=12,
    )
    latencies = st.sampled_from([20, 20, 300, 2_000, 6_000])
    if is_calm:
        return st.builds(
            Plan, written=written, met=st.lists(st.builds(Met, latency_ms=latencies), max_size=20)
        )
    answers = st.sampled_from([*[Answer.TAKES] * 6, *Answer])
    return st.builds(
        Plan,
        written=written,
        met=st.lists(st.builds(Met, answer=answers, latency_ms=latencies), max_size=20),
        statuses=st.lists(st.sampled_from([200, 200, 1_000, 3_000, 9_000, -1]), min_size=1, max_size=9),
        lost=st.dictionaries(st.integers(0, 80), st.booleans(), max_size=8),
        ends=st.lists(
            st.builds(
                End,
                after_ms=st.sampled_from([100, 1_000, 4_000]),
                server=st.integers(0, SERVERS - 1),
                is_asked=st.booleans(),
                down_ms=st.sampled_from([500, 3_000, 9_000]),
            ),
            max_size=4,
        ),
        outages=st.lists(
            st.builds(
                Outage,
                after_ms=st.sampled_from([100, 1_000, 4_000]),
                ms=st.sampled_from([300, 2_000, 6_000]),
            ),
            max_size=2,
        ),
    )  # fmt: skip


class Watched:
    """A carrier, watched by the witness."""

    def __init__(self, carrier: Carrier, server: "Server") -> None:
        self._carrier = carrier
        self._server = server

    async def carry(self, taken: Taken) -> After:
        simulation = self._server.simulation
        witness, began_ms = simulation.witness, simulation.clock.ms
        lease = Lease(self._server, taken, simulation.outside.now())
        UNDER.set(lease)
        witness.leased([taken])
        try:
            after = await self._carrier.carry(taken)
            witness.judge_carried(lease, began_ms)
        except StoreLostError:
            raise
        except Exception as error:
            # The runner would log it and go on.
            simulation.objections.append(error)
            raise
        return after


class Server(Process):
    """A process under its real runner."""

    def __init__(self, simulation: "Simulation") -> None:
        gate = Gate(simulation.line)
        wire = GatedWire(gate, simulation.wire, simulation.clock)
        super().__init__(
            simulation.outside,
            gate,
            wire,
            simulation.metrics,
            WAITS,
            room=lambda kind: self.runner.room(kind),
            take=lambda taken: self.runner.take(taken),
            on_refused_statuses=self._refuse_statuses,
        )
        self.simulation = simulation
        self.runner = Runner(
            self.lanes,
            self.bell,
            {kind: Watched(carrier, self) for kind, carrier in self.carriers.items()},
            clock=simulation.clock,
            metrics=simulation.metrics,
            single=SINGLE,
        )
        loop = asyncio.get_running_loop()
        self._works = [loop.create_task(self.runner.run()), loop.create_task(self.health.beat())]

    async def hear(self, messages: Sequence[Message], statuses: Sequence[StatusSeen]) -> bool:
        """Whether it answered 200."""
        hearing = asyncio.get_running_loop().create_task(
            self.intake.hear([message.arrival() for message in messages], statuses)
        )
        self._works.append(hearing)
        await asyncio.wait([hearing])
        if hearing.cancelled():
            return False
        match hearing.exception():
            case None:
                return True
            case StoreDownError():
                return False
            case error:
                raise error

    def kill(self) -> None:
        """Nothing leaves it any more, and nothing comes back."""
        self.gate.is_shut = True
        for work in self._works:
            work.cancel()

    async def stop(self) -> None:
        """As `bot/app.py` stops a process."""
        await self.runner.stop(STOP_S)
        self.kill()

    def has_failed(self) -> Sequence[BaseException]:
        return [
            error
            for work in self._works
            if work.done() and not work.cancelled() and (error := work.exception())
            if not isinstance(error, StoreDownError)
        ]

    def _refuse_statuses(self) -> None:
        self.health.refused()
        self.simulation.witness.refused_statuses()


class Simulation:
    def __init__(
        self, loop: StillLoop, wire: Wire, clock: StillClock, metrics: Metrics, plan: Plan
    ) -> None:
        clock.ms = NOON_MS
        self.loop = loop
        self.wire = wire
        self.clock = clock
        self.metrics = metrics
        self.plan = plan
        self.line: deque[Trip] = deque()
        self.outside = Outside(clock, answers=lambda: self._met.answer, on_taken=self._taken)
        self.witness = Witness(self.outside, WAITS)
        self.servers: list[Server] = []
        self.objections: list[Exception] = []
        self._met = Met()
        self._meetings: Iterator[Met] = iter(plan.met)
        self._statuses: Iterator[int] = cycle(plan.statuses)
        self._changes = 0
        """Commands so far that change a lane."""
        self._is_out = False
        self._seen = [0] * SHARDS
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """The planned day and its end; then what the engine promises is judged."""
        await self.wire.call("FLUSHALL")
        self.servers = [Server(self) for _ in range(SERVERS)]
        try:
            await self._pass(2 * WAITS.outage_doubt_ms)
            for part in (self._people(), self._ends(), self._outages()):
                self._spawn(part)
            await self._come_to_rest()
            for server in self.servers:
                server.kill()
            self.clock.ms += DAY_MS
            self.servers = [Server(self)]
            await self._come_to_rest()
            self.witness.judge_end()
        finally:
            await self._give_up()

    def records(self) -> list[Record]:
        return [_record_of(raw) for _, raw in self.witness.lines]

    # ------------------------------------------------------------ time

    async def _pass(self, ms: int) -> None:
        """Let so much time pass, and everything happen that falls into it."""
        until = self.clock.ms + ms
        while True:
            await self.loop.settled()
            self._object()
            if self.line:
                await self._travel(self.line.popleft())
                continue
            next_ms = self.loop.next_timer_ms()
            if next_ms is None or next_ms > until:
                self.clock.ms = max(self.clock.ms, until)
                return
            self.clock.ms = max(self.clock.ms, next_ms)

    async def _come_to_rest(self) -> None:
        for _ in range(REST_MAX_MS // 1_000):
            await self._pass(1_000)
            soon = self.clock.ms + QUIET_MS
            lanes = self.witness.store.lanes.values()
            is_quiet = not any(lane.due_ms is not None and lane.due_ms < soon for lane in lanes)
            if is_quiet and not self._tasks:
                return
        raise AssertionError("it does not come to rest")

    def _object(self) -> None:
        for objection in (*self.objections, *self.outside.objections):
            raise objection
        for server in self.servers:
            for error in server.has_failed():
                raise error

    # ------------------------------------------------------------ what leaves the servers

    async def _travel(self, trip: Trip) -> None:
        if trip.gate.is_shut:
            return
        if trip.kind != "store":
            self._met = next(self._meetings, Met())
            await trip.happen()
            self.loop.call_later(self._met.latency_ms / 1000, self._answer, trip)
            return
        if self._is_out:
            self._break(trip)
            return
        is_late = None
        if trip.what in CHANGES:
            is_late = self.plan.lost.get(self._changes)
            self._changes += 1
        if is_late is not False:
            await trip.happen()
            await self._look(trip)
        # Only now: what time brings must not race with real answers.
        self.clock.ms += TRIP_MS
        if is_late is None:
            trip.answer()
        else:
            self._break(trip)

    def _answer(self, trip: Trip) -> None:
        if not trip.gate.is_shut:
            trip.answer()

    def _break(self, trip: Trip) -> None:
        """The connection of one server, with all that is on its way."""
        trip.fail(lost())
        same = [other for other in self.line if other.gate is trip.gate and other.kind == "store"]
        for other in same:
            self.line.remove(other)
            other.fail(lost())

    async def _look(self, trip: Trip) -> None:
        """Look into the store, if it may have changed."""
        if trip.what == "beat":
            self.witness.beat()
        claims_nothing = isinstance(trip.result, list) and len(trip.result) == 1
        if trip.what not in CHANGES and (trip.what != "claim" or claims_nothing):
            return
        if trip.what == "renew":
            for lane in self.witness.store.lanes:
                self.witness.renewed_lane(lane)
        self.witness.sees(await Store.look(self.wire, self._seen), trip.lease)
        if trip.what == "retry" and trip.result == 1 and trip.lease is not None:
            self.witness.gave_back(trip.lease)

    # ------------------------------------------------------------ the plan

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.objections.append(error)

    async def _people(self) -> None:
        for written in self.plan.written:
            await asyncio.sleep(written.after_ms / 1000)
            messages = [
                self.outside.writes(written.person, written.verb if n == 0 else "say")
                for n in range(written.size)
            ]
            self._spawn(self._deliver(messages, []))

    def _taken(self, post: Post) -> None:
        after_ms = next(self._statuses)
        if after_ms >= 0:
            self._spawn(self._tell(post, after_ms))

    async def _tell(self, post: Post, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        await self._deliver([], [self.outside.status(post, "delivered")])

    async def _deliver(self, messages: Sequence[Message], statuses: Sequence[StatusSeen]) -> None:
        """Meta brings it, until it is answered 200."""
        for n in range(REST_MAX_MS):
            alive = [server for server in self.servers if not server.gate.is_shut]
            for message in messages:
                message.sent = message.sent or self.outside.now()
            if alive and await alive[n % len(alive)].hear(messages, statuses):
                self.witness.answered_200(messages, statuses)
                return
            await asyncio.sleep(REDELIVERY_S)

    async def _ends(self) -> None:
        for end in self.plan.ends:
            await asyncio.sleep(end.after_ms / 1000)
            server = self.servers[end.server]
            if end.is_asked:
                await server.stop()
            else:
                server.kill()
            await asyncio.sleep(end.down_ms / 1000)
            self.servers[end.server] = Server(self)

    async def _outages(self) -> None:
        for outage in self.plan.outages:
            await asyncio.sleep(outage.after_ms / 1000)
            self._is_out = True
            await asyncio.sleep(outage.ms / 1000)
            self._is_out = False

    async def _give_up(self) -> None:
        for server in self.servers:
            server.kill()
        ours = {asyncio.current_task()}
        while tasks := asyncio.all_tasks() - ours:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def simulations(url: str) -> Iterator["Simulate"]:
    """Runs plans on the store at `url`, which is emptied for each."""
    clock, metrics = StillClock(), Metrics()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with asyncio.Runner(loop_factory=lambda: StillLoop(clock)) as runner:
            wire = runner.run(Wire.open(url, deadline_s=FOR_EVER_S))
            try:
                yield Simulate(runner, wire, clock, metrics)
            finally:
                runner.run(wire.close())
    finally:
        structlog.reset_defaults()


@dataclass(frozen=True)
class Simulate:
    """Runs one plan after the other."""

    runner: asyncio.Runner
    wire: Wire
    clock: StillClock
    metrics: Metrics

    def __call__(self, plan: Plan) -> Simulation:
        """Raises AssertionError if a promise is broken."""
        loop = self.runner.get_loop()
        assert isinstance(loop, StillLoop)
        simulation = Simulation(loop, self.wire, self.clock, self.metrics, plan)
        self.runner.run(simulation.run())
        return simulation


# ------------------------------------------------------------------ days


def run_days(url: str, *, days: int, seed: int | None = None, shrink: bool = True) -> None:
    """Have so many days of each sort, on the store at `url`, which is emptied."""
    some = tried(days, shrink=shrink)
    with simulations(url) as simulate:

        @some
        @from_seed(seed)
        @given(plan=plans(is_calm=False))
        def whatever_goes_wrong(plan: Plan) -> None:
            simulate(plan)

        @some
        @from_seed(seed)
        @given(plan=plans(is_calm=True))
        def however_slow_meta_is(plan: Plan) -> None:
            nothing_is_in_doubt(simulate(plan))

        @some
        @from_seed(seed)
        @given(plan=plans(is_calm=True).map(lambda plan: Plan(plan.written)))
        def all_is_well(plan: Plan) -> None:
            nobody_waits_for_nothing(simulate(plan))

        all_is_well()
        however_slow_meta_is()
        whatever_goes_wrong()


def nothing_is_in_doubt(day: Simulation) -> None:
    """Some answers took longer than a lease: it was renewed."""
    posted = Counter(post.item for post in day.outside.posts)
    assert set(posted.values()) <= {1}, "what goes well is sent once"
    for record in day.records():
        if isinstance(record, SentRecord):
            assert not record.proved, "an answer that comes is heard"


def nobody_waits_for_nothing(day: Simulation) -> None:
    """No poll is waited for: whoever makes work sees to it that it is done."""
    posted = {(post.conversation, post.body): post.at_ms for post in day.outside.posts}
    state = dict.fromkeys(day.witness.stories, "")
    heard_ms = dict.fromkeys(day.witness.stories, 0)
    sent_ms = dict.fromkeys(day.witness.stories, 0)
    for turn in day.records():
        if isinstance(turn, TurnRecord):
            pause_ms = PAUSE_MS if state[turn.conversation] == "errand.gathering" else 0
            state[turn.conversation] = turn.state
            if turn.heard:
                last = day.outside.messages[turn.heard[-1].id]
                free_ms = max(last.sent.ms + pause_ms, heard_ms[turn.conversation])
                assert turn.at <= free_ms + PROMPT_MS, (
                    "a message is heard at once, or after those before"
                )
            heard_ms[turn.conversation] = turn.at
            for said in turn.said:
                at_ms = posted[turn.conversation, words_of(said.content)]
                free_ms = max(turn.at, sent_ms[turn.conversation])
                assert at_ms <= free_ms + PROMPT_MS, (
                    "an answer leaves at once, or after the one before"
                )
                sent_ms[turn.conversation] = at_ms
