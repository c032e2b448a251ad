"""`smarterbot flows`: check, draw and extract the conversations. For the workshop, not for a running server."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

import flows
from flows import intents
from flows.catalogue import LOCALES, product_flows
from flows.dialog.checker import Shipped, check, closure, ship
from flows.dialog.draw import draw
from flows.dialog.po import extend
from flows.dialog.templates import TemplateFileError, read_templates
from flows.dialog.texts import TextError, Texts
from flows.marketplace.market import (
    MARKETPLACE,
    MarketError,
    read_market,
    read_shipped_market,
    ship_market,
)
from flows.marketplace.market import SHIPPED as SHIPPED_MARKET

app = typer.Typer(help="Check, draw and extract the conversations.", no_args_is_help=True)

_ROOT: Final = Path(flows.__path__[0]).parent
DRAWINGS: Final = _ROOT / "docs" / "flows"
SHIPPED: Final = _ROOT / "flows" / "shipped.json"

# Keys that the server says itself, outside any flow.
ELSEWHERE: Final = ("command.", "desk.", "server.", "template.")


def read_shipped(file: Path = SHIPPED) -> dict[str, Shipped]:
    """The committed record of what was released; empty if nothing was."""
    if not file.exists():
        return {}
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Shipped])


@app.command("check")
def check_flows(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, for tools.")] = False,
) -> None:
    """Report what would go wrong: graph, texts, limits, voice, versions, the marketplace. Exit status 1 on a problem."""
    console = Console(stderr=True)
    try:
        texts = Texts.load(LOCALES)
        templates = read_templates(LOCALES)
    except (TextError, TemplateFileError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    problems = check(
        product_flows(),
        texts,
        shipped=read_shipped(),
        elsewhere=ELSEWHERE,
        templates=templates,
        also=tuple(intents.uses()),
    )
    problems += intents.unsayable(texts)
    try:
        read_market(MARKETPLACE, templates, shipped=read_shipped_market())
    except MarketError as error:
        problems += error.problems
    if as_json:
        sys.stdout.write(msgspec.json.encode(problems).decode() + "\n")
    for problem in problems if not as_json else ():
        style = "yellow" if problem.warning else "red"
        console.print(str(problem), style=style, markup=False, highlight=False, soft_wrap=True)
    faults = sum(not problem.warning for problem in problems)
    if not as_json:
        states = sum(len(flow.states) for flow in closure(product_flows()))
        console.print(
            f"{states} states, {faults} problems, {len(problems) - faults} warnings",
            highlight=False,
        )
    if faults:
        raise typer.Exit(1)


@app.command("draw")
def draw_flows(
    name: Annotated[str, typer.Argument(metavar="FLOW", help="One flow; all if left out.")] = "",
    *,
    write: Annotated[
        bool, typer.Option(help="Into docs/flows, and the records of what was shipped.")
    ] = False,
) -> None:
    """Draw flows as Mermaid state diagrams."""
    every = {flow.name: flow for flow in closure(product_flows())}
    if name and name not in every:
        raise typer.BadParameter(f"there is no flow {name}: {', '.join(every) or 'none at all'}")
    for flow in every.values():
        if name in ("", flow.name):
            if write:
                DRAWINGS.mkdir(parents=True, exist_ok=True)
                (DRAWINGS / f"{flow.name}.mmd").write_text(draw(flow))
            else:
                sys.stdout.write(draw(flow))
    if write:
        record = ship(product_flows(), read_shipped())
        SHIPPED.write_text(json.dumps(msgspec.to_builtins(record), indent=1) + "\n")
        offered = ship_market(
            read_market(MARKETPLACE, read_templates(LOCALES)), read_shipped_market()
        )
        SHIPPED_MARKET.write_text(json.dumps(msgspec.to_builtins(offered), indent=1) + "\n")


@app.command("texts")
def extract_texts(
    *,
    write: Annotated[bool, typer.Option(help="Into the catalogues, and compile them.")] = False,
) -> None:
    """Find the texts that flows need and the catalogues lack."""
    console = Console(stderr=True)
    for source in sorted(LOCALES.glob("*/LC_MESSAGES/messages.po")):
        locale = source.parent.parent.name
        extended, added = extend(
            source.read_bytes(), closure(product_flows()), locale=locale, also=tuple(intents.uses())
        )
        for key in added:
            console.print(f"{locale}: {key}", highlight=False)
        if write and "@" not in locale:
            source.write_bytes(extended)
    if write:
        # The build hook brings its own tools, which a server does not have.
        from locales.build import compile_catalogues

        compile_catalogues(LOCALES)
