"""A firm registers by chat, through everything: six answers later its own bot answers, and what it costs is counted."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.demo import DEMO_NUMBER, PLATFORM_NUMBER
from bot.embedded.stores import Stores
from bot.identity.moments import moment
from bot.onboarding.funnel import Funnel, count, read_stops
from bot.onboarding.parts import read_parts
from bot.people.tenants import list_firms
from bot.store.database import Database
from flows.dialog.ctx import Firm
from handlers.ports import Channel
from handlers.whatsapp.emulator.world import NumberId
from tests.whole.conftest import Whole, whole_server
from tests.whole.owners import Owner, owner, words
from tests.whole.people import People, until

ANSWERS_MAX: Final = 6
MESSAGES_MAX: Final = 8
DAY_MS: Final = 86_400_000
RUT: Final = "76.123.456-0"


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, town=True) as whole:
        yield whole


async def writes_to(whole: Whole, number: NumberId, n: int) -> Owner:
    people = People(whole.http, whole.settings.graph_url, number=number)
    return await owner(people, whole.emulator, number, n)


@pytest.fixture
async def ana(whole: Whole) -> Owner:
    return await writes_to(whole, PLATFORM_NUMBER.id, 1)


async def comes_to_the_last_look(
    ana: Owner, *, rut: str = RUT, name: str = "Peluquería Luna"
) -> str:
    assert "¿aceptas los términos" in await ana.begins("hola")
    assert "¿Cuál es el RUT" in await ana.taps("Sí, acepto")
    assert "¿Con qué nombre" in await ana.says(rut)
    assert "¿A qué rubro" in await ana.says(name)
    assert "¿En qué comuna" in await ana.says("peluquería")
    return await ana.says("vila alemana")


async def luna(whole: Whole, name: str = "Peluquería Luna") -> Firm | None:
    async with Database.open(whole.stores.postgres.app) as database:
        return next((firm for firm in await list_firms(database) if firm.name == name), None)


async def test_six_answers_and_the_firm_s_own_bot_answers(whole: Whole, ana: Owner) -> None:
    look = await comes_to_the_last_look(ana)
    assert "RUT: 76.123.456-0" in look
    assert "Comuna: Villa Alemana, Valparaíso" in look
    done = await ana.taps("Tomar horas")

    assert done.startswith("¡Listo! *Peluquería Luna* ya tiene cuenta")
    assert ana.answers <= ANSWERS_MAX
    assert len(ana.heard()) <= MESSAGES_MAX - 1  # and the question about offers
    # The link in the message opens a chat in which its own bot speaks.
    link = next(word for word in done.split() if word.startswith(whole.settings.chat_url))
    [message] = parse_qs(urlsplit(link).query)["text"]
    demo = await writes_to(whole, DEMO_NUMBER.id, 2)
    shown = await demo.begins(message)
    assert "Así contesta el asistente de Peluquería Luna" in shown
    assert "*Peluquería Luna*" in shown


async def test_what_is_its_own_is_done_and_the_rest_is_told_honestly(
    whole: Whole, ana: Owner
) -> None:
    await comes_to_the_last_look(ana)
    await ana.taps("Tomar horas")

    firm = await luna(whole)
    assert firm is not None
    async with (
        Database.open(whole.stores.postgres.app) as database,
        database.tenant(firm.id) as connection,
    ):
        parts = {part.part: part.state for part in await read_parts(connection, firm.id)}
    assert parts == {
        "account": "done",
        "template": "done",
        "demo": "done",
        "number": "pending",  # it waits for its owner
        "chatwoot": "not_connected",
        "odoo": "not_connected",
        "n8n": "not_connected",
    }


async def test_offers_are_asked_apart_at_the_end(whole: Whole, ana: Owner) -> None:
    await comes_to_the_last_look(ana)
    await ana.taps("Tomar horas")

    assert "¿Te mandamos novedades" in await ana.taps("Más tarde")
    await ana.taps_in_silence("No, gracias")

    assert len(ana.heard()) <= MESSAGES_MAX
    # From here on they are at home.
    assert "Esto puedes hacer con *Peluquería Luna*" in await ana.says("hola")


async def test_whoever_comes_back_after_three_days_goes_on(whole: Whole, ana: Owner) -> None:
    await ana.begins("hola")
    await ana.taps("Sí, acepto")
    await ana.says(RUT)

    await ana.people.moves_time(3 * DAY_MS)

    back = await ana.says("hola")
    assert back.startswith("¡Hola de nuevo! Guardé lo que llevas: te faltan 4 pasos.")


async def test_a_double_tap_opens_one_firm(whole: Whole, ana: Owner) -> None:
    await comes_to_the_last_look(ana)
    last = ana.heard()[-1]
    [id] = [
        row.id
        for section in getattr(last.content, "sections", ())
        for row in section.rows
        if row.title == "Tomar horas"
    ]
    for _ in range(2):
        await ana.people.act(1, {"type": "tap", "message": last.wamid, "id": id})

    async def told() -> bool:
        return any(words(each).startswith("¡Listo!") for each in ana.heard())

    await until(told, what="the firm")

    async with Database.open(whole.stores.postgres.app) as database:
        names = [firm.name for firm in await list_firms(database)]
    assert sorted(names) == ["Panadería Sol", "Peluquería Luna", "SmarterOS"]


async def test_of_two_who_want_one_rut_one_asks_the_other(whole: Whole, ana: Owner) -> None:
    ben = await writes_to(whole, PLATFORM_NUMBER.id, 2)
    await comes_to_the_last_look(ana)
    await comes_to_the_last_look(ben, name="La otra")
    await ana.taps("Tomar horas")

    taken = await ben.taps("Tomar horas")
    assert taken.startswith("Ese RUT ya tiene una cuenta en SmarterOS (76.123.456-0).")
    assert "Luna" not in taken
    assert (await ben.taps("Pedir acceso")).startswith("Listo, mandé la solicitud.")
    asked = await ana.waits("Hola Peluquería Luna")
    assert "pidió acceso a la cuenta de Peluquería Luna" in asked
    assert "Una persona con el celular terminado en" in await ana.says("revisar")
    assert (await ana.taps("Sí, dejarla entrar")).startswith("Listo, ya puede entrar")
    told = await ben.waits("Hola Peluquería Luna")
    assert told.endswith("ya puedes entrar.")
    assert "Esto puedes hacer con *Peluquería Luna*" in await ben.says("hola")


async def test_an_owner_changes_what_customers_read(whole: Whole, ana: Owner) -> None:
    await comes_to_the_last_look(ana)
    await ana.taps("Tomar horas")
    await ana.says("cambiar horario")
    await ana.says("lunes a viernes de 9 a 18")
    await ana.taps("Sí, guardar")

    async def known() -> bool:
        firm = await luna(whole)
        return firm is not None and firm.settings.get("hours", "").startswith("lun")

    await until(known, what="the hours")


def home(whole: Whole) -> Channel:
    """The platform's number."""
    platform = whole.server.directory.platform()
    assert platform is not None
    return platform


