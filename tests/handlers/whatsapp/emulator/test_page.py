"""A person and a bot talk through the page, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from msgspec.json import encode
from playwright.async_api import Browser, FilePayload, Page, async_playwright, expect

from handlers.whatsapp.emulator.forms import put_json
from handlers.whatsapp.emulator.media import SAMPLES
from handlers.whatsapp.emulator.server import PAGE
from tests.bot.lanes.servers import until
from tests.handlers.whatsapp.emulator.stage import (
    JSON,
    LUNA,
    PATIENCE_S,
    SECRET,
    SOL,
    Hook,
    Stage,
    buttons,
    interactive,
    items,
    link,
    menu,
    on_stage,
    reminder,
    text,
)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def request(kind: str, name: str) -> JSON:
    return interactive({"type": kind, "body": {"text": "¿Me ayudas?"}, "action": {"name": name}})


def slide(index: int, title: str) -> JSON:
    return {
        "card_index": index,
        "type": "cta_url",
        "header": {"type": "image", "image": {"link": "https://sol.example/torta.jpg"}},
        "body": {"text": title},
        "action": {
            "buttons": [
                {
                    "type": "quick_reply",
                    "quick_reply": {"id": f"c{index}", "title": f"Quiero {title}"},
                }
            ]
        },
    }


FORM = {
    "flow_message_version": "3",
    "flow_id": "77",
    "flow_token": "t-1",
    "flow_cta": "Completar",
    "flow_action_payload": {"screen": "START", "data": {"nombre": "Ana"}},
}
SCREENS: JSON = {
    "version": "7.0",
    "screens": [
        {
            "id": "START",
            "title": "Tu pedido",
            "data": {"nombre": {"type": "string", "__example__": "Ana"}},
            "layout": {
                "type": "SingleColumnLayout",
                "children": [
                    {"type": "TextBody", "text": "Hola ${data.nombre}"},
                    {"type": "TextInput", "name": "cake", "label": "Torta", "required": True},
                    {
                        "type": "Dropdown",
                        "name": "size",
                        "label": "Tamaño",
                        "data-source": [{"id": "20", "title": "Para 20"}],
                    },
                    {
                        "type": "Footer",
                        "label": "Seguir",
                        "on-click-action": {
                            "name": "navigate",
                            "next": {"type": "screen", "name": "LAST"},
                            "payload": {"cake": "${form.cake}", "size": "${form.size}"},
                        },
                    },
                ],
            },
        },
        {
            "id": "LAST",
            "title": "Confirma",
            "terminal": True,
            "data": {name: {"type": "string", "__example__": "x"} for name in ("cake", "size")},
            "layout": {
                "type": "SingleColumnLayout",
                "children": [
                    {"type": "OptIn", "name": "sure", "label": "Acepto el precio"},
                    {
                        "type": "Footer",
                        "label": "Enviar",
                        "on-click-action": {
                            "name": "complete",
                            "payload": {
                                "cake": "${data.cake}",
                                "size": "${data.size}",
                                "sure": "${form.sure}",
                            },
                        },
                    },
                ],
            },
        },
    ],
}
KINDS: dict[str, JSON] = {
    "formulario": interactive(
        {
            "type": "flow",
            "body": {"text": "Faltan datos"},
            "action": {"name": "flow", "parameters": FORM},
        }
    ),
    "lugar": request("location_request_message", "send_location"),
    "número": request("request_contact_info", "request_contact_info"),
    "tortas": interactive(
        {
            "type": "carousel",
            "body": {"text": "¿Cuál?"},
            "action": {"cards": [slide(0, "Mil hojas"), slide(1, "Selva negra")]},
        }
    ),
    "foto": {
        "type": "image",
        "image": {"link": "https://sol.example/torta.jpg", "caption": "Así *quedó*"},
    },
}


class Baker:
    """A bot that verifies each webhook and answers through the Graph API."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def hear(self, request: web.Request) -> web.Response:
        hook = Hook(await request.read(), request.headers["X-Hub-Signature-256"])
        proof = HMAC(SECRET.encode(), hashes.SHA256())
        proof.update(hook.raw)
        proof.verify(bytes.fromhex(hook.signature.removeprefix("sha256=")))
        for message in items(hook.body, "messages"):
            await self._stage.sends({"status": "read", "message_id": message["id"]})
            address = (
                {"to": message["from"]}
                if "from" in message
                else {"recipient": message["from_user_id"]}
            )
            await self._stage.sends({**_without_to(self.answer(message)), **address})
        return web.Response()

    def answer(self, message: JSON) -> JSON:
        match message:
            case {"type": "text", "text": {"body": "hola"}}:
                return menu(
                    [
                        {
                            "rows": [
                                {
                                    "id": "prices",
                                    "title": "Ver precios",
                                    "description": "Pan y tortas",
                                }
                            ]
                        }
                    ]
                )
            case {"type": "text", "text": {"body": "pedido"}}:
                return buttons("Sí, ese", "Es otro")
            case {"type": "text", "text": {"body": "hora"}}:
                return reminder()
            case {
                "type": "text",
                "text": {"body": ("formulario" | "lugar" | "número" | "tortas" | "foto") as asked},
            }:
                return KINDS[asked]
            case {"interactive": {"nfm_reply": {"response_json": filled}}}:
                return text(f"Recibí {filled}")
            case {
                "type": "contacts",
                "origin": "contact_request",
                "contacts": [{"phones": [{"wa_id": wa_id}]}],
            }:
                return text(f"Recibí contact_request {wa_id}")
            case {"type": "location", "context": {"id": _}}:
                return text("Recibí un lugar pedido")
            case {"interactive": {"list_reply": {"id": "prices"}}}:
                return link("Abrir lista", "https://sol.example/precios")
            case {"interactive": {"button_reply": {"title": title}}}:
                return text(f"Elegiste *{title}*. <b>no es HTML</b>")
            case {"button": {"payload": payload}}:
                return text(f"Anotado: {payload}")
            case {"type": kind}:
                return text(f"Recibí {kind}")
            case _:
                raise AssertionError(message)


