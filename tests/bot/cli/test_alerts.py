"""`smarterbot alerts`: what somebody has to look at, until they have."""

import asyncio
from uuid import uuid4

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.people.alerts import raise_alert
from bot.store.database import Database
from flows.values.ids import TenantId
from tests.bot.cli.conftest import Command

NOW = 1_795_392_000_000


@pytest.fixture
def bakery(smarterbot: Command) -> str:
    """Id of a registered firm."""
    firm = smarterbot("tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json")
    tenant: str = firm.json["id"]
    return tenant


@pytest.fixture
def raised(smarterbot: Command, bakery: str, postgres: PostgresUrls) -> str:
    """The firm, with two alerts."""

    async def work() -> None:
        async with Database.open(postgres.app) as database:
            for kind, about in (("template_paused", "aviso es_CL"), ("token", ""), ("token", "")):
                await raise_alert(
                    database, TenantId(bakery), None, kind, about, detail="WHY", at=NOW
                )

    asyncio.run(work())
    return bakery


def test_alerts_are_listed_with_what_to_do(smarterbot: Command, raised: str) -> None:
    answer = smarterbot("alerts")

    assert "Panadería Sol: template_paused aviso es_CL (WHY)" in answer.out
    assert "since 2026-11-23 00:00+00:00, 2 times" in answer.out
    assert "smarterbot channel token" in answer.out


def test_alerts_are_told_to_programs(smarterbot: Command, raised: str) -> None:
    for words in (("alerts", "--json"), ("alerts", "list", "--json", "--tenant", raised)):
        told = smarterbot(*words).json
        assert sorted((each["kind"], each["about"], each["times"]) for each in told) == [
            ("template_paused", "aviso es_CL", 1),
            ("token", "", 2),
        ]
    assert smarterbot("alerts", "list", "--json", "--tenant", str(uuid4())).json == []


def test_one_that_is_settled_is_gone_and_still_there_to_be_seen(
    smarterbot: Command, raised: str
) -> None:
    [first, _] = smarterbot("alerts", "--json").json

    answer = smarterbot("alerts", "settle", first["id"], "--json")

    assert answer.json == {"settled": 1}
    assert len(smarterbot("alerts", "--json").json) == 1
    assert len(smarterbot("alerts", "list", "--settled", "--json").json) == 2


def test_all_can_be_settled_at_once(smarterbot: Command, raised: str) -> None:
    assert smarterbot("alerts", "settle", "--all", "--tenant", raised).out == "settled 2\n"
    assert smarterbot("alerts").out == "there is nothing to look at\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param([], 2, id="neither"),
        pytest.param([str(uuid4()), "--all"], 2, id="both"),
        pytest.param([str(uuid4())], 1, id="unknown"),
    ],
)
def test_what_to_settle_is_named(
    smarterbot: Command, raised: str, words: list[str], code: int
) -> None:
    assert smarterbot("alerts", "settle", *words).code == code
