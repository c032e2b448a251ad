"""What became of messages that a firm's own system asked for, from the journal's tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from bot.store.database import Database
from flows.values.ids import ChannelId, ContactId, MessageId, TenantId
from handlers.whatsapp.faults import fault_of

FateStatus = Literal[
    "accepted", "waiting", "parked", "sent", "delivered", "read", "failed", "refused", "expired"
]

# Said by us before anything was sent. Whatever else keeps a message back counts as failed.
REFUSALS: Final = frozenset(
    (
        *("opted_out", "no_consent", "template_unusable", "budget_spent"),
        *("contact_cap", "unknown_contact", "too_many_parked"),
        *("no_offers_now", "unreachable", "declined", "moved"),
    )
)


class Fate(Struct, frozen=True):
    """One message."""

    id: MessageId
    status: FateStatus
    reason: str = ""
    form: str = ""
    contact: ContactId | None = None
    channel: ChannelId | None = None
    decided_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None


async def read_fates(
    database: Database, tenant: TenantId, ids: Sequence[MessageId]
) -> list[Fate | None]:
    """The fate of each message, in order; None: the journal has not told of it."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT asked.ref, message.ref IS NOT NULL AS decided, message.kind, message.at,
              message.parked_until IS NOT NULL AS parked,
              message.wamid, talk.channel_id, talk.contact_id, refused.faults, refused.codes, refused.ats,
              seen.statuses, seen.moments, seen.numbers
            FROM unnest($2::text[]) WITH ORDINALITY AS asked (ref, place)
            LEFT JOIN smarterbot.messages message ON message.tenant_id = $1 AND message.ref = asked.ref
            LEFT JOIN smarterbot.conversations talk ON talk.tenant_id = $1 AND talk.id = message.conversation_id
            LEFT JOIN LATERAL (
              SELECT array_agg(fault ORDER BY at, fault) AS faults, array_agg(code ORDER BY at, fault) AS codes,
                array_agg(at ORDER BY at, fault) AS ats
              FROM smarterbot.refusals WHERE tenant_id = $1 AND refusals.ref = asked.ref
            ) AS refused ON true
            LEFT JOIN LATERAL (
              SELECT array_agg(status) AS statuses, array_agg(at) AS moments, array_agg(code) AS numbers
              FROM smarterbot.message_statuses WHERE tenant_id = $1 AND message_statuses.wamid = message.wamid
            ) AS seen ON true
            ORDER BY asked.place
            """,
            *(tenant, list(ids)),
        )
    return [_fate(row) for row in rows]


def _fate(row: asyncpg.Record) -> Fate | None:
    if not row["decided"] and not row["faults"]:
        return None
    seen = dict(zip(row["statuses"] or (), row["moments"] or (), strict=True))
    codes = dict(zip(row["statuses"] or (), row["numbers"] or (), strict=True))
    status, reason = _status(row, seen, codes)
    failed_at = seen.get("failed")
    if failed_at is None and status in ("failed", "refused", "expired"):
        failed_at = (row["ats"] or [None])[-1]
    return Fate(
        id=MessageId(row["ref"]),
        status=status,
        reason=reason,
        form=row["kind"] or "",
        contact=None if row["contact_id"] is None else ContactId(str(row["contact_id"])),
        channel=None if row["channel_id"] is None else ChannelId(str(row["channel_id"])),
        decided_at=row["at"],
        sent_at=seen.get("sent"),
        delivered_at=seen.get("delivered"),
        read_at=seen.get("read"),
        failed_at=failed_at,
    )


def _status(
    row: asyncpg.Record, seen: dict[str, datetime], codes: dict[str, int]
) -> tuple[FateStatus, str]:
    if "failed" in seen:
        return "failed", fault_of(codes["failed"]).name
    if "read" in seen or "played" in seen:
        return "read", ""
    if "delivered" in seen:
        return "delivered", ""
    if "sent" in seen or row["wamid"] is not None:
        return "sent", ""
    faults = list(zip(row["faults"] or (), row["codes"] or (), strict=True))
    # A closed window is no end: what found it closed waits for the person.
    ended = [(fault, code) for fault, code in faults if fault != "window_closed"]
    if ended:
        fault, code = ended[-1]
        if fault == "expired":
            return "expired", ""
        return ("refused" if code == 0 and fault in REFUSALS else "failed"), fault
    if row["parked"] or faults:
        return "parked", ""
    return "waiting", ""
