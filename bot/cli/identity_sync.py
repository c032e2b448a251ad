"""`smarterbot identity sync`: whether the firms' systems know of their people what they should."""

import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import typer

from bot.cli.output import AsJson, DryRun, FieldError, print_facts, print_json, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.identity.propagation import DAY_S, LINES_MAX, Propagation
from bot.identity.sync import Difference, look
from bot.metrics import Metrics
from bot.people.tenants import get_tenant, list_firms
from flows.values.ids import TenantId, Ugid
from handlers.persons import SystemKind, TellPerson

DIFFERENT_EXIT = 1


@dataclass
class _Report:
    people: int = 0
    told: int = 0
    differences: list[Difference] = field(default_factory=list)
    put: int = 0
    lines_waiting: int = 0


def sync(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Tell again what is amiss.")] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="With --repair: also what counts as told, for a system that lost it."
        ),
    ] = False,
    tenant: Annotated[UUID | None, typer.Option(help="Only of this firm.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Do the firms' systems know of their people what they should? It ends with 1 if some do not.

    What is told again goes into the lanes, and running servers tell it; look again after a while.
    """
    if check == repair:
        raise FieldError("say --check or --repair")
    if again and not repair:
        raise FieldError("--again: is for --repair")

    async def work(session: Session) -> _Report:
        report, now = _Report(), datetime.now(UTC)
        if tenant is not None:
            firms = [(await get_tenant(session.database, TenantId(str(tenant)))).firm.id]
        else:
            firms = [firm.id for firm in await list_firms(session.database)]
        async with _lines(session) as propagation:
            report.lines_waiting = await _waiting(session)
            for number, firm in enumerate(firms, 1):
                async for looked in look(session.database, firm, now=now):
                    report.people += looked.people
                    report.told += len(looked.told)
                    report.differences += looked.differences
                    wanted = [(d.system, d.ugid) for d in looked.differences if d.can_be_told]
                    wanted += looked.told if again else ()
                    if repair and not dry_run:
                        await _put(propagation, firm, wanted, again=again, now=now)
                    report.put += len(wanted) if repair else 0
                    _progress(report.people, number, len(firms))
        return report

    report = in_session(work)
    if as_json:
        print_json(
            {
                "people": report.people,
                "told": report.told,
                "lines_waiting": report.lines_waiting,
                "differences": report.differences,
                "put": report.put,
                "dry_run": dry_run,
            }
        )
    else:
        _print(report, repair=repair, dry_run=dry_run)
    if check and report.differences:
        raise typer.Exit(DIFFERENT_EXIT)


def _print(report: _Report, *, repair: bool, dry_run: bool) -> None:
    print_table(
        ["tenant", "system", "person", "why", "fault", "tries", "since"],
        [
            (
                each.tenant,
                each.system,
                each.ugid,
                each.why,
                each.fault,
                f"{each.tries}",
                each.since.astimezone(UTC).isoformat(timespec="seconds"),
            )
            for each in report.differences
        ],
        empty="every system knows what it should",
    )
    counted = Counter(each.why for each in report.differences)
    facts = {"people": f"{report.people}", "as it should be": f"{report.told}"}
    facts |= {why: f"{number}" for why, number in sorted(counted.items())}
    if report.lines_waiting:
        facts["changes not on their way"] = f"{report.lines_waiting}"
    if repair:
        facts["can be told again" if dry_run else "told again"] = f"{report.put}"
    print_facts(facts)


@asynccontextmanager
async def _lines(session: Session) -> AsyncIterator[Propagation]:
    """The way into the lanes of the running servers."""
    clock = Clock()
    async with session.errands(clock) as errands:
        yield Propagation(session.database, errands, clock=clock, metrics=Metrics())


async def _put(
    propagation: Propagation,
    firm: TenantId,
    wanted: list[tuple[SystemKind, Ugid]],
    *,
    again: bool,
    now: datetime,
) -> None:
    day = int(now.timestamp()) // DAY_S
    for system, ugid in wanted:
        await propagation.put(
            TellPerson(firm, ugid, again=again), system, mark=f"repair|{uuid4()}", day=day
        )


async def _waiting(session: Session) -> int:
    async with session.database.system() as connection:
        rows = await connection.fetch(
            "SELECT seq FROM smarterbot.identity_outbox_waiting($1)", LINES_MAX
        )
    return len(rows)


def _progress(people: int, firm: int, firms: int) -> None:
    """On a terminal alone, and not in the answer."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{people} people of {firm} of {firms} firms were looked at\n")
