"""`smarterbot costs`: what the firms' messages came to, by channel, category and month."""

import csv
import re
import sys
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final
from uuid import UUID

import typer

from bot.billing.bill import Bill, Line, count_month, forecast, reckon
from bot.billing.cards import Cards, read_cards
from bot.billing.terms import CURRENCY, Month, Terms, terms_of
from bot.cli.output import AsJson, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.people.channels import list_channels
from bot.people.tenants import get_tenant, list_firms
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from flows.values.money import show_pesos
from handlers.ports import Channel

MONTHS_MAX: Final = 36
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Account:
    """One firm's month with what belongs to it."""

    firm: Firm
    terms: Terms
    bill: Bill
    channels: dict[ChannelId, Channel]
    comes_to: Decimal | None


def costs(
    *,
    tenant: Annotated[UUID | None, typer.Option(help="Id of one firm. Without it: all.")] = None,
    month: Annotated[
        str,
        typer.Option(help="Which month, as 2026-11. Without it: this one, in each firm's zone."),
    ] = "",
    months: Annotated[
        int, typer.Option(min=1, max=MONTHS_MAX, help="So many months, up to that one.")
    ] = 1,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Answer as CSV, one line a channel, category and month.")
    ] = False,
) -> None:
    """What Meta bills the firms, by the statuses of their messages: by channel, category and month.

    Amounts are in pesos, at the prices of `smarterbot prices show`: the bill is Meta's.
    """
    if as_json and as_csv:
        raise FieldError("--json, --csv: choose one of them")
    asked = _month(month)
    now_ms = Clock().now_ms()
    cards = read_cards()

    async def work(session: Session) -> list[Account]:
        firms = (
            [(await get_tenant(session.database, TenantId(str(tenant)))).firm]
            if tenant
            else await list_firms(session.database)
        )
        numbers = [sealed.channel for sealed in await list_channels(session.database)]
        accounts = []
        for firm in firms:
            own = {number.id: number for number in numbers if number.tenant == firm.id}
            for each in _months(asked, months, firm.zone, now_ms):
                accounts.append(await _account(session, firm, each, own, cards, now_ms))  # noqa: PERF401 - read in order
        return accounts

    accounts = in_session(work)
    if as_json:
        print_json([_for_programs(account) for account in accounts])
    elif as_csv:
        _write_csv(accounts)
    else:
        _write_tables(accounts, cards, now_ms)


async def _account(
    session: Session,
    firm: Firm,
    month: Month,
    channels: dict[ChannelId, Channel],
    cards: Cards,
    now_ms: int,
) -> Account:
    terms = terms_of(firm.settings)
    counts = await count_month(session.database, firm.id, month)
    bill = reckon(counts, month, cards=cards, terms=terms, channels=channels)
    comes_to = forecast(bill, now_ms, cards=cards, terms=terms)
    return Account(firm, terms, bill, channels, comes_to)


# ------------------------------------------------------------------ for programs


def _for_programs(account: Account) -> dict[str, object]:
    bill, terms = account.bill, account.terms
    return {
        "tenant": account.firm.id,
        "month": bill.month.name,
        "currency": CURRENCY,
        "cost": str(bill.cost),
        "cost_with_under_way": str(bill.with_under_way),
        "forecast": None if account.comes_to is None else str(_cents(account.comes_to)),
        "unpriced": bill.unpriced,
        "budget": terms.budget,
        "budget_reserve_percent": terms.reserve,
        "free_left": dict(bill.free_left),
        "lines": [
            {
                "channel": line.channel or None,
                "category": line.category or None,
                "messages": line.messages,
                "billed": line.billed,
                "free": line.free,
                "free_entry": line.free_entry,
                "unpriced": line.unpriced,
                "under_way": line.under_way,
                "cost": str(line.cost),
            }
            for line in bill.lines
        ],
    }