def _without_to(body: JSON) -> JSON:
    return {key: value for key, value in body.items() if key != "to"}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with on_stage(numbers=[SOL]) as stage:
        stage.bot = Baker(stage).hear
        yield stage


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, address: str, *, width: int = 1280, touch: bool = False
) -> AsyncIterator[Page]:
    """The page; any error in it, or anything that its policy refuses, fails the test."""
    context = await browser.new_context(
        viewport={"width": width, "height": 800}, has_touch=touch, locale="es-CL"
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    await page.goto(address)
    yield page
    assert complaints == []
    await context.close()


async def writes(page: Page, words: str) -> None:
    await page.get_by_label("Escribe un mensaje").fill(words)
    await page.keyboard.press("Enter")


async def test_a_person_writes_chooses_a_row_and_sees_the_ticks(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()

        await writes(page, "hola")
        mine = page.locator(".mine").first
        await expect(mine).to_contain_text("hola")
        await expect(mine.get_by_role("img", name="Leído")).to_be_visible()

        await page.get_by_role("button", name="Ver", exact=True).click()
        await (
            page.get_by_role("dialog")
            .get_by_role("button", name="Ver precios Pan y tortas")
            .click()
        )
        await expect(page.locator(".mine").last).to_contain_text("Ver precios")
        await expect(page.get_by_role("link", name="Abrir lista")).to_have_attribute(
            "href", "https://sol.example/precios"
        )
        await expect(page.locator(".theirs").last.get_by_role("img", name="Leído")).to_be_visible()


async def test_a_tapped_button_is_answered_and_no_text_becomes_markup(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "pedido")

        await page.get_by_role("button", name="Sí, ese").click()

        answer = page.locator(".theirs").last
        await expect(answer.locator("strong")).to_have_text("Sí, ese")
        await expect(answer).to_contain_text("<b>no es HTML</b>")


async def test_after_25_hours_the_window_is_closed_and_a_free_message_fails(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "pedido")
        await expect(page.get_by_text("Ventana: 23 h 59 min")).to_be_visible()

        await page.get_by_role("button", name="Adelantar 25 horas").click()
        await expect(page.get_by_text("Ventana cerrada", exact=True)).to_be_visible()
        await expect(page.locator("li.day").first).to_have_text("Ayer")
        await stage.sends(text("¿Sigues ahí?"))

        await expect(page.get_by_text("No llegó: la ventana está cerrada (131047)")).to_be_visible()


async def test_a_template_button_is_tapped_on_a_phone_by_somebody_without_a_phone_number(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address, width=360, touch=True) as page:
        await page.get_by_role("button", name="Agregar persona").click()
        await page.get_by_label("Nombre").fill("Bruno Soto")
        await page.get_by_label("Solo por usuario (BSUID)").check()
        await page.get_by_label("Usuario", exact=True).fill("bruno.soto")
        await page.get_by_role("button", name="Agregar", exact=True).click()
        await writes(page, "hora")
        await expect(page.get_by_text("Plantilla recordatorio_hora")).to_be_visible()

        await page.get_by_role("button", name="Sí, voy").tap()

        await expect(page.locator(".theirs").last).to_contain_text("Anotado: Sí, voy")
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        assert stage.emulator.world.people["p1"].visible_wa_id == ""  # type: ignore[index]  # a plain text is an id here


async def test_every_attachment_reaches_the_bot(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        kinds = {
            "Foto": "image",
            "Nota de voz": "audio",
            "Sticker": "sticker",
            "Ubicación": "location",
            "Contacto": "contacts",
            "Encuesta (no soportada)": "unsupported",
        }

        for label, kind in kinds.items():
            await page.get_by_role("button", name="Adjuntar").click()
            await (
                page.get_by_role("group", name="Adjuntar").get_by_role("button", name=label).click()
            )
            await expect(page.locator(".theirs").last).to_contain_text(f"Recibí {kind}")


@pytest.mark.parametrize("width", [pytest.param(1280, id="wide"), pytest.param(360, id="phone")])
async def test_a_form_is_filled_in_and_sent(stage: Stage, browser: Browser, width: int) -> None:
    async with opened(browser, stage.address, width=width) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "formulario")

        await page.get_by_role("button", name="Completar").click()
        form = page.get_by_role("dialog", name="Completar")
        await expect(form.get_by_label("Campo").first).to_be_focused()
        await expect(form.get_by_label("Campo").first).to_have_value("nombre")
        await form.get_by_label("Campo").nth(1).fill("personas")
        await form.get_by_label("Valor").nth(1).fill("4")
        await form.get_by_role("button", name="Enviar formulario").click()

        await expect(page.locator(".mine").last).to_contain_text("Formulario enviado")
        await expect(page.locator(".theirs").last).to_contain_text(
            'Recibí {"nombre":"Ana","personas":4,"flow_token":"t-1"}'
        )
        assert await page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [pytest.param(1280, id="wide"), pytest.param(360, id="phone")])
async def test_the_screens_of_a_form_are_filled_in(
    stage: Stage, browser: Browser, width: int
) -> None:
    form = stage.emulator.forms.make(SOL.waba_id, str(FORM["flow_id"]))
    assert put_json(form, encode(SCREENS)) == []
    form.status = "PUBLISHED"
    async with opened(browser, stage.address, width=width) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "formulario")
        await page.get_by_role("button", name="Completar").click()

        first = page.get_by_role("dialog", name="Tu pedido")
        await expect(first.get_by_text("Hola Ana")).to_be_visible()
        await expect(first.get_by_label("Torta")).to_be_focused()
        await first.get_by_label("Torta").fill("Mil hojas")
        await first.get_by_label("Tamaño").select_option("Para 20")
        await first.get_by_role("button", name="Seguir").click()

        last = page.get_by_role("dialog", name="Confirma")
        await last.get_by_label("Acepto el precio").check()
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        await last.get_by_role("button", name="Enviar").click()

        await expect(page.locator(".mine").last).to_contain_text("Formulario enviado")
        await expect(page.locator(".theirs").last).to_contain_text(
            'Recibí {"cake":"Mil hojas","size":"20","sure":true,"flow_token":"t-1"}'
        )


