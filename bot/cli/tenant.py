"""`smarterbot tenant`: the firms."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from babel import Locale, UnknownLocaleError

from bot.billing.terms import (
    BUDGET,
    RESERVE,
    WARNINGS,
    TermsError,
    check_budget,
    check_share,
    check_warnings,
    terms_of,
)
from bot.cli.output import (
    AsJson,
    DryRun,
    FieldError,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from bot.cli.session import Session, in_session
from bot.onboarding.demo import link_to_demo
from bot.people.channels import list_channels
from bot.people.tenants import add_tenant, change_settings, get_tenant, list_firms
from flows.customer.shop import SettingError, check_setting, shown
from flows.dialog.ctx import Firm
from flows.marketplace.applying import ApplyError, applied_to
from flows.values.ids import TenantId
from flows.values.money import show_pesos
from flows.values.rut import Rut, RutProblem, parse_rut

app = typer.Typer(help="Firms: register, look at, set up.", no_args_is_help=True)

TenantArgument = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the tenant.")]

_RUT_MENDS = {
    RutProblem.SHAPE: "write it as 76.543.210-3",
    RutProblem.DIGIT: "the check digit belongs to another number",
    RutProblem.MISSING_DIGIT: "write the check digit too, as in 76.543.210-3",
    RutProblem.IMPOSSIBLE: "nobody has this RUT",
}


@app.command("add")
def add(
    *,
    name: Annotated[str, typer.Option(help="What customers call the firm.")],
    rut: Annotated[str, typer.Option(help="Its RUT, as 76.543.210-3.")],
    locale: Annotated[str, typer.Option(help="Language of its conversations.")] = "es_CL",
    zone: Annotated[str, typer.Option(help="Time zone of its hours.")] = "America/Santiago",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Register a firm; answers its id."""
    firm = Firm(
        id=TenantId(str(uuid4())),
        name=_named(name),
        locale=_spoken(locale),
        zone=_zoned(zone),
    )
    checked = _registered(rut)
    if not dry_run:

        async def work(session: Session) -> None:
            await add_tenant(session.database, firm, rut=checked)
            await session.publish()

        in_session(work)
    if as_json:
        print_json({"id": firm.id, "name": firm.name, "dry_run": dry_run})
    else:
        print_line(
            f"{firm.name} can be registered" if dry_run else f"registered {firm.name}: {firm.id}"
        )


@app.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """All firms."""

    async def work(session: Session) -> list[Firm]:
        return await list_firms(session.database)

    firms = in_session(work)
    if as_json:
        print_json(firms)
    else:
        print_table(
            ["id", "name", "locale", "zone"],
            [(firm.id, firm.name, firm.locale, firm.zone) for firm in firms],
            empty="no tenants yet: smarterbot tenant add --name … --rut …",
        )


@app.command("show")
def show(tenant: TenantArgument, *, as_json: AsJson = False) -> None:
    """One firm and its settings."""

    async def work(session: Session) -> None:
        found = await get_tenant(session.database, TenantId(str(tenant)))
        if as_json:
            print_json(found)
            return
        firm = found.firm
        print_facts(
            {
                "id": firm.id,
                "name": firm.name,
                "RUT": found.rut.display,
                "locale": firm.locale,
                "zone": firm.zone,
                "since": f"{found.created_at:%Y-%m-%d}",
                **{f"  {key}": _shown(key, value) for key, value in sorted(firm.settings.items())},
            }
        )

    in_session(work)


@app.command("set")
def set_settings(
    tenant: TenantArgument,
    pairs: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="What to set; KEY= unsets it.")
    ],
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Set what a firm tells its customers: hours, address, prices …"""
    changes = _checked(pairs)

    async def work(session: Session) -> Firm:
        identity = TenantId(str(tenant))
        firm = (await get_tenant(session.database, identity)).firm
        if dry_run:
            return replace(firm, settings={**firm.settings, **changes})
        after = await change_settings(session.database, identity, changes)
        await session.publish()
        return replace(firm, settings=after)

    firm = in_session(work)
    if as_json:
        print_json({"id": firm.id, "settings": firm.settings, "dry_run": dry_run})
    else:
        print_facts({key: value or "(unset)" for key, value in changes.items()})


@app.command("demo")
def demo(tenant: TenantArgument, *, as_json: AsJson = False) -> None:
    """The link that opens a chat with a firm's bot on the demo number, before it has a number of its own."""

    async def work(session: Session) -> str:
        firm = (await get_tenant(session.database, TenantId(str(tenant)))).firm
        numbers = [each.channel for each in await list_channels(session.database)]
        channel = min((n for n in numbers if n.demo), key=lambda n: n.id, default=None)
        if channel is None:
            raise FieldError("there is no demo number: smarterbot channel add --demo …")
        if shown(firm) is None:
            raise FieldError(f"its bot is not shown: smarterbot tenant set {tenant} demo=yes")
        return await link_to_demo(
            session.database, firm, channel, chat_url=session.settings.chat_url
        )

    link = in_session(work)
    if as_json:
        print_json({"id": str(tenant), "link": link})
    else:
        print_line(link)


