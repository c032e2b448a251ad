"""Every shape that Meta documents: one file each in `corpus/`, written from its pages, and what we hear of it.

The names of the files are the rows of the tables in `docs/whatsapp.md`.
"""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.events import Sender
from handlers.whatsapp.codec import parse
from handlers.whatsapp.usual import read_usual
from handlers.whatsapp.webhook_values import Parsed, Webhook

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path.stem for path in CORPUS.glob("*.json"))
DOCS = Path(__file__).parents[3] / "docs" / "whatsapp.md"

HEARD: dict[str, list[str]] = {
    "account-alerts": [
        "counted account_alerts",
    ],
    "account-review-update": [
        "counted account_review_update",
    ],
    "account-update": [
        "counted account_update DISABLED_UPDATE",
    ],
    "automatic-events": [
        "counted automatic_events",
    ],
    "batch-contacts-not-aligned": [
        'message of Persona 0+phone+bsuid: text text="soy 0"',
        'message of Persona 1+phone+bsuid: text text="soy 1"',
        'message of Persona 2+phone+bsuid: text text="soy 2"',
    ],
    "batch-messages-and-statuses": [
        'message of María+phone+bsuid: text text="uno"',
        'message of María+phone+bsuid: text text="dos"',
        'message of María+phone+bsuid: text text="tres"',
        "status sent",
        "status delivered",
    ],
    "business-capability-update": [
        "counted business_capability_update",
    ],
    "business-username-update": [
        "counted business_username_update",
    ],
    "business-username-updates": [
        "counted business_username_updates",
    ],
    "calls": [
        "counted calls",
    ],
    "echo-bsuid-only": [
        'echo of bsuid: text text="hola"',
    ],
    "echo-edit": [
        'echo of phone+bsuid: edit text="mejor a las 5" reply_to="wamid.ECHO"',
    ],
    "echo-image": [
        'echo of phone+bsuid: media text="así quedó" media={"kind":"image","id":"1166846181421424","mime":"image/jpeg","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "echo-revoke": [
        'echo of phone+bsuid: revoke reply_to="wamid.ECHO"',
    ],
    "echo-text": [
        'echo of phone+bsuid: text text="Hola María, te cuento yo"',
    ],
    "echo-voice": [
        'echo of phone+bsuid: media media={"kind":"voice","id":"1166846181421424","mime":"audio/ogg; codecs=opus","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "field-of-tomorrow": [
        "counted other_field SHONE",
    ],
    "flows": [
        "counted flows FLOW_STATUS_CHANGE",
    ],
    "group-lifecycle-update": [
        "counted group_lifecycle_update",
    ],
    "group-participants-update": [
        "counted group_participants_update",
    ],
    "group-settings-update": [
        "counted group_settings_update",
    ],
    "group-status-update": [
        "counted group_status_update",
    ],
    "history": [
        "counted history",
    ],
    "message-audio": [
        'message of María+phone+bsuid: media media={"kind":"audio","id":"1166846181421424","mime":"audio/mpeg","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "message-button": [
        'message of María+phone+bsuid: tap text="Sí, voy" choice="confirm" reply_to="wamid.ASKED"',
    ],
    "message-contacts-other": [
        'message of María+phone+bsuid: contacts cards=[{"name":"Juan Soto","phones":["+56 9 1234 5678"]}]',
    ],
    "message-contacts-own-phone": [
        'message of María+bsuid+@maria.p: contacts reply_to="wamid.ASKED" phone="56987654321" cards=[{"phones":["+56 9 8765 4321"]}]',
    ],
    "message-context-forwarded": [
        'message of María+phone+bsuid: text text="mira" forwarded=true',
    ],
    "message-context-product": [
        'message of María+phone+bsuid: text text="¿queda?" reply_to="wamid.ASKED" about="sku-1"',
    ],
    "message-context-reply": [
        'message of María+phone+bsuid: text text="sí" reply_to="wamid.ASKED"',
    ],
    "message-document": [
        'message of María+phone+bsuid: media text="mi pedido" media={"kind":"document","id":"1166846181421424","mime":"application/pdf","name":"pedido.pdf","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "message-edit": [
        'message of María+phone+bsuid: edit text="¿Tienen torta?" reply_to="wamid.TEXT"',
    ],
    "message-edit-caption": [
        'message of María+phone+bsuid: edit text="¿y esta?" reply_to="wamid.IMAGE" media={"kind":"image","id":"1166846181421424","mime":"image/jpeg","sha256":"3f="}',
    ],
    "message-group": [
        "counted group_message",
    ],
    "message-image": [
        'message of María+phone+bsuid: media text="¿Tienen de esta?" media={"kind":"image","id":"1166846181421424","mime":"image/jpeg","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "message-interactive-address-reply": [
        'message of María+phone+bsuid: form text="Av. Los Aromos 123" reply_to="wamid.ASKED" form={"values":{"city":"Villa Alemana"}}',
    ],
    "message-interactive-button-reply": [
        'message of María+phone+bsuid: tap text="Horario" choice="12:customer.lobby:hours" reply_to="wamid.ASKED"',
    ],
    "message-interactive-call-permission-reply": [
        'message of María+phone+bsuid: unsupported text="call_permission_reply" reply_to="wamid.ASKED"',
    ],
    "message-interactive-flow-reply": [
        'message of María+phone+bsuid: form text="Sent" reply_to="wamid.ASKED" form={"flow_token":"12:shop.sign_up:form","nombre":"Ana"}',
    ],
    "message-interactive-list-reply": [
        'message of María+phone+bsuid: row text="Precios" choice="12:customer.lobby:prices" reply_to="wamid.ASKED"',
    ],
    "message-location": [
        'message of María+phone+bsuid: place place={"latitude":-33.0428,"longitude":-71.3733,"name":"Plaza","address":"Av. Los Aromos 123"}',
    ],
    "message-media-too-large": [
        'message of María+phone+bsuid: unsupported text="oversized"',
    ],
    "message-of-tomorrow": [
        'message of María+phone+bsuid: unsupported text="hologram"',
        "counted other_type hologram",
    ],
    "message-order": [
        'message of María+phone+bsuid: order text="para hoy" order={"catalogue":"194836987003835","items":[{"product":"sku-1","quantity":2,"price":"2290","currency":"CLP"},{"product":"sku-2","price":"990.5","currency":"CLP"}]}',
    ],
    "message-reaction": [
        'message of María+phone+bsuid: reaction text="👍" reply_to="wamid.OUT"',
    ],
    "message-reaction-removed": [
        'message of María+phone+bsuid: reaction reply_to="wamid.OUT"',
    ],
    "message-reaction-removed-absent": [
        'message of María+phone+bsuid: reaction reply_to="wamid.OUT"',
    ],
    "message-referral-ad": [
        'message of María+phone+bsuid: text text="vi su aviso" referral={"source":"ad","id":"120226305854810726","url":"https://fb.me/3cr4Wqqkv","headline":"Pan recién horneado","body":"Todos los días","click":"Aff-n8ZTODi","welcome":"¡Hola! ¿Qué necesitas?"}',
    ],
    "message-referral-post": [
        'message of María+phone+bsuid: text text="hola" referral={"source":"post","id":"4","url":"https://fb.me/4","headline":"h","body":"b"}',
    ],
    "message-request-welcome": [
        "message of María+phone+bsuid: welcome",
    ],
    "message-revoke": [
        'message of María+phone+bsuid: revoke reply_to="wamid.TEXT"',
    ],
    "message-sticker": [
        'message of María+phone+bsuid: media media={"kind":"sticker","id":"1166846181421424","mime":"image/webp","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "message-system-customer-changed-number": [
        "move number of phone",
    ],
    "message-system-customer-identity-changed": [
        "move identity of phone+bsuid",
    ],
    "message-system-user-changed-number": [
        "move number of phone+bsuid",
    ],
    "message-system-user-changed-user-id": [
        "move user_id of bsuid",
    ],
    "message-system-user-changed-user-id-without-previous": [
        "counted moved_from_nowhere",
    ],
    "message-template-components-update": [
        "counted message_template_components_update",
    ],
    "message-template-quality-update": [
        "counted message_template_quality_update",
    ],
    "message-template-status-update": [
        "counted message_template_status_update PAUSED",
    ],
    "message-text": [
        'message of María+phone+bsuid: text text="¿Tienen pan? 🥖"',
    ],
    "message-unsupported": [
        'message of María+phone+bsuid: unsupported text="poll"',
    ],
    "message-video": [
        'message of María+phone+bsuid: media text="mira" media={"kind":"video","id":"1166846181421424","mime":"video/mp4","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "message-voice": [
        'message of María+phone+bsuid: media media={"kind":"voice","id":"1166846181421424","mime":"audio/ogg; codecs=opus","sha256":"3f9d94d399fa61c191bc1d4ca71375a035cbb9ad"}',
    ],
    "partner-solutions": [
        "counted partner_solutions SOLUTION_CREATED",
    ],
    "payment-configuration-update": [
        "counted payment_configuration_update",
    ],
    "phone-number-name-update": [
        "counted phone_number_name_update",
    ],
    "phone-number-quality-update": [
        "counted phone_number_quality_update THROUGHPUT_UPGRADE",
    ],
    "security": [
        "counted security PIN_CHANGED",
    ],
    "sender-bsuid-inside-from": [
        'message of María+bsuid: text text="hola"',
    ],
    "sender-bsuid-only": [
        'message of María+bsuid+@maria.p: text text="hola"',
    ],
    "sender-identity-hash": [
        'message of María+phone+bsuid: text text="hola"',
    ],
    "sender-parent-bsuid": [
        'message of María+bsuid: text text="hola"',
    ],
    "sender-phone-only": [
        'message of María+phone: text text="hola"',
    ],
    "sender-without-contacts": [
        'message of phone+bsuid: text text="hola"',
    ],
    "smb-app-state-sync": [
        "counted smb_app_state_sync",
    ],
    "status-bsuid-recipient": [
        "status delivered item=wa/c1:7-0",
    ],
    "status-delivered": [
        "status delivered item=wa/c1:7-0 category=utility price_type=regular",
    ],
    "status-failed": [
        "status failed item=wa/c1:7-0 code=131026",
    ],
    "status-failed-with-bare-contact": [
        "status failed item=wa/c1:7-0 code=131026",
    ],
    "status-free-customer-service": [
        "status delivered item=wa/c1:7-0 category=service price_type=free_customer_service",
    ],
    "status-free-entry-point": [
        "status sent item=wa/c1:7-0 category=referral_conversion price_type=free_entry_point",
    ],
    "status-group": [
        "status delivered item=wa/c1:7-0",
    ],
    "status-not-ours": [
        "status delivered",
    ],
    "status-played": [
        "status played item=wa/c1:7-0",
    ],
    "status-read": [
        "status read item=wa/c1:7-0",
    ],
    "status-sent": [
        "status sent item=wa/c1:7-0 category=service price_type=regular",
    ],
    "template-category-update": [
        "counted template_category_update",
    ],
    "user-preferences-bsuid-and-account-only": [
        "offers stop of bsuid on all numbers of the account",
    ],
    "user-preferences-other-category": [
        "counted other_preference",
    ],
    "user-preferences-resume": [
        "offers resume of María+phone+bsuid on the number",
    ],
    "user-preferences-stop": [
        "offers stop of María+phone+bsuid on the number",
    ],
    "value-errors": [
        "counted errors",
    ],
}
"""What is heard of each file: a line for each thing."""


