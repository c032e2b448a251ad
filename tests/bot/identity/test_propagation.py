"""What befalls a person reaches each system of their firms, once, in order, and no system of any other firm."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import redis
from aiohttp import web

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.engine.errands import Errands
from bot.engine.limits import Limits
from bot.engine.service import Service
from bot.identity import people
from bot.identity.propagation import Propagation
from bot.identity.sync import Difference, look
from bot.identity.tellings import PostgresTellings
from bot.lanes import Bell, Lanes, Wire
from bot.metrics import Metrics
from bot.people.systems import list_systems, remove_system, reseal_systems, set_system
from bot.people.tenants import add_tenant
from bot.store.database import Connection, Database
from bot.store.secrets import Key, SecretBox
from flows.values.ids import TenantId, Ugid
from handlers.chatwoot.client import ChatwootClient
from handlers.chatwoot.serve import Chatwoot
from handlers.n8n.client import N8nClient
from handlers.n8n.serve import N8n
from handlers.odoo.client import OdooClient
from handlers.odoo.serve import Odoo
from handlers.outside import Outside
from handlers.persons import System, SystemKind, Teller, TellPerson
from handlers.ports import Handler, StoreDownError
from tests.bot.people.conftest import BAKERY, BAKERY_RUT, BUTCHERY, BUTCHERY_RUT
from tests.handlers.chatwoot import fake as chatwoot
from tests.handlers.errands import Alarm
from tests.handlers.n8n import fake as n8n
from tests.handlers.odoo import fake as odoo

PHONE, OTHER_PHONE = "56961234567", "56967654321"
EMAIL = "ana@example.com"
SHARDS = 4
LONG = timedelta(hours=1)
"""After what was told has settled."""


class KilledError(BaseException):
    """The process is killed here."""


def dying(put: Callable[..., Awaitable[bool]], at: int) -> Callable[..., Awaitable[bool]]:
    """The process dies right after so many puts."""
    left = at

    async def put_and_die(*args: Any, **named: Any) -> bool:
        nonlocal left
        done = await put(*args, **named)
        left -= 1
        if left == 0:
            raise KilledError
        return done

    return put_and_die


@dataclass
class Works:
    """One process's parts of it, and the outer systems that all share."""

    database: Database
    lanes: Lanes
    errands: Errands
    clock: Clock
    metrics: Metrics
    handlers: tuple[Handler, ...]
    box: SecretBox
    n8n: n8n.FakeN8n
    odoo: odoo.FakeOdoo
    chatwoot: chatwoot.FakeChatwoot

    @property
    def propagation(self) -> Propagation:
        return Propagation(self.database, self.errands, clock=self.clock, metrics=self.metrics)

    async def set_up(self, *kinds: SystemKind, tenant: TenantId = BAKERY.id) -> None:
        of: dict[SystemKind, System] = {
            "n8n": System(tenant, "n8n", self.n8n.url, {}, n8n.SECRET),
            "chatwoot": System(
                tenant, "chatwoot", self.chatwoot.url, {"account": str(chatwoot.ACCOUNT)}, chatwoot.TOKEN
            ),
            "odoo": System(
                tenant,
                "odoo",
                self.odoo.url,
                {"database": odoo.DATABASE, "login": odoo.LOGIN},
                odoo.KEY,
            ),
        }  # fmt: skip
        for kind in kinds:
            await set_system(self.database, self.box, of[kind], at=self.now)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)

    async def serve(self) -> int:
        """Serve whatever is due in the lanes; answers how many items that were."""
        served = 0
        for handler in self.handlers:
            service = Service(self.lanes, handler, clock=self.clock, metrics=self.metrics)
            for shard in range(SHARDS):
                while taken := (await self.lanes.claim(shard, handler.kind, lanes=200)).taken:
                    for one in taken:
                        await service.carry(one)
                        served += 1
        return served

    async def tell(self) -> int:
        """Carry and serve all there is; answers how many items were served."""
        while await self.propagation.pass_once():
            pass
        return await self.serve()

    async def differences(self, tenant: TenantId = BAKERY.id) -> list[Difference]:
        found: list[Difference] = []
        async for looked in look(self.database, tenant, now=self.now + LONG, most=2):
            found += looked.differences
        return found

    async def repair(self, *, again: bool = False) -> None:
        async for looked in look(self.database, BAKERY.id, now=self.now + LONG):
            wanted = [(d.system, d.ugid) for d in looked.differences if d.can_be_told]
            for system, ugid in wanted + (list(looked.told) if again else []):
                await self.propagation.put(
                    TellPerson(BAKERY.id, ugid, again=again),
                    system,
                    mark=f"repair|{self.clock.now_ms()}",
                    day=0,
                )

    async def delivery(self, system: SystemKind, ugid: Ugid) -> Any:
        async with self.database.tenant(BAKERY.id) as connection:
            return await connection.fetchrow(
                "SELECT * FROM smarterbot.identity_deliveries WHERE system = $1 AND ugid = $2",
                system,
                ugid,
            )


