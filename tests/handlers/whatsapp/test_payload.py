"""Each kind of content as the Graph API wants it."""

import json

import pytest

from flows.dialog.content import Button, Buttons, Content, Link, Row, Rows, Template, Text
from flows.values.ids import ItemId, Wamid
from handlers.whatsapp import payload

ITEM = ItemId("wa/c1:7-0")
PHONE = "56987654321"


def written(
    content: Content, *, to: str = PHONE, recipient: str = "", quotes: str = ""
) -> dict[str, object]:
    body = payload.message(content, to=to, recipient=recipient, item=ITEM, quotes=Wamid(quotes))
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


def envelope(kind: str, body: object) -> dict[str, object]:
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+56987654321",
        "type": kind,
        kind: body,
        "biz_opaque_callback_data": ITEM,
    }


@pytest.mark.parametrize(
    ("content", "kind", "body"),
    [
        pytest.param(Text("¿Sí?"), "text", {"body": "¿Sí?", "preview_url": False}, id="text"),
        pytest.param(
            Text("https://a.cl", preview=True),
            "text",
            {"body": "https://a.cl", "preview_url": True},
            id="text-with-preview",
        ),
        pytest.param(
            Buttons("¿Confirmas?", (Button("y", "Sí"), Button("n", "No")), footer="Pan"),
            "interactive",
            {
                "type": "button",
                "body": {"text": "¿Confirmas?"},
                "footer": {"text": "Pan"},
                "action": {
                    "buttons": [
                        {"type": "reply", "reply": {"id": "y", "title": "Sí"}},
                        {"type": "reply", "reply": {"id": "n", "title": "No"}},
                    ]
                },
            },
            id="buttons",
        ),
        pytest.param(
            Rows("¿Cuál?", "Ver", (Row("1", "Hallulla", "por kilo"), Row("2", "Marraqueta"))),
            "interactive",
            {
                "type": "list",
                "body": {"text": "¿Cuál?"},
                "action": {
                    "button": "Ver",
                    "sections": [
                        {
                            "rows": [
                                {"id": "1", "title": "Hallulla", "description": "por kilo"},
                                {"id": "2", "title": "Marraqueta"},
                            ]
                        }
                    ],
                },
            },
            id="list",
        ),
        pytest.param(
            Link("Paga acá", "Pagar", "https://pago.cl/1"),
            "interactive",
            {
                "type": "cta_url",
                "body": {"text": "Paga acá"},
                "action": {
                    "name": "cta_url",
                    "parameters": {"display_text": "Pagar", "url": "https://pago.cl/1"},
                },
            },
            id="link",
        ),
        pytest.param(
            Template("hola", "es_CL"),
            "template",
            {"name": "hola", "language": {"code": "es_CL"}},
            id="bare-template",
        ),
        pytest.param(
            Template("hora", "es_CL", (("nombre", "Ana"), ("hora", "9:00")), ("voy", "no")),
            "template",
            {
                "name": "hora",
                "language": {"code": "es_CL"},
                "components": [
                    {
                        "type": "body",
                        "parameters": [
                            {"type": "text", "parameter_name": "nombre", "text": "Ana"},
                            {"type": "text", "parameter_name": "hora", "text": "9:00"},
                        ],
                    },
                    {
                        "type": "button",
                        "sub_type": "quick_reply",
                        "index": "0",
                        "parameters": [{"type": "payload", "payload": "voy"}],
                    },
                    {
                        "type": "button",
                        "sub_type": "quick_reply",
                        "index": "1",
                        "parameters": [{"type": "payload", "payload": "no"}],
                    },
                ],
            },
            id="template",
        ),
        pytest.param(
            Template("codigo_ingreso", "es", code="482913"),
            "template",
            {
                "name": "codigo_ingreso",
                "language": {"code": "es"},
                "components": [
                    {"type": "body", "parameters": [{"type": "text", "text": "482913"}]},
                    {
                        "type": "button",
                        "sub_type": "url",
                        "index": "0",
                        "parameters": [{"type": "text", "text": "482913"}],
                    },
                ],
            },
            id="authentication-template",
        ),
    ],
)
def test_each_content_has_its_shape(content: Content, kind: str, body: object) -> None:
    assert written(content) == envelope(kind, body)


def test_a_person_without_phone_is_addressed_by_bsuid() -> None:
    found = written(Text("hola"), to="", recipient="CL.1349")

    assert found["recipient"] == "CL.1349"
    assert "to" not in found


def test_a_phone_is_preferred_to_a_bsuid() -> None:
    found = written(Text("hola"), recipient="CL.1349")

    assert found["to"] == "+56987654321"
    assert "recipient" not in found


def test_an_answer_quotes_what_it_answers() -> None:
    assert written(Text("hola"), quotes="wamid.Q")["context"] == {"message_id": "wamid.Q"}


@pytest.mark.parametrize(
    ("typing", "more"),
    [
        pytest.param(False, {}, id="read"),
        pytest.param(True, {"typing_indicator": {"type": "text"}}, id="read-and-typing"),
    ],
)
def test_a_receipt(typing: bool, more: dict[str, object]) -> None:
    found = json.loads(payload.receipt(Wamid("wamid.Q"), typing=typing))

    assert (
        found
        == {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": "wamid.Q",
        }
        | more
    )
