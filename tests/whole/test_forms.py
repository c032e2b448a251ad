"""A form's way through everything: its key and its screens at Meta, a phone that fills it in, and its answer in the chat."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.people.channels import Mark, SealedChannel, list_channels, open_form_key
from bot.people.directory import publish_directory
from bot.people.form_keys import settle_form_key
from bot.people.tenants import change_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.catalogue import LOCALES
from flows.dialog.advance import Book
from flows.onboarding.firm_form import FORM
from flows.onboarding.platform import platform
from handlers.whatsapp.client import Graph
from handlers.whatsapp.emulator.world import NumberId
from handlers.whatsapp.form_api import FormApi, name_at_meta
from handlers.whatsapp.form_cipher import FormKeys
from handlers.whatsapp.forms import PATH
from handlers.whatsapp.http import Origin
from tests.flows.product import product_texts
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until

ASKED: Final = "¡Hola! Soy el asistente automático de *Panadería Sol*. Con este formulario"
IN_CHAT: Final = "¡Hola! Soy el asistente automático de *Panadería Sol*. Son 4 datos"
TYPED: Final = "Vamos por chat. Son 4 datos"
DONE: Final = "¡Listo! *Peluquería Luna* ya tiene cuenta"
FIRM: Final = {
    "name": "Peluquería Luna", "rut": "76.123.456-0", "line": "beauty", "comuna": "vila alemana",
}  # fmt: skip
START: Final = {"first": "horas", "email": "ana@luna.example", "terms": True, "data": True}
HOUR_MS: Final = 3_600_000


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    book = Book([platform], product_texts())
    async with whole_server(stores, tmp_path, free_port, mark=Mark.PLATFORM, book=book) as whole:
        await has_contracts(whole)
        yield whole


async def has_contracts(whole: Whole) -> None:
    """The platform's firm says where its contracts can be read."""
    wire = await Wire.open(whole.stores.redis_url)
    async with Database.open(whole.stores.postgres.app) as database:
        tenant = (await channel_of(database)).channel.tenant
        await change_settings(database, tenant, {"legal_url": "https://smarteros.example/legal"})
        await publish_directory(database, wire, SecretBox(whole.settings.keys))
        await whole.server.directory.check()
    await wire.close()


@asynccontextmanager
async def at_meta(whole: Whole) -> AsyncIterator[FormApi]:
    origin = Origin(whole.settings.graph_url)
    yield FormApi(Graph(origin, version="v26.0"), NUMBER.token)
    origin.close()


async def channel_of(database: Database, number: NumberId = NUMBER.id) -> SealedChannel:
    """The channel with this number."""
    every = {each.channel.phone_number_id: each for each in await list_channels(database)}
    return every[number]


async def gives_key(whole: Whole, *, rotate: bool = False, number: NumberId = NUMBER.id) -> None:
    """As `smarterbot channel form-key` does."""
    box = SecretBox(whole.settings.keys)
    wire = await Wire.open(whole.stores.redis_url)
    async with Database.open(whole.stores.postgres.app) as database, at_meta(whole) as meta:

        async def publish() -> None:
            await publish_directory(database, wire, box)
            await whole.server.directory.check()

        async def give(public: str) -> None:
            await meta.put_key(number, public)

        await settle_form_key(
            database,
            box,
            await channel_of(database, number),
            rotate=rotate,
            give=give,
            publish=publish,
            known_s=0,
        )
    await wire.close()


async def pushes_form(whole: Whole, locale: str = "es_CL", *, number: NumberId = NUMBER.id) -> None:
    """As `smarterbot form push --publish` does."""
    file = LOCALES / locale / "forms" / f"{FORM}.json"
    async with Database.open(whole.stores.postgres.app) as database, at_meta(whole) as meta:
        channel = (await channel_of(database, number)).channel
        form = await meta.create(channel.waba_id, name_at_meta(FORM, locale), ["SIGN_UP"])
        assert await meta.upload(form, file.read_bytes()) == ()
        await meta.point(form, whole.server.address + PATH.format(channel=channel.id))
        await meta.publish(form)


async def speaks(whole: Whole, locale: str) -> None:
    """The firm speaks another language from now on."""
    wire = await Wire.open(whole.stores.redis_url)
    async with Database.open(whole.stores.postgres.app) as database:
        tenant = (await channel_of(database)).channel.tenant
        async with database.tenant(tenant) as connection:
            await connection.execute("UPDATE smarterbot.tenants SET locale = $1", locale)
        await publish_directory(database, wire, SecretBox(whole.settings.keys))
        await whole.server.directory.check()
    await wire.close()


