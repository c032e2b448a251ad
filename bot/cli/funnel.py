"""`smarterbot funnel`: what the sign-up loses where."""

from datetime import timedelta
from typing import Annotated, Final

import typer

from bot.cli.output import AsJson, FieldError, print_facts, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.identity.moments import moment
from bot.onboarding.funnel import Funnel, Step, count, read_stops
from bot.people.channels import Mark, list_channels, mark_of

app = typer.Typer(help="What a flow loses where.", no_args_is_help=True)

FLOW: Final = "signup"
AIM: Final = "opened"
PAUSES: Final = frozenset(f"{FLOW}.{state}" for state in ("paused", "waiting", "reminded"))
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

    async def work(session: Session) -> Funnel:
        now = moment(Clock())
        since = now - timedelta(days=days)
        channels = [each.channel for each in await list_channels(session.database)]
        home = next((each.tenant for each in channels if mark_of(each) is Mark.PLATFORM), None)
        if home is None:
            raise FieldError("there is no platform's number yet: channel add --platform")
        demos = [each.id for each in channels if each.tenant == home and mark_of(each) is Mark.DEMO]
        stops = await read_stops(session.database, home, FLOW, aim=AIM, since=since, demos=demos)
        return count(stops, FLOW, aim=AIM, now=now, since=since, pauses=PAUSES)

    found = in_session(work)
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
                "paused": found.paused,
                "messages_per_firm": found.messages,
                "billed_per_firm": found.billed,
                "seconds_to_firm": found.seconds,
                "tried": found.tried,
                "seconds_to_first_try": found.seconds_to_try,
                "steps": found.steps,
            }
        )
        return
    if not found.begun:
        print_line(f"nobody began to register in the last {days} days")
        return
    _show(found)


def _show(found: Funnel) -> None:
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
            "  of these two, paused": f"{found.paused}",
            "messages to a firm": _number(found.messages),
            "  billed": _number(found.billed),
            "time to a firm": _time(found.seconds),
            "tried its bot": f"{found.tried}",
            "time to the first try": _time(found.seconds_to_try),
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
    if seconds < 6_000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
