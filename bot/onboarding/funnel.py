"""What a flow loses where, as the journal tells it: for each state who came, who went on and who fell silent there.

A *run* is a conversation's way through the flow, from its first state to the end of it or to silence. It is read from the
states at rest after each turn, so a state that a turn only passed through is not seen.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from statistics import median, quantiles
from typing import Final

from bot.store.database import Connection, Database
from flows.values.ids import ChannelId, ConversationId, TenantId

SILENT: Final = timedelta(hours=24)
"""Whoever says nothing for so long has left, even if they may come back."""
PERSON: Final = "person"
"""The end of a run that was handed to a person."""
LEFT: Final = "left"
"""The end of a run that went elsewhere without an end of its own."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One turn of a conversation."""

    conversation: str
    turn: int
    at: datetime
    state: str
    """`<flow>.<state>` that waits after it; empty: none."""
    ended: tuple[str, ...] = ()
    """As `TurnRecord.ended`."""
    heard: bool = True
    """The person wrote or tapped: it was no timer, and no answer of a system."""
    handed: bool = False
    """To a person."""
    out: int = 0
    """Messages that it said."""
    billed: int = 0
    """… of them, those that Meta charges for."""
    tried: datetime | None = None
    """If the flow's aim was met in it: when they first wrote to a demo after that."""


@dataclass(frozen=True, slots=True)
class Step:
    """One state of the flow."""

    state: str
    entries: int
    exits: int
    """They went on, or the flow ended."""
    waiting: int
    """They are there now."""
    dropped: int
    """They fell silent there."""
    median_s: float | None
    """Time until they went on; None: nobody has."""
    p90_s: float | None


@dataclass(frozen=True, slots=True)
class Funnel:
    """A flow's figures: `begun` is the sum of `ends`, `waiting` and `dropped`."""

    begun: int
    ends: Mapping[str, int]
    """Runs by how they ended, e.g. `opened`."""
    waiting: int
    dropped: int
    paused: int
    """Of `waiting` and `dropped`, those whose last state is a pause."""
    finished: int
    """Runs that came to what the flow is for."""
    messages: float | None
    """Said in a run that was finished; median."""
    billed: float | None
    seconds: float | None
    """From the first message of such a run to its end; median."""
    tried: int
    """Finished runs whose person then wrote to a demo."""
    seconds_to_try: float | None
    """From the first message of such a run to the first one to the demo; median."""
    steps: tuple[Step, ...]
    """In the order in which they are met."""

    @property
    def conversion(self) -> float | None:
        """Part of the runs that were finished."""
        return self.finished / self.begun if self.begun else None


@dataclass(slots=True)
class _Visit:
    state: str
    at: datetime
    left: datetime | None = None


@dataclass(slots=True)
class _Run:
    begun: datetime
    heard: datetime
    """When they were last heard, or it began."""
    visits: list[_Visit] = field(default_factory=list)
    out: int = 0
    billed: int = 0
    end: str = ""
    ended: datetime | None = None
    tried: datetime | None = None
    given_up: bool = False
    """The flow ended by itself after their silence."""

    @property
    def state(self) -> str:
        return self.visits[-1].state

    @property
    def is_over(self) -> bool:
        return bool(self.end) or self.given_up

    def is_lost(self, now: datetime) -> bool:
        return self.given_up or (not self.end and now - self.heard >= SILENT)


def count(
    stops: Iterable[Stop],
    flow: str,
    *,
    aim: str,
    now: datetime,
    since: datetime | None = None,
    pauses: Collection[str] = (),
) -> Funnel:
    """The figures of a flow.

    Args:
        stops: by conversation, and in order of their turns.
        flow: its name.
        aim: the end that it is for, e.g. `opened`.
        now: whoever was last heard `SILENT` before has left.
        since: runs that began before are left out.
        pauses: states in which nothing is asked of them.
    """
    runs = [
        run
        for _, each in groupby(stops, attrgetter("conversation"))
        for run in _runs(each, f"{flow}.")
        if since is None or run.begun >= since
    ]
    lost = [run for run in runs if run.is_lost(now)]
    here = [run for run in runs if not run.end and not run.is_lost(now)]
    done = [run for run in runs if run.end == aim]
    tried = [(run.tried - run.begun).total_seconds() for run in done if run.tried is not None]
    return Funnel(
        begun=len(runs),
        ends=Counter(run.end for run in runs if run.end),
        waiting=len(here),
        dropped=len(lost),
        paused=sum(run.state in pauses for run in (*here, *lost)),
        finished=len(done),
        messages=_median([run.out for run in done]),
        billed=_median([run.billed for run in done]),
        seconds=_median(
            [(run.ended - run.begun).total_seconds() for run in done if run.ended is not None]
        ),
        tried=len(tried),
        seconds_to_try=_median(tried),
        steps=_steps(runs, here=here, lost=lost),
    )