async def hears(whole: Whole, begin: str, *, n: int = 1) -> dict[str, Any]:
    """The bot's n-th message, once it is there."""

    async def there() -> bool:
        return whole.truth.taken >= n

    await until(there, within_s=10, what=begin)
    [person] = whole.emulator.world.people.values()
    said = [m for m in whole.emulator.world.messages(NUMBER.id, person.id) if m.outbound]
    body = getattr(said[n - 1].content, "body", "")
    assert body.startswith(begin), body
    return {"message": said[n - 1].wamid, "person": person.id}


class Phone:
    """The first person, with a form open."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.form = ""

    async def opens(self, message: dict[str, Any]) -> dict[str, Any]:
        path = f"/api/chats/{NUMBER.id}/{message['person']}/form"
        return await self._post(path, {"message": message["message"]})

    async def submits(self, **values: object) -> dict[str, Any]:
        body = {"number": NUMBER.id, "person": self.whole.people.id_of(1), "values": values}
        return await self._post(f"/api/forms/{self.form}/submit", body)

    async def goes_back(self) -> dict[str, Any]:
        return await self._post(f"/api/forms/{self.form}/back", {})

    async def _post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        async with self.whole.http.post(self.whole.settings.graph_url + path, json=body) as answer:
            shown: dict[str, Any] = await answer.json()
            assert answer.status == 200, shown
        self.form = shown["form"] or self.form
        return shown


def errors(shown: dict[str, Any]) -> dict[str, str]:
    parts = shown["screen"]["components"]
    return {part["name"]: part["error"] for part in parts if part["error"]}


async def test_a_firm_registers_in_the_form(whole: Whole) -> None:
    await gives_key(whole)
    await pushes_form(whole)
    await whole.people.write(1, "hola")
    phone = Phone(whole)

    opened = await phone.opens(await hears(whole, ASKED))
    assert opened["screen"]["id"] == "FIRM"
    again = await phone.submits(**{**FIRM, "rut": "76.123.456-1"})
    assert (again["screen"]["id"], errors(again)) == (
        "FIRM", {"rut": "No calza el dígito verificador"},
    )  # fmt: skip
    typed = {part["name"]: part["value"] for part in again["screen"]["components"] if part["name"]}
    assert typed == {**FIRM, "rut": "76.123.456-1"}
    assert (await phone.submits(**FIRM))["screen"]["id"] == "START"
    assert (await phone.goes_back())["screen"]["id"] == "FIRM"
    await phone.submits(**FIRM)
    closed = await phone.submits(**START)

    assert (closed["screen"], closed["error"], closed["status"]) == (None, "", 200)
    await hears(whole, DONE, n=2)


async def test_who_is_spoken_to_in_english_gets_the_english_form(whole: Whole) -> None:
    await gives_key(whole)
    await pushes_form(whole)
    await pushes_form(whole, "en")
    await speaks(whole, "en_US")
    await whole.people.write(1, "hi")
    phone = Phone(whole)

    opened = await phone.opens(
        await hears(whole, "Hi! I'm the automated assistant of *Panadería Sol*. This form")
    )
    again = await phone.submits(**{**FIRM, "rut": "76.123.456-1"})

    assert opened["screen"]["title"] == "Your firm"
    assert errors(again) == {"rut": "Its check digit doesn't match"}
    await phone.submits(**FIRM)
    await phone.submits(**START)
    await hears(whole, "Done! *Peluquería Luna* has its account", n=2)


async def test_an_answer_takes_well_under_a_second(whole: Whole) -> None:
    await gives_key(whole)
    await pushes_form(whole)
    await whole.people.write(1, "hola")
    phone = Phone(whole)
    message = await hears(whole, ASKED)

    took = [(await phone.opens(message))["took_ms"] for _ in range(20)]

    assert max(took) < 1_000


@pytest.mark.parametrize("fault", ["form_blocked", "form_throttled"])
async def test_a_form_that_meta_blocks_is_asked_in_the_chat(whole: Whole, fault: str) -> None:
    await gives_key(whole)
    await whole.people.faults(**{fault: -1})

    await whole.people.write(1, "hola")

    await hears(whole, IN_CHAT)


async def test_a_phone_too_old_for_forms_is_asked_in_the_chat(whole: Whole) -> None:
    await gives_key(whole)
    await whole.people.faults(fail_with=131026)
    await whole.people.write(1, "hola")

    await hears(whole, IN_CHAT, n=2)


async def test_without_a_key_it_is_asked_in_the_chat(whole: Whole) -> None:
    await whole.people.write(1, "hola")

    await hears(whole, IN_CHAT)


async def test_who_writes_in_place_of_the_form_goes_on_in_the_chat(whole: Whole) -> None:
    await gives_key(whole)
    await whole.people.write(1, "hola")
    await hears(whole, ASKED)

    await whole.people.write(1, "no se abre")

    await hears(whole, TYPED, n=2)


async def test_a_form_that_was_opened_a_day_ago_is_over(whole: Whole) -> None:
    await gives_key(whole)
    await pushes_form(whole)
    await whole.people.write(1, "hola")
    message = await hears(whole, ASKED)

    whole.server.clock.shift(25 * HOUR_MS)

    shown = await Phone(whole).opens(message)
    assert (shown["status"], shown["screen"]) == (427, None)
    assert (
        shown["error"] == "Este formulario ya venció. Escríbenos en el chat y seguimos desde ahí."
    )


async def test_a_new_key_is_used_while_forms_are_open(whole: Whole) -> None:
    await gives_key(whole)
    await pushes_form(whole)
    await whole.people.write(1, "hola")
    phone = Phone(whole)
    message = await hears(whole, ASKED)
    await phone.opens(message)

    await gives_key(whole, rotate=True)

    # This phone has the old key in its cache, and is understood.
    assert (await phone.submits(**FIRM))["screen"]["id"] == "START"
    # After another one the old key is gone: the phone is told to fetch anew (421), and nobody notices.
    await gives_key(whole, rotate=True)
    assert (await phone.submits(**START))["status"] == 200
    await hears(whole, DONE, n=2)


async def test_the_private_key_is_sealed_where_it_lies(whole: Whole) -> None:
    await gives_key(whole)

    async with Database.open(whole.stores.postgres.app) as database:
        sealed = await channel_of(database)
    pem = open_form_key(SecretBox(whole.settings.keys), sealed)
    assert "PRIVATE" not in sealed.form_key
    [key] = FormKeys.load(pem).keys
    assert whole.emulator.forms.keys[NUMBER.id] == key.public_pem()


async def test_an_answer_that_a_client_made_up_is_not_taken(whole: Whole) -> None:
    await gives_key(whole)
    await whole.people.write(1, "hola")
    message = await hears(whole, ASKED)
    values = {**FIRM, **START}
    sent = {
        "name": "flow",
        "body": "Sent",
        "response_json": json.dumps({**values, "flow_token": "1:signup.fill_in:form"}),
    }
    [person] = whole.emulator.world.people.values()
    update = {
        "from": person.wa_id, "id": "wamid.MADEUP", "timestamp": str(whole.server.clock.now_ms() // 1000),
        "type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": sent},
        "context": {"id": message["message"]},
    }  # fmt: skip
    await whole.people.inject(webhook(update, person.wa_id))

    await hears(whole, "Ese botón es de un mensaje anterior.", n=2)


async def test_what_somebody_else_was_sent_cannot_be_sent_in(whole: Whole) -> None:
    await gives_key(whole)
    await whole.people.write(1, "hola")
    await hears(whole, ASKED)
    [ana] = whole.emulator.world.people.values()
    [mine] = [m.content for m in whole.emulator.world.messages(NUMBER.id, ana.id) if m.outbound]
    await whole.people.write(2, "hola")

    async def both() -> bool:
        return whole.truth.taken >= 2

    await until(both, within_s=10, what="both forms")
    other = whole.emulator.world.people[whole.people.id_of(2)]  # type: ignore[index]  # they wrote
    answer = {**FIRM, **START, "flow_token": mine.token}  # type: ignore[union-attr]  # it is a form
    update = {
        "from": other.wa_id, "id": "wamid.STOLEN", "timestamp": str(whole.server.clock.now_ms() // 1000),
        "type": "interactive",
        "interactive": {"type": "nfm_reply", "nfm_reply": {"response_json": json.dumps(answer)}},
    }  # fmt: skip
    await whole.people.inject(webhook(update, other.wa_id))

    async def third() -> bool:
        return whole.truth.taken >= 3

    await until(third, within_s=10, what="the answer")
    said = [m.content for m in whole.emulator.world.messages(NUMBER.id, other.id) if m.outbound]
    assert said[-1].body.startswith("Ese botón es de un mensaje anterior.")  # type: ignore[union-attr]  # a form


def webhook(message: Mapping[str, object], wa_id: str) -> dict[str, object]:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56223456789", "phone_number_id": NUMBER.id},
        "contacts": [{"wa_id": wa_id, "profile": {"name": "Ana"}}],
        "messages": [message],
    }
    changes = [{"field": "messages", "value": value}]
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": NUMBER.waba_id, "changes": changes}],
    }
