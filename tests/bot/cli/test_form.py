"""`smarterbot channel form-key` and `smarterbot form`: keys and forms go to Meta, which the emulator plays in a process of its own."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.people.channels import list_channels, open_form_key
from bot.store.database import Database
from bot.store.keys import read_keys
from bot.store.secrets import SecretBox
from handlers.whatsapp.form_cipher import FormKeys
from tests.bot.cli.conftest import KEYS, Command

NUMBER: Final = {
    "id": "106540352242922", "waba_id": "102290129340398", "display_phone": "+56 2 2345 6789",
    "name": "Panadería Sol", "token": "EAAG-one",
}  # fmt: skip
FORM: Final = "smarterbot_firm"
ENGLISH: Final = f"{FORM}_en"


@pytest.fixture(scope="module")
def meta() -> Iterator[str]:
    """Address of an emulator."""
    words = [
        "--callback-url",
        "http://127.0.0.1:9/",
        "--app-secret",
        "s",
        "--number",
        json.dumps(NUMBER),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "handlers.whatsapp.emulator", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["address"]
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def channel(smarterbot: Command, meta: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Id of a registered number, known to the emulator."""
    monkeypatch.setenv("WHATSAPP_GRAPH_URL", meta)
    monkeypatch.setenv("WHATSAPP_TOKEN", NUMBER["token"])
    tenant = smarterbot("tenant", "add", "--name", "Sol", "--rut", "76.543.210-3", "--json").json[
        "id"
    ]
    added = smarterbot(
        "channel", "add", "--tenant", tenant, "--phone-number-id", NUMBER["id"], "--waba-id", NUMBER["waba_id"],
        "--display-phone", NUMBER["display_phone"], "--json",
    )  # fmt: skip
    id: str = added.json["id"]
    return id


