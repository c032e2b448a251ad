"""`smarterbot system` and `identity sync`: what a firm's systems are given, and what an operator sees and mends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.identity import people
from bot.store.database import Connection, Database
from flows.values.ids import TenantId, Ugid
from tests.bot.cli.conftest import Answer, Command

ADDRESS = "https://n8n.example/webhook/sol"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def firm(smarterbot: Command) -> str:
    words = ("tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json")
    id: str = smarterbot(*words).json["id"]
    return id


def sets(
    smarterbot: Command,
    firm: str,
    system: str,
    *words: str,
    address: str = ADDRESS,
    secret: str = SECRET,
) -> Answer:
    return smarterbot("system", "set", firm, system, "--address", address, *words, stdin=secret)  # fmt: skip


def on_database(
    postgres: PostgresUrls, work: Callable[[Connection], Awaitable[Ugid | None]]
) -> Ugid | None:
    async def run() -> Ugid | None:
        async with Database.open(postgres.app) as database, database.system() as connection:
            return await work(connection)

    return asyncio.run(run())


@pytest.fixture
def ana(firm: str, clean_postgres: PostgresUrls) -> Ugid:
    """A person who became the firm's customer an hour ago."""

    async def enter(connection: Connection) -> Ugid:
        at = datetime.now(UTC) - timedelta(hours=1)
        ugid = await people.enter(
            connection, "phone", "", "56961234567", at=at, method="whatsapp_code"
        )
        await people.join(connection, ugid, TenantId(firm), at)
        return ugid

    ugid = on_database(clean_postgres, enter)
    assert ugid is not None
    return ugid


def test_systems_are_set_listed_and_removed_and_no_secret_is_shown(
    smarterbot: Command, firm: str
) -> None:
    assert sets(smarterbot, firm, "n8n").code == 0
    odoo = ("database=sol", "login=smarterbot")
    assert (
        sets(smarterbot, firm, "odoo", *odoo, address="https://erp.example/", secret="k").code == 0
    )
    assert sets(smarterbot, firm, "chatwoot", "account=3", secret="t").code == 0

    listed = smarterbot("system", "list", firm, "--json")
    assert [(each["system"], each["address"]) for each in listed.json] == [
        ("chatwoot", ADDRESS),
        ("n8n", ADDRESS),
        ("odoo", "https://erp.example"),
    ]
    assert SECRET not in listed.out
    assert "database=sol login=smarterbot" in smarterbot("system", "list", firm).out

    assert smarterbot("system", "remove", firm, "n8n", "--dry-run").code == 0
    assert smarterbot("system", "remove", firm, "n8n").code == 0
    again = smarterbot("system", "remove", firm, "n8n")
    assert (again.code, again.error) == (1, "error: the tenant has no such system\n")


def test_a_signing_secret_is_made_and_shown_once(smarterbot: Command, firm: str) -> None:
    made = sets(smarterbot, firm, "n8n", "--json", secret="").json
    assert made["secret"].startswith("whsec_")
    assert "secret" not in sets(smarterbot, firm, "n8n", "--dry-run", "--json", secret="").json

    assert "whsec_" not in smarterbot("system", "list", firm).out


@pytest.mark.parametrize(
    ("system", "words", "address", "secret", "problem"),
    [
        ("sap", (), ADDRESS, SECRET, "SYSTEM: one of odoo, chatwoot, n8n"),
        ("n8n", (), "ftp://n8n.example", SECRET, "--address"),
        ("n8n", (), "https://user:pass@n8n.example", SECRET, "--address"),
        ("odoo", (), "https://erp.example/?db=x", SECRET, "--address"),
        ("n8n", (), ADDRESS, "swordfish", "n8n: whsec_ and base64 is expected"),
        ("n8n", ("account=3",), ADDRESS, SECRET, "n8n has no options"),
        ("odoo", ("login=x",), ADDRESS, SECRET, "database=NAME and login=NAME"),
        ("odoo", ("login=x", "database=y", "company=z"), ADDRESS, SECRET, "company"),
        ("odoo", ("login=x", "database=y"), ADDRESS, "", "an API key"),
        ("chatwoot", ("account=x",), ADDRESS, SECRET, "account=NUMBER"),
        ("chatwoot", ("account=3",), ADDRESS, "", "the access token"),
        ("chatwoot", ("account",), ADDRESS, SECRET, "KEY=VALUE"),
    ],
)
def test_what_cannot_be_is_said_with_what_would(
    smarterbot: Command,
    firm: str,
    system: str,
    words: tuple[str, ...],
    address: str,
    secret: str,
    problem: str,
) -> None:
    answer = sets(smarterbot, firm, system, *words, address=address, secret=secret)

    assert answer.code == 2
    assert problem in answer.error
    assert "swordfish" not in answer.error


