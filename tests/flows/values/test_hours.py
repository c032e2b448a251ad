"""Opening hours: read forgivingly, asked about a moment, honest about what does not fit."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.values.hours import HoursError, OpeningHours, Span, parse_hours

SANTIAGO = ZoneInfo("America/Santiago")
BAKERY = parse_hours("lun-vie 9:00-18:00; sáb 8:00-20:00; dom 8:00-14:00")
LUNCH = parse_hours("lun-vie 9:00-13:00, 15:00-19:00")
BAR = parse_hours("vie-sáb 20:00-2:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SANTIAGO)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        pytest.param("lun-vie 9:00-18:00; sáb 10:00-14:00; dom cerrado", "lun-vie 9:00-18:00; sáb 10:00-14:00; dom cerrado", id="the notation itself"),
        pytest.param("Lunes a viernes de 9 a 18 hrs, sábado 10 a 14", "lun-vie 9:00-18:00; sáb 10:00-14:00; dom cerrado", id="as one says it"),
        pytest.param("L-V 9:00 a 13:00 y 15:00 a 19:00", "lun-vie 9:00-13:00, 15:00-19:00; sáb-dom cerrado", id="closed at noon"),
        pytest.param("todos los días 8:00–20:00", "lun-dom 8:00-20:00", id="every day"),
        pytest.param("lunes a sabado de 9am a 6pm, domingo cerrado", "lun-sáb 9:00-18:00; dom cerrado", id="am and pm"),
        pytest.param("lun-vie 9 a 6", "lun-vie 9:00-18:00; sáb-dom cerrado", id="nine to six"),
        pytest.param("vie y sab 20:00-2:00", "lun-jue cerrado; vie-sáb 20:00-2:00; dom cerrado", id="past midnight"),
        pytest.param("24/7", "lun-dom 0:00-24:00", id="always"),
        pytest.param("Lunes, miércoles y viernes: 9:00 - 18:00 hrs.", "lun 9:00-18:00; mar cerrado; mié 9:00-18:00; jue cerrado; vie 9:00-18:00; sáb-dom cerrado", id="single days"),
        pytest.param("sáb-mar 10:00-12:00", "lun-mar 10:00-12:00; mié-vie cerrado; sáb-dom 10:00-12:00", id="around the weekend"),
        pytest.param("lun a vie 9.30 a 18.30\nfin de semana cerrado", "lun-vie 9:30-18:30; sáb-dom cerrado", id="dots and lines"),
        pytest.param("Mon-Fri 9:00-18:00", "lun-vie 9:00-18:00; sáb-dom cerrado", id="English"),
    ],
)  # fmt: skip
def test_hours_are_read_as_owners_type_them(typed: str, stored: str) -> None:
    assert str(parse_hours(typed)) == stored


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("9:00-18:00", "9:00", id="no day"),
        pytest.param("lun-vie", "lun-vie", id="no hours"),
        pytest.param("lun 9:00", "lun 9:00", id="no closing hour"),
        pytest.param("lun-vie 9:00-18:00; sáb 10:00-25:00", "sab 10:00-25:00", id="no such hour"),
        pytest.param("lun 9:70-18:00", "lun 9:70", id="no such minute"),
        pytest.param("lun 9-18; lun cerrado", "lun cerrado", id="a day twice"),
        pytest.param("lun 9-12, 11-14", "lun 9-12, 11-14", id="overlapping hours"),
        pytest.param("lun-vie 9-18; feriados cerrado", "feriados", id="a word we do not know"),
        pytest.param("lun-vie ocho a seis", "ocho", id="hours in words"),
    ],
)
def test_what_does_not_fit_is_named(typed: str, part: str) -> None:
    with pytest.raises(HoursError) as refused:
        parse_hours(typed)

    assert refused.value.part == part


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        pytest.param(BAKERY, "2026-11-20 08:59", False, id="a minute before opening"),
        pytest.param(BAKERY, "2026-11-20 09:00", True, id="at opening"),
        pytest.param(BAKERY, "2026-11-20 17:59", True, id="a minute before closing"),
        pytest.param(BAKERY, "2026-11-20 18:00", False, id="at closing"),
        pytest.param(LUNCH, "2026-11-20 14:00", False, id="at lunch"),
        pytest.param(BAR, "2026-11-21 01:59", True, id="Friday's night on Saturday"),
        pytest.param(BAR, "2026-11-21 02:00", False, id="Friday's night is over"),
        pytest.param(BAR, "2026-11-22 01:00", True, id="Saturday's night on Sunday"),
        pytest.param(BAR, "2026-11-23 01:00", False, id="there is no Sunday night"),
    ],
)
def test_open_or_closed(hours: OpeningHours, moment: str, is_open: bool) -> None:
    assert hours.is_open(at(moment)) is is_open


@pytest.mark.parametrize(
    ("hours", "moment", "closes"),
    [
        pytest.param(BAKERY, "2026-11-21 18:40", at("2026-11-21 20:00"), id="today"),
        pytest.param(LUNCH, "2026-11-20 10:00", at("2026-11-20 13:00"), id="for lunch"),
        pytest.param(BAR, "2026-11-20 23:00", at("2026-11-21 02:00"), id="tomorrow morning"),
        pytest.param(BAKERY, "2026-11-21 21:00", None, id="it is closed"),
        pytest.param(parse_hours("24/7"), "2026-11-21 21:00", None, id="never"),
        pytest.param(parse_hours("lun-mar 24 horas"), "2026-11-23 21:00", at("2026-11-25 00:00"), id="after two days through"),
    ],
)  # fmt: skip
def test_when_it_closes(hours: OpeningHours, moment: str, closes: datetime | None) -> None:
    assert hours.closes_at(at(moment)) == closes


@pytest.mark.parametrize(
    ("hours", "moment", "opens"),
    [
        pytest.param(BAKERY, "2026-11-21 20:40", at("2026-11-22 08:00"), id="tomorrow"),
        pytest.param(BAKERY, "2026-11-20 07:00", at("2026-11-20 09:00"), id="later today"),
        pytest.param(BAKERY, "2026-11-20 09:00", at("2026-11-21 08:00"), id="the next one, if it opens now"),
        pytest.param(LUNCH, "2026-11-20 14:00", at("2026-11-20 15:00"), id="after lunch"),
        pytest.param(LUNCH, "2026-11-20 19:00", at("2026-11-23 09:00"), id="after the weekend"),
        pytest.param(parse_hours("lun 9-10"), "2026-11-23 09:30", at("2026-11-30 09:00"), id="in a week"),
    ],
)  # fmt: skip
def test_when_it_opens(hours: OpeningHours, moment: str, opens: datetime) -> None:
    opening = hours.next_opening(at(moment))

    assert opening is not None
    assert opening.start == opens


def test_a_firm_that_never_opens_has_no_next_opening() -> None:
    assert parse_hours("lun-dom cerrado").next_opening(at("2026-11-20 09:00")) is None


def test_it_opens_at_nine_on_the_day_the_clock_changes() -> None:
    # Chile's summer time began on 6 September 2026.
    sunday = parse_hours("dom 9:00-14:00")

    opening = sunday.next_opening(at("2026-09-05 23:30"))

    assert opening is not None
    assert opening.start == at("2026-09-06 09:00")


spans = st.lists(st.integers(min_value=0, max_value=48), min_size=2, max_size=4, unique=True).map(
    lambda halves: tuple(
        Span(start * 30, end * 30)
        for start, end in zip(sorted(halves)[::2], sorted(halves)[1::2], strict=False)
    )
)
weeks = st.lists(st.one_of(st.just(()), spans), min_size=7, max_size=7).map(tuple)


@given(weeks)
def test_what_is_stored_is_read_back(week: tuple[tuple[Span, ...], ...]) -> None:
    hours = OpeningHours(week)

    assert parse_hours(str(hours)) == hours


@given(weeks, st.integers(min_value=0, max_value=365 * 24 * 60))
def test_the_next_opening_is_open_and_its_end_is_not_after_the_closing(
    week: tuple[tuple[Span, ...], ...], minutes: int
) -> None:
    hours = OpeningHours(week)
    now = at("2026-01-01 00:00") + timedelta(minutes=minutes)

    opening = hours.next_opening(now)

    if opening is None:
        assert not any(week)
    else:
        assert opening.start > now
        assert hours.is_open(opening.start)
        closes = hours.closes_at(opening.start)
        assert closes is None or closes >= opening.end


@given(st.text(alphabet="lunmarviesábdo 0123456789:-,;y", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        hours = parse_hours(text)
    except HoursError:
        return

    assert parse_hours(str(hours)) == hours
