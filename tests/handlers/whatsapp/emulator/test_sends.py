"""What Meta takes of each kind of message, and what it refuses, and with which code."""

from typing import Any

import pytest

from handlers.whatsapp.emulator.content import (
    Button,
    Buttons,
    Cards,
    CardShown,
    Carousel,
    Catalogue,
    Form,
    Link,
    Medium,
    Notice,
    PhoneRequest,
    Place,
    PlaceRequest,
    Product,
    Products,
    Reaction,
    Said,
    Shelf,
    Slide,
    TemplateButton,
    TemplateCard,
)
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.sends import read_request
from handlers.whatsapp.emulator.templates import Button as ButtonOf
from handlers.whatsapp.emulator.templates import Card, Template
from handlers.whatsapp.emulator.world import Send

JSON = dict[str, Any]
WEB = {"link": "https://sol.example/t.jpg"}
IMAGE = Medium("image", "https://sol.example/t.jpg")


def of(kind: str, said: object) -> JSON:
    return {"messaging_product": "whatsapp", "to": "+56912345678", "type": kind, kind: said}


def interactive(kind: str, action: JSON, **around: object) -> JSON:
    return of("interactive", {"type": kind, "body": {"text": "Hola"}, "action": action, **around})


def header(kind: str, said: object) -> JSON:
    return {"header": {"type": kind, kind: said}}


def replies(count: int, kind: str = "reply") -> JSON:
    return {
        "buttons": [{"type": kind, kind: {"id": f"{n}", "title": f"T{n}"}} for n in range(count)]
    }


CTA = {"name": "cta_url", "parameters": {"display_text": "Ver", "url": "https://sol.example"}}


def flow(**told: object) -> JSON:
    parameters = {
        "flow_message_version": "3",
        "flow_name": "sign_up",
        "flow_cta": "Llenar",
        "flow_action_payload": {"screen": "START", "data": {"name": "Ana"}},
        **told,
    }
    known = {key: value for key, value in parameters.items() if value is not None}
    return interactive("flow", {"name": "flow", "parameters": known})


def slide(index: int = 0, **changes: object) -> JSON:
    card = {
        "card_index": index,
        "type": "cta_url",
        "header": {"type": "image", "image": WEB},
        "body": {"text": "Torta"},
        "action": replies(1, "quick_reply"),
        **changes,
    }
    return {key: value for key, value in card.items() if value is not None}


def carousel(*cards: JSON) -> JSON:
    return interactive("carousel", {"cards": list(cards)})


def shelves(*sections: JSON) -> JSON:
    return {"catalog_id": "100", "sections": list(sections)}


def shelf(count: int = 1, title: str = "") -> JSON:
    items = [{"product_retailer_id": f"sku-{n}"} for n in range(count)]
    return {"product_items": items, **({"title": title} if title else {})}


TITLE = {"header": {"type": "text", "text": "Carta"}}


def taken(body: JSON, *templates: Template) -> Said:
    found = {(template.name, template.language): template for template in templates}
    send = read_request(body, lambda *key: found.get(key))
    assert isinstance(send, Send)
    return send.content


