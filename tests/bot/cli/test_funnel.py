"""`smarterbot funnel onboarding`: what an operator reads, in 80 columns and without colour, and what programs do."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.store.database import Database
from flows.values.ids import TenantId
from tests.bot.cli.conftest import Command

HOURS = timedelta(hours=1)


@pytest.fixture
def platform(smarterbot: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    words = ("tenant", "add", "--name", "SmarterOS", "--rut", "77.654.321-7", "--json")
    id: str = smarterbot(*words).json["id"]
    monkeypatch.setenv("WHATSAPP_TOKEN", "EAAG")
    added = smarterbot(
        *("channel", "add", "--tenant", id, "--phone-number-id", "1000", "--waba-id", "2000"),
        *("--display-phone", "+56 2 2345 6700", "--platform"),
    )
    assert added.code == 0, added.error
    return id


def journal(postgres: PostgresUrls, tenant: str, *stories: list[tuple[float, str, str]]) -> None:
    """Conversations, each as (hours ago, state, ended) by turn."""

    async def write() -> None:
        firm, now = TenantId(tenant), datetime.now(UTC)
        async with (
            Database.open(postgres.app) as database,
            database.tenant(firm) as connection,
        ):
            channel = await connection.fetchval("SELECT id FROM smarterbot.channels")
            for story in stories:
                contact, conversation = uuid4(), uuid4()
                await connection.execute(
                    "INSERT INTO smarterbot.contacts (tenant_id, id, created_at) VALUES ($1, $2, $3)",
                    *(firm, contact, now),
                )
                await connection.execute(
                    """
                    INSERT INTO smarterbot.conversations (tenant_id, id, channel_id, contact_id, turn, state, changed_at)
                    VALUES ($1, $2, $3, $4, $5, '', $6)
                    """,
                    *(firm, conversation, channel, contact, len(story), now),
                )
                for turn, (hours, state, ended) in enumerate(story, 1):
                    await connection.execute(
                        """
                        INSERT INTO smarterbot.turns (tenant_id, conversation_id, turn, at, state, ended)
                        VALUES ($1, $2, $3, $4, $5, $6)
                        """,
                        *(firm, conversation, turn, now - hours * HOURS, state, ended),
                    )

    asyncio.run(write())


OPENED = [
    (3.0, "signup.fill_in", ""),
    (2.99, "signup.accept", ""),
    (2.98, "signup.ask_rut", ""),
    (2.9, "signup.summary", ""),
    (2.8, "platform.opened", "signup.opened"),
]
LOST = [(50.0, "signup.fill_in", ""), (49.0, "signup.accept", ""), (48.0, "signup.ask_rut", "")]


def test_a_line_for_each_question_and_what_it_all_came_to(
    smarterbot: Command, platform: str, clean_postgres: PostgresUrls
) -> None:
    journal(clean_postgres, platform, OPENED, OPENED, LOST)

    answer = smarterbot("funnel", "onboarding")

    assert answer.code == 0, answer.error
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in answer.out
    words = [" ".join(line.split()) for line in lines]
    assert words[3].startswith("ask_rut 3 2 0 1 5 min 5 min ██")
    assert words[3].endswith("░")
    assert "opened a firm 2 (67%)" in words
    assert "fell silent 1" in words
    assert "time to a firm 12 min" in words


def test_what_it_came_to_for_programs(
    smarterbot: Command, platform: str, clean_postgres: PostgresUrls
) -> None:
    journal(clean_postgres, platform, OPENED, LOST)

    told = smarterbot("funnel", "onboarding", "--json").json

    assert (told["begun"], told["opened"], told["dropped"], told["ends"]) == (
        2,
        1,
        1,
        {"opened": 1},
    )
    assert [step["state"] for step in told["steps"]] == [
        "signup.fill_in",
        "signup.accept",
        "signup.ask_rut",
        "signup.summary",
    ]


def test_only_the_days_that_are_asked_for_count(
    smarterbot: Command, platform: str, clean_postgres: PostgresUrls
) -> None:
    journal(clean_postgres, platform, LOST)

    assert smarterbot("funnel", "onboarding", "--days", "1").out == (
        "nobody began to register in the last 1 days\n"
    )


def test_without_a_platform_there_is_nothing_to_tell(smarterbot: Command) -> None:
    answer = smarterbot("funnel", "onboarding")

    assert (answer.code, answer.error) == (
        2,
        "error: there is no platform's number yet: channel add --platform\n",
    )