def _steps(runs: Sequence[_Run], *, here: Sequence[_Run], lost: Sequence[_Run]) -> tuple[Step, ...]:
    places: dict[str, list[int]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for place, visit in enumerate(run.visits):
            places[visit.state].append(place)
            if visit.left is not None:
                times[visit.state].append((visit.left - visit.at).total_seconds())
    waiting, dropped = Counter(run.state for run in here), Counter(run.state for run in lost)
    return tuple(
        Step(
            state=state,
            entries=len(places[state]),
            exits=len(times[state]),
            waiting=waiting[state],
            dropped=dropped[state],
            median_s=_median(times[state]),
            p90_s=_p90(times[state]),
        )
        for state in sorted(places, key=lambda state: (median(places[state]), state))
    )


def _runs(stops: Iterable[Stop], prefix: str) -> Iterator[_Run]:
    """Of one conversation, which may go through the flow more than once."""
    run: _Run | None = None
    for stop in stops:
        inside = stop.state.startswith(prefix)
        ends = [end.removeprefix(prefix) for end in stop.ended if end.startswith(prefix)]
        if run is not None:
            run.out += stop.out
            run.billed += stop.billed
            if ends or not inside:
                _close(run, stop, ends[-1] if ends else "")
                yield run
                run = None
            elif stop.heard:
                run.heard = stop.at
        if not inside:
            continue
        if run is None:
            run = _Run(stop.at, stop.at, out=stop.out, billed=stop.billed)
        elif stop.state == run.state:
            continue
        else:
            run.visits[-1].left = stop.at
        run.visits.append(_Visit(stop.state, stop.at))
    if run is not None:
        yield run


def _close(run: _Run, stop: Stop, end: str) -> None:
    """A flow that nobody answered is dropped by a timer: that is no way on, it is the silence itself."""
    run.given_up = not (end or stop.heard or stop.handed) and stop.at - run.heard >= SILENT
    if run.given_up:
        return
    run.end = end or (PERSON if stop.handed else LEFT)
    run.ended, run.tried = stop.at, stop.tried
    run.visits[-1].left = stop.at


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _p90(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else quantiles(values, n=10, method="inclusive")[-1]


# ------------------------------------------------------------------ PostgreSQL


async def read_stops(
    database: Database,
    tenant: TenantId,
    flow: str,
    *,
    aim: str,
    since: datetime,
    demos: Collection[ChannelId] = (),
) -> list[Stop]:
    """All turns of the conversations that were in the flow since then, in order.

    Args:
        aim: as of `count`.
        demos: numbers of the same firm on which the bots of others are shown.
    """
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT t.conversation_id, t.turn, t.at, t.state, t.ended, t.handoff IS NOT NULL AS handed,
              count(*) FILTER (WHERE m.direction = 'in') > 0 AS heard,
              count(*) FILTER (WHERE m.direction = 'out' AND m.wamid IS NOT NULL) AS out,
              count(*) FILTER (
                WHERE m.direction = 'out' AND f.price_type = 'regular' AND (f.arrived_at IS NOT NULL OR NOT f.failed)
              ) AS billed,
              CASE WHEN $4 = ANY (string_to_array(t.ended, ' ')) THEN (
                SELECT min(said.at) FROM smarterbot.conversations mine
                JOIN smarterbot.conversations demo ON demo.tenant_id = $1 AND demo.contact_id = mine.contact_id
                  AND demo.channel_id = ANY ($5::uuid[])
                JOIN smarterbot.messages said ON said.tenant_id = $1 AND said.conversation_id = demo.id
                  AND said.direction = 'in' AND said.at >= date_trunc('second', t.at)
                WHERE mine.tenant_id = $1 AND mine.id = t.conversation_id
              ) END AS tried
            FROM smarterbot.turns t
            LEFT JOIN smarterbot.messages m ON m.tenant_id = $1 AND m.conversation_id = t.conversation_id AND m.turn = t.turn
            LEFT JOIN smarterbot.message_fares f ON f.tenant_id = $1 AND f.wamid = m.wamid
            WHERE t.tenant_id = $1 AND t.turn > 0 AND t.conversation_id IN (
              SELECT conversation_id FROM smarterbot.turns
              WHERE tenant_id = $1 AND at >= $2 AND starts_with(state, $3)
            )
            GROUP BY t.tenant_id, t.conversation_id, t.turn ORDER BY t.conversation_id, t.turn
            """,
            tenant,
            since,
            f"{flow}.",
            f"{flow}.{aim}",
            list(demos),
        )
    return [
        Stop(
            conversation=str(row["conversation_id"]),
            turn=row["turn"],
            at=row["at"],
            state=row["state"],
            ended=tuple(row["ended"].split()),
            heard=row["heard"],
            handed=row["handed"],
            out=row["out"],
            billed=row["billed"],
            tried=row["tried"],
        )
        for row in rows
    ]


async def begun_at(
    connection: Connection, tenant: TenantId, conversation: ConversationId, flow: str
) -> datetime | None:
    """When the run began in which a conversation is; None: the journal knows of none yet.

    `connection`: acts for the tenant.
    """
    began: datetime | None = await connection.fetchval(
        """
        SELECT min(at) FROM smarterbot.turns
        WHERE tenant_id = $1 AND conversation_id = $2 AND turn > (
          SELECT coalesce(max(turn), 0) FROM smarterbot.turns
          WHERE tenant_id = $1 AND conversation_id = $2 AND NOT starts_with(state, $3)
        )
        """,
        tenant,
        conversation,
        f"{flow}.",
    )
    return began
