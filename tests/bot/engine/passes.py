"""Passes over a journal, in any order, broken off or repeated: they must leave the same rows.

A pass reads, writes and trims. Here it may stand still once it has read, and once it has written, for as long as others
take to overtake it, or for ever.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final
from uuid import UUID

import asyncpg
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder, encode
from msgspec.structs import replace

from bot.embedded.postgres import PostgresUrls
from bot.engine.journal import Journal
from bot.lanes import PREFIX, Lanes, Wire
from bot.people.channels import add_channel
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import ContactId, TenantId
from flows.values.rut import Rut, check_digit
from handlers.events import Sender
from handlers.journal import ConsentChange, HandoffRecord, Record, StatusRecord, TurnRecord
from tests.bot.engine.chance import from_seed, tried
from tests.bot.engine.outside import NUMBER, PEOPLE, TENANT, Answer
from tests.bot.engine.simulation import Met, Plan, Written, simulations
from tests.bot.engine.still import Gate, GatedWire, StillClock
from tests.bot.engine.store import SHARDS
from tests.conftest import empty

Line = tuple[int, bytes]
"""A line of a shard's journal."""

DAY: Final = Plan(
    written=[
        Written(0, 0, "order", 2),
        Written(50, 1, "gather", 3),
        Written(700, 2, "say", 2),
        Written(2_000, 0, "nap"),
        Written(2_000, 1, "boom"),
        Written(6_000, 1, "say", 2),
        Written(700, 0, "say"),
        Written(6_000, 1, "say", 2),
        Written(700, 0, "order"),
        Written(700, 1, "nap"),
        Written(700, 2, "boom"),
    ],
    met=[Met(Answer.TAKES), Met(Answer.UNDELIVERABLE), Met(Answer.BREAKS_AFTER), Met(Answer.TAKES)],
    statuses=(200, 1_000, 200),
)

record_of = Decoder[Record](Record).decode
box = SecretBox((Key(id="k1", secret=bytes(32)),))


@dataclass(frozen=True)
class Begin:
    """A pass is begun: it reads up to so many lines of each shard."""

    lines_max: int


@dataclass(frozen=True)
class GoOn:
    """One of those that stand still writes what it read, or trims what it wrote."""

    which: int
    vanishes: bool = False
    """Its process is gone before it hears that it has done so."""


steps = st.lists(
    st.one_of(
        st.builds(Begin, lines_max=st.sampled_from([1, 2, 3, 5, 100])),
        st.builds(GoOn, which=st.integers(0, 3), vanishes=st.sampled_from([False, False, True])),
    ),
    max_size=14,
)


@dataclass
class Pass:
    """One pass of the journal's writer, which stops at every way to the store."""

    gate: Gate
    task: "asyncio.Task[int]"

    async def stops(self) -> None:
        """Until it wants something of the store, or is done. PostgreSQL takes what time it takes."""
        while not (self.task.done() or self.gate.line):  # noqa: ASYNC110  another process brings it about
            await asyncio.sleep(0.0005)
        for _ in range(3):
            await asyncio.sleep(0)  # it wants it of all shards at once

    async def reads(self) -> None:
        await self.stops()
        for trip in self.gate.line:
            await trip.happen()

    async def vanishes(self) -> None:
        for trip in self.gate.line:
            await trip.happen()
        self.gate.line.clear()
        self.task.cancel()
        await asyncio.wait([self.task])

    async def goes_on(self) -> None:
        while self.gate.line:
            trip = self.gate.line.popleft()
            await trip.happen()
            trip.answer()
        await self.stops()


