"""`smarterbot template`: our files go to Meta, and what Meta says comes back."""

from pathlib import Path

from msgspec.structs import replace

from flows.catalogue import LOCALES
from flows.dialog.templates import read_templates
from handlers.whatsapp.emulator.templates import Button, Template
from tests.bot.cli.conftest import Command
from tests.bot.cli.meta import Meta

OURS = read_templates(LOCALES)
REMINDER = ("recordatorio_hora", "es_CL")


def approve_all(meta: Meta) -> None:
    for template in meta.templates().values():
        meta.put(replace(template, status="APPROVED"))


def test_a_push_creates_what_meta_has_not(smarterbot: Command, meta: Meta, channel: str) -> None:
    answer = smarterbot("template", "push", channel, "--json")

    there = meta.templates()
    assert answer.code == 0
    assert set(there) == set(OURS.files)
    assert {template.status for template in there.values()} == {"PENDING"}
    assert [(each["step"], each["status"]) for each in answer.json] == [
        ("create", "PENDING")
    ] * len(OURS.files)
    assert f"1/{len(OURS.files)} {OURS.names()[0]} en: create: PENDING" in answer.error


def test_a_second_push_changes_nothing(smarterbot: Command, meta: Meta, channel: str) -> None:
    smarterbot("template", "push", channel)
    approve_all(meta)
    before = meta.templates()

    answer = smarterbot("template", "push", channel, "--json")

    assert {each["step"] for each in answer.json} == {"same"}
    assert meta.templates() == before


def test_a_push_edits_what_differs(smarterbot: Command, meta: Meta, channel: str) -> None:
    smarterbot("template", "push", channel)
    approve_all(meta)
    right = meta.templates()[REMINDER]
    meta.put(replace(right, body="Hola {{nombre}}, ven mañana a las diez.", footer="x"))

    answer = smarterbot("template", "push", channel, "--name", REMINDER[0], "--json")

    assert [(each["locale"], each["step"], each["differs"]) for each in answer.json] == [
        ("en", "same", []),
        ("es_CL", "edit", ["body", "footer"]),
    ]
    assert meta.templates()[REMINDER] == replace(right, status="PENDING")


def test_what_waits_for_its_review_is_left_alone(
    smarterbot: Command, meta: Meta, channel: str
) -> None:
    smarterbot("template", "push", channel)
    meta.put(replace(meta.templates()[REMINDER], body="Otra cosa."))

    answer = smarterbot("template", "push", channel, "--name", REMINDER[0], "--json")

    assert [each["step"] for each in answer.json] == ["same", "waits"]


def test_what_meta_refuses_is_said(smarterbot: Command, meta: Meta, channel: str) -> None:
    smarterbot("template", "push", channel)
    approve_all(meta)
    meta.put(replace(meta.templates()[REMINDER], category="MARKETING"))

    answer = smarterbot("template", "push", channel, "--name", REMINDER[0])

    assert answer.code == 1
    assert "Meta refused it, bad_request (100): the category of an approved" in answer.error


def test_a_rehearsal_sends_nothing(smarterbot: Command, meta: Meta, channel: str) -> None:
    answer = smarterbot("template", "push", channel, "--dry-run")

    assert (answer.code, meta.templates()) == (0, {})
    assert "would create it" in answer.error


def test_status_says_which_may_be_sent(smarterbot: Command, meta: Meta, channel: str) -> None:
    smarterbot("template", "push", channel)
    waiting = smarterbot("template", "status", channel)
    approve_all(meta)
    approved = smarterbot("template", "status", channel)
    meta.put(replace(meta.templates()[REMINDER], status="REJECTED", rejected="INVALID_FORMAT"))

    rejected = smarterbot("template", "status", channel, "--json")

    assert (waiting.code, approved.code, rejected.code) == (1, 0, 1)
    assert "PENDING" in waiting.out
    [told] = [each for each in rejected.json if (each["name"], each["locale"]) == REMINDER]
    assert (told["status"], told["why"], told["step"]) == ("REJECTED", "INVALID_FORMAT", "same")


def test_a_pull_writes_files_that_push_back_the_same(
    smarterbot: Command, meta: Meta, channel: str, tmp_path: Path
) -> None:
    ours = Template(
        name="promo",
        language="es_CL",
        category="MARKETING",
        body='Hola {{nombre}}, hay "pan" fresco en la tienda desde hoy.',
        footer="Escribe BAJA",
        header_text="Pan",
        buttons=(Button("QUICK_REPLY", "Quiero"), Button("URL", "Ver", "https://example.com/")),
    )
    meta.put(ours)
    meta.put(replace(ours, language="en"))
    meta.put(replace(ours, name="foto", header="IMAGE", header_text=""))
    for locale in ("es_CL", "en"):
        (tmp_path / locale / "LC_MESSAGES").mkdir(parents=True)

    answer = smarterbot("template", "pull", channel, "--into", str(tmp_path), "--json")

    [found, _] = read_templates(tmp_path).files.values()
    assert (found.body, found.footer, found.header) == (ours.body, ours.footer, ours.header_text)
    assert (found.replies, found.links[0].url) == (("Quiero",), "https://example.com/")
    assert [each.get("cannot") for each in answer.json if each["name"] == "foto"] == [
        "cannot be a file: header IMAGE"
    ]


def test_a_number_without_a_token_says_what_to_do(smarterbot: Command, channel: str) -> None:
    unknown = smarterbot("template", "status", "0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")

    assert (unknown.code, unknown.error) == (
        1,
        "error: there is no channel with this id: smarterbot channel list\n",
    )


def test_an_unknown_name_is_refused(smarterbot: Command, channel: str) -> None:
    answer = smarterbot("template", "push", channel, "--name", "nada")

    assert answer.code == 2
    assert "there is no template nada" in answer.error


def test_while_meta_is_away_it_is_said(smarterbot: Command, meta: Meta, channel: str) -> None:
    meta.stands(away=True)

    answer = smarterbot("template", "status", channel)

    assert answer.code == 1
    assert "Meta cannot be reached" in answer.error
