"""Commands as their users type them."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bot.cli import main
from bot.embedded.postgres import PostgresUrls
from tests.bot.cli.meta import NUMBER, Meta, running_meta

KEYS = f"k1:{base64.b64encode(bytes(32)).decode()}"


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Answer]


@pytest.fixture
def environment(
    clean_postgres: PostgresUrls, clean_valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stores that the environment names, as in production."""
    for name, value in {
        "DATABASE_URL": clean_postgres.app,
        "DATABASE_OWNER_URL": clean_postgres.owner,
        "REDIS_URL": clean_valkey,
        "SMARTERBOT_KEYS": KEYS,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def storeless(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command that needs no stores, or brings its own."""

    def run(*words: str, stdin: str = "") -> Answer:
        monkeypatch.setattr("sys.argv", ["smarterbot", *words])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        code = end.value.code
        assert code is None or isinstance(code, int)
        return Answer(code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def smarterbot(environment: None, storeless: Command) -> Command:
    """`smarterbot("tenant", "list")` runs that command; `stdin` is what is piped into it."""
    return storeless


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meta]:
    """Meta, with the number of one firm."""
    with running_meta() as meta:
        monkeypatch.setenv("WHATSAPP_GRAPH_URL", meta.address)
        yield meta


@pytest.fixture
def channel(smarterbot: Command, meta: Meta) -> str:
    """Id of a registered number, which Meta knows."""
    firm = smarterbot("tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json")
    words = (
        f"channel add --tenant {firm.json['id']} --phone-number-id {NUMBER.id} --waba-id {NUMBER.waba_id} --json "
        "--display-phone"
    )
    added = smarterbot(*words.split(), NUMBER.display_phone, stdin=NUMBER.token)
    id: str = added.json["id"]
    return id
