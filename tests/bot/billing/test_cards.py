"""Price cards: what is in the files holds from their day on, and a mistake in one is told."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from bot.billing.cards import CardError, read_amount, read_cards

CARD = """
effective = 2027-01-01
[rules]
service_is_free = false
utility_is_free_in_window = false
service_free_messages = 1000
free_entry_point_hours = 72
[[rates]]
country = "CL"
currency = "CLP"
utility = "18.1"
certainty = "official"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "2027-01-01.toml").write_text(CARD)
    return tmp_path


def mistake(folder: Path, old: str, new: str, *, name: str = "2027-01-01.toml") -> str:
    (folder / name).write_text(CARD.replace(old, new))
    with pytest.raises(CardError) as caught:
        read_cards(folder)
    return str(caught.value)


def test_the_cards_that_ship_are_sound_and_cover_what_chile_is_billed() -> None:
    cards = read_cards()

    for day in (date(2026, 7, 1), date(2026, 11, 20)):
        card = cards.at(day)
        assert card is not None
        for category in ("marketing", "utility", "authentication"):
            assert card.rate("CL", category, "CLP"), (day, category)


@pytest.mark.parametrize(
    ("day", "service_is_free", "utility_is_free", "free_messages"),
    [
        pytest.param(date(2026, 9, 30), True, True, 0, id="the-last-day-of-free-replies"),
        pytest.param(date(2026, 10, 1), False, False, 1_000, id="the-first-day-of-billed-ones"),
    ],
)
def test_replies_are_billed_since_october_2026(
    day: date, service_is_free: bool, utility_is_free: bool, free_messages: int
) -> None:
    card = read_cards().at(day)

    assert card is not None
    assert card.is_free("service", in_window=True) is service_is_free
    assert card.is_free("utility", in_window=True) is utility_is_free
    assert not card.is_free("utility", in_window=False)
    assert not card.is_free("marketing", in_window=True)
    assert card.rules.service_free_messages == free_messages


def test_nothing_that_ships_claims_to_be_official() -> None:
    """Until somebody has read Meta's own file and says so."""
    assert {rate.certainty for card in read_cards() for rate in card.rates.values()} == {
        "second-hand",
        "unverified",
    }


def test_a_card_holds_until_the_next(folder: Path) -> None:
    (folder / "2027-04-01.toml").write_text(CARD.replace("2027-01-01", "2027-04-01"))
    cards = read_cards(folder)

    assert cards.at(date(2026, 12, 31)) is None
    assert cards.at(date(2027, 3, 31)) is next(iter(cards))
    assert cards.at(date(2030, 1, 1)) is list(cards)[1]


def test_after_the_next_quarter_began_a_card_may_be_old(folder: Path) -> None:
    cards = read_cards(folder)

    assert cards.is_due(date(2027, 3, 31)) is None
    assert cards.is_due(date(2027, 5, 2)) == date(2027, 4, 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param('"18.1"', "18.1", "utility: a price is written as a text", id="binary"),
        pytest.param('"18.1"', '"18.12345"', "more than 4 decimal places", id="too-fine"),
        pytest.param('"18.1"', '"-1"', "is no price", id="below-nothing"),
        pytest.param('"18.1"', '"NaN"', "is no price", id="no-number"),
        pytest.param('"18.1"', '"a lot"', "write it as 17.6584", id="words"),
        pytest.param("utility =", "utilty =", "utilty: no such category", id="no-such-category"),
        pytest.param('"official"', '"sure"', "certainty: one of", id="no-such-certainty"),
        pytest.param('"CL"', '"Chile"', "country: two capitals", id="no-country"),
        pytest.param("service_free_messages = 1000", "", "rules.service_free_messages: int", id="no-rule"),
        pytest.param("[rules]", "[rules]\nfree_beer = true", "rules.free_beer: no such rule", id="odd-rule"),
        pytest.param("2027-01-01", "2027-01-02", "to be named 2027-01-02.toml", id="another-day"),
        pytest.param("2027-01-01", "2027-02-01", "changes cards on 1 January", id="no-quarter"),
        pytest.param("= 2027-01-01", "= tomorrow", "2027-01-01.toml", id="no-toml"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_file(folder: Path, old: str, new: str, said: str) -> None:
    told = mistake(folder, old, new)

    assert said in told
    assert told.startswith("2027-01-01.toml: ")


def test_a_price_that_is_there_twice_is_a_mistake(folder: Path) -> None:
    row = CARD[CARD.index("[[rates]]") :]

    assert "CL in CLP has a price already" in mistake(folder, row, row + row)


def test_an_amount_is_exact() -> None:
    assert read_amount("17.6584") * 3 == Decimal("52.9752")
