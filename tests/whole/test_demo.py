"""A demo through everything: a link, a code, another firm's bot, and nothing of it in that firm's data."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.demo import DEMO_NUMBER, NUMBER, PLATFORM_NUMBER
from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.onboarding.demo import link_to_demo
from bot.people.directory import publish_directory
from bot.people.tenants import change_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import TenantId
from handlers.ports import Channel
from handlers.whatsapp.emulator.content import Buttons, Menu, Said, Text
from handlers.whatsapp.emulator.world import PersonId
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import People, until

ANA: Final = 7
SAID: Final = 14
"""Messages of the demo below, hers and the bot's."""
TABLES: Final = ("contacts", "contact_addresses", "conversations", "turns", "messages", "handoffs")
CHATS: Final = "https://chats.example/wa.me"


class Demo:
    """Ana on the demo number."""

    def __init__(self, whole: Whole, person: PersonId, people: People) -> None:
        self.whole = whole
        self.person = person
        self.people = people
        self.read = 0

    async def says(self, text: str) -> str:
        """Write, and read the answer."""
        await self.people.write(ANA, text)

        async def came() -> bool:
            self.whole.server.clock.shift(500)  # the flow may wait whether they go on writing
            return len(self.heard()) > self.read

        await until(came, what=f"the answer to {text}")
        self.read += 1
        return self.heard()[self.read - 1]

    def heard(self) -> list[str]:
        shown = self.whole.emulator.world.messages(DEMO_NUMBER.id, self.person)
        return [
            one.content.body
            for one in shown
            if one.outbound and isinstance(one.content, Text | Buttons | Menu)
        ]


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    environment = {"WHATSAPP_CHAT_URL": CHATS}
    async with whole_server(
        stores, tmp_path, free_port, town=True, environment=environment
    ) as whole:
        yield whole


@pytest.fixture
async def demo(whole: Whole) -> Demo:
    people = People(whole.http, whole.settings.graph_url, number=DEMO_NUMBER.id)
    return Demo(whole, await people.join(ANA), people)


def channel(whole: Whole, number: str) -> Channel:
    found = whole.server.directory.channel_by_number(number)
    assert found is not None
    return found


def bakery(whole: Whole) -> Firm:
    firm = whole.server.directory.firm(channel(whole, NUMBER.id).tenant)
    assert firm is not None
    return firm


async def message_of_link(whole: Whole) -> str:
    async with Database.open(whole.stores.postgres.app) as database:
        link = await link_to_demo(
            database,
            bakery(whole),
            channel(whole, DEMO_NUMBER.id),
            chat_url=whole.settings.chat_url,
        )
    parts = urlsplit(link)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{CHATS}/56223456701"
    [message] = parse_qs(parts.query)["text"]
    return message


async def test_the_firm_s_bot_answers_there_and_the_firm_learns_nothing_of_it(
    whole: Whole, demo: Demo
) -> None:
    shown = await demo.says(await message_of_link(whole))
    assert "Así contesta el asistente de Panadería Sol" in shown
    assert "Soy el asistente automático de *Panadería Sol*" in shown
    assert "Marraqueta" in await demo.says("precios")
    assert "para entrar a una cuenta" in await demo.says("entrar al panel")
    assert "¿Qué le dejo dicho?" in await demo.says("quiero hablar con alguien")
    assert "tu mensaje no le llega a Panadería Sol" in await demo.says("una torta, por favor")
    assert "+56 2 2345 6700" in await demo.says("salir de la demo")
    assert "Aquí puedes probar" in await demo.says("hola")

    home = channel(whole, PLATFORM_NUMBER.id).tenant

    async def journaled() -> bool:
        return (await rows(whole, home))["messages"] >= SAID

    await until(journaled, what="the journal")
    assert set((await rows(whole, bakery(whole).id)).values()) == {0}
    assert min((await rows(whole, home)).values()) > 0


async def rows(whole: Whole, tenant: TenantId) -> dict[str, int]:
    """How much a firm has of people."""
    async with (
        Database.open(whole.stores.postgres.app) as database,
        database.tenant(tenant) as connection,
    ):
        return {
            table: await connection.fetchval(f"SELECT count(*) FROM smarterbot.{table}")
            for table in TABLES
        }


async def test_an_owner_who_switches_it_off_ends_the_demos_under_way(
    whole: Whole, demo: Demo
) -> None:
    message = await message_of_link(whole)
    await demo.says(message)
    wire = await Wire.open(whole.stores.redis_url)
    async with Database.open(whole.stores.postgres.app) as database:
        await change_settings(database, bakery(whole).id, {"demo": "no"})
        await publish_directory(database, wire, SecretBox(whole.settings.keys))
    await wire.close()
    await whole.server.directory.check()

    assert "ya no está disponible" in await demo.says("precios")
    assert "No encontré esa demo" in await demo.says(message)


async def test_the_other_numbers_are_what_they_were(whole: Whole) -> None:
    message = await message_of_link(whole)
    await whole.people.write(ANA, message)

    async def answered() -> bool:
        whole.server.clock.shift(500)
        return bool(said())

    def said() -> list[Said]:
        person = whole.people.id_of(ANA)
        assert person is not None
        shown = whole.emulator.world.messages(NUMBER.id, person)
        return [one.content for one in shown if one.outbound and isinstance(one.content, Said)]

    await until(answered, what="the firm's own bot")
    [first] = said()
    assert isinstance(first, Menu)
    assert first.body.startswith("¡Hola! Soy el asistente automático de *Panadería Sol*")
