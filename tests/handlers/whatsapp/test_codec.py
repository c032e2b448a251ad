"""The codec reads all that Meta posts, in order, and nothing that Meta posts can stop it."""

import json

import msgspec
import pytest
from msgspec import Raw

from flows.dialog.events import Attachment, Heard, Location, Order, SharedCard
from flows.values.ids import ItemId, Wamid
from handlers.events import MovedWhy, Sender
from handlers.whatsapp.codec import FIELDS, NOTICES_MAX, parse
from handlers.whatsapp.loose import MalformedError
from handlers.whatsapp.webhook_values import Move, Notice, Status, Webhook
from tests.handlers.whatsapp.bodies import (
    BSUID,
    NUMBER,
    PHONE,
    WABA,
    WAMID,
    WROTE,
    change,
    contact,
    entry,
    envelope,
    message,
    status,
    value,
    webhook,
)

MARIA = Sender(wa_id=PHONE, bsuid=BSUID, name="María")
ABOUT = Wamid("wamid.ABOUT")


def heard(**over: object) -> Heard:
    """The `Heard` of `bodies.message()`, but for what is given."""
    return Heard(**({"id": Wamid(WAMID), "at": WROTE, "kind": "text"} | over))  # type: ignore[arg-type]  # a table of cases


def told(body: bytes) -> list[Heard]:
    return [message.heard for message in parse(body).messages]


def senders(body: bytes) -> list[Sender]:
    return [message.sender for message in parse(body).messages]


def names(found: Webhook) -> list[str]:
    return [notice.name for notice in found.notices]