@app.command("budget")
def budget(
    tenant: TenantArgument,
    pesos: Annotated[
        str,
        typer.Argument(
            metavar="[PESOS]", help="Of each month, as 150000; none: no limit. Left out: as it is."
        ),
    ] = "",
    *,
    reserve: Annotated[
        int | None, typer.Option(help="Percent of it that is kept for answers to customers.")
    ] = None,
    warn: Annotated[
        list[int] | None, typer.Option(help="Percent of it at which to warn; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """What a firm may spend on messages in a month, in pesos.

    What the firm starts stops where the reserve begins; answers to customers go on until the budget is spent.
    """
    changes = _budgeted(pesos, reserve, warn)

    async def work(session: Session) -> Firm:
        identity = TenantId(str(tenant))
        firm = (await get_tenant(session.database, identity)).firm
        if dry_run or not changes:
            return replace(
                firm, settings={k: v for k, v in {**firm.settings, **changes}.items() if v}
            )
        after = await change_settings(session.database, identity, changes)
        await session.publish()
        return replace(firm, settings=after)

    firm = in_session(work)
    terms = terms_of(firm.settings)
    if as_json:
        print_json(
            {
                "id": firm.id,
                "budget": terms.budget,
                "reserve_percent": terms.reserve,
                "warnings_percent": terms.warnings,
                "dry_run": dry_run,
            }
        )
        return
    print_facts(
        {
            "budget a month": "none: nothing is limited"
            if terms.budget is None
            else show_pesos(terms.budget),
            "kept for answers": f"{terms.reserve} %",
            "warns at": ", ".join(f"{share} %" for share in terms.warnings),
        }
    )


def _shown(key: str, value: str) -> str:
    try:
        applied = applied_to({key: value})
    except ApplyError:
        return value
    return value if applied is None else f"{applied.template} {applied.version}"


def _budgeted(pesos: str, reserve: int | None, warn: list[int] | None) -> dict[str, str]:
    changes, problems = {}, []
    try:
        if pesos:
            changes[BUDGET] = "" if pesos == "none" else check_budget(pesos)
    except TermsError as error:
        problems.append(f"PESOS: {error}")
    try:
        if reserve is not None:
            changes[RESERVE] = check_share(reserve)
    except TermsError as error:
        problems.append(f"--reserve: {error}")
    try:
        if warn:
            changes[WARNINGS] = check_warnings(warn)
    except TermsError as error:
        problems.append(f"--warn: {error}")
    if problems:
        raise FieldError("\n".join(problems))
    return changes


def _checked(pairs: list[str]) -> dict[str, str]:
    changes, problems = {}, []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            problems.append(f"{pair}: write it as KEY=VALUE")
            continue
        try:
            changes[key] = check_setting(key, value)
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise FieldError("\n".join(problems))
    return changes


def _registered(text: str) -> Rut:
    rut = parse_rut(text)
    if isinstance(rut, RutProblem):
        raise FieldError(f"--rut: {_RUT_MENDS[rut]}")
    if not rut.can_be_tenant:
        raise FieldError("--rut: no firm can be registered under this one")
    return rut


def _named(name: str) -> str:
    if not (clean := " ".join(name.split())):
        raise FieldError("--name: is empty")
    return clean


def _spoken(locale: str) -> str:
    try:
        return str(Locale.parse(locale))
    except (UnknownLocaleError, ValueError) as error:
        raise FieldError("--locale: write it as es_CL") from error


def _zoned(zone: str) -> str:
    try:
        return ZoneInfo(zone).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FieldError("--zone: write it as America/Santiago") from error
