"""Webhooks are signed, shaped as Meta v26.0 shapes them, and repeated until they are taken."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from handlers.whatsapp.emulator.webhooks import Retries
from handlers.whatsapp.emulator.world import Number, Person
from tests.handlers.whatsapp.emulator.stage import (
    ANA,
    HOUR_MS,
    JSON,
    NOW_MS,
    SECRET,
    SOL,
    Stage,
    buttons,
    failures,
    items,
    menu,
    on_stage,
    reminder,
    text,
)

SECONDS = str(NOW_MS // 1000)


def enveloped(value: JSON, number: Number = SOL) -> JSON:
    metadata = {"display_phone_number": "56223456789", "phone_number_id": number.id}
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": number.waba_id,
                "changes": [
                    {
                        "field": "messages",
                        "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
                    }
                ],
            }
        ],
    }


def contact(person: Person) -> JSON:
    return {"user_id": person.bsuid("sol"), "wa_id": ANA, "profile": {"name": "Ana"}}


async def test_the_signature_is_the_hmac_of_the_very_bytes(stage: Stage) -> None:
    person = await stage.person(name="Ñandú 🥖", wa_id=ANA)

    await stage.writes(person, "¿tienen pan?")

    hook = await stage.hears_raw()
    oracle = HMAC(SECRET.encode(), hashes.SHA256())
    oracle.update(hook.raw)
    assert hook.signature == f"sha256={oracle.finalize().hex()}"


async def test_a_text_arrives_as_meta_sends_it(stage: Stage) -> None:
    person = await stage.person()

    wamid = await stage.writes(person, "hola")

    assert await stage.hears() == enveloped(
        {
            "contacts": [contact(person)],
            "messages": [
                {
                    "id": wamid,
                    "timestamp": SECONDS,
                    "from": ANA,
                    "from_user_id": person.bsuid("sol"),
                    "type": "text",
                    "text": {"body": "hola"},
                }
            ],
        }
    )


async def test_a_person_who_hides_the_phone_is_known_by_the_bsuid_alone(stage: Stage) -> None:
    person = await stage.person(name="Bruno", username="bruno.soto", hides_phone=True, wa_id=ANA)

    wamid = await stage.writes(person, "hola")

    bsuid = person.bsuid("sol")
    assert await stage.hears() == enveloped(
        {
            "contacts": [
                {"user_id": bsuid, "profile": {"name": "Bruno", "username": "bruno.soto"}}
            ],
            "messages": [
                {
                    "id": wamid,
                    "timestamp": SECONDS,
                    "from_user_id": bsuid,
                    "type": "text",
                    "text": {"body": "hola"},
                }
            ],
        }
    )


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param(
            {"type": "image", "caption": "torta"},
            {"type": "image", "image": {"mime_type": "image/jpeg", "caption": "torta"}},
            id="image",
        ),
        pytest.param(
            {"type": "voice"},
            {"type": "audio", "audio": {"mime_type": "audio/ogg; codecs=opus", "voice": True}},
            id="voice",
        ),
        pytest.param(
            {"type": "sticker"},
            {"type": "sticker", "sticker": {"mime_type": "image/webp", "animated": False}},
            id="sticker",
        ),
        pytest.param(
            {"type": "location", "latitude": -33.04, "longitude": -71.37, "name": "Plaza"},
            {
                "type": "location",
                "location": {"latitude": -33.04, "longitude": -71.37, "name": "Plaza"},
            },
            id="location",
        ),
        pytest.param(
            {"type": "contacts", "name": "Camila", "phone": "56987654321"},
            {
                "type": "contacts",
                "contacts": [
                    {
                        "name": {"formatted_name": "Camila", "first_name": "Camila"},
                        "phones": [
                            {"phone": "+56987654321", "wa_id": "56987654321", "type": "CELL"}
                        ],
                    }
                ],
                "origin": "other",
            },
            id="contacts",
        ),
        pytest.param(
            {"type": "unsupported", "kind": "poll"},
            {
                "type": "unsupported",
                "errors": [
                    {
                        "code": 131051,
                        "title": "Unsupported message type",
                        "message": "Unsupported message type",
                        "error_data": {"details": "Unsupported message type"},
                    }
                ],
                "unsupported": {"type": "poll"},
            },
            id="unsupported",
        ),
    ],
)
async def test_each_kind_of_message_has_its_shape(stage: Stage, what: JSON, expected: JSON) -> None:
    person = await stage.person()

    await stage.acts(person, **what)

    message = items(await stage.hears(), "messages")[0]
    assert without_media_ids(message) == {
        "id": message["id"],
        "timestamp": SECONDS,
        "from": ANA,
        "from_user_id": person.bsuid("sol"),
        **expected,
    }


def without_media_ids(message: JSON) -> JSON:
    """The message without the id and the checksum of its medium, which are opaque."""
    return {
        key: {name: each for name, each in value.items() if name not in {"id", "sha256"}}
        if isinstance(value, dict)
        else value
        for key, value in message.items()
    }


async def test_a_tapped_button_names_the_message_that_it_answers(stage: Stage) -> None:
    person = await stage.knows()
    asked = (await stage.sends(buttons("Sí", "No"))).wamid
    await stage.hears_all()

    await stage.acts(person, type="tap", message=asked, id="id-1")

    message = items(await stage.hears(), "messages")[0]
    assert message["context"] == {"from": "56223456789", "id": asked}
    assert message["interactive"] == {
        "type": "button_reply",
        "button_reply": {"id": "id-1", "title": "No"},
    }


async def test_a_chosen_row_brings_its_description(stage: Stage) -> None:
    person = await stage.knows()
    asked = (
        await stage.sends(menu([{"rows": [{"id": "p", "title": "Precios", "description": "Pan"}]}]))
    ).wamid
    await stage.hears_all()

    await stage.acts(person, type="tap", message=asked, id="p")

    message = items(await stage.hears(), "messages")[0]
    assert message["interactive"] == {
        "type": "list_reply",
        "list_reply": {"id": "p", "title": "Precios", "description": "Pan"},
    }


async def test_a_template_button_sends_its_payload_and_its_label(stage: Stage) -> None:
    person = await stage.knows()
    asked = (await stage.sends(reminder())).wamid
    await stage.hears_all()

    await stage.acts(person, type="tap", message=asked, id="Sí, voy")

    message = items(await stage.hears(), "messages")[0]
    assert (message["type"], message["button"]) == (
        "button",
        {"payload": "Sí, voy", "text": "Sí, voy"},
    )


@pytest.mark.parametrize(
    ("emoji", "expected"),
    [pytest.param("👍", {"emoji": "👍"}, id="put"), pytest.param("", {}, id="taken-back")],
)
async def test_a_reaction_names_its_message(stage: Stage, emoji: str, expected: JSON) -> None:
    person = await stage.knows()
    said = (await stage.sends(text())).wamid
    await stage.hears_all()

    await stage.acts(person, type="reaction", message=said, emoji=emoji)

    message = items(await stage.hears(), "messages")[0]
    assert message["reaction"] == {"message_id": said, **expected}


async def test_an_advertisement_brings_its_referral(stage: Stage) -> None:
    person = await stage.person()

    await stage.acts(person, type="text", body="hola", ad=True)

    referral = items(await stage.hears(), "messages")[0]["referral"]
    assert isinstance(referral, dict)
    assert referral["source_type"] == "ad"


# ------------------------------------------------------------------ statuses


async def test_a_message_is_sent_then_delivered_and_echoes_our_data(stage: Stage) -> None:
    person = await stage.knows()

    wamid = (await stage.sends(text(biz_opaque_callback_data="item-1"))).wamid

    bsuid = person.bsuid("sol")
    both = {
        "id": wamid,
        "timestamp": SECONDS,
        "recipient_id": ANA,
        "recipient_user_id": bsuid,
        "biz_opaque_callback_data": "item-1",
        "pricing": {
            "billable": False,
            "pricing_model": "PMP",
            "category": "service",
            "type": "free_customer_service",
        },
    }
    assert sorted(await stage.hears_all(), key=str) == sorted(
        [
            enveloped(
                {
                    "contacts": [{"user_id": bsuid, "wa_id": ANA}],
                    "statuses": [{**both, "status": "sent"}],
                }
            ),
            enveloped(
                {"contacts": [contact(person)], "statuses": [{**both, "status": "delivered"}]}
            ),
        ],
        key=str,
    )


async def test_a_message_is_read_when_the_person_has_the_chat_open(stage: Stage) -> None:
    person = await stage.knows()
    await stage.watches(person)

    await stage.sends(text())

    statuses = await stage.hears_statuses()
    assert {str(status["status"]): "pricing" in status for status in statuses} == {
        "sent": True,
        "delivered": True,
        "read": False,
    }


async def test_opening_the_chat_reads_what_was_delivered(stage: Stage) -> None:
    person = await stage.knows()
    wamid = (await stage.sends(text())).wamid
    await stage.hears_all()

    await stage.watches(person)

    assert [(status["id"], status["status"]) for status in await stage.hears_statuses()] == [
        (wamid, "read")
    ]


async def test_a_phone_that_nobody_has_fails_without_contacts_and_without_user_id(
    stage: Stage,
) -> None:
    wamid = (
        await stage.sends({**reminder(), "to": "56900000000", "biz_opaque_callback_data": "item-2"})
    ).wamid

    assert await stage.hears_all() == [
        enveloped(
            {
                "statuses": [
                    {
                        "id": wamid,
                        "status": "failed",
                        "timestamp": SECONDS,
                        "recipient_id": "56900000000",
                        "biz_opaque_callback_data": "item-2",
                        "errors": [
                            {
                                "code": 131026,
                                "title": "Message undeliverable",
                                "message": "Message undeliverable",
                                "error_data": {"details": "Message undeliverable"},
                            }
                        ],
                    }
                ]
            }
        )
    ]


async def test_outside_the_window_free_text_is_taken_and_then_fails(stage: Stage) -> None:
    await stage.knows()
    await stage.shift(24 * HOUR_MS)

    answer = await stage.sends(text())

    statuses = await stage.hears_statuses()
    assert answer.status == 200
    assert failures(statuses) == [("failed", 131047)]


async def test_a_free_entry_is_told_in_the_conversation_and_in_the_price(stage: Stage) -> None:
    person = await stage.person()
    await stage.acts(person, type="text", body="hola", ad=True)
    await stage.hears_all()

    await stage.sends(text())

    sent = (await stage.hears_statuses())[0]
    assert isinstance(sent["pricing"], dict)
    assert isinstance(sent["conversation"], dict)
    assert sent["pricing"]["type"] == "free_entry_point"
    assert sent["conversation"]["origin"] == {"type": "referral_conversion"}


@pytest.mark.parametrize(
    ("faults", "priced"),
    [
        pytest.param({}, ["sent", "delivered"], id="usually"),
        pytest.param({"price_at_read": 1}, ["sent", "read"], id="late"),
    ],
)
async def test_a_price_is_told_twice(
    stage: Stage, faults: dict[str, int], priced: list[str]
) -> None:
    person = await stage.knows()
    await stage.faults(**faults)
    await stage.watches(person)

    await stage.sends(text())

    statuses = await stage.hears_statuses()
    assert [status["status"] for status in statuses if "pricing" in status] == priced


async def test_billable_can_be_left_out(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(no_billable=1)

    await stage.sends(text())

    assert (await stage.hears_statuses())[0]["pricing"] == {
        "category": "service",
        "type": "free_customer_service",
        "pricing_model": "PMP",
    }


# ------------------------------------------------------------------ repetition


@pytest.mark.parametrize("status", [500, 503, 404, 302, 204])
async def test_anything_but_200_is_repeated_with_the_same_bytes(stage: Stage, status: int) -> None:
    person = await stage.person()
    stage.answers.extend([status, status])

    await stage.writes(person)

    first, second, third = [await stage.hears_raw() for _ in range(3)]
    await stage.emulator.settled()
    assert first == second == third
    assert stage.hooks.empty()


async def test_a_repetition_rests_twice_as_long_each_time() -> None:
    async with on_stage(retries=Retries(first_ms=1_000, longest_ms=3_000)) as stage:
        person = await stage.person()
        stage.answers.extend([503] * 4)
        heard_at = []

        await stage.writes(person)
        for _ in range(5):
            await stage.hears()
            heard_at.append(stage.clock.ms - NOW_MS)
            if len(heard_at) < 5:
                await stage.until_all_wait()
            while stage.hooks.empty() and stage.emulator.waiting:
                await stage.shift(500)

        assert heard_at == [0, 1_000, 3_000, 6_000, 9_000]


async def test_a_webhook_is_given_up_after_its_last_attempt() -> None:
    async with on_stage(retries=Retries(first_ms=0, longest_ms=0, attempts_max=3)) as stage:
        person = await stage.person()
        stage.answers.extend([500] * 3)

        await stage.writes(person)
        await stage.writes(person, "otra vez")

        assert [
            item["text"] for body in await stage.hears_all() for item in items(body, "messages")
        ] == [
            {"body": "hola"},
            {"body": "hola"},
            {"body": "hola"},
            {"body": "otra vez"},
        ]


async def test_the_messages_of_a_person_arrive_in_order_although_one_is_repeated(
    stage: Stage,
) -> None:
    person = await stage.person()
    stage.answers.append(503)

    for body in ("a", "b", "c"):
        await stage.writes(person, body)

    texts = [item["text"] for body in await stage.hears_all() for item in items(body, "messages")]
    assert texts == [{"body": "a"}, {"body": "a"}, {"body": "b"}, {"body": "c"}]


async def test_a_bot_that_is_down_gets_the_webhook_when_it_is_back(unused_tcp_port: int) -> None:
    async with on_stage(retries=Retries(first_ms=1_000)) as stage:
        person = await stage.person()
        alive = stage.emulator.callback_url
        stage.emulator.callback_url = f"http://127.0.0.1:{unused_tcp_port}/"
        wamid = await stage.writes(person)
        await stage.until_all_wait()

        stage.emulator.callback_url = alive
        await stage.shift(1_000)

        assert items(await stage.hears(), "messages")[0]["id"] == wamid
