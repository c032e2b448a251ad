"""The Graph API takes what Meta takes and refuses the rest with Meta's codes, in Meta's shape."""

import pytest

from handlers.whatsapp.emulator.content import (
    Button,
    Buttons,
    Link,
    Medium,
    Menu,
    Notice,
    Row,
    Section,
    Text,
)
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.world import NumberId
from tests.handlers.whatsapp.emulator.stage import (
    ANA,
    JSON,
    LUNA,
    REMINDER,
    SOL,
    Answer,
    Stage,
    buttons,
    code,
    interactive,
    link,
    menu,
    reminder,
    rows,
    template,
    text,
)


def refusal(answer: Answer) -> tuple[int, object]:
    return answer.status, answer.error["code"]


# ------------------------------------------------------------------ taken


async def test_a_taken_text_answers_with_the_phone_and_a_wamid(stage: Stage) -> None:
    person = await stage.knows()

    answer = await stage.sends(text("¡Hola!", biz_opaque_callback_data="item-1"))

    assert answer == Answer(
        200,
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": ANA, "wa_id": ANA}],
            "messages": [{"id": answer.wamid}],
        },
    )
    message = stage.emulator.world.message(answer.wamid)
    assert message is not None
    assert (message.person, message.content, message.opaque) == (
        person.id,
        Text("¡Hola!"),
        "item-1",
    )


async def test_a_send_to_a_bsuid_answers_with_the_user_id_and_no_phone(stage: Stage) -> None:
    person = await stage.knows(username="ana.rojas", hides_phone=True, wa_id=ANA)
    bsuid = person.bsuid(SOL.portfolio_id)

    answer = await stage.sends({"recipient": bsuid, "type": "text", "text": {"body": "Hola"}})

    assert answer.body["contacts"] == [{"input": bsuid, "user_id": bsuid}]


async def test_the_phone_wins_when_both_addresses_are_given(stage: Stage) -> None:
    ana = await stage.knows()
    bruno = await stage.knows(name="Bruno", wa_id="56987654321")

    answer = await stage.sends(text(recipient=bruno.bsuid(SOL.portfolio_id)))

    message = stage.emulator.world.message(answer.wamid)
    assert answer.body["contacts"] == [{"input": ANA, "wa_id": ANA}]
    assert message is not None
    assert message.person == ana.id


@pytest.mark.parametrize(
    "to", [pytest.param("+56912345678", id="plus"), pytest.param("56 9 1234-5678", id="spaced")]
)
async def test_a_phone_may_be_written_as_people_do(stage: Stage, to: str) -> None:
    await stage.knows()

    answer = await stage.sends({**text(), "to": to})

    assert answer.body["contacts"] == [{"input": to, "wa_id": ANA}]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(
            buttons("Sí", "No", footer={"text": "Sol"}, header={"type": "text", "text": "Pedido"}),
            Buttons(
                "¿Sí?", (Button("id-0", "Sí"), Button("id-1", "No")), header="Pedido", footer="Sol"
            ),
            id="buttons",
        ),
        pytest.param(
            menu([{"rows": [{"id": "a", "title": "Precios", "description": "Pan"}]}]),
            Menu("Elige", "Ver", (Section((Row("a", "Precios", "Pan"),)),)),
            id="list",
        ),
        pytest.param(link(), Link("Mira", "Ver", "https://sol.example/"), id="link"),
    ],
)
async def test_an_interactive_message_is_shown_as_it_was_sent(
    stage: Stage, body: JSON, shown: Buttons | Menu | Link
) -> None:
    await stage.knows()

    answer = await stage.sends(body)

    message = stage.emulator.world.message(answer.wamid)
    assert message is not None
    assert message.content == shown


