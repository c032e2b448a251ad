"""Phones: what people type becomes WhatsApp's digits, and what they read is grouped."""

import pytest

from flows.values.phone import (
    WaId,
    country_of,
    display_phone,
    is_of_country,
    parse_phone,
    phone_ending,
)


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("+56 9 6123 4567", id="as it is shown"),
        pytest.param("56961234567", id="as WhatsApp keeps it"),
        pytest.param("961234567", id="nine digits"),
        pytest.param("9 6123 4567", id="with spaces"),
        pytest.param("61234567", id="eight digits, as before 2016"),
        pytest.param("09 6123 4567", id="with the old trunk zero"),
        pytest.param("0056 9 6123-4567", id="with the international prefix"),
        pytest.param("(+56) 9 6123.4567", id="with brackets and dots"),
    ],
)
def test_a_mobile_is_read_however_it_is_typed(typed: str) -> None:
    assert parse_phone(typed) == "56961234567"


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        pytest.param("(02) 2345 6789", "56223456789", id="Santiago with trunk zero"),
        pytest.param("2 2345 6789", "56223456789", id="Santiago"),
        pytest.param("+1 650 555 1234", "16505551234", id="abroad"),
        pytest.param(
            "+56 9 1234 5678", "56912345678", id="a block that phonenumbers calls invalid"
        ),
    ],
)
def test_other_numbers_are_read(typed: str, digits: str) -> None:
    assert parse_phone(typed) == digits


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("hola", id="words"),
        pytest.param("123", id="too short"),
        pytest.param("5691234567", id="one digit missing"),
        pytest.param("mi numero es 961234567", id="a sentence"),
        pytest.param("+999999999999999999", id="too long"),
    ],
)
def test_what_cannot_be_a_number_is_none(typed: str) -> None:
    assert parse_phone(typed) is None


@pytest.mark.parametrize(
    ("digits", "shown"),
    [
        pytest.param("56961234567", "+56 9 6123 4567", id="mobile"),
        pytest.param("56912345678", "+56 9 1234 5678", id="mobile of an unknown block"),
        pytest.param("56223456789", "+56 2 2345 6789", id="landline"),
        pytest.param("16505551234", "+1 650-555-1234", id="abroad"),
        pytest.param("12", "+12", id="no number at all"),
    ],
)
def test_a_number_is_shown_grouped(digits: str, shown: str) -> None:
    assert display_phone(digits) == shown


def test_others_see_only_how_it_ends() -> None:
    assert phone_ending("56961234567") == "4567"


@pytest.mark.parametrize(
    ("address", "country"),
    [
        pytest.param("56961234567", "CL", id="phone"),
        pytest.param("593991234567", "EC", id="code of three digits"),
        pytest.param("14155550100", "US", id="code of one digit"),
        pytest.param("18765550100", "JM", id="island with the code of others"),
        pytest.param("77011234567", "KZ", id="country with the code of another"),
        pytest.param("CL.1349", "CL", id="BSUID"),
        pytest.param("CL.ENT.1349", "CL", id="parent BSUID"),
        pytest.param("870123456789", "", id="a satellite"),
        pytest.param("", "", id="nothing"),
        pytest.param("hola", "", id="no address"),
    ],
)
def test_the_country_that_prices_go_by(address: str, country: str) -> None:
    assert country_of(address) == country


@pytest.mark.parametrize(
    ("phone", "countries", "is_there"),
    [
        pytest.param("56961234567", ("CL",), True, id="ours"),
        pytest.param("56912345678", ("CL",), True, id="a block that phonenumbers calls invalid"),
        pytest.param("51987654321", ("CL",), False, id="a neighbour"),
        pytest.param("51987654321", ("CL", "PE"), True, id="a neighbour who may"),
        pytest.param("16505551234", ("US",), True, id="of several with one code"),
        pytest.param("15145550123", ("US",), False, id="another of them"),
        pytest.param("77012345678", ("RU",), False, id="Kazakhstan"),
        pytest.param("5", ("CL",), False, id="no number"),
    ],
)
def test_a_number_belongs_to_a_country(
    phone: str, countries: tuple[str, ...], is_there: bool
) -> None:
    assert is_of_country(WaId(phone), countries) is is_there