# ------------------------------------------------------------------ types


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        pytest.param("text", {"body": "hola 👋"}, {"text": "hola 👋"}, id="text"),
        pytest.param(
            "image",
            {"id": "77", "mime_type": "image/jpeg", "sha256": "ab=", "caption": "¿tienen?"},
            {
                "kind": "media",
                "text": "¿tienen?",
                "media": Attachment(kind="image", id="77", mime="image/jpeg", sha256="ab="),
            },
            id="image",
        ),
        pytest.param(
            "document",
            {"id": "78", "mime_type": "application/pdf", "filename": "lista.pdf"},
            {
                "kind": "media",
                "media": Attachment(
                    kind="document", id="78", mime="application/pdf", name="lista.pdf"
                ),
            },
            id="document",
        ),
        pytest.param(
            "video",
            {"id": "79"},
            {"kind": "media", "media": Attachment(kind="video", id="79")},
            id="video",
        ),
        pytest.param(
            "sticker",
            {"id": "80", "animated": True},
            {"kind": "media", "media": Attachment(kind="sticker", id="80")},
            id="sticker",
        ),
        pytest.param(
            "audio",
            {"id": "81", "voice": True},
            {"kind": "media", "media": Attachment(kind="voice", id="81")},
            id="voice-note",
        ),
        pytest.param(
            "audio",
            {"id": "82", "voice": False},
            {"kind": "media", "media": Attachment(kind="audio", id="82")},
            id="audio-file",
        ),
        pytest.param(
            "location",
            {"latitude": -33.45, "longitude": -70.66, "name": "Local", "address": "Calle 1"},
            {
                "kind": "place",
                "place": Location(
                    latitude=-33.45, longitude=-70.66, name="Local", address="Calle 1"
                ),
            },
            id="location",
        ),
        pytest.param(
            "contacts",
            [
                {
                    "origin": "contact_request",
                    "phones": [{"phone": "+56 9 8765 4321", "wa_id": PHONE}],
                }
            ],
            {
                "kind": "contacts",
                "phone": PHONE,
                "cards": (SharedCard(phones=("+56 9 8765 4321",)),),
            },
            id="own-phone-on-request",
        ),
        pytest.param(
            "contacts",
            [{"origin": "contact_request", "phones": [{"phone": "+56 9 8765-4321"}]}],
            {
                "kind": "contacts",
                "phone": PHONE,
                "cards": (SharedCard(phones=("+56 9 8765-4321",)),),
            },
            id="own-phone-without-wa_id",
        ),
        pytest.param(
            "contacts",
            [{"origin": "other", "name": {"first_name": "Juan"}, "phones": [{"wa_id": PHONE}]}],
            {"kind": "contacts", "cards": (SharedCard(name="Juan", phones=(PHONE,)),)},
            id="anybody's-card",
        ),
        pytest.param(
            "contacts",
            [{"phones": [{"wa_id": PHONE}]}],
            {"kind": "contacts", "cards": (SharedCard(phones=(PHONE,)),)},
            id="card-without-origin",
        ),
        pytest.param(
            "interactive",
            {"type": "button_reply", "button_reply": {"id": "yes", "title": "Sí"}},
            {"kind": "tap", "choice": "yes", "text": "Sí"},
            id="reply-button",
        ),
        pytest.param(
            "interactive",
            {"type": "list_reply", "list_reply": {"id": "r1", "title": "Pan", "description": "kg"}},
            {"kind": "row", "choice": "r1", "text": "Pan"},
            id="row-of-a-list",
        ),
        pytest.param(
            "interactive",
            {
                "type": "nfm_reply",
                "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{ "a": [1] }'},
            },
            {"kind": "form", "text": "Sent", "form": Raw(b'{"a":[1]}')},
            id="form",
        ),
        pytest.param(
            "interactive",
            {"type": "nfm_reply", "nfm_reply": {"response_json": "not json"}},
            {"kind": "unsupported", "text": "interactive"},
            id="form-that-cannot-be-read",
        ),
        pytest.param(
            "interactive",
            {"type": "call_permission_reply", "call_permission_reply": {"response": "accept"}},
            {"kind": "unsupported", "text": "call_permission_reply"},
            id="other-interactive",
        ),
        pytest.param(
            "button",
            {"payload": "confirm", "text": "Sí, voy"},
            {"kind": "tap", "choice": "confirm", "text": "Sí, voy"},
            id="quick-reply",
        ),
        pytest.param(
            "button",
            {"text": "Sí, voy"},
            {"kind": "tap", "choice": "Sí, voy", "text": "Sí, voy"},
            id="quick-reply-without-payload",
        ),
        pytest.param(
            "order",
            {"catalog_id": "1", "text": "para hoy", "product_items": []},
            {"kind": "order", "text": "para hoy", "order": Order(catalogue="1", items=())},
            id="order",
        ),
        pytest.param(
            "reaction",
            {"message_id": ABOUT, "emoji": "👍"},
            {"kind": "reaction", "text": "👍", "reply_to": ABOUT},
            id="reaction",
        ),
        pytest.param(
            "reaction",
            {"message_id": ABOUT},
            {"kind": "reaction", "reply_to": ABOUT},
            id="reaction-taken-back",
        ),
        pytest.param("request_welcome", None, {"kind": "welcome"}, id="welcome"),
        pytest.param(
            "unsupported",
            {"type": "poll"},
            {"kind": "unsupported", "text": "poll"},
            id="unsupported",
        ),
        pytest.param(
            "unsupported", None, {"kind": "unsupported", "text": "unknown"}, id="unsupported-bare"
        ),
        pytest.param(
            "edit",
            {"original_message_id": ABOUT, "message": {"type": "text", "text": {"body": "chao"}}},
            {"kind": "edit", "text": "chao", "reply_to": ABOUT},
            id="edit",
        ),
        pytest.param(
            "edit",
            {"original_message_id": ABOUT, "message": {"text": {"body": "chao"}}},
            {"kind": "edit", "text": "chao", "reply_to": ABOUT},
            id="edit-without-its-type",
        ),
        pytest.param(
            "edit",
            {
                "original_message_id": ABOUT,
                "message": {"type": "image", "image": {"caption": "¿y?"}},
            },
            {"kind": "edit", "text": "¿y?", "reply_to": ABOUT},
            id="edit-of-a-caption",
        ),
        pytest.param(
            "edit",
            {"original_message_id": ABOUT, "message": {"type": "text"}},
            {"kind": "unsupported", "text": "edit"},
            id="edit-that-says-nothing",
        ),
        pytest.param(
            "revoke",
            {"original_message_id": ABOUT},
            {"kind": "revoke", "reply_to": ABOUT},
            id="revoke",
        ),
        pytest.param(
            "revoke", {}, {"kind": "unsupported", "text": "revoke"}, id="revoke-of-nothing"
        ),
        pytest.param(
            "system",
            {"type": "something_new", "body": "…"},
            {"kind": "system", "text": "something_new"},
            id="system-of-tomorrow",
        ),
        pytest.param(
            "hologram", {}, {"kind": "unsupported", "text": "hologram"}, id="type-of-tomorrow"
        ),
        pytest.param(
            "<b>", {}, {"kind": "unsupported", "text": "unknown"}, id="type-that-is-no-word"
        ),
        pytest.param(
            "image",
            {"mime_type": "image/png"},
            {"kind": "unsupported", "text": "image"},
            id="media-not-fetched",
        ),
        pytest.param(
            "text", {"body": None}, {"kind": "unsupported", "text": "text"}, id="text-null"
        ),
        pytest.param(
            "text", ["hola"], {"kind": "unsupported", "text": "text"}, id="text-in-a-list"
        ),
        pytest.param("text", {"body": 42}, {"text": "42"}, id="number-for-a-text"),
        pytest.param(
            "location",
            {"latitude": "-33.5", "longitude": "-70"},
            {"kind": "place", "place": Location(latitude=-33.5, longitude=-70.0)},
            id="texts-for-numbers",
        ),
        pytest.param(
            "location",
            {"latitude": 91, "longitude": 0},
            {"kind": "unsupported", "text": "location"},
            id="nowhere-on-earth",
        ),
    ],
)
def test_each_type_is_read(kind: str, body: object, expected: dict[str, object]) -> None:
    assert told(webhook(messages=[message(kind, body)])) == [heard(**expected)]


