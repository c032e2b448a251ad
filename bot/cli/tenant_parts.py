"""`smarterbot tenant status|retry`: how far the parts of a firm are, and those that failed tried again."""

from collections.abc import Mapping
from typing import Annotated, Final, get_args
from uuid import UUID

import typer

from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.identity.moments import moment
from bot.onboarding.parts import SYSTEMS, begin_again, read_parts
from bot.onboarding.setup import SetUpFirm, put_set_up
from bot.people.tenants import get_tenant
from flows.calls.signup import Part, PartState, SetUp
from flows.values.ids import TenantId

Id = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the tenant.")]
DAY_S: Final = 86_400

_MENDS: Final[Mapping[tuple[PartState, str], str]] = {
    ("pending", ""): "under way",
    ("pending", "owner"): "waits for its owner: the link to /connect is in their chat",
    ("pending", "down"): "the system does not answer; it is asked again",
    ("failed", "down"): "it did not answer for hours: see to it, then `tenant retry`",
    ("failed", "unknown"): "there is no such template: `marketplace apply` another",
    ("not_connected", ""): "this platform has no such system",
}
"""What to know, or to do, by state and reason."""


def status(tenant: Id, *, as_json: AsJson = False) -> None:
    """What a firm has, what is under way and what failed. Exit status 1 if something failed."""

    async def work(session: Session) -> tuple[SetUp, ...]:
        found = await get_tenant(session.database, TenantId(str(tenant)))
        async with session.database.tenant(found.firm.id) as connection:
            return await read_parts(connection, found.firm.id)

    parts = in_session(work)
    if as_json:
        print_json(
            {
                part.part: {"state": part.state, "reason": part.reason, "mend": _mend(part)}
                for part in parts
            }
        )
    else:
        print_table(
            ["part", "state", "what to know"],
            [(part.part, part.state.replace("_", " "), _mend(part)) for part in parts],
            empty="it did not register itself: nothing was set up for it",
        )
    if any(part.state == "failed" for part in parts):
        raise typer.Exit(1)


def retry(
    tenant: Id,
    part: Annotated[str, typer.Argument(help=f"One of {', '.join(SYSTEMS)}.")],
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try a system again that failed, or that this platform has now."""
    wanted = _system(part)

    async def work(session: Session) -> bool:
        clock = Clock()
        firm = (await get_tenant(session.database, TenantId(str(tenant)))).firm.id
        async with session.errands(clock) as errands, session.database.tenant(firm) as connection:
            at = moment(clock)
            parts = {each.part: each for each in await read_parts(connection, firm)}
            stuck = wanted in parts and parts[wanted].state in ("failed", "not_connected")
            if not stuck or dry_run:
                return stuck
            round_ = await begin_again(connection, firm, wanted, at=at)
            assert round_ is not None
            # Before the commit: a row that says "under way" has its order in a lane.
            order = SetUpFirm(firm, wanted, round_)
            await put_set_up(errands, order, day=int(at.timestamp()) // DAY_S)
        return True

    begun = in_session(work)
    if as_json:
        print_json({"part": wanted, "begun": begun and not dry_run, "dry_run": dry_run})
    elif not begun:
        print_line(f"{wanted} has not failed: see `tenant status`")
    else:
        print_line(f"{wanted} can be tried again" if dry_run else f"{wanted} is under way")


def _system(part: str) -> Part:
    if part not in SYSTEMS:
        there = f"there are {', '.join(SYSTEMS)}"
        mend = f"is done with the firm itself; name one of {', '.join(SYSTEMS)}"
        raise FieldError(f"part: {mend if part in get_args(Part) else there}")
    return next(each for each in SYSTEMS if each == part)


def _mend(part: SetUp) -> str:
    if part.state == "done":
        return ""
    told = _MENDS.get((part.state, part.reason))
    return told or f"{part.reason}: see the alert, then `tenant retry`"