def asked(meta: str, path: str) -> Any:
    request = urllib.request.Request(
        f"{meta}/v26.0/{path}", headers={"Authorization": f"Bearer {NUMBER['token']}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def public_at_meta(meta: str) -> str:
    [key] = asked(meta, f"{NUMBER['id']}/whatsapp_business_encryption")["data"]
    return str(key["business_public_key"])


def kept(postgres: PostgresUrls) -> list[str]:
    """The public halves of the keys that are kept, the current one first."""

    async def read() -> str:
        async with Database.open(postgres.app) as database:
            [sealed] = await list_channels(database)
            return open_form_key(SecretBox(read_keys(KEYS)), sealed)

    pem = asyncio.run(read())
    return [key.public_pem() for key in FormKeys.load(pem).keys] if pem else []


def test_a_key_is_made_once_and_given_again(
    smarterbot: Command, channel: str, meta: str, postgres: PostgresUrls
) -> None:
    first, second = (smarterbot("channel", "form-key", channel, "--json").json for _ in range(2))

    assert (first["new"], second["new"]) == (True, False)
    assert first["public_key"] == second["public_key"] == public_at_meta(meta)
    assert kept(postgres) == [first["public_key"]]
    assert "PRIVATE" not in json.dumps([first, second])
    listed = smarterbot("channel", "list", "--json").json
    assert [each["form_key"] for each in listed] == [True]


def test_a_key_that_is_replaced_is_understood_until_the_next(
    smarterbot: Command, channel: str, meta: str, postgres: PostgresUrls
) -> None:
    keys = [
        smarterbot("channel", "form-key", channel, "--rotate", "--json").json["public_key"]
        for _ in range(2)
    ]

    assert public_at_meta(meta) == keys[1]
    assert kept(postgres) == [keys[1], keys[0]]


def test_a_key_that_meta_does_not_take_changes_nothing_that_is_in_use(
    smarterbot: Command, channel: str, postgres: PostgresUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = smarterbot("channel", "form-key", channel, "--json").json["public_key"]
    monkeypatch.setenv("WHATSAPP_TOKEN", "EAAG-stale")
    assert smarterbot("channel", "token", channel).code == 0

    answer = smarterbot("channel", "form-key", channel, "--rotate")

    assert (answer.code, answer.out) == (1, "")
    assert answer.error.startswith("error: Meta refused it, token (190)")
    assert kept(postgres)[0] == old


def test_what_cannot_be_done_is_said_in_one_line(
    smarterbot: Command, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = smarterbot("channel", "form-key", "00000000-0000-4000-8000-000000000000")
    assert (nobody.code, nobody.error) == (
        1, "error: there is no channel with this id: smarterbot channel list\n",
    )  # fmt: skip
    monkeypatch.setenv("WHATSAPP_GRAPH_URL", "http://127.0.0.1:1")
    down = smarterbot("channel", "form-key", channel)
    assert (down.code, down.error.startswith("error: WHATSAPP_GRAPH_URL: ")) == (1, True)


def test_a_dry_run_changes_nothing(
    smarterbot: Command, channel: str, postgres: PostgresUrls
) -> None:
    assert (
        smarterbot("channel", "form-key", channel, "--dry-run").out == "the number can get a key\n"
    )
    answer = smarterbot("form", "push", FORM, "--channel", channel, "--dry-run", "--json")

    assert answer.json == [{"name": each, "dry_run": True} for each in (ENGLISH, FORM)]
    assert kept(postgres) == []


def test_the_forms_are_listed_with_what_is_wrong_with_them(storeless: Command) -> None:
    assert storeless("form", "list", "--json").json == [
        {"name": FORM, "locale": locale, "problems": []} for locale in ("en", "es_CL")
    ]


def test_a_form_goes_up_as_a_draft_and_again_when_it_has_changed(
    smarterbot: Command, channel: str, meta: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://bot.example")
    keyless = smarterbot("form", "push", FORM, "--channel", channel)
    assert (keyless.code, "smarterbot channel form-key" in keyless.error) == (2, True)
    smarterbot("channel", "form-key", channel)

    first, second = (
        smarterbot("form", "push", FORM, "--channel", channel, "--json").json for _ in range(2)
    )

    assert first == second
    endpoint = f"https://bot.example/webhooks/whatsapp/forms/{channel}"
    assert [(form["name"], form["endpoint"]) for form in first] == [
        (ENGLISH, endpoint), (FORM, endpoint),
    ]  # fmt: skip
    assert asked(meta, f"{NUMBER['waba_id']}/flows")["data"] == [
        {"id": form["id"], "name": form["name"], "status": "DRAFT"} for form in first
    ]


def test_one_language_of_a_form_goes_up_alone(
    smarterbot: Command, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://bot.example")
    smarterbot("channel", "form-key", channel)

    pushed = smarterbot("form", "push", FORM, "--channel", channel, "--locale", "en")

    assert pushed.out.startswith(f"{ENGLISH} is uploaded")
    assert len(pushed.out.splitlines()) == 1


def test_a_form_is_published_only_where_it_can_be_asked_for(
    smarterbot: Command, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smarterbot("channel", "form-key", channel)
    monkeypatch.setenv("PUBLIC_URL", "http://bot.example")
    plain = smarterbot("form", "push", FORM, "--channel", channel, "--publish")
    assert (plain.code, plain.error.startswith("error: PUBLIC_URL: ")) == (2, True)

    # Nobody serves there: Meta asks the endpoint before it publishes.
    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:9")
    away = smarterbot("form", "push", FORM, "--channel", channel, "--publish")
    assert (away.code, "(139002)" in away.error) == (1, True)


@pytest.mark.parametrize(
    ("words", "field"),
    [(("no_such_form",), "NAME"), ((FORM, "--locale", "fr"), "NAME"), ((FORM, "--category", "FUN"), "--category")],
)  # fmt: skip
def test_a_wrong_value_is_named(
    smarterbot: Command, channel: str, words: tuple[str, ...], field: str
) -> None:
    answer = smarterbot("form", "push", *words, "--channel", channel)

    assert (answer.code, answer.error.startswith(f"error: {field}: ")) == (2, True)