@pytest.mark.parametrize(
    ("origin", "phone"),
    [pytest.param("contact_request", PHONE, id="on-request"), pytest.param("other", "", id="anybody's")],
)  # fmt: skip
def test_the_origin_of_a_card_may_stand_beside_it(origin: str, phone: str) -> None:
    body = [{"phones": [{"phone": f"+{PHONE}", "wa_id": PHONE}]}]

    found = told(webhook(messages=[message("contacts", body, origin=origin)]))

    assert found == [
        heard(kind="contacts", phone=phone, cards=(SharedCard(phones=(f"+{PHONE}",)),))
    ]


def test_an_answer_names_the_message_it_answers() -> None:
    found = told(webhook(messages=[message(context={"from": "56911112222", "id": ABOUT})]))

    assert found == [heard(text="hola", reply_to=ABOUT)]


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        pytest.param(str(WROTE), WROTE, id="text"),
        pytest.param(WROTE, WROTE, id="number"),
        pytest.param(f"{WROTE}123", WROTE, id="ms"),
        pytest.param(WROTE * 1000 + 999, WROTE, id="ms-number"),
        pytest.param(float(WROTE), WROTE, id="float"),
        pytest.param(None, 0, id="null"),
        pytest.param("yesterday", 0, id="word"),
        pytest.param("-5", 0, id="negative"),
        pytest.param(True, 0, id="flag"),
        pytest.param("9" * 400, 0, id="absurd"),
        pytest.param([WROTE], 0, id="list"),
    ],
)
def test_a_time_that_makes_no_sense_is_no_time(timestamp: object, at: int) -> None:
    assert told(webhook(messages=[message(timestamp=timestamp)])) == [heard(text="hola", at=at)]


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("over", "contacts", "expected"),
    [
        pytest.param({}, [contact()], MARIA, id="both"),
        pytest.param({}, [], Sender(wa_id=PHONE, bsuid=BSUID), id="no-contacts"),
        pytest.param({"from": None}, [contact()], MARIA, id="phone-only-in-the-contact"),
        pytest.param(
            {"from": None},
            [contact(wa_id=None)],
            Sender(bsuid=BSUID, name="María"),
            id="phone-hidden",
        ),
        pytest.param(
            {"from_user_id": None},
            [{"wa_id": PHONE, "profile": {"name": "María"}}],
            Sender(wa_id=PHONE, name="María"),
            id="contact-without-user_id",
        ),
        pytest.param(
            {"from": BSUID, "from_user_id": None},
            [{"wa_id": BSUID, "profile": {"name": "María"}}],
            Sender(bsuid=BSUID, name="María"),
            id="bsuid-under-the-keys-of-the-phone",
        ),
        pytest.param({"from": int(PHONE)}, [contact()], MARIA, id="phone-as-a-number"),
        pytest.param({"from": f"+{PHONE}"}, [contact()], MARIA, id="phone-with-plus"),
        pytest.param(
            {},
            [contact(profile={"name": "María", "username": "maria.p"})],
            Sender(wa_id=PHONE, bsuid=BSUID, name="María", username="maria.p"),
            id="username",
        ),
        pytest.param(
            {},
            [contact(wa_id="56900000000", user_id="CL.9", profile={"name": "Other"}), contact()],
            MARIA,
            id="contacts-in-another-order",
        ),
        pytest.param(
            {},
            [contact(wa_id="56900000000", user_id="CL.9", profile={"name": "Other"})],
            Sender(wa_id=PHONE, bsuid=BSUID),
            id="never-by-position",
        ),
        pytest.param(
            {},
            [contact(user_id="CL.9", profile={"name": "Other"})],
            Sender(wa_id=PHONE, bsuid=BSUID),
            id="same-phone-other-bsuid",
        ),
        pytest.param(
            {},
            [contact(wa_id="56900000000", profile={"name": "Other"})],
            Sender(wa_id=PHONE, bsuid=BSUID),
            id="same-bsuid-other-phone",
        ),
        pytest.param(
            {}, [contact(profile=None)], Sender(wa_id=PHONE, bsuid=BSUID), id="no-profile"
        ),
        pytest.param({}, "María", Sender(wa_id=PHONE, bsuid=BSUID), id="contacts-is-a-text"),
        pytest.param({}, [None, 3, contact()], MARIA, id="garbage-among-contacts"),
        pytest.param(
            {"from": None, "from_user_id": "CL.ENT.1a2b"},
            [],
            Sender(bsuid="CL.ENT.1a2b"),
            id="parent-bsuid",
        ),
    ],
)
def test_an_address_is_told_by_its_form(
    over: dict[str, object], contacts: object, expected: Sender
) -> None:
    assert senders(webhook(messages=[message(**over)], contacts=contacts)) == [expected]


