"""What the figures of a load say of the server."""

from collections.abc import Iterator
from typing import Final

from bot.loadtest.values import Result
from handlers.whatsapp.emulator.plan import Outcome, Plan

BUSY: Final = 0.9  # of one core: beyond it the loader measures itself ...
LATE_MS: Final = 100.0  # ... as it does when it writes so late
KEPT: Final = 0.95  # of the rate that was asked for


def judge(
    outcome: Outcome,
    plan: Plan,
    *,
    seed: int,
    p99_ms: float | None,
    loader_cpu: float,
    server_cpu: float | None,
) -> Result:
    """The figures, and whether they are good: nothing lost, doubled or inverted, nor slower than allowed."""
    counts = outcome.count
    sent_per_s = counts.sent / outcome.wrote_s if outcome.wrote_s else 0.0
    problems = [*_problems(outcome, p99_ms)]
    return Result(
        ok=not problems,
        problems=problems,
        notes=[*_notes(outcome, plan, loader_cpu=loader_cpu)],
        seed=seed,
        planned=plan.messages,
        people=plan.people,
        rate=plan.rate,
        sent_per_s=round(sent_per_s, 1),
        replies_per_s=round(counts.replies / outcome.took_s, 1) if outcome.took_s else 0.0,
        wrote_s=round(outcome.wrote_s, 1),
        took_s=round(outcome.took_s, 1),
        held_s=round(outcome.held_s, 1),
        faults=outcome.faults,
        loader_cpu=loader_cpu,
        loader_late_ms=outcome.late_ms.p99,
        server_cpu=server_cpu,
        counts=counts,
    )


def _problems(outcome: Outcome, p99_ms: float | None) -> Iterator[str]:
    counts = outcome.count
    if not counts.sent:
        yield "nothing was sent"
    if counts.lost:
        yield f"{counts.lost:,} messages were acknowledged and never answered"
    if counts.not_acknowledged:
        yield f"{counts.not_acknowledged:,} messages were never acknowledged"
    if counts.doubled_sends:
        yield f"{counts.doubled_sends:,} messages of the server came twice, under the same id"
    if counts.doubled_answers:
        yield f"{counts.doubled_answers:,} answers came that nobody waited for: messages answered twice"
    if counts.inverted:
        yield f"{counts.inverted:,} answers left after later ones to the same person"
    if outcome.broken_off and counts.in_flight:
        yield f"{counts.in_flight:,} answers were not waited for"
    if p99_ms is not None and counts.reply_ms.p99 > p99_ms:
        yield f"99 % of the answers took up to {counts.reply_ms.p99:,.0f} ms; {p99_ms:,.0f} ms were allowed"


def _notes(outcome: Outcome, plan: Plan, *, loader_cpu: float) -> Iterator[str]:
    counts = outcome.count
    planned_s = plan.due_s(counts.sent)
    if loader_cpu > BUSY or outcome.late_ms.p99 > LATE_MS:
        yield (
            f"the loader itself was short of CPU ({loader_cpu:.0%} of a core, {outcome.late_ms.p99:,.0f} ms late): "
            "the server may be faster than these figures; a machine of its own, or a slower --rate"
        )
    elif outcome.held_s and outcome.wrote_s * KEPT > planned_s:
        yield (
            f"the writing took {outcome.wrote_s:,.1f} s instead of {planned_s:,.1f} s: for {outcome.held_s:,.1f} s "
            "everybody was waiting for an answer; more --people, or a slower --rate"
        )
    if counts.sent < plan.messages:
        yield f"{plan.messages - counts.sent:,} of {plan.messages:,} messages were not written"
    if plan.parts.get("tap") and not counts.kinds.get("tap") and counts.sent > 2 * plan.people:
        yield (
            "nothing was tapped, people asked for the menu instead: the firm's answers offer only a person to tap on, "
            "until `smarterbot tenant set` tells hours, products or the like"
        )
    if counts.strays:
        yield (
            f"the server also sent {counts.strays:,} messages to people who are not of this load; they reached nobody"
        )
