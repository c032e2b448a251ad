"""`smarterbot alerts`: what somebody has to look at."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from bot.cli.output import AsJson, FieldError, print_json, print_line
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.people.alerts import Alert, get_alert, list_alerts, settle_alert
from bot.people.channels import list_channels
from bot.people.tenants import list_firms
from flows.values.ids import TenantId
from handlers.persons import MENDS
from handlers.whatsapp.mends import mend_of

app = typer.Typer(help="What somebody has to look at.")

Of = Annotated[UUID | None, typer.Option("--tenant", help="Of one firm alone.")]
Settled = Annotated[bool, typer.Option("--settled", help="Those that are settled, too.")]


@app.callback(invoke_without_command=True)
def default(context: typer.Context, *, as_json: AsJson = False) -> None:
    """What somebody has to look at, the oldest first."""
    if context.invoked_subcommand is None:
        show(as_json=as_json)


@app.command("list")
def show(*, tenant: Of = None, settled: Settled = False, as_json: AsJson = False) -> None:
    """What somebody has to look at, the oldest first."""

    async def work(session: Session) -> list[tuple[Alert, str, str]]:
        phones = {
            sealed.channel.id: sealed.channel.display_phone
            for sealed in await list_channels(session.database)
        }
        found = [
            (alert, firm.name, phones.get(alert.channel, "") if alert.channel else "")
            for firm in await list_firms(session.database)
            if tenant is None or firm.id == str(tenant)
            for alert in await list_alerts(session.database, firm.id, settled=settled)
        ]
        return sorted(found, key=lambda each: each[0].first_at)

    found = in_session(work)
    if as_json:
        print_json([_as_json(alert) for alert, _, _ in found])
        return
    for alert, firm, phone in found:
        who = f"{firm} {phone}".strip()
        what = " ".join(part for part in (alert.kind, alert.about) if part)
        why = f" ({alert.detail})" if alert.detail else ""
        often = f", {alert.times} times" if alert.times > 1 else ""
        over = f", settled {_when(alert.settled_at)}" if alert.settled_at else ""
        print_line(f"{alert.id}  {who}: {what}{why}")
        print_line(f"    since {_when(alert.first_at)}{often}{over}")
        if mend := _mend(alert.kind):
            print_line(f"    {mend}")
    if not found:
        print_line("there is nothing to look at")


@app.command("settle")
def settle(
    alerts: Annotated[
        list[UUID] | None, typer.Argument(metavar="ID…", help="Ids of alerts.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    tenant: Of = None,
    as_json: AsJson = False,
) -> None:
    """Take alerts from the list: it is mended, or nothing needs to be. The same trouble raises a new one."""
    if bool(alerts) == every:
        raise FieldError("ID: name alerts, or give --all")

    async def work(session: Session) -> int:
        firms = [TenantId(tenant_id) for tenant_id in await _tenants(session, tenant)]
        if every:
            found = [
                alert
                for firm in firms
                for alert in await list_alerts(session.database, firm, settled=False)
            ]
        else:
            found = [await get_alert(session.database, firms, str(id)) for id in alerts or ()]
        now = Clock().now_ms()
        for alert in found:
            await settle_alert(session.database, alert, at=now)
        if found:
            await session.publish()
        return len(found)

    count = in_session(work)
    if as_json:
        print_json({"settled": count})
    else:
        print_line(f"settled {count}")


async def _tenants(session: Session, tenant: UUID | None) -> list[str]:
    if tenant is not None:
        return [str(tenant)]
    return [firm.id for firm in await list_firms(session.database)]


def _when(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="minutes")


def _as_json(alert: Alert) -> dict[str, object]:
    return {
        "id": alert.id,
        "tenant": alert.tenant,
        "channel": alert.channel,
        "kind": alert.kind,
        "about": alert.about,
        "detail": alert.detail,
        "first_at": alert.first_at,
        "last_at": alert.last_at,
        "times": alert.times,
        "settled_at": alert.settled_at,
        "mend": _mend(alert.kind),
    }


def _mend(kind: str) -> str:
    return mend_of(kind) or MENDS.get(kind, "")
