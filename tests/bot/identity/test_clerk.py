"""Clerk's users become people; the newest word counts, a deletion is final, and nobody's phone is taken by hearsay."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.identity.clerk import ClerkUsers
from bot.identity.keys import SigningKeys
from bot.identity.people import disable, enter, erase, get_person, person_of
from bot.identity.tokens import Tokens
from bot.metrics import Metrics
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.values.ids import Ugid
from handlers.clerk.codec import UserGone, UserSeen
from handlers.clerk.login import RefusedError, UnknownUserError
from handlers.clerk.people import PeopleDownError
from handlers.clerk.sessions import Session
from tests.bot.identity.conftest import House

INSTANCE = "clerk.example"
PHONE, OTHER_PHONE = "56961234567", "56961234568"
EMAIL, OTHER_EMAIL = "ana@example.com", "ana@example.org"
NOW = datetime(2026, 11, 28, tzinfo=UTC)

CREATED = UserSeen(id="user_1", at=1_000, phones=(PHONE,), emails=(EMAIL,))
UPDATED = UserSeen(id="user_1", at=2_000, phones=(OTHER_PHONE,), emails=(EMAIL, OTHER_EMAIL))
DELETED = UserGone("user_1")


@pytest.fixture
def tokens(database: Database, clock: Clock) -> Tokens:
    keys = SigningKeys(database, SecretBox((Key("k1", bytes(32)),)), clock=clock)
    return Tokens(keys, issuer="https://login.example", clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clerk(database: Database, tokens: Tokens, clock: Clock) -> ClerkUsers:
    return ClerkUsers(database, instance=INSTANCE, tokens=tokens, clock=clock, meter=Metrics())


async def known(database: Database, user: str) -> Ugid | None:
    """The person behind a user of Clerk's."""
    async with database.system() as connection:
        return await person_of(connection, "clerk", INSTANCE, user)


async def addresses(database: Database, ugid: Ugid) -> set[tuple[str, str, str]]:
    """What a person is known by now."""
    async with database.system() as connection:
        person = await get_person(connection, ugid)
    assert person is not None
    return {(i.kind, i.scope, i.value) for i in person.identities if i.valid_to is None}


async def proves(database: Database, phone: str, *, after: timedelta = timedelta(0)) -> Ugid:
    """A person logs in by a code to their phone."""
    async with database.system() as connection:
        return await enter(
            connection, "phone", "", phone, at=datetime.now(UTC) + after, method="whatsapp_code"
        )


async def told(postgres: PostgresUrls) -> list[tuple[str, str]]:
    """What other systems will be told, in order."""
    superuser = await asyncpg.connect(postgres.app.replace("smarterbot_app@", "postgres@"))
    try:
        rows = await superuser.fetch(
            "SELECT type, kind FROM smarterbot.identity_outbox ORDER BY seq"
        )
    finally:
        await superuser.close()
    return [(row["type"], row["kind"]) for row in rows]


async def test_a_new_user_is_a_new_person_with_what_they_proved(
    clerk: ClerkUsers, database: Database, clean_postgres: PostgresUrls
) -> None:
    ugid = await clerk.seen(CREATED)

    assert ugid is not None
    assert UUID(ugid).version == 4
    assert await known(database, "user_1") == ugid
    assert await addresses(database, ugid) == {
        ("clerk", INSTANCE, "user_1"),
        ("phone", "", PHONE),
        ("email", "", EMAIL),
    }
    assert await told(clean_postgres) == [
        ("person.created", ""),
        ("identity.linked", "clerk"),
        ("identity.linked", "phone"),
        ("identity.linked", "email"),
    ]


async def test_the_same_word_twice_changes_nothing(
    clerk: ClerkUsers, database: Database, clean_postgres: PostgresUrls
) -> None:
    first = await clerk.seen(CREATED)
    lines = await told(clean_postgres)

    assert await clerk.seen(CREATED) == first
    assert await told(clean_postgres) == lines


async def test_an_update_gives_what_is_new_and_takes_what_is_no_more(
    clerk: ClerkUsers, database: Database
) -> None:
    ugid = await clerk.seen(CREATED)

    assert await clerk.seen(UPDATED) == ugid
    assert ugid is not None
    assert await addresses(database, ugid) == {
        ("clerk", INSTANCE, "user_1"),
        ("phone", "", OTHER_PHONE),
        ("email", "", EMAIL),
        ("email", "", OTHER_EMAIL),
    }


@pytest.mark.parametrize(
    "order", list(itertools.permutations((CREATED, UPDATED))), ids=["in-order", "out-of-order"]
)
async def test_the_newest_word_counts_whatever_the_order(
    clerk: ClerkUsers, database: Database, order: tuple[UserSeen, UserSeen]
) -> None:
    for word in order:
        await clerk.seen(word)
    ugid = await known(database, "user_1")

    assert ugid is not None
    assert ("phone", "", OTHER_PHONE) in await addresses(database, ugid)
    assert ("phone", "", PHONE) not in await addresses(database, ugid)


