"""The funnel's figures agree with one another and with what happened, whatever people do."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.onboarding.funnel import LEFT, PERSON, Funnel, Stop, count

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = 24.0
KEPT = 7 * DAY
"""Hours until a timer drops what nobody answered."""


def story(*turns: tuple[float, str, str], conversation: str = "c1") -> list[Stop]:
    """Turns as (hours before now, state after it, what ended)."""
    return [
        Stop(
            conversation,
            n,
            NOW - timedelta(hours=hours),
            state,
            tuple(ended.split()),
            out=1,
            billed=n % 2,
        )
        for n, (hours, state, ended) in enumerate(turns, 1)
    ]


def told(*stories: list[Stop]) -> Funnel:
    return count([stop for each in stories for stop in each], "signup", aim="opened", now=NOW)


OPENED = story(
    (3.0, "signup.accept", ""),
    (2.9, "signup.ask_rut", ""),
    (2.9, "signup.ask_rut", ""),
    (2.5, "signup.summary", ""),
    (2.0, "platform.offers", "signup.opened"),
    (1.9, "", "platform"),
)


def test_a_firm_that_was_opened_is_one_run() -> None:
    found = told(OPENED)

    assert (found.begun, found.finished, found.conversion) == (1, 1, 1.0)
    assert found.ends == {"opened": 1}
    assert found.seconds == 3_600.0
    assert (found.messages, found.billed) == (5, 3)
    assert [(step.state, step.entries, step.exits) for step in found.steps] == [
        ("signup.accept", 1, 1),
        ("signup.ask_rut", 1, 1),
        ("signup.summary", 1, 1),
    ]
    # The question that was asked twice was one visit.
    assert found.steps[1].median_s == 0.4 * 3_600


def test_who_falls_silent_is_lost_where_they_were_and_only_after_a_day() -> None:
    gone = story((60, "signup.accept", ""), (50, "signup.ask_rut", ""), conversation="c2")
    here = story((2, "signup.accept", ""), (1, "signup.ask_rut", ""), conversation="c3")

    found = told(gone, here)

    assert (found.begun, found.dropped, found.waiting, found.finished) == (2, 1, 1, 0)
    [_, rut] = found.steps
    assert (rut.entries, rut.exits, rut.dropped, rut.waiting) == (2, 0, 1, 1)


def test_who_comes_back_was_not_lost() -> None:
    back = story((90, "signup.ask_rut", ""), (2, "signup.ask_name", ""))

    found = told(back)

    assert (found.begun, found.dropped, found.waiting) == (1, 0, 1)


def by_itself(stops: list[Stop], *turns: int) -> list[Stop]:
    """The same, but in these turns nobody was heard: a timer was due, or a system answered."""
    return [replace(stop, heard=stop.turn not in turns) for stop in stops]


def test_a_flow_that_a_timer_dropped_was_lost_where_it_waited() -> None:
    gone = by_itself(
        story((10 * DAY, "signup.accept", ""), (10 * DAY, "signup.ask_rut", ""), (3 * DAY, "", "")),
        3,
    )

    found = told(gone)

    assert (found.begun, found.dropped, found.waiting, found.ends) == (1, 1, 0, {})
    [_, rut] = found.steps
    assert (rut.entries, rut.exits, rut.dropped) == (1, 0, 1)
    # The days until the timer are nobody's time to answer.
    assert rut.median_s is None


def test_whoever_comes_back_after_that_begins_anew() -> None:
    gone = [(20 * DAY, "signup.accept", ""), (13 * DAY, "", ""), (1, "signup.accept", "")]

    found = told(by_itself(story(*gone), 2))

    assert (found.begun, found.dropped, found.waiting) == (2, 1, 1)


def test_a_reminder_is_no_sign_of_life() -> None:
    reminded = story((50, "signup.waiting", ""), (20, "signup.reminded", ""))

    found = told(by_itself(reminded, 2))

    assert (found.dropped, found.waiting) == (1, 0)
    assert [(step.state, step.exits, step.dropped) for step in found.steps] == [
        ("signup.waiting", 1, 0),
        ("signup.reminded", 0, 1),
    ]


def test_who_fell_silent_in_a_pause_is_told_apart() -> None:
    there = story((3, "signup.ask_rut", ""), (2, "signup.paused", ""))
    gone = story((90, "signup.paused", ""), conversation="c2")
    asked = story((90, "signup.ask_rut", ""), conversation="c3")
    stops = [*there, *gone, *asked]

    found = count(stops, "signup", aim="opened", now=NOW, pauses={"signup.paused"})

    assert (found.waiting, found.dropped, found.paused) == (1, 2, 2)


def test_whoever_was_handed_to_a_person_ended_with_one() -> None:
    stops = story((3, "signup.ask_rut", ""), (2.5, "signup.call_person", ""), (2.5, "", ""))
    handed = [*by_itself(stops, 3)[:2], replace(stops[2], heard=False, handed=True)]

    found = told(handed)

    assert (found.ends, found.dropped) == ({PERSON: 1}, 0)


def test_a_run_belongs_to_the_days_in_which_it_began() -> None:
    before = story((30 * DAY, "signup.accept", ""), (27 * DAY, "signup.ask_rut", ""))
    since = NOW - timedelta(days=28)

    found = count(before, "signup", aim="opened", now=NOW, since=since)

    assert (found.begun, found.steps) == (0, ())


def test_the_first_try_of_the_bot_counts_from_the_first_message() -> None:
    tried = [replace(stop, tried=NOW) if "signup.opened" in stop.ended else stop for stop in OPENED]

    found = told(tried, [replace(stop, conversation="c2") for stop in OPENED])

    assert (found.finished, found.tried, found.seconds_to_try) == (2, 1, 3 * 3_600.0)


def test_ways_out_are_told_apart() -> None:
    declined = story((3, "signup.accept", ""), (2, "", "signup.declined platform"))
    left = story((3, "signup.accept", ""), (2, "platform.lobby", ""), conversation="c2")

    assert told(declined, left).ends == {"declined": 1, LEFT: 1}


def test_one_person_may_register_twice() -> None:
    assert told([*OPENED, *story((1, "signup.accept", ""), (0.5, "", "signup.joining"))]).begun == 2


def test_of_nobody_nothing_is_told() -> None:
    found = told([])

    assert (found.begun, found.conversion, found.steps, found.seconds) == (0, None, (), None)
    assert (found.paused, found.tried, found.seconds_to_try) == (0, 0, None)


STATES = st.sampled_from(["signup.a", "signup.b", "signup.c", "platform.x", ""])
ENDS = st.sampled_from(["", "", "", "signup.opened", "signup.declined", "login.over"])
TURNS = st.lists(st.tuples(st.floats(0, 100), STATES, ENDS), max_size=12).map(
    lambda turns: sorted(turns, key=lambda turn: -turn[0])
)


@given(st.lists(TURNS, max_size=5))
def test_whoever_came_to_a_question_went_on_waits_or_was_lost(
    stories: list[list[tuple[float, str, str]]],
) -> None:
    found = told(*[story(*turns, conversation=f"c{n}") for n, turns in enumerate(stories)])

    for step in found.steps:
        assert step.entries == step.exits + step.waiting + step.dropped
    assert found.begun == sum(found.ends.values()) + found.waiting + found.dropped
    # A naive look: in each conversation, states that begin a visit.
    entries = 0
    for turns in stories:
        before = ""
        for _, state, ended in turns:
            fresh = state != before or any(e.startswith("signup.") for e in ended.split())
            entries += state.startswith("signup.") and fresh
            before = state
    assert sum(step.entries for step in found.steps) == entries


@dataclass(frozen=True)
class Way:
    """One person's way through the flow, as it was."""

    states: list[str]
    hours: list[float]
    """In each of them, until they went on."""
    asked_again: bool
    """An answer in each of them did not fit."""
    end: str
    """A word of the flow's, `left`, `person`, `dropped` (by its timer), or `open`."""