@pytest.mark.parametrize(
    ("over", "system", "expected"),
    [
        pytest.param(
            {"from_user_id": "CL.NEW"},
            {"type": "user_changed_number", "user_id": "CL.NEW", "wa_id": "56900000009"},
            ("number", Sender(wa_id=PHONE)),
            id="new-bsuid-is-not-joined-to-the-old-phone",
        ),
        pytest.param(
            {"from": None, "from_user_id": None},
            {"type": "user_changed_user_id", "user_id": "CL.NEW", "previous_user_id": BSUID},
            ("user_id", Sender(bsuid=BSUID)),
            id="known-by-the-previous-id",
        ),
        pytest.param(
            {"from": None, "from_user_id": None},
            {"type": "user_changed_user_id", "user_id": "CL.NEW"},
            None,
            id="only-the-new-id",
        ),
        pytest.param(
            {"from_user_id": None},
            {"type": "customer_changed_number", "wa_id": "56900000009", "customer": PHONE},
            ("number", Sender(wa_id=PHONE)),
            id="legacy",
        ),
        pytest.param(
            {},
            {"type": "customer_identity_changed", "customer": PHONE, "identity": "n3w="},
            ("identity", Sender(wa_id=PHONE, bsuid=BSUID)),
            id="another-device",
        ),
    ],
)
def test_a_change_of_address_is_told_of_the_old_address(
    over: dict[str, object], system: dict[str, object], expected: tuple[MovedWhy, Sender] | None
) -> None:
    found = parse(webhook(messages=[message("system", system, **over)], contacts=[]))

    assert found.messages == []
    if expected is None:
        assert names(found) == ["moved_from_nowhere"]
    else:
        why, sender = expected
        phone = str(system.get("wa_id", "")) if why == "number" else ""
        assert found.moves == [Move(NUMBER, Wamid(WAMID), sender, why, WROTE, phone)]