async def test_a_template_is_filled_in_and_answers_that_it_was_accepted(stage: Stage) -> None:
    tap = {
        "type": "button",
        "sub_type": "quick_reply",
        "index": 0,
        "parameters": [{"type": "payload", "payload": "yes-1"}],
    }

    answer = await stage.sends(reminder(parts=[tap]))

    message = stage.emulator.world.message(answer.wamid)
    assert answer.body["messages"] == [{"id": answer.wamid, "message_status": "accepted"}]
    assert message is not None
    assert isinstance(message.content, Notice)
    assert message.content.body == (
        "Hola Ana, te recordamos tu hora de corte en Peluquería Norte el 25 de noviembre a las 17:00 h. ¿Puedes venir?"
    )
    assert [(button.title, button.value) for button in message.content.buttons] == [
        ("Sí, voy", "yes-1"),
        ("Mover mi hora", "Mover mi hora"),
        ("No puedo ir", "No puedo ir"),
    ]


async def test_a_code_stands_in_the_body_and_behind_the_button(stage: Stage) -> None:
    answer = await stage.sends(code("482913"))

    message = stage.emulator.world.message(answer.wamid)
    assert message is not None
    assert isinstance(message.content, Notice)
    assert message.content.body.startswith("482913 es tu código")
    assert [(button.kind, button.value) for button in message.content.buttons] == [
        ("OTP", "482913")
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(text("a" * 4096), id="text-4096"),
        pytest.param(buttons("a" * 20, "b", "c"), id="3-buttons-of-20"),
        pytest.param(menu([{"rows": rows(10)}]), id="10-rows"),
        pytest.param(
            menu([{"title": "a" * 24, "rows": rows(5)}, {"title": "b", "rows": rows(5, 5)}]),
            id="2-sections",
        ),
        pytest.param(text(biz_opaque_callback_data="a" * 512), id="opaque-512"),
        pytest.param(
            interactive(
                {
                    "type": "list",
                    "body": {"text": "a" * 4096},
                    "action": {"button": "Ver", "sections": [{"rows": rows(1)}]},
                }
            ),
            id="list-body-4096",
        ),
    ],
)
async def test_what_just_fits_is_taken(stage: Stage, body: JSON) -> None:
    await stage.knows()

    assert (await stage.sends(body)).status == 200


