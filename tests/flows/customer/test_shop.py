"""A firm's settings: each is read in one way, refused with the mend, and used as it was stored."""

import pytest

from flows.customer.shop import OPTIONS, SETTINGS, SettingError, Shop, check_setting, shop_of, shown
from flows.dialog.ctx import Firm
from flows.values.hours import parse_hours
from flows.values.ids import TenantId


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_each_example_is_accepted_and_stored_as_it_is_read_again(key: str) -> None:
    stored = check_setting(key, SETTINGS[key].example)

    assert stored
    assert check_setting(key, stored) == stored


@pytest.mark.parametrize(
    ("key", "typed", "stored"),
    [
        pytest.param("hours", "Lunes a viernes de 9 a 18", "lun-vie 9:00-18:00; sáb-dom cerrado", id="hours"),
        pytest.param("address", " Av. Los Aromos 123,\n Villa Alemana ", "Av. Los Aromos 123, Villa Alemana", id="an address is one line"),
        pytest.param("products", " Marraqueta:  $2.290 \n\n Hallulla: $2.190", "Marraqueta: $2.290\nHallulla: $2.190", id="products keep their lines"),
        pytest.param("phone", "9 6123 4567", "56961234567", id="a phone as WhatsApp keeps it"),
        pytest.param("web", "sol.example", "https://sol.example", id="an address without its scheme"),
        pytest.param("email", "Hola@Sol.example", "hola@sol.example", id="an e-mail in lower case"),
        pytest.param("food", "Sí", "yes", id="yes in Spanish"),
        pytest.param("emoji", "🥖", "🥖", id="an emoji"),
        pytest.param("menu", "Prices; human\nbook", "prices, human, book", id="a menu is one line"),
        pytest.param("menu", "book, move, buy, orders, quote, document, debt, human", "book, move, buy, orders, quote, document, debt, human", id="as many options as fit"),
        pytest.param("address", "  ", "", id="nothing unsets"),
    ],
)  # fmt: skip
def test_a_value_is_stored_in_one_form(key: str, typed: str, stored: str) -> None:
    assert check_setting(key, typed) == stored


@pytest.mark.parametrize(
    ("key", "typed", "mend"),
    [
        pytest.param("hours", "lun-vie 9-25", "25 is no hour", id="hours that do not exist"),
        pytest.param("phone", "llámame", "is no telephone number", id="no phone"),
        pytest.param("web", "http://sol.example", "begins with https://", id="no https"),
        pytest.param("privacy_url", "sol", "is no web address", id="no domain"),
        pytest.param("email", "hola", "is no e-mail address", id="no e-mail"),
        pytest.param("emoji", "🥖🥐", "is not one emoji", id="two emoji"),
        pytest.param("emoji", "hola", "is not one emoji", id="a word"),
        pytest.param("food", "a veces", "neither yes nor no", id="sometimes"),
        pytest.param("products", "x" * 701, "has 701 characters, 700 fit", id="too long"),
        pytest.param("greeting", "x" * 161, "has 161 characters, 160 fit", id="a greeting too long"),
        pytest.param("menu", "prices, tarot", "has no option tarot; there are hours, address,", id="no such option"),
        pytest.param("menu", "prices, book, prices", "names prices twice", id="an option twice"),
        pytest.param("menu", "human", "names 0 options beside human, 1 to 7 are expected", id="only a person"),
        pytest.param("menu", ", ".join(OPTIONS[:8]), "names 8 options beside human", id="more than a list holds"),
        pytest.param("hour", "lun-vie 9-18", "there are accept_each, address", id="no such key"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_says_the_mend(key: str, typed: str, mend: str) -> None:
    with pytest.raises(SettingError) as refused:
        check_setting(key, typed)

    assert refused.value.key == key
    assert mend in refused.value.mend


def test_two_emoji_signs_that_are_one_are_one() -> None:
    assert check_setting("emoji", "❤️") == "❤️"


def test_a_shop_is_what_the_settings_say() -> None:
    firm = Firm(
        TenantId("00000000-0000-4000-8000-000000000001"),
        "Panadería Sol",
        settings={
            "hours": "lun-vie 9:00-18:00",
            "privacy_url": "https://sol.example/privacidad",
            "phone": "56961234567",
            "emoji": "not one",
            "unknown": "x",
        },
    )

    shop = shop_of(firm)

    assert shop == Shop(
        hours=parse_hours("lun-vie 9:00-18:00"),
        privacy_url="https://sol.example/privacidad",
        phone="56961234567",
    )
    assert shop.privacy == "sol.example/privacidad"
    assert shop.phone_shown == "+56 9 6123 4567"
    assert shop.has_contact


def test_what_is_shown_of_a_firm_is_what_it_tells_its_customers() -> None:
    settings = {"hours": "lun-vie 9:00-18:00", "quiet_minutes": "5", "budget": "100000"}
    firm = Firm(TenantId("t"), "Panadería Sol", settings=settings, desk=True)

    assert shown(firm) == Firm(
        TenantId("t"), "Panadería Sol", settings={"hours": "lun-vie 9:00-18:00"}
    )


def test_whose_owner_does_not_want_it_is_not_shown() -> None:
    assert (
        shown(Firm(TenantId("t"), "Sol", settings={"demo": check_setting("demo", "off")})) is None
    )
    assert shown(Firm(TenantId("t"), "Sol", settings={"demo": "yes"})) is not None
    assert shown(None) is None
