"""A login through everything: begun in a browser, confirmed in WhatsApp; a link into the panel; a code in the chat."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.identity import people
from bot.people.alerts import list_alerts
from bot.people.channels import Mark
from bot.store.database import Database
from flows.values.login_ref import find_ref
from handlers.whatsapp.emulator.content import Buttons
from handlers.whatsapp.emulator.world import Message
from tests.dump import dumped, numbers_in
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

ANA: Final = 7
EVE: Final = 8


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, mark=Mark.PLATFORM) as whole:
        await whole.people.join(ANA)
        await whole.people.join(EVE)
        yield whole


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        yield browser


async def begin(whole: Whole, browser: aiohttp.ClientSession) -> str:
    """Begin a login; answers the message to be sent."""
    async with browser.post(f"{whole.server.address}/auth/link", json={}) as answer:
        assert answer.status == 201
        return str((await answer.json())["message"])


async def status(whole: Whole, browser: aiohttp.ClientSession) -> str:
    async with browser.get(f"{whole.server.address}/auth/link") as answer:
        return str((await answer.json())["status"])


async def take(whole: Whole, browser: aiohttp.ClientSession) -> tuple[int, dict[str, Any]]:
    async with browser.post(f"{whole.server.address}/auth/link/session") as answer:
        return answer.status, await answer.json(content_type=None)


def on_the_phone(whole: Whole, n: int) -> list[Message]:
    person = whole.people.id_of(n)
    assert person is not None
    return [one for one in whole.emulator.world.messages(NUMBER.id, person) if one.outbound]


async def hears(whole: Whole, n: int, count: int) -> Message:
    """The count-th message that the person gets."""

    async def came() -> bool:
        return len(on_the_phone(whole, n)) >= count

    await until(came, what="the message")
    return on_the_phone(whole, n)[count - 1]


async def stands(whole: Whole, browser: aiohttp.ClientSession, wanted: str) -> None:
    async def holds() -> bool:
        return await status(whole, browser) == wanted

    await until(holds, what=wanted)


async def taps(whole: Whole, n: int, message: Message, title: str) -> None:
    assert isinstance(message.content, Buttons)
    [id] = [button.id for button in message.content.buttons if button.title == title]
    await whole.people.act(n, {"type": "tap", "message": message.wamid, "id": id})


def body(message: Message) -> str:
    return str(getattr(message.content, "body", ""))


LATE: Final = "Este enlace venció. Pide otro en la página donde quieres ingresar."


async def test_a_person_confirms_in_the_chat_and_the_browser_is_in(
    whole: Whole, browser: aiohttp.ClientSession
) -> None:
    await whole.people.write(ANA, await begin(whole, browser))
    question = await hears(whole, ANA, 1)
    assert body(question).startswith("¿Eres tú? Piden ingresar a tu cuenta de Panadería Sol hoy")
    assert await status(whole, browser) == "asked"
    assert (await take(whole, browser))[0] == 401

    await taps(whole, ANA, question, "Sí, soy yo")
    await stands(whole, browser, "approved")
    code, session = await take(whole, browser)

    assert code == 200
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    async with browser.get(f"{whole.server.address}/auth/me", headers=headers) as answer:
        me = await answer.json()
    assert {"kind": "phone", "value": phone(ANA)}.items() <= me["identities"][-1].items()
    # The page says so: nothing is paid for in the chat.
    assert len(on_the_phone(whole, ANA)) == 1


async def test_no_button_lets_nobody_in_and_somebody_looks(
    whole: Whole, browser: aiohttp.ClientSession
) -> None:
    await whole.people.write(ANA, await begin(whole, browser))

    await taps(whole, ANA, await hears(whole, ANA, 1), "No fui yo")

    thanks = await hears(whole, ANA, 2)
    assert body(thanks).startswith("Gracias por avisar: nadie ingresó con ese enlace.")
    assert await status(whole, browser) == "refused"
    assert (await take(whole, browser))[0] == 401
    [firm] = whole.server.directory.firms()

    async def alarmed() -> bool:
        async with Database.open(whole.stores.postgres.app) as database:
            alerts = await list_alerts(database, firm.id, settled=False)
        return "login_refused" in {alert.kind for alert in alerts}

    await until(alarmed, what="the alert")


async def test_forwarded_message(whole: Whole, browser: aiohttp.ClientSession) -> None:
    message = {
        "id": "wamid.forwarded", "from": phone(ANA), "timestamp": str(whole.server.clock.now_ms() // 1000),
        "type": "text", "text": {"body": await begin(whole, browser)}, "context": {"forwarded": True},
    }  # fmt: skip
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56223456789", "phone_number_id": NUMBER.id},
        "contacts": [{"wa_id": phone(ANA), "profile": {"name": "Ana"}}],
        "messages": [message],
    }
    changes = [{"field": "messages", "value": value}]
    await whole.people.inject(
        {
            "object": "whatsapp_business_account",
            "entry": [{"id": NUMBER.waba_id, "changes": changes}],
        }
    )

    assert body(await hears(whole, ANA, 1)) == LATE
    assert await status(whole, browser) == "waiting"


async def test_a_message_that_somebody_else_sends_too(
    whole: Whole, browser: aiohttp.ClientSession
) -> None:
    message = await begin(whole, browser)
    await whole.people.write(ANA, message)
    question = await hears(whole, ANA, 1)

    await whole.people.write(EVE, message)

    assert body(await hears(whole, EVE, 1)) == LATE
    await taps(whole, ANA, question, "Sí, soy yo")
    await stands(whole, browser, "approved")


async def test_late_message(whole: Whole, browser: aiohttp.ClientSession) -> None:
    message = await begin(whole, browser)
    await whole.people.moves_time(301_000)

    await whole.people.write(ANA, message)

    assert body(await hears(whole, ANA, 1)) == LATE
    assert await status(whole, browser) == "over"


async def test_replayed_message(whole: Whole, browser: aiohttp.ClientSession) -> None:
    message = await begin(whole, browser)
    await whole.people.write(ANA, message)
    await taps(whole, ANA, await hears(whole, ANA, 1), "Sí, soy yo")
    await stands(whole, browser, "approved")
    assert (await take(whole, browser))[0] == 200

    await whole.people.write(ANA, message)

    assert body(await hears(whole, ANA, 2)) == LATE
    assert (await take(whole, browser))[0] == 401


async def test_an_owner_gets_a_link_that_opens_the_panel_once(
    whole: Whole, browser: aiohttp.ClientSession
) -> None:
    [firm] = whole.server.directory.firms()
    now = datetime.now(UTC)
    async with (
        Database.open(whole.stores.postgres.app) as database,
        database.system() as connection,
    ):
        ugid = await people.enter(connection, "phone", "", phone(ANA), at=now, method="test")
        await people.set_role(connection, ugid, firm.id, "owner", now)

    await whole.people.write(ANA, "quiero entrar al panel")
    await whole.people.write(EVE, "quiero entrar al panel")

    page, _, entry = body(await hears(whole, ANA, 1)).partition("#entry=")
    assert page.endswith(f" {whole.server.address}/login")
    replies = [await enter(whole, browser, entry) for _ in range(2)]
    assert [reply[0] for reply in replies] == [200, 401]
    assert replies[0][1]["ugid"] == ugid
    assert body(await hears(whole, EVE, 1)) == "No encontré un panel para este número."
    await journaled(whole)
    assert entry not in await written(whole)


async def enter(
    whole: Whole, browser: aiohttp.ClientSession, entry: str
) -> tuple[int, dict[str, Any]]:
    body = {"entry": entry}
    async with browser.post(f"{whole.server.address}/auth/entry", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_code_typed_into_the_chat_works_no_more_and_is_not_kept(
    whole: Whole, capfd: pytest.CaptureFixture[str]
) -> None:
    async with whole.http.post(
        f"{whole.server.address}/auth/otp", json={"phone": phone(ANA)}
    ) as answer:
        challenge = (await answer.json())["challenge_id"]
    found = re.search(r"(?<!\d)\d{6}(?!\d)", repr((await hears(whole, ANA, 1)).content))
    assert found is not None
    code = found[0]

    await whole.people.write(ANA, f" {code[:3]} {code[3:]}")

    assert body(await hears(whole, ANA, 2)).startswith("Ese código va en la página")
    given = {"challenge_id": challenge, "code": code}
    async with whole.http.post(f"{whole.server.address}/auth/otp/verify", json=given) as answer:
        assert answer.status == 401
    await journaled(whole)
    seen = capfd.readouterr()
    told = (seen.out, seen.err, dumped(whole.stores.redis_url), await written(whole))
    for text in told:
        assert code not in numbers_in(text)
        assert f"{code[:3]} {code[3:]}" not in text


async def test_six_digits_without_a_code_on_its_way_are_words(whole: Whole) -> None:
    await whole.people.write(ANA, "482913")

    assert "código" not in body(await hears(whole, ANA, 1))


async def test_a_login_leaves_no_name_behind(
    whole: Whole, browser: aiohttp.ClientSession, capfd: pytest.CaptureFixture[str]
) -> None:
    message = await begin(whole, browser)
    await whole.people.write(ANA, message)
    await taps(whole, ANA, await hears(whole, ANA, 1), "Sí, soy yo")
    await stands(whole, browser, "approved")
    _, session = await take(whole, browser)
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        metrics = await answer.text()
    await journaled(whole)
    seen = capfd.readouterr()

    secrets = (find_ref(message), session["access_token"], session["refresh_token"])
    for told in (seen.out, seen.err, metrics, dumped(whole.stores.redis_url), await written(whole)):
        assert not any(secret in told for secret in secrets)


async def journaled(whole: Whole) -> None:
    async def done() -> bool:
        return (await whole.server.lanes.depths()).journal == 0

    await until(done, what="the journal")


async def written(whole: Whole) -> str:
    """Every message in PostgreSQL."""
    [firm] = whole.server.directory.firms()
    async with (
        Database.open(whole.stores.postgres.app) as database,
        database.tenant(firm.id) as connection,
    ):
        rows = await connection.fetch("SELECT to_jsonb(m)::text AS row FROM smarterbot.messages m")
    assert rows
    return "\n".join(row["row"] for row in rows)