def code_of(body: JSON, *templates: Template) -> int:
    with pytest.raises(GraphError) as refused:
        taken(body, *templates)
    return refused.value.code


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(of("image", {"id": "9001", "caption": "Así"}), Medium("image", "9001", "Así"), id="image"),
        pytest.param(of("video", WEB), Medium("video", WEB["link"]), id="video"),
        pytest.param(of("audio", {"id": "9001", "voice": True}), Medium("audio", "9001", voice=True), id="voice"),
        pytest.param(of("document", {**WEB, "filename": "a.pdf"}), Medium("document", WEB["link"], name="a.pdf"), id="document"),
        pytest.param(of("sticker", {"id": "9001"}), Medium("sticker", "9001"), id="sticker"),
        pytest.param(of("location", {"latitude": -33, "longitude": "-71.4", "name": "Sol"}), Place(-33, -71.4, "Sol"), id="place"),
        pytest.param(
            of("contacts", [{
                "name": {"formatted_name": "Camila", "first_name": "Camila"},
                "phones": [{"phone": "+56 9 6123 4567", "type": "CELL", "wa_id": "56961234567"}],
                "emails": [{"email": "a@b.cl", "type": "WORK"}], "urls": [{"url": "https://b.cl"}],
                "addresses": [{"street": "Calle 1", "city": "Olmué", "country_code": "CL", "type": "WORK"}],
                "org": {"company": "Sol", "title": "Ventas"}, "birthday": "1990-05-31",
            }]),
            Cards((CardShown("Camila", ("+56 9 6123 4567",), ("Sol, Ventas", "a@b.cl", "https://b.cl", "Calle 1, Olmué")),)),
            id="contacts",
        ),
        pytest.param(of("reaction", {"message_id": "w", "emoji": "👍🏽"}), Reaction("w", "👍🏽"), id="reaction"),
        pytest.param(of("reaction", {"message_id": "w", "emoji": ""}), Reaction("w"), id="reaction-taken-back"),
        pytest.param(
            interactive("button", replies(1), **header("document", {"id": "9", "filename": "a.pdf"})),
            Buttons("Hola", (Button("0", "T0"),), medium=Medium("document", "9", name="a.pdf")), id="buttons-below-a-file",
        ),
        pytest.param(
            interactive("cta_url", CTA, **header("video", WEB)),
            Link("Hola", "Ver", "https://sol.example", medium=Medium("video", WEB["link"])), id="link-below-a-file",
        ),
        pytest.param(interactive("location_request_message", {"name": "send_location"}), PlaceRequest("Hola"), id="place-request"),
        pytest.param(interactive("request_contact_info", {"name": "request_contact_info"}), PhoneRequest("Hola"), id="phone-request"),
        pytest.param(flow(flow_token="t"), Form("Hola", "Llenar", "sign_up", "t", "START", {"name": "Ana"}), id="form"),
        pytest.param(
            flow(flow_name=None, flow_id="77", mode="draft", flow_action="data_exchange", flow_action_payload=None),
            Form("Hola", "Llenar", "77", draft=True), id="draft-form",
        ),
        pytest.param(
            of("interactive", {"type": "product", "action": {"catalog_id": "100", "product_retailer_id": "a"}}),
            Product("100", "a"), id="product-without-words",
        ),
        pytest.param(
            interactive("product_list", shelves(shelf(30)), **TITLE),
            Products("Carta", "Hola", "100", (Shelf(tuple(f"sku-{n}" for n in range(30))),)), id="products",
        ),
        pytest.param(
            interactive("catalog_message", {"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "a"}}),
            Catalogue("Hola", "a"), id="catalogue",
        ),
        pytest.param(
            carousel(slide(0), slide(1, body=None)),
            Carousel("Hola", (Slide(IMAGE, "Torta", (Button("0", "T0"),)), Slide(IMAGE, "", (Button("0", "T0"),)))), id="carousel",
        ),
        pytest.param(
            carousel(*(slide(n, action=CTA) for n in range(10))),
            Carousel("Hola", (Slide(IMAGE, "Torta", (), "Ver", "https://sol.example"),) * 10), id="carousel-of-ten-links",
        ),
    ],
)  # fmt: skip
def test_what_meta_takes_is_shown(body: JSON, shown: Said) -> None:
    assert taken(body) == shown


NAME = {"formatted_name": "Camila", "first_name": "Camila"}

