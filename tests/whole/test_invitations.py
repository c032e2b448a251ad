"""An invitation through everything: sent as its template, opened by the button, taken with a tap; and a changed setting."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.identity import people
from bot.people.channels import Mark
from bot.store.database import Database
from flows.calls.owner import ChangeFirm, Invite, Invited
from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.ctx import Ctx
from flows.dialog.flow import Flow, Step, go
from flows.dialog.texts import Texts
from flows.intents import TeamInvitation
from flows.owner.invitation import Answered, Invitee, invitation
from flows.owner.tasks import names_invitation
from flows.values.ids import TenantId
from handlers.whatsapp.emulator.content import Buttons, Notice
from handlers.whatsapp.emulator.world import Message
from tests.flows.product import product_texts
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

TEMPLATE: Final = TeamInvitation.template
ANA: Final = 7
BEN: Final = 8
EVE: Final = 9


@dataclass(frozen=True)
class Door:
    """Stands for the root of the platform's number: it does what is written, and looks for invitations."""

    tenant: TenantId = TenantId("")  # noqa: RUF009 - frozen
    what: str = ""


door = Flow("door", Door, bool)


@door.asks
def lobby(d: Door, words: Text, ctx: Ctx) -> Step:
    d = Door(ctx.firm.id, words.rpartition(" ")[2])
    if words.startswith("invitar "):
        return go(invite, d)
    if words.startswith("saludo "):
        return go(change, replace(d, what=words.partition(" ")[2]))
    return go(invited, d) if names_invitation(words) else door.end(result=False)


@door.calls(lambda d: Invite(d.tenant, d.what, "agent"))
def invite(d: Door, told: Invited) -> Step:
    return door.end(told == "sent", "owner.bye")


@door.calls(lambda d: ChangeFirm(d.tenant, "greeting", d.what))
def change(d: Door, done: bool) -> Step:
    return door.end(done, "owner.bye")


@door.runs(invitation, lambda d: Invitee(asked=True))
def invited(d: Door, how: Answered) -> Step:
    return door.end(how is Answered.accepted)


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(
        stores, tmp_path, free_port, mark=Mark.PLATFORM, book=Book([door], _texts())
    ) as whole:
        for n in (ANA, BEN, EVE):
            await whole.people.join(n)
        [firm] = whole.server.directory.firms()
        async with Database.open(stores.postgres.app) as database, database.system() as connection:
            now = datetime.now(UTC)
            ugid = await people.enter(connection, "phone", "", phone(ANA), at=now, method="test")
            await people.set_role(connection, ugid, firm.id, "owner", now)
        [channel] = whole.server.directory.channels()

        async def approved() -> bool:
            template = whole.server.directory.template(channel.id, TEMPLATE, "es_CL")
            return template is not None and template.status == "APPROVED"

        await until(approved, within_s=15, what="that Meta has approved the template")
        yield whole


def _texts() -> Texts:
    spoken = {
        voice.locale: {**{key: voice.source(key) for key in voice}, "door.lobby.ask": "¿Qué hago?"}
        for voice in product_texts().voices()
    }
    return Texts(spoken)


async def role(whole: Whole, n: int) -> str | None:
    [firm] = whole.server.directory.firms()
    async with (
        Database.open(whole.stores.postgres.app) as database,
        database.system() as connection,
    ):
        ugid = await people.person_of(connection, "phone", "", phone(n))
        return None if ugid is None else await people.role_in(connection, ugid, firm.id)


def on_the_phone(whole: Whole, n: int) -> list[Message]:
    person = whole.people.id_of(n)
    assert person is not None
    return [one for one in whole.emulator.world.messages(NUMBER.id, person) if one.outbound]


async def hears(whole: Whole, n: int, count: int) -> Message:
    """The count-th message that the person gets."""

    async def came() -> bool:
        return len(on_the_phone(whole, n)) >= count

    await until(came, within_s=15, what="the message")
    return on_the_phone(whole, n)[count - 1]


async def taps(whole: Whole, n: int, message: Message, title: str) -> None:
    match message.content:
        case Buttons(buttons=buttons):
            [id] = [button.id for button in buttons if button.title == title]
        case Notice(buttons=shown):
            [id] = [button.value for button in shown if button.title == title]
        case other:
            raise AssertionError(f"nothing to tap: {other}")
    await whole.people.act(n, {"type": "tap", "message": message.wamid, "id": id})


def body(message: Message) -> str:
    return str(getattr(message.content, "body", ""))


async def test_a_colleague_who_never_wrote_comes_in(whole: Whole) -> None:
    await whole.people.write(ANA, f"invitar {phone(BEN)}")

    told = await hears(whole, BEN, 1)
    assert isinstance(told.content, Notice)
    assert told.content.name == TEMPLATE
    assert body(told).startswith("Hola, en Panadería Sol te invitaron")
    await taps(whole, BEN, told, "Ver invitación")
    question = await hears(whole, BEN, 2)
    assert body(question).startswith("En *Panadería Sol* te invitan a atender a sus clientes")
    assert await role(whole, BEN) is None
    await taps(whole, BEN, question, "Sí, aceptar")

    assert body(await hears(whole, BEN, 3)) == "Listo, ya eres parte del equipo de Panadería Sol."
    assert await role(whole, BEN) == "agent"
    # Somebody else to whom the words were passed on finds nothing.
    await whole.people.write(EVE, "Ver invitación")
    assert body(await hears(whole, EVE, 1)).startswith("No encontré una invitación")
    assert await role(whole, EVE) is None


async def test_whoever_writes_already_is_invited_in_the_chat(whole: Whole) -> None:
    await whole.people.write(BEN, "invitación")
    assert body(await hears(whole, BEN, 1)).startswith("No encontré una invitación")

    await whole.people.write(ANA, f"invitar {phone(BEN)}")

    told = await hears(whole, BEN, 2)
    assert "responde «ver invitación»" in body(told)
    await whole.people.write(BEN, "ver invitación")
    question = await hears(whole, BEN, 3)
    await taps(whole, BEN, question, "No, gracias")
    assert body(await hears(whole, BEN, 4)).startswith("De acuerdo, no te sumé")
    assert await role(whole, BEN) is None


async def test_what_an_owner_changes_is_told_at_once(whole: Whole) -> None:
    await whole.people.write(EVE, "saludo Hackeado")
    await hears(whole, EVE, 1)
    await whole.people.write(ANA, "saludo Pan caliente todo el día")
    await hears(whole, ANA, 1)

    async def changed() -> bool:
        [firm] = whole.server.directory.firms()
        return firm.settings.get("greeting") == "Pan caliente todo el día"

    await until(changed, within_s=10, what="the greeting")