@st.composite
def ways(draw: st.DrawFn) -> list[Way]:
    """What one person did; only the last of it may be open."""
    found = []
    for more in draw(st.lists(st.booleans(), min_size=1, max_size=3)):
        picks = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
        states = [pick for n, pick in enumerate(picks) if n == 0 or pick != picks[n - 1]]
        hours = st.floats(0.01, 3 * DAY)
        ends = ["opened", "declined", LEFT, PERSON, "dropped"]
        found.append(
            Way(
                states,
                draw(st.lists(hours, min_size=len(states), max_size=len(states))),
                draw(st.booleans()),
                draw(st.sampled_from(ends if more else [*ends, "open"])),
            )
        )
        if found[-1].end == "open":
            break
    return found


def replayed(lived: list[Way], rest: float, name: str) -> list[Stop]:
    """The turns of it, the last of them `rest` hours ago."""
    turns: list[tuple[float, str, str, bool, bool]] = []
    at = 0.0
    for way in lived:
        for n, (state, hours) in enumerate(zip(way.states, way.hours, strict=True)):
            turns.append((at, f"signup.{state}", "", True, False))
            if way.asked_again:
                turns.append((at + hours / 2, f"signup.{state}", "", True, False))
            last = n == len(way.states) - 1
            if not (last and way.end in ("dropped", "open")):
                at += hours
        since = turns[-1][0]
        match way.end:
            case "dropped":
                at = since + KEPT
                turns.append((at, "", "", False, False))
            case "open":
                at = since
            case "person":
                turns.append((at, "", "", False, True))
            case "left":
                turns.append((at, "platform.x", "", True, False))
            case word:
                turns.append((at, "platform.x", f"signup.{word}", True, False))
        at += 0.5
    over = turns[-1][0] + rest
    return [
        Stop(name, n, NOW - timedelta(hours=over - at), state, tuple(ended.split()), heard, handed)
        for n, (at, state, ended, heard, handed) in enumerate(turns, 1)
    ]


RESTS = st.floats(0, 20 * DAY).filter(lambda rest: abs(rest - DAY) > 0.001)


@given(st.lists(st.tuples(ways(), RESTS), max_size=6))
def test_the_figures_are_what_was_lived(lives: list[tuple[list[Way], float]]) -> None:
    stops = [stop for n, each in enumerate(lives) for stop in replayed(*each, f"c{n}")]
    everyone = [way for lived, _ in lives for way in lived]
    silent = [(way, rest) for lived, rest in lives for way in lived if way.end == "open"]

    found = count(stops, "signup", aim="opened", now=NOW)

    gone = [way for way in everyone if way.end == "dropped"]
    gone += [way for way, rest in silent if rest > DAY]
    assert found.begun == len(everyone)
    assert found.finished == sum(way.end == "opened" for way in everyone)
    assert found.ends == Counter(w.end for w in everyone if w.end not in ("dropped", "open"))
    assert found.dropped == len(gone)
    assert found.waiting == len(silent) - sum(rest > DAY for _, rest in silent)
    lost = Counter(way.states[-1] for way in gone)
    entered = Counter(state for way in everyone for state in way.states)
    stuck = Counter(way.states[-1] for way in everyone if way.end in ("dropped", "open"))
    assert {step.state: (step.entries, step.exits, step.dropped) for step in found.steps} == {
        f"signup.{s}": (n, n - stuck[s], lost[s]) for s, n in entered.items()
    }
