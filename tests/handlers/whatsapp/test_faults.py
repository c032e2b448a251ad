"""One row for each code of Meta's, and one for all that we do not know."""

import pytest

from handlers.whatsapp.faults import FAULTS, UNKNOWN, Reaction, fault_of
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
    Reaction.DEAD: [132000, 132001, 132005, 132007, 132008, 132012, 33, 100, 131008, 131009, 131051, 135000],
}  # fmt: skip


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


def test_the_table_above_is_complete() -> None:
    assert set(FAULTS) <= {code for codes in REACTIONS.values() for code in codes}


def test_what_somebody_has_to_mend_says_how() -> None:
    alerting = {fault.name for fault in (*FAULTS.values(), UNKNOWN) if fault.alert}

    assert alerting <= set(MENDS)


@pytest.mark.parametrize("code", [-1, 5, 199, 300, 136025, 132999, 133017, 2**40])
def test_an_unknown_code_is_tried_a_few_times_and_shown(code: int) -> None:
    assert fault_of(code) is UNKNOWN
    assert (UNKNOWN.reaction, UNKNOWN.tries_max, UNKNOWN.alert) == (Reaction.RETRY, 8, True)


def test_one_name_is_one_fault() -> None:
    named: dict[str, set[object]] = {}
    for fault in [*FAULTS.values(), UNKNOWN]:
        named.setdefault(fault.name, set()).add(fault)

    assert [name for name, faults in named.items() if len(faults) > 1] == []


def test_only_a_number_that_rests_has_a_rest() -> None:
    resting = {fault.name for fault in FAULTS.values() if fault.rest_s}
    paused = {fault.name for fault in FAULTS.values() if fault.reaction is Reaction.PAUSE}

    assert resting == paused
