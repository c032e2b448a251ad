"""`smarterbot funnel`: what the sign-up loses where."""

from datetime import timedelta
from statistics import median
from typing import Annotated, Final

import typer

from bot.cli.output import AsJson, FieldError, print_facts, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.identity.moments import moment
from bot.onboarding.funnel import Funnel, Step, count, first_customers, read_stops
from bot.people.channels import Mark, list_channels, mark_of

app = typer.Typer(help="What a flow loses where.", no_args_is_help=True)

FLOW: Final = "signup"
AIM: Final = "opened"
BAR: Final = 22
"""Characters of the longest bar."""


@app.callback()
def funnel() -> None:
    """What a flow loses where."""


@app.command("onboarding")
def onboarding(
    *,
    days: Annotated[int, typer.Option(min=1, max=400, help="So many days back.")] = 28,
    as_json: AsJson = False,
) -> None:
    """The sign-up of firms: who came to each question, who went on, who fell silent there for a day."""

    async def work(session: Session) -> tuple[Funnel, list[float]]:
        now = moment(Clock())
        since = now - timedelta(days=days)
        ours = [
            each.channel
            for each in await list_channels(session.database)
            if mark_of(each.channel) is Mark.PLATFORM
        ]
        if not ours:
            raise FieldError("there is no platform's number yet: channel add --platform")
        stops = await read_stops(session.database, ours[0].tenant, FLOW, since=since)
        found = count(stops, FLOW, aim=AIM, now=now)
        return found, await first_customers(session.database, since=since)

    found, firsts = in_session(work)
    if as_json:
        print_json(
            {
                "days": days,
                "begun": found.begun,
                "opened": found.finished,
                "conversion": found.conversion,
                "ends": dict(found.ends),
                "waiting": found.waiting,
                "dropped": found.dropped,
                "messages_per_firm": found.messages,
                "billed_per_firm": found.billed,
                "seconds_to_firm": found.seconds,
                "seconds_to_first_customer": median(firsts) if firsts else None,
                "steps": found.steps,
            }
        )
        return
    if not found.begun:
        print_line(f"nobody began to register in the last {days} days")
        return
    _show(found, firsts)


def _show(found: Funnel, firsts: list[float]) -> None:
    most = max(step.entries for step in found.steps)
    print_table(
        ["question", "came", "went on", "there", "lost", "median", "p90", ""],
        [
            (
                step.state.removeprefix(f"{FLOW}."),
                f"{step.entries}",
                f"{step.exits}",
                f"{step.waiting}",
                f"{step.dropped}",
                _time(step.median_s),
                _time(step.p90_s),
                _bar(step, most),
            )
            for step in found.steps
        ],
        empty="",
    )
    print_line("")
    share = found.conversion or 0.0
    print_facts(
        {
            "began": f"{found.begun}",
            "opened a firm": f"{found.finished} ({share:.0%})",
            **{f"  {how}": f"{number}" for how, number in sorted(found.ends.items()) if how != AIM},
            "are at it": f"{found.waiting}",
            "fell silent": f"{found.dropped}",
            "messages to a firm": _number(found.messages),
            "  billed": _number(found.billed),
            "time to a firm": _time(found.seconds),
            "  to its first customer": _time(median(firsts) if firsts else None),
        }
    )


def _bar(step: Step, most: int) -> str:
    """Who came, and of them, lighter, who was lost."""
    whole = max(1, round(BAR * step.entries / most))
    lost = min(whole, round(BAR * step.dropped / most))
    return "█" * (whole - lost) + "░" * lost


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.0f} h"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