@asynccontextmanager
async def a_process(
    url: str,
    database: Database,
    fakes: tuple[n8n.FakeN8n, odoo.FakeOdoo, chatwoot.FakeChatwoot],
    clock: Clock,
) -> AsyncIterator[Works]:
    automation, erp, desk = fakes
    box = SecretBox((Key("k1", bytes(32)),))
    wire = await Wire.open(url)
    metrics = Metrics()
    lanes = Lanes(wire, shards=SHARDS, clock=clock)
    tellings = PostgresTellings(database, box, clock=clock)
    limits = Limits(wire, clock=clock)
    trusted = frozenset((automation.url, erp.url, desk.url))
    async with Outside.open(trusted=trusted) as outside:
        more: dict[str, Any] = {
            "limits": limits,
            "alerts": Alarm(),
            "meter": metrics,
            "jitter": lambda: 0.0,
        }
        yield Works(
            database=database,
            lanes=lanes,
            errands=Errands(lanes, Bell(wire), pepper=b"a pepper of thirty-two bytes, so"),
            clock=clock,
            metrics=metrics,
            handlers=(
                Teller(Odoo(OdooClient(outside), meter=metrics), tellings, **more),
                Teller(Chatwoot(ChatwootClient(outside), meter=metrics), tellings, **more),
                Teller(N8n(N8nClient(outside, clock=clock)), tellings, **more),
            ),
            box=box,
            n8n=automation,
            odoo=erp,
            chatwoot=desk,
        )
    await wire.close()


@pytest.fixture
async def two(clean_valkey: str, database: Database) -> AsyncIterator[tuple[Works, Works]]:
    """Two processes on the same stores."""
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_tenant(database, BUTCHERY, rut=BUTCHERY_RUT)
    clock = Clock()
    async with AsyncExitStack() as stack:
        fakes = (
            await stack.enter_async_context(n8n.serving(n8n.FakeN8n(now_s=None))),
            await stack.enter_async_context(odoo.serving(odoo.FakeOdoo())),
            await stack.enter_async_context(chatwoot.serving(chatwoot.FakeChatwoot())),
        )
        first, second = [
            await stack.enter_async_context(a_process(clean_valkey, database, fakes, clock))
            for _ in range(2)
        ]
        yield first, second


@pytest.fixture
def works(two: tuple[Works, Works]) -> Works:
    return two[0]


async def enters(works: Works, phone: str = PHONE, tenant: TenantId | None = BAKERY.id) -> Ugid:
    """A person logs in by a code, at a firm."""
    async with works.database.system() as connection:
        ugid = await people.enter(
            connection, "phone", "", phone, at=works.now, method="whatsapp_code"
        )
        if tenant is not None:
            await people.join(connection, ugid, tenant, works.now)
        return ugid


@asynccontextmanager
async def changing(works: Works) -> AsyncIterator[Connection]:
    async with works.database.system() as connection:
        yield connection


async def links(works: Works, ugid: Ugid, kind: people.IdentityKind, value: str) -> None:
    async with changing(works) as connection:
        await people.link(connection, ugid, kind, "", value, works.now)


async def erases(works: Works, ugid: Ugid) -> None:
    async with changing(works) as connection:
        await people.erase(connection, ugid, works.now)


def events(works: Works) -> list[tuple[str, int]]:
    return [(event["type"], event["data"]["version"]) for event in works.n8n.events]


# ------------------------------------------------------------------ what is told