# ------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(text("a" * 4097), 100, id="text-4097"),
        pytest.param(text(""), 131008, id="text-empty"),
        pytest.param({"to": ANA, "type": "text"}, 131008, id="text-missing"),
        pytest.param({"to": ANA, "type": "text", "text": "Hola"}, 100, id="text-no-object"),
        pytest.param({"type": "text", "text": {"body": "Hola"}}, 131008, id="nobody"),
        pytest.param({**text(), "to": "CL.123456"}, 131009, id="bsuid-in-to"),
        pytest.param(
            {"recipient": ANA, "type": "text", "text": {"body": "Hola"}},
            131009,
            id="phone-in-recipient",
        ),
        pytest.param(
            {"recipient": "CL.999", "type": "text", "text": {"body": "Hola"}},
            131009,
            id="unknown-bsuid",
        ),
        pytest.param({**text(), "to": "56223456789"}, 131021, id="to-itself"),
        pytest.param({**text(), "messaging_product": "sms"}, 100, id="other-product"),
        pytest.param({**text(), "type": "dance"}, 131051, id="unknown-type"),
        pytest.param(text(biz_opaque_callback_data="a" * 513), 131009, id="opaque-513"),
        pytest.param(text(context={}), 131008, id="context-without-id"),
        pytest.param(buttons(), 131009, id="no-buttons"),
        pytest.param(buttons("a", "b", "c", "d"), 131009, id="4-buttons"),
        pytest.param(buttons("a" * 21), 131009, id="title-21"),
        pytest.param(buttons(" "), 131009, id="title-blank"),
        pytest.param(buttons("a", "a"), 131009, id="titles-repeat"),
        pytest.param(buttons("a", footer={"text": "a" * 61}), 131009, id="footer-61"),
        pytest.param(buttons("a", body={"text": "a" * 1025}), 131009, id="body-1025"),
        pytest.param(menu([{"rows": rows(11)}]), 131009, id="11-rows"),
        pytest.param(
            menu([{"title": "a", "rows": rows(6)}, {"title": "b", "rows": rows(5, 6)}]),
            131009,
            id="11-rows-in-2",
        ),
        pytest.param(
            menu([{"rows": rows(1)}, {"rows": rows(1, 1)}]), 131009, id="sections-without-title"
        ),
        pytest.param(menu([{"rows": []}]), 131009, id="no-rows"),
        pytest.param(menu([{"rows": [*rows(1), *rows(1)]}]), 131009, id="row-ids-repeat"),
        pytest.param(menu([{"rows": [{"id": "a", "title": "a" * 25}]}]), 131009, id="row-title-25"),
        pytest.param(
            menu([{"rows": [{"id": "a", "title": "a", "description": "a" * 73}]}]),
            131009,
            id="description-73",
        ),
        pytest.param(menu([{"rows": rows(1)}], button="a" * 21), 131009, id="list-button-21"),
        pytest.param(link(title="a" * 21), 131009, id="link-title-21"),
        pytest.param(link(url="sol.example"), 131009, id="link-without-scheme"),
        pytest.param(
            interactive({"type": "button", "body": {"text": "a"}}), 131008, id="no-action"
        ),
        pytest.param(template("no_existe"), 132001, id="unknown-template"),
        pytest.param(reminder(language="pt_BR"), 132001, id="unknown-language"),
        pytest.param(reminder({}), 132000, id="parameters-missing"),
        pytest.param(reminder({**REMINDER, "otra": "a"}), 132000, id="parameter-too-many"),
        pytest.param(
            reminder(
                {("apodo" if key == "nombre" else key): value for key, value in REMINDER.items()}
            ),
            132000,
            id="parameter-misnamed",
        ),
        pytest.param(
            reminder({**REMINDER, "nombre": "Ana\nRojas"}), 132012, id="parameter-with-line-break"
        ),
        pytest.param(
            reminder({**REMINDER, "nombre": "a" * 1025}), 132012, id="body-too-long-when-filled"
        ),
        pytest.param(
            reminder(
                parts=[
                    {
                        "type": "button",
                        "sub_type": "quick_reply",
                        "index": 3,
                        "parameters": [{"type": "payload", "payload": "a"}],
                    }
                ]
            ),
            132000,
            id="button-that-is-not-there",
        ),
        pytest.param(
            reminder(
                parts=[
                    {
                        "type": "button",
                        "sub_type": "url",
                        "index": 0,
                        "parameters": [{"type": "text", "text": "a"}],
                    }
                ]
            ),
            132012,
            id="button-of-another-kind",
        ),
        pytest.param(
            reminder(parts=[{"type": "header", "parameters": []}]),
            132000,
            id="header-that-is-not-there",
        ),
        pytest.param(
            template(
                "codigo_ingreso", {"type": "body", "parameters": [{"type": "text", "text": "1"}]}
            ),
            131008,
            id="code-without-button",
        ),
        pytest.param(code("123456", in_button="654321"), 132012, id="two-codes"),
        pytest.param(code("1" * 16), 132012, id="code-16"),
    ],
)
async def test_what_meta_refuses_is_refused(stage: Stage, body: JSON, expected: int) -> None:
    await stage.knows()

    answer = await stage.sends(body)

    assert refusal(answer) == (400, expected)
    assert stage.emulator.world.truth().taken == 0


async def test_an_error_has_metas_shape(stage: Stage) -> None:
    answer = await stage.sends(buttons("a" * 21))

    assert answer.error == {
        "message": "(#131009) Parameter value is not valid",
        "type": "OAuthException",
        "code": 131009,
        "error_data": {
            "messaging_product": "whatsapp",
            "details": "Button title length invalid. Min length: 1, Max length: 20",
        },
        "fbtrace_id": answer.error["fbtrace_id"],
    }


