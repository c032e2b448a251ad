"""Quiet hours: when they are, in the firm's own time."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from flows.values.quiet import QUIET, QuietHours, parse_quiet

CHILE = ZoneInfo("America/Santiago")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=CHILE)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        pytest.param(at(28, 20, 59), None, id="just-before"),
        pytest.param(at(28, 21), at(29, 9), id="they-begin"),
        pytest.param(at(28, 23, 59), at(29, 9), id="before-midnight"),
        pytest.param(at(28, 0), at(28, 9), id="after-midnight"),
        pytest.param(at(28, 8, 59), at(28, 9), id="the-last-minute"),
        pytest.param(at(28, 9), None, id="they-end"),
    ],
)
def test_the_night_is_quiet(now: datetime, until: datetime | None) -> None:
    assert QUIET.until(now) == until


def test_they_may_lie_within_a_day() -> None:
    siesta = QuietHours(time(14), time(16))

    assert siesta.until(at(28, 15)) == at(28, 16)
    assert siesta.until(at(28, 16)) is None
    assert siesta.until(at(28, 3)) is None


@pytest.mark.parametrize("text", ["21:00-9:00", " 21:00 - 09:00 "])
def test_they_are_read_as_people_write_them(text: str) -> None:
    assert str(parse_quiet(text)) == "21:00-9:00"


@pytest.mark.parametrize("text", ["", "21-9", "25:00-9:00", "21:60-9:00", "9:00-9:00", "night"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"times of day|begin when"):
        parse_quiet(text)
