"""A number that is refused rests; one probe at a time finds out whether it may go on."""

import pytest

from handlers.whatsapp.pauses import (
    LOOK_MS_MAX,
    PROBE_LOOK_MS,
    PROBE_MS,
    REST_MS_MAX,
    Pauses,
)

NUMBER = "106"


def wait(pauses: Pauses, now_ms: int, token: str = "t") -> int:
    return pauses.wait_ms(NUMBER, token, now_ms=now_ms)


def begin(pauses: Pauses, now_ms: int, rest_ms: int = 1_000, least_ms: int = 0) -> int:
    return pauses.begin(NUMBER, "t", now_ms=now_ms, rest_ms=rest_ms, least_ms=least_ms)


def test_a_number_that_was_not_refused_does_not_wait() -> None:
    assert wait(Pauses(), 0) == 0


def test_all_wait_until_the_rest_is_over_then_one_goes_ahead() -> None:
    pauses = Pauses()
    assert begin(pauses, 0) == 1_000

    assert wait(pauses, 999) == 1
    assert wait(pauses, 1_000) == 0
    assert wait(pauses, 1_000) == PROBE_LOOK_MS


def test_a_probe_that_is_taken_frees_the_number() -> None:
    pauses = Pauses()
    begin(pauses, 0)
    wait(pauses, 1_000)

    pauses.end(NUMBER)

    assert [wait(pauses, 1_001), wait(pauses, 1_001)] == [0, 0]


def test_a_probe_that_tells_nothing_is_followed_by_another() -> None:
    pauses = Pauses()
    begin(pauses, 0)
    wait(pauses, 1_000)

    assert wait(pauses, 1_000 + PROBE_MS - 1) == 1
    assert wait(pauses, 1_000 + PROBE_MS) == 0


def test_each_refused_probe_doubles_the_rest_up_to_a_limit() -> None:
    pauses, now, rests = Pauses(), 0, []
    for _ in range(7):
        rests.append(begin(pauses, now, rest_ms=60_000))
        now += rests[-1]
        assert wait(pauses, now) == 0

    assert rests == [60_000, 120_000, 240_000, 480_000, REST_MS_MAX, REST_MS_MAX, REST_MS_MAX]


def test_requests_that_fail_together_are_one_failure() -> None:
    pauses = Pauses()
    begin(pauses, 0)

    assert [begin(pauses, 10), begin(pauses, 20)] == [0, 0]
    assert wait(pauses, 1_000) == 0


def test_of_several_refusals_the_longest_rest_counts() -> None:
    pauses = Pauses()
    begin(pauses, 0, rest_ms=2_000)

    assert begin(pauses, 1_000, rest_ms=60_000) == 60_000
    assert begin(pauses, 2_000, rest_ms=2_000) == 0

    assert wait(pauses, 60_999) == 1
    assert wait(pauses, 61_000) == 0


def test_a_late_success_does_not_end_the_rest() -> None:
    pauses = Pauses()
    begin(pauses, 0)

    pauses.end(NUMBER)

    assert wait(pauses, 1) == 999


def test_meta_own_wish_is_respected() -> None:
    assert begin(Pauses(), 0, least_ms=30_000) == 30_000


def test_a_waiting_lane_looks_again_every_minute() -> None:
    pauses = Pauses()
    begin(pauses, 0, rest_ms=REST_MS_MAX)

    assert wait(pauses, 0) == LOOK_MS_MAX


def test_a_new_token_ends_the_rest() -> None:
    pauses = Pauses()
    begin(pauses, 0)

    assert wait(pauses, 1, token="another") == 0
    assert wait(pauses, 1) == 0


@pytest.mark.parametrize("other", ["107", ""])
def test_other_numbers_go_on(other: str) -> None:
    pauses = Pauses()
    begin(pauses, 0)

    assert pauses.wait_ms(other, "t", now_ms=1) == 0


def test_a_clock_that_was_set_back_ends_a_rest() -> None:
    pauses = Pauses()
    begin(pauses, 3_600_000)

    assert wait(pauses, 0) == 0
