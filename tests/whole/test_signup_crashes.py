"""The worker is killed while a firm is opened: after the restart the firm is there, once, with all of its parts."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
import pytest

from bot.clock import Clock
from bot.demo import NUMBER
from bot.lanes import Bell, Lanes, Wire
from bot.onboarding.parts import SYSTEMS, read_parts
from bot.people.addresses import Addresses, conversation_of
from bot.people.directory import Directory
from bot.people.tenants import list_firms
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.calls.signup import Part, PartState
from flows.values.ids import TenantId
from handlers.actions import Ask
from handlers.events import Sender
from tests.bot.onboarding.conftest import opening
from tests.outer_system import OuterSystems
from tests.whole.crash_matrix import kill_at
from tests.whole.installation import SHARDS, Installation, installation
from tests.whole.people import phone, until
from tests.whole.traps import Exchange, Point


def _opens(exchange: Exchange) -> bool:
    return any(b"INTO smarterbot.signups" in statement for statement in exchange.words)


def _orders(exchange: Exchange) -> bool:
    return exchange.argument(2).startswith(b"setup/")


def _tells(exchange: Exchange) -> bool:
    return not _opens(exchange) and any(
        b"INTO smarterbot.firm_parts" in statement for statement in exchange.words
    )


def _answers(exchange: Exchange) -> bool:
    return exchange.argument(2).startswith(b"signup/")


COMMITTED: Final = Point(
    "committed", "worker", "put", "request", _orders, "it is committed, no order is put"
)
POINTS: Final = (
    Point("made", "worker", "COMMIT", "request", _opens, "the firm is made, not committed"),
    COMMITTED,
    Point("ordered", "worker", "put", "answer", _orders, "the first order is put, the others are not"),
    Point("answered", "worker", "commit", "request", _answers, "all is ordered, the flow not answered"),
    Point("set up", "worker", "COMMIT", "request", _tells, "a system has made it, we have not noted it"),
)  # fmt: skip
RUTS: Final = ("761234560", "123456785", "960909607", "770000009", "770000017")


@pytest.fixture
async def systems() -> AsyncIterator[OuterSystems]:
    found = OuterSystems()
    await found.start()
    yield found
    await found.stop()


async def asks_to_open(site: Installation, n: int, rut: str) -> None:
    """The n-th person's flow asks for a firm, as a turn of theirs would put it into the lane."""
    settings = read_settings(site.workers[0].variables)
    wire = await Wire.open(site.stores.redis_url)
    try:
        async with Database.open(site.stores.postgres.app) as database:
            directory = Directory(database, wire, SecretBox(settings.keys))
            await directory.load()
        [channel] = [each for each in directory.channels() if each.phone_number_id == NUMBER.id]
        lanes = Lanes(wire, shards=SHARDS, clock=Clock())
        addresses = Addresses(wire, pepper=directory.pepper, shards=SHARDS)
        [person] = await addresses.resolve([(channel, Sender(wa_id=phone(n)))])
        conversation = conversation_of(channel.id, person.contact)
        ask = Ask(
            tenant=channel.tenant,
            channel=channel.id,
            contact=person.contact,
            conversation=conversation,
            seq=99,
            call="OpenFirm",
            args=msgspec.Raw(msgspec.json.encode(opening(rut=rut, name=f"Firma {n}"))),
        )
        shard = lanes.shard(conversation)
        await lanes.put(shard, f"signup/{conversation}", msgspec.json.encode(ask))
        Bell(wire).ring(shard, "signup")
    finally:
        await wire.close()


async def firms_named(site: Installation, name: str) -> dict[TenantId, dict[Part, PartState]]:
    """The states of the parts of each firm with this name."""
    found = {}
    async with Database.open(site.stores.postgres.app) as database:
        for firm in await list_firms(database):
            if firm.name == name:
                async with database.tenant(firm.id) as connection:
                    parts = await read_parts(connection, firm.id)
                found[firm.id] = {part.part: part.state for part in parts}
    return found


async def survives(systems: OuterSystems, points: Sequence[Point]) -> None:
    """At each point the worker is killed while somebody's firm is opened."""
    async with installation(systems=systems.address) as site:
        for n, point in enumerate(points):
            await survives_at(site, systems, n, point)
        assert (await site.depths()).dead == 0


async def survives_at(site: Installation, systems: OuterSystems, n: int, point: Point) -> None:
    [worker] = site.workers
    name, rut = f"Firma {n}", RUTS[n]
    await site.people.write(n, "hola")
    await site.at_rest()

    await kill_at(site, point, worker, before=lambda: asks_to_open(site, n, rut))
    left = await firms_named(site, name)
    assert len(left) == (0 if point.name == "made" else 1), point.name
    await worker.start()

    async def is_whole() -> bool:
        firms = list((await firms_named(site, name)).values())
        return len(firms) == 1 and all(firms[0][part] == "done" for part in SYSTEMS)

    await until(is_whole, within_s=site.patience_s, what=f"a whole firm after: {point.meaning}")
    await site.at_rest()
    [tenant] = await firms_named(site, name)
    made = [key for key in systems.made if key.endswith(tenant)]
    assert sorted(made) == sorted(f"{part} {tenant}" for part in SYSTEMS)


async def test_killed_before_its_systems_know_of_it_a_firm_is_there_once_and_whole(
    systems: OuterSystems,
) -> None:
    await survives(systems, [COMMITTED])


@pytest.mark.nightly
async def test_killed_at_any_step_a_firm_is_there_once_and_whole(systems: OuterSystems) -> None:
    await survives(systems, POINTS)
