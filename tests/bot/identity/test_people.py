"""One person has one id, whatever they are known by; and whoever must know of a change is told with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from bot.embedded.postgres import PostgresUrls
from bot.identity import people
from bot.identity.errors import DisabledError
from bot.people.tenants import add_tenant
from bot.store.database import Connection, Database
from flows.values.ids import TenantId, Ugid
from tests.bot.people.conftest import BAKERY, BAKERY_RUT, BUTCHERY, BUTCHERY_RUT

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
NOBODY = Ugid("00000000-0000-4000-8000-000000000000")
PHONE, OTHER = "56961234567", "56967654321"


class BrokenOffError(Exception):
    """Something fails after a change."""


@pytest.fixture
async def firms(database: Database) -> Database:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_tenant(database, BUTCHERY, rut=BUTCHERY_RUT)
    return database


async def enters(database: Database, phone: str, at: datetime = AT) -> Ugid:
    async with database.system() as connection:
        return await people.enter(connection, "phone", "", phone, at=at, method="whatsapp_code")


async def finds(database: Database, kind: people.IdentityKind, value: str, scope: str = "") -> Any:
    async with database.system() as connection:
        return await people.person_of(connection, kind, scope, value)


async def outbox(postgres: PostgresUrls) -> list[tuple[str, str, str]]:
    """(person, what, kind) of each line, in order."""
    owner = await asyncpg.connect(postgres.owner)
    try:
        async with owner.transaction():
            await owner.execute(
                "ALTER TABLE smarterbot.identity_outbox NO FORCE ROW LEVEL SECURITY"
            )
            rows = await owner.fetch(
                "SELECT ugid, type, kind FROM smarterbot.identity_outbox ORDER BY seq"
            )
            await owner.execute("ALTER TABLE smarterbot.identity_outbox FORCE ROW LEVEL SECURITY")
    finally:
        await owner.close()
    return [(str(row["ugid"]), row["type"], row["kind"]) for row in rows]


async def test_a_phone_that_was_proved_is_a_person(
    database: Database, clean_postgres: PostgresUrls
) -> None:
    ugid = await enters(database, PHONE)

    assert await finds(database, "phone", PHONE) == ugid
    assert await finds(database, "phone", OTHER) is None
    assert await finds(database, "email", PHONE) is None
    assert await finds(database, "phone", PHONE, scope="x") is None
    assert await outbox(clean_postgres) == [
        (ugid, "person.created", ""),
        (ugid, "identity.linked", "phone"),
    ]


async def test_coming_again_changes_nothing_that_others_must_know(
    database: Database, clean_postgres: PostgresUrls
) -> None:
    ugid = await enters(database, PHONE)
    assert await enters(database, PHONE, LATER) == ugid

    assert len(await outbox(clean_postgres)) == 2
    async with database.system() as connection:
        person = await people.get_person(connection, ugid)
    assert person is not None
    assert (person.created_at, person.last_login_at) == (AT, LATER)


async def test_a_person_has_many_addresses(
    database: Database, clean_postgres: PostgresUrls
) -> None:
    ugid = await enters(database, PHONE)
    async with database.system() as connection:
        await people.link(connection, ugid, "clerk", "ins_1", "user_1", LATER)
        await people.link(connection, ugid, "email", "", "ana@sol.example", LATER)

    assert await finds(database, "clerk", "user_1", scope="ins_1") == ugid
    assert await finds(database, "email", "ana@sol.example") == ugid
    assert [kind for _, _, kind in await outbox(clean_postgres)] == ["", "phone", "clerk", "email"]


async def test_an_address_has_one_owner_the_one_who_proved_it_last(
    database: Database, clean_postgres: PostgresUrls
) -> None:
    first, second = await enters(database, PHONE), await enters(database, OTHER)
    await opens_session(database, first)

    async with database.system() as connection:
        await people.link(connection, second, "phone", "", PHONE, LATER)

    assert await finds(database, "phone", PHONE) == second
    assert await open_sessions(database, first) == 0
    assert (await outbox(clean_postgres))[-2:] == [
        (first, "identity.unlinked", "phone"),
        (second, "identity.linked", "phone"),
    ]
    async with database.system() as connection:
        was = await people.get_person(connection, first)
    assert was is not None
    assert [(one.value, one.valid_to) for one in was.identities] == [(PHONE, LATER)]


async def test_an_address_that_is_taken_away_ends_the_sessions(database: Database) -> None:
    ugid = await enters(database, PHONE)
    await opens_session(database, ugid)

    async with database.system() as connection:
        assert not await people.unlink(connection, NOBODY, "phone", "", PHONE, LATER)
        assert await people.unlink(connection, ugid, "phone", "", PHONE, LATER)

    assert await finds(database, "phone", PHONE) is None
    assert await open_sessions(database, ugid) == 0
    assert await enters(database, PHONE, LATER) != ugid


@pytest.mark.parametrize("kind", ["phone", "bsuid"])
async def test_a_number_that_changes_must_be_proved_again(database: Database, kind: Any) -> None:
    ugid = await enters(database, OTHER)
    async with database.system() as connection:
        await people.link(connection, ugid, kind, "p1", "old", AT)
    await opens_session(database, ugid)

    async with database.system() as connection:
        assert await people.change(connection, kind, "p1", "old", "new", LATER) == ugid

    assert await open_sessions(database, ugid) == 0
    assert await finds(database, kind, "old", "p1") is None
    assert await finds(database, kind, "new", "p1") is None, "not proved yet"
    async with database.system() as connection:
        again = await people.enter(connection, kind, "p1", "new", at=LATER, method="whatsapp_code")
    assert again == ugid
    assert await finds(database, kind, "new", "p1") == ugid


async def test_a_number_that_was_another_s_leaves_them_when_it_changes(database: Database) -> None:
    ana, bea = await enters(database, PHONE), await enters(database, OTHER)
    await opens_session(database, bea)

    async with database.system() as connection:
        await people.change(connection, "phone", "", PHONE, OTHER, LATER)

    assert await open_sessions(database, bea) == 0
    assert await enters(database, OTHER, LATER) == ana


async def test_a_change_of_a_number_that_nobody_has_is_nobody_s(database: Database) -> None:
    async with database.system() as connection:
        assert await people.change(connection, "phone", "", PHONE, OTHER, AT) is None


async def test_a_person_sees_nobody_else_s_rows(firms: Database) -> None:
    ana, bea = await enters(firms, PHONE), await enters(firms, OTHER)
    async with firms.system() as connection:
        await people.set_role(connection, bea, TenantId(BAKERY.id), "owner", AT)

    async with firms.person(ana) as connection:
        for table in ("people", "identities", "user_auth", "sessions", "memberships"):
            found = await connection.fetch(f"SELECT ugid FROM smarterbot.{table}")
            assert {str(row["ugid"]) for row in found} <= {ana}, table
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO smarterbot.people (ugid, created_at) VALUES ($1, now())", NOBODY
            )


async def test_without_a_person_nothing_is_seen(database: Database) -> None:
    await enters(database, PHONE)
    async with database.system() as connection:
        for table in ("people", "identities", "user_auth", "sessions", "memberships"):
            assert await connection.fetch(f"SELECT * FROM smarterbot.{table}") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM smarterbot.identity_outbox")


async def test_a_connection_forgets_whose_rows_it_saw(clean_postgres: PostgresUrls) -> None:
    async with Database.open(clean_postgres.app, connections=1) as one:
        await enters(one, PHONE)
        async with one.system() as connection:
            assert await connection.fetch("SELECT * FROM smarterbot.people") == []


async def test_a_person_cannot_make_themselves_a_member(firms: Database) -> None:
    ana = await enters(firms, PHONE)
    async with firms.person(ana) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO smarterbot.memberships VALUES ($1, $2, 'owner', now())",
                BAKERY.id,
                ana,
            )


async def test_whoever_logs_in_at_a_firm_is_its_customer_and_no_less_than_before(
    firms: Database,
) -> None:
    ana = await enters(firms, PHONE)
    bakery, butchery = TenantId(BAKERY.id), TenantId(BUTCHERY.id)
    async with firms.system() as connection:
        await people.set_role(connection, ana, bakery, "admin", AT)
        await people.join(connection, ana, bakery, LATER)
        await people.join(connection, ana, butchery, LATER)
        places = await people.memberships_of(connection, ana)

    assert [(place.tenant, place.role) for place in places] == [
        (bakery, "admin"),
        (butchery, "customer"),
    ]


async def test_whoever_was_shown_out_does_not_come_back_by_themselves(firms: Database) -> None:
    ana, bakery = await enters(firms, PHONE), TenantId(BAKERY.id)
    async with firms.system() as connection:
        await people.join(connection, ana, bakery, AT)
        await people.set_role(connection, ana, bakery, None, AT)
        await people.join(connection, ana, bakery, LATER)
        assert await people.role_in(connection, ana, bakery) is None


async def test_what_is_erased_is_gone_and_others_are_told(
    firms: Database, clean_postgres: PostgresUrls
) -> None:
    ugid = await enters(firms, PHONE)
    await opens_session(firms, ugid)
    async with firms.system() as connection:
        await people.join(connection, ugid, TenantId(BAKERY.id), AT)

    async with firms.system() as connection:
        await people.erase(connection, ugid, LATER)

    async with firms.system() as connection:
        person = await people.get_person(connection, ugid)
    assert person is not None
    assert (person.erased_at, person.identities, person.memberships) == (LATER, (), ())
    assert (await outbox(clean_postgres))[-1] == (ugid, "person.erased", "")
    assert await enters(firms, PHONE, LATER) != ugid
    async with firms.system() as connection:
        with pytest.raises(DisabledError):
            await people.link(connection, ugid, "email", "", "ana@sol.example", LATER)


async def test_a_change_that_fails_tells_nobody(
    database: Database, clean_postgres: PostgresUrls
) -> None:
    async def breaks(connection: Connection) -> None:
        await people.enter(connection, "phone", "", PHONE, at=AT, method="whatsapp_code")
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        async with database.system() as connection:
            await breaks(connection)

    assert await outbox(clean_postgres) == []
    assert await finds(database, "phone", PHONE) is None


async def opens_session(database: Database, ugid: Ugid) -> None:
    async with database.person(ugid) as connection:
        await connection.execute(
            """
            INSERT INTO smarterbot.sessions (ugid, id, method, token_hash, created_at, refreshed_at, expires_at)
            VALUES ($1, gen_random_uuid(), 'otp', $2, now(), now(), now() + interval '1 day')
            """,
            ugid,
            bytes(32),
        )


async def open_sessions(database: Database, ugid: Ugid) -> int:
    async with database.person(ugid) as connection:
        count = await connection.fetchval(
            "SELECT count(*) FROM smarterbot.sessions WHERE revoked_at IS NULL"
        )
    assert isinstance(count, int)
    return count
