"""The meter: what each message costs, as Meta's statuses tell it.

A price comes with `sent` and again with `delivered` or `read`, late, twice or out of order; only what arrived is billed.
So a message has one fare, and what is told of it is joined: the greatest, the earliest. A join has no order and no
count, so nothing is billed twice, whoever writes it and however often. Source: Cloud API, "Pricing", `pricing` of
statuses.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from bot.store.database import Connection
from flows.values.ids import TenantId, Wamid
from handlers.journal import SentRecord, StatusSeen

UNTOLD: Final = -1
ESTIMATED: Final = 0
RANKS: Final = {"sent": 1, "delivered": 2, "read": 3, "played": 4, "failed": 5}
"""As `message_statuses.rank`."""
_ARRIVED: Final = frozenset(("delivered", "read", "played"))
_NEVER: Final = 1 << 62


class Fare(Struct, frozen=True):
    """What is known of one message's price. Times are ms since the epoch."""

    wamid: Wamid
    channel: str = ""
    country: str = ""
    price: tuple[int, str, str] = (UNTOLD, "", "")
    """How far the message was that told it (0: our estimate), Meta's category, Meta's type."""
    first_at: int = _NEVER
    arrived_at: int = _NEVER
    failed: bool = False

    def joined(self, other: "Fare") -> "Fare":
        """Both together. Commutative, associative, idempotent."""
        return Fare(
            wamid=self.wamid,
            channel=max(self.channel, other.channel),
            country=max(self.country, other.country),
            price=max(self.price, other.price),
            first_at=min(self.first_at, other.first_at),
            arrived_at=min(self.arrived_at, other.arrived_at),
            failed=self.failed or other.failed,
        )


def fares_of(sent: Iterable[SentRecord], statuses: Iterable[StatusSeen]) -> list[Fare]:
    """What these records tell, one fare a message, in the order of their ids."""
    fares: dict[Wamid, Fare] = {}
    for fare in (*map(_estimated, sent), *map(_told, statuses)):
        known = fares.get(fare.wamid)
        fares[fare.wamid] = fare if known is None else known.joined(fare)
    return [fares[wamid] for wamid in sorted(fares)]


async def write_fares(connection: Connection, tenant: TenantId, fares: Sequence[Fare]) -> None:
    """Join them with what is there, in the transaction that `connection` is in.

    Args:
        fares: each message once, in the order of their ids: two writers wait for each other in one order only.
    """
    if not fares:
        return
    rows = [
        (
            *(fare.wamid, fare.channel or None, fare.country, *fare.price),
            *(_moment(fare.first_at), _moment(fare.arrived_at), fare.failed),
        )
        for fare in fares
    ]
    await connection.execute(
        """
        INSERT INTO smarterbot.message_fares AS known
          (tenant_id, wamid, channel_id, country, told, category, price_type, first_at, arrived_at, failed)
        SELECT $1, * FROM unnest(
          $2::text[], $3::uuid[], $4::text[], $5::smallint[], $6::text[], $7::text[],
          $8::timestamptz[], $9::timestamptz[], $10::boolean[]
        )
        ON CONFLICT (tenant_id, wamid) DO UPDATE SET
          channel_id = greatest(known.channel_id, excluded.channel_id),
          country = greatest(known.country, excluded.country),
          told = greatest(known.told, excluded.told),
          category = CASE
            WHEN (known.told, known.category, known.price_type)
              < (excluded.told, excluded.category, excluded.price_type)
            THEN excluded.category ELSE known.category END,
          price_type = CASE
            WHEN (known.told, known.category, known.price_type)
              < (excluded.told, excluded.category, excluded.price_type)
            THEN excluded.price_type ELSE known.price_type END,
          first_at = least(known.first_at, excluded.first_at),
          arrived_at = least(known.arrived_at, excluded.arrived_at),
          failed = known.failed OR excluded.failed
        WHERE known.channel_id IS DISTINCT FROM greatest(known.channel_id, excluded.channel_id)
          OR known.country < excluded.country
          OR (known.told, known.category, known.price_type) < (excluded.told, excluded.category, excluded.price_type)
          OR known.first_at > excluded.first_at
          OR known.arrived_at IS DISTINCT FROM least(known.arrived_at, excluded.arrived_at)
          OR (excluded.failed AND NOT known.failed)
        """,
        tenant,
        *zip(*rows, strict=True),
    )


def _estimated(record: SentRecord) -> Fare:
    return Fare(
        record.wamid,
        channel=record.channel,
        country=record.country,
        price=(ESTIMATED, record.category, "") if record.category else (UNTOLD, "", ""),
        first_at=record.at,
    )


def _told(status: StatusSeen) -> Fare:
    at = status.at * 1000
    return Fare(
        status.wamid,
        channel=status.channel,
        country=status.country,
        price=(
            (RANKS[status.status], status.category, status.price_type)
            if status.category
            else (UNTOLD, "", "")
        ),
        first_at=at,
        arrived_at=at if status.status in _ARRIVED else _NEVER,
        failed=status.status == "failed",
    )


def _moment(ms: int) -> datetime | None:
    return None if ms == _NEVER else datetime.fromtimestamp(ms / 1000, UTC)