@pytest.mark.parametrize(
    "token", [pytest.param("", id="none"), pytest.param(LUNA.token, id="of-another-number")]
)
async def test_a_wrong_token_is_error_190(stage: Stage, token: str) -> None:
    assert refusal(await stage.sends(text(), token=token)) == (401, 190)


async def test_an_unknown_number_does_not_exist(stage: Stage) -> None:
    unknown = SOL.__class__(
        id=NumberId("9999"), waba_id="1", display_phone="+1", name="", token="T"
    )

    answer = await stage.sends(text(), number=unknown)

    assert (*refusal(answer), answer.error["error_subcode"]) == (400, 100, 33)


async def test_a_bsuid_of_another_portfolio_is_refused(stage: Stage) -> None:
    person = await stage.knows()

    answer = await stage.sends(
        {"recipient": person.bsuid(LUNA.portfolio_id), "type": "text", "text": {"body": "Hola"}}
    )

    assert refusal(answer) == (400, 131009)


async def test_a_code_cannot_go_to_a_bsuid(stage: Stage) -> None:
    person = await stage.knows(username="ana.rojas", hides_phone=True)
    body = {key: value for key, value in code().items() if key != "to"}

    answer = await stage.sends({**body, "recipient": person.bsuid(SOL.portfolio_id)})

    assert refusal(answer) == (400, 131062)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("PAUSED", 132015, id="paused"),
        pytest.param("DISABLED", 132016, id="disabled"),
        pytest.param("REJECTED", 132001, id="rejected"),
    ],
)
async def test_only_an_approved_template_may_be_sent(
    stage: Stage, status: str, expected: int
) -> None:
    await stage.control(
        "PUT",
        f"templates/{SOL.id}",
        {
            "name": "aviso",
            "language": "es_CL",
            "category": "UTILITY",
            "body": "Aviso",
            "status": status,
        },
    )

    assert refusal(await stage.sends(template("aviso"))) == (400, expected)


async def test_a_header_medium_has_to_come_with_each_send(stage: Stage) -> None:
    values = {"nombre": "Ana", "numero": "F-2031", "fecha": "21 de noviembre", "negocio": "Sol"}
    body = {
        "type": "body",
        "parameters": [
            {"type": "text", "parameter_name": name, "text": value}
            for name, value in values.items()
        ],
    }
    document = {
        "type": "document",
        "document": {"link": "https://sol.example/f.pdf", "filename": "F-2031.pdf"},
    }

    without = await stage.sends(template("documento_listo", body))
    sent = await stage.sends(
        template("documento_listo", body, {"type": "header", "parameters": [document]})
    )

    message = stage.emulator.world.message(sent.wamid)
    assert refusal(without) == (400, 132012)
    assert message is not None
    assert isinstance(message.content, Notice)
    assert message.content.shown == Medium(
        "document", "https://sol.example/f.pdf", name="F-2031.pdf"
    )


# ------------------------------------------------------------------ reading and typing


async def test_reading_a_message_reads_the_earlier_ones_and_shows_the_dots(stage: Stage) -> None:
    person = await stage.person()
    first, second, third = [await stage.writes(person, body) for body in ("a", "b", "c")]
    await stage.emulator.settled()

    answer = await stage.sends(
        {"status": "read", "message_id": second, "typing_indicator": {"type": "text"}}
    )

    world = stage.emulator.world
    marked = [
        message.status for wamid in (first, second, third) if (message := world.message(wamid))
    ]
    assert answer == Answer(200, {"success": True})
    assert marked == ["read", "read", "delivered"]
    assert world.summary(SOL.id, person.id).typing_until_ms == stage.clock.ms + 25_000


