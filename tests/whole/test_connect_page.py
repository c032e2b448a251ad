"""An owner connects the firm's own number on the hosted page, in a real browser; Facebook's window is the emulator's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.onboarding.connect import LIFE_MS
from bot.people.channels import Mark
from handlers.whatsapp.emulator.signups import PIN
from tests.handlers.whatsapp.emulator.stage import PATIENCE_S
from tests.handlers.whatsapp.emulator.test_page import FLAGS
from tests.whole.conftest import Whole, whole_server
from tests.whole.connecting import (
    LUNA,
    Owner,
    channels_of,
    chooses,
    hears,
    own_of,
    with_luna,
    writes,
)
from tests.whole.people import until

CHAT: Final = "https://wa.me/56223456789"


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, mark=Mark.PLATFORM) as whole:
        await with_luna(whole)
        yield whole


@pytest.fixture
async def owner(whole: Whole) -> Owner:
    return await own_of(whole)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    whole: Whole,
    chromium: Browser,
    link: str,
    *,
    width: int = 360,
    scheme: Literal["light", "dark"] = "light",
    locale: str = "es-CL",
) -> AsyncIterator[Page]:
    """The page, which makes no mistake on the way and asks nobody but us and Meta's SDK."""
    context = await chromium.new_context(
        locale=locale, viewport={"width": width, "height": 740}, color_scheme=scheme
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    mistakes: list[str] = []
    ours = (whole.server.address, whole.settings.graph_url, "data:")
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on(
        "console",
        lambda line: mistakes.append(line.text) if "Content Security" in line.text else None,
    )
    page.on(
        "request",
        lambda asked: mistakes.append(asked.url) if not asked.url.startswith(ours) else None,
    )
    await page.goto(link)
    yield page
    assert mistakes == []
    await context.close()


@asynccontextmanager
async def window(page: Page, kind: str = "Uno nuevo") -> AsyncIterator[Page]:
    """Meta's window, opened for a kind of number."""
    await page.get_by_role("radio", name=kind).check()
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Conectar con Facebook").click()
    popup = await opening.value
    await expect(popup).to_have_title("Facebook (emulador)")
    yield popup


def status(page: Page) -> Any:
    return expect(page.get_by_role("status"))


async def test_a_new_number_is_connected_and_answers(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    async with opened(whole, chromium, owner.link) as page:
        await expect(page).to_have_title("Conectar tu WhatsApp")
        await expect(page.locator("#firm")).to_have_text(LUNA.name)
        assert "#" not in page.url
        async with window(page) as meta:
            await meta.get_by_label("Número de teléfono").fill("+56 9 5111 2222")
            await meta.get_by_role("button", name="Finalizar").click()

        await status(page).to_have_text(
            "Listo: +56 9 5111 2222 quedó conectado. Tu asistente responde desde ahora. 🎉"
        )
        back = page.get_by_role("link", name="Volver a WhatsApp")
        await expect(back).to_have_attribute("href", CHAT)
        await expect(page.locator("#steps [data-is=done]")).to_have_count(4)

    [sealed] = await channels_of(whole)
    [number] = [n for n in whole.emulator.world.numbers.values() if n.id != NUMBER.id]
    assert sealed.channel.phone_number_id == number.id
    person = await writes(whole, number.id, "hola")

    async def answered() -> bool:
        return "Luna" in " ".join(await hears(whole, number.id, person))

    await until(answered, within_s=15, what="the firm's own bot")


async def test_the_number_of_the_app_stays_there(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    async with opened(whole, chromium, owner.link) as page:
        async with window(page, "El que ya uso en WhatsApp Business") as meta:
            await expect(
                meta.get_by_role("radio", name="El de mi aplicación WhatsApp Business")
            ).to_be_checked()
            await meta.get_by_role("button", name="Finalizar").click()

        await status(page).to_contain_text("quedó conectado")
        await expect(page.locator("[data-step=register]")).to_be_hidden()
    assert len(whole.emulator.signups.synced) == 2


async def test_a_window_that_is_left_is_opened_again(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    async with opened(whole, chromium, owner.link) as page:
        for leave, words in {
            "Cancelar": "la ventana se cerró antes de terminar",
            "Avisar de un problema": "Meta no pudo terminar",
            "": "la ventana se cerró antes de terminar",
        }.items():
            async with window(page) as meta:
                if leave:
                    await meta.get_by_role("button", name=leave).click()
                else:
                    await meta.close()
            await status(page).to_contain_text(words)
            await expect(page.get_by_role("link", name="Hablar con una persona")).to_be_visible()

        async with window(page) as meta:
            await meta.get_by_role("radio", name="Ninguno por ahora").check()
            await meta.get_by_role("button", name="Finalizar").click()
        await status(page).to_contain_text("no elegiste un número")
        assert await channels_of(whole) == []

        async with window(page) as meta:
            await meta.get_by_role("button", name="Finalizar").click()
        await status(page).to_contain_text("quedó conectado")


async def test_a_number_of_another_firm_is_refused(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    async with opened(whole, chromium, owner.link) as page:
        async with window(page) as meta:
            await meta.get_by_role("radio", name="El de Panadería Sol").check()
            await meta.get_by_role("button", name="Finalizar").click()

        await status(page).to_contain_text("ya está conectado a otro negocio")
        await page.get_by_role("button", name="Intentar de nuevo").click()
        await expect(page.get_by_role("button", name="Conectar con Facebook")).to_be_enabled()


async def test_the_pin_of_a_number_is_asked_for(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    async with opened(whole, chromium, owner.link) as page:
        async with window(page) as meta:
            await meta.get_by_role("radio", name="Uno nuevo, que ya tiene un PIN").check()
            await meta.get_by_role("button", name="Finalizar").click()
        await status(page).to_contain_text("necesito su PIN")

        field = page.get_by_label("PIN de 6 dígitos del número", exact=True)
        await expect(field).to_be_focused()
        await page.keyboard.type("123")
        await page.keyboard.press("Enter")
        await status(page).to_contain_text("El PIN tiene 6 dígitos")
        await field.fill("111111")
        await page.keyboard.press("Enter")
        await status(page).to_contain_text("necesito su PIN")
        await field.fill(PIN)
        await page.get_by_role("button", name="Registrar con este PIN").click()

        await status(page).to_contain_text("quedó conectado")


async def test_what_fails_on_the_way_is_tried_anew(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    finished = chooses(whole)
    whole.emulator.accounts.change(
        finished.data["phone_number_id"],  # type: ignore[arg-type]
        {"register_fails_with": 133016},
    )
    await owner.gives(finished)
    await owner.comes("failed")
    async with opened(whole, chromium, owner.link) as page:
        await status(page).to_contain_text("10 veces en 72 horas")
        await expect(page.get_by_role("button", name="Empezar de nuevo")).to_be_visible()
        whole.emulator.accounts.change(
            finished.data["phone_number_id"],  # type: ignore[arg-type]
            {"register_fails_with": 0},
        )
        await page.get_by_role("button", name="Intentar de nuevo").click()

        await status(page).to_contain_text("quedó conectado")


async def test_a_reload_goes_on_where_it_was(whole: Whole, owner: Owner, chromium: Browser) -> None:
    async with opened(whole, chromium, owner.link) as page:
        await page.reload()
        async with window(page) as meta:
            await meta.get_by_role("button", name="Finalizar").click()
        await status(page).to_contain_text("quedó conectado")

        await page.reload()

        await status(page).to_contain_text("quedó conectado")


# ------------------------------------------------------------------ links that open nothing


async def test_a_link_that_opens_nothing_says_why(
    stores: Stores, tmp_path: Path, free_port: int, chromium: Browser
) -> None:
    clock = Clock()
    async with whole_server(stores, tmp_path, free_port, clock=clock, mark=Mark.PLATFORM) as whole:
        await with_luna(whole)
        owner, other = await own_of(whole), await own_of(whole)
        nobody = await own_of(whole, "customer")
        for link, words in {
            f"{whole.server.address}/connect": "Pídelo en el chat",
            owner.link[:-6]: "no está completo o no es nuestro",
            nobody.link: "ya no administra el negocio",
        }.items():
            async with opened(whole, chromium, link) as page:
                await status(page).to_contain_text(words)
                await expect(page.get_by_role("link", name="Volver a WhatsApp")).to_be_visible()
                await expect(
                    page.get_by_role("button", name="Conectar con Facebook")
                ).to_be_hidden()

        await owner.gives(chooses(whole, display_phone="+56 9 5333 4444"))
        await owner.comes("done")
        async with opened(whole, chromium, owner.link) as page:
            await status(page).to_contain_text("+56 9 5333 4444 quedó conectado")
            await expect(page.get_by_role("button", name="Conectar con Facebook")).to_be_hidden()

        clock.shift(LIFE_MS)
        async with opened(whole, chromium, other.link) as page:
            await status(page).to_contain_text("Este enlace venció")
            await expect(page.get_by_role("link", name="Hablar con una persona")).to_be_visible()


async def test_a_platform_that_cannot_says_so(
    stores: Stores, tmp_path: Path, free_port: int, chromium: Browser
) -> None:
    environment = {"META_APP_ID": "", "META_CONFIG_ID": ""}
    async with (
        whole_server(stores, tmp_path, free_port, environment=environment) as whole,
        opened(whole, chromium, f"{whole.server.address}/connect#x") as page,
    ):
        await status(page).to_have_text("Esta plataforma todavía no puede conectar números.")


# ------------------------------------------------------------------ who may speak to the page


async def test_what_other_sites_say_is_not_heard(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    finish = '{"type":"WA_EMBEDDED_SIGNUP","event":"FINISH_ONLY_WABA","data":{"waba_id":"1"},"version":3}'
    async with opened(whole, chromium, owner.link) as page:
        async with window(page) as meta:
            # The page itself is another site than Meta's window.
            await page.evaluate("told => window.postMessage(told, '*')", finish)
            await page.evaluate("window.dispatchEvent(new Event('message'))")
            for strange in ("null", "7", '"x"', "[]", "{", '{"type":"WA_EMBEDDED_SIGNUP"}'):
                await meta.evaluate("told => window.opener.postMessage(told, '*')", strange)
            await status(page).to_contain_text("Sigue los pasos en la ventana de Meta")
            await meta.get_by_role("button", name="Finalizar").click()
        await status(page).to_contain_text("quedó conectado")

        allows = "([mine, origin]) => { origins.splice(0, 9, ...mine); return allowed(origin); }"
        metas = ["https://*.facebook.com", "https://facebook.com"]
        for origin, expected in {
            "https://www.facebook.com": True,
            "https://web.facebook.com": True,
            "https://facebook.com": True,
            "http://www.facebook.com": False,
            "https://evilfacebook.com": False,
            "https://www.facebook.com.evil.example": False,
            "https://www.facebook.com:8443": False,
            "https://evil.example/.facebook.com": False,
            "null": False,
            "": False,
        }.items():
            assert await page.evaluate(allows, [metas, origin]) is expected, origin


async def test_the_ids_may_never_come(whole: Whole, owner: Owner, chromium: Browser) -> None:
    async with opened(whole, chromium, owner.link) as page:
        await page.clock.install()
        await page.evaluate("origins.splice(0, 9)")  # whatever the window says, is not heard
        async with window(page) as meta:
            await meta.get_by_role("button", name="Finalizar").click()

        await status(page).to_contain_text("Revisando con Meta")
        assert await channels_of(whole) == []
        await page.clock.fast_forward(8_000)
        await status(page).to_contain_text("quedó conectado")


async def test_an_sdk_that_is_blocked_is_said(
    whole: Whole, owner: Owner, chromium: Browser
) -> None:
    async with opened(whole, chromium, "about:blank") as page:
        await page.route("**/sdk.js", lambda route: route.abort())
        await page.goto(owner.link)
        await status(page).to_contain_text("bloqueador de anuncios")

        await page.unroute("**/sdk.js")
        await page.get_by_role("button", name="Intentar de nuevo").click()
        await expect(page.get_by_role("button", name="Conectar con Facebook")).to_be_enabled()


# ------------------------------------------------------------------ for everybody


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")])
async def test_nothing_is_wider_than_the_screen_and_all_can_be_reached(
    whole: Whole,
    owner: Owner,
    chromium: Browser,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    async with opened(whole, chromium, owner.link, width=width, scheme=scheme) as page:
        await expect(page.get_by_role("button", name="Conectar con Facebook")).to_be_enabled()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        reached = []
        for _ in range(3):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate("document.activeElement.value || document.activeElement.id")
            )
        assert reached == ["app", "go", "language"]

        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Connect your WhatsApp")
        await expect(page.get_by_role("button", name="Connect with Facebook")).to_be_enabled()
        assert await page.locator("html").get_attribute("lang") == "en"


async def test_the_page_runs_nothing_but_its_own_and_the_sdk(whole: Whole) -> None:
    sly = "\"'><script>alert(1)</script>"
    for path in ("/connect", "/connect/connect.js", "/connect/connect.css"):
        url = f"{whole.server.address}{path}"
        async with whole.http.get(url, params={"locale": sly, "x": sly}) as answer:
            policy = answer.headers["Content-Security-Policy"]
            body = await answer.text()
            assert answer.status == 200
            assert "default-src 'none'" in policy
            assert f"script-src 'self' {whole.settings.graph_url};" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Referrer-Policy"] == "strict-origin"
            assert "alert(1)" not in body
    async with whole.http.get(f"{whole.server.address}/login") as answer:
        assert whole.settings.graph_url not in answer.headers["Content-Security-Policy"]