async def test_a_login_at_a_firm_reaches_all_of_its_systems_once(works: Works) -> None:
    await works.set_up("n8n", "odoo", "chatwoot")
    ugid = await enters(works)
    assert await works.tell() == 3
    assert await works.tell() == 0

    assert events(works) == [("person.created", 1)]
    data = works.n8n.events[0]["data"]
    assert (data["ugid"], data["phone"], data["role"]) == (ugid, f"+{PHONE}", "customer")
    partner = works.odoo.partner(ugid)
    assert partner is not None
    assert (partner.name, partner.phone) == ("+56 9 6123 4567", f"+{PHONE}")
    [contact] = works.chatwoot.of(ugid)
    assert contact.phone_number == f"+{PHONE}"
    assert await works.differences() == []
    for system in ("n8n", "odoo", "chatwoot"):
        assert (await works.delivery(system, ugid))["state"] == "told"


async def test_what_changes_is_told_and_what_does_not_is_not(works: Works) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    await works.tell()
    await enters(works)
    assert await works.tell() == 0

    await links(works, ugid, "email", EMAIL)
    await works.tell()
    assert events(works) == [("person.created", 1), ("person.updated", 2)]
    assert works.n8n.events[1]["data"]["email"] == EMAIL


async def test_the_name_is_what_the_person_told_this_very_firm(works: Works) -> None:
    await works.set_up("odoo")
    for tenant, name in ((BAKERY.id, "Ana Rojas"), (BUTCHERY.id, "Anita")):
        async with works.database.tenant(tenant) as connection:
            contact = await connection.fetchval(
                """
                INSERT INTO smarterbot.contacts (tenant_id, id, name, created_at)
                VALUES ($1, gen_random_uuid(), $2, now()) RETURNING id
                """,
                tenant,
                name,
            )
            await connection.execute(
                """
                INSERT INTO smarterbot.contact_addresses (tenant_id, kind, value, contact_id, valid_from)
                VALUES ($1, 'phone', $2, $3, now())
                """,
                tenant,
                PHONE,
                contact,
            )
    ugid = await enters(works)
    await works.tell()

    partner = works.odoo.partner(ugid)
    assert partner is not None
    assert partner.name == "Ana Rojas"


async def test_an_address_that_is_not_proved_is_not_told(works: Works) -> None:
    """WhatsApp says that the number was changed; the person has not proved the new one yet."""
    await works.set_up("n8n", "odoo", "chatwoot")
    ugid = await enters(works)
    await works.tell()
    async with changing(works) as connection:
        await people.change(connection, "phone", "", PHONE, OTHER_PHONE, works.now)
    await works.tell()

    assert works.n8n.events[-1]["data"]["phone"] is None
    partner = works.odoo.partner(ugid)
    assert partner is not None
    assert partner.phone is False
    assert works.chatwoot.of(ugid)[0].phone_number is None
    assert OTHER_PHONE not in repr(works.n8n.events)


async def test_a_phone_that_is_given_to_somebody_else_changes_hands_everywhere(
    works: Works,
) -> None:
    await works.set_up("chatwoot", "odoo")
    ana = await enters(works)
    ben = await enters(works, OTHER_PHONE)
    await works.tell()
    await links(works, ben, "phone", PHONE)
    await works.tell()
    works.clock.shift(10 * 60_000)
    await works.serve()

    assert [each.phone_number for each in works.chatwoot.of(ana)] == [None]
    assert [each.phone_number for each in works.chatwoot.of(ben)] == [f"+{PHONE}"]
    assert await works.differences() == []


# ------------------------------------------------------------------ isolation


async def test_no_firm_hears_of_who_does_not_belong_to_it(works: Works) -> None:
    await works.set_up("n8n", "odoo", "chatwoot")
    await enters(works, tenant=BUTCHERY.id)
    await enters(works, OTHER_PHONE, tenant=None)
    await works.tell()

    assert works.n8n.posts == []
    assert works.odoo.partners == {}
    assert works.chatwoot.contacts == {}


async def test_an_order_for_somebody_of_another_firm_is_not_carried_out(works: Works) -> None:
    await works.set_up("n8n")
    ugid = await enters(works, tenant=BUTCHERY.id)
    for again in (False, True):
        await works.propagation.put(
            TellPerson(BAKERY.id, ugid, again=again), "n8n", mark=f"{again}", day=0
        )
    await works.serve()

    assert works.n8n.posts == []


