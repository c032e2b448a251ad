"""Each kind of content as the Graph API wants it."""

import json
from typing import get_args

import pytest

from flows.dialog.content import (
    Audio,
    Button,
    Buttons,
    Card,
    Carousel,
    Catalogue,
    Contacts,
    Content,
    Fixed,
    Form,
    Image,
    OpenCatalogue,
    OpenForm,
    Place,
    Product,
    Reaction,
    Reply,
    Row,
    Rows,
    Slide,
    Template,
    Text,
    UrlEnd,
    Variable,
    Video,
)
from flows.values.ids import ItemId, Wamid
from handlers.whatsapp import payload
from tests.flows.dialog.sample_contents import (
    DOCUMENT,
    IMAGE,
    LINKED,
    OURS,
    SAMPLES,
    TEMPLATES,
    WEB,
)

ITEM = ItemId("wa/c1:7-0")
PHONE = "56987654321"


def written(
    content: Content, *, to: str = PHONE, recipient: str = "", quotes: str = ""
) -> dict[str, object]:
    body = payload.message(
        content,
        to=to,
        recipient=recipient,
        item=ITEM,
        quotes=Wamid(quotes),
        uploads={OURS.id: "9001"},
    )
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


def interactive(kind: str, action: object, **around: object) -> dict[str, object]:
    return {"type": kind, **around, "action": action}


def reply(id: str, title: str, kind: str = "reply") -> dict[str, object]:
    return {"type": kind, kind: {"id": id, "title": title}}


def said(text: str) -> dict[str, str]:
    return {"text": text}


LINK = {"link": "https://sol.example/torta.jpg"}
UPLOADED = {"id": "9001"}
IMAGE_ABOVE = {"type": "image", "image": LINK}