# ------------------------------------------------------------------ statuses


def seen(**over: object) -> Status:
    common: dict[str, object] = {
        "phone_number_id": NUMBER,
        "wamid": Wamid("wamid.OUT"),
        "status": "delivered",
        "at": WROTE,
        "item": ItemId("wa/c1:7-0"),
        "country": "CL",
    }
    return Status(**(common | over))  # type: ignore[arg-type]  # a table of cases


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        pytest.param({}, {}, id="delivered"),
        pytest.param(
            {
                "status": "sent",
                "pricing": {"billable": True, "category": "service", "type": "regular"},
            },
            {"status": "sent", "category": "service", "price_type": "regular"},
            id="with-its-price",
        ),
        pytest.param({"status": "played"}, {"status": "played"}, id="played"),
        pytest.param(
            {"status": "failed", "errors": [{"code": 131047}]},
            {"status": "failed", "code": 131047},
            id="failed",
        ),
        pytest.param(
            {"status": "failed", "errors": [{"code": "131026"}], "recipient_id": None},
            {"status": "failed", "code": 131026, "country": ""},
            id="code-as-a-text",
        ),
        pytest.param(
            {"status": "failed", "errors": None}, {"status": "failed"}, id="failed-without-errors"
        ),
        pytest.param({"biz_opaque_callback_data": None}, {"item": ""}, id="not-ours"),
        pytest.param({"biz_opaque_callback_data": "campaign 7"}, {"item": ""}, id="of-another-app"),
        pytest.param({"pricing": "free"}, {}, id="odd-price"),
        pytest.param({"recipient_id": "5491123456789"}, {"country": "AR"}, id="abroad"),
        pytest.param(
            {"recipient_id": None, "recipient_user_id": "PE.1"}, {"country": "PE"}, id="no-phone"
        ),
        pytest.param(
            {"recipient_id": "CL.ENT.9"}, {"country": "CL"}, id="a-bsuid-under-another-key"
        ),
    ],
)
def test_a_status_is_read(over: dict[str, object], expected: dict[str, object]) -> None:
    assert parse(webhook(statuses=[status(**over)])).statuses == [seen(**expected)]


def test_a_failed_status_needs_no_contacts() -> None:
    body = envelope(
        entry(change(value(statuses=[status(status="failed", errors=[{"code": 131026}])])))
    )

    assert parse(body).statuses == [seen(status="failed", code=131026)]


# ------------------------------------------------------------------ batches


def test_everything_in_a_batch_is_read_in_order() -> None:
    body = envelope(
        entry(
            change(
                value(messages=[message(id="m1"), message(id="m2")], statuses=[status(id="s1")])
            ),
            change(value(messages=[message(id="m3")], number="222")),
        ),
        entry(change(value(statuses=[status(id="s2"), status(id="s3")]))),
    )

    found = parse(body)

    assert [(m.phone_number_id, m.heard.id) for m in found.messages] == [
        (NUMBER, "m1"),
        (NUMBER, "m2"),
        ("222", "m3"),
    ]
    assert [s.wamid for s in found.statuses] == ["s1", "s2", "s3"]
    assert found.notices == []


