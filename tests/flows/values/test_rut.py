"""A RUT is read as people type it, stored in one form, and never guessed at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cl import rut as stdnum_rut

from flows.values.rut import Rut, RutProblem, check_digit, may_lack_check_digit, parse_rut

bodies = st.integers(min_value=1_000_000, max_value=99_999_999)


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("12.345.678-5", id="dots and hyphen"),
        pytest.param("12345678-5", id="hyphen only"),
        pytest.param("123456785", id="bare digits"),
        pytest.param("12,345,678-5", id="comma dots"),
        pytest.param("12 345 678-5", id="spaces"),
        pytest.param("12.345.678 5", id="space for a hyphen"),
        pytest.param("12.345.6785", id="dots, no hyphen"),
        pytest.param(" 12.345.678 - 5 ", id="spaces around the hyphen"),
        pytest.param("12345678–5", id="en dash"),
        pytest.param("12345678−5", id="minus sign"),
        pytest.param("12345678‐5", id="typographic hyphen"),
        pytest.param("RUT: 12.345.678-5", id="labelled"),
        pytest.param("R.U.T. 12345678-5", id="labelled with dots"),
        pytest.param("rut12345678-5", id="label without a space"),
        pytest.param("CL12345678-5", id="country prefix"),
        pytest.param("012.345.678-5", id="leading zero"),
        pytest.param("0123456785", id="leading zero, bare"),
        pytest.param("１２３４５６７８-５", id="full-width digits"),
        pytest.param("mi rut es 12.345.678-5, gracias", id="in a sentence"),
        pytest.param("somos 4 y el rut es 12345678-5.", id="beside another number"),
        pytest.param("no el 12.345.678-4 sino 12.345.678-5", id="the first that holds"),
    ],
)
def test_every_way_of_typing_is_one_rut(typed: str) -> None:
    assert parse_rut(typed) == Rut("123456785")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        pytest.param("", RutProblem.SHAPE, id="nothing"),
        pytest.param("no sé", RutProblem.SHAPE, id="words"),
        pytest.param("1234", RutProblem.SHAPE, id="too short to tell"),
        pytest.param("+56961234567", RutProblem.SHAPE, id="a phone"),
        pytest.param("١٢٣٤٥٦٧٨-٥", RutProblem.SHAPE, id="digits that are not ASCII"),
        pytest.param("12.345.678-9", RutProblem.DIGIT, id="the check digit of another number"),
        pytest.param("76.543.210-4", RutProblem.DIGIT, id="one off"),
        pytest.param("76543210", RutProblem.MISSING_DIGIT, id="a company without its digit"),
        pytest.param("12.345.678", RutProblem.MISSING_DIGIT, id="a person without the digit"),
        pytest.param("7654321", RutProblem.MISSING_DIGIT, id="seven digits"),
        pytest.param("0-0", RutProblem.IMPOSSIBLE, id="zero"),
        pytest.param("00000000", RutProblem.IMPOSSIBLE, id="zeros"),
        pytest.param("11.111.111-1", RutProblem.IMPOSSIBLE, id="all ones"),
        pytest.param("55.555.555-5", RutProblem.IMPOSSIBLE, id="foreign buyer"),
        pytest.param("66666666-6", RutProblem.IMPOSSIBLE, id="generic consumer"),
        pytest.param("99.999.999-9", RutProblem.IMPOSSIBLE, id="all nines"),
        pytest.param("123.456.789-2", RutProblem.IMPOSSIBLE, id="beyond what is given out"),
    ],
)
def test_what_is_no_rut_says_why(typed: str, problem: RutProblem) -> None:
    assert parse_rut(typed) is problem


@pytest.mark.parametrize(
    "known", ["12.345.678-5", "76.123.456-0", "60.803.000-K", "96.790.240-3", "10.000.013-K"]
)
def test_known_ruts_hold(known: str) -> None:
    found = parse_rut(known)

    assert isinstance(found, Rut)
    assert found.display == known


def test_a_rut_is_shown_in_three_ways() -> None:
    rut = Rut("10000013K")

    assert (rut.display, rut.sii, rut.ending) == ("10.000.013-K", "10000013-K", "013-K")


def test_no_rut_yet_is_shown_as_nothing() -> None:
    assert (Rut("").display, Rut("").sii, Rut("").ending) == ("", "", "")


@pytest.mark.parametrize(
    ("rut", "company"),
    [
        pytest.param(Rut(f"49999999{check_digit(49_999_999)}"), False, id="last natural person"),
        pytest.param(Rut(f"50000000{check_digit(50_000_000)}"), True, id="first company"),
    ],
)
def test_companies_begin_at_fifty_million(rut: Rut, company: bool) -> None:
    assert rut.is_company is company


def test_nobody_registers_as_the_tax_office() -> None:
    assert not Rut("60803000K").can_be_tenant
    assert Rut("765432103").can_be_tenant


@pytest.mark.parametrize(
    ("digits", "lacking"),
    [
        pytest.param("9999999", True, id="seven"),
        pytest.param("10000000", True, id="ten million"),
        pytest.param("29999999", True, id="twenty-nine million"),
        pytest.param("30000000", False, id="thirty million is not given out"),
        pytest.param("49999999", False, id="forty-nine million is not given out"),
        pytest.param("50000000", True, id="companies"),
        pytest.param("123456785", False, id="nine digits have their check digit"),
        pytest.param("123456", False, id="six"),
    ],
)
def test_digits_that_may_end_too_early_are_told(digits: str, lacking: bool) -> None:
    assert may_lack_check_digit(digits) is lacking


@given(
    bodies,
    st.sampled_from(
        ["{body:,}-{digit}", "{body}-{digit}", "RUT {body} - {digit}", "0{body}-{digit}"]
    ),
)
def test_a_hyphened_rut_reads_like_the_oracle(body: int, shape: str) -> None:
    digit = stdnum_rut.calc_check_digit(str(body))
    typed = shape.format(body=body, digit=digit).replace(",", ".").lower()

    found = parse_rut(typed)

    if len(set(f"{body}{digit}")) == 1:  # the oracle takes the generic ones
        assert found is RutProblem.IMPOSSIBLE
    else:
        assert found == f"{body}{digit}"
        assert stdnum_rut.is_valid(found)


@given(bodies, st.sampled_from("0123456789K"))
def test_any_other_check_digit_is_refused_as_by_the_oracle(body: int, digit: str) -> None:
    found = parse_rut(f"{body}-{digit}")

    # Known difference: the oracle accepts 11111111-1 and its like.
    generic = len(set(f"{body}{digit}")) == 1
    assert isinstance(found, Rut) == (stdnum_rut.is_valid(f"{body}-{digit}") and not generic)


@given(bodies)
def test_digits_alone_are_never_somebody_else(body: int) -> None:
    # Known difference: the oracle takes one in eleven bodies without check digit for a shorter RUT.
    found = parse_rut(str(body))

    if may_lack_check_digit(str(body)):
        assert found is RutProblem.MISSING_DIGIT
    else:
        assert not isinstance(found, Rut) or stdnum_rut.is_valid(str(body))


@given(st.text(max_size=40))
def test_any_text_gives_a_rut_in_stored_form_or_a_problem(text: str) -> None:
    found = parse_rut(text)

    if isinstance(found, Rut):
        assert found.isascii()
        assert found == f"{found.body}{check_digit(found.body)}"


@given(bodies)
def test_what_is_shown_is_read_back(body: int) -> None:
    rut = Rut(f"{body}{check_digit(body)}")
    readings = {parse_rut(rut.display), parse_rut(rut.sii)}

    assert readings in ({rut}, {RutProblem.IMPOSSIBLE})
