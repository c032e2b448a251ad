"""`smarterbot key`: made and shown once, listed, rotated, revoked."""

import re

import pytest

from tests.bot.cli.conftest import Command

KEY = re.compile(r"sbk_[0-9a-f]{32}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def tenant(smarterbot: Command) -> str:
    answer = smarterbot(
        "tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json"
    )
    return str(answer.json["id"])


def create(smarterbot: Command, tenant: str, *more: str) -> dict[str, str]:
    answer = smarterbot(
        *("key", "create", "--tenant", tenant, "--name", "ERP", "--scope", "messages:send"),
        *("--json", *more),
    )
    assert answer.code == 0, answer.error
    made: dict[str, str] = answer.json
    return made


def test_a_key_is_shown_once(smarterbot: Command, tenant: str) -> None:
    made = create(smarterbot, tenant)

    listed = smarterbot("key", "list", "--tenant", tenant, "--json")

    assert KEY.fullmatch(made["key"])
    assert [row["id"] for row in listed.json] == [made["id"]]
    assert made["key"][-43:] not in listed.out


def test_a_person_reads_the_key_on_the_first_line(smarterbot: Command, tenant: str) -> None:
    answer = smarterbot(
        *("key", "create", "--tenant", tenant, "--name", "ERP", "--scope", "messages:send")
    )

    assert KEY.fullmatch(answer.out.splitlines()[0])


def test_scopes_are_a_closed_list(smarterbot: Command, tenant: str) -> None:
    answer = smarterbot("key", "create", "--tenant", tenant, "--name", "ERP", "--scope", "all")

    assert answer.code == 2
    assert "messages:send" in answer.error


def test_a_rotated_key_has_a_successor_and_an_end(smarterbot: Command, tenant: str) -> None:
    old = create(smarterbot, tenant)

    new = smarterbot("key", "rotate", old["id"], "--tenant", tenant, "--json").json

    rows = {row["id"]: row for row in smarterbot("key", "list", "--tenant", tenant, "--json").json}
    assert new["key"] != old["key"]
    assert rows[old["id"]]["expires_at"]
    assert rows[new["id"]]["expires_at"] is None


def test_a_revoked_key_is_shown_as_such(smarterbot: Command, tenant: str) -> None:
    made = create(smarterbot, tenant)

    revoked = smarterbot("key", "revoke", made["id"], "--tenant", tenant, "--json")
    listed = smarterbot("key", "list", "--tenant", tenant)

    assert revoked.json == {"id": made["id"], "revoked": True}
    assert "revoked 20" in listed.out


def test_a_key_of_nobody(smarterbot: Command, tenant: str) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"

    for answer in (
        smarterbot("key", "revoke", nobody, "--tenant", tenant),
        smarterbot("key", "rotate", nobody, "--tenant", tenant),
        smarterbot("key", "create", "--tenant", nobody, "--name", "E", "--scope", "messages:send"),
    ):
        assert answer.code == 1
        assert answer.error.startswith("error: ")


def test_no_keys_yet(smarterbot: Command, tenant: str) -> None:
    assert "no keys yet" in smarterbot("key", "list", "--tenant", tenant).out
