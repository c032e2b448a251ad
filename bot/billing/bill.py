"""The bill of a firm's month: what the meter counted, at the prices of the cards, and where it leads to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bot.billing.cards import Card, Cards
from bot.billing.terms import HOME, Month, Terms
from bot.store.database import Database
from flows.values.ids import ChannelId, TenantId

DAY_S: Final = 86_400
SERVICE: Final = "service"
_FREE_TIER: Final = "free_customer_service"
_FREE_ENTRY: Final = "free_entry_point"


@dataclass(frozen=True, slots=True)
class Count:
    """So many messages of one kind on one day, by the meter."""

    channel: ChannelId
    """Empty if it is not known."""
    country: str
    category: str
    """Meta's word; empty if no price was told."""
    price_type: str
    """Meta's word; empty while it is our estimate."""
    arrived: bool
    """False: Meta has taken them, and they are on their way; they are not billed yet."""
    messages: int


@dataclass(slots=True)
class Line:
    """What one channel's messages of one category came to."""

    channel: ChannelId
    category: str
    billed: int = 0
    free: int = 0
    """Of the number's free messages of the month, or of a time in which they are free for all."""
    free_entry: int = 0
    """After an ad."""
    unpriced: int = 0
    """Billed by Meta, at a price that we do not know: not in `cost`."""
    under_way: int = 0
    """Not arrived yet: not among the others."""
    cost: Decimal = Decimal(0)
    """Of what arrived."""
    under_way_cost: Decimal = Decimal(0)

    @property
    def messages(self) -> int:
        """That arrived."""
        return self.billed + self.free + self.free_entry + self.unpriced


@dataclass(frozen=True, slots=True)
class Bill:
    """One firm's month. Amounts are exact."""

    month: Month
    lines: tuple[Line, ...] = ()
    """By channel and category."""
    free_left: Mapping[ChannelId, int] = field(default_factory=dict)
    """Of the number's free messages, for each channel; empty when all are free, or none."""
    free_used: Mapping[ChannelId, int] = field(default_factory=dict)

    @property
    def cost(self) -> Decimal:
        return sum((line.cost for line in self.lines), Decimal(0))

    @property
    def with_under_way(self) -> Decimal:
        """As if all that is on its way had arrived."""
        return sum((line.cost + line.under_way_cost for line in self.lines), Decimal(0))

    @property
    def unpriced(self) -> int:
        return sum(line.unpriced for line in self.lines)


async def count_month(database: Database, tenant: TenantId, month: Month) -> list[Count]:
    """What the meter has counted.

    Raises:
        bot.store.errors.UNAVAILABLE: PostgreSQL cannot be reached now.
    """
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT channel_id, country, category, price_type, arrived_at IS NOT NULL AS arrived, count(*) AS messages
            FROM smarterbot.message_fares
            WHERE tenant_id = $1 AND at >= $2 AND at < $3 AND (arrived_at IS NOT NULL OR NOT failed)
            GROUP BY 1, 2, 3, 4, 5
            """,
            tenant,
            month.begins,
            month.ends,
        )
    return [
        Count(
            channel=ChannelId(str(row["channel_id"] or "")),
            country=row["country"],
            category=row["category"],
            price_type=row["price_type"],
            arrived=row["arrived"],
            messages=row["messages"],
        )
        for row in rows
    ]


def reckon(
    counts: Iterable[Count],
    month: Month,
    *,
    cards: Cards,
    terms: Terms,
    channels: Iterable[ChannelId] = (),
) -> Bill:
    """The bill of what was counted in the month; `channels` are those whose free messages are of interest even if none was sent."""
    lines: dict[tuple[ChannelId, str], Line] = {}
    free_used: dict[ChannelId, int] = dict.fromkeys(channels, 0)
    card = cards.at(month.begins.date())  # one for all of it: cards change on the first of a month
    tier = card.rules.service_free_messages if card else 0

    # What Meta has told first: what we only estimate has the free messages that are left.
    for count in sorted(counts, key=lambda count: not count.price_type):
        key = (count.channel, count.category)
        line = lines.setdefault(key, Line(*key))
        free, free_entry = _free(count, card)
        if count.category == SERVICE and card is not None and not card.rules.service_is_free:
            used = free_used.setdefault(count.channel, 0)
            if not count.price_type:
                free = min(count.messages, max(0, tier - used))
            free_used[count.channel] = used + free
        billed = count.messages - free - free_entry
        rate = terms.rate(card, count.country or HOME, count.category)
        cost = billed * rate.amount if rate else Decimal(0)
        if not count.arrived:
            line.under_way += count.messages
            line.under_way_cost += cost
            continue
        line.free += free
        line.free_entry += free_entry
        if rate is None:
            line.unpriced += billed
        else:
            line.billed += billed
            line.cost += cost
    free_used.pop(ChannelId(""), None)
    return Bill(
        month=month,
        lines=tuple(lines[key] for key in sorted(lines)),
        free_left={channel: max(0, tier - used) for channel, used in free_used.items()}
        if tier
        else {},
        free_used=free_used if tier else {},
    )


def forecast(bill: Bill, now_ms: int, *, cards: Cards, terms: Terms) -> Decimal | None:
    """What the month comes to if it goes on as it went so far; None in its first day, and when it is over.

    Free messages are used up once, so replies are reckoned by their number and not by what they cost so far.
    """
    gone_s, whole_s = bill.month.passed(now_ms)
    if not DAY_S <= gone_s < whole_s:
        return None
    card = cards.at(bill.month.begins.date())
    home = terms.rate(card, HOME, SERVICE)
    comes_to = Decimal(0)
    for line in bill.lines:
        cost = line.cost + line.under_way_cost
        if line.category == SERVICE and line.channel in bill.free_left:
            tier = card.rules.service_free_messages if card else 0
            messages = Decimal((line.billed + line.free + line.under_way) * whole_s) / gone_s
            billed = max(Decimal(line.billed), messages - tier)
            each = line.cost / line.billed if line.billed else home.amount if home else Decimal(0)
            comes_to += billed * each
        else:
            comes_to += cost * whole_s / gone_s
    return comes_to


def _free(count: Count, card: Card | None) -> tuple[int, int]:
    """(free messages, those after an ad), as far as Meta has told or the card says of all."""
    if count.price_type == _FREE_ENTRY or count.category == "referral_conversion":
        return 0, count.messages
    if count.price_type == _FREE_TIER:
        return count.messages, 0
    if not count.price_type and card is not None and card.is_free(count.category, in_window=True):
        return count.messages, 0
    return 0, 0
