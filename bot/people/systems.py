"""Systems of a firm's own (Odoo, Chatwoot, n8n) that hear of its people, as PostgreSQL keeps them. Their secrets are sealed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, get_args

import asyncpg
import msgspec
import structlog

from bot.people.errors import UnknownError
from bot.people.tenants import list_firms
from bot.store.database import Connection, Database
from bot.store.errors import SealError
from bot.store.secrets import SecretBox
from flows.values.ids import TenantId
from handlers.chatwoot import settings as chatwoot
from handlers.n8n import settings as n8n
from handlers.odoo import settings as odoo
from handlers.persons import System, SystemKind

SYSTEMS: Final[tuple[SystemKind, ...]] = get_args(SystemKind)

CHECKS: Final[Mapping[SystemKind, Callable[[Mapping[str, str], str], None]]] = MappingProxyType(
    {"odoo": odoo.check, "chatwoot": chatwoot.check, "n8n": n8n.check}
)
"""What a firm must give, by system: (options, secret). Each raises ValueError."""

log = structlog.get_logger()
_decode_options: Final = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class SystemView:
    """A system without its secret."""

    system: SystemKind
    address: str
    options: Mapping[str, str]
    changed_at: datetime
    stopped_at: datetime | None
    """It said that it wants to hear nothing more; set up anew, it hears again."""


async def set_system(database: Database, box: SecretBox, system: System, *, at: datetime) -> bool:
    """Set up a system of a firm, or change it; answers whether it is another one than before.

    Another address or account knows nothing of what the one before was told, so everything is to be told anew.

    Raises:
        UnknownError: there is no such firm.
    """
    async with database.tenant(system.tenant) as connection:
        before = await connection.fetchrow(
            """
            SELECT address, options FROM smarterbot.systems WHERE tenant_id = $1 AND system = $2 FOR UPDATE
            """,
            system.tenant,
            system.kind,
        )
        try:
            await connection.execute(
                """
                INSERT INTO smarterbot.systems (tenant_id, system, address, options, secret, changed_at)
                VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (tenant_id, system) DO UPDATE
                SET address = $3, options = $4, secret = $5, changed_at = $6, stopped_at = NULL
                """,
                system.tenant,
                system.kind,
                system.address,
                msgspec.json.encode(system.options).decode(),
                box.seal(system.secret, tenant=system.tenant, field=_field(system.kind)),
                at,
            )
        except asyncpg.ForeignKeyViolationError as error:
            raise UnknownError("there is no tenant with this id") from error
        is_other = before is not None and (
            (before["address"], _decode_options(before["options"]))
            != (system.address, dict(system.options))
        )
        if is_other:
            # The rows of erased people stay: what was told to the system before is gone there.
            await connection.execute(
                """
                UPDATE smarterbot.identity_deliveries
                SET told = 0, state = 'waiting', fields = '{}', foreign_id = '', fault = '', tries = 0
                WHERE tenant_id = $1 AND system = $2 AND state IN ('waiting', 'told', 'failed')
                """,
                system.tenant,
                system.kind,
            )
    return is_other


async def remove_system(database: Database, tenant: TenantId, kind: SystemKind) -> None:
    """A system hears nothing more.

    Raises:
        UnknownError: the firm has no such system.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.fetchval(
            "DELETE FROM smarterbot.systems WHERE tenant_id = $1 AND system = $2 RETURNING true",
            tenant,
            kind,
        )
    if not done:
        raise UnknownError("the tenant has no such system")


async def list_systems(database: Database, tenant: TenantId) -> list[SystemView]:
    """The systems of a firm, by name."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT system, address, options, changed_at, stopped_at FROM smarterbot.systems
            WHERE tenant_id = $1 ORDER BY system
            """,
            tenant,
        )
    return [
        SystemView(
            row["system"], row["address"], _decode_options(row["options"]),
            row["changed_at"], row["stopped_at"],
        )
        for row in rows
    ]  # fmt: skip


async def hearing_systems(connection: Connection, tenant: TenantId) -> tuple[SystemKind, ...]:
    """Which systems of a firm hear of people now; in a transaction that sees the firm's rows."""
    rows = await connection.fetch(
        """
        SELECT system FROM smarterbot.systems
        WHERE tenant_id = $1 AND stopped_at IS NULL ORDER BY system
        """,
        tenant,
    )
    return tuple(row["system"] for row in rows)


async def open_system(
    connection: Connection, box: SecretBox, tenant: TenantId, kind: SystemKind
) -> System | None:
    """A system that hears of people now, its secret opened; in a transaction that sees the firm's rows.

    A secret that does not open is an empty one: the system refuses it, and somebody mends it.
    """
    row = await connection.fetchrow(
        """
        SELECT address, options, secret FROM smarterbot.systems
        WHERE tenant_id = $1 AND system = $2 AND stopped_at IS NULL
        """,
        tenant,
        kind,
    )
    if row is None:
        return None
    try:
        secret = box.open(row["secret"], tenant=tenant, field=_field(kind))
    except SealError as error:
        log.error("system.secret_sealed", tenant=tenant, system=kind, error=str(error))
        secret = ""
    return System(tenant, kind, row["address"], _decode_options(row["options"]), secret)


async def reseal_systems(database: Database, box: SecretBox) -> int:
    """Seal every system's secret with the current key; answers how many were changed.

    Raises:
        SealError: one does not open with the keys we have; those before it are done.
    """
    changed = 0
    for firm in await list_firms(database):
        async with database.tenant(firm.id) as connection:
            rows = await connection.fetch(
                "SELECT system, secret FROM smarterbot.systems WHERE tenant_id = $1 FOR UPDATE",
                firm.id,
            )
            for row in rows:
                if box.is_current(row["secret"]):
                    continue
                secret = box.open(row["secret"], tenant=firm.id, field=_field(row["system"]))
                await connection.execute(
                    "UPDATE smarterbot.systems SET secret = $3 WHERE tenant_id = $1 AND system = $2",
                    firm.id,
                    row["system"],
                    box.seal(secret, tenant=firm.id, field=_field(row["system"])),
                )
                changed += 1
    return changed


def _field(kind: SystemKind) -> str:
    return f"systems.secret.{kind}"