REFUSED: dict[str, tuple[JSON, int]] = {
    # ------------------------------------------------ files
    "no-file": (of("image", {}), 131008),
    "no-image-at-all": ({"messaging_product": "whatsapp", "to": "+56912345678", "type": "image"}, 131008),
    "id-and-link": (of("image", {**WEB, "id": "9"}), 100),
    "odd-id": (of("image", {"id": "mi foto"}), 100),
    "odd-link": (of("video", {"link": "torta.mp4"}), 131009),
    "caption-1025": (of("image", {**WEB, "caption": "a" * 1025}), 100),
    "caption-of-a-sound": (of("audio", {**WEB, "caption": "hola"}), 100),
    "caption-of-a-sticker": (of("sticker", {**WEB, "caption": "hola"}), 100),
    "name-of-a-picture": (of("image", {**WEB, "filename": "a.jpg"}), 100),
    "voice-that-is-no-flag": (of("audio", {**WEB, "voice": "si"}), 100),
    "an-unknown-kind": (of("poll", {}), 131051),
    "a-misspelt-key": ({**of("text", {"body": "Hola"}), "contex": {}}, 100),
    "preview-that-is-no-flag": (of("text", {"body": "Hola", "preview_url": "si"}), 100),
    # ------------------------------------------------ places, people, reactions
    "no-latitude": (of("location", {"longitude": 1}), 131008),
    "words-for-a-latitude": (of("location", {"latitude": "sur", "longitude": 1}), 100),
    "beyond-the-pole": (of("location", {"latitude": 91, "longitude": 1}), 131009),
    "no-contacts": (of("contacts", []), 131009),
    "258-contacts": (of("contacts", [{"name": NAME}] * 258), 131009),
    "contact-without-name": (of("contacts", [{}]), 131008),
    "contact-without-formatted-name": (of("contacts", [{"name": {"first_name": "Camila"}}]), 131008),
    "contact-without-part-of-a-name": (of("contacts", [{"name": {"formatted_name": "Camila"}}]), 131009),
    "contact-with-an-odd-birthday": (of("contacts", [{"name": NAME, "birthday": "31 de mayo"}]), 131009),
    "contact-with-an-unknown-key": (of("contacts", [{"name": NAME, "mail": "a@b.cl"}]), 100),
    "contact-with-an-empty-phone": (of("contacts", [{"name": NAME, "phones": [{"type": "CELL"}]}]), 131008),
    "country-code-of-five-letters": (of("contacts", [{"name": NAME, "addresses": [{"country_code": "Chile"}]}]), 131009),
    "reaction-to-nothing": (of("reaction", {"emoji": "👍"}), 131008),
    "reaction-without-emoji": (of("reaction", {"message_id": "w"}), 131008),
    "reaction-of-words": (of("reaction", {"message_id": "w", "emoji": "ok"}), 131009),
    "two-emoji": (of("reaction", {"message_id": "w", "emoji": "👍👍"}), 131009),
    # ------------------------------------------------ what stands above and below
    "no-type": (of("interactive", {"body": {"text": "a"}, "action": {}}), 131008),
    "an-unknown-type": (interactive("poll", {}), 131009),
    "list-below-a-picture": (
        interactive("list", {"button": "Ver", "sections": [{"rows": [{"id": "a", "title": "a"}]}]}, **header("image", WEB)), 131009,
    ),
    "buttons-below-a-sound": (interactive("button", replies(1), **header("audio", WEB)), 131009),
    "header-with-a-caption": (interactive("button", replies(1), **header("image", {**WEB, "caption": "a"})), 131009),
    "request-below-words": (interactive("location_request_message", {"name": "send_location"}, **TITLE), 131009),
    "request-with-a-footer": (interactive("request_contact_info", {"name": "request_contact_info"}, footer={"text": "a"}), 131009),
    "request-without-body": (of("interactive", {"type": "location_request_message", "action": {"name": "send_location"}}), 131008),
    "request-of-another-name": (interactive("location_request_message", {"name": "send_place"}), 131009),
    "unknown-key-of-an-action": (interactive("button", {**replies(1), "name": "a"}), 100),
    # ------------------------------------------------ forms
    "form-of-another-version": (flow(flow_message_version="2"), 131009),
    "form-without-name": (flow(flow_name=None), 131009),
    "form-with-two-names": (flow(flow_id="1"), 131009),
    "form-button-21": (flow(flow_cta="a" * 21), 131009),
    "form-button-with-emoji": (flow(flow_cta="Llenar 📝"), 131009),
    "form-mode": (flow(mode="test"), 131009),
    "form-without-screen": (flow(flow_action_payload={}), 131008),
    "form-without-payload": (flow(flow_action_payload=None), 131008),
    "form-with-empty-data": (flow(flow_action_payload={"screen": "A", "data": {}}), 131009),
    "form-with-a-screen-too-many": (flow(flow_action="data_exchange"), 131009),
    "form-action": (flow(flow_action="open"), 131009),
    # ------------------------------------------------ products
    "product-below-words": (interactive("product", {"catalog_id": "1", "product_retailer_id": "a"}, **TITLE), 131009),
    "product-without-catalogue": (interactive("product", {"product_retailer_id": "a"}), 131008),
    "products-without-header": (interactive("product_list", shelves(shelf())), 131008),
    "products-below-a-picture": (interactive("product_list", shelves(shelf()), **header("image", WEB)), 131009),
    "31-products": (interactive("product_list", shelves(shelf(16, "A"), shelf(15, "B")), **TITLE), 131009),
    "11-shelves": (interactive("product_list", shelves(*(shelf(1, f"{n}") for n in range(11))), **TITLE), 131009),
    "empty-shelf": (interactive("product_list", shelves(shelf(0)), **TITLE), 131009),
    "shelves-without-title": (interactive("product_list", shelves(shelf(), shelf()), **TITLE), 131009),
    "shelf-title-25": (interactive("product_list", shelves(shelf(1, "a" * 25)), **TITLE), 131009),
    "catalogue-below-words": (interactive("catalog_message", {"name": "catalog_message"}, **TITLE), 131009),
    # ------------------------------------------------ carousels
    "one-card": (carousel(slide()), 131009),
    "11-cards": (carousel(*(slide(n) for n in range(11))), 131009),
    "cards-out-of-order": (carousel(slide(1), slide(0)), 131009),
    "card-without-header": (carousel(slide(0), slide(1, header=None)), 131008),
    "card-below-a-document": (carousel(slide(0), slide(1, **header("document", WEB))), 131009),
    "card-below-an-upload": (carousel(slide(0), slide(1, **header("image", {"id": "9"}))), 131009),
    "cards-below-other-kinds": (carousel(slide(0), slide(1, **header("video", WEB))), 131009),
    "card-body-161": (carousel(slide(0), slide(1, body={"text": "a" * 161})), 131009),
    "card-with-three-breaks": (carousel(slide(0), slide(1, body={"text": "a\nb\nc\nd"})), 131009),
    "cards-of-other-buttons": (carousel(slide(0), slide(1, action=CTA)), 131009),
    "cards-of-more-buttons": (carousel(slide(0), slide(1, action=replies(2, "quick_reply"))), 131009),
    "card-without-buttons": (carousel(slide(0), slide(1, action={"buttons": []})), 131009),
    "card-of-reply-buttons": (carousel(slide(0), slide(1, action=replies(1))), 131009),
    "card-button-id-21": (
        carousel(slide(0), slide(1, action={"buttons": [{"type": "quick_reply", "quick_reply": {"id": "a" * 21, "title": "a"}}]})),
        131009,
    ),
    "card-of-another-type": (carousel(slide(0), slide(1, type="button")), 131009),
    "carousel-with-a-footer": (interactive("carousel", {"cards": [slide(0), slide(1)]}, footer={"text": "a"}), 131009),
    "carousel-below-words": (interactive("carousel", {"cards": [slide(0), slide(1)]}, **TITLE), 131009),
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected"), [pytest.param(*each, id=name) for name, each in REFUSED.items()]
)
def test_what_meta_refuses_is_refused(body: JSON, expected: int) -> None:
    assert code_of(body) == expected


