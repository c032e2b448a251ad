"""Every command ends with one clear line and an honest exit code, whether or not the server runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.embedded.stores import attach, running_stores
from bot.settings import VARIABLES
from tests.bot.cli.conftest import Command
from tests.bot.embedded.conftest import data as data  # a fixture

NAMES = {variable.name for variable in VARIABLES} | {"WHATSAPP_TOKEN"}


def in_its_own_process(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command with embedded stores in `data`."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}  # noqa: TID251  a child process needs the rest of it
    return subprocess.run(
        [sys.executable, "-c", "from bot.cli import main; main()", *words],
        env={**environment, "SMARTERBOT_DATA": str(data)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_works_with_or_without_the_server(data: Path) -> None:
    alone = in_its_own_process(
        data, "tenant", "add", "--name", "Sol", "--rut", "76.543.210-3", "--json"
    )
    assert attach(data) is None

    with running_stores(data):
        beside = in_its_own_process(data, "tenant", "list", "--json")
        assert attach(data) is not None

    assert (alone.returncode, alone.stderr) == (0, "")
    assert [firm["id"] for firm in json.loads(beside.stdout)] == [json.loads(alone.stdout)["id"]]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        pytest.param("PORT", "x", "error: PORT: ", id="setting"),
        pytest.param("REDIS_URL", "", "error: REDIS_URL: set it too", id="half-embedded"),
    ],
)
def test_a_wrong_setting_is_named(
    smarterbot: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)

    answer = smarterbot("tenant", "list")

    assert answer.code == 2
    assert answer.error.startswith(problem)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        pytest.param(
            "DATABASE_URL",
            "postgresql://x@/x?host=/tmp/no-such-folder",
            "error: DATABASE_URL: ",
            id="database",
        ),
        pytest.param("REDIS_URL", "unix:///tmp/no-such-socket", "error: REDIS_URL: ", id="store"),
    ],
)
def test_a_store_that_is_away_is_named(
    smarterbot: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)

    answer = smarterbot("tenant", "add", "--name", "Sol", "--rut", "76.543.210-3")

    assert (answer.code, answer.out) == (1, "")
    assert answer.error.startswith(problem)


def test_the_owner_s_role_is_refused(
    smarterbot: Command, monkeypatch: pytest.MonkeyPatch, postgres: PostgresUrls
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.owner)

    answer = smarterbot("tenant", "list")

    assert answer.code == 1
    assert "DATABASE_URL: role smarterbot_owner owns the tables" in answer.error


def test_migrating_again_changes_nothing(smarterbot: Command) -> None:
    assert smarterbot("migrate").out == "the schema is up to date\n"
    assert smarterbot("migrate", "--dry-run", "--json").json == {"migrations": [], "dry_run": True}


@pytest.mark.parametrize("command", ["serve", "web"])
def test_a_server_that_hears_needs_the_app_s_secrets(smarterbot: Command, command: str) -> None:
    answer = smarterbot(command)

    assert answer.code == 2
    assert "WHATSAPP_APP_SECRET: is not set" in answer.error
    assert "WHATSAPP_VERIFY_TOKEN: is not set" in answer.error


@pytest.mark.parametrize("command", ["web", "worker"])
def test_replicas_need_shared_stores(
    smarterbot: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "SMARTERBOT_KEYS"):
        monkeypatch.delenv(name)

    answer = smarterbot(command)

    assert answer.code == 2
    assert "replicas share their stores" in answer.error


def test_every_command_explains_itself(smarterbot: Command) -> None:
    for words in (
        [],
        ["tenant"],
        ["tenant", "set"],
        ["channel", "add"],
        ["conversation", "show"],
        ["migrate"],
    ):
        assert "Usage: smarterbot" in smarterbot(*words, "--help").out
