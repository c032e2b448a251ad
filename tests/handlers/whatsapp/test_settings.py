"""A wrong value is caught when it is given, not when the first message fails."""

import pytest

from handlers.whatsapp.settings import ChannelSettings, SettingsError

GOOD = {
    "phone_number_id": "106540352242922",
    "waba_id": "102290129340398",
    "token": "EAAG" + "x" * 40,
}


def test_good_settings_are_taken_and_hide_the_token() -> None:
    settings = ChannelSettings(**GOOD)

    assert "EAAG" not in repr(settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("phone_number_id", "", id="no-number"),
        pytest.param("phone_number_id", "+56912345678", id="a-telephone-number"),
        pytest.param("phone_number_id", "10654/../me", id="a-path"),
        pytest.param("waba_id", GOOD["phone_number_id"], id="the-same-twice"),
        pytest.param("portfolio_id", "panaderia", id="a-name"),
        pytest.param("token", "", id="no-token"),
        pytest.param("token", "EAAG" + "x" * 40 + "\n", id="copied-with-a-line-break"),
        pytest.param("token", "Bearer EAAG" + "x" * 40, id="copied-with-bearer"),
    ],
)
def test_a_wrong_value_is_named(field: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ChannelSettings(**(GOOD | {field: value}))

    assert caught.value.field == field
    assert not value or value not in str(caught.value)
