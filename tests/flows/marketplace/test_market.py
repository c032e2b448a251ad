"""The marketplace: every template can be offered, and whatever would be wrong with one is named by file and field."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.catalogue import LOCALES
from flows.dialog.templates import read_templates
from flows.marketplace.market import (
    MARKETPLACE,
    SHIPPED,
    MarketError,
    Shipped,
    known_tools,
    nearest,
    read_market,
    read_shipped_market,
    ship_market,
)

MESSAGES = read_templates(LOCALES)
MARKET = read_market(MARKETPLACE, MESSAGES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of all templates."""
    return Path(shutil.copytree(MARKETPLACE, tmp_path / "market"))


def told(folder: Path, shipped: dict[str, Shipped] | None = None) -> list[str]:
    """What is wrong with a folder of templates."""
    try:
        read_market(folder, MESSAGES, shipped=shipped)
    except MarketError as error:
        return [str(problem) for problem in error.problems]
    return []


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


# ------------------------------------------------------------------ what there is


def test_the_marketplace_has_what_firms_ask_for() -> None:
    assert list(MARKET.templates) == ["captacion", "cobranza", "horas", "pedidos", "soporte"]


def test_all_of_it_can_be_offered(folder: Path) -> None:
    assert told(folder, read_shipped_market()) == []


@pytest.mark.parametrize("locale", MESSAGES.locales)
@pytest.mark.parametrize("id", MARKET.templates)
def test_each_gives_settings_in_each_language(id: str, locale: str) -> None:
    template = MARKET.templates[id]

    settings = template.settings(locale)

    assert settings == {
        "menu": ", ".join(template.menu),
        "greeting": template.texts["greeting"][locale],
    }


@pytest.mark.parametrize(
    ("locale", "words"),
    [("es_CL", "hola"), ("es_AR", "hola"), ("en_GB", "hi"), ("pt_BR", "hola")],
)
def test_a_language_that_is_not_there_is_spoken_as_its_nearest(locale: str, words: str) -> None:
    assert nearest({"es_CL": "hola", "en": "hi"}, locale) == words


def test_what_is_shipped_is_on_record() -> None:
    committed = msgspec.json.decode(SHIPPED.read_bytes(), type=dict[str, Shipped])

    assert committed == ship_market(MARKET, committed)


def test_the_calls_of_flows_are_known_by_name() -> None:
    assert "OpenHandoff" in known_tools()
    assert "Call" not in known_tools()


