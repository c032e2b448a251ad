"""`smarterbot tenant`: a firm is registered, looked at and set up."""

from uuid import UUID

import pytest

from tests.bot.cli.conftest import Command

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def bakery(smarterbot: Command) -> str:
    """Id of a registered firm."""
    answer = smarterbot(
        "tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json"
    )
    tenant: str = answer.json["id"]
    return tenant


def test_a_registered_firm_is_listed(smarterbot: Command, bakery: str) -> None:
    listed = smarterbot("tenant", "list")

    assert (listed.code, listed.error) == (0, "")
    assert bakery in listed.out
    assert "Panadería Sol" in listed.out


def test_a_firm_is_listed_for_programs(smarterbot: Command, bakery: str) -> None:
    assert smarterbot("tenant", "list", "--json").json == [
        {
            "id": bakery,
            "name": "Panadería Sol",
            "locale": "es_CL",
            "zone": "America/Santiago",
            "settings": {},
            "desk": False,
        }
    ]


def test_registering_answers_with_the_id(smarterbot: Command) -> None:
    answer = smarterbot("tenant", "add", "--name", "Panadería Sol", "--rut", "765432103")

    assert UUID(answer.out.split(": ")[1].strip()).version == 4


def test_a_rehearsal_registers_nobody(smarterbot: Command) -> None:
    rehearsed = smarterbot("tenant", "add", "--name", "Sol", "--rut", "76.543.210-3", "--dry-run")

    assert (rehearsed.code, rehearsed.out) == (0, "Sol can be registered\n")
    assert smarterbot("tenant", "list", "--json").json == []


def test_a_rut_that_is_taken_is_refused(smarterbot: Command, bakery: str) -> None:
    answer = smarterbot("tenant", "add", "--name", "Otra", "--rut", "76543210-3")

    assert answer.code == 2
    assert answer.error == "error: rut: another tenant is registered under it\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(("--rut", "76.543.210-4"), "--rut: the check digit", id="wrong-check-digit"),
        pytest.param(("--rut", "76.543.210"), "--rut: write the check digit too", id="no-check-digit"),
        pytest.param(("--rut", "hola"), "--rut: write it as", id="no-rut"),
        pytest.param(("--rut", "60.803.000-K"), "--rut: no firm can be registered", id="the-tax-office"),
        pytest.param(("--rut", "76.543.210-3", "--name", "  "), "--name: is empty", id="no-name"),
        pytest.param(("--rut", "76.543.210-3", "--zone", "Chile"), "--zone: write it as", id="zone"),
        pytest.param(("--rut", "76.543.210-3", "--zone", "../etc"), "--zone: write it as", id="zone-path"),
        pytest.param(("--rut", "76.543.210-3", "--locale", "xx_XX"), "--locale: write it as", id="locale"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_field_and_the_mend(
    smarterbot: Command, words: tuple[str, ...], problem: str
) -> None:
    answer = smarterbot("tenant", "add", "--name", "Sol", *words)

    assert (answer.code, answer.out) == (2, "")
    assert problem in answer.error
    assert smarterbot("tenant", "list", "--json").json == []


def test_settings_are_set_shown_and_unset(smarterbot: Command, bakery: str) -> None:
    set_two = smarterbot(
        "tenant", "set", bakery, "hours=lun-vie 9:00-18:00", "products=Marraqueta: $2.290 el kilo"
    )
    unset_one = smarterbot("tenant", "set", bakery, "products=", "--json")
    shown = smarterbot("tenant", "show", bakery)

    assert set_two.code == 0
    assert list(unset_one.json["settings"]) == ["hours"]
    assert "76.543.210-3" in shown.out
    assert "hours" in shown.out
    assert "products" not in shown.out


def test_all_settings_that_are_wrong_are_told_at_once(smarterbot: Command, bakery: str) -> None:
    answer = smarterbot(
        "tenant", "set", bakery, "colour=red", "hours=siempre", "address", "emoji=🥐"
    )

    assert answer.code == 2
    assert "colour: is no setting" in answer.error
    assert "hours: " in answer.error
    assert "address: write it as KEY=VALUE" in answer.error
    assert smarterbot("tenant", "list", "--json").json[0]["settings"] == {}


def test_a_rehearsal_sets_nothing(smarterbot: Command, bakery: str) -> None:
    rehearsed = smarterbot("tenant", "set", bakery, "emoji=🥐", "--dry-run", "--json")

    assert rehearsed.json["settings"] == {"emoji": "🥐"}
    assert smarterbot("tenant", "list", "--json").json[0]["settings"] == {}


@pytest.mark.parametrize(
    "words", [("show", NOBODY), ("set", NOBODY, "emoji=🥐")], ids=["show", "set"]
)
def test_a_firm_that_is_not_there_is_told_as_such(
    smarterbot: Command, words: tuple[str, ...]
) -> None:
    answer = smarterbot("tenant", *words)

    assert (answer.code, answer.error) == (1, "error: there is no tenant with this id\n")


def test_an_id_that_is_none_is_a_wrong_value(smarterbot: Command) -> None:
    assert smarterbot("tenant", "show", "panaderia").code == 2