@pytest.mark.parametrize(
    ("garbage", "notice"),
    [
        pytest.param(None, "bad_value", id="null"),
        pytest.param([], "bad_value", id="list"),
        pytest.param({}, "message_without_id", id="empty"),
        pytest.param(message(id=None), "message_without_id", id="no-id"),
        pytest.param(message(id="x" * 513), "message_without_id", id="endless-id"),
        pytest.param(
            message(**{"from": None, "from_user_id": {}}), "message_without_sender", id="no-sender"
        ),
        pytest.param(message(group_id="g1"), "group_message", id="group"),
    ],
)
def test_a_bad_item_does_not_block_its_neighbours(garbage: object, notice: str) -> None:
    found = parse(webhook(messages=[message(id="m1"), garbage, message(id="m2")]))

    assert [m.heard.id for m in found.messages] == ["m1", "m2"]
    assert names(found) == [notice]


@pytest.mark.parametrize(
    ("garbage", "notice"),
    [
        pytest.param("delivered", "bad_value", id="text"),
        pytest.param(status(id=7.5), "status_without_id", id="no-id"),
        pytest.param(status(status="warning"), "other_status", id="status-of-tomorrow"),
        pytest.param(status(status={}), "other_status", id="status-is-an-object"),
    ],
)
def test_a_bad_status_does_not_block_its_neighbours(garbage: object, notice: str) -> None:
    found = parse(webhook(statuses=[garbage, status()]))

    assert found.statuses == [seen()]
    assert names(found) == [notice]


def test_an_object_in_place_of_a_list_is_a_list_of_one() -> None:
    assert told(webhook(messages=message())) == [heard(text="hola")]


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_other_fields_are_noted_with_what_happened(field: str) -> None:
    found = parse(envelope(entry(change({"event": "DISABLED_UPDATE"}, field))))

    assert (found.messages, found.statuses) == ([], [])
    assert found.notices == [Notice(field, waba_id=WABA, event="DISABLED_UPDATE")]


OF_PEOPLE = {
    *("calls", "history", "smb_app_state_sync", "smb_message_echoes", "user_preferences"),
    *("group_lifecycle_update", "group_participants_update"),
    *("group_settings_update", "group_status_update"),
}


@pytest.mark.parametrize("field", sorted(FIELDS - OF_PEOPLE | {"brand_new"}))
def test_other_fields_about_accounts_are_kept_as_they_came(field: str) -> None:
    told = {"event": "DISABLED_UPDATE", "a": [1, {"b": None}]}

    found = parse(envelope(entry(change(told, field)) | {"time": 1_795_392_000}))

    (kept,) = found.changes
    assert (kept.account, kept.field, kept.at) == (WABA, field, 1_795_392_000)
    assert msgspec.json.decode(kept.value) == told


@pytest.mark.parametrize("field", sorted(OF_PEOPLE))
def test_fields_about_people_are_no_news_of_an_account(field: str) -> None:
    assert parse(envelope(entry(change({}, field)))).changes == []


def test_all_of_them_are_kept() -> None:
    """Notices are bounded, changes are not: each of them means something."""
    fields = [change({"event": f"E{n}"}, "account_update") for n in range(1_000)]

    assert len(parse(envelope(entry(*fields))).changes) == 1_000


def test_a_value_that_is_too_long_says_at_least_that_there_was_one() -> None:
    (kept,) = parse(envelope(entry(change({"event": "x" * 40_000}, "account_update")))).changes

    assert bytes(kept.value) == b"null"


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(entry({"value": {"event": "E", "field": "security"}}), id="in-the-value"),
        pytest.param(entry({"value": {"event": "E"}}) | {"field": "security"}, id="in-the-entry"),
    ],
)
def test_a_field_that_stands_beside_its_place_is_found(odd: dict[str, object]) -> None:
    (kept,) = parse(envelope(odd)).changes

    assert kept.field == "security"