@pytest.mark.parametrize(
    "order",
    list(itertools.permutations((CREATED, UPDATED, DELETED))),
    ids=lambda order: "-".join(
        {CREATED: "created", UPDATED: "updated", DELETED: "deleted"}[word] for word in order
    ),
)
async def test_a_deleted_user_is_never_resurrected(
    clerk: ClerkUsers, database: Database, order: tuple[UserSeen | UserGone, ...]
) -> None:
    ugids = []
    for word in order:
        if isinstance(word, UserGone):
            await clerk.gone(word)
        else:
            ugids.append(await clerk.seen(word))
    late = await clerk.seen(UserSeen(id="user_1", at=9_000, phones=(PHONE,)))

    assert late is None
    assert await known(database, "user_1") is None
    for ugid in filter(None, ugids):
        assert await addresses(database, ugid) == set()
    async with database.system() as connection:
        assert await person_of(connection, "phone", "", PHONE) is None


async def test_after_a_deletion_nothing_of_the_person_is_left_in_clerk_s_row(
    clerk: ClerkUsers, clean_postgres: PostgresUrls
) -> None:
    await clerk.seen(CREATED)
    await clerk.gone(DELETED)

    superuser = await asyncpg.connect(clean_postgres.app.replace("smarterbot_app@", "postgres@"))
    [row] = await superuser.fetch("SELECT phones, emails FROM smarterbot.clerk_users")
    await superuser.close()
    assert (row["phones"], row["emails"]) == ([], [])


async def test_the_same_proved_phone_is_the_same_person(
    clerk: ClerkUsers, database: Database
) -> None:
    ugid = await proves(database, PHONE)

    assert await clerk.seen(CREATED) == ugid


async def test_the_same_e_mail_is_not_enough(clerk: ClerkUsers) -> None:
    first = await clerk.seen(UserSeen(id="user_1", at=1, emails=(EMAIL,)))
    second = await clerk.seen(UserSeen(id="user_2", at=1, emails=(EMAIL,)))

    assert first != second


async def test_a_phone_of_another_person_stays_theirs(
    clerk: ClerkUsers, database: Database
) -> None:
    ugid = await clerk.seen(UserSeen(id="user_1", at=1, emails=(EMAIL,)))
    owner = await proves(database, PHONE)

    assert await clerk.seen(UserSeen(id="user_1", at=2, phones=(PHONE,), emails=(EMAIL,))) == ugid
    assert ("phone", "", PHONE) in await addresses(database, owner)
    # And when Clerk says it no more, it is still theirs.
    await clerk.seen(UserSeen(id="user_1", at=3, emails=(EMAIL,)))
    assert ("phone", "", PHONE) in await addresses(database, owner)


@pytest.mark.parametrize("word", [UserSeen(id="user_1", at=2), DELETED], ids=["dropped", "deleted"])
async def test_a_phone_that_was_proved_by_a_code_since_outlives_clerk_s_word(
    clerk: ClerkUsers, database: Database, word: UserSeen | UserGone
) -> None:
    ugid = await clerk.seen(UserSeen(id="user_1", at=1, phones=(PHONE,)))
    assert await proves(database, PHONE, after=timedelta(seconds=1)) == ugid

    if isinstance(word, UserGone):
        await clerk.gone(word)
    else:
        await clerk.seen(word)

    assert ugid is not None
    assert ("phone", "", PHONE) in await addresses(database, ugid)


async def test_a_user_who_carries_our_id_is_that_person(
    clerk: ClerkUsers, database: Database
) -> None:
    ugid = await proves(database, PHONE)

    assert await clerk.seen(UserSeen(id="user_1", at=1, external_id=ugid)) == ugid


@pytest.mark.parametrize("external_id", ["", "cliente-7", "1a0c7a2e-0000-4000-8000-000000000001"])
async def test_another_s_external_id_is_nobody(clerk: ClerkUsers, external_id: str) -> None:
    ugid = await clerk.seen(UserSeen(id="user_1", at=1, external_id=external_id))

    assert ugid is not None
    assert ugid != external_id


async def test_an_erased_person_is_not_found_by_the_id_that_a_user_carries(
    clerk: ClerkUsers, database: Database
) -> None:
    ugid = await proves(database, PHONE)
    async with database.system() as connection:
        await erase(connection, ugid, NOW)

    assert await clerk.seen(UserSeen(id="user_1", at=1, external_id=ugid)) not in (None, ugid)


async def test_who_is_erased_here_is_not_made_anew_by_a_late_word(
    clerk: ClerkUsers, database: Database, clean_postgres: PostgresUrls
) -> None:
    ugid = await clerk.seen(CREATED)
    assert ugid is not None
    async with database.system() as connection:
        await erase(connection, ugid, NOW)

    assert await clerk.seen(UPDATED) is None
    superuser = await asyncpg.connect(clean_postgres.app.replace("smarterbot_app@", "postgres@"))
    [row] = await superuser.fetch("SELECT phones, emails FROM smarterbot.clerk_users")
    await superuser.close()
    assert (row["phones"], row["emails"]) == ([], [])