async def test_a_firm_does_not_hear_what_befalls_its_person_elsewhere(works: Works) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    await works.tell()
    async with changing(works) as connection:
        await people.join(connection, ugid, BUTCHERY.id, works.now)
        await people.set_role(connection, ugid, BUTCHERY.id, "admin", works.now)
        await people.link(connection, ugid, "bsuid", "2729063490586005", "CL.1", works.now)
        await people.link(connection, ugid, "clerk", "clerk.example", "user_1", works.now)

    assert await works.tell() == 0
    assert await works.differences() == []


async def test_who_left_a_firm_is_told_as_gone_once_and_then_nothing_of_them(works: Works) -> None:
    await works.set_up("n8n", "chatwoot")
    ugid = await enters(works)
    await works.tell()
    async with changing(works) as connection:
        await people.set_role(connection, ugid, BAKERY.id, None, works.now)
    await works.tell()
    await links(works, ugid, "email", EMAIL)
    await works.tell()

    assert events(works) == [("person.created", 1), ("person.removed", 2)]
    assert works.chatwoot.of(ugid)[0].email is None
    assert await works.differences() == []

    async with changing(works) as connection:
        await people.set_role(connection, ugid, BAKERY.id, "agent", works.now)
    await works.tell()
    assert events(works)[-1] == ("person.updated", 3)
    assert works.chatwoot.of(ugid)[0].email == EMAIL


# ------------------------------------------------------------------ killed, and two at once


