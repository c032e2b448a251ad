"""The environment is read once, and everything that is wrong with it is told at once."""

import base64
from dataclasses import fields
from pathlib import Path

import pytest

from bot.settings import (
    VARIABLES,
    Settings,
    SettingsError,
    child_environment,
    configuration_table,
    read_settings,
    whatsapp_problems,
)

KEY = base64.b64encode(bytes(32)).decode()
META = {"META_APP_ID": "1", "META_CONFIG_ID": "2", "WHATSAPP_APP_SECRET": "secret"}
REGISTER = {"TAXPAYER_URL": "https://register.example/v1", "TAXPAYER_KEY": "k"}
OUTSIDE = {
    "DATABASE_URL": "postgresql://smarterbot_app@db/smarterbot",
    "REDIS_URL": "redis://cache",
    "SMARTERBOT_KEYS": f"k1:{KEY}",
}


def test_an_empty_environment_means_embedded_stores() -> None:
    settings = read_settings({})

    assert settings.embedded
    assert settings.data == Path(".data")
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.graph_url == "https://graph.facebook.com"
    assert settings.graph_version == "v26.0"
    assert settings.shards == 64


def test_urls_mean_stores_of_others() -> None:
    settings = read_settings(OUTSIDE)

    assert not settings.embedded
    assert settings.database_owner_url == settings.database_url
    assert [key.id for key in settings.keys] == ["k1"]


@pytest.mark.parametrize(
    "url", ["https://register.example/v1", "http://127.0.0.1:9/v1", "http://localhost:9/v1"]
)
def test_a_register_is_reached_over_https_or_on_this_machine(url: str) -> None:
    assert read_settings({**REGISTER, "TAXPAYER_URL": url}).taxpayer_url == url


