"""What a flow loses where, as the journal tells it: for each state who came, who went on and who fell silent there.

A *run* is a conversation's way through the flow, from its first state to the end of it or to silence. It is read from the
states at rest after each turn, so a state that a turn only passed through is not seen.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from statistics import median, quantiles

from bot.people.tenants import list_firms
from bot.store.database import Database
from flows.values.ids import TenantId

SILENT: timedelta = timedelta(hours=24)
"""Whoever says nothing for so long has left, even if they may come back."""
LEFT = "left"
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
    out: int = 0
    """Messages that it said."""
    billed: int = 0
    """… of them, those that Meta charges for."""


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
    """A flow's figures."""

    begun: int
    ends: Mapping[str, int]
    """Runs by how they ended, e.g. `opened`."""
    waiting: int
    dropped: int
    finished: int
    """Runs that came to what the flow is for."""
    messages: float | None
    """Said in a run that was finished; median."""
    billed: float | None
    seconds: float | None
    """From the first message of such a run to its end; median."""
    steps: tuple[Step, ...]
    """In the order in which they are met."""

    @property
    def conversion(self) -> float | None:
        """Part of the runs that were finished."""
        return self.finished / self.begun if self.begun else None


@dataclass(slots=True)
class _Run:
    begun: datetime
    state: str
    since: datetime
    last: datetime
    out: int = 0
    billed: int = 0
    end: str = ""
    ended: datetime | None = None


@dataclass(slots=True)
class _Tally:
    entries: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    places: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    runs: list[_Run] = field(default_factory=list)


def count(stops: Iterable[Stop], flow: str, *, aim: str, now: datetime) -> Funnel:
    """The figures of a flow.

    Args:
        stops: by conversation, and in order of their turns.
        flow: its name.
        aim: the end that it is for, e.g. `opened`.
        now: whoever was last heard `SILENT` before has left.
    """
    tally = _Tally()
    for _, each in groupby(stops, attrgetter("conversation")):
        _follow(list(each), f"{flow}.", tally)
    open_ = [run for run in tally.runs if run.ended is None]
    dropped = Counter(run.state for run in open_ if now - run.last >= SILENT)
    waiting = Counter(run.state for run in open_ if now - run.last < SILENT)
    done = [run for run in tally.runs if run.end == aim]
    return Funnel(
        begun=len(tally.runs),
        ends=Counter(run.end for run in tally.runs if run.ended is not None),
        waiting=waiting.total(),
        dropped=dropped.total(),
        finished=len(done),
        messages=_median([run.out for run in done]),
        billed=_median([run.billed for run in done]),
        seconds=_median(
            [(run.ended - run.begun).total_seconds() for run in done if run.ended is not None]
        ),
        steps=tuple(
            Step(
                state=state,
                entries=tally.entries[state],
                exits=len(tally.times[state]),
                waiting=waiting[state],
                dropped=dropped[state],
                median_s=_median(tally.times[state]),
                p90_s=_p90(tally.times[state]),
            )
            for state in sorted(tally.entries, key=lambda state: _median(tally.places[state]) or 0)
        ),
    )


def _follow(stops: Sequence[Stop], prefix: str, tally: _Tally) -> None:
    """One conversation, which may go through the flow more than once."""
    run: _Run | None = None
    place = 0
    for stop in stops:
        inside = stop.state.startswith(prefix)
        ends = [end.removeprefix(prefix) for end in stop.ended if end.startswith(prefix)]
        if run is not None:
            run.last = stop.at
            run.out += stop.out
            run.billed += stop.billed
            if ends or not inside or stop.state != run.state:
                tally.times[run.state].append((stop.at - run.since).total_seconds())
            if ends or not inside:
                run.end, run.ended = (ends[-1] if ends else LEFT), stop.at
                run = None
        if not inside:
            continue
        if run is None:
            run = _Run(stop.at, stop.state, stop.at, stop.at, stop.out, stop.billed)
            tally.runs.append(run)
            place = 0
        elif stop.state == run.state:
            continue
        run.state, run.since = stop.state, stop.at
        tally.entries[stop.state] += 1
        tally.places[stop.state].append(place)
        place += 1


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _p90(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else quantiles(values, n=10, method="inclusive")[-1]


# ------------------------------------------------------------------ PostgreSQL


async def read_stops(
    database: Database, tenant: TenantId, flow: str, *, since: datetime
) -> list[Stop]:
    """The turns of the conversations that were in the flow since then, in order."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT t.conversation_id, t.turn, t.at, t.state, t.ended,
              count(m.ref) AS out, count(f.wamid) FILTER (WHERE f.price_type = 'regular') AS billed
            FROM smarterbot.turns t
            LEFT JOIN smarterbot.messages m ON m.tenant_id = t.tenant_id AND m.conversation_id = t.conversation_id
              AND m.turn = t.turn AND m.direction = 'out' AND m.wamid IS NOT NULL
            LEFT JOIN smarterbot.message_fares f ON f.tenant_id = m.tenant_id AND f.wamid = m.wamid
            WHERE t.tenant_id = $1 AND t.at >= $2 AND t.turn > 0 AND t.conversation_id IN (
              SELECT conversation_id FROM smarterbot.turns
              WHERE tenant_id = $1 AND at >= $2 AND starts_with(state, $3)
            )
            GROUP BY t.conversation_id, t.turn, t.at, t.state, t.ended ORDER BY t.conversation_id, t.turn
            """,
            tenant,
            since,
            f"{flow}.",
        )
    return [
        Stop(
            conversation=str(row["conversation_id"]),
            turn=row["turn"],
            at=row["at"],
            state=row["state"],
            ended=tuple(row["ended"].split()),
            out=row["out"],
            billed=row["billed"],
        )
        for row in rows
    ]


async def first_customers(database: Database, *, since: datetime) -> list[float]:
    """Seconds from the opening of each firm since then to the first message of a customer to a number of its own."""
    found: list[float] = []
    for firm in await list_firms(database):
        async with database.tenant(firm.id) as connection:
            row = await connection.fetchrow(
                """
                SELECT opened_at, (
                  SELECT min(at) FROM smarterbot.messages WHERE tenant_id = $1 AND direction = 'in'
                ) AS first FROM smarterbot.signups WHERE tenant_id = $1 AND opened_at >= $2
                """,
                firm.id,
                since,
            )
        if row is not None and row["first"] is not None:
            found.append((row["first"] - row["opened_at"]).total_seconds())
    return found
