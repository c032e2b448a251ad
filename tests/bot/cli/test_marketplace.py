"""`smarterbot marketplace`: what there is, whether it can be offered, and what it makes of a firm."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.marketplace.applying import Applied, applied_to
from flows.marketplace.market import MARKETPLACE
from tests.bot.cli.conftest import Command

NOBODY = "00000000-0000-4000-8000-000000000000"
GREETING = "Aquí puedes pedir, mover o anular tu hora."
MENU = "book, move, hours, prices, address, contact"


@pytest.fixture
def salon(smarterbot: Command) -> str:
    """Id of a firm that has set its address."""
    added = smarterbot(
        "tenant", "add", "--name", "Peluquería Norte", "--rut", "76.543.210-3", "--json"
    )
    tenant: str = added.json["id"]
    assert smarterbot("tenant", "set", tenant, "address=Calle 1").code == 0
    return tenant


def settings(smarterbot: Command, tenant: str) -> dict[str, str]:
    [firm] = [firm for firm in smarterbot("tenant", "list", "--json").json if firm["id"] == tenant]
    found: dict[str, str] = firm["settings"]
    return found


def steps(answer: Any) -> dict[str, str]:
    return {change["key"]: change["step"] for change in answer["changes"]}


# ------------------------------------------------------------------ what there is


def test_all_templates_are_listed_in_the_language_asked_for(storeless: Command) -> None:
    spanish = storeless("marketplace", "list")
    english = storeless("marketplace", "list", "--locale", "en")

    assert (spanish.code, spanish.error) == (0, "")
    assert "Pedidos y boletas" in spanish.out
    assert "Orders and receipts" in english.out
    assert "Pedidos" not in english.out


def test_all_templates_are_listed_for_programs(storeless: Command) -> None:
    listed = {
        each["id"]: each["template"] for each in storeless("marketplace", "list", "--json").json
    }

    assert list(listed) == ["captacion", "cobranza", "horas", "pedidos", "soporte"]
    assert listed["horas"]["version"] == 1
    assert listed["horas"]["menu"] == MENU.split(", ")


# ------------------------------------------------------------------ whether it can be offered


def test_ours_have_no_problem(storeless: Command) -> None:
    assert storeless("marketplace", "check").out == "5 templates, 0 problems\n"
    assert storeless("marketplace", "check", "--json").json == []


def test_a_problem_names_file_and_field_and_ends_with_1(storeless: Command, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MARKETPLACE, tmp_path / "market"))
    file = folder / "horas" / "template.toml"
    file.write_text(file.read_text("utf-8").replace('"move"', '"tarot"', 1), "utf-8")

    told = storeless("marketplace", "check", "--folder", str(folder))
    for_programs = storeless("marketplace", "check", "--folder", str(folder), "--json")

    assert (told.code, told.out) == (1, "")
    assert told.error.startswith("horas/template.toml: menu: has no option tarot")
    assert for_programs.code == 1
    assert [problem["at"] for problem in for_programs.json] == ["horas/template.toml"]


# ------------------------------------------------------------------ given to a firm


def test_a_firm_gets_menu_and_greeting_and_a_record_of_the_version(
    smarterbot: Command, salon: str
) -> None:
    answer = smarterbot("marketplace", "apply", "horas", "--tenant", salon)

    assert (answer.code, answer.error) == (0, "")
    assert "horas 1: applied" in answer.out
    assert "recordatorio_hora" in answer.out
    assert str(MARKETPLACE / "horas" / "recordatorio.json") in answer.out
    after = settings(smarterbot, salon)
    assert (after["address"], after["menu"], after["greeting"]) == ("Calle 1", MENU, GREETING)
    assert applied_to(after) == Applied("horas", 1, {"greeting": GREETING, "menu": MENU})
    assert "horas 1" in smarterbot("tenant", "show", salon).out


def test_a_rehearsal_writes_nothing(smarterbot: Command, salon: str) -> None:
    answer = smarterbot("marketplace", "apply", "horas", "--tenant", salon, "--dry-run")
    for_programs = smarterbot(
        "marketplace", "apply", "horas", "--tenant", salon, "--dry-run", "--json"
    )

    assert answer.code == 0
    assert "would be set" in answer.out
    assert "horas 1: would be applied" in answer.out
    assert for_programs.json["dry_run"] is True
    assert steps(for_programs.json) == {"greeting": "set", "menu": "set"}
    assert settings(smarterbot, salon) == {"address": "Calle 1"}


def test_a_second_time_changes_nothing(smarterbot: Command, salon: str) -> None:
    smarterbot("marketplace", "apply", "horas", "--tenant", salon)
    first = settings(smarterbot, salon)

    again = smarterbot("marketplace", "apply", "horas", "--tenant", salon, "--json")

    assert again.code == 0
    assert steps(again.json) == {"greeting": "same", "menu": "same"}
    assert settings(smarterbot, salon) == first


def test_what_was_set_by_hand_stays_unless_it_is_forced(smarterbot: Command, salon: str) -> None:
    smarterbot("tenant", "set", salon, "greeting=Mi saludo.")

    kept = smarterbot("marketplace", "apply", "horas", "--tenant", salon)
    after = settings(smarterbot, salon)
    forced = smarterbot("marketplace", "apply", "horas", "--tenant", salon, "--force", "--json")

    assert "kept: set by hand" in kept.out
    assert (after["greeting"], after["menu"]) == ("Mi saludo.", MENU)
    assert steps(forced.json) == {"greeting": "change", "menu": "same"}
    assert settings(smarterbot, salon)["greeting"] == GREETING


def test_what_is_set_by_hand_later_is_the_owners(smarterbot: Command, salon: str) -> None:
    smarterbot("marketplace", "apply", "horas", "--tenant", salon)
    smarterbot("tenant", "set", salon, "greeting=Mi saludo.")

    smarterbot("marketplace", "apply", "pedidos", "--tenant", salon)

    after = settings(smarterbot, salon)
    assert after["greeting"] == "Mi saludo."
    assert after["menu"].startswith("prices, buy")


def test_a_template_that_is_not_there_is_told_with_those_that_are(
    smarterbot: Command, salon: str
) -> None:
    answer = smarterbot("marketplace", "apply", "tarot", "--tenant", salon)

    assert answer.code == 2
    assert "there is no tarot; there are captacion, cobranza" in answer.error


@pytest.mark.parametrize("rehearsal", [(), ("--dry-run",)], ids=["apply", "dry-run"])
def test_a_firm_that_is_not_there_is_told_as_such(
    smarterbot: Command, rehearsal: tuple[str, ...]
) -> None:
    answer = smarterbot("marketplace", "apply", "horas", "--tenant", NOBODY, *rehearsal)

    assert (answer.code, answer.error) == (1, "error: there is no tenant with this id\n")