async def test_the_dots_go_when_the_reply_comes(stage: Stage) -> None:
    person = await stage.person()
    wamid = await stage.writes(person)
    await stage.sends({"status": "read", "message_id": wamid, "typing_indicator": {"type": "text"}})

    await stage.sends(text())

    assert stage.emulator.world.summary(SOL.id, person.id).typing_until_ms == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"status": "read", "message_id": "wamid.unknown"}, id="unknown-message"),
        pytest.param({"status": "delivered", "message_id": "wamid.unknown"}, id="other-status"),
    ],
)
async def test_only_a_message_of_a_person_can_be_marked_read(stage: Stage, body: JSON) -> None:
    assert refusal(await stage.sends(body)) == (400, 131009)


# ------------------------------------------------------------------ templates


async def test_templates_are_listed_page_by_page(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {SOL.token}"}
    url = f"{stage.address}/v26.0/{SOL.waba_id}/message_templates?limit=10"
    names: list[str] = []

    while url:
        async with stage.http.get(url, headers=headers) as answer:
            page = await answer.json()
        names += [f"{each['name']}/{each['language']}" for each in page["data"]]
        url = page["paging"].get("next", "")

    assert len(names) == len(set(names)) == len(read_templates(SAMPLES))
    assert "recordatorio_hora/es_CL" in names


async def test_a_template_is_described_as_meta_describes_it(stage: Stage) -> None:
    url = f"{stage.address}/v26.0/{SOL.waba_id}/message_templates?name=codigo_ingreso"

    async with stage.http.get(url, headers={"Authorization": f"Bearer {SOL.token}"}) as answer:
        described = (await answer.json())["data"][0]

    assert described == {
        "id": described["id"],
        "name": "codigo_ingreso",
        "language": "es_CL",
        "status": "APPROVED",
        "rejected_reason": "NONE",
        "quality_score": {"score": "UNKNOWN"},
        "category": "AUTHENTICATION",
        "parameter_format": "POSITIONAL",
        "components": [
            {
                "type": "BODY",
                "text": "{{1}} es tu código de verificación. Por tu seguridad, no lo compartas.",
            },
            {"type": "FOOTER", "text": "Este código caduca en 5 minutos."},
            {
                "type": "BUTTONS",
                "buttons": [
                    {
                        "type": "URL",
                        "text": "Copiar código",
                        "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}",
                    }
                ],
            },
        ],
    }


# ------------------------------------------------------------------ number and account


async def test_a_number_tells_the_fields_that_are_asked_for(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {SOL.token}"}
    url = f"{stage.address}/v26.0/{SOL.id}?fields=quality_rating,health_status"

    async with stage.http.get(url, headers=headers) as answer:
        told = await answer.json()

    assert told == {
        "quality_rating": "GREEN",
        "health_status": {"can_send_message": "AVAILABLE", "entities": []},
        "id": SOL.id,
    }


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("1001", id="number"),
        pytest.param("2001/subscribed_apps", id="apps"),
        pytest.param("2001/message_templates", id="templates"),
    ],
)
@pytest.mark.parametrize(
    ("token", "path_of", "expected"),
    [
        pytest.param(LUNA.token, "{}", (401, 190), id="foreign-token"),
        pytest.param(SOL.token, "9{}", (400, 100), id="unknown-object"),
    ],
)
async def test_reading_needs_the_right_token_and_a_known_object(
    stage: Stage, path: str, token: str, path_of: str, expected: tuple[int, int]
) -> None:
    url = f"{stage.address}/v26.0/{path_of.format(path)}"

    async with stage.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        body = await answer.json()

    assert (answer.status, body["error"]["code"]) == expected


async def test_the_app_is_subscribed_to_the_account(stage: Stage) -> None:
    url = f"{stage.address}/v26.0/{SOL.waba_id}/subscribed_apps"

    async with stage.http.get(url, headers={"Authorization": f"Bearer {SOL.token}"}) as answer:
        told = await answer.json()

    assert len(told["data"]) == 1
