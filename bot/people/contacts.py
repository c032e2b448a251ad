"""Contacts as PostgreSQL keeps them: how they can be reached."""

from collections.abc import Collection

from bot.store.database import Database
from flows.values.ids import ContactId, TenantId
from handlers.events import Sender
from handlers.ports import Channel


async def read_senders(
    database: Database, channel: Channel, contacts: Collection[ContactId]
) -> dict[ContactId, Sender]:
    """The addresses that reach these contacts of the channel's tenant on it; whoever has none is left out."""
    tenant: TenantId = channel.tenant
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT contact_id, kind, value FROM smarterbot.contact_addresses
            WHERE tenant_id = $1 AND contact_id = ANY($2::uuid[]) AND valid_to IS NULL AND (kind = 'phone' OR scope = $3)
            ORDER BY valid_from
            """,
            *(tenant, list(contacts), channel.portfolio_id or channel.waba_id),
        )
    found: dict[ContactId, dict[str, str]] = {}
    for row in rows:
        found.setdefault(ContactId(str(row["contact_id"])), {})[row["kind"]] = row["value"]
    return {
        contact: Sender(wa_id=values.get("phone", ""), bsuid=values.get("bsuid", ""))
        for contact, values in found.items()
    }
