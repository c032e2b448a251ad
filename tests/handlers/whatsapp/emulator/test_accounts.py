"""The emulator's accounts: templates are made, reviewed and lost, numbers get ill and well, and each is told."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.handlers.whatsapp.emulator.stage import (
    HOUR_MS,
    JSON,
    NOW_MS,
    SOL,
    Answer,
    Stage,
    on_stage,
    reminder,
    text,
)

NAMED: JSON = {
    "name": "pedido_listo",
    "language": "es_CL",
    "category": "UTILITY",
    "parameter_format": "NAMED",
    "components": [
        {
            "type": "BODY",
            "text": "Hola {{nombre}}, tu pedido {{pedido}} está listo y te espera.",
            "example": {
                "body_text_named_params": [
                    {"param_name": "nombre", "example": "Ana"},
                    {"param_name": "pedido", "example": "A-17"},
                ]
            },
        },
        {"type": "FOOTER", "text": "Panadería Sol"},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Voy"}]},
    ],
}
CODE: JSON = {
    "name": "codigo",
    "language": "es_CL",
    "category": "AUTHENTICATION",
    "components": [
        {"type": "BODY", "add_security_recommendation": True},
        {"type": "FOOTER", "code_expiration_minutes": 5},
        {
            "type": "BUTTONS",
            "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copiar"}],
        },
    ],
}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with on_stage() as stage:
        yield stage


async def asks(
    stage: Stage, method: str, path: str, body: JSON | None = None, token: str = SOL.token
) -> Answer:
    url = f"{stage.address}/v26.0/{path}"
    headers = {"Authorization": f"Bearer {token}"}
    async with stage.http.request(method, url, json=body, headers=headers) as answer:
        return Answer(answer.status, await answer.json())


async def creates(stage: Stage, body: JSON) -> Answer:
    return await asks(stage, "POST", f"{SOL.waba_id}/message_templates", body)


async def decides(stage: Stage, **decision: object) -> JSON:
    """Meta decides; answers the value of the webhook that tells it, with its field."""
    await stage.control("POST", f"accounts/{SOL.id}/decisions", decision)
    body = await stage.hears()
    entries: Any = body["entry"]
    [entry] = entries
    [change] = entry["changes"]
    assert (entry["id"], entry["time"]) == (SOL.waba_id, NOW_MS // 1000)
    return {"field": change["field"], **change["value"]}


async def described(stage: Stage, name: str) -> list[JSON]:
    answer = await asks(stage, "GET", f"{SOL.waba_id}/message_templates?name={name}")
    found: list[JSON] = answer.body["data"]  # type: ignore[assignment]  # JSON
    return found


# ------------------------------------------------------------------ templates


@pytest.mark.parametrize("body", [NAMED, CODE], ids=["words", "code"])
async def test_a_template_is_made_and_waits_for_its_review(stage: Stage, body: JSON) -> None:
    answer = await creates(stage, body)

    [template] = await described(stage, str(body["name"]))
    assert answer.body == {
        "id": template["id"],
        "status": "PENDING",
        "category": body["category"],
    }
    assert template["status"] == "PENDING"


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"name": "Pedido Listo"}, id="name"),
        pytest.param({"language": "español"}, id="language"),
        pytest.param({"category": "SERVICE"}, id="category"),
        pytest.param({"componentes": []}, id="misspelt"),
        pytest.param({"components": [{"type": "FOOTER", "text": "x"}]}, id="no-body"),
        pytest.param({"components": [{"type": "BODY", "text": "x" * 1025}]}, id="body-too-long"),
        pytest.param(
            {"components": [{"type": "BODY", "text": "Hola a todos, {{nombre}}"}]},
            id="ends-in-a-variable",
        ),
        pytest.param(
            {"components": [{"type": "BODY", "text": "Hola {{nombre}}, ¿cómo te va hoy?"}]},
            id="no-example",
        ),
        pytest.param(
            {"components": [{"type": "BODY", "text": "Oh {{a}} y {{b}} tú"}]},
            id="more-variables-than-words",
        ),
        pytest.param(
            {
                "components": [
                    {"type": "BODY", "text": "Hola"},
                    {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "x" * 26}]},
                ]
            },
            id="label-too-long",
        ),
        pytest.param(
            {
                "components": [
                    {"type": "BODY", "text": "Hola"},
                    {
                        "type": "BUTTONS",
                        "buttons": [
                            {"type": "QUICK_REPLY", "text": "Sí"},
                            {"type": "URL", "text": "Ver", "url": "https://example.com/"},
                            {"type": "QUICK_REPLY", "text": "No"},
                        ],
                    },
                ]
            },
            id="mixed-buttons",
        ),
    ],
)
async def test_meta_does_not_review_what_breaks_its_rules(stage: Stage, spoilt: JSON) -> None:
    answer = await creates(stage, NAMED | spoilt)

    assert (answer.status, answer.error["code"]) == (400, 100)
    assert await described(stage, "pedido_listo") == []


async def test_the_same_name_and_language_twice_is_refused(stage: Stage) -> None:
    await creates(stage, NAMED)

    assert (await creates(stage, NAMED)).error["error_subcode"] == 2388024
    assert (await creates(stage, NAMED | {"language": "en"})).status == 200


async def test_a_review_is_told_and_decides_whether_it_may_be_sent(stage: Stage) -> None:
    await stage.knows()
    told = await decides(
        stage,
        type="template",
        name="recordatorio_hora",
        language="es_CL",
        event="PAUSED",
        title="FIRST_PAUSE",
    )

    paused = await stage.sends(reminder())
    back = await decides(
        stage, type="template", name="recordatorio_hora", language="es_CL", event="APPROVED"
    )
    sent = await stage.sends(reminder())

    assert told == {
        "field": "message_template_status_update",
        "event": "PAUSED",
        "message_template_id": told["message_template_id"],
        "message_template_name": "recordatorio_hora",
        "message_template_language": "es_CL",
        "message_template_category": "UTILITY",
        "reason": "NONE",
        "other_info": {"title": "FIRST_PAUSE", "description": "FIRST_PAUSE"},
    }
    assert (paused.error["code"], back["event"], sent.status) == (132015, "APPROVED", 200)


async def test_quality_and_category_are_told(stage: Stage) -> None:
    key = {"name": "recordatorio_hora", "language": "es_CL"}

    quality = await decides(stage, type="template_quality", quality="RED", **key)
    soon = await decides(stage, type="template_category", category="MARKETING", soon=True, **key)
    [before, _] = await described(stage, "recordatorio_hora")
    now = await decides(stage, type="template_category", category="MARKETING", **key)
    [after, _] = await described(stage, "recordatorio_hora")

    assert (quality["previous_quality_score"], quality["new_quality_score"]) == ("UNKNOWN", "RED")
    assert (soon["new_category"], soon["correct_category"]) == ("UTILITY", "MARKETING")
    assert (now["previous_category"], now["new_category"]) == ("UTILITY", "MARKETING")
    assert (before["category"], after["category"]) == ("UTILITY", "MARKETING")
    assert after["quality_score"] == {"score": "RED"}


async def test_an_edit_is_reviewed_anew_and_only_some_may_be_edited(stage: Stage) -> None:
    id = (await creates(stage, NAMED)).body["id"]
    edit: JSON = {"components": [{"type": "BODY", "text": "Tu pedido está listo."}]}

    waiting = await asks(stage, "POST", str(id), edit)
    await decides(stage, type="template", name="pedido_listo", language="es_CL", event="APPROVED")
    edited = await asks(stage, "POST", str(id), edit)

    [template] = await described(stage, "pedido_listo")
    assert (waiting.error["error_subcode"], edited.status) == (2388039, 200)
    assert template["status"] == "PENDING"
    assert template["components"] == [{"type": "BODY", "text": "Tu pedido está listo."}]


async def test_a_deleted_template_is_gone(stage: Stage) -> None:
    path = f"{SOL.waba_id}/message_templates?name=recordatorio_hora"

    assert (await asks(stage, "DELETE", path)).body == {"success": True}
    assert await described(stage, "recordatorio_hora") == []
    assert (await asks(stage, "DELETE", path)).status == 400


# ------------------------------------------------------------------ numbers and accounts


async def test_a_disabled_account_sends_nothing_until_it_is_back(stage: Stage) -> None:
    await stage.knows()

    told = await decides(stage, type="account", event="DISABLED_UPDATE", ban="DISABLE")
    refused = await stage.sends(text())
    health = await asks(stage, "GET", f"{SOL.id}?fields=health_status")
    await decides(stage, type="account", event="DISABLED_UPDATE", ban="REINSTATE")

    assert told["ban_info"] == {"waba_ban_state": "DISABLE", "waba_ban_date": "November 28, 2026"}
    assert refused.error["code"] == 131031
    assert health.body["health_status"]["can_send_message"] == "BLOCKED"  # type: ignore[index]  # JSON
    assert (await stage.sends(text())).status == 200


async def test_a_number_is_upgraded(stage: Stage) -> None:
    told = await decides(stage, type="number_quality", event="THROUGHPUT_UPGRADE")

    answer = await asks(stage, "GET", f"{SOL.id}?fields=throughput")
    assert told["display_phone_number"] == "56223456789"
    assert answer.body["throughput"] == {"level": "HIGH"}
    assert stage.emulator.world.numbers[SOL.id].per_s == 1_000


async def test_a_number_s_name_is_reviewed(stage: Stage) -> None:
    told = await decides(stage, type="number_name", decision="REJECTED", reason="UNKNOWN")

    answer = await asks(stage, "GET", f"{SOL.id}?fields=name_status")
    assert (told["field"], told["decision"]) == ("phone_number_name_update", "REJECTED")
    assert answer.body["name_status"] == "DECLINED"


async def test_any_other_field_can_be_told(stage: Stage) -> None:
    told = await decides(stage, type="other", field="brand_new", value={"a": [1]})

    assert told == {"field": "brand_new", "a": [1]}


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        pytest.param({"unpaid": True}, 131042, id="payment"),
        pytest.param({"registered": False}, 133010, id="not-registered"),
        pytest.param({"token_valid": False}, 190, id="token"),
    ],
)
async def test_how_a_number_stands_decides_what_becomes_of_a_send(
    stage: Stage, standing: JSON, code: int
) -> None:
    await stage.knows()
    await stage.control("PUT", f"accounts/{SOL.id}", standing)

    assert (await stage.sends(text())).error["code"] == code


async def test_a_restricted_number_answers_and_does_not_write_first(stage: Stage) -> None:
    await stage.knows()
    kinds = ["RESTRICTED_BIZ_INITIATED_MESSAGING"]
    await decides(stage, type="account", event="ACCOUNT_RESTRICTION", restrictions=kinds)

    assert (await stage.sends(reminder())).error["code"] == 368
    assert (await stage.sends(text())).status == 200


async def test_a_token_can_be_looked_at(stage: Stage) -> None:
    await stage.control("PUT", f"accounts/{SOL.id}", {"token_kind": "USER", "token_expires_at": 5})

    ours = await asks(stage, "GET", f"debug_token?input_token={SOL.token}")
    other = await asks(stage, "GET", "debug_token?input_token=x")

    data = ours.body["data"]
    assert isinstance(data, dict)
    assert (data["type"], data["expires_at"], data["is_valid"]) == ("USER", 5, True)
    assert other.body["data"]["is_valid"] is False  # type: ignore[index]  # JSON


async def test_an_app_subscribes_and_leaves(stage: Stage) -> None:
    path = f"{SOL.waba_id}/subscribed_apps"

    await asks(stage, "DELETE", path)
    gone = await asks(stage, "GET", path)
    await asks(stage, "POST", path)
    back = await asks(stage, "GET", path)

    assert gone.body == {"data": []}
    assert len(back.body["data"]) == 1  # type: ignore[arg-type]  # JSON


async def test_a_number_is_registered_with_its_own_pin(stage: Stage) -> None:
    def register(pin: str) -> JSON:
        return {"messaging_product": "whatsapp", "pin": pin}

    path = f"{SOL.id}/register"
    first = await asks(stage, "POST", path, register("123456"))
    wrong = await asks(stage, "POST", path, register("000000"))
    await asks(stage, "POST", SOL.id, {"pin": "654321"})
    changed = await asks(stage, "POST", path, register("654321"))
    bad = await asks(stage, "POST", path, register("12"))

    assert (first.status, wrong.error["code"], changed.status) == (200, 133005, 200)
    assert bad.error["code"] == 100


async def test_ten_registrations_in_three_days_are_enough(stage: Stage) -> None:
    body: JSON = {"messaging_product": "whatsapp", "pin": "123456"}
    path = f"{SOL.id}/register"
    for _ in range(10):
        assert (await asks(stage, "POST", path, body)).status == 200

    eleventh = await asks(stage, "POST", path, body)
    await stage.shift(72 * HOUR_MS)
    later = await asks(stage, "POST", path, body)

    assert (eleventh.error["code"], later.status) == (133016, 200)


async def test_a_reset_makes_all_numbers_well(stage: Stage) -> None:
    await stage.control("PUT", f"accounts/{SOL.id}", {"unpaid": True})
    await stage.control("POST", "reset", {})

    assert (await stage.control("GET", f"accounts/{SOL.id}"))["unpaid"] is False


async def test_what_is_not_understood_is_answered_so(stage: Stage) -> None:
    for path, body in (
        (f"accounts/{SOL.id}", {"quality": "PURPLE"}),
        ("accounts/404", {}),
    ):
        async with stage.http.put(f"{stage.address}/api/{path}", json=body) as answer:
            assert answer.status == 400
    unknown: JSON = {"type": "template", "name": "x", "language": "en", "event": "PAUSED"}
    url = f"{stage.address}/api/accounts/{SOL.id}/decisions"
    async with aiohttp.ClientSession() as http, http.post(url, json=unknown) as answer:
        assert answer.status == 400