async def test_killed_between_the_lanes_and_the_mark_nothing_is_lost_or_doubled(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    await works.set_up("n8n", "odoo", "chatwoot")
    phones = [str(56_961_000_000 + n) for n in range(5)]
    for number in phones:
        await enters(works, number)
    for at in (1, 4, 9, 15):
        with monkeypatch.context() as patch:
            patch.setattr(works.errands, "put", dying(works.errands.put, at))
            with pytest.raises(KilledError):
                await works.propagation.pass_once()
    assert await works.tell() == 15

    assert len(works.n8n.events) == len(works.n8n.posts) == 5
    assert len(works.odoo.partners) == len(works.chatwoot.contacts) == 5
    assert await works.differences() == []


async def test_a_store_that_is_away_leaves_the_line(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    await works.set_up("n8n")
    await enters(works)

    async def refuse(*args: Any, **named: Any) -> bool:
        raise StoreDownError("down")

    monkeypatch.setattr(works.errands, "put", refuse)
    with pytest.raises(StoreDownError):
        await works.propagation.pass_once()
    monkeypatch.undo()

    await works.tell()
    assert events(works) == [("person.created", 1)]


async def test_two_processes_at_once_tell_everything_once(two: tuple[Works, Works]) -> None:
    first, second = two
    await first.set_up("n8n", "odoo", "chatwoot")
    phones = [str(56_961_000_000 + n) for n in range(20)]
    await asyncio.gather(*(enters(first, number) for number in phones))

    await asyncio.gather(*(each.propagation.pass_once() for each in (first, second, first, second)))
    await asyncio.gather(*(each.serve() for each in (first, second)))

    # A bucket of ours gave way to some of them.
    for _ in range(20):
        first.clock.shift(5_000)
        await asyncio.gather(first.serve(), second.serve())
    assert len(first.n8n.posts) == len(set(first.n8n.posts)) == 20
    assert len(first.odoo.partners) == len(first.chatwoot.contacts) == 20
    assert await first.differences() == []


async def test_killed_between_the_post_and_the_record_it_is_the_same_event(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    await works.set_up("n8n")
    await enters(works)
    await works.propagation.pass_once()

    async def die(*args: Any, **named: Any) -> None:
        raise KilledError

    monkeypatch.setattr(PostgresTellings, "told", die)
    with pytest.raises(KilledError):
        await works.serve()
    monkeypatch.undo()
    works.clock.shift(60_000)  # the lease is over
    await works.serve()

    assert len(works.n8n.posts) == 2
    assert events(works) == [("person.created", 1)]


async def test_changes_of_one_person_are_told_in_their_order(two: tuple[Works, Works]) -> None:
    first, second = two
    await first.set_up("n8n")
    ugid = await enters(first)
    for n in range(6):
        await links(first, ugid, "email", f"ana{n}@example.com")
        await asyncio.gather(*(each.propagation.pass_once() for each in two))
        await asyncio.gather(first.serve(), second.serve())

    told = [event["data"] for event in first.n8n.events]
    assert [data["version"] for data in told] == list(range(1, 7))
    assert [data["email"] for data in told] == [f"ana{n}@example.com" for n in range(6)]


async def test_after_an_outage_the_newest_is_told_and_what_was_meanwhile_is_not(
    works: Works,
) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    works.n8n.answers = [web.Response(status=503)]
    await works.tell()
    for n in range(3):
        await links(works, ugid, "email", f"ana{n}@example.com")
        await works.tell()
    works.clock.shift(60_000)
    await works.serve()

    assert [event["data"]["email"] for event in works.n8n.events] == ["ana2@example.com"]
    assert events(works)[0][0] == "person.created"


# ------------------------------------------------------------------ erasure


async def test_who_is_erased_is_gone_everywhere_and_it_is_known(works: Works) -> None:
    await works.set_up("n8n", "odoo", "chatwoot")
    ugid = await enters(works)
    await works.tell()
    await erases(works, ugid)
    await works.tell()

    assert events(works) == [("person.created", 1), ("person.erased", 2)]
    assert works.n8n.events[1]["data"] == {"ugid": ugid, "version": 2}
    assert works.odoo.partners == {}
    assert works.chatwoot.contacts == {}
    for system in ("n8n", "odoo", "chatwoot"):
        row = await works.delivery(system, ugid)
        assert (row["state"], row["foreign_id"], row["fields"]) == ("erased", "", [])
    assert await works.differences() == []


async def test_what_comes_late_makes_nobody_anew(works: Works) -> None:
    await works.set_up("n8n", "odoo", "chatwoot")
    ugid = await enters(works)
    await works.propagation.pass_once()  # in the lanes, and not told yet
    await erases(works, ugid)
    await works.serve()
    assert (works.n8n.posts, works.odoo.partners, works.chatwoot.contacts) == ([], {}, {})

    await works.tell()
    for again in (False, True):
        for system in ("n8n", "odoo", "chatwoot"):
            await works.propagation.put(
                TellPerson(BAKERY.id, ugid, again=again), system, mark=f"late{again}", day=0
            )
    await works.serve()
    assert (works.n8n.posts, works.odoo.partners, works.chatwoot.contacts) == ([], {}, {})


async def test_who_had_left_is_erased_there_too(works: Works) -> None:
    await works.set_up("odoo")
    ugid = await enters(works)
    await works.tell()
    async with changing(works) as connection:
        await people.set_role(connection, ugid, BAKERY.id, None, works.now)
    await works.tell()
    assert works.odoo.partner(ugid) is not None
    await erases(works, ugid)
    await works.tell()

    assert works.odoo.partners == {}


async def test_an_erasure_that_no_system_takes_any_more_is_seen(works: Works) -> None:
    await works.set_up("odoo")
    ugid = await enters(works)
    await works.tell()
    await remove_system(works.database, BAKERY.id, "odoo")
    await erases(works, ugid)
    await works.tell()

    [difference] = await works.differences()
    assert (difference.why, difference.can_be_told) == ("no_system", False)


# ------------------------------------------------------------------ check and repair


async def test_a_system_that_comes_later_is_missing_everybody_until_repaired(works: Works) -> None:
    ugids = [await enters(works, str(56_961_000_000 + n)) for n in range(5)]
    await works.tell()
    await works.set_up("n8n")

    found = await works.differences()
    assert sorted(each.ugid for each in found) == sorted(ugids)
    assert {(each.system, each.why) for each in found} == {("n8n", "missing")}

    await works.repair()
    await works.serve()
    assert await works.differences() == []
    assert len(works.n8n.events) == 5


async def test_what_was_given_up_is_seen_and_repaired_as_the_same_event(works: Works) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    works.n8n.answers = [web.Response(status=422)]
    await works.tell()
    [difference] = await works.differences()
    assert (difference.ugid, difference.why, difference.fault) == (ugid, "failed", "status_422")

    await works.repair()
    await works.serve()
    assert events(works) == [("person.created", 1)]
    assert await works.differences() == []


async def test_what_is_tried_again_is_behind(works: Works) -> None:
    await works.set_up("n8n")
    await enters(works)
    works.n8n.answers = [web.Response(status=503)]
    await works.tell()

    [difference] = await works.differences()
    assert (difference.why, difference.fault, difference.tries) == ("behind", "status_503", 1)


async def test_what_a_system_lost_is_told_anew(works: Works) -> None:
    await works.set_up("chatwoot", "n8n")
    ugid = await enters(works)
    await works.tell()
    works.chatwoot.contacts.clear()
    await works.repair()
    assert await works.serve() == 0

    await works.repair(again=True)
    await works.serve()
    assert len(works.chatwoot.of(ugid)) == 1
    assert events(works) == [("person.created", 1), ("person.updated", 2)]


async def test_another_address_knows_nobody(works: Works) -> None:
    await works.set_up("chatwoot")
    ugid = await enters(works)
    await works.tell()
    before = System(BAKERY.id, "chatwoot", "https://else.example", {"account": "3"}, "x")
    assert await set_system(works.database, works.box, before, at=works.now)
    assert [each.why for each in await works.differences()] == ["behind"]

    await works.set_up("chatwoot")
    works.chatwoot.contacts.clear()
    await works.repair()
    await works.serve()
    assert len(works.chatwoot.of(ugid)) == 1


async def test_a_system_that_stopped_hears_again_once_set_anew(works: Works) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    works.n8n.answers = [web.Response(status=410)]
    await works.tell()
    await links(works, ugid, "email", EMAIL)
    assert await works.tell() == 0
    [view] = await list_systems(works.database, BAKERY.id)
    assert view.stopped_at is not None

    await works.set_up("n8n")
    await works.repair()
    await works.serve()
    assert events(works)[-1][0] == "person.created"


# ------------------------------------------------------------------ secrets and keys


async def test_secrets_lie_sealed_and_are_resealed(
    works: Works, clean_postgres: PostgresUrls
) -> None:
    await works.set_up("n8n", "odoo")
    newer = SecretBox((Key("k2", bytes(range(32))), Key("k1", bytes(32))))

    assert [await reseal_systems(works.database, newer) for _ in range(2)] == [2, 0]
    superuser = await asyncpg.connect(clean_postgres.app.replace("smarterbot_app@", "postgres@"))
    rows = await superuser.fetch("SELECT secret FROM smarterbot.systems")
    await superuser.close()
    assert all(row["secret"].startswith("k2.") for row in rows)
    assert n8n.SECRET not in repr(rows)


async def test_a_secret_whose_key_is_gone_waits_for_somebody_to_mend_it(works: Works) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    works.box = SecretBox((Key("k9", bytes(range(32))),))
    await works.set_up("n8n")
    await works.tell()

    row = await works.delivery("n8n", ugid)
    assert (row["state"], row["fault"]) == ("waiting", "secret")


async def test_no_key_and_no_item_in_the_store_tells_who_it_is(
    works: Works, clean_valkey: str
) -> None:
    await works.set_up("n8n")
    ugid = await enters(works)
    await works.propagation.pass_once()

    with redis.Redis.from_url(clean_valkey) as store:
        names = [key for key in store.scan_iter() if store.type(key) != b"none"]
        inside = [store.hgetall(key) for key in names if store.type(key) == b"hash"]
        fields = [list(each) for each in inside]
    assert ugid not in repr((names, fields))
    assert PHONE not in repr((names, inside))


async def test_a_person_sees_who_was_told_of_them_and_nobody_else_s(works: Works) -> None:
    await works.set_up("n8n")
    ana = await enters(works)
    await enters(works, OTHER_PHONE)
    await works.tell()

    async with works.database.person(ana) as connection:
        rows = await connection.fetch("SELECT ugid FROM smarterbot.identity_deliveries")
        assert [str(row["ugid"]) for row in rows] == [ana]
    async with works.database.tenant(BUTCHERY.id) as connection:
        assert await connection.fetch("SELECT * FROM smarterbot.identity_deliveries") == []
        assert await connection.fetch("SELECT * FROM smarterbot.systems") == []