def body(name: str) -> bytes:
    return (CORPUS / f"{name}.json").read_bytes()


def told(webhook: Webhook) -> list[str]:
    """All that a webhook said, in words."""
    return [
        *(f"message {_parsed(each)}" for each in webhook.messages),
        *(f"echo {_parsed(each)}" for each in webhook.echoes),
        *(f"move {each.why} of {_who(each.sender)}" for each in webhook.moves),
        *(
            f"offers {'resume' if each.marketing else 'stop'} of {_who(each.sender)}"
            f" on {'the number' if each.phone_number_id else 'all numbers of the account'}"
            for each in webhook.preferences
        ),
        *(
            _words(f"status {each.status}", each, "item", "category", "price_type", "code")
            for each in webhook.statuses
        ),
        *(f"counted {each.name} {each.event}".strip() for each in webhook.notices),
    ]


def _parsed(parsed: Parsed) -> str:
    heard = json.loads(msgspec.json.encode(parsed.heard))
    more = {key: value for key, value in heard.items() if key not in ("type", "id", "at", "kind")}
    words = " ".join(f"{key}={_short(value)}" for key, value in more.items())
    return f"of {_who(parsed.sender)}: {parsed.heard.kind} {words}".strip()


def _words(start: str, value: object, *names: str) -> str:
    return " ".join(
        [start, *(f"{name}={getattr(value, name)}" for name in names if getattr(value, name))]
    )


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _who(sender: Sender) -> str:
    known = [
        *([sender.name] if sender.name else []),
        *(["phone"] if sender.wa_id else []),
        *(["bsuid"] if sender.bsuid else []),
        *([f"@{sender.username}"] if sender.username else []),
    ]
    return "+".join(known)


