"""A second firm whose owner holds a link to `/connect`, and what may be asked about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import aiohttp
import msgspec

from bot.embedded.stores import Stores
from bot.identity.people import Role, add_person, set_role
from bot.lanes import Wire
from bot.onboarding.parts import read_parts
from bot.people.channels import SealedChannel, list_channels
from bot.people.directory import publish_directory
from bot.people.registrations import read_pin
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.keys import read_keys
from bot.store.secrets import SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import TenantId, Ugid
from flows.values.rut import Rut
from handlers.whatsapp.emulator.server import Emulator
from handlers.whatsapp.emulator.signups import Finish, Finished, Kind
from handlers.whatsapp.emulator.world import Number, NumberId
from tests.whole.conftest import KEYS, Whole
from tests.whole.people import until

LUNA: Final = Firm(
    id=TenantId("b0000000-0000-4000-8000-000000000002"),
    name="Carnes <b>Luna</b> & Cía",
    settings={"hours": "lun-vie 9:00-18:00"},
)
LUNA_RUT: Final = Rut("761234560")
BOX: Final = SecretBox(read_keys(KEYS))


class Place(Protocol):
    """Where it happens: a server of the test's own process, or an installation."""

    emulator: Emulator
    stores: Stores


@dataclass(frozen=True)
class Reply:
    status: int
    body: dict[str, Any]

    @property
    def problem(self) -> str:
        return str(self.body.get("type", "")).removeprefix("urn:smarterbot:problem:")


class Owner:
    """Somebody with a link."""

    def __init__(self, http: aiohttp.ClientSession, link: str) -> None:
        self._http = http
        self._address = link.partition("/connect")[0]
        self.link = link

    @property
    def ticket(self) -> str:
        return self.link.partition("#")[2]

    async def asks(self, path: str, **body: object) -> Reply:
        url = f"{self._address}/connect/{path}"
        async with self._http.post(url, json={"ticket": self.ticket, **body}) as answer:
            return Reply(answer.status, msgspec.json.decode(await answer.read()))

    async def gives(self, finished: Finished, **other: object) -> Reply:
        """What Meta's window gave, as the page does."""
        data = finished.data
        return await self.asks(
            "number",
            **{
                "code": finished.code,
                "waba_id": data.get("waba_id", ""),
                "phone_number_id": data.get("phone_number_id", ""),
                "coexistence": "BUSINESS_APP" in finished.event,
                **other,
            },
        )

    async def stands(self) -> dict[str, Any]:
        reply = await self.asks("status")
        assert reply.status == 200, reply
        return reply.body

    async def comes(self, state: str, *, within_s: float = 20) -> dict[str, Any]:
        """Wait until the connection is over, and came to this."""
        found: dict[str, Any] = {}

        async def over() -> bool:
            found.update(await self.stands())
            return found["state"] in ("done", "failed")

        await until(over, within_s=within_s, what=f"{state}, instead of {found}")
        assert found["state"] == state, found
        return found


def chooses(place: Place, kind: Kind = "new", **other: str) -> Finished:
    """What somebody does in Meta's window."""
    return place.emulator.signups.finish(Finish(kind=kind, **other))


def number_of(place: Place, finished: Finished) -> Number:
    """The number that came of it."""
    [number] = [
        each
        for each in place.emulator.world.numbers.values()
        if each.waba_id == finished.data["waba_id"]
    ]
    return number


async def own_of(whole: Whole, role: Role | None = "owner") -> Owner:
    """Somebody who has this role at the second firm, and a link to it."""
    ugid = await person_of(whole.stores, role)
    return Owner(whole.http, whole.server.connect_tickets.connect_link(LUNA.id, ugid))


async def person_of(stores: Stores, role: Role | None = "owner") -> Ugid:
    """Somebody new, who has this role at the second firm."""
    now = datetime.now(UTC)
    async with (
        Database.open(stores.postgres.app) as database,
        database.system() as connection,
    ):
        ugid = await add_person(connection, at=now)
        if role is not None:
            await set_role(connection, ugid, LUNA.id, role, now)
    return ugid


async def add_luna(stores: Stores) -> None:
    """The second firm, which has no number."""
    async with Database.open(stores.postgres.app) as database:
        await add_tenant(database, LUNA, rut=LUNA_RUT)
        wire = await Wire.open(stores.redis_url, name="test")
        try:
            await publish_directory(database, wire, BOX)
        finally:
            await wire.close()


async def with_luna(whole: Whole) -> None:
    """The same, and the server knows it."""
    await add_luna(whole.stores)

    async def known() -> bool:
        return whole.server.directory.firm(LUNA.id) is not None

    await until(known, within_s=10, what="the second firm")


async def channels_of(place: Place, firm: TenantId = LUNA.id) -> list[SealedChannel]:
    async with Database.open(place.stores.postgres.app) as database:
        return [each for each in await list_channels(database) if each.channel.tenant == firm]


async def pin_of(place: Place, sealed: SealedChannel) -> str:
    async with Database.open(place.stores.postgres.app) as database:
        return await read_pin(database, BOX, sealed.channel)


async def part_of(place: Place) -> tuple[str, str]:
    """How far the firm is told to be with its number: (state, reason)."""
    async with (
        Database.open(place.stores.postgres.app) as database,
        database.tenant(LUNA.id) as connection,
    ):
        return next(
            (each.state, each.reason)
            for each in await read_parts(connection, LUNA.id)
            if each.part == "number"
        )


async def writes(whole: Whole, number: NumberId, body: str, *, phone: str = "56961777777") -> str:
    """Somebody new writes to a number; answers their id."""
    url = whole.settings.graph_url
    person = {"name": "Clara", "wa_id": phone}
    async with whole.http.post(f"{url}/api/people", json=person) as answer:
        id = str((await answer.json())["id"])
    act: Mapping[str, object] = {"type": "text", "body": body}
    async with whole.http.post(f"{url}/api/chats/{number}/{id}/messages", json=act) as answer:
        assert answer.status < 300, await answer.text()
    return id


async def hears(whole: Whole, number: NumberId, person: str) -> list[str]:
    """What a number has said to somebody."""
    pairs = whole.emulator.world.truth().pairs
    return [
        line.text
        for pair in pairs
        if (pair.number, pair.person) == (number, person)
        for line in pair.taken
    ]