def test_a_firm_that_is_not_there(smarterbot: Command, environment: None) -> None:
    assert sets(smarterbot, NOBODY, "n8n").code == 1
    assert smarterbot("system", "list", NOBODY).code == 1


def test_sync_says_who_is_not_told_and_ends_with_1(
    smarterbot: Command, firm: str, ana: Ugid
) -> None:
    clean = smarterbot("identity", "sync", "--check", "--json")
    assert (clean.code, clean.json["differences"], clean.json["people"]) == (0, [], 1)

    sets(smarterbot, firm, "n8n")
    found = smarterbot("identity", "sync", "--check", "--json")
    assert found.code == 1
    [difference] = found.json["differences"]
    assert (difference["ugid"], difference["system"], difference["why"]) == (ana, "n8n", "missing")
    assert found.json["lines_waiting"] == 3

    shown = smarterbot("identity", "sync", "--check", "--tenant", firm)
    assert shown.code == 1
    assert ana in shown.out
    assert "961234567" not in shown.out + shown.error


def test_sync_puts_what_is_amiss_into_the_lanes(smarterbot: Command, firm: str, ana: Ugid) -> None:
    sets(smarterbot, firm, "n8n")
    tried = smarterbot("identity", "sync", "--repair", "--dry-run", "--json").json
    assert (tried["put"], smarterbot("lanes", "show", "--json").json["kinds"]) == (1, {})

    done = smarterbot("identity", "sync", "--repair", "--json")
    assert (done.code, done.json["put"]) == (0, 1)
    assert smarterbot("lanes", "show", "--json").json["kinds"]["n8n"]["waiting"] == 1


@pytest.mark.parametrize(
    "words", [(), ("--check", "--repair"), ("--check", "--again")], ids=["neither", "both", "again"]
)
def test_sync_is_told_what_to_do(
    smarterbot: Command, environment: None, words: tuple[str, ...]
) -> None:
    assert smarterbot("identity", "sync", *words).code == 2


def test_an_erasure_is_meant_and_is_to_be_told(
    smarterbot: Command, firm: str, ana: Ugid, clean_postgres: PostgresUrls
) -> None:
    sets(smarterbot, firm, "n8n")

    async def was_told(connection: Connection) -> None:
        await connection.execute("SELECT set_config('app.tenant_id', $1, true)", firm)
        await connection.execute(
            """
            INSERT INTO smarterbot.identity_deliveries (tenant_id, system, ugid, wanted, told, state, at)
            VALUES ($1, 'n8n', $2, 9, 9, 'told', now())
            """,
            firm,
            ana,
        )

    on_database(clean_postgres, was_told)
    assert smarterbot("identity", "person", "erase", ana).code == 2
    assert smarterbot("identity", "person", "erase", ana, "--dry-run").code == 0
    assert smarterbot("identity", "person", "show", ana, "--json").json["person"]["identities"]

    assert smarterbot("identity", "person", "erase", ana, "--yes").code == 0
    shown = smarterbot("identity", "person", "show", ana, "--json").json["person"]
    assert (shown["identities"], shown["memberships"]) == ([], [])
    assert smarterbot("identity", "person", "erase", ana, "--yes").code == 1
    assert smarterbot("identity", "sync", "--check").code == 0, "it may still be on its way"
    assert smarterbot("identity", "sync", "--repair", "--again", "--json").json["put"] == 1