MESSAGES: dict[str, tuple[Content, str, object]] = {
    "text": (Text("¿Sí?"), "text", {"body": "¿Sí?", "preview_url": False}),
    "text-with-preview": (
        Text("https://a.cl", preview=True), "text", {"body": "https://a.cl", "preview_url": True},
    ),
    "image-of-ours": (SAMPLES["image"], "image", {**UPLOADED, "caption": "Así quedó"}),
    "image-by-link": (Image(WEB), "image", LINK),
    "video": (SAMPLES["video"], "video", {"link": "https://sol.example/horno.mp4", "caption": "El horno"}),
    "voice": (SAMPLES["audio"], "audio", {**UPLOADED, "voice": True}),
    "audio": (Audio(OURS), "audio", UPLOADED),
    "document": (SAMPLES["document"], "document", {**LINK, "filename": "carta.pdf", "caption": "La carta"}),
    "sticker": (SAMPLES["sticker"], "sticker", UPLOADED),
    "place": (
        SAMPLES["place"], "location",
        {"latitude": -33.0428, "longitude": -71.3733, "name": "Panadería Sol", "address": "Av. Los Aromos 123"},
    ),
    "bare-place": (Place(1, -2), "location", {"latitude": 1, "longitude": -2}),
    "contacts": (
        SAMPLES["contacts"], "contacts",
        [{
            "name": {"formatted_name": "Camila Soto", "first_name": "Camila", "last_name": "Soto"},
            "phones": [{"phone": "+56 9 6123 4567", "type": "CELL", "wa_id": "56961234567"}],
            "emails": [{"email": "camila@sol.example", "type": "WORK"}],
            "urls": [{"url": "https://sol.example", "type": "WORK"}],
            "addresses": [
                {"street": "Av. Los Aromos 123", "city": "Villa Alemana", "country_code": "CL", "type": "WORK"}
            ],
            "org": {"company": "Panadería Sol", "title": "Ventas"},
            "birthday": "1990-05-31",
        }],
    ),
    "bare-contact": (
        Contacts((Card("Sol"),)), "contacts", [{"name": {"formatted_name": "Sol", "first_name": "Sol"}}],
    ),
    "reaction": (SAMPLES["reaction"], "reaction", {"message_id": "wamid.X", "emoji": "👍🏽"}),
    "reaction-taken-back": (Reaction(Wamid("wamid.X")), "reaction", {"message_id": "wamid.X", "emoji": ""}),
    "buttons": (
        Buttons("¿Confirmas?", (Button("y", "Sí"), Button("n", "No")), footer="Pan"), "interactive",
        interactive(
            "button", {"buttons": [reply("y", "Sí"), reply("n", "No")]},
            body=said("¿Confirmas?"), footer=said("Pan"),
        ),
    ),
    "buttons-below-a-document": (
        Buttons("¿Qué más?", (Button("y", "Sí"),), header=DOCUMENT), "interactive",
        interactive(
            "button", {"buttons": [reply("y", "Sí")]},
            header={"type": "document", "document": {**UPLOADED, "filename": "F-2031.pdf"}},
            body=said("¿Qué más?"),
        ),
    ),
    "list": (
        Rows("¿Cuál?", "Ver", (Row("1", "Hallulla", "por kilo"), Row("2", "Marraqueta"))), "interactive",
        interactive(
            "list",
            {
                "button": "Ver",
                "sections": [
                    {"rows": [{"id": "1", "title": "Hallulla", "description": "por kilo"}, {"id": "2", "title": "Marraqueta"}]}
                ],
            },
            body=said("¿Cuál?"),
        ),
    ),
    "list-in-sections": (
        SAMPLES["rows"], "interactive",
        interactive(
            "list",
            {
                "button": "Ver",
                "sections": [
                    {"title": "Panes", "rows": [{"id": "1", "title": "Hallulla", "description": "por kilo"}]},
                    {"title": "Dulces", "rows": [{"id": "2", "title": "Torta"}]},
                ],
            },
            header={"type": "text", "text": "Carta"}, body=said("¿Cuál?"),
        ),
    ),
    "link": (
        SAMPLES["link"], "interactive",
        interactive(
            "cta_url",
            {"name": "cta_url", "parameters": {"display_text": "Pagar", "url": "https://sol.example/pagar"}},
            header=IMAGE_ABOVE, body=said("Paga acá"),
        ),
    ),
    "place-request": (
        SAMPLES["place_request"], "interactive",
        interactive("location_request_message", {"name": "send_location"}, body=said("¿Dónde estás?")),
    ),
    "phone-request": (
        SAMPLES["phone_request"], "interactive",
        interactive("request_contact_info", {"name": "request_contact_info"}, body=said("¿Cuál es tu número?")),
    ),
    "form": (
        SAMPLES["form"], "interactive",
        interactive(
            "flow",
            {
                "name": "flow",
                "parameters": {
                    "flow_message_version": "3", "flow_name": "sign_up", "flow_cta": "Llenar",
                    "mode": "published", "flow_action": "navigate",
                    "flow_action_payload": {"screen": "START", "data": {"name": "Ana"}},
                },
            },
            body=said("Faltan unos datos."),
        ),
    ),
    "draft-form-with-an-endpoint": (
        Form("Hola", "Llenar", id="123", token="t-1", draft=True), "interactive",
        interactive(
            "flow",
            {
                "name": "flow",
                "parameters": {
                    "flow_message_version": "3", "flow_id": "123", "flow_cta": "Llenar", "flow_token": "t-1",
                    "mode": "draft", "flow_action": "data_exchange",
                },
            },
            body=said("Hola"),
        ),
    ),
    "product": (
        SAMPLES["product"], "interactive",
        interactive(
            "product", {"catalog_id": "100200300", "product_retailer_id": "sku-1"},
            body=said("Recién horneada"), footer=said("Panadería Sol"),
        ),
    ),
    "bare-product": (
        Product("1", "a"), "interactive",
        interactive("product", {"catalog_id": "1", "product_retailer_id": "a"}),
    ),
    "products": (
        SAMPLES["products"], "interactive",
        interactive(
            "product_list",
            {
                "catalog_id": "100200300",
                "sections": [
                    {"title": "Panes", "product_items": [{"product_retailer_id": "sku-1"}]},
                    {"title": "Dulces", "product_items": [{"product_retailer_id": "sku-2"}, {"product_retailer_id": "sku-3"}]},
                ],
            },
            header={"type": "text", "text": "Carta"}, body=said("¿Qué llevas?"),
        ),
    ),
    "catalogue": (
        SAMPLES["catalogue"], "interactive",
        interactive(
            "catalog_message",
            {"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "sku-1"}},
            body=said("Mira todo lo que hay"),
        ),
    ),
    "bare-catalogue": (
        Catalogue("Mira"), "interactive",
        interactive("catalog_message", {"name": "catalog_message"}, body=said("Mira")),
    ),
    "carousel": (
        SAMPLES["carousel"], "interactive",
        interactive(
            "carousel",
            {
                "cards": [
                    {
                        "card_index": n, "type": "cta_url", "header": IMAGE_ABOVE, "body": said("Torta de mil hojas"),
                        "action": {"buttons": [reply(id, "Ver", "quick_reply")]},
                    }
                    for n, id in enumerate("ab")
                ]
            },
            body=said("¿Cuál torta?"),
        ),
    ),
    "carousel-of-links": (
        Carousel("¿Cuál?", (LINKED, Slide(IMAGE, "", (), "Ir", "https://sol.example/2"))), "interactive",
        interactive(
            "carousel",
            {
                "cards": [
                    {
                        "card_index": 0, "type": "cta_url", "header": IMAGE_ABOVE, "body": said("Torta de mil hojas"),
                        "action": {"name": "cta_url", "parameters": {"display_text": "Ver", "url": "https://sol.example/1"}},
                    },
                    {
                        "card_index": 1, "type": "cta_url", "header": IMAGE_ABOVE,
                        "action": {"name": "cta_url", "parameters": {"display_text": "Ir", "url": "https://sol.example/2"}},
                    },
                ]
            },
            body=said("¿Cuál?"),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "kind", "body"), [pytest.param(*each, id=name) for name, each in MESSAGES.items()]
)
def test_each_content_has_its_shape(content: Content, kind: str, body: object) -> None:
    assert written(content) == envelope(kind, body)


def component(kind: str, *parameters: object) -> dict[str, object]:
    return {"type": kind, "parameters": list(parameters)}


def button(index: int, kind: str, parameter: object) -> dict[str, object]:
    return {"type": "button", "sub_type": kind, "index": str(index), "parameters": [parameter]}


def variable(name: str, text: str) -> dict[str, str]:
    return {"type": "text", "parameter_name": name, "text": text}


def word(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def payload_of(payload: str) -> dict[str, str]:
    return {"type": "payload", "payload": payload}


def action(**told: object) -> dict[str, object]:
    return {"type": "action", "action": told}


SECTIONS = [{"product_items": [{"product_retailer_id": "sku-1"}, {"product_retailer_id": "sku-2"}]}]

COMPONENTS: dict[str, tuple[Template, list[object]]] = {
    "named-variables-and-replies": (
        Template("hora", "es", (("nombre", "Ana"), ("hora", "9:00")), buttons=(Reply("voy"), Reply("no"))),
        [
            component("body", variable("nombre", "Ana"), variable("hora", "9:00")),
            button(0, "quick_reply", payload_of("voy")),
            button(1, "quick_reply", payload_of("no")),
        ],
    ),
    "positional-variables": (TEMPLATES["positional"], [component("body", word("Ana"), word("lunes"))]),
    "a-button-that-is-given-nothing-keeps-its-place": (
        Template("a", "es", buttons=(Fixed(), UrlEnd("1042"))), [button(1, "url", word("1042"))],
    ),
    "header-variable": (TEMPLATES["header-variable"], [component("header", variable("numero", "1042"))]),
    "positional-header": (Template("a", "es", header=Variable("1", "1042")), [component("header", word("1042"))]),
    "header-image": (Template("a", "es", header=IMAGE), [component("header", IMAGE_ABOVE)]),
    "header-video": (
        Template("a", "es", header=Video(OURS)), [component("header", {"type": "video", "video": UPLOADED})],
    ),
    "header-document": (
        Template("a", "es", header=DOCUMENT),
        [component("header", {"type": "document", "document": {**UPLOADED, "filename": "F-2031.pdf"}})],
    ),
    "header-place": (
        TEMPLATES["header-place"],
        [component("header", {
            "type": "location",
            "location": {
                "latitude": -33.0428, "longitude": -71.3733, "name": "Panadería Sol", "address": "Av. Los Aromos 123",
            },
        })],
    ),
    "header-product": (
        TEMPLATES["header-product"],
        [component("header", {"type": "product", "product": {"catalog_id": "100", "product_retailer_id": "sku-1"}})],
    ),
    "code": (TEMPLATES["code"], [component("body", word("482913")), button(0, "url", word("482913"))]),
    "coupon-of-an-offer-that-ends": (
        TEMPLATES["offer"],
        [
            component("header", IMAGE_ABOVE),
            component("limited_time_offer", {
                "type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1_795_000_000_000},
            }),
            button(0, "copy_code", {"type": "coupon_code", "coupon_code": "PAN25"}),
            button(1, "url", word("pan")),
        ],
    ),
    "form": (TEMPLATES["form"], [button(0, "flow", action(flow_token="t-1", flow_action_data={"a": 1}))]),
    "form-that-is-given-nothing": (Template("a", "es", buttons=(OpenForm(),)), []),
    "catalogue": (TEMPLATES["catalogue"], [button(0, "catalog", action(thumbnail_product_retailer_id="sku-1"))]),
    "catalogue-with-its-own-picture": (Template("a", "es", buttons=(OpenCatalogue(),)), []),
    "products": (
        TEMPLATES["products"],
        [button(0, "mpm", action(thumbnail_product_retailer_id="sku-1", sections=SECTIONS))],
    ),
    "carousel": (
        TEMPLATES["carousel"],
        [
            component("body", variable("nombre", "Ana")),
            {
                "type": "carousel",
                "cards": [
                    {
                        "card_index": n,
                        "components": [
                            component("header", IMAGE_ABOVE),
                            component("body", variable("precio", f"${n + 1}.990")),
                            button(0, "quick_reply", payload_of(f"t-{n + 1}")),
                            button(1, "url", word(f"t{n + 1}")),
                        ],
                    }
                    for n in range(2)
                ],
            },
        ],
    ),
    "nothing": (Template("a", "es"), []),
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "components"),
    [pytest.param(*each, id=name) for name, each in COMPONENTS.items()],
)
def test_each_component_of_a_template_has_its_shape(
    template: Template, components: list[object]
) -> None:
    body: dict[str, object] = {"name": template.name, "language": {"code": template.language}}
    if components:
        body["components"] = components

    assert written(template) == envelope("template", body)


def test_every_kind_of_content_is_among_them() -> None:
    assert {type(content) for content, _, _ in MESSAGES.values()} | {Template} == set(
        get_args(Content)
    )


def test_a_file_that_was_not_uploaded_cannot_be_sent() -> None:
    with pytest.raises(payload.NotUploadedError):
        payload.message(Image(OURS), to=PHONE, recipient="", item=ITEM, quotes=Wamid(""))


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
