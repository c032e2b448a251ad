"""Tenants: the firms, as PostgreSQL keeps them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from bot.people.errors import TakenError, UnknownError
from bot.store.database import Connection, Database
from flows.dialog.ctx import Firm
from flows.values.ids import TenantId
from flows.values.rut import Rut

_decode_settings: Final = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Tenant:
    """A firm with what only its operator may see."""

    firm: Firm
    rut: Rut
    created_at: datetime


async def add_tenant(database: Database, firm: Firm, *, rut: Rut) -> None:
    """Register a firm under its own id.

    Raises:
        TakenError: another firm has this RUT.
    """
    async with database.tenant(firm.id) as connection:
        try:
            await insert_tenant(connection, firm, rut=rut)
        except asyncpg.UniqueViolationError as error:
            raise TakenError("rut", "another tenant is registered under it") from error


async def insert_tenant(connection: Connection, firm: Firm, *, rut: Rut) -> None:
    """As `add_tenant`, inside a transaction of this tenant.

    Raises:
        asyncpg.UniqueViolationError: another firm has this RUT, or there is one with this id; the transaction is over.
    """
    await connection.execute(
        """
        INSERT INTO smarterbot.tenants (id, name, rut, locale, zone, settings)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        firm.id,
        firm.name,
        str(rut),
        firm.locale,
        firm.zone,
        msgspec.json.encode(firm.settings).decode(),
    )


async def get_tenant(database: Database, tenant: TenantId) -> Tenant:
    """One firm.

    Raises:
        UnknownError: there is none with this id.
    """
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow("SELECT * FROM smarterbot.tenants WHERE id = $1", tenant)
    if row is None:
        raise UnknownError("there is no tenant with this id")
    return Tenant(firm=firm_of(row), rut=Rut(row["rut"]), created_at=row["created_at"])


async def list_firms(database: Database) -> list[Firm]:
    """All firms, by name."""
    async with database.system() as connection:
        rows = await connection.fetch("SELECT * FROM smarterbot.directory_tenants()")
    return [firm_of(row) for row in rows]


async def change_settings(
    database: Database, tenant: TenantId, changes: Mapping[str, str]
) -> Mapping[str, str]:
    """Set what `changes` names, unset what it names with an empty value; answers all settings after it.

    The values have been checked (`flows.customer.shop.check_setting`).

    Raises:
        UnknownError: there is no firm with this id.
    """
    async with database.tenant(tenant) as connection:
        after = await _write(connection, tenant, changes)
    if after is None:
        raise UnknownError("there is no tenant with this id")
    return after


async def revise_settings(
    database: Database, tenant: TenantId, revise: Callable[[Firm], Mapping[str, str]]
) -> None:
    """Change settings by what they are now; nobody else changes them meanwhile.

    Args:
        revise: gives the changes, as `change_settings` takes them.

    Raises:
        UnknownError: there is no firm with this id.
    """
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM smarterbot.tenants WHERE id = $1 FOR UPDATE", tenant
        )
        if row is None:
            raise UnknownError("there is no tenant with this id")
        if changes := revise(firm_of(row)):
            await _write(connection, tenant, changes)


async def _write(
    connection: Connection, tenant: TenantId, changes: Mapping[str, str]
) -> Mapping[str, str] | None:
    settings: str | None = await connection.fetchval(
        """
        UPDATE smarterbot.tenants SET settings = (settings || $2::jsonb) - $3::text[]
        WHERE id = $1 RETURNING settings
        """,
        tenant,
        msgspec.json.encode(changes).decode(),
        [key for key, value in changes.items() if not value],
    )
    return None if settings is None else _decode_settings(settings)


def firm_of(row: asyncpg.Record) -> Firm:
    """The firm in a row of `tenants`."""
    return Firm(
        id=TenantId(str(row["id"])),
        name=row["name"],
        locale=row["locale"],
        zone=row["zone"],
        settings=_decode_settings(row["settings"]),
    )
