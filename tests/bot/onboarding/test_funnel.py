"""The funnel's figures agree with one another and with what happened, whatever people do."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.onboarding.funnel import LEFT, Funnel, Stop, count

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


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


def test_ways_out_are_told_apart() -> None:
    declined = story((3, "signup.accept", ""), (2, "", "signup.declined platform"))
    left = story((3, "signup.accept", ""), (2, "platform.lobby", ""), conversation="c2")

    assert told(declined, left).ends == {"declined": 1, LEFT: 1}


def test_one_person_may_register_twice() -> None:
    assert told([*OPENED, *story((1, "signup.accept", ""), (0.5, "", "signup.joining"))]).begun == 2


def test_of_nobody_nothing_is_told() -> None:
    found = told([])

    assert (found.begun, found.conversion, found.steps, found.seconds) == (0, None, (), None)


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
