"""What Meta says of accounts and numbers: one file for each shape of the fields other than `messages`."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from flows.values.ids import ChannelId
from handlers.care import Change
from handlers.ports import Channel
from handlers.whatsapp.changes import _READERS, News, accounts_in, channels_meant, read
from handlers.whatsapp.codec import FIELDS, parse
from handlers.whatsapp.mends import MENDS
from tests.handlers.whatsapp.bodies import NUMBER, WABA, change, entry, envelope, message, value
from tests.handlers.whatsapp.doubles import CHANNEL, TENANT, Phonebook

SHAPES = sorted((Path(__file__).parent / "changes").glob("*.json"))
OF_PEOPLE = {
    *("calls", "history", "smb_app_state_sync", "smb_message_echoes", "user_preferences"),
    *("group_lifecycle_update", "group_participants_update"),
    *("group_settings_update", "group_status_update"),
}


def strict(text: str) -> Any:
    def refuse(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs), "a key stands twice"
        return dict(pairs)

    def constant(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, object_pairs_hook=refuse, parse_constant=constant)


def heard(body: object) -> Change:
    (kept,) = parse(json.dumps(body).encode()).changes
    return kept


def told(news: News) -> object:
    """The news with its type, without what is left at its default."""
    return json.loads(msgspec.json.encode(news))


@pytest.mark.parametrize("file", SHAPES, ids=lambda file: file.stem)
def test_a_shape_means(file: Path) -> None:
    shape = strict(file.read_text("utf-8"))

    news = told(read(heard(shape["body"])))

    assert news == shape["means"], shape["says"]
    if alert := shape["means"].get("alert"):
        assert alert in MENDS


def test_every_field_about_accounts_has_a_shape() -> None:
    shown = {
        strict(file.read_text("utf-8"))["body"]["entry"][0]["changes"][0]["field"]
        for file in SHAPES
    }

    assert shown >= FIELDS - OF_PEOPLE
    assert set(_READERS) == FIELDS - OF_PEOPLE


def test_every_field_is_explained() -> None:
    table = (Path(__file__).parents[3] / "docs" / "whatsapp_accounts.md").read_text("utf-8")

    assert [field for field in sorted(FIELDS) if f"`{field}`" not in table] == []


def test_what_an_alert_asks_for_is_known_whatever_happens() -> None:
    assert all(mend.strip() for mend in MENDS.values())


# ------------------------------------------------------------------ whose it is

OURS = ChannelId("1a0c7a2e-0000-4000-8000-00000000000a")
SERVING = Channel(
    id=OURS,
    tenant=TENANT,
    phone_number_id="555",
    waba_id="777",
    display_phone="+56 2 2000 0000",
    portfolio_id="999",
)
"""The number of whoever serves the firms, in its own portfolio."""


def meant(account: str, **value: object) -> list[ChannelId]:
    phonebook = Phonebook()
    phonebook.channels[OURS] = SERVING
    news = Change(account=account, field="account_update", value=Raw(msgspec.json.encode(value)))
    return [channel.id for channel in channels_meant(phonebook, news)]


def test_an_account_is_found_by_its_waba_its_portfolio_or_its_number() -> None:
    assert meant(WABA) == [CHANNEL]
    assert meant("999") == [OURS]
    assert meant("404", entity_type="PHONE_NUMBER", entity_id=int(NUMBER)) == [CHANNEL]
    assert meant("404") == []
    assert meant("") == []


def test_a_firm_that_leaves_is_not_taken_for_whoever_serves_it() -> None:
    left = {"event": "PARTNER_REMOVED"}

    assert meant("999", **left, waba_info={"waba_id": WABA}) == [CHANNEL]
    assert meant("999", **left, waba_info={"waba_id": "404"}) == []


# ------------------------------------------------------------------ whatever Meta signs

steadily = settings(deadline=None, derandomize=True)

WORDS = sorted({
    "event", "decision", "entity_id", "waba_info", "waba_id", "message_template_name", "message_template_language",
    "message_template_category", "new_quality_score", "new_category", "correct_category", "previous_category",
    "current_limit", "display_phone_number", "ban_info", "waba_ban_state", "restriction_info", "restriction_type",
    "alert_info", "alert_type", "max_daily_conversations_per_business", "flow_id", "new_status", "alert_state",
    "reason", "other_info", "title", "rejection_info", "violation_info", "violation_type",
})  # fmt: skip
SAID = [
    "APPROVED", "PAUSED", "FLAGGED", "DISABLED_UPDATE", "DISABLE", "ACCOUNT_RESTRICTION", "THROUGHPUT_UPGRADE",
    "PARTNER_REMOVED", "RED", "UTILITY", "TIER_2K", "aviso", "es_CL", "56911112222", WABA,
]  # fmt: skip

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([*SAID, *WORDS]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=20,
)
"""JSON with Meta's own words in wrong places; also NaN, lone surrogates and NULs."""

fields = st.sampled_from(sorted(FIELDS - OF_PEOPLE)) | anything


def spoilt(shape: Any, at: list[int], by: object) -> Any:
    """The JSON value with one of its parts, found by a walk, replaced."""
    if at and isinstance(shape, dict) and shape:
        key = sorted(shape)[at[0] % len(shape)]
        return {**shape, key: spoilt(shape[key], at[1:], by)}
    if at and isinstance(shape, list) and shape:
        n = at[0] % len(shape)
        return [*shape[:n], spoilt(shape[n], at[1:], by), *shape[n + 1 :]]
    return by


@steadily
@given(anything, fields, anything, anything)
def test_no_value_anywhere_is_an_error_or_harms_its_neighbours(
    told: object, field: object, time: object, id: object
) -> None:
    good = value(messages=[message()])
    odd = entry(change(told, field), change(good)) | {"time": time}
    body = envelope(
        odd | {"id": id}, odd, entry(change({"event": "ACCOUNT_DELETED"}, "account_update"))
    )

    found = parse(body)

    assert len([m for m in found.messages if m.phone_number_id == NUMBER]) >= 2
    assert read(found.changes[-1]).alert == "account_deleted"  # type: ignore[union-attr]  # it is an AccountNews
    for kept in found.changes:
        _can_be_kept(kept)


@steadily
@given(st.sampled_from(SHAPES), st.lists(st.integers(0, 20), max_size=7), anything)
def test_a_shape_with_one_part_spoilt_is_still_read(file: Path, at: list[int], by: object) -> None:
    body = spoilt(strict(file.read_text("utf-8"))["body"], at, by)

    for kept in parse(json.dumps(body).encode()).changes:
        _can_be_kept(kept)


def _can_be_kept(kept: Change) -> None:
    """It goes through a lane unharmed, and both what it means and whose it is can be told."""
    line = msgspec.json.encode(kept)
    assert b"\\u0000" not in line.replace(b"\\\\", b"")
    again = msgspec.json.decode(line, type=Change)
    assert bytes(again.value) == bytes(kept.value)
    assert read(again) == read(kept)
    assert accounts_in(again) == accounts_in(kept)
    # Nothing of it is longer than a line, or holds what only people have.
    assert all(len(text) < 600 for text in _texts(msgspec.to_builtins(read(kept))))


def _texts(news: object) -> list[str]:
    if isinstance(news, dict):
        return [text for part in news.values() for text in _texts(part)]
    if isinstance(news, list):
        return [text for part in news for text in _texts(part)]
    return [news] if isinstance(news, str) else []