def test_an_empty_variable_is_an_unset_one() -> None:
    assert read_settings(
        dict.fromkeys((variable.name for variable in VARIABLES), "")
    ) == read_settings({})


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        pytest.param({"PORT": "80000"}, "PORT: a whole number from 1 to 65535", id="port-too-high"),
        pytest.param({"PORT": "0"}, "PORT: a whole number from 1 to 65535", id="port-too-low"),
        pytest.param({"PORT": "٨٠٨٠"}, "PORT: a whole number", id="digits-of-another-script"),
        pytest.param({"SMARTERBOT_SHARDS": "many"}, "SMARTERBOT_SHARDS: a whole number", id="no-number"),
        pytest.param({"OTP_COUNTRIES": "CL,XX"}, "OTP_COUNTRIES: countries by their two letters", id="country"),
        pytest.param({"OTP_USD_PER_CODE": "0"}, "OTP_USD_PER_CODE: dollars above 0", id="nothing"),
        pytest.param({"OTP_USD_PER_DAY": "nan"}, "OTP_USD_PER_DAY: dollars above 0", id="no-money"),
        pytest.param({"AUTH_ORIGINS": "https://a.example/"}, "AUTH_ORIGINS: origins without a path", id="path"),
        pytest.param({"AUTH_ORIGINS": "*"}, "AUTH_ORIGINS: origins without a path", id="any-origin"),
        pytest.param({"LOG_FORMAT": "xml"}, "LOG_FORMAT: one of json, console", id="log-format"),
        pytest.param({"LOG_LEVEL": "INFO"}, "LOG_LEVEL: one of debug, info", id="log-level"),
        pytest.param(
            {"WHATSAPP_GRAPH_URL": "graph.facebook.com"},
            "WHATSAPP_GRAPH_URL: a URL with a host",
            id="graph-url-without-scheme",
        ),
        pytest.param({"WHATSAPP_GRAPH_VERSION": "26"}, "WHATSAPP_GRAPH_VERSION: a version such as", id="version"),
        pytest.param({**META, "META_APP_ID": "x1"}, "META_APP_ID: digits are expected", id="app-id"),
        pytest.param({**META, "META_CONFIG_ID": ""}, "META_APP_ID, META_CONFIG_ID: set both", id="app-alone"),
        pytest.param({**META, "WHATSAPP_APP_SECRET": ""}, "WHATSAPP_APP_SECRET: is needed with", id="no-app-secret"),
        pytest.param({**REGISTER, "TAXPAYER_KEY": ""}, "TAXPAYER_URL, TAXPAYER_KEY: set both", id="no-key"),
        pytest.param({**REGISTER, "TAXPAYER_URL": ""}, "TAXPAYER_URL, TAXPAYER_KEY: set both", id="no-register"),
        pytest.param(
            {**REGISTER, "TAXPAYER_URL": "http://register.example"}, "TAXPAYER_URL: https:// is expected", id="open-http"
        ),
        pytest.param(
            {**REGISTER, "TAXPAYER_URL": "http://localhost.example"}, "TAXPAYER_URL: https:// is expected", id="like-us"
        ),
        pytest.param({**REGISTER, "TAXPAYER_URL": "https://me:pw@r.example"}, "TAXPAYER_URL: a URL without", id="user"),
        pytest.param({**REGISTER, "TAXPAYER_KEY": "k\n"}, "TAXPAYER_KEY: one line of ASCII", id="header"),
        pytest.param({"META_SDK_URL": "sdk.js"}, "META_SDK_URL: a URL with a host", id="sdk"),
        pytest.param({**OUTSIDE, "DATABASE_URL": "mysql://db"}, "DATABASE_URL: a URL that starts with", id="scheme"),
        pytest.param({**OUTSIDE, "REDIS_URL": "cache:6379"}, "REDIS_URL: the store's address must be", id="store"),
        pytest.param({**OUTSIDE, "REDIS_URL": "redis://cache/3"}, "REDIS_URL: the lanes live in", id="database-3"),
        pytest.param({**OUTSIDE, "REDIS_URL": ""}, "REDIS_URL: set it too", id="database-alone"),
        pytest.param({"REDIS_URL": "redis://cache"}, "DATABASE_URL: set it too", id="redis-alone"),
        pytest.param(
            {"DATABASE_OWNER_URL": "postgresql://owner@db/x"},
            "DATABASE_OWNER_URL: is for DATABASE_URL",
            id="owner-alone",
        ),
        pytest.param(
            {**OUTSIDE, "SMARTERBOT_KEYS": ""}, "SMARTERBOT_KEYS: is needed with DATABASE_URL", id="no-keys"
        ),
        pytest.param({"SMARTERBOT_KEYS": "k1:c2hvcnQ="}, "SMARTERBOT_KEYS: id:key", id="short-key"),
        pytest.param({"SMARTERBOT_KEYS": f"k1:{KEY},k1:{KEY}"}, "each key needs an id of its own", id="same-id"),
        pytest.param({"SMARTERBOT_KEYS": f"a|b:{KEY}"}, "SMARTERBOT_KEYS: id:key", id="id-with-a-bar"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_variable_and_the_mend(
    environment: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(environment)

    assert len(error.value.problems) == 1
    assert problem in str(error.value)


def test_all_problems_are_told_together() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({"PORT": "x", "LOG_LEVEL": "x", "REDIS_URL": "redis://cache"})

    assert [problem.split(":")[0] for problem in error.value.problems] == [
        "PORT",
        "LOG_LEVEL",
        "DATABASE_URL",
    ]


def test_a_wrong_key_is_not_repeated_in_the_message() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({"SMARTERBOT_KEYS": "k1:c2VjcmV0"})

    assert "c2VjcmV0" not in str(error.value)


def test_secrets_are_not_shown_with_the_settings() -> None:
    assert str(bytes(32)) not in repr(read_settings(OUTSIDE))


def test_the_webhook_needs_its_secrets() -> None:
    assert whatsapp_problems(read_settings({"WHATSAPP_VERIFY_TOKEN": "x"})) == (
        "WHATSAPP_APP_SECRET: is not set",
    )


def test_the_table_holds_every_setting_once() -> None:
    assert sorted(variable.field for variable in VARIABLES) == sorted(
        field.name for field in fields(Settings)
    )
    assert all(variable.meaning for variable in VARIABLES)


def test_the_readme_shows_the_table() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()

    assert configuration_table() in readme


def test_a_server_of_our_own_gets_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://production")
    monkeypatch.setenv("WHATSAPP_TOKEN", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")

    environment = child_environment({"PORT": "1"})

    assert environment["PORT"] == "1"
    assert environment["LANG"] == "C.UTF-8"
    assert not {"DATABASE_URL", "WHATSAPP_TOKEN"} & set(environment)
