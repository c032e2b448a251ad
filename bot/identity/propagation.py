"""Propagation: what befalls people, from the outbox into the lanes of the systems that must hear of it.

A line counts as carried once its orders are durable. Between the two the process may be killed: the orders are put
again then, under the same mark. So nothing is lost, and what is put twice is told once.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

import asyncpg
import msgspec
import structlog

from bot.clock import Clock
from bot.engine.rota import Rota
from bot.identity.moments import moment
from bot.lanes import LaneError, StoreLostError
from bot.metrics import Metrics
from bot.people.systems import hearing_systems
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.values.ids import TenantId, Ugid
from handlers.persons import SystemKind, TellPerson
from handlers.ports import Errands, StoreDownError

CHORE: Final = "propagation"
LINES_MAX: Final = 500
PAUSE_S: Final = 1.0
REST_S: Final = 0.4
"""Nobody carries for so long after a pass: shorter than a pause."""
BACKOFF_MAX_S: Final = 30.0
DAY_S: Final = 86_400
_TOLD_KINDS: Final = frozenset(("", "phone", "email"))
"""Of identities. A BSUID and Clerk's id of a person are no firm's business."""

log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Line:
    seq: int
    id: str
    about: TenantId | None
    """None: every firm of the person."""
    at: datetime


class Propagation:
    """Runs in every process that works; one of them does it at a time, and it would do no harm if two did."""

    def __init__(
        self, database: Database, errands: Errands, *, clock: Clock, metrics: Metrics
    ) -> None:
        self._database = database
        self._errands = errands
        self._clock = clock
        self._metrics = metrics

    async def run(self, rota: Rota) -> NoReturn:
        """Carry what is there, again and again, when it is our turn. An outage of either side is waited for."""
        wait_s = PAUSE_S
        while True:
            try:
                more = await self._turn(rota)
            except (*UNAVAILABLE, StoreLostError, StoreDownError) as error:
                wait_s = min(wait_s * 2, BACKOFF_MAX_S)
                log.warning("propagation.waits", error=type(error).__name__, wait_s=wait_s)
            except (LaneError, StoreError, asyncpg.PostgresError) as error:
                # The schema or the role is not what it should be.
                wait_s = BACKOFF_MAX_S
                log.error("propagation.stuck", error=type(error).__name__, wait_s=wait_s)
            else:
                wait_s = PAUSE_S
                if more:
                    continue
            await self._clock.sleep(wait_s)

    async def _turn(self, rota: Rota) -> bool:
        """A pass, if it is our turn; answers whether to go on at once."""
        if not await rota.take():
            return False
        more = False
        try:
            more = await self.pass_once() == LINES_MAX
        finally:
            # After an error somebody else may try.
            rota.pass_on(after_s=0.0 if more else REST_S)
        return more

    async def pass_once(self) -> int:
        """Carry the oldest lines, at most `LINES_MAX`; answers how many.

        Raises:
            StoreDownError, bot.store.errors.UNAVAILABLE: the rest waits.
        """
        async with self._database.system() as connection:
            rows = await connection.fetch(
                "SELECT * FROM smarterbot.identity_outbox_waiting($1)", LINES_MAX
            )
        self._metrics.identity_lines_waiting.set(len(rows))
        lines: dict[Ugid, list[_Line]] = defaultdict(list)
        for row in rows:
            if row["kind"] in _TOLD_KINDS:
                about = row["about_tenant"]
                firm = None if about is None else TenantId(str(about))
                line = _Line(row["seq"], str(row["id"]), firm, row["at"])
                lines[Ugid(str(row["ugid"]))].append(line)
        for ugid, story in lines.items():
            await self._carry(ugid, story)
        if rows:
            async with self._database.system() as connection:
                await connection.execute(
                    "SELECT smarterbot.identity_outbox_carried($1, $2)",
                    [row["seq"] for row in rows],
                    moment(self._clock),
                )
            self._metrics.identity_lines_waiting.dec(len(rows))
            self._metrics.events.labels("identity_lines", "carried").inc(len(rows))
        return len(rows)

    async def _carry(self, ugid: Ugid, story: Iterable[_Line]) -> None:
        """One order for each system that hears of the person, whatever number of lines led to it."""
        newest: dict[TenantId | None, _Line] = {}
        for line in story:
            newest[line.about] = line
        for tenant, systems in (await self._hearing(ugid)).items():
            lines = [line for about, line in newest.items() if about in (None, tenant)]
            if not lines:
                continue
            last = max(lines, key=lambda line: line.seq)
            for system in systems:
                await self.put(
                    TellPerson(tenant, ugid),
                    system,
                    mark=last.id,
                    day=int(last.at.timestamp()) // DAY_S,
                )

    async def put(self, order: TellPerson, system: SystemKind, *, mark: str, day: int) -> bool:
        """Put an order into the lane of the person at a firm's system; see `handlers.ports.Errands.put`."""
        about = f"{order.tenant}|{order.ugid}"
        return await self._errands.put(
            system, about, _encode(order), mark=f"{about}|{mark}", day=day
        )

    async def _hearing(self, ugid: Ugid) -> dict[TenantId, tuple[SystemKind, ...]]:
        """By firm to which the person belongs, or belonged, its systems."""
        async with self._database.person(ugid) as connection:
            rows = await connection.fetch(
                "SELECT tenant_id FROM smarterbot.memberships WHERE ugid = $1", ugid
            )
            firms = [TenantId(str(row["tenant_id"])) for row in rows]
            return {firm: await _systems(connection, firm) for firm in firms}


async def _systems(connection: Connection, tenant: TenantId) -> tuple[SystemKind, ...]:
    await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
    return await hearing_systems(connection, tenant)
