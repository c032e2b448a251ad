"""How far the parts of a firm are: rows that whoever carries one writes, and its owner and operator read."""

from datetime import datetime
from typing import Final, get_args

from bot.store.database import Connection
from flows.calls.signup import Part, PartState, SetUp
from flows.values.ids import TenantId

PARTS: Final[tuple[Part, ...]] = get_args(Part)
SYSTEMS: Final[tuple[Part, ...]] = ("chatwoot", "odoo", "n8n")
"""Parts that another system has to make."""


async def tell_part(
    connection: Connection,
    tenant: TenantId,
    part: Part,
    state: PartState,
    reason: str = "",
    *,
    at: datetime,
) -> None:
    """Write down how far a part is, inside a transaction of this tenant.

    Args:
        reason: one word of a closed vocabulary; nothing of a person.
        at: now.
    """
    await connection.execute(
        """
        INSERT INTO smarterbot.firm_parts AS known (tenant_id, part, state, reason, changed_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id, part) DO UPDATE SET state = $3, reason = $4, changed_at = $5
        WHERE (known.state, known.reason) IS DISTINCT FROM ($3, $4)
        """,
        tenant,
        part,
        state,
        reason,
        at,
    )


async def read_parts(connection: Connection, tenant: TenantId) -> tuple[SetUp, ...]:
    """All parts that are on record, in the order in which they are told; inside a transaction of this tenant."""
    rows = await connection.fetch(
        "SELECT part, state, reason FROM smarterbot.firm_parts WHERE tenant_id = $1", tenant
    )
    found = {row["part"]: SetUp(row["part"], row["state"], row["reason"]) for row in rows}
    return tuple(found[part] for part in PARTS if part in found)


async def state_in(
    connection: Connection, tenant: TenantId, part: Part, round_: int
) -> PartState | None:
    """How far a part is, and stays until the transaction of this tenant ends; None: that round of it is over."""
    state: PartState | None = await connection.fetchval(
        """
        SELECT state FROM smarterbot.firm_parts WHERE tenant_id = $1 AND part = $2 AND round = $3 FOR UPDATE
        """,
        tenant,
        part,
        round_,
    )
    return state


async def begin_again(
    connection: Connection, tenant: TenantId, part: Part, *, at: datetime
) -> int | None:
    """A part that failed is under way anew; answers its round. None: it has not failed.

    Inside a transaction of this tenant.
    """
    round_: int | None = await connection.fetchval(
        """
        UPDATE smarterbot.firm_parts SET state = 'pending', reason = '', round = round + 1, changed_at = $3
        WHERE tenant_id = $1 AND part = $2 AND state IN ('failed', 'not_connected') RETURNING round
        """,
        tenant,
        part,
        at,
    )
    return round_