class Desk:
    """A store, a database, and firms that are made as they are needed."""

    def __init__(
        self,
        wire: Wire,
        database: Database,
        eyes: "asyncpg.Connection[asyncpg.Record]",
        lines: Sequence[Line],
    ) -> None:
        """`lines`: the journal of a day."""
        self.wire = wire
        self.database = database
        self.eyes = eyes
        self.lines = lines
        self._clock = StillClock()
        self._numbers = count(1)

    async def rows_after(self, steps: Sequence[Begin | GoOn]) -> list[str]:
        """What lies in the database of a new firm after these passes over its journal, and a last one in peace."""
        tenant = await self._firm()
        await self.wire.call("FLUSHALL")
        for shard, line in self.lines:
            renamed = line.replace(TENANT.encode(), tenant.encode())
            await self.wire.call("RPUSH", f"{PREFIX}journal:{{{shard}}}", renamed)
        passes: list[Pass] = []
        for step in steps:
            match step:
                case Begin(lines_max=lines_max):
                    one = self._begin(lines_max)
                    await one.reads()
                    passes.append(one)
                case GoOn(which=which, vanishes=vanishes) if passes:
                    one = passes[which % len(passes)]
                    await (one.vanishes() if vanishes else one.goes_on())
                case GoOn():
                    pass
        for one in passes:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in passes), return_exceptions=True)
        lanes = Lanes(self.wire, shards=SHARDS, clock=self._clock)
        while await Journal(lanes, self.database).drain_once():
            pass
        return await self._rows(tenant)

    def _begin(self, lines_max: int) -> Pass:
        gate = Gate(deque())
        lanes = Lanes(GatedWire(gate, self.wire, self._clock), shards=SHARDS, clock=self._clock)
        journal = Journal(lanes, self.database, lines_max=lines_max)
        return Pass(gate, asyncio.get_running_loop().create_task(journal.drain_once()))

    async def _firm(self) -> TenantId:
        n = next(self._numbers)
        tenant, body = TenantId(str(UUID(int=n))), 76_000_000 + n
        rut = Rut(f"{body}{check_digit(body)}")
        await add_tenant(self.database, Firm(id=tenant, name="Panadería Sol"), rut=rut)
        channel = replace(NUMBER, tenant=tenant, phone_number_id=f"n{n}")
        await add_channel(self.database, box, channel, token="")
        return tenant

    async def _rows(self, tenant: TenantId) -> list[str]:
        tables = await self.eyes.fetch(
            """
            SELECT table_name FROM information_schema.columns
            WHERE table_schema = 'smarterbot' AND column_name = 'tenant_id' AND table_name <> 'channels' ORDER BY 1
            """
        )
        found: list[str] = []
        for (table,) in tables:
            rows = await self.eyes.fetch(
                f"SELECT (to_jsonb(x) - 'tenant_id')::text FROM smarterbot.{table} x WHERE tenant_id = $1 ORDER BY 1",
                tenant,
            )
            found += [f"{table} {row}" for (row,) in rows]
        assert await self.eyes.fetchval("SELECT count(*) FROM smarterbot.journal_rejects") == 0
        return found


def embroidered(lines: Sequence[Line]) -> list[Line]:
    """The journal of a day in which people also read, change their names and phones, consent, and ask for a person."""
    turns: Counter[ContactId] = Counter()
    found: list[Line] = []
    for shard, raw in lines:
        record = record_of(raw)
        if isinstance(record, TurnRecord):
            turns[record.contact] += 1
            n = turns[record.contact]
            record = replace(
                record,
                sender=None if record.sender is None else _later(record.sender, n),
                consents=(ConsentChange("marketing", n % 2 == 0, record.heard[-1].id),)
                if record.heard
                else (),
                handoff="ventas" if n % 3 == 0 else None,
            )
            if record.handoff is not None:
                handoff = HandoffRecord(
                    tenant=record.tenant,
                    conversation=record.conversation,
                    contact=record.contact,
                    seq=n,
                    at=record.at,
                    note="una torta",
                )
                found.append((shard, encode(handoff)))
        found.append((shard, encode(record)))
        if isinstance(record, StatusRecord):
            read = tuple(replace(seen, status="read") for seen in record.statuses)
            found.append((shard, encode(StatusRecord(read))))
    return found


def _later(sender: Sender, n: int) -> Sender:
    """As they go by after so many turns: Beto gets the phone that was Ana's, and she gets it back."""
    phone = PEOPLE[0].wa_id if sender == PEOPLE[1] and n > 2 else sender.wa_id
    return replace(sender, name=f"{sender.name}{n // 3}" if sender.name else "", wa_id=phone)


def run_passes(
    store_url: str,
    postgres: PostgresUrls,
    *,
    histories: int,
    seed: int | None = None,
    shrink: bool = True,
) -> None:
    """Try so many random histories of passes over the journal of a day. Both stores are emptied."""
    with simulations(store_url) as simulate:
        lines = embroidered(simulate(DAY).witness.lines)
    # One writer, line by line.
    alone = [step for n in range(len(lines)) for step in (Begin(1), GoOn(n), GoOn(n))]
    with asyncio.Runner() as runner, _desk(runner, store_url, postgres, lines) as desk:
        rows = runner.run(desk.rows_after(alone))

        @tried(histories, shrink=shrink)
        @from_seed(seed)
        @given(steps=steps)
        def the_rows_are_the_same(steps: list[Begin | GoOn]) -> None:
            assert runner.run(desk.rows_after(steps)) == rows, "rows as of one writer"

        the_rows_are_the_same()


@contextmanager
def _desk(
    runner: asyncio.Runner, store_url: str, postgres: PostgresUrls, lines: Sequence[Line]
) -> Iterator[Desk]:
    stack = AsyncExitStack()

    async def open_all() -> Desk:
        await empty(postgres)
        wire = await Wire.open(store_url)
        stack.push_async_callback(wire.close)
        database = await stack.enter_async_context(Database.open(postgres.app))
        eyes = await asyncpg.connect(postgres.app.replace("smarterbot_app@", "postgres@"))
        stack.push_async_callback(eyes.close)
        return Desk(wire, database, eyes, lines)

    try:
        yield runner.run(open_all())
    finally:
        runner.run(stack.aclose())