# ------------------------------------------------------------------ templates


def template(*parts: JSON) -> JSON:
    return of("template", {"name": "t", "language": {"code": "es"}, "components": list(parts)})


def a(**told: Any) -> Template:
    return Template(name="t", language="es", category="MARKETING", **{"body": "Hola", **told})


def part(kind: str, *parameters: JSON) -> JSON:
    return {"type": kind, "parameters": list(parameters)}


def press(index: int, kind: str, parameter: JSON) -> JSON:
    return {"type": "button", "sub_type": kind, "index": str(index), "parameters": [parameter]}


def word(text: str, name: str = "") -> JSON:
    return {"type": "text", "text": text, **({"parameter_name": name} if name else {})}


PICTURE = part("header", {"type": "image", "image": WEB})
PLACE = {"latitude": 1, "longitude": 2, "name": "Sol", "address": "Calle 1"}
COUPON = press(0, "copy_code", {"type": "coupon_code", "coupon_code": "PAN25"})
OFFER = a(offer="Solo hoy", offer_expires=True, buttons=(ButtonOf("COPY_CODE", "Copiar"),))
ENDS = part(
    "limited_time_offer",
    {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 5}},
)
CARD = Card(
    "IMAGE",
    "Desde {{precio}}",
    (ButtonOf("QUICK_REPLY", "Ver"), ButtonOf("URL", "Abrir", "https://a.cl/{{1}}")),
)
CAROUSEL = a(cards=(CARD, CARD))


