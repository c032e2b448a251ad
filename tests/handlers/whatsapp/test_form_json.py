"""The JSON of our forms is what Meta takes; what it would refuse is named before it goes up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from flows.catalogue import LOCALES, product_flows
from flows.dialog.checker import closure
from flows.dialog.screens import ERRORS
from handlers.whatsapp.emulator.forms import MetaForm, put_json
from handlers.whatsapp.form_json import OPTIONS_MAX, problems
from tests.flows.product import product_texts

FILES: Final = sorted(LOCALES.glob("*/forms/*.json"))
FIRM: Final = LOCALES / "es_CL" / "forms" / "smarterbot_firm.json"


@pytest.mark.parametrize("file", [pytest.param(f, id=f"{f.parts[-3]}-{f.stem}") for f in FILES])
def test_a_form_that_ships_is_taken_by_meta(file: Path) -> None:
    assert problems(file.read_bytes()) == []
    # Read once more, by what plays Meta and knows nothing of our reading.
    assert put_json(MetaForm(id="1", waba="2", name=file.stem), file.read_bytes()) == []


def test_every_form_that_a_flow_answers_has_its_file() -> None:
    answered = {name for flow in closure(product_flows()) for name in flow.forms}

    for locale in product_texts().locales:
        assert {file.stem for file in FILES if file.parts[-3] == locale} == answered


def test_a_form_is_the_same_in_each_language_but_for_its_words() -> None:
    for file in FILES:
        first = LOCALES / "es_CL" / "forms" / file.name

        assert wordless(json.loads(file.read_bytes())) == wordless(json.loads(first.read_bytes()))


def wordless(part: Any) -> Any:
    """A form's JSON without what a person reads."""
    if isinstance(part, list):
        return [wordless(each) for each in part]
    if not isinstance(part, dict):
        return part
    words = {"title", "label", "text", "helper-text"}
    return {key: "…" if key in words else wordless(value) for key, value in part.items()}


def test_each_screen_can_say_what_does_not_fit() -> None:
    for file in FILES:
        for screen in json.loads(file.read_bytes())["screens"]:
            [form] = [c for c in screen["layout"]["children"] if c["type"] == "Form"]
            assert ERRORS in screen["data"]
            assert form["error-messages"] == f"${{data.{ERRORS}}}"


Break = Callable[[dict[str, Any]], object]


def fields(form: dict[str, Any], screen: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = form["screens"][screen]["layout"]["children"][0]["children"]
    return found


BREAKS: Final[list[tuple[str, Break, str]]] = [
    ("version", lambda f: f.update(version="7.4"), "version: "),
    ("old-version", lambda f: f.update(version="2.1"), "version: "),
    ("no-screen", lambda f: f.update(screens=[]), "screens: there is none"),
    ("reserved-id", lambda f: f["screens"][0].update(id="SUCCESS"), "SUCCESS: an id has letters"),
    ("digits-in-id", lambda f: f["screens"][0].update(id="FIRM2"), "FIRM2: an id has letters"),
    ("same-id", lambda f: f["screens"][0].update(id="START"), "screens: two have the same id"),
    ("no-title", lambda f: f["screens"][0].pop("title"), "FIRM: title is missing"),
    ("no-terminal", lambda f: f["screens"][1].pop("terminal"), "screens: none is terminal"),
    ("no-routes", lambda f: f.pop("routing_model"), "routing_model: is needed"),
    ("route-to-nowhere", lambda f: f["routing_model"].update(FIRM=["X"]), "routing_model: X is no screen"),
    ("circle", lambda f: f["routing_model"].update(START=["FIRM"]), "routing_model: exactly one screen"),
    ("long-label", lambda f: fields(f)[1].update(label="L" * 21), "FIRM[0][1] name: label has 21"),
    ("long-help", lambda f: fields(f)[1].update({"helper-text": "h" * 81}), "helper-text has 81"),
    ("long-footer", lambda f: fields(f)[-1].update(label="f" * 36), "label has 36"),
    ("long-opt-in", lambda f: fields(f, 1)[3].update(label="o" * 121), "label has 121"),
    ("long-heading", lambda f: fields(f)[0].update(text="t" * 81), "text has 81"),
    ("no-label", lambda f: fields(f)[1].pop("label"), "label is missing"),
    ("long-option", lambda f: fields(f)[3]["data-source"][0].update(title="t" * 31), "no title of 1 to 30"),
    ("no-options", lambda f: fields(f)[3].update({"data-source": []}), "data-source is missing"),
    ("many-options", lambda f: fields(f)[3].update({"data-source": [
        {"id": str(n), "title": f"Opción {n}"} for n in range(OPTIONS_MAX + 1)
    ]}), "1 to 200 options"),
    ("same-option", lambda f: fields(f)[3]["data-source"][0].update(id="grocery"), "an id of its own"),
    ("unknown-property", lambda f: fields(f)[1].update(colour="red"), "colour is not known"),
    ("unknown-component", lambda f: fields(f)[1].update(type="Map"), "Map is not known"),
    ("same-name", lambda f: fields(f)[1].update(name="rut"), "FIRM: two fields have the same name"),
    ("reserved-name", lambda f: fields(f)[1].update(name="error"), "no field may be called error"),
    ("two-footers", lambda f: fields(f).append(fields(f)[-1]), "FIRM: one Footer"),
    ("no-footer", lambda f: fields(f, 1).pop(), "START: one Footer, and a terminal screen needs it"),
    ("too-many", lambda f: fields(f).extend([{"type": "TextBody", "text": "x"}] * 50), "components, 50 fit"),
    ("opt-ins", lambda f: fields(f).extend(
        {"type": "OptIn", "name": f"o{n}", "label": "o"} for n in range(6)
    ), "more than 5 OptIn"),
    ("unknown-data", lambda f: f["screens"][1]["data"].pop("rut"), "START: ${data.rut} is not there"),
    ("unknown-field", lambda f: fields(f).pop(2), "FIRM: ${form.rut} is not there"),
    ("no-example", lambda f: f["screens"][1]["data"]["rut"].pop("__example__"), "type and __example__"),
    ("no-endpoint", lambda f: f.pop("data_api_version"), "data_exchange needs data_api_version"),
    ("early-end", lambda f: fields(f)[-1]["on-click-action"].update(name="complete"), "only a terminal"),
    ("no-action", lambda f: fields(f)[-1]["on-click-action"].update(name="shout"), "shout is no action"),
    ("lost", lambda f: fields(f)[-1].update({"on-click-action": {"name": "navigate", "next": {"name": "X"}}}),
     "navigate leads to no screen"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("break_it", "told"), [pytest.param(b, told, id=id) for id, b, told in BREAKS]
)
def test_what_meta_would_refuse_is_named_with_its_place(break_it: Break, told: str) -> None:
    form = json.loads(FIRM.read_bytes())
    break_it(form)

    assert any(told in problem for problem in problems(json.dumps(form).encode()))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"7", b'{"screens": 7}', b'{"screens": [7, {}]}']
)
def test_what_is_no_form_is_told_and_never_breaks(text: bytes) -> None:
    assert problems(text) != []
