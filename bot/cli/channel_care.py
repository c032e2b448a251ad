"""`smarterbot channel doctor|subscribe|register|deregister`: what is wrong with a number, and how it is mended."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import typer

from bot.cli.meta import Line, find_line, find_lines, graph_of
from bot.cli.output import AsJson, DryRun, FieldError, print_facts, print_json, print_line
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.people.alerts import Alert, list_alerts
from bot.people.health import free_channel, get_health
from bot.people.registrations import PostgresPins
from handlers.ports import Channel
from handlers.whatsapp import registration
from handlers.whatsapp.client import Graph
from handlers.whatsapp.doctor import Report, examine
from handlers.whatsapp.health import Health

Id = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the channel.")]
MaybeId = Annotated[
    UUID | None, typer.Argument(metavar="ID", help="Id of the channel; all of them if left out.")
]

_PIN: Final = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Examined:
    channel: Channel
    report: Report
    health: Health
    """As the server knows it."""
    alerts: Sequence[Alert]


def doctor(channel: MaybeId = None, *, as_json: AsJson = False) -> None:
    """What is wrong with numbers, and how to mend it. Changes nothing. Exit status 1 if one of them cannot work."""

    async def work(session: Session) -> list[Examined]:
        lines = await find_lines(session, channel)
        async with graph_of(session) as graph:
            return [await _examined(session, graph, line) for line in lines]

    found = in_session(work)
    if as_json:
        print_json([_as_json(each) for each in found])
    elif not found:
        print_line("no channels yet: smarterbot channel add --tenant …")
    else:
        for each in found:
            _show(each)
    if any(each.report.blocked for each in found):
        raise typer.Exit(1)


def subscribe(channel: Id, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let the webhooks of the number's WhatsApp account come to the app of its token."""

    async def work(session: Session) -> None:
        line = await find_line(session, channel)
        if not dry_run:
            async with graph_of(session) as graph:
                await registration.subscribe(graph, line.channel, line.token)

    in_session(work)
    _done("subscribed", "the app is subscribed", dry_run=dry_run, as_json=as_json)


def register(channel: Id, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Register the number with its two-step PIN, which is kept sealed.

    The PIN is asked for, or read from standard input, never from an argument. Without one it is the one that the
    number was registered with last, or a new one.
    """
    given = _read_pin()
    if given and not _PIN.fullmatch(given):
        raise FieldError("PIN: six digits are expected")

    async def work(session: Session) -> int:
        line = await find_line(session, channel)
        if dry_run:
            return 0
        pins = PostgresPins(session.database, session.box, Clock())
        async with graph_of(session) as graph:
            left = await registration.register(graph, pins, line.channel, line.token, given=given)
        await free_channel(session.database, line.channel, "number_setup", at=Clock().now_ms())
        await session.publish()
        return left

    left = in_session(work)
    said = f"the number is registered; {left} more tries in 72 hours"
    _done("registered", said, dry_run=dry_run, as_json=as_json)


def deregister(channel: Id, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Take the number from the Cloud API. It sends nothing until it is registered again."""

    async def work(session: Session) -> None:
        line = await find_line(session, channel)
        if not dry_run:
            async with graph_of(session) as graph:
                await registration.deregister(graph, line.channel, line.token)

    in_session(work)
    _done("deregistered", "the number is deregistered", dry_run=dry_run, as_json=as_json)


# ------------------------------------------------------------------ asking


async def _examined(session: Session, graph: Graph, line: Line) -> Examined:
    channel = line.channel
    report = await examine(graph, channel, line.token, now_ms=Clock().now_ms())
    alerts = await list_alerts(session.database, channel.tenant, settled=False)
    return Examined(
        channel,
        report,
        await get_health(session.database, channel),
        [alert for alert in alerts if alert.channel in (None, channel.id)],
    )


def _read_pin() -> str:
    if sys.stdin.isatty():
        answer: str = typer.prompt("PIN", default="", hide_input=True, show_default=False)
        return answer.strip()
    return sys.stdin.read().strip()


# ------------------------------------------------------------------ telling


def _show(each: Examined) -> None:
    report = each.report
    token = report.token_kind or "not told by Meta"
    if report.token_expires_at:
        token += f", ends in {(report.token_expires_at - Clock().now_ms()) // 86_400_000} days"
    print_line(f"{each.channel.display_phone}  {each.channel.id}")
    print_facts(
        {
            "  can send": report.can_send or "?",
            "  quality": report.quality or "?",
            "  tier": report.tier or "?",
            "  throughput": f"{report.throughput or '?'}, we send {each.channel.throughput}/s",
            "  name": report.name_status or "?",
            "  token": token,
            "  held": ", ".join(each.health.holds) or "no",
            "  limited": ", ".join(each.health.limits) or "no",
            "  alerts": str(len(each.alerts)) + (" (smarterbot alerts)" if each.alerts else ""),
        }
    )
    for finding in report.findings:
        why = f" ({', '.join(report.why)})" if finding.problem.startswith("health_") else ""
        mark = "✗" if finding.blocks else "!"
        print_line(f"  {mark} {finding.problem}{why if report.why else ''}: {finding.mend}")
    if not report.findings:
        print_line("  ✓ nothing is wrong")


def _as_json(each: Examined) -> dict[str, object]:
    return {
        "channel": each.channel,
        "blocked": each.report.blocked,
        "findings": [
            {"problem": finding.problem, "blocks": finding.blocks, "mend": finding.mend}
            for finding in each.report.findings
        ],
        "report": each.report,
        "health": each.health,
        "alerts": len(each.alerts),
    }


def _done(name: str, said: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({name: not dry_run, "dry_run": dry_run})
    else:
        print_line("it can be done; nothing was changed" if dry_run else said)
