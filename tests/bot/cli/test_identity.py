"""`smarterbot identity`: what an operator sees and ends."""

import asyncio
from datetime import UTC, datetime

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.identity import people
from bot.store.database import Database
from flows.values.ids import Ugid
from tests.bot.cli.conftest import Command

PHONE = "56961234567"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def ana(environment: None, clean_postgres: PostgresUrls) -> Ugid:
    """A person with an open session."""

    async def make() -> Ugid:
        async with Database.open(clean_postgres.app) as database, database.system() as connection:
            at = datetime.now(UTC)
            ugid = await people.enter(connection, "phone", "", PHONE, at=at, method="whatsapp_code")
            await connection.execute(
                """
                INSERT INTO smarterbot.sessions
                  (ugid, id, method, token_hash, created_at, refreshed_at, expires_at)
                VALUES ($1, gen_random_uuid(), 'otp', $2, now(), now(), now() + interval '1 day')
                """,
                ugid,
                bytes(32),
            )
            return ugid

    return asyncio.run(make())


def test_keys_are_made_and_listed(smarterbot: Command) -> None:
    assert smarterbot("identity", "keys", "list").out.startswith("no keys yet")
    assert smarterbot("identity", "keys", "rotate", "--dry-run", "--json").json["kid"] is None

    first = smarterbot("identity", "keys", "rotate", "--json").json["kid"]
    second = smarterbot("identity", "keys", "rotate", "--json").json["kid"]

    listed = smarterbot("identity", "keys", "list", "--json").json
    assert [key["kid"] for key in listed] == [first, second]
    assert listed[0]["shown_until"] > listed[1]["signs_from"]
    assert "PRIVATE" not in str(listed)


def test_a_person_is_found_by_id_and_by_phone(smarterbot: Command, ana: Ugid) -> None:
    by_id = smarterbot("identity", "person", "show", ana, "--json").json
    by_phone = smarterbot("identity", "person", "show", "--phone", "+56 9 6123 4567", "--json").json

    assert by_id == by_phone
    assert by_id["person"]["ugid"] == ana
    assert by_id["person"]["identities"][0]["value"] == PHONE
    assert len(by_id["sessions"]) == 1
    assert PHONE in smarterbot("identity", "person", "show", ana).out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param([], 2, id="nobody-named"),
        pytest.param([NOBODY, "--phone", "+56961234567"], 2, id="named-twice"),
        pytest.param(["--phone", "hola"], 2, id="no-phone"),
        pytest.param([NOBODY], 1, id="unknown"),
        pytest.param(["--phone", "+56961234560"], 1, id="unknown-phone"),
    ],
)
def test_nobody_is_shown_by_mistake(smarterbot: Command, words: list[str], code: int) -> None:
    answer = smarterbot("identity", "person", "show", *words)

    assert answer.code == code
    assert answer.error


def test_sessions_are_ended(smarterbot: Command, ana: Ugid) -> None:
    words = ("identity", "sessions", "revoke", ana, "--json")
    assert smarterbot(*words, "--dry-run").json["ended"] == 1
    assert smarterbot(*words).json["ended"] == 1
    assert smarterbot(*words).json["ended"] == 0
    assert smarterbot("identity", "sessions", "revoke", NOBODY).code == 1


def test_a_role_is_given_and_taken(smarterbot: Command, ana: Ugid) -> None:
    tenant = smarterbot("tenant", "add", "--name", "Sol", "--rut", "76.543.210-3", "--json").json[
        "id"
    ]
    words = ("identity", "person", "role", ana, "--tenant", tenant, "--role")

    assert smarterbot(*words, "owner").code == 0
    shown = smarterbot("identity", "person", "show", ana, "--json").json
    assert [(one["tenant"], one["role"]) for one in shown["person"]["memberships"]] == [
        (tenant, "owner")
    ]
    assert smarterbot(*words, "none").code == 0
    assert (
        smarterbot("identity", "person", "show", ana, "--json").json["person"]["memberships"] == []
    )
    assert smarterbot(*words, "king").code == 2


def test_a_person_is_kept_out_and_let_in(smarterbot: Command, ana: Ugid) -> None:
    assert smarterbot("identity", "person", "disable", ana).code == 0
    shown = smarterbot("identity", "person", "show", ana, "--json").json
    assert shown["person"]["disabled_at"]
    assert shown["sessions"] == []
    assert smarterbot("identity", "person", "disable", ana, "--undo").code == 0
    assert smarterbot("identity", "person", "disable", NOBODY).code == 1
