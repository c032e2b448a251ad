"""The usual webhook is read in one go, and says exactly what the careful reading says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.whatsapp.codec import parse, read_carefully
from handlers.whatsapp.usual import read_usual
from handlers.whatsapp.webhook_values import Webhook

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *("", " ", "x", "56961234567", "CL.1", "CL.ENT.9", "1795392000", "1795392000123", "\x00"),
        *("wa/c:3-1", "a b", "ñ" * 300, 7, None, True, [], {}),
    ]
)


def webhook(value: dict[str, Any]) -> bytes:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "562", "phone_number_id": "555"},
        **value,
    }
    change = {"value": value, "field": "messages"}
    entry = [{"id": "1", "changes": [change]}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


TEXT: dict[str, Any] = {
    "contacts": [{"profile": {"name": "Ana"}, "wa_id": "56961234567", "user_id": "CL.1"}],
    "messages": [
        {
            "from": "56961234567",
            "from_user_id": "CL.1",
            "id": "wamid.A==",
            "timestamp": "1795392000",
            "type": "text",
            "text": {"body": "hola"},
        }
    ],
}
STATUS: dict[str, Any] = {
    "contacts": [{"wa_id": "56961234567", "user_id": "CL.1", "profile": {"name": "Ana"}}],
    "statuses": [
        {
            "id": "wamid.B==",
            "status": "delivered",
            "timestamp": "1795392000",
            "recipient_id": "56961234567",
            "biz_opaque_callback_data": "wa/c:3-1",
            "pricing": {"billable": True, "category": "service", "type": "regular"},
        }
    ],
}


# Beside a status, Meta names nobody; a message without a name is rare and no less usual.
NAMELESS: list[dict[str, Any]] = [{"wa_id": "56961234567", "user_id": "CL.1"}]


@pytest.mark.parametrize(
    "value",
    [TEXT, STATUS, {**TEXT, "contacts": NAMELESS}, {**STATUS, "contacts": NAMELESS}],
    ids=["text", "status", "text-nameless", "status-nameless"],
)
def test_the_usual_is_read_in_one_go(value: dict[str, Any]) -> None:
    found = read_usual(webhook(value))

    assert found is not None
    assert found == read_carefully(webhook(value))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"type": "image"}, id="another-type"),
        pytest.param({"context": {"id": "wamid.C"}}, id="an-answer-to-a-message"),
        pytest.param({"group_id": "g"}, id="in-a-group"),
        pytest.param({"from_user_id": "CL.2"}, id="another-person-than-the-contact"),
        pytest.param({"timestamp": "1795392000123"}, id="milliseconds"),
        pytest.param({"text": {"body": "a\x00b"}}, id="a-nul"),
        pytest.param({"text": None}, id="no-text"),
    ],
)
def test_what_differs_is_read_carefully(change: dict[str, Any]) -> None:
    value = {**TEXT, "messages": [{**TEXT["messages"][0], **change}]}

    assert read_usual(webhook(value)) is None
    assert parse(webhook(value)) == read_carefully(webhook(value))


def test_two_messages_are_read_carefully() -> None:
    assert read_usual(webhook({**TEXT, "messages": TEXT["messages"] * 2})) is None


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] + [deeper for key, inner in items for deeper in paths(inner, (*path, key))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


@given(st.data())
def test_both_readings_agree_whatever_is_changed(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from([TEXT, STATUS]))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.sampled_from(paths(value)[1:]))
        value = put(value, place, data.draw(ODD))
    body = webhook(value)

    usual: Webhook | None = read_usual(body)

    assert usual is None or usual == read_carefully(body)
