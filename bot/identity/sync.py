"""Do the firms' systems know of their people what they should? By what was told; and what to tell again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import asyncpg

from bot.people.systems import hearing_systems
from bot.store.database import Database
from flows.values.ids import TenantId, Ugid
from handlers.persons import SystemKind

PEOPLE_MAX: Final = 500
UNDER_WAY: Final = timedelta(minutes=1)
"""News that is younger may still be on its way."""

Why = Literal["missing", "behind", "failed", "not_removed", "not_erased", "no_system"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A system does not know of a person what it should."""

    tenant: TenantId
    system: SystemKind
    ugid: Ugid
    why: Why
    """`missing`: never told · `behind`: not told of the newest · `failed`: given up · `not_removed`, `not_erased`: they
    left, or were erased, and it does not know · `no_system`: erased, and the firm has no such system to tell any more."""
    fault: str
    tries: int
    since: datetime

    @property
    def can_be_told(self) -> bool:
        return self.why != "no_system"


@dataclass(frozen=True, slots=True)
class Looked:
    """So many people of a firm were looked at."""

    people: int
    told: tuple[tuple[SystemKind, Ugid], ...]
    """Where all is as it should be, or is on its way."""
    differences: tuple[Difference, ...]


async def look(
    database: Database, tenant: TenantId, *, now: datetime, most: int = PEOPLE_MAX
) -> AsyncIterator[Looked]:
    """The people of a firm, some at a time: who belongs to it, and who has belonged to it."""
    after = UUID(int=0)
    while True:
        async with database.tenant(tenant) as connection:
            people = await connection.fetch(
                """
                SELECT m.ugid, revoked_at, v.erased_at, v.version, v.at FROM (
                  SELECT ugid, revoked_at FROM smarterbot.memberships
                  WHERE tenant_id = $1 AND ugid > $2 ORDER BY ugid LIMIT $3
                ) AS m LEFT JOIN smarterbot.identity_versions(ARRAY(
                  SELECT ugid FROM smarterbot.memberships
                  WHERE tenant_id = $1 AND ugid > $2 ORDER BY ugid LIMIT $3
                ), $1) AS v USING (ugid) ORDER BY ugid
                """,
                tenant,
                after,
                most,
            )
            if not people:
                return
            hearing = await hearing_systems(connection, tenant)
            rows = await connection.fetch(
                """
                SELECT system, ugid, told, state, fault, tries, at FROM smarterbot.identity_deliveries
                WHERE tenant_id = $1 AND ugid = ANY ($2)
                """,
                tenant,
                [person["ugid"] for person in people],
            )
        yield _judge(tenant, people, rows, hearing, now - UNDER_WAY)
        after = people[-1]["ugid"]


def _judge(
    tenant: TenantId,
    people: list[asyncpg.Record],
    rows: list[asyncpg.Record],
    hearing: tuple[SystemKind, ...],
    settled: datetime,
) -> Looked:
    known: dict[tuple[object, SystemKind], asyncpg.Record] = {
        (row["ugid"], row["system"]): row for row in rows
    }
    told, differences = [], []
    for person in people:
        if person["version"] is None:
            continue
        systems = dict.fromkeys(
            (*hearing, *(row["system"] for row in rows if row["ugid"] == person["ugid"]))
        )
        ugid = Ugid(str(person["ugid"]))
        for system in systems:
            row = known.get((person["ugid"], system))
            why = _why(person, row, hears=system in hearing, settled=settled)
            if why is None:
                told.append((system, ugid))
                continue
            fault, tries, since = (
                ("", 0, person["at"]) if row is None else (row["fault"], row["tries"], row["at"])
            )
            differences.append(Difference(tenant, system, ugid, why, fault, tries, since))
    return Looked(len(people), tuple(told), tuple(differences))


def _why(
    person: asyncpg.Record, row: asyncpg.Record | None, *, hears: bool, settled: datetime
) -> Why | None:
    """None: all is as it should be, or may be on its way."""
    if row is not None and row["state"] == "failed" and hears:
        return "failed"
    is_new = person["at"] > settled
    if person["erased_at"] is not None:
        if row is None or row["state"] == "erased":
            return None
        if not hears:
            return "no_system"
        return None if is_new else "not_erased"
    if not hears or is_new:
        return None
    if person["revoked_at"] is not None:
        return None if row is None or row["state"] in ("removed", "erased") else "not_removed"
    if row is None:
        return "missing"
    return "behind" if row["told"] < person["version"] or row["state"] == "removed" else None
