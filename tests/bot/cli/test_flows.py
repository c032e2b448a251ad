"""`smarterbot flows`: what an author runs while writing a conversation."""

import json

from typer.testing import CliRunner

from bot.cli.flows import app
from flows.catalogue import product_flows
from flows.dialog.draw import draw

run = CliRunner().invoke


def test_the_product_has_nothing_to_mend() -> None:
    result = run(app, ["check", "--json"])

    assert result.exit_code == 0
    assert [problem for problem in json.loads(result.stdout) if not problem["warning"]] == []


def test_a_flow_is_drawn_by_its_name() -> None:
    flow = product_flows()[0]

    result = run(app, ["draw", flow.name])

    assert result.stdout == draw(flow)


def test_a_flow_that_does_not_exist_is_named() -> None:
    result = run(app, ["draw", "nobody"])

    assert result.exit_code == 2


def test_no_text_is_missing() -> None:
    result = run(app, ["texts"])

    assert result.exit_code == 0
    assert result.output == ""
