"""One row for each code of Meta's, and one for all that we do not know."""

from pathlib import Path

import pytest

from handlers.whatsapp.faults import (
    FAULTS,
    UNKNOWN,
    AfterTaken,
    Mark,
    Reaction,
    fault_of,
    faults_table,
)
from handlers.whatsapp.mends import MENDS

# As reference for operators: what the sender does about each code.
REACTIONS = {
    Reaction.RETRY: [1, 2, 131000, 131016, 133004],
    Reaction.PAIR: [131056],
    Reaction.PAUSE: [
        0, 190, 3, 10, 200, 250, 299, 131005, 4, 80007, 130429, 131057, 131031, 368, 131042, 131044, 131037,
        131045, 133010, 133000, 133016,
    ],
    Reaction.WINDOW: [131047],
    Reaction.REFUSE: [
        131048, 131064, 131026, 131049, 131050, 130472, 131062, 131063, 137000, 131052, 131053, 131021, 131030,
        130497, 132015, 132016, 132068, 132069,
    ],
    Reaction.DEAD: [
        132000, 132001, 132005, 132007, 132008, 132012, 33, 100, 131008, 131009, 131051, 135000,
        138000, 139000, 139103, 147001, 2388000,
    ],
}  # fmt: skip

# And what follows if Meta took the message and a status tells of the code later.
AFTER_TAKEN = {
    AfterTaken.AGAIN: [*REACTIONS[Reaction.RETRY], *REACTIONS[Reaction.PAIR], *REACTIONS[Reaction.PAUSE]],
    AfterTaken.WINDOW: [131047],
    AfterTaken.WAIT: [132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068, 132069],
    AfterTaken.TELL: [
        131048, 131064, 131026, 131049, 131050, 130472, 131062, 131063, 137000, 131052, 131053, 131021, 131030,
        130497, 33, 100, 131008, 131009, 131051, 135000, 138000, 139000, 139103, 147001, 2388000,
    ],
}  # fmt: skip
MARKS = {
    131047: Mark.SHUT,
    131050: Mark.NO_OFFERS,
    131049: Mark.OFFERS_TOMORROW,
    130472: Mark.OFFERS_ASKED_FOR,
    131026: Mark.UNREACHABLE,
}


@pytest.mark.parametrize(
    ("code", "reaction"),
    [
        pytest.param(code, reaction, id=f"{code}-{reaction.value}")
        for reaction, codes in REACTIONS.items()
        for code in codes
    ],
)
def test_a_code_has_one_reaction(code: int, reaction: Reaction) -> None:
    assert fault_of(code).reaction is reaction


@pytest.mark.parametrize(
    ("code", "follows"),
    [
        pytest.param(code, follows, id=f"{code}-{follows.value}")
        for follows, codes in AFTER_TAKEN.items()
        for code in codes
    ],
)
def test_a_code_has_one_reaction_when_a_status_tells_it(code: int, follows: AfterTaken) -> None:
    assert fault_of(code).after_taken is follows


def test_the_tables_above_are_complete() -> None:
    answered = [code for codes in REACTIONS.values() for code in codes]
    told = [code for codes in AFTER_TAKEN.values() for code in codes]

    assert set(FAULTS) <= set(answered) == set(told)
    assert len(answered) == len(set(answered))
    assert len(told) == len(set(told))


def test_what_is_remembered_of_a_code() -> None:
    assert {code: fault.mark for code, fault in FAULTS.items() if fault.mark} == MARKS


def test_a_number_that_is_warned_rests_from_its_own_initiative() -> None:
    assert {code for code, fault in FAULTS.items() if fault.halts_s} == {131048, 131064}


def test_what_somebody_has_to_mend_says_how() -> None:
    alerting = {fault.name for fault in (*FAULTS.values(), UNKNOWN) if fault.alert}

    assert alerting <= set(MENDS)


@pytest.mark.parametrize("code", [-1, 5, 199, 300, 136025, 132999, 133017, 2**40])
def test_an_unknown_code_is_tried_a_few_times_and_shown(code: int) -> None:
    assert fault_of(code) is UNKNOWN
    assert (UNKNOWN.reaction, UNKNOWN.tries_max, UNKNOWN.alert) == (Reaction.RETRY, 8, True)
    # Meta took it and did not deliver it, and we do not know why: to try again may make it worse.
    assert UNKNOWN.after_taken is AfterTaken.TELL


def test_one_name_is_one_fault() -> None:
    named: dict[str, set[object]] = {}
    for fault in [*FAULTS.values(), UNKNOWN]:
        named.setdefault(fault.name, set()).add(fault)

    assert [name for name, faults in named.items() if len(faults) > 1] == []


def test_only_a_number_that_rests_has_a_rest() -> None:
    resting = {fault.name for fault in FAULTS.values() if fault.rest_s}
    paused = {fault.name for fault in FAULTS.values() if fault.reaction is Reaction.PAUSE}

    assert resting == paused


def test_the_documentation_shows_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "refusals.md"

    assert faults_table() in page.read_text()
