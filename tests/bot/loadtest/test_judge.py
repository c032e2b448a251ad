"""What a load test says of its figures."""

from dataclasses import replace

import msgspec
import pytest

from bot.loadtest.judge import judge
from handlers.whatsapp.emulator.mix import Kind
from handlers.whatsapp.emulator.plan import Outcome, Plan
from handlers.whatsapp.emulator.tally import Count, Latency

PLAN = Plan(people=60, messages=100, rate=10, parts={"text": 1}, quiet_s=0.1)
QUICK = Latency(p50=2, p90=4, p99=9, max=12, count=100)
SLOW = Latency(p50=1_510, p90=1_600, p99=2_100, max=3_000, count=100)
GOOD = Count(
    sent=100,
    kinds={"text": 100},
    acknowledged=100,
    replies=100,
    in_flight=0,
    webhooks={"200": 400},
    lost=0,
    not_acknowledged=0,
    doubled_sends=0,
    doubled_answers=0,
    inverted=0,
    refused={},
    strays=0,
    ack_ms=QUICK,
    reply_ms=SLOW,
    reply_ms_by_kind={"text": SLOW},
)
OUTCOME = Outcome(
    count=GOOD, wrote_s=10, took_s=11.5, held_s=0, late_ms=QUICK, faults={}, broken_off=False
)


TAPPING = Plan(people=10, messages=100, rate=10, parts={"text": 1, "tap": 1})


def judged(outcome: Outcome, *, p99_ms: float | None = None, loader_cpu: float = 0.1) -> tuple[list[str], list[str]]:  # fmt: skip
    """(problems, notes)"""
    result = judge(outcome, PLAN, seed=1, p99_ms=p99_ms, loader_cpu=loader_cpu, server_cpu=None)
    assert result.ok == (not result.problems)
    return result.problems, result.notes


def test_good_figures_have_no_problems() -> None:
    assert judged(OUTCOME, p99_ms=2_100) == ([], [])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"lost": 3}, "3 messages were acknowledged and never answered", id="lost"),
        pytest.param({"not_acknowledged": 3}, "3 messages were never ack", id="not-acknowledged"),
        pytest.param({"doubled_sends": 3}, "3 messages of the server came twice", id="sent-twice"),
        pytest.param({"doubled_answers": 3}, "answered twice", id="answered-twice"),
        pytest.param({"inverted": 3}, "3 answers left after later ones", id="inverted"),
        pytest.param({"sent": 0}, "nothing was sent", id="nothing"),
    ],
)
def test_what_must_not_happen_is_named(change: dict[str, int], problem: str) -> None:
    [told], _ = judged(replace(OUTCOME, count=msgspec.structs.replace(GOOD, **change)))

    assert problem in told


def test_slower_than_allowed_is_a_problem() -> None:
    [told], _ = judged(OUTCOME, p99_ms=2_000)

    assert told == "99 % of the answers took up to 2,100 ms; 2,000 ms were allowed"


def test_a_load_that_was_broken_off_has_proved_nothing() -> None:
    open_ones = msgspec.structs.replace(GOOD, in_flight=4, replies=96)

    [told], _ = judged(replace(OUTCOME, count=open_ones, broken_off=True))

    assert told == "4 answers were not waited for"


@pytest.mark.parametrize(
    ("outcome", "loader_cpu", "note"),
    [
        pytest.param(OUTCOME, 0.97, "the loader itself was short of CPU (97%", id="busy-loader"),
        pytest.param(
            replace(OUTCOME, late_ms=SLOW), 0.3, "2,100 ms late", id="starved-loader"
        ),
        pytest.param(
            replace(OUTCOME, wrote_s=20, held_s=9.5), 0.1, "for 9.5 s everybody was waiting", id="slow-server"
        ),
        pytest.param(
            replace(OUTCOME, count=msgspec.structs.replace(GOOD, sent=98), wrote_s=9.8), 0.1, "2 of 100 messages were not written", id="ended-early"
        ),
        pytest.param(
            replace(OUTCOME, count=msgspec.structs.replace(GOOD, strays=2)), 0.1, "2 messages to people who are not of this load", id="strays"
        ),
    ],
)  # fmt: skip
def test_what_is_no_problem_may_be_worth_a_note(
    outcome: Outcome, loader_cpu: float, note: str
) -> None:
    problems, [told] = judged(outcome, loader_cpu=loader_cpu)

    assert problems == []
    assert note in told


@pytest.mark.parametrize(
    ("kinds", "told"), [({"text": 100}, True), ({"text": 99, "tap": 1}, False)]
)
def test_a_firm_that_offers_nothing_to_tap_on_is_noted(
    kinds: dict[Kind, int], *, told: bool
) -> None:
    outcome = replace(OUTCOME, count=msgspec.structs.replace(GOOD, kinds=kinds))

    result = judge(outcome, TAPPING, seed=1, p99_ms=None, loader_cpu=0.1, server_cpu=None)

    assert result.ok
    assert any(note.startswith("nothing was tapped") for note in result.notes) == told
