"""What each system of a firm was told of each person, and what it is to be told now: read at the moment of telling.

A firm hears of those who belong to it, and of them what it needs: the phone and the e-mail that they proved, their role,
and the name that they gave the firm itself. Of what befalls them at another firm it hears nothing, not even that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import asyncpg

from bot.clock import Clock
from bot.identity.moments import moment
from bot.people.systems import open_system
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE
from bot.store.secrets import SecretBox
from flows.values.ids import TenantId, Ugid
from handlers.persons import (
    RecordsDownError,
    System,
    SystemKind,
    Telling,
    TellPerson,
    Told,
    What,
)

_STATES: Final = {What.PERSON: "told", What.REMOVED: "removed", What.ERASED: "erased"}


class PostgresTellings:
    """Implements `handlers.persons.Tellings`."""

    def __init__(self, database: Database, box: SecretBox, *, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock

    async def begin(self, kind: SystemKind, order: TellPerson, *, tries: int) -> Telling | None:
        """See the port."""
        tenant, ugid = order.tenant, order.ugid
        async with self._of(tenant, ugid) as connection:
            system = await open_system(connection, self._box, tenant, kind)
            # The version first: what is read after it is as new, or newer, and then it is told once more.
            person = await connection.fetchrow(
                "SELECT * FROM smarterbot.identity_versions(ARRAY[$1::uuid], $2)", ugid, tenant
            )
            known = await connection.fetchrow(
                """
                SELECT * FROM smarterbot.identity_deliveries
                WHERE tenant_id = $1 AND system = $2 AND ugid = $3 FOR UPDATE
                """,
                tenant,
                kind,
                ugid,
            )
            place = await connection.fetchrow(
                """
                SELECT role, created_at FROM smarterbot.memberships
                WHERE tenant_id = $1 AND ugid = $2 AND revoked_at IS NULL
                """,
                tenant,
                ugid,
            )
            if system is None or person is None:
                return None
            what = _what(person["erased_at"], belongs=place is not None)
            if not _is_news(what, known, person["version"], again=order.again):
                return None
            number = await self._note(connection, system, ugid, person["version"], what, tries)
            addresses: dict[str, str] = {}
            name = ""
            if what is What.PERSON:
                addresses = await _proved(connection, ugid)
                name = await _name_at(connection, tenant, addresses.get("phone", ""))
        phone = addresses.get("phone", "")
        return Telling(
            ugid=ugid,
            system=system,
            number=number,
            at=person["at"],
            is_first=known is None or known["told"] == 0,
            fields=frozenset(() if known is None else known["fields"]),
            foreign_id="" if known is None else known["foreign_id"],
            what=what,
            role=place["role"] if what is What.PERSON and place else "",
            since=place["created_at"] if what is What.PERSON and place else None,
            name=name,
            phone=f"+{phone}" if phone else "",
            email=addresses.get("email", ""),
        )

    async def told(self, telling: Telling, told: Told) -> None:
        """See the port."""
        system = telling.system
        async with self._of(system.tenant, telling.ugid) as connection:
            await connection.execute(
                """
                UPDATE smarterbot.identity_deliveries
                SET told = wanted, state = $5, fault = '', fields = $6, foreign_id = $7, at = $8
                WHERE tenant_id = $1 AND system = $2 AND ugid = $3 AND telling = $4
                """,
                system.tenant,
                system.kind,
                telling.ugid,
                telling.number,
                _STATES[telling.what],
                sorted(told.fields),
                told.foreign_id,
                moment(self._clock),
            )

    async def failed(self, telling: Telling, fault: str, *, for_good: bool) -> None:
        """See the port."""
        system = telling.system
        async with self._of(system.tenant, telling.ugid) as connection:
            await connection.execute(
                """
                UPDATE smarterbot.identity_deliveries SET state = $5, fault = $6, at = $7
                WHERE tenant_id = $1 AND system = $2 AND ugid = $3 AND telling = $4
                """,
                system.tenant,
                system.kind,
                telling.ugid,
                telling.number,
                "failed" if for_good else "waiting",
                fault,
                moment(self._clock),
            )

    async def stop(self, system: System) -> None:
        """See the port."""
        async with self._of(system.tenant) as connection:
            await connection.execute(
                """
                UPDATE smarterbot.systems SET stopped_at = $4
                WHERE tenant_id = $1 AND system = $2 AND address = $3 AND stopped_at IS NULL
                """,
                system.tenant,
                system.kind,
                system.address,
                moment(self._clock),
            )

    async def _note(
        self,
        connection: Connection,
        system: System,
        ugid: Ugid,
        version: int,
        what: What,
        tries: int,
    ) -> int:
        """It is under way; answers the number of the telling. The same news has the same number, however often it is tried."""
        number: int = await connection.fetchval(
            """
            INSERT INTO smarterbot.identity_deliveries AS known (tenant_id, system, ugid, wanted, state, tries, at)
            VALUES ($1, $2, $3, $4, 'waiting', $5, $6)
            ON CONFLICT (tenant_id, system, ugid) DO UPDATE
            SET wanted = $4, state = 'waiting', tries = $5, at = $6,
              telling = known.telling + (known.wanted <> $4 OR known.state NOT IN ('waiting', 'failed'))::integer
            RETURNING telling
            """,
            system.tenant,
            system.kind,
            ugid,
            version,
            tries,
            moment(self._clock),
        )
        return number

    @asynccontextmanager
    async def _of(self, tenant: TenantId, ugid: Ugid | None = None) -> AsyncIterator[Connection]:
        """A transaction that sees the rows of this firm, and of this person."""
        try:
            async with self._database.tenant(tenant) as connection:
                if ugid is not None:
                    await connection.execute("SELECT set_config('app.ugid', $1, true)", ugid)
                yield connection
        except (*UNAVAILABLE, asyncpg.SyntaxOrAccessError) as error:
            raise RecordsDownError(type(error).__name__) from error


def _what(erased_at: datetime | None, *, belongs: bool) -> What:
    if erased_at is not None:
        return What.ERASED
    return What.PERSON if belongs else What.REMOVED


def _is_news(what: What, known: asyncpg.Record | None, version: int, *, again: bool) -> bool:
    if what is not What.PERSON:
        # Whoever never heard of them has nothing to forget, and hears one time that they left.
        return known is not None and known["state"] not in ("erased", _STATES[what])
    return known is None or known["told"] < version or known["state"] == "removed" or again


async def _proved(connection: Connection, ugid: Ugid) -> dict[str, str]:
    """The phone and the e-mail that they proved; of several the newest."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (kind) kind, value FROM smarterbot.identities
        WHERE ugid = $1 AND kind IN ('phone', 'email') AND scope = '' AND valid_to IS NULL
          AND verified_at IS NOT NULL
        ORDER BY kind, verified_at DESC, value
        """,
        ugid,
    )
    return {row["kind"]: row["value"] for row in rows}


async def _name_at(connection: Connection, tenant: TenantId, phone: str) -> str:
    """What they are called at this very firm, if they have written to it."""
    name: str | None = await connection.fetchval(
        """
        SELECT name FROM smarterbot.contact_addresses AS address
        JOIN smarterbot.contacts AS contact ON (contact.tenant_id, contact.id) = (address.tenant_id, contact_id)
        WHERE address.tenant_id = $1 AND kind = 'phone' AND scope = '' AND value = $2 AND valid_to IS NULL
        """,
        tenant,
        phone,
    )
    return name or ""
