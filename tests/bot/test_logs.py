"""Logs carry ids, never people's data: the last net under that rule."""

import pytest

from bot.logs import blot_personal_data


@pytest.mark.parametrize(
    "personal",
    [
        pytest.param("56961234567", id="wa-id"),
        pytest.param("+56 9 6123 4567", id="telephone"),
        pytest.param("12.345.678-5", id="rut"),
        pytest.param("12345678-K", id="rut-without-dots"),
        pytest.param("ana@sol.example", id="e-mail"),
    ],
)
def test_what_looks_like_a_persons_data_is_blotted_out(personal: str) -> None:
    event = {"event": "message.refused", "details": f"to {personal} now"}

    assert blot_personal_data(None, "info", event)["details"] == "to […] now"


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param("74ee745e-04ae-59a0-9b91-8d016cafec0c", id="uuid"),
        pytest.param("wa/74ee745e-04ae-59a0-9b91-8d016cafec0c:3-12", id="item"),
        pytest.param("wamid.MjUxYTk1NDkvMDAwMDAwMDAwMDAx", id="wamid"),
        pytest.param("http://127.0.0.1:18999", id="address"),
        pytest.param("2026-11-22T10:00:00Z", id="time"),
        pytest.param("131056", id="error-code"),
    ],
)
def test_ids_addresses_and_codes_stay_readable(kept: str) -> None:
    event = {"event": "x", "field": f"{kept}"}

    assert blot_personal_data(None, "info", event)["field"] == kept