# ------------------------------------------------------------------ mistakes in template.toml


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param("version = 1", "version = 0", "Expected `int` >= 1 - at `$.version`", id="version"),
        pytest.param("version = 1", "", "missing required field `version`", id="no-version"),
        pytest.param("version = 1", "version = 1\ncolour = 2", "unknown field `colour`", id="unknown"),
        pytest.param("version = 1", "version", "Expected '='", id="no-toml"),
        pytest.param('"move"', '"tarot"', "menu: has no option tarot", id="option"),
        pytest.param('"move"', '"book"', "menu: names book twice", id="option-twice"),
        pytest.param('"move", ', '"move", "buy", "quote", ', "menu: names 8 options", id="menu-too-long"),
        pytest.param(
            'menu = ["book", "move", "hours", "prices", "address", "contact"]', "menu = []", "menu: is empty", id="no-menu"
        ),
        pytest.param('"recordatorio_hora"', '"recordatorio"', "templates: there is no recordatorio in es_CL", id="message"),
        pytest.param('"recordatorio_hora"', '"retomar_atencion"', "templates: names retomar_atencion twice", id="twice"),
        pytest.param('"OpenHandoff"', '"OpenDoor"', "tools: there is no call OpenDoor", id="tool"),
        pytest.param('es_CL = "Horas"\n', "", "name: is missing in es_CL", id="no-name"),
        pytest.param('en = "Appointments"\n', "", "name: is missing in en", id="no-name-in-english"),
        pytest.param('es_CL = "Horas"', f'es_CL = "{"x" * 25}"', "name.es_CL: has 25 characters, 24 fit", id="name-too-long"),
        pytest.param('es_CL = "Horas"', 'es_CL = ""', "name.es_CL: is empty", id="empty-name"),
        pytest.param('es_CL = "Horas"', 'es_CL = "Horas"\nfr = "Rendez-vous"', "name.fr: is no language", id="language"),
        pytest.param("Tus clientes piden", "x" * 40 + " piden", "about.es_CL: has", id="about-too-long"),
        pytest.param("Aquí puedes pedir,", "x" * 160, "texts.greeting.es_CL: has", id="greeting-too-long"),
        pytest.param("Aquí puedes pedir", "Usted puede pedir", "texts.greeting.es_CL: ", id="usted"),
        pytest.param("Aquí puedes pedir", "{{ name }}, puedes pedir", "holds no placeholders", id="placeholder"),
        pytest.param("[texts.greeting]", "[texts.hours]", "texts.hours: is no text of a firm", id="fact"),
        pytest.param("[texts.greeting]", "[texts.hours]", "texts: greeting is missing", id="no-greeting"),
        pytest.param('["recordatorio"]', "[]", "workflows: recordatorio.json lies beside it and is not named", id="unnamed"),
        pytest.param('"OpenHandoff"', '"OpenHandoff", "OpenHandoff"', "tools: names OpenHandoff twice", id="tool-twice"),
        pytest.param('["recordatorio"]', '["../horas/x"]', "at `$.workflows[0]`", id="path"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template_is_named(folder: Path, old: str, new: str, problem: str) -> None:
    rewrite(folder / "horas" / "template.toml", old, new)

    problems = told(folder)

    assert any(each.startswith("horas/template.toml: ") and problem in each for each in problems), (
        problems
    )


def test_a_message_template_is_wanted_in_every_language(folder: Path) -> None:
    files = dict(MESSAGES.files)
    del files["recordatorio_hora", "en"]

    with pytest.raises(MarketError, match="templates: there is no recordatorio_hora in en"):
        read_market(folder, type(MESSAGES)(files, MESSAGES.locales))


def test_a_folder_is_named_as_an_id(folder: Path) -> None:
    (folder / "horas").rename(folder / "Horas!")

    assert any(each.startswith("Horas!/template.toml: ") for each in told(folder))


def test_a_folder_without_templates_is_no_marketplace(tmp_path: Path) -> None:
    assert told(tmp_path) == [
        "signature.js: is missing or empty",
        f"{tmp_path.name}: holds no <id>/template.toml",
    ]


# ------------------------------------------------------------------ mistakes in a workflow


def mutate(folder: Path, change: Callable[[Any], object]) -> list[str]:
    """What is wrong after a change of the JSON of horas/recordatorio.json."""
    file = folder / "horas" / "recordatorio.json"
    workflow = json.loads(file.read_text("utf-8"))
    change(workflow)
    file.write_text(json.dumps(workflow), "utf-8")
    return told(folder)


def node(workflow: Any, kind: str, n: int = 0) -> Any:
    return [each for each in workflow["nodes"] if each["type"].endswith(kind)][n]


def request(workflow: Any) -> Any:
    return node(workflow, "httpRequest")["parameters"]


def body(old: str, new: str) -> Callable[[Any], object]:
    def change(workflow: Any) -> None:
        assert old in request(workflow)["jsonBody"]
        request(workflow)["jsonBody"] = request(workflow)["jsonBody"].replace(old, new)

    return change


def extra(workflow: Any, **fields: Any) -> None:
    """One more node that something leads to."""
    workflow["nodes"].append(
        {
            "id": "1f0d2d6e-0000-4000-8000-000000000000",
            "name": "Otro",
            "type": "n8n-nodes-base.respondToWebhook",
            "typeVersion": 1.1,
            "position": [0, 0],
            "parameters": {},
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(lambda w: w.update(active=True), "unknown field `active`", id="read-only"),
        pytest.param(lambda w: w.update(pinData={}), "unknown field `pinData`", id="exported"),
        pytest.param(lambda w: w.pop("settings"), "missing required field `settings`", id="no-settings"),
        pytest.param(lambda w: w["settings"].update(timezone="x"), "unknown field `timezone`", id="settings"),
        pytest.param(lambda w: w.update(name="Recordar"), "name: begins with", id="name"),
        pytest.param(lambda w: node(w, "if").update(credentials={}), "unknown field `credentials`", id="credentials"),
        pytest.param(lambda w: node(w, "if", 1).update(name="¿Firma correcta?"), "the name “¿Firma correcta?” is empty or not the only one", id="name-twice"),
        pytest.param(lambda w: node(w, "if", 1).update(id=node(w, "if")["id"]), "nodes: the id “", id="id-twice"),
        pytest.param(lambda w: node(w, "if").update(type="n8n-nodes-base.executeCommand"), "type: n8n-nodes-base.executeCommand is none of", id="type"),
        pytest.param(lambda w: node(w, "if").update(typeVersion=9), "typeVersion: 2.2 is expected", id="version"),
        pytest.param(lambda w: node(w, "httpRequest").update(maxTries=9), "maxTries", id="tries"),
        pytest.param(lambda w: node(w, "code")["parameters"].update(jsCode="return []"), "the code is not that of signature.js", id="code"),
        pytest.param(lambda w: request(w).update(jsonBody="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "looks like a secret", id="secret"),
        pytest.param(lambda w: request(w)["headerParameters"]["parameters"].append({"name": "Authorization", "value": "Bearer abcdefgh12345"}), "looks like a secret", id="bearer"),
        pytest.param(lambda w: request(w).update(note="sbk_0b8b7a5c6a3d4b0e9c1f2d3e4f5a6b7c"), "looks like a secret", id="our-key"),
        pytest.param(lambda w: request(w).update(url="https://bot.example/v1/messages"), "name an address; take it from $env", id="address"),
        pytest.param(lambda w: request(w).update(method="GET"), 'parameters.method: "POST" is expected', id="method"),
        pytest.param(lambda w: request(w).update(authentication="none"), "parameters.authentication:", id="no-key"),
        pytest.param(lambda w: request(w).update(sendQuery=True), "parameters.sendQuery: has no place here", id="more"),
        pytest.param(lambda w: request(w)["headerParameters"].update(parameters=[]), "parameters.headerParameters:", id="not-repeatable"),
        pytest.param(body("appointment_reminder", "reminder"), "there is no intent reminder", id="intent"),
        pytest.param(body("appointment_reminder", "order_update"), "order_update takes name, order, status", id="fields"),
        pytest.param(body("appointment_reminder", "csat"), "csat needs encuesta_atencion, which templates does not name", id="template"),
        pytest.param(body(", at: $json.data.at", ""), "appointment_reminder takes at, name, service", id="field"),
        pytest.param(body("message:", "mensaje:"), "has no message: { intent: … }", id="message"),
        pytest.param(body('"notices"', '"marketing"'), "the permission's purpose is notices", id="purpose"),
        pytest.param(lambda w: node(w, ".webhook")["parameters"].update(path="x"), 'parameters.path: "horas-recordatorio" is expected', id="path"),
        pytest.param(lambda w: node(w, ".webhook")["parameters"].update(httpMethod="GET"), "parameters.httpMethod:", id="get"),
        pytest.param(lambda w: node(w, ".webhook")["parameters"].update(options={}), "parameters.options:", id="no-raw-body"),
        pytest.param(lambda w: node(w, ".webhook")["parameters"].update(authentication="basicAuth"), "parameters.authentication: has no place here", id="other-proof"),
        pytest.param(lambda w: node(w, ".webhook").pop("webhookId"), "webhookId: a UUID is expected", id="webhook-id"),
        pytest.param(lambda w: extra(w), "nodes.Otro: nothing leads to it", id="unreachable"),
        pytest.param(lambda w: extra(w, type="n8n-nodes-base.webhook"), "one webhook is expected, there are 2", id="two-triggers"),
        pytest.param(lambda w: w["connections"].update(Nadie=w["connections"]["Aviso firmado"]), "connections: there is no node “Nadie”", id="from-nobody"),
        pytest.param(lambda w: w["connections"]["Aviso firmado"]["main"][0][0].update(node="Nadie"), "connections: there is no node “Nadie”", id="to-nobody"),
        pytest.param(lambda w: w["connections"]["Aviso firmado"]["main"][0][0].update(type="ai_tool"), "Invalid enum value 'ai_tool'", id="link"),
        pytest.param(lambda w: w["connections"].pop("Recordar la hora"), "nodes.Recordar la hora: an answer ends the workflow", id="no-answer"),
        pytest.param(lambda w: w["connections"]["Aviso firmado"]["main"][0][0].update(node="¿Firma correcta?"), "the signature is checked first", id="unchecked"),
        pytest.param(lambda w: w["connections"]["Revisar la firma"]["main"][0][0].update(node="¿Es una hora?"), "asks whether ={{ $json.genuine }}", id="ungated"),
        pytest.param(lambda w: w["connections"]["Revisar la firma"]["main"][0].append({"node": "Recordar la hora", "type": "main", "index": 0}), "the signature is checked first", id="beside-the-gate"),
        pytest.param(lambda w: node(w, "if")["parameters"]["conditions"]["conditions"][0].update(leftValue="={{ true }}"), "asks whether ={{ $json.genuine }}", id="open-gate"),
        pytest.param(lambda w: w["connections"]["¿Firma correcta?"]["main"].reverse(), "what is not genuine is answered with 401", id="wrong-way"),
        pytest.param(lambda w: node(w, "respondToWebhook", 2)["parameters"]["options"].update(responseCode=200), "what is not genuine is answered with 401", id="forged-is-welcome"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_workflow_is_named(
    folder: Path, change: Callable[[Any], object], problem: str
) -> None:
    problems = mutate(folder, change)

    assert any(
        each.startswith("horas/recordatorio.json: ") and problem in each for each in problems
    ), problems


def test_a_workflow_that_is_named_is_there(folder: Path) -> None:
    (folder / "horas" / "recordatorio.json").unlink()

    assert told(folder) == ["horas/recordatorio.json: is missing, and workflows names it"]


def test_a_workflow_is_json(folder: Path) -> None:
    (folder / "horas" / "recordatorio.json").write_bytes(b"{\xff")

    assert any(each.startswith("horas/recordatorio.json: ") for each in told(folder))


@pytest.mark.parametrize("field", ["name", "webhookId"])
def test_no_two_workflows_get_in_each_others_way(folder: Path, field: str) -> None:
    other = json.loads((folder / "pedidos" / "estado.json").read_text("utf-8"))

    def same(workflow: Any) -> None:
        if field == "name":
            workflow["name"] = other["name"]
        else:
            node(workflow, ".webhook")[field] = node(other, ".webhook")[field]

    assert any(f"has the same {field}" in each for each in mutate(folder, same))


# ------------------------------------------------------------------ versions


def test_what_was_shipped_changes_with_its_version_alone(folder: Path) -> None:
    file = folder / "horas" / "template.toml"
    rewrite(file, 'menu = ["book", "move"', 'menu = ["move", "book"')
    unraised = told(folder, read_shipped_market())
    rewrite(file, "version = 1", "version = 2")

    assert unraised == ["horas/template.toml: version: raise it, 1 was shipped as it was"]
    assert told(folder, read_shipped_market()) == []


def test_a_workflow_is_a_part_of_what_was_shipped(folder: Path) -> None:
    problems = mutate(folder, lambda w: w.update(name="SmarterBot: otra cosa"))

    assert problems == []
    assert told(folder, read_shipped_market()) == [
        "horas/template.toml: version: raise it, 1 was shipped as it was"
    ]


def test_no_version_is_taken_back(folder: Path) -> None:
    later = {"horas": Shipped(2, "")}

    assert told(folder, later) == ["horas/template.toml: version: 2 was shipped before 1"]


def test_what_firms_have_stays(folder: Path) -> None:
    shutil.rmtree(folder / "horas")

    assert told(folder, read_shipped_market()) == ["horas: was shipped and is gone: firms have it"]
    assert "horas" in ship_market(read_market(folder, MESSAGES), read_shipped_market())
