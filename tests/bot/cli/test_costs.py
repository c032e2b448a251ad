"""`smarterbot costs`, `prices` and `tenant budget`: what messages cost, for people and for programs."""

import asyncio
import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bot.billing.meter import fares_of, write_fares
from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.store.database import Database
from flows.values.ids import ChannelId, TenantId, Wamid
from handlers.journal import StatusSeen
from tests.bot.cli.conftest import Command

NOBODY = "00000000-0000-4000-8000-000000000000"
NOVEMBER_S = 1_795_186_800  # 20 November 2026


@pytest.fixture
def bakery(smarterbot: Command) -> str:
    """Id of a registered firm."""
    tenant: str = smarterbot(
        "tenant", "add", "--name", "Panadería Sol", "--rut", "76.543.210-3", "--json"
    ).json["id"]
    return tenant


@pytest.fixture
def number(smarterbot: Command, bakery: str) -> str:
    """Id of its number."""
    answer = smarterbot(
        *("channel", "add", "--tenant", bakery, "--phone-number-id", "1000", "--waba-id", "2000"),
        *("--display-phone", "+56 2 2345 6789", "--json"),
    )
    channel: str = answer.json["id"]
    return channel


class Meta:
    """Tells what it delivered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._n = 0

    def delivered(
        self,
        tenant: str,
        channel: str,
        messages: int,
        category: str,
        price_type: str = "regular",
        *,
        country: str = "CL",
        at_s: int = NOVEMBER_S,
    ) -> None:
        statuses = [
            StatusSeen(
                tenant=TenantId(tenant),
                wamid=Wamid(f"wamid.{self._n + n}"),
                status="delivered",
                at=at_s,
                category=category,
                price_type=price_type,
                channel=ChannelId(channel),
                country=country,
            )
            for n in range(messages)
        ]
        self._n += messages

        async def write() -> None:
            async with (
                Database.open(self._url) as database,
                database.tenant(TenantId(tenant)) as connection,
            ):
                await write_fares(connection, TenantId(tenant), fares_of([], statuses))

        asyncio.run(write())


@pytest.fixture
def meta(clean_postgres: PostgresUrls) -> Meta:
    return Meta(clean_postgres.app)


# ------------------------------------------------------------------ costs


def test_without_firms_it_says_how_to_begin(smarterbot: Command) -> None:
    answer = smarterbot("costs")

    assert answer.code == 0
    assert "smarterbot tenant add" in answer.out
    assert smarterbot("costs", "--json").json == []


def test_a_firm_that_has_sent_nothing_is_told_so(smarterbot: Command, number: str) -> None:
    answer = smarterbot("costs", "--month", "2026-11")

    assert answer.code == 0
    assert "Panadería Sol  2026-11" in answer.out
    assert "no messages were sent" in answer.out
    assert "free messages left: 1,000 of +56 2 2345 6789" in answer.out
    assert "total" not in answer.out


def test_a_month_is_told_by_number_and_category(
    smarterbot: Command, bakery: str, number: str, meta: Meta
) -> None:
    meta.delivered(bakery, number, 3, "utility")
    meta.delivered(bakery, number, 2, "marketing")
    meta.delivered(bakery, number, 7, "service", "free_customer_service")

    answer = smarterbot("costs", "--month", "2026-11")

    assert "total: $210" in answer.out  # 3 x 17.6584 + 2 x 78.4917 = 209.9586
    assert "free messages left: 993" in answer.out
    assert "that nobody has compared with Meta's" in answer.out


def test_programs_are_told_exact_amounts(
    smarterbot: Command, bakery: str, number: str, meta: Meta
) -> None:
    meta.delivered(bakery, number, 3, "utility")
    meta.delivered(bakery, number, 1, "utility", country="AR")

    [found] = smarterbot("costs", "--month", "2026-11", "--json").json

    assert (found["cost"], found["currency"], found["unpriced"]) == ("52.9752", "CLP", 1)
    assert found["lines"] == [
        {
            "channel": number,
            "category": "utility",
            "messages": 4,
            "billed": 3,
            "free": 0,
            "free_entry": 0,
            "unpriced": 1,
            "under_way": 0,
            "cost": "52.9752",
        }
    ]


def test_a_spreadsheet_is_given_a_line_for_each(
    smarterbot: Command, bakery: str, number: str, meta: Meta
) -> None:
    meta.delivered(bakery, number, 3, "utility")
    meta.delivered(bakery, number, 2, "marketing", at_s=NOVEMBER_S - 31 * 86_400)

    answer = smarterbot("costs", "--month", "2026-11", "--months", "2", "--csv")

    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [(row["month"], row["category"], row["cost"]) for row in rows] == [
        ("2026-11", "utility", "52.9752"),
        ("2026-10", "marketing", "156.9834"),
    ]


def test_a_spreadsheet_of_nothing_has_its_headings(smarterbot: Command, number: str) -> None:
    assert smarterbot("costs", "--csv").out.startswith("tenant,month,channel,category,")


def test_what_has_no_price_is_told_with_the_way_to_give_it_one(
    smarterbot: Command, bakery: str, number: str, meta: Meta
) -> None:
    meta.delivered(bakery, number, 4, "utility", country="AR")

    said = smarterbot("costs", "--month", "2026-11").out
    assert "not in the total: 4 messages without a price" in said
    assert f"smarterbot prices set {bakery}" in said

    assert smarterbot("prices", "set", bakery, "AR.utility=30").code == 0

    [found] = smarterbot("costs", "--month", "2026-11", "--json").json
    assert (found["cost"], found["unpriced"]) == ("120", 0)


def test_without_a_month_it_is_this_one_and_a_past_one_has_no_forecast(
    smarterbot: Command, number: str
) -> None:
    this = datetime.fromtimestamp(Clock().now_ms() / 1000, ZoneInfo("America/Santiago"))

    [found] = smarterbot("costs", "--json").json
    [past] = smarterbot("costs", "--month", "2026-08", "--json").json

    assert found["month"] == f"{this:%Y-%m}"
    assert past["forecast"] is None


def test_another_firms_costs_are_not_shown(
    smarterbot: Command, bakery: str, number: str, meta: Meta
) -> None:
    other = smarterbot("tenant", "add", "--name", "Otra", "--rut", "76.123.456-0", "--json").json[
        "id"
    ]
    meta.delivered(bakery, number, 3, "utility")

    [found] = smarterbot("costs", "--tenant", other, "--month", "2026-11", "--json").json

    assert (found["tenant"], found["lines"]) == (other, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--month", "november"), "--month: write it as 2026-11", id="no-month"),
        pytest.param(("--month", "2026-13"), "--month: write it as 2026-11", id="no-such-month"),
        pytest.param(("--json", "--csv"), "--json, --csv: choose one", id="two-forms"),
    ],
)
def test_what_is_wrong_is_said(smarterbot: Command, words: tuple[str, ...], said: str) -> None:
    answer = smarterbot("costs", *words)

    assert answer.code == 2
    assert said in answer.error


def test_a_firm_that_is_not_there(smarterbot: Command) -> None:
    answer = smarterbot("costs", "--tenant", NOBODY)

    assert (answer.code, answer.error) == (1, "error: there is no tenant with this id\n")


# ------------------------------------------------------------------ budget


def test_a_budget_is_set_changed_and_taken_away(smarterbot: Command, bakery: str) -> None:
    set_ = smarterbot(
        "tenant", "budget", bakery, "150000", "--reserve", "30", "--warn", "50", "--json"
    )
    assert set_.json == {
        "id": bakery,
        "budget": 150_000,
        "reserve_percent": 30,
        "warnings_percent": [50],
        "dry_run": False,
    }

    assert (
        smarterbot("tenant", "budget", bakery, "--reserve", "10", "--json").json["budget"]
        == 150_000
    )
    assert "$150.000" in smarterbot("tenant", "budget", bakery).out
    assert "nothing is limited" in smarterbot("tenant", "budget", bakery, "none").out


def test_a_rehearsal_sets_no_budget(smarterbot: Command, bakery: str) -> None:
    rehearsed = smarterbot("tenant", "budget", bakery, "5000", "--dry-run", "--json")

    assert rehearsed.json["budget"] == 5_000
    assert smarterbot("tenant", "budget", bakery, "--json").json["budget"] is None


def test_every_wrong_value_is_named(smarterbot: Command, bakery: str) -> None:
    answer = smarterbot("tenant", "budget", bakery, "lots", "--reserve", "101", "--warn", "0")

    assert answer.code == 2
    for name in ("PESOS: ", "--reserve: ", "--warn: "):
        assert name in answer.error


def test_how_much_of_the_budget_is_used(
    smarterbot: Command, bakery: str, number: str, meta: Meta
) -> None:
    smarterbot("tenant", "budget", bakery, "100")
    meta.delivered(bakery, number, 3, "utility")

    assert "budget: $100, 52 % used; 20 % of it is kept for answers" in (
        smarterbot("costs", "--month", "2026-11").out
    )


# ------------------------------------------------------------------ prices


def test_prices_are_shown_with_how_sure_they_are(storeless: Command) -> None:
    answer = storeless("prices", "show", "--day", "2026-11-01")

    assert "card of 2026-10-01" in answer.out
    assert "78.4917" in answer.out
    assert "unverified" in answer.out
    assert "the first 1,000 of each number" in answer.out


def test_before_the_first_card_there_are_none(storeless: Command) -> None:
    assert (
        "there is no card for 2025-01-01" in storeless("prices", "show", "--day", "2025-01-01").out
    )


def test_own_prices_are_shown_first(smarterbot: Command, bakery: str) -> None:
    smarterbot("prices", "set", bakery, "CL.service=15.5", "PE.utility=30")

    rows = smarterbot("prices", "show", "--tenant", bakery, "--json").json["prices"]

    assert rows[0] == {
        "country": "CL",
        "category": "service",
        "price": "15.5",
        "currency": "CLP",
        "certainty": "own",
    }
    smarterbot("prices", "set", bakery, "CL.service=", "PE.utility=")
    assert "own" not in smarterbot("prices", "show", "--tenant", bakery).out


def test_an_odd_price_is_refused(smarterbot: Command, bakery: str) -> None:
    answer = smarterbot("prices", "set", bakery, "CL.service=cheap", "Chile=3")

    assert answer.code == 2
    assert "'cheap' is no price" in answer.error
    assert "Chile=3: write it as CL.service=15.50" in answer.error


def test_the_check_says_which_prices_nobody_has_compared(storeless: Command) -> None:
    answer = storeless("prices", "check", "--json")

    assert answer.json["problems"] == []
    assert any("are not from Meta's own file" in doubt for doubt in answer.json["to_look_at"])
