"""`smarterbot tenant status` and `retry`: what a firm has, and what failed, tried again."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.onboarding.parts import tell_part
from bot.onboarding.setup import ALERT
from bot.people.alerts import raise_alert
from bot.store.database import Database
from flows.calls.signup import Part, PartState
from flows.values.ids import TenantId
from tests.bot.cli.conftest import Command

NOBODY = "00000000-0000-4000-8000-000000000000"
Tell = Callable[[Part, PartState, str], None]


@pytest.fixture
def firm(smarterbot: Command) -> str:
    words = ("tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json")
    id: str = smarterbot(*words).json["id"]
    return id


@pytest.fixture
def tell(firm: str, clean_postgres: PostgresUrls) -> Tell:
    """Writes down how far a part is."""

    def told(part: Part, state: PartState, reason: str) -> None:
        async def run() -> None:
            tenant = TenantId(firm)
            async with (
                Database.open(clean_postgres.app) as database,
                database.tenant(tenant) as connection,
            ):
                await tell_part(connection, tenant, part, state, reason, at=datetime.now(UTC))

        asyncio.run(run())

    return told


def test_each_part_is_told_with_what_to_do(smarterbot: Command, firm: str, tell: Tell) -> None:
    tell("account", "done", "")
    tell("number", "pending", "owner")
    tell("odoo", "failed", "down")
    tell("n8n", "not_connected", "")

    answer = smarterbot("tenant", "status", firm)

    assert answer.code == 1
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert lines[1:] == [
        "account done",
        "number pending waits for its owner: the link to /connect is in their chat",
        "odoo failed it did not answer for hours: see to it, then `tenant retry`",
        "n8n not connected this platform has no such system",
    ]


def test_each_part_is_told_to_programs(smarterbot: Command, firm: str, tell: Tell) -> None:
    tell("chatwoot", "pending", "down")

    answer = smarterbot("tenant", "status", firm, "--json")

    assert answer.code == 0
    assert answer.json == {
        "chatwoot": {
            "state": "pending",
            "reason": "down",
            "mend": "the system does not answer; it is asked again",
        }
    }


def test_an_alert_says_where_to_look(
    smarterbot: Command, firm: str, clean_postgres: PostgresUrls
) -> None:
    async def run() -> None:
        async with Database.open(clean_postgres.app) as database:
            await raise_alert(database, TenantId(firm), None, ALERT, "odoo", at=1)

    asyncio.run(run())

    [told] = smarterbot("alerts", "--json").json
    assert told["about"] == "odoo"
    assert "tenant status" in told["mend"]
    assert "tenant retry" in told["mend"]


def test_a_firm_that_an_operator_registered_has_none(smarterbot: Command, firm: str) -> None:
    answer = smarterbot("tenant", "status", firm)

    assert answer.out == "it did not register itself: nothing was set up for it\n"


def test_nobody_s_status_is_no_status(smarterbot: Command) -> None:
    answer = smarterbot("tenant", "status", NOBODY)

    assert (answer.code, answer.error) == (1, "error: there is no tenant with this id\n")


@pytest.mark.parametrize("state", ["failed", "not_connected"])
def test_what_failed_is_tried_again(
    smarterbot: Command, firm: str, tell: Tell, state: PartState
) -> None:
    tell("odoo", state, "down" if state == "failed" else "")

    assert smarterbot("tenant", "retry", firm, "odoo", "--dry-run").out == (
        "odoo can be tried again\n"
    )
    assert smarterbot("tenant", "retry", firm, "odoo").out == "odoo is under way\n"

    assert smarterbot("tenant", "status", firm, "--json").json["odoo"]["state"] == "pending"
    assert "setup" in smarterbot("lanes", "show", "--json").out


def test_what_has_not_failed_is_left_alone(smarterbot: Command, firm: str, tell: Tell) -> None:
    tell("odoo", "done", "")

    answer = smarterbot("tenant", "retry", firm, "odoo")

    assert (answer.code, answer.out) == (0, "odoo has not failed: see `tenant status`\n")


@pytest.mark.parametrize(
    ("part", "mend"),
    [
        ("sap", "part: there are chatwoot, odoo, n8n"),
        ("account", "part: is done with the firm itself; name one of chatwoot, odoo, n8n"),
    ],
)
def test_a_part_that_cannot_be_tried_is_named(
    smarterbot: Command, firm: str, part: str, mend: str
) -> None:
    answer = smarterbot("tenant", "retry", firm, part)

    assert (answer.code, answer.error) == (2, f"error: {mend}\n")