async def funnel(whole: Whole) -> Funnel:
    """As `smarterbot funnel onboarding` reads it."""
    now, demo = moment(whole.server.clock), whole.server.directory.demo()
    assert demo is not None
    since = now - timedelta(days=28)
    async with Database.open(whole.stores.postgres.app) as database:
        stops = await read_stops(
            database, home(whole).tenant, "signup", aim="opened", since=since, demos=[demo.id]
        )
    return count(stops, "signup", aim="opened", now=now, since=since)


async def test_the_funnel_tells_who_came_through_and_who_was_lost(whole: Whole, ana: Owner) -> None:
    ben = await writes_to(whole, PLATFORM_NUMBER.id, 2)
    await ben.begins("hola")
    await ben.taps("Sí, acepto")
    await comes_to_the_last_look(ana)

    async def journaled() -> bool:
        return (await funnel(whole)).begun == 2

    # People take minutes, and the journal a moment: how long it took is read from it.
    await until(journaled, what="the journal")
    done = await ana.taps("Tomar horas")
    link = next(word for word in done.split() if word.startswith(whole.settings.chat_url))
    [message] = parse_qs(urlsplit(link).query)["text"]
    # Her own phone, on the other number.
    demo = People(whole.http, whole.settings.graph_url, number=DEMO_NUMBER.id)
    demo.knows(1, ana.person)
    await demo.write(1, message)

    async def told() -> bool:
        found = await funnel(whole)
        return (found.finished, found.tried) == (1, 1)

    await until(told, what="the journal")
    found = await funnel(whole)
    assert (found.begun, found.waiting, found.dropped, found.ends) == (2, 1, 0, {"opened": 1})
    assert found.messages == len(ana.heard())
    assert found.seconds is not None
    assert found.seconds_to_try is not None
    assert found.seconds <= found.seconds_to_try + 1  # Meta tells whole seconds
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        metrics = await answer.text()
    assert "smarterbot_signup_seconds_count 1.0" in metrics
    assert 'smarterbot_flow_ends_total{end="signup.opened"} 1.0' in metrics
    assert 'smarterbot_flow_states_total{state="signup.ask_rut",way="entered"} 2.0' in metrics

    # Nobody hears of Ben for nine days: by then a timer has dropped what he was asked.
    await ana.people.moves_time(9 * DAY_MS)

    async def dropped() -> bool:
        async with (
            Database.open(whole.stores.postgres.app) as database,
            database.tenant(home(whole).tenant) as connection,
        ):
            states = await connection.fetch("SELECT state FROM smarterbot.conversations")
        return "signup.ask_rut" not in [row["state"] for row in states]

    await until(dropped, what="the timer")
    found = await funnel(whole)
    assert (found.begun, found.waiting, found.dropped, found.ends) == (2, 0, 1, {"opened": 1})
    lost = {step.state: step.dropped for step in found.steps if step.dropped}
    assert lost == {"signup.ask_rut": 1}
