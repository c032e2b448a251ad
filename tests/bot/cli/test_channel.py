"""`smarterbot channel`: a number is registered with a token that no command line ever shows."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from bot.embedded.postgres import PostgresUrls
from bot.identity.people import Role, add_person, set_role
from bot.people.channels import list_channels, open_token
from bot.people.directory import KEY
from bot.store.database import Database
from bot.store.keys import read_keys
from bot.store.secrets import SecretBox
from flows.values.ids import TenantId
from tests.bot.cli.conftest import KEYS, Command


@pytest.fixture
def bakery(smarterbot: Command) -> str:
    """Id of a registered firm."""
    answer = smarterbot(
        "tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json"
    )
    tenant: str = answer.json["id"]
    return tenant


def words(tenant: str, **changes: str) -> list[str]:
    """The words that register a number."""
    options = {
        "tenant": tenant,
        "phone-number-id": "106540352242922",
        "waba-id": "102290129340398",
        "display-phone": "+56 2 2345 6789",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return [
        "channel",
        "add",
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]


def token_of(url: str) -> str:
    async def read() -> str:
        async with Database.open(url) as database:
            (sealed,) = await list_channels(database)
            return open_token(SecretBox(read_keys(KEYS)), sealed)

    return asyncio.run(read())


def test_a_token_comes_from_the_environment(
    smarterbot: Command, bakery: str, postgres: PostgresUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATSAPP_TOKEN", "EAAG-one")

    answer = smarterbot(*words(bakery), stdin="EAAG-not-this")

    assert (answer.code, answer.error) == (0, "")
    assert "EAAG" not in answer.out
    assert token_of(postgres.app) == "EAAG-one"


def test_a_token_comes_from_standard_input(
    smarterbot: Command, bakery: str, postgres: PostgresUrls
) -> None:
    smarterbot(*words(bakery), stdin="EAAG-two\n")

    assert token_of(postgres.app) == "EAAG-two"


def test_a_token_may_come_later(smarterbot: Command, bakery: str, postgres: PostgresUrls) -> None:
    added = smarterbot(*words(bakery), "--json")
    before = smarterbot("channel", "list", "--json").json[0]["token"]

    replaced = smarterbot("channel", "token", added.json["id"], stdin="EAAG-three")

    assert (before, replaced.code) == (False, 0)
    assert token_of(postgres.app) == "EAAG-three"


def test_a_number_without_token_says_what_to_do_next(smarterbot: Command, bakery: str) -> None:
    assert "smarterbot channel token" in smarterbot(*words(bakery)).out


def test_numbers_are_listed_without_their_tokens(smarterbot: Command, bakery: str) -> None:
    smarterbot(*words(bakery), stdin="EAAG-one")

    for_people, for_programs = (
        smarterbot("channel", "list"),
        smarterbot("channel", "list", "--json"),
    )

    assert "106540352242922" in for_people.out
    assert "+56 2 2345 6789" in for_people.out
    assert for_programs.json[0]["channel"]["tenant"] == bakery
    assert "EAAG" not in for_people.out + for_programs.out


def test_a_running_server_is_told(smarterbot: Command, bakery: str, valkey_url: str) -> None:
    async def snapshot() -> str:
        async with Redis.from_url(valkey_url) as store:
            return repr(await store.hget(KEY, "snapshot"))

    smarterbot(*words(bakery))

    assert "106540352242922" in asyncio.run(snapshot())


def test_a_number_sends_as_fast_as_meta_lets_it(smarterbot: Command, bakery: str) -> None:
    usual = smarterbot(*words(bakery), "--json").json["id"]
    upgraded = words(bakery, phone_number_id="106540352242923", throughput="1000")
    fast = smarterbot(*upgraded, "--json").json["id"]

    assert throughputs(smarterbot) == {usual: 80, fast: 1000}

    rehearsed = smarterbot("channel", "set", usual, "--throughput", "250", "--dry-run")
    assert throughputs(smarterbot)[usual] == 80

    changed = smarterbot("channel", "set", usual, "--throughput", "250")
    assert throughputs(smarterbot) == {usual: 250, fast: 1000}
    assert (rehearsed.code, changed.code) == (0, 0)


def throughputs(smarterbot: Command) -> dict[str, int]:
    """By channel; 80 is not told."""
    found = [each["channel"] for each in smarterbot("channel", "list", "--json").json]
    return {channel["id"]: channel.get("throughput", 80) for channel in found}


@pytest.mark.parametrize("throughput", ["0", "1001"])
def test_no_number_is_set_to_what_meta_never_allows(smarterbot: Command, throughput: str) -> None:
    answer = smarterbot("channel", "set", str(uuid4()), "--throughput", throughput)

    assert answer.code == 2
    assert answer.error.startswith("error: --throughput: ")


def test_a_number_that_nobody_has_is_not_set(smarterbot: Command) -> None:
    answer = smarterbot("channel", "set", str(uuid4()), "--throughput", "250")

    assert (answer.code, answer.error) == (
        1,
        "error: there is no channel with this id: smarterbot channel list\n",
    )


def test_a_number_that_is_taken_is_refused(smarterbot: Command, bakery: str) -> None:
    smarterbot(*words(bakery))

    again = smarterbot(*words(bakery))

    assert (again.code, again.error) == (
        2,
        "error: phone_number_id: a channel has this number already\n",
    )


def test_a_rehearsal_registers_nothing(smarterbot: Command, bakery: str) -> None:
    assert smarterbot(*words(bakery), "--dry-run").code == 0
    assert smarterbot("channel", "list", "--json").json == []


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["really", "rehearsal"])
def test_a_number_needs_a_firm(smarterbot: Command, dry_run: list[str]) -> None:
    answer = smarterbot(*words(str(uuid4())), *dry_run)

    assert (answer.code, answer.error) == (1, "error: there is no tenant with this id\n")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param(
            {"phone_number_id": "+56 2 2345"}, "--phone-number-id", id="phone-in-place-of-id"
        ),
        pytest.param({"waba_id": ""}, "--waba-id", id="no-waba"),
        pytest.param({"portfolio_id": "x"}, "--portfolio-id", id="portfolio"),
        pytest.param({"display_phone": " "}, "--display-phone", id="no-phone"),
        pytest.param({"throughput": "0"}, "--throughput", id="never-sends"),
        pytest.param({"throughput": "1001"}, "--throughput", id="faster-than-meta-allows"),
    ],
)
def test_a_wrong_value_names_its_field(
    smarterbot: Command, bakery: str, changes: dict[str, str], field: str
) -> None:
    answer = smarterbot(*words(bakery, **changes))

    assert answer.code == 2
    assert answer.error.startswith(f"error: {field}: ")


def test_no_token_at_all_is_refused_where_one_is_asked_for(smarterbot: Command) -> None:
    answer = smarterbot("channel", "token", str(uuid4()))

    assert answer.code == 2
    assert "WHATSAPP_TOKEN" in answer.error


def test_tokens_are_sealed_anew_under_a_new_key(
    smarterbot: Command, bakery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smarterbot(*words(bakery), stdin="EAAG-one")
    monkeypatch.setenv("SMARTERBOT_KEYS", f"k2:{'B' * 42}A=,{KEYS}")

    first, second = (smarterbot("channel", "reseal", "--json").json for _ in range(2))

    assert (first, second) == ({"resealed": 1}, {"resealed": 0})


# ------------------------------------------------------------------ what a number is for


def test_a_number_is_the_platforms_or_for_demos_and_not_both(
    smarterbot: Command, bakery: str
) -> None:
    answer = smarterbot(*words(bakery), "--platform", "--demo")

    assert answer.code != 0
    assert "--demo" in answer.error


def test_a_number_for_demos_is_listed_as_such(smarterbot: Command, bakery: str) -> None:
    added = smarterbot(*words(bakery), "--demo", "--json").json["id"]

    assert smarterbot("channel", "list", "--json").json[0]["channel"]["demo"] is True
    assert " demo " in smarterbot("channel", "list").out

    changed = smarterbot("channel", "set", added, "--for", "platform", "--json")

    assert changed.json == {"id": added, "for": "platform", "dry_run": False}
    assert smarterbot("channel", "list", "--json").json[0]["channel"]["platform"] is True


def test_a_change_that_is_only_tried_changes_nothing(smarterbot: Command, bakery: str) -> None:
    added = smarterbot(*words(bakery), "--json").json["id"]

    smarterbot("channel", "set", added, "--for", "demo", "--dry-run")

    assert "demo" not in smarterbot("channel", "list", "--json").json[0]["channel"]


def test_a_change_says_what_to_change(smarterbot: Command, bakery: str) -> None:
    added = smarterbot(*words(bakery), "--json").json["id"]

    assert "--for" in smarterbot("channel", "set", added).error


def test_a_firm_s_demo_has_a_link(smarterbot: Command, bakery: str) -> None:
    assert "channel add --demo" in smarterbot("tenant", "demo", bakery).error
    smarterbot(*words(bakery), "--demo")

    link = smarterbot("tenant", "demo", bakery).out.strip()

    assert link.startswith("https://wa.me/56223456789?text=Demo")
    assert smarterbot("tenant", "demo", bakery, "--json").json["link"] == link


def test_whose_bot_is_not_shown_has_none(smarterbot: Command, bakery: str) -> None:
    smarterbot(*words(bakery), "--demo")
    smarterbot("tenant", "set", bakery, "demo=off")

    assert "demo=yes" in smarterbot("tenant", "demo", bakery).error


# ------------------------------------------------------------------ a link for an owner


def person(url: str, tenant: str, role: Role) -> str:
    async def make() -> str:
        now = datetime.now(UTC)
        async with Database.open(url) as database, database.system() as connection:
            ugid = await add_person(connection, at=now)
            await set_role(connection, ugid, TenantId(tenant), role, now)
            return ugid

    return asyncio.run(make())


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "META_APP_ID": "1", "META_CONFIG_ID": "2", "WHATSAPP_APP_SECRET": "s", "PUBLIC_URL": "https://bot.example",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("role", "code"), [("owner", 0), ("admin", 0), ("agent", 2), ("customer", 2)]
)
def test_who_runs_a_firm_gets_a_link_to_connect_its_number(
    smarterbot: Command, able: None, clean_postgres: PostgresUrls, role: Role, code: int
) -> None:
    firm = smarterbot("tenant", "add", "--name", "Luna", "--rut", "76.543.210-3", "--json")
    tenant = firm.json["id"]
    ugid = person(clean_postgres.app, tenant, role)

    answer = smarterbot("channel", "link", "--tenant", tenant, "--person", ugid)

    assert answer.code == code
    assert answer.out.startswith("https://bot.example/connect#") is (code == 0)


def test_without_a_meta_app_there_is_no_link(
    smarterbot: Command, clean_postgres: PostgresUrls
) -> None:
    firm = smarterbot("tenant", "add", "--name", "Luna", "--rut", "76.543.210-3", "--json")
    ugid = person(clean_postgres.app, firm.json["id"], "owner")

    answer = smarterbot("channel", "link", "--tenant", firm.json["id"], "--person", ugid)

    assert answer.code == 2
    assert "META_APP_ID" in answer.error
