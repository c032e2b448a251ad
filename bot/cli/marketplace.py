"""`smarterbot marketplace`: templates that a firm can begin with."""

import sys
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.people.tenants import get_tenant, revise_settings
from flows.catalogue import LOCALES
from flows.dialog.ctx import Firm
from flows.dialog.templates import TemplateFileError, Templates, read_templates
from flows.dialog.texts import DEFAULT_LOCALE
from flows.marketplace.applying import ApplyError, Plan, plan_template
from flows.marketplace.market import (
    MARKETPLACE,
    Market,
    MarketError,
    nearest,
    read_market,
    read_shipped_market,
)
from flows.values.ids import TenantId

app = typer.Typer(help="Templates that a firm can begin with.", no_args_is_help=True)

Folder = Annotated[
    Path, typer.Option(help="Of templates, each <id>/template.toml.", exists=True, file_okay=False)
]

_DONE: Final = {
    "set": "set",
    "change": "changed",
    "unset": "unset",
    "same": "as it was",
    "kept": "kept: set by hand",
}
_PLANNED: Final = {
    **_DONE,
    "set": "would be set",
    "change": "would be changed",
    "unset": "would be unset",
}


@app.command("list")
def list_all(
    *,
    locale: Annotated[
        str, typer.Option(help="Language of names and descriptions.")
    ] = DEFAULT_LOCALE,
    as_json: AsJson = False,
) -> None:
    """All templates."""
    templates = _market().templates
    if as_json:
        print_json([{"id": id, "template": template} for id, template in templates.items()])
        return
    print_table(
        ["id", "version", "name", "about", "menu", "message templates", "n8n workflows"],
        [
            (
                id,
                str(template.version),
                nearest(template.name, locale),
                nearest(template.about, locale),
                ", ".join(template.menu),
                ", ".join(template.templates),
                ", ".join(template.workflows),
            )
            for id, template in templates.items()
        ],
        empty="there are no templates",
    )


@app.command("check")
def check(*, folder: Folder = MARKETPLACE, as_json: AsJson = False) -> None:
    """Report what is wrong with the templates, by file and field. Exit status 1 on a problem."""
    ours = folder == MARKETPLACE
    try:
        market = read_market(folder, _messages(), shipped=read_shipped_market() if ours else None)
    except MarketError as error:
        if as_json:
            print_json(error.problems)
        else:
            sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from None
    if as_json:
        print_json([])
    else:
        print_line(f"{len(market.templates)} templates, 0 problems")


@app.command("apply")
def apply(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its id, as in the list.")],
    *,
    tenant: Annotated[UUID, typer.Option(metavar="ID", help="Id of the firm.")],
    force: Annotated[
        bool, typer.Option("--force", help="Change what the owner set by hand, too.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give a firm the menu and the texts of a template. What its owner set by hand stays; a second time changes nothing."""
    market = _market()
    chosen = market.templates.get(template)
    if chosen is None:
        raise FieldError(
            f"TEMPLATE: there is no {template}; there are {', '.join(market.templates)}"
        )
    identity = TenantId(str(tenant))

    async def work(session: Session) -> Plan:
        plans: list[Plan] = []

        def revise(firm: Firm) -> dict[str, str]:
            plans.append(plan_template(template, chosen, firm, force=force))
            return dict(plans[-1].writes)

        if dry_run:
            revise((await get_tenant(session.database, identity)).firm)
        else:
            await revise_settings(session.database, identity, revise)
            if plans[-1].writes:
                await session.publish()
        return plans[-1]

    try:
        plan = in_session(work)
    except ApplyError as error:
        raise FieldError(f"TEMPLATE: {error}") from error
    files = [str(MARKETPLACE / template / f"{name}.json") for name in chosen.workflows]
    if as_json:
        print_json(
            {
                "id": identity,
                "template": template,
                "version": chosen.version,
                "changes": plan.changes,
                "templates": chosen.templates,
                "workflows": files,
                "tools": chosen.tools,
                "dry_run": dry_run,
            }
        )
        return
    print_table(
        [
            "setting",
            "now",
            "in the template",
            "what was done" if not dry_run else "what would be done",
        ],
        [
            (
                each.key,
                each.now or "-",
                each.then or "-",
                (_PLANNED if dry_run else _DONE)[each.step],
            )
            for each in plan.changes
        ],
        empty="it sets nothing",
    )
    print_line(f"{template} {chosen.version}: {'would be applied' if dry_run else 'applied'}")
    if chosen.templates:
        print_line(
            f"message templates, for `smarterbot template push`: {', '.join(chosen.templates)}"
        )
    for file in files:
        print_line(f"n8n workflow, to import: {file}")


def _market() -> Market:
    try:
        return read_market(MARKETPLACE, _messages())
    except MarketError as error:
        raise FieldError(str(error)) from error


def _messages() -> Templates:
    try:
        return read_templates(LOCALES)
    except TemplateFileError as error:
        raise FieldError(str(error)) from error