_COLUMNS: Final = (
    *("tenant", "month", "channel", "category", "messages", "billed", "free", "free_entry"),
    *("unpriced", "under_way", "cost", "currency"),
)


def _write_csv(accounts: list[Account]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for account in accounts:
        for line in account.bill.lines:
            rows.writerow(
                (
                    *(account.firm.id, account.bill.month.name, line.channel, line.category),
                    *(line.messages, line.billed, line.free, line.free_entry, line.unpriced),
                    *(line.under_way, str(line.cost), CURRENCY),
                )
            )


# ------------------------------------------------------------------ for people


def _write_tables(accounts: list[Account], cards: Cards, now_ms: int) -> None:
    if not accounts:
        print_line("no tenants yet: smarterbot tenant add --name … --rut …")
    for place, account in enumerate(accounts):
        if place:
            print_line("")
        _write(account)
    months = [account.bill.month.begins.date() for account in accounts]
    if any(cards.at(month) is None for month in months):
        print_line("")
        print_line("of a month before the first price card nothing has a price")
    sure = {
        rate.certainty
        for month in months
        if (card := cards.at(month)) is not None
        for rate in card.rates.values()
    }
    if sure - {"official"} and any(account.bill.lines for account in accounts):
        print_line("")
        print_line(
            "prices that nobody has compared with Meta's are among these: smarterbot prices show"
        )
    if accounts and cards.is_due(Month.at(now_ms, accounts[0].firm.zone).begins.date()):
        print_line("Meta may have a newer price card: smarterbot prices check")


def _write(account: Account) -> None:
    bill, terms = account.bill, account.terms
    print_line(f"{account.firm.name}  {bill.month.name}  {account.firm.id}")
    if not bill.lines:
        print_line("  no messages were sent")
    else:
        print_table(
            ["number", "category", "billed", "free", "ad", "unpriced", "under way", "cost"],
            [_row(line, account.channels) for line in bill.lines],
            empty="",
        )
        print_line(f"total: {_pesos(bill.cost)}")
    if account.comes_to is not None and bill.lines:
        print_line(f"by the end of the month, if it goes on like this: {_pesos(account.comes_to)}")
    if terms.budget is not None:
        share = f", {_percent(bill.with_under_way, terms.budget)} used" if terms.budget else ""
        print_line(
            f"budget: {show_pesos(terms.budget)}{share}; {terms.reserve} % of it is kept for answers"
        )
    for channel, left in sorted(bill.free_left.items()):
        print_line(f"free messages left: {left:,} of {_name(channel, account.channels)}")
    if bill.unpriced:
        print_line(
            f"not in the total: {bill.unpriced:,} messages without a price; to give them one: "
            f"smarterbot prices set {account.firm.id} COUNTRY.CATEGORY=PRICE"
        )


def _row(line: Line, channels: dict[ChannelId, Channel]) -> tuple[str, ...]:
    counts = (line.billed, line.free, line.free_entry, line.unpriced, line.under_way)
    return (
        _name(line.channel, channels),
        line.category or "(not told)",
        *(f"{count:,}" for count in counts),
        _pesos(line.cost),
    )


def _name(channel: ChannelId, channels: dict[ChannelId, Channel]) -> str:
    known = channels.get(channel)
    return known.display_phone if known else channel or "(not known)"


def _pesos(amount: Decimal) -> str:
    return show_pesos(int(amount.to_integral_value(ROUND_HALF_UP)))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _percent(amount: Decimal, budget: int) -> str:
    return f"{int(amount * 100 / budget)} %"


# ------------------------------------------------------------------ months


def _month(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = _MONTH.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise FieldError("--month: write it as 2026-11")
    return int(found[1]), int(found[2])


def _months(asked: tuple[int, int] | None, months: int, zone: str, now_ms: int) -> list[Month]:
    """The last one first."""
    found = [Month.of(*asked, zone) if asked else Month.at(now_ms, zone)]
    while len(found) < months:
        found.append(found[-1].before())
    return found
