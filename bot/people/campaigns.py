"""Campaigns as PostgreSQL keeps them: whom they go to, and how far they have come."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from bot.store.database import Database
from flows.intents import FirmIntent
from flows.values.ids import CampaignId, ChannelId, ContactId, MessageId, TenantId
from handlers.events import Permission, Sender
from handlers.journal import CampaignStatus

_encode: Final = msgspec.json.Encoder().encode
_intent: Final[msgspec.json.Decoder[FirmIntent]] = msgspec.json.Decoder(FirmIntent)


class CampaignRow(Struct, frozen=True):
    """A campaign, as the journal told last."""

    id: CampaignId
    title: str
    channel: ChannelId
    size: int
    per_minute: int
    accepted_at: datetime
    status: CampaignStatus
    released: int
    waits_for: str
    changed_at: datetime


class Addressee(Struct, frozen=True):
    """One recipient of a campaign, and what they are to be told."""

    message: MessageId
    intent: FirmIntent
    sender: Sender
    contact: ContactId | None = None
    permission: Permission | None = None


async def add_campaign(
    database: Database,
    tenant: TenantId,
    *,
    id: CampaignId,
    title: str,
    channel: ChannelId,
    per_minute: int,
    accepted_at: datetime,
    recipients: Sequence[Addressee],
) -> None:
    """Keep a campaign, all of it or nothing; again changes nothing."""
    async with database.tenant(tenant) as connection:
        await connection.execute(
            """
            INSERT INTO smarterbot.campaigns
              (tenant_id, id, title, channel_id, per_minute, size, accepted_at, changed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT DO NOTHING
            """,
            *(tenant, id, title, channel, per_minute, len(recipients), accepted_at),
        )
        await connection.execute(
            """
            INSERT INTO smarterbot.campaign_recipients
              (tenant_id, campaign_id, n, message_id, contact_id, phone, bsuid, message, purpose, evidence)
            SELECT $1, $2, * FROM unnest(
              $3::integer[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::jsonb[], $9::text[], $10::text[]
            ) ON CONFLICT DO NOTHING
            """,
            *(tenant, id, range(len(recipients)), [r.message for r in recipients]),
            *([r.contact for r in recipients], [r.sender.wa_id for r in recipients]),
            *(
                [r.sender.bsuid for r in recipients],
                [_encode(r.intent).decode() for r in recipients],
            ),
            *(
                [r.permission.purpose if r.permission else "" for r in recipients],
                [r.permission.evidence if r.permission else "" for r in recipients],
            ),
        )


async def get_campaign(
    database: Database, tenant: TenantId, campaign: CampaignId
) -> CampaignRow | None:
    """One campaign; None if the tenant has none with this id."""
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM smarterbot.campaigns WHERE tenant_id = $1 AND id = $2", tenant, campaign
        )
    if row is None:
        return None
    return CampaignRow(
        id=CampaignId(str(row["id"])),
        title=row["title"],
        channel=ChannelId(str(row["channel_id"])),
        size=row["size"],
        per_minute=row["per_minute"],
        accepted_at=row["accepted_at"],
        status=row["status"],
        released=row["released"],
        waits_for=row["waits_for"],
        changed_at=row["changed_at"],
    )


async def read_recipients(
    database: Database, tenant: TenantId, campaign: CampaignId, *, start: int, most: int
) -> list[Addressee]:
    """Recipients from the place `start` on, in order."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT * FROM smarterbot.campaign_recipients
            WHERE tenant_id = $1 AND campaign_id = $2 AND n >= $3 ORDER BY n LIMIT $4
            """,
            *(tenant, campaign, start, most),
        )
    return [_addressee(row) for row in rows]


async def read_message_ids(
    database: Database, tenant: TenantId, campaign: CampaignId, *, start: int = 0, most: int
) -> list[MessageId]:
    """The ids of a campaign's messages, in the order of its recipients."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT message_id FROM smarterbot.campaign_recipients
            WHERE tenant_id = $1 AND campaign_id = $2 AND n >= $3 ORDER BY n LIMIT $4
            """,
            *(tenant, campaign, start, most),
        )
    return [MessageId(row["message_id"]) for row in rows]


async def place_of(
    database: Database, tenant: TenantId, message: MessageId
) -> tuple[CampaignId, int] | None:
    """The campaign that a message belongs to, and its place in it; None if it was sent by itself."""
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow(
            """
            SELECT campaign_id, n FROM smarterbot.campaign_recipients
            WHERE tenant_id = $1 AND message_id = $2
            """,
            *(tenant, message),
        )
    return None if row is None else (CampaignId(str(row["campaign_id"])), row["n"])


async def forget_recipients(database: Database, tenant: TenantId, *, ended_before: datetime) -> int:
    """Blank whom ended campaigns went to and what they were told; answers of how many recipients.

    What became of each message stays, under its id.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.execute(
            """
            UPDATE smarterbot.campaign_recipients AS recipient
            SET phone = '', bsuid = '', contact_id = NULL, message = '{}', evidence = ''
            FROM smarterbot.campaigns AS campaign
            WHERE campaign.tenant_id = $1 AND campaign.status IN ('done', 'cancelled') AND campaign.changed_at <= $2
              AND recipient.tenant_id = $1 AND recipient.campaign_id = campaign.id AND recipient.message <> '{}'
            """,
            *(tenant, ended_before),
        )
    return int(done.rpartition(" ")[2])


def _addressee(row: asyncpg.Record) -> Addressee:
    contact: UUID | None = row["contact_id"]
    return Addressee(
        message=MessageId(row["message_id"]),
        intent=_intent.decode(row["message"]),
        sender=Sender(wa_id=row["phone"], bsuid=row["bsuid"]),
        contact=None if contact is None else ContactId(str(contact)),
        permission=Permission(row["purpose"], row["evidence"]) if row["purpose"] else None,
    )