@pytest.mark.parametrize(
    ("body", "notice"),
    [
        pytest.param(envelope(entry(change({}, "brand_new"))), "other_field", id="unknown-field"),
        pytest.param(envelope(entry(change({}, None))), "other_field", id="no-field"),
        pytest.param(envelope(entry(change(None))), "bad_value", id="no-value"),
        pytest.param(
            envelope(entry(change({"messages": [message()]}))), "no_number", id="no-metadata"
        ),
        pytest.param(
            envelope(entry(change(value() | {"errors": [{"code": 131000}]}))), "errors", id="errors"
        ),
        pytest.param(b'{"object":"page","entry":[]}', "other_object", id="other-object"),
        pytest.param(b"[]", "other_object", id="list"),
        pytest.param(b"3", "other_object", id="number"),
        pytest.param(envelope("x"), "bad_value", id="entry-is-a-text"),
    ],
)
def test_what_is_not_for_a_conversation_is_noted(body: bytes, notice: str) -> None:
    found = parse(body)

    assert (found.messages, found.statuses, names(found)) == ([], [], [notice])


def test_notices_are_bounded() -> None:
    found = parse(webhook(messages=[None] * 5000 + [message()]))

    assert len(found.notices) == NOTICES_MAX
    assert len(found.messages) == 1


# ------------------------------------------------------------------ bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b'"hola \\ud83d"', "hola ?", id="half-an-emoji"),
        pytest.param(b'"hola \xff"', "hola �", id="not-utf-8"),
        pytest.param(b'"a\\u0000b"', "ab", id="nul"),
        pytest.param(b'"a\\\\u0000b"', "a\\u0000b", id="escaped-backslash-before-u0000"),
        pytest.param(b'"a\x01b"', "a\x01b", id="bare-control-character"),
        pytest.param(b'"\\ud83d\\ude00"', "😀", id="whole-emoji"),
    ],
)
def test_odd_characters_spoil_no_message(text: bytes, expected: str) -> None:
    body = webhook(messages=[message(text={"body": "@"}), message(id="m2")]).replace(b'"@"', text)

    assert [h.text for h in told(body)] == [expected, "hola"]


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"1e999", id="endless-number"),
        pytest.param(b"9" * 5000, id="endless-integer"),
        pytest.param(b"NaN", id="not-a-number"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep-lists"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep-objects"),
        pytest.param(b'["\\\\", "[[[", {"]": "}"}]', id="brackets-in-texts"),
    ],
)
def test_a_value_that_no_decoder_likes_spoils_no_message(junk: bytes) -> None:
    body = webhook(messages=[message(referral="@"), message(id="m2")]).replace(b'"@"', junk)

    assert [h.id for h in told(body)] == [WAMID, "m2"]


def test_a_form_that_is_nested_too_deep_is_cut() -> None:
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    reply = {"type": "nfm_reply", "nfm_reply": {"response_json": deep}}

    (found,) = told(webhook(messages=[message("interactive", reply)]))

    assert found.kind == "form"
    assert len(bytes(found.form)) < 1000


def test_a_form_brings_no_nul_into_the_journal() -> None:
    reply = {"type": "nfm_reply", "nfm_reply": {"response_json": json.dumps({"a": "x\x00y"})}}

    assert told(webhook(messages=[message("interactive", reply)])) == [
        heard(kind="form", form=Raw(b'{"a":"xy"}'))
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"<html>", id="html"),
        pytest.param(b"{} {}", id="two"),
        pytest.param(b"[" * 100_000, id="deep-and-cut"),
        pytest.param(b'"' + b'\\"' * 200_000, id="text-without-end"),
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(body)
