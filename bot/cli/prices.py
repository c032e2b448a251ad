"""`smarterbot prices`: Meta's price cards, and the firms' own prices."""

from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

import typer

from bot.billing.cards import CardError, Cards, read_cards
from bot.billing.terms import CURRENCY, PRICE, TermsError, check_price, terms_of
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
from bot.clock import Clock
from bot.people.tenants import change_settings, get_tenant
from flows.values.ids import TenantId

app = typer.Typer(
    help="What messages cost: Meta's price cards, and own prices.", no_args_is_help=True
)


@app.command("show")
def show(
    *,
    day: Annotated[str, typer.Option(help="As 2026-11-01. Without it: today.")] = "",
    tenant: Annotated[
        UUID | None, typer.Option(help="Id of a firm, to see the prices of its own too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The prices of one delivered message, by the recipient's country, and what is free."""
    wanted = _day(day)
    card = _cards().at(wanted)
    own = {}
    if tenant is not None:

        async def work(session: Session) -> dict[str, str]:
            found = await get_tenant(session.database, TenantId(str(tenant)))
            return dict(found.firm.settings)

        own = dict(terms_of(in_session(work)).own)
    rows = [
        (country, category, str(rate.amount), CURRENCY, rate.certainty)
        for (country, category), rate in sorted(own.items())
    ]
    if card is not None:
        rows += [
            (country, category, str(rate.amount), currency, rate.certainty)
            for (country, category, currency), rate in sorted(card.rates.items())
        ]
    if as_json:
        print_json(
            {
                "day": wanted,
                "effective": card.effective if card else None,
                "rules": card.rules if card else None,
                "prices": [
                    dict(
                        zip(
                            ("country", "category", "price", "currency", "certainty"),
                            row,
                            strict=True,
                        )
                    )
                    for row in rows
                ],
            }
        )
        return
    print_line(f"card of {card.effective}" if card else f"there is no card for {wanted}")
    print_table(["country", "category", "price", "currency", "certainty"], rows, empty="no prices")
    if card is not None:
        rules = card.rules
        print_facts(
            {
                "replies": "free"
                if rules.service_is_free
                else f"billed; the first {rules.service_free_messages:,} of each number in a month are free",
                "utility templates in an open window": "free"
                if rules.utility_is_free_in_window
                else "billed",
                "after an ad": f"free for {rules.free_entry_point_hours} h from the first answer",
            }
        )


@app.command("check")
def check(*, as_json: AsJson = False) -> None:
    """Whether the price cards are sound, and whether Meta may have a newer one. Ends with 1 if something is to be done."""
    try:
        cards = read_cards()
    except CardError as error:
        problems = str(error).splitlines()
        doubts: list[str] = []
    else:
        problems = []
        doubts = _doubts(cards, _today())
    if as_json:
        print_json({"problems": problems, "to_look_at": doubts})
    else:
        for line in (*problems, *doubts):
            print_line(line)
        if not problems and not doubts:
            print_line("the price cards are sound")
    if problems or any(doubt.startswith("newer") for doubt in doubts):
        raise typer.Exit(1)


@app.command("set")
def set_prices(
    tenant: Annotated[UUID, typer.Argument(metavar="TENANT", help="Id of the firm.")],
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="COUNTRY.CATEGORY=PRICE...", help="As CL.service=15.50; CL.service= unsets it."
        ),
    ],
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give a firm prices of its own, in pesos: what it has agreed with Meta, or of a country that the cards do not have."""
    changes, problems = {}, []
    for pair in pairs:
        try:
            key, value = check_price(pair)
        except TermsError as error:
            problems.append(str(error))
        else:
            changes[key] = value
    if problems:
        raise FieldError("\n".join(problems))

    async def work(session: Session) -> None:
        identity = TenantId(str(tenant))
        await get_tenant(session.database, identity)
        if not dry_run:
            await change_settings(session.database, identity, changes)
            await session.publish()

    in_session(work)
    shown = {key.removeprefix(PRICE): value or "(unset)" for key, value in changes.items()}
    if as_json:
        print_json({"id": str(tenant), "prices": shown, "dry_run": dry_run})
    else:
        print_facts(shown)


def _doubts(cards: Cards, today: date) -> list[str]:
    doubts = []
    if (since := cards.is_due(today)) is not None:
        doubts.append(
            f"newer: Meta may have another price card since {since}; look, and add bot/billing/cards/{since}.toml"
        )
    card = cards.at(today)
    if card is not None:
        unsure = sorted(
            {
                f"{country} {category} {currency}"
                for (country, category, currency), rate in card.rates.items()
                if rate.certainty != "official"
            }
        )
        if unsure:
            doubts.append(
                f"unsure: {len(unsure)} prices of the card of {card.effective} are not from Meta's own file: {', '.join(unsure)}"
            )
    return doubts


def _cards() -> Cards:
    try:
        return read_cards()
    except CardError as error:
        raise FieldError(str(error)) from error


def _today() -> date:
    return datetime.fromtimestamp(Clock().now_ms() / 1000, UTC).date()


def _day(text: str) -> date:
    if not text:
        return _today()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise FieldError("--day: write it as 2026-11-01") from error