def card(index: int, *parts: JSON) -> JSON:
    return {
        "card_index": index,
        "components": [
            PICTURE,
            part("body", word("$1", "precio")),
            press(0, "quick_reply", {"type": "payload", "payload": f"p{index}"}),
            press(1, "url", word("x")),
            *parts,
        ],
    }


def cards(*which: JSON) -> JSON:
    return template({"type": "carousel", "cards": list(which)})


@pytest.mark.parametrize(
    ("known", "body", "shown"),
    [
        pytest.param(
            a(header="TEXT", header_text="Pedido {{numero}}"), template(part("header", word("1042", "numero"))),
            {"header": "Pedido 1042"}, id="header-variable",
        ),
        pytest.param(
            a(header="TEXT", header_text="Pedido {{1}}", body="Hola {{1}}", parameter_format="POSITIONAL"),
            template(part("header", word("1042")), part("body", word("Ana"))),
            {"header": "Pedido 1042", "body": "Hola Ana"}, id="positional",
        ),
        pytest.param(a(header_text="Pedido"), template(), {"header": "Pedido"}, id="header-without-variable"),
        pytest.param(a(header="IMAGE"), template(PICTURE), {"shown": IMAGE}, id="header-image"),
        pytest.param(
            a(header="LOCATION"), template(part("header", {"type": "location", "location": PLACE})),
            {"shown": Place(1, 2, "Sol", "Calle 1")}, id="header-place",
        ),
        pytest.param(
            a(header="PRODUCT"),
            template(part("header", {"type": "product", "product": {"catalog_id": "1", "product_retailer_id": "a"}})),
            {"shown": Product("1", "a")}, id="header-product",
        ),
        pytest.param(
            a(buttons=(ButtonOf("PHONE_NUMBER", "Llamar", phone="+56"), ButtonOf("URL", "Ver", "https://a.cl/{{1}}"),
                       ButtonOf("REQUEST_CONTACT_INFO", "Compartir"))),
            template(press(1, "url", word("x"))),
            {"buttons": (TemplateButton("PHONE_NUMBER", "Llamar", "+56"), TemplateButton("URL", "Ver", "https://a.cl/x"),
                         TemplateButton("REQUEST_CONTACT_INFO", "Compartir", "Compartir"))},
            id="buttons-that-are-given-nothing",
        ),
        pytest.param(
            a(buttons=(ButtonOf("FLOW", "Llenar"),)),
            template(press(0, "flow", {"type": "action", "action": {"flow_token": "t", "flow_action_data": {"a": 1}}})),
            {"buttons": (TemplateButton("FLOW", "Llenar", "t"),)}, id="form",
        ),
        pytest.param(
            a(buttons=(ButtonOf("CATALOG", "Ver"),)),
            template(press(0, "catalog", {"type": "action", "action": {"thumbnail_product_retailer_id": "a"}})),
            {"buttons": (TemplateButton("CATALOG", "Ver", "a"),)}, id="catalogue",
        ),
        pytest.param(
            a(buttons=(ButtonOf("MPM", "Ver"),)),
            template(press(0, "mpm", {"type": "action", "action": {"thumbnail_product_retailer_id": "a", "sections": [shelf(2)]}})),
            {"buttons": (TemplateButton("MPM", "Ver", "sku-0,sku-1"),)}, id="products",
        ),
        pytest.param(
            OFFER, template(COUPON, ENDS),
            {"offer": "Solo hoy", "offer_ends_ms": 5, "buttons": (TemplateButton("COPY_CODE", "Copiar", "PAN25"),)}, id="offer",
        ),
        pytest.param(
            CAROUSEL, cards(card(0), card(1)),
            {"cards": tuple(
                TemplateCard(IMAGE, "Desde $1", (TemplateButton("QUICK_REPLY", "Ver", f"p{n}"), TemplateButton("URL", "Abrir", "https://a.cl/x")))
                for n in range(2)
            )},
            id="carousel",
        ),
    ],
)  # fmt: skip
def test_a_template_is_filled_in(known: Template, body: JSON, shown: JSON) -> None:
    filled = taken(body, known)

    assert isinstance(filled, Notice)
    assert {key: getattr(filled, key) for key in shown} == shown