async def test_a_place_and_a_phone_are_shared_on_request(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "lugar")
        await page.get_by_role("button", name="Enviar ubicación").click()
        await expect(page.locator(".theirs").last).to_contain_text("Recibí un lugar pedido")

        await writes(page, "número")
        await page.get_by_role("button", name="Compartir teléfono").click()

        await expect(page.locator(".mine").last).to_contain_text("+56 9 1234 5678")
        await expect(page.locator(".theirs").last).to_contain_text(
            "Recibí contact_request 56912345678"
        )


async def test_a_card_of_a_carousel_is_reached_and_tapped_with_the_keyboard(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address, width=360) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "tortas")
        cards = page.get_by_role("list", name="2 tarjetas, de lado a lado")
        await expect(cards.get_by_role("img", name="Foto")).to_have_count(2)

        await cards.get_by_role("button", name="Quiero Selva negra").focus()
        await page.keyboard.press("Enter")

        await expect(page.locator(".theirs").last).to_contain_text("Elegiste Quiero Selva negra")
        assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def test_a_file_tells_what_it_is_and_where(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()

        await writes(page, "foto")

        bubble = page.locator(".theirs").last
        await expect(bubble.get_by_role("img", name="Foto")).to_be_visible()
        await expect(bubble.get_by_role("link", name="torta.jpg")).to_have_attribute(
            "href", "https://sol.example/torta.jpg"
        )
        await expect(bubble.locator("strong")).to_have_text("quedó")


async def test_the_business_reacts_to_what_a_person_wrote(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "¿pan?")
        await expect(page.locator(".theirs")).to_have_count(1)
        wamid = await page.locator(".mine").first.get_attribute("data-wamid")

        await stage.sends(
            {
                "to": "56912345678",
                "type": "reaction",
                "reaction": {"message_id": wamid, "emoji": "👍"},
            }
        )

        await expect(page.locator(".mine .reaction").first).to_have_text("👍")
        await expect(page.locator(".theirs")).to_have_count(1)


async def test_files_of_this_computer_are_sent_and_shown(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await page.get_by_label("Escribe un mensaje").fill("una así")
        picker = page.locator("#file")

        await picker.set_input_files(SAMPLES / "photo.jpg")
        await expect(page.locator(".theirs").last).to_contain_text("Recibí image")
        await picker.set_input_files(SAMPLES / "voice.ogg")
        await expect(page.locator(".theirs").last).to_contain_text("Recibí audio")
        paper = FilePayload(name="cotización.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7")
        await picker.set_input_files(paper)
        await expect(page.locator(".theirs").last).to_contain_text("Recibí document")

        photo = page.locator(".mine").filter(has_text="una así").locator("img")
        await expect(photo).to_have_js_property("naturalWidth", 480)
        sound = page.locator(".mine audio")
        await expect(sound).to_have_js_property("error", None)
        await expect(sound).not_to_have_js_property("duration", 0)
        document = page.get_by_role("link", name="cotización.pdf")
        await expect(document).to_have_attribute("download", "cotización.pdf")


async def test_what_the_bot_sends_is_seen(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "hola")
        await expect(page.locator(".theirs").last).to_be_visible()
        medium = stage.emulator.media.upload(
            SOL.id, "image/jpeg", (SAMPLES / "photo.jpg").read_bytes(), now_ms=stage.clock.now_ms()
        )
        address = {"to": stage.emulator.world.people["p1"].wa_id}  # type: ignore[index]  # a plain text is an id here

        image = {"id": medium.id, "caption": "Así queda"}
        await stage.sends({**address, "type": "image", "image": image})
        linked = {"link": "https://sol.example/carta.pdf", "filename": "carta.pdf"}
        await stage.sends({**address, "type": "document", "document": linked})

        shown = page.locator(".theirs").filter(has_text="Así queda").locator("img")
        await expect(shown).to_have_js_property("naturalWidth", 480)
        link = page.get_by_role("link", name="carta.pdf")
        await expect(link).to_have_attribute("href", "https://sol.example/carta.pdf")


async def test_a_double_click_puts_a_reaction(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "¿pan?")
        bubble = page.locator(".theirs").first

        await bubble.locator(".words").dblclick()
        await page.get_by_role("dialog").get_by_role("button", name="👍").click()

        await expect(bubble.locator(".reaction")).to_have_text("👍")
        await expect(page.locator(".theirs").last).to_contain_text("Recibí reaction")


async def test_a_fault_is_switched_on_for_once_and_shows_itself(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await page.get_by_role("group", name="Webhook duplicado").get_by_label("Una vez").check()
        await expect(page.get_by_text("1 activa")).to_be_visible()

        await writes(page, "¿pan?")

        await expect(page.locator(".theirs")).to_have_count(2)
        await expect(page.get_by_text("1 activa")).to_be_hidden()


async def test_what_meta_decides_is_chosen_and_told(stage: Stage, browser: Browser) -> None:
    fields: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        fields.append(body["entry"][0]["changes"][0]["field"])
        return web.Response()

    stage.bot = hear
    async with opened(browser, stage.address) as page:
        await page.get_by_label("Cuenta y número").select_option("Bloquear la cuenta")
        await page.locator("#meta-decide").click()
        await page.get_by_label("Plantilla", exact=True).focus()
        await page.get_by_label("Plantilla", exact=True).select_option("recordatorio_hora es_CL")
        await page.get_by_label("Le pasa").select_option("En pausa")
        await page.locator("#meta-review").click()
        await until(lambda: len(fields) == 2)

    template = stage.emulator.world.template(SOL.waba_id, "recordatorio_hora", "es_CL")
    assert fields == ["account_update", "message_template_status_update"]
    assert stage.emulator.accounts.standing(SOL.id).disabled
    assert template is not None
    assert template.status == "PAUSED"


async def test_the_keyboard_alone_is_enough(stage: Stage, browser: Browser) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Escribe un mensaje")).to_be_focused()
        await page.keyboard.type("pedido")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Es otro").focus()
        await page.keyboard.press("Space")

        await expect(page.locator(".theirs").last).to_contain_text("Elegiste Es otro")


async def test_the_page_works_below_a_prefix(browser: Browser) -> None:
    async with on_stage(numbers=[SOL], prefix="/emulador") as stage:
        stage.bot = Baker(stage).hear
        async with opened(browser, stage.address) as page:
            await page.get_by_role("button", name="Empezar como Ana").click()
            await writes(page, "pedido")

            await expect(page.get_by_role("button", name="Sí, ese")).to_be_visible()


async def test_the_page_may_load_nothing_from_elsewhere(stage: Stage) -> None:
    async with aiohttp.ClientSession() as http, http.get(stage.address) as answer:
        policy = answer.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("file", sorted(PAGE.glob("*.js")), ids=lambda file: file.name)
def test_no_script_writes_markup(file: Path) -> None:
    source = file.read_text()

    assert not [
        word
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
        if word in source
    ]


async def test_a_message_is_changed_and_taken_back_on_the_page(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "pedido")
        mine = page.locator(".mine").first
        await mine.get_by_role("button", name="Reaccionar").click()
        await page.get_by_role("dialog").get_by_role("button", name="Editar").click()
        await page.get_by_role("dialog").get_by_label("Editar").fill("otro pedido")
        await page.keyboard.press("Enter")
        await expect(mine).to_contain_text("otro pedido")
        await expect(mine).to_contain_text("editado")

        await mine.get_by_role("button", name="Reaccionar").click()
        await page.get_by_role("dialog").get_by_role("button", name="Eliminar para todos").click()

        await expect(mine).to_contain_text("Se eliminó este mensaje")
        await expect(mine).not_to_contain_text("otro pedido")


async def test_the_owner_answers_and_the_person_changes_their_number_on_the_page(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, stage.address) as page:
        await page.get_by_role("button", name="Empezar como Ana").click()
        await writes(page, "pedido")
        await page.get_by_role("button", name="Adjuntar").click()
        await page.get_by_role("button", name="Responder como la empresa").click()
        await page.get_by_role("dialog").get_by_role("textbox").fill("Hola, soy Sol")
        await page.keyboard.press("Enter")
        await expect(page.locator(".theirs").last).to_contain_text(
            "Desde el teléfono de la empresa"
        )
        await expect(page.locator(".theirs").last).to_contain_text("Hola, soy Sol")

        await page.get_by_role("button", name="Adjuntar").click()
        await page.get_by_role("button", name="Cambiar algo de la persona").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cambiar de número").click()
        await page.keyboard.press("Enter")

        await expect(page.get_by_role("dialog")).to_be_hidden()
        await stage.emulator.settled()
        [ana] = [who for who in stage.emulator.world.people.values() if who.name == "Ana"]
        assert ana.wa_id not in ("", "56912345678")


@pytest.mark.parametrize("known", [True, False], ids=["somebody-known", "nobody-yet"])
async def test_a_link_opens_a_chat_with_the_words_ready_to_be_sent(
    browser: Browser, known: bool
) -> None:
    digits = "".join(filter(str.isdigit, LUNA.display_phone))
    async with on_stage(numbers=[SOL, LUNA]) as stage:
        if known:
            await stage.control("POST", "people", {"name": "Bruno", "wa_id": "56911112222"})
        async with opened(
            browser, f"{stage.address}/wa.me/{digits}?text=Demo%207K2MQ9XD4%20%26%20m%C3%A1s"
        ) as page:
            await expect(page.get_by_role("heading", name=LUNA.name)).to_be_visible()
            await expect(page.get_by_label("Escribe un mensaje")).to_have_value(
                "Demo 7K2MQ9XD4 & más"
            )
            await expect(
                page.get_by_text(f"Escribes como {'Bruno' if known else 'Ana'}")
            ).to_be_visible()

            await page.reload()

            await expect(page.get_by_role("heading", name=LUNA.name)).to_be_visible()
            await expect(page.get_by_label("Escribe un mensaje")).to_have_value("")


async def test_a_link_to_a_number_that_is_not_there_opens_the_page(
    stage: Stage, browser: Browser
) -> None:
    async with opened(browser, f"{stage.address}/wa.me/5690000?text=hola") as page:
        await expect(page.get_by_role("button", name="Empezar como Ana")).to_be_visible()