async def test_two_first_words_of_one_phone_at_once_make_one_person(
    clerk: ClerkUsers, database: Database
) -> None:
    async def retried(n: int) -> Ugid | None:
        while True:
            try:
                return await clerk.seen(UserSeen(id=f"user_{n}", at=1, phones=(PHONE,)))
            except PeopleDownError:
                pass  # a deadlock: the other one went first

    found = await asyncio.gather(*map(retried, range(8)))

    assert len(set(found)) == 1


async def test_another_instance_s_user_of_the_same_id_is_somebody_else(
    clerk: ClerkUsers, database: Database, tokens: Tokens
) -> None:
    other = ClerkUsers(
        database, instance="other.example", tokens=tokens, clock=Clock(), meter=Metrics()
    )
    ugid = await clerk.seen(UserSeen(id="user_1", at=1))

    assert await other.seen(UserSeen(id="user_1", at=1)) != ugid
    await other.gone(DELETED)
    assert await known(database, "user_1") is not None


async def test_without_postgresql_it_is_told_as_such(tokens: Tokens) -> None:
    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as database:
        clerk = ClerkUsers(
            database, instance=INSTANCE, tokens=tokens, clock=Clock(), meter=Metrics()
        )
        with pytest.raises(PeopleDownError):
            await clerk.seen(CREATED)
        with pytest.raises(PeopleDownError):
            await clerk.enter(SESSION, agent="")


# ------------------------------------------------------------------ logins

SESSION = Session("user_1", "sess_1", 0)


async def test_a_session_of_clerk_s_is_one_session_of_ours(
    house: House, clean_postgres: PostgresUrls
) -> None:
    clerk = at_home(house)
    ugid = await clerk.seen(CREATED)

    first = await clerk.enter(SESSION, agent="Chrome")
    again = await clerk.enter(SESSION, agent="Chrome")
    other = await clerk.enter(Session("user_1", "sess_2", 0), agent="Chrome")

    claims = [house.identity.tokens.read(each.access_token) for each in (first, again, other)]
    assert [each.ugid for each in claims] == [ugid] * 3
    assert claims[0].session == claims[1].session != claims[2].session
    me = await house.call("GET", "/auth/me", token=first.access_token)
    assert (me.status, me.body["ugid"]) == (200, ugid)


async def test_an_entered_session_ends_with_its_token(house: House) -> None:
    clerk = at_home(house)
    await clerk.seen(CREATED)
    entered = await clerk.enter(SESSION, agent="")

    house.passes(entered.expires_in + 60)

    assert (await house.call("GET", "/auth/me", token=entered.access_token)).status == 401
    again = await clerk.enter(SESSION, agent="")
    assert (await house.call("GET", "/auth/me", token=again.access_token)).status == 200


async def test_a_logout_here_is_not_undone_by_clerk_s_word(house: House) -> None:
    clerk = at_home(house)
    await clerk.seen(CREATED)
    entered = await clerk.enter(SESSION, agent="")
    session = house.identity.tokens.read(entered.access_token).session

    left = await house.call("DELETE", f"/auth/sessions/{session}", token=entered.access_token)

    assert left.status in (200, 204)
    with pytest.raises(RefusedError):
        await clerk.enter(SESSION, agent="")


async def test_who_is_disabled_deleted_or_unknown_does_not_enter(
    house: House, database: Database
) -> None:
    clerk = at_home(house)
    with pytest.raises(UnknownUserError):
        await clerk.enter(SESSION, agent="")
    ugid = await clerk.seen(CREATED)
    assert ugid is not None
    async with database.system() as connection:
        await disable(connection, ugid, NOW)
    with pytest.raises(RefusedError):
        await clerk.enter(SESSION, agent="")
    await clerk.gone(DELETED)
    with pytest.raises(UnknownUserError):
        await clerk.enter(SESSION, agent="")


async def test_a_deletion_at_clerk_ends_the_sessions_here(house: House) -> None:
    clerk = at_home(house)
    await clerk.seen(CREATED)
    entered = await clerk.enter(SESSION, agent="")

    await clerk.gone(DELETED)

    assert (await house.call("GET", "/auth/me", token=entered.access_token)).status == 401


async def test_without_a_signing_key_it_is_told_as_such(clerk: ClerkUsers) -> None:
    await clerk.seen(CREATED)

    with pytest.raises(PeopleDownError):
        await clerk.enter(SESSION, agent="")


def at_home(house: House) -> ClerkUsers:
    return ClerkUsers(
        house.database,
        instance=INSTANCE,
        tokens=house.identity.tokens,
        clock=house.clock,
        meter=house.metrics,
    )