@pytest.mark.parametrize("name", FILES)
def test_each_shape_is_heard_as_it_should_be(name: str) -> None:
    assert told(parse(body(name))) == HEARD[name]


def test_there_is_a_file_for_each_row_and_a_row_for_each_file() -> None:
    assert sorted(HEARD) == FILES


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_strict_json(name: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(body(name).decode("utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("name", FILES)
def test_the_docs_name_each_file(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text()


def test_the_usual_text_and_status_are_read_in_one_go() -> None:
    in_one_go = {name for name in FILES if read_usual(body(name)) is not None}

    assert in_one_go == {
        "message-text", "sender-phone-only", "sender-bsuid-only", "sender-identity-hash", "sender-parent-bsuid",
        "status-sent", "status-delivered", "status-read", "status-played", "status-free-customer-service",
        "status-free-entry-point", "status-bsuid-recipient", "status-not-ours", "status-group",
    }  # fmt: skip


# ------------------------------------------------------------------ anything anywhere

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8)
    | st.sampled_from(["", "0", "CL.1", "56987654321", "text", "edit", "wamid.X", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip

steadily = settings(deadline=None, derandomize=True, max_examples=400)


def places(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to each value within a JSON value."""
    found = [at] if at else []
    if isinstance(value, dict):
        found += [way for key, inner in value.items() for way in places(inner, (*at, key))]
    elif isinstance(value, list):
        found += [way for n, inner in enumerate(value) for way in places(inner, (*at, n))]
    return found


def put(value: object, way: tuple[str | int, ...], new: object) -> None:
    for step in way[:-1]:
        value = value[step]  # type: ignore[index]  # the way was found in it
    value[way[-1]] = new  # type: ignore[index]


@steadily
@given(st.sampled_from(FILES), st.data())
def test_any_value_anywhere_is_borne_and_the_neighbour_is_heard(
    name: str, data: st.DataObject
) -> None:
    spoilt = json.loads(body(name))
    for _ in range(data.draw(st.integers(1, 3))):
        ways = places(spoilt["entry"])
        if not ways:
            break
        put(spoilt["entry"], data.draw(st.sampled_from(ways)), data.draw(anything))
    neighbour = json.loads(body("message-voice"))["entry"][0]
    entries = spoilt["entry"] if isinstance(spoilt["entry"], list) else [spoilt["entry"]]

    found = parse(json.dumps({**spoilt, "entry": [*entries, neighbour]}).encode())

    [good] = parse(body("message-voice")).messages
    assert good in found.messages
    line = msgspec.json.encode(found)
    assert msgspec.json.decode(line, type=Webhook) == found, "it can be kept"


@steadily
@given(st.sampled_from(FILES), st.sampled_from(FILES), st.sampled_from(FILES))
def test_neighbours_of_any_kind_do_not_harm_each_other(one: str, two: str, three: str) -> None:
    entries = [entry for name in (one, two, three) for entry in json.loads(body(name))["entry"]]

    found = parse(json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode())

    assert sorted(told(found)) == sorted(
        line for name in (one, two, three) for line in told(parse(body(name)))
    )
