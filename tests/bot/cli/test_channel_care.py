"""`smarterbot channel doctor|subscribe|register|deregister` against Meta."""

import asyncio
import json
from typing import Any

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.people.channels import list_channels
from bot.people.registrations import read_pin
from bot.store.database import Database
from bot.store.keys import read_keys
from bot.store.secrets import SecretBox
from tests.bot.cli.conftest import KEYS, Command
from tests.bot.cli.meta import NUMBER, Meta


def problems(answer: Any) -> list[str]:
    [each] = answer
    return [finding["problem"] for finding in each["findings"]]


def pin_of(url: str) -> str:
    async def read() -> str:
        async with Database.open(url) as database:
            (sealed,) = await list_channels(database)
            return await read_pin(database, SecretBox(read_keys(KEYS)), sealed.channel)

    return asyncio.run(read())


# ------------------------------------------------------------------ doctor


def test_a_number_that_is_well_is_said_to_be(smarterbot: Command, channel: str) -> None:
    answer = smarterbot("channel", "doctor", channel)

    assert answer.code == 0
    assert "✓ nothing is wrong" in answer.out
    assert "SYSTEM_USER" in answer.out
    assert NUMBER.token not in answer.out


@pytest.mark.parametrize(
    ("standing", "found", "code"),
    [
        pytest.param({"subscribed": False}, ["not_subscribed"], 1, id="not-subscribed"),
        pytest.param({"token_valid": False}, ["token"], 1, id="token"),
        pytest.param({"unpaid": True}, ["health_blocked"], 1, id="payment"),
        pytest.param({"pin": ""}, ["no_pin"], 0, id="no-pin"),
        pytest.param(
            {"quality": "RED", "token_kind": "USER"}, ["quality", "token_kind"], 0, id="bad"
        ),
        pytest.param({"scopes": ["whatsapp_business_messaging"]}, ["token_scope"], 1, id="scope"),
        pytest.param({"away": True}, ["unreachable"], 1, id="away"),
    ],
)
def test_what_is_wrong_is_said_with_its_mend(
    smarterbot: Command,
    meta: Meta,
    channel: str,
    standing: dict[str, object],
    found: list[str],
    code: int,
) -> None:
    meta.stands(**standing)

    answer = smarterbot("channel", "doctor", "--json")

    assert (problems(answer.json), answer.code) == (found, code)
    [each] = answer.json
    assert all(finding["mend"] for finding in each["findings"])


def test_people_read_how_to_mend_it(smarterbot: Command, meta: Meta, channel: str) -> None:
    meta.stands(subscribed=False, unpaid=True)

    answer = smarterbot("channel", "doctor")

    assert answer.code == 1
    assert "✗ health_blocked (BUSINESS 141006): see the number's status" in answer.out
    assert "✗ not_subscribed: its webhooks do not come to us" in answer.out


def test_a_number_without_a_token_needs_one(smarterbot: Command, meta: Meta) -> None:
    firm = smarterbot("tenant", "add", "--name", "Sol", "--rut", "76.543.210-3", "--json")
    smarterbot(
        *("channel", "add", "--tenant", firm.json["id"], "--phone-number-id", NUMBER.id),
        *("--waba-id", NUMBER.waba_id, "--display-phone", "1"),
    )

    answer = smarterbot("channel", "doctor", "--json")

    assert (problems(answer.json), answer.code) == (["token"], 1)


def test_without_numbers_there_is_nothing_to_examine(smarterbot: Command, meta: Meta) -> None:
    assert smarterbot("channel", "doctor").code == 0


# ------------------------------------------------------------------ subscription


def test_an_account_is_subscribed(smarterbot: Command, meta: Meta, channel: str) -> None:
    meta.stands(subscribed=False)

    rehearsed = smarterbot("channel", "subscribe", channel, "--dry-run")
    before = meta.does(lambda: meta.emulator.accounts.standing(NUMBER.id).subscribed)
    done = smarterbot("channel", "subscribe", channel, "--json")

    assert (rehearsed.code, before) == (0, False)
    assert done.json == {"subscribed": True, "dry_run": False}
    assert meta.does(lambda: meta.emulator.accounts.standing(NUMBER.id).subscribed)


# ------------------------------------------------------------------ registration


def test_a_number_is_registered_and_its_pin_is_kept_sealed(
    smarterbot: Command, meta: Meta, channel: str, postgres: PostgresUrls
) -> None:
    meta.stands(registered=False)

    answer = smarterbot("channel", "register", channel, stdin="123456\n")

    assert answer.code == 0
    assert "9 more tries" in answer.out
    assert "123456" not in answer.out + answer.error
    assert meta.does(lambda: meta.emulator.accounts.standing(NUMBER.id).registered)
    assert pin_of(postgres.app) == "123456"


def test_the_pin_of_last_time_is_used_again(smarterbot: Command, meta: Meta, channel: str) -> None:
    smarterbot("channel", "register", channel, stdin="123456")
    smarterbot("channel", "deregister", channel)

    assert smarterbot("channel", "register", channel).code == 0


def test_a_number_without_a_pin_gets_one(
    smarterbot: Command, meta: Meta, channel: str, postgres: PostgresUrls
) -> None:
    meta.stands(pin="", registered=False)

    assert smarterbot("channel", "register", channel).code == 0

    pin = meta.does(lambda: meta.emulator.accounts.standing(NUMBER.id).pin)
    assert len(pin) == 6
    assert pin_of(postgres.app) == pin


def test_a_wrong_pin_is_refused_and_not_kept(
    smarterbot: Command, meta: Meta, channel: str, postgres: PostgresUrls
) -> None:
    answer = smarterbot("channel", "register", channel, stdin="000000")

    assert answer.code == 1
    assert "133005" in answer.error
    assert pin_of(postgres.app) == ""


def test_a_pin_has_six_digits(smarterbot: Command, channel: str) -> None:
    answer = smarterbot("channel", "register", channel, stdin="12345")

    assert (answer.code, answer.error) == (2, "error: PIN: six digits are expected\n")


def test_a_pin_is_sealed_anew_with_the_tokens(
    smarterbot: Command, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smarterbot("channel", "register", channel, stdin="123456")
    monkeypatch.setenv("SMARTERBOT_KEYS", f"k2:{'B' * 42}A=,{KEYS}")

    first, second = (smarterbot("channel", "reseal", "--json").json for _ in range(2))

    assert (first, second) == ({"resealed": 2}, {"resealed": 0})


def test_a_number_is_deregistered(smarterbot: Command, meta: Meta, channel: str) -> None:
    answer = smarterbot("channel", "deregister", channel, "--json")

    assert json.loads(answer.out) == {"deregistered": True, "dry_run": False}
    assert not meta.does(lambda: meta.emulator.accounts.standing(NUMBER.id).registered)