@pytest.mark.parametrize(
    ("known", "body", "expected"),
    [
        pytest.param(a(), template(part("footer")), 132012, id="an-unknown-component"),
        pytest.param(a(header="TEXT", header_text="{{n}}"), template(), 132000, id="header-variable-missing"),
        pytest.param(a(header_text="Pedido"), template(part("header", word("1"))), 132000, id="header-variable-too-many"),
        pytest.param(a(header="TEXT", header_text="Pedido {{n}}"), template(part("header", word("a" * 60, "n"))), 132012, id="header-67"),
        pytest.param(a(header="IMAGE"), template(), 132012, id="picture-missing"),
        pytest.param(a(header="IMAGE"), template(part("header", {"type": "video", "video": WEB})), 132012, id="another-medium"),
        pytest.param(a(header="IMAGE"), template(part("header", {"type": "image", "image": {}})), 131008, id="picture-without-file"),
        pytest.param(a(header="LOCATION"), template(part("header", {"type": "location", "location": {"latitude": 1, "longitude": 2}})), 131008, id="place-without-name"),
        pytest.param(a(body="{{1}}", parameter_format="POSITIONAL"), template(part("body", word("a", "nombre"))), 132012, id="name-for-a-positional-one"),
        pytest.param(a(buttons=(ButtonOf("PHONE_NUMBER", "Llamar"),)), template(press(0, "url", word("x"))), 132000, id="a-phone-is-given-something"),
        pytest.param(a(buttons=(ButtonOf("URL", "Ver", "https://a.cl"),)), template(press(0, "url", word("x"))), 132000, id="a-whole-address-is-given-something"),
        pytest.param(a(buttons=(ButtonOf("URL", "Ver", "https://a.cl/{{1}}"),)), template(press(0, "url", word("x y"))), 132012, id="address-with-a-blank"),
        pytest.param(OFFER, template(ENDS), 131008, id="no-coupon"),
        pytest.param(OFFER, template(press(0, "copy_code", {"type": "coupon_code", "coupon_code": "PAN 25"}), ENDS), 132012, id="coupon-with-a-blank"),
        pytest.param(OFFER, template(press(0, "copy_code", {"type": "coupon_code", "coupon_code": "A" * 16}), ENDS), 132012, id="coupon-16"),
        pytest.param(OFFER, template(COUPON), 132000, id="offer-without-end"),
        pytest.param(a(), template(ENDS), 132000, id="end-without-offer"),
        pytest.param(OFFER, template(COUPON, part("limited_time_offer", {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": "5"}})), 132012, id="end-in-words"),
        pytest.param(a(buttons=(ButtonOf("FLOW", "Llenar"),)), template(press(0, "flow", {"type": "action", "action": {"flow_action_data": {}}})), 132012, id="form-with-empty-data"),
        pytest.param(a(buttons=(ButtonOf("MPM", "Ver"),)), template(), 131008, id="no-products"),
        pytest.param(a(buttons=(ButtonOf("QUICK_REPLY", "Sí"),)), template(press(0, "quick_reply", {"type": "payload", "payload": "a" * 257})), 132012, id="payload-257"),
        pytest.param(CAROUSEL, template(), 132000, id="no-cards"),
        pytest.param(CAROUSEL, cards(card(0)), 132000, id="a-card-too-few"),
        pytest.param(CAROUSEL, cards(card(1), card(0)), 132012, id="cards-out-of-order"),
        pytest.param(CAROUSEL, cards(card(0), {"card_index": 1, "components": []}), 132012, id="a-bare-card"),
        pytest.param(CAROUSEL, cards(card(0), card(1, part("footer"))), 132012, id="card-with-a-footer"),
    ],
)  # fmt: skip
def test_what_meta_refuses_of_a_template_is_refused(
    known: Template, body: JSON, expected: int
) -> None:
    assert code_of(body, known) == expected
