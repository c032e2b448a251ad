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


Turn = tuple[float, str, str]
"""Hours ago, state, ended. Each turn says one message: the second never reached Meta, the fourth never its reader, and from
the fifth on they are free."""


def journal(
    postgres: PostgresUrls, tenant: str, *stories: list[Turn], timers: tuple[int, ...] = ()
) -> None:
    """Conversations by turn. In the turns `timers` nobody was heard."""

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
                    at, ref = now - hours * HOURS, f"{conversation}-{turn}"
                    await connection.executemany(
                        """
                        INSERT INTO smarterbot.messages
                          (tenant_id, ref, conversation_id, turn, place, direction, kind, content, at, wamid)
                        VALUES ($1, $2, $3, $4, 0, $5, 'text', '{}', $6, $7)
                        """,
                        [
                            (firm, f"{ref}-{way}", conversation, turn, way, at, wamid)
                            for way, wamid in (
                                ("in", f"{ref}-in"),
                                ("out", None if turn == 2 else f"{ref}-out"),
                            )
                            if way == "out" or turn not in timers
                        ],
                    )
                    await connection.execute(
                        """
                        INSERT INTO smarterbot.message_fares
                          (tenant_id, wamid, country, told, category, price_type, first_at, arrived_at, failed)
                        VALUES ($1, $2, 'CL', 2, 'service', $3, $4, $5, $6)
                        """,
                        firm,
                        f"{ref}-out",
                        "regular" if turn < 5 else "free_customer_service",
                        at,
                        at if turn < 4 else None,
                        turn == 4,
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
    assert "messages to a firm 4" in words
    assert "billed 2" in words


def test_whoever_a_timer_dropped_was_lost(
    smarterbot: Command, platform: str, clean_postgres: PostgresUrls
) -> None:
    story = [(240.0, "signup.accept", ""), (239.0, "signup.ask_rut", ""), (71.0, "", "")]
    journal(clean_postgres, platform, story, timers=(3,))

    told = smarterbot("funnel", "onboarding", "--json").json

    assert (told["dropped"], told["ends"]) == (1, {})
    assert [(step["exits"], step["dropped"]) for step in told["steps"]] == [(1, 0), (0, 1)]


def test_whoever_began_before_the_days_that_are_asked_for_is_left_out(
    smarterbot: Command, platform: str, clean_postgres: PostgresUrls
) -> None:
    journal(clean_postgres, platform, [(50.0, "signup.accept", ""), (2.0, "signup.ask_rut", "")])

    assert smarterbot("funnel", "onboarding", "--days", "2", "--json").json["begun"] == 0
    assert smarterbot("funnel", "onboarding", "--days", "3", "--json").json["begun"] == 1


def test_other_firms_are_not_read(
    smarterbot: Command, platform: str, clean_postgres: PostgresUrls
) -> None:
    words = ("tenant", "add", "--name", "Sol", "--rut", "76.543.210-3", "--json")
    other = smarterbot(*words).json["id"]
    added = smarterbot(
        *("channel", "add", "--tenant", other, "--phone-number-id", "1001", "--waba-id", "2001"),
        *("--display-phone", "+56 2 2345 6701"),
    )
    assert added.code == 0, added.error
    journal(clean_postgres, platform, OPENED)
    journal(clean_postgres, other, OPENED, LOST)

    assert smarterbot("funnel", "onboarding", "--json").json["begun"] == 1


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
