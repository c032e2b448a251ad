"""Somebody logs in on the hosted page, in a real browser, with their phone beside it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.embedded.stores import Stores
from bot.people.channels import Mark
from tests.handlers.whatsapp.emulator.stage import PATIENCE_S
from tests.handlers.whatsapp.emulator.test_page import FLAGS
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone
from tests.whole.test_login_by_chat import hears, taps

ANA: Final = 7
APP: Final = "https://app.example/"


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, mark=Mark.PLATFORM) as whole:
        await whole.people.join(ANA)
        yield whole


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(whole: Whole, chromium: Browser, path: str = "/login") -> AsyncIterator[Page]:
    """The page, which makes no mistake on the way and asks nobody else."""
    context = await chromium.new_context(locale="es-CL", viewport={"width": 360, "height": 740})
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("console", lambda line: refuses(line.text))
    page.on("request", lambda asked: mistakes.append(asked.url) if outside(asked.url) else None)

    def refuses(line: str) -> None:
        if "Content Security Policy" in line:
            mistakes.append(line)

    def outside(url: str) -> bool:
        return not url.startswith((whole.server.address, "data:", APP))

    await page.goto(f"{whole.server.address}{path}")
    yield page
    assert mistakes == []
    await context.close()


async def test_a_code_that_arrives_opens_the_page(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium) as page:
        await expect(page).to_have_title("Ingresar a Panadería Sol")
        await page.get_by_label("Tu celular", exact=True).fill(f"+{phone(ANA)}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Te mandamos un código")
        found = re.search(r"(?<!\d)\d{6}(?!\d)", repr((await hears(whole, ANA, 1)).content))
        assert found is not None

        wrong = f"{(int(found[0]) + 1) % 1_000_000:06}"
        await expect(page.get_by_label("Código de 6 dígitos")).to_be_focused()
        await page.keyboard.type(wrong)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Ese código no funciona")
        await page.get_by_label("Código de 6 dígitos").fill(found[0])
        await page.get_by_role("button", name="Entrar").click()

        await expect(page.get_by_role("status")).to_have_text("Ya ingresaste.")


async def test_a_number_that_gets_no_codes_is_told_so(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium) as page:
        for number in ("", "12", "+1 650 555 1234"):
            await page.get_by_label("Tu celular", exact=True).fill(number)
            await page.get_by_role("button", name="Mandarme un código").click()
            await expect(page.get_by_role("status")).to_contain_text("No podemos mandar un código")
            await expect(page.get_by_label("Tu celular", exact=True)).to_be_focused()


async def test_whatsapp_itself_opens_the_page(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium) as page:
        await page.get_by_role("button", name="Ingresar con WhatsApp").click()
        await expect(page.get_by_role("img", name="Código QR")).to_be_visible()
        assert await page.locator("#qr").evaluate("qr => qr.naturalWidth") > 100
        link = await page.get_by_role("link", name="Abrir WhatsApp").get_attribute("href")
        [message] = parse_qs(urlsplit(str(link)).query)["text"]
        await expect(page.get_by_role("status")).to_contain_text("Espero tu mensaje")

        await whole.people.write(ANA, message)
        question = await hears(whole, ANA, 1)
        await expect(page.get_by_role("status")).to_contain_text("Te pregunté en WhatsApp")
        await taps(whole, ANA, question, "Sí, soy yo")

        await expect(page.get_by_role("status")).to_have_text("Ya ingresaste.")
        assert "desde Chrome en Linux" in str(getattr(question.content, "body", ""))


async def test_whoever_says_no_keeps_the_page_out(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium) as page:
        await page.get_by_role("button", name="Ingresar con WhatsApp").click()
        link = await page.get_by_role("link", name="Abrir WhatsApp").get_attribute("href")
        [message] = parse_qs(urlsplit(str(link)).query)["text"]
        await whole.people.write(ANA, message)

        await taps(whole, ANA, await hears(whole, ANA, 1), "No fui yo")

        await expect(page.get_by_role("status")).to_contain_text("nadie ingresó")
        await expect(page.get_by_role("button", name="Ingresar con WhatsApp")).to_be_visible()


async def test_a_page_that_is_not_told_asks(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium) as page:
        await page.route("**/auth/link/events", lambda route: route.abort())
        await confirms(whole, page)

        await expect(page.get_by_role("status")).to_have_text("Ya ingresaste.")


async def test_an_address_that_was_used_opens_nothing(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium, "/login#entry=AAAA") as page:
        assert "#" not in page.url
        await page.get_by_role("button", name="Entrar").click()

        await expect(page.get_by_role("status")).to_contain_text("ya se usó o venció")
        await expect(page.get_by_label("Tu celular", exact=True)).to_be_visible()


async def test_who_is_in_goes_back_with_their_tokens(
    stores: Stores, tmp_path: Path, free_port: int, chromium: Browser
) -> None:
    environment = {"AUTH_ORIGINS": APP.rstrip("/")}
    async with (
        whole_server(
            stores, tmp_path, free_port, mark=Mark.PLATFORM, environment=environment
        ) as whole,
        opened(whole, chromium, f"/login?return_to={APP}after%3Fa%3D1") as page,
    ):
        await page.route(f"{APP}**", lambda route: route.fulfill(body="in"))
        await confirms(whole, page)

        await page.wait_for_url(f"{APP}after?a=1#*")
        told = parse_qs(urlsplit(page.url).fragment)
        assert set(told) == {"access_token", "refresh_token", "token_type", "expires_in", "ugid"}


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "https://app.example.evil.example/", "https://app.example@evil.example/",
     "javascript:alert(1)", "//app.example/", "http://app.example/", "https://[/"],
)  # fmt: skip
async def test_nobody_else_gets_the_tokens(
    stores: Stores, tmp_path: Path, free_port: int, address: str
) -> None:
    environment = {"AUTH_ORIGINS": APP.rstrip("/")}
    async with whole_server(
        stores, tmp_path, free_port, mark=Mark.PLATFORM, environment=environment
    ) as whole:
        query = {"return_to": address}
        async with whole.http.get(f"{whole.server.address}/login", params=query) as answer:
            page = await answer.text()

    assert answer.status == 200
    assert "&#34;returnTo&#34;:&#34;&#34;" in page


async def confirms(whole: Whole, page: Page) -> None:
    await page.get_by_role("button", name="Ingresar con WhatsApp").click()
    link = await page.get_by_role("link", name="Abrir WhatsApp").get_attribute("href")
    [message] = parse_qs(urlsplit(str(link)).query)["text"]
    await whole.people.write(ANA, message)
    await taps(whole, ANA, await hears(whole, ANA, 1), "Sí, soy yo")


async def test_the_page_speaks_english(whole: Whole, chromium: Browser) -> None:
    async with opened(whole, chromium) as page:
        await page.get_by_role("link", name="English").click()

        await expect(page.get_by_role("heading")).to_have_text("Sign in to Panadería Sol")
        assert await page.locator("html").get_attribute("lang") == "en"
        await page.get_by_role("link", name="Español").click()
        await expect(page.get_by_role("heading")).to_have_text("Ingresar a Panadería Sol")


async def test_everything_can_be_reached_by_the_keyboard_and_has_a_name(
    whole: Whole, chromium: Browser
) -> None:
    async with opened(whole, chromium) as page:
        reached = []
        for _ in range(4):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate(
                    "document.activeElement.id || document.activeElement.textContent"
                )
            )

        assert reached == ["phone", "Mandarme un código", "begin", "language"]
        assert (
            await page.locator("input:not([hidden])").evaluate_all(
                "all => all.filter(one => !one.labels.length).length"
            )
            == 0
        )
        # Nothing is wider than a small phone.
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
