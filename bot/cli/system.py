"""`smarterbot system`: the firms' own systems that hear of their people."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID

import typer

from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.people.systems import (
    CHECKS,
    SYSTEMS,
    SystemView,
    list_systems,
    remove_system,
    set_system,
)
from bot.people.tenants import get_tenant
from bot.settings import system_secret
from flows.values.ids import TenantId
from handlers.n8n.settings import new_secret
from handlers.persons import System, SystemKind

ADDRESS_MAX: Final = 500

app = typer.Typer(
    help="Firms' own systems that hear of their people: Odoo, Chatwoot, n8n.", no_args_is_help=True
)

TenantArgument = Annotated[UUID, typer.Argument(metavar="TENANT", help="Id of the firm.")]
SystemArgument = Annotated[str, typer.Argument(metavar="SYSTEM", help="odoo, chatwoot or n8n.")]


@app.command("set")
def set_up(
    tenant: TenantArgument,
    system: SystemArgument,
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE...]",
            help="Odoo: database, login, company (if there are several). Chatwoot: account.",
        ),
    ] = None,
    *,
    address: Annotated[
        str, typer.Option(help="https://…: of Odoo or Chatwoot as such; of n8n the webhook's.")
    ],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Set up a system, or change it; one that had stopped hears again.

    Its secret is taken from SYSTEM_SECRET or standard input, never from an argument: Odoo's API key, Chatwoot's access
    token of an administrator, the signing secret of n8n (left out, one is made and shown once).
    """
    kind = _kind(system)
    secret, is_made = _read_secret(), False
    if not secret and kind == "n8n":
        secret, is_made = new_secret(), True
    chosen = System(
        TenantId(str(tenant)), kind, _address(address, kind), _options(options or []), secret
    )
    try:
        CHECKS[kind](chosen.options, secret)
    except ValueError as error:
        raise FieldError(f"{kind}: {error}") from error

    async def work(session: Session) -> bool:
        await get_tenant(session.database, chosen.tenant)
        if dry_run:
            return False
        return await set_system(session.database, session.box, chosen, at=datetime.now(UTC))

    is_other = in_session(work)
    shown = secret if is_made and not dry_run else ""
    if as_json:
        answer = {"tenant": chosen.tenant, "system": kind, "dry_run": dry_run}
        print_json(answer | ({"secret": shown} if shown else {}))
        return
    if dry_run:
        print_line("the system can be set up")
        return
    if shown:
        print_line(f"signing secret, shown this once: {shown}")
    told = "it is another one, and knows nobody" if is_other else "it hears of what changes"
    print_line(f"{told}; of everybody by: smarterbot identity sync --repair --tenant {tenant}")


@app.command("list")
def list_all(tenant: TenantArgument, *, as_json: AsJson = False) -> None:
    """The systems of a firm. Secrets are never shown."""

    async def work(session: Session) -> list[SystemView]:
        await get_tenant(session.database, TenantId(str(tenant)))
        return await list_systems(session.database, TenantId(str(tenant)))

    found = in_session(work)
    if as_json:
        print_json(found)
        return
    print_table(
        ["system", "address", "options", "changed", "stopped"],
        [
            (
                each.system,
                each.address,
                " ".join(f"{key}={value}" for key, value in sorted(each.options.items())),
                _time(each.changed_at),
                _time(each.stopped_at),
            )
            for each in found
        ],
        empty="no systems yet: smarterbot system set TENANT SYSTEM --address …",
    )


@app.command("remove")
def remove(
    tenant: TenantArgument,
    system: SystemArgument,
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """A system hears nothing more. What it knows stays there: also of people who are erased later."""
    kind, firm = _kind(system), TenantId(str(tenant))

    async def work(session: Session) -> None:
        await get_tenant(session.database, firm)
        if not dry_run:
            await remove_system(session.database, firm, kind)

    in_session(work)
    if as_json:
        print_json({"tenant": firm, "system": kind, "dry_run": dry_run})
    else:
        print_line("the system can be removed" if dry_run else "it hears nothing more")


def _kind(text: str) -> SystemKind:
    for kind in SYSTEMS:
        if kind == text:
            return kind
    raise FieldError(f"SYSTEM: one of {', '.join(SYSTEMS)} is expected")


def _address(text: str, kind: SystemKind) -> str:
    parts = urlsplit(text)
    if (
        len(text) > ADDRESS_MAX
        or parts.scheme not in ("https", "http")
        or not parts.hostname
        or parts.username is not None
        or parts.fragment
        or (parts.query and kind != "n8n")
    ):
        raise FieldError("--address: a web address such as https://erp.example is expected")
    return text if kind == "n8n" else text.rstrip("/")


def _options(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise FieldError(f"{pair}: write it as KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def _read_secret() -> str:
    if secret := system_secret():
        return secret
    if sys.stdin.isatty():
        answer: str = typer.prompt("Secret", default="", hide_input=True, show_default=False)
        return answer.strip()
    return sys.stdin.read().strip()


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="seconds")
