"""Pesos: heard in many ways, written in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.values.money import PESOS_MAX, read_pesos, show_pesos


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        pytest.param("15 lucas", 15_000, id="lucas"),
        pytest.param("15 mil", 15_000, id="mil"),
        pytest.param("15k", 15_000, id="k"),
        pytest.param("$15.000", 15_000, id="as it is written"),
        pytest.param("$15.000.-", 15_000, id="as on a cheque"),
        pytest.param("15000", 15_000, id="digits"),
        pytest.param("15.000 pesos", 15_000, id="with its name"),
        pytest.param("15", 15, id="fifteen is fifteen: it is echoed before use"),
        pytest.param("1 palo", 1_000_000, id="palo"),
        pytest.param("1,5 palos", 1_500_000, id="decimal palos"),
        pytest.param("medio palo", 500_000, id="half a palo"),
        pytest.param("2 palos y medio", 2_500_000, id="palos and a half"),
        pytest.param("2 millones 300 mil", 2_300_000, id="millions and thousands"),
        pytest.param("2 lucas y 500", 2_500, id="lucas and change"),
        pytest.param("una luca", 1_000, id="one luca"),
        pytest.param("mil", 1_000, id="a thousand"),
        pytest.param("3 gambas", 300, id="gambas"),
        pytest.param("Son unas 20 lucas.", 20_000, id="in a short sentence"),
        pytest.param("1,990", 1_990, id="a comma for a dot: pesos have no cents"),
    ],
)
def test_amounts_are_read(typed: str, amount: int) -> None:
    assert read_pesos(typed) == amount


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("lucas", id="a unit alone"),
        pytest.param("15,5", id="cents"),
        pytest.param("15 de abril", id="a date"),
        pytest.param("2 mil 3 mil", id="the same unit twice"),
        pytest.param("5 y", id="unfinished"),
        pytest.param("-500", id="negative"),
        pytest.param("9" * 20, id="more than there is"),
        pytest.param("US$10", id="another currency"),
    ],
)
def test_what_is_no_amount_is_none(typed: str) -> None:
    assert read_pesos(typed) is None


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0"), (990, "$990"), (1_990, "$1.990"), (1_234_567, "$1.234.567"), (-1_500, "-$1.500")],
)
def test_amounts_are_written_as_in_chile(amount: int, shown: str) -> None:
    assert show_pesos(amount) == shown


@given(st.integers(min_value=0, max_value=PESOS_MAX))
def test_what_is_written_is_read_back(amount: int) -> None:
    assert read_pesos(show_pesos(amount)) == amount


@given(st.text(max_size=30))
def test_any_text_gives_a_whole_amount_or_none(text: str) -> None:
    amount = read_pesos(text)

    assert amount is None or 0 <= amount <= PESOS_MAX
