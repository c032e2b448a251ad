"""A firm is opened in one transaction: tenant, owner, what was accepted, settings, what the marketplace gives it, its parts.

Its id is made of the conversation and the draft, under the installation's key: whoever opens the same draft again, opens
the same firm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import UUID

import asyncpg

from bot.identity import people
from bot.identity.links import Who
from bot.onboarding.parts import SYSTEMS, read_parts, tell_part
from bot.onboarding.setup import EMAIL
from bot.people.tenants import insert_tenant
from bot.store.database import Connection, Database
from bot.store.secrets import SecretBox
from flows.calls.signup import Claim, OpenFirm, Part, PartState
from flows.dialog.ctx import Firm
from flows.marketplace.applying import plan_template
from flows.marketplace.market import Market
from flows.onboarding.trade import Trade
from flows.values.ids import ConversationId, TenantId, Ugid
from flows.values.rut import Rut

ID_BYTES: Final = 16
A_DAY_MAX: Final = 5
"""Firms that one person opens in a day."""
RUT_TAKEN: Final = "tenants_rut_key"
"""Name of the constraint by which a RUT is one firm's."""


@dataclass(frozen=True, slots=True)
class OpenedFirm:
    """What a draft became."""

    tenant: TenantId
    owner: Ugid
    at: datetime
    """When it was opened."""
    waiting: tuple[Part, ...]
    """Parts that another system has yet to make."""


class TakenRutError(Exception):
    """Another firm has the RUT."""


class TooManyFirmsError(Exception):
    """They have opened enough today."""


class Firms:
    """Opens firms."""

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        market: Market,
        *,
        pepper: bytes,
        has: Callable[[Part], bool],
    ) -> None:
        """`has`: whether this platform has what makes a part."""
        self._database = database
        self._box = box
        self._market = market
        self._pepper = pepper
        self._has = has

    def id_of(self, conversation: ConversationId, draft: str) -> TenantId:
        """The id that a draft's firm has, or will have."""
        digest = blake2b(
            f"firm|{conversation}|{draft}".encode(), digest_size=ID_BYTES, key=self._pepper
        ).digest()
        return TenantId(str(UUID(bytes=digest, version=4)))

    async def claim(self, rut: Rut, who: Who) -> Claim:
        """Whose a RUT is, as far as whoever asks may know."""
        async with self._database.system() as connection:
            found = await connection.fetchval("SELECT smarterbot.tenant_of_rut($1)", str(rut))
            if found is None:
                return "free"
            ugid = await people.known_as(connection, who.phone, who.bsuid, who.scope)
            if ugid is None:
                return "taken"
            role = await people.role_in(connection, ugid, TenantId(str(found)))
        return "taken" if role in (None, "customer") else "mine"

    async def find(self, conversation: ConversationId, draft: str) -> OpenedFirm | None:
        """What a draft became, if it was opened."""
        tenant = self.id_of(conversation, draft)
        async with self._database.tenant(tenant) as connection:
            return await self._found(connection, tenant)

    async def open(
        self, call: OpenFirm, conversation: ConversationId, who: Who, *, locale: str, at: datetime
    ) -> OpenedFirm:
        """Open the firm, or find it opened.

        Raises:
            TakenRutError: its RUT is another firm's.
            TooManyFirmsError: it is one firm too many.
            bot.identity.errors.DisabledError: they may not do anything here.
        """
        tenant = self.id_of(conversation, call.draft)
        firm, states = self._made(call, tenant, locale)
        try:
            async with self._database.tenant(tenant) as connection:
                found = await self._found(connection, tenant)
                if found is not None:
                    return found
                ugid = await people.enter_by_chat(
                    connection, who.phone, who.bsuid, who.scope, at=at, locale=locale
                )
                await self._room(connection, tenant, ugid, at)
                await insert_tenant(connection, firm, rut=call.rut)
                await people.set_role(connection, ugid, tenant, "owner", at)
                await self._note(connection, tenant, call, ugid, at)
                for part, (state, reason) in states.items():
                    await tell_part(connection, tenant, part, state, reason, at=at)
                found = await self._found(connection, tenant)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == RUT_TAKEN:
                raise TakenRutError from error
            # This very draft, a moment before us, or somebody who came to be known meanwhile.
            found = await self.find(conversation, call.draft)
            if found is None:
                raise
        assert found is not None
        return found

    async def _room(
        self, connection: Connection, tenant: TenantId, ugid: Ugid, at: datetime
    ) -> None:
        """Whether they may open one more; until our transaction ends nobody else asks that for them."""
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"opens|{ugid}"
        )
        await people.act_as(connection, ugid)
        others: int = await connection.fetchval(
            """
            SELECT count(*) FROM smarterbot.signups
            WHERE opened_by = $1 AND opened_at > $2 AND tenant_id <> $3
            """,
            ugid,
            at - timedelta(days=1),
            tenant,
        )
        if others >= A_DAY_MAX:
            raise TooManyFirmsError

    def _made(
        self, call: OpenFirm, tenant: TenantId, locale: str
    ) -> tuple[Firm, Mapping[Part, tuple[PartState, str]]]:
        """The firm as it begins, and how far its parts are then."""
        settings = {"food": "yes"} if call.line == Trade.food else {}
        firm = Firm(tenant, call.name, locale=locale, settings=settings)
        template = self._market.templates.get(call.template)
        if template is not None:
            given = plan_template(call.template, template, firm).writes
            firm = replace(firm, settings={**settings, **given})
        states: dict[Part, tuple[PartState, str]] = {
            "account": ("done", ""),
            "template": ("done", "") if template is not None else ("failed", "unknown"),
            "demo": ("done", "") if self._has("demo") else ("not_connected", ""),
            "number": ("pending", "owner") if self._has("number") else ("not_connected", ""),
        }
        for part in SYSTEMS:
            states[part] = ("pending", "") if self._has(part) else ("not_connected", "")
        return firm, states

    async def _note(
        self, connection: Connection, tenant: TenantId, call: OpenFirm, ugid: Ugid, at: datetime
    ) -> None:
        email = self._box.seal(call.email, tenant=tenant, field=EMAIL) if call.email else ""
        await connection.execute(
            """
            INSERT INTO smarterbot.signups (tenant_id, line, comuna, template, email, opened_by, opened_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            tenant,
            call.line,
            call.comuna,
            call.template if call.template in self._market.templates else "",
            email,
            ugid,
            at,
        )
        for agreement in call.agreements:
            await connection.execute(
                """
                INSERT INTO smarterbot.agreements (tenant_id, document, version, accepted_by, proof, at)
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
                """,
                tenant,
                agreement.document,
                agreement.version,
                ugid,
                agreement.proof,
                at,
            )

    async def _found(self, connection: Connection, tenant: TenantId) -> OpenedFirm | None:
        row = await connection.fetchrow(
            "SELECT opened_by, opened_at FROM smarterbot.signups WHERE tenant_id = $1", tenant
        )
        if row is None:
            return None
        parts = await read_parts(connection, tenant)
        waiting = tuple(p.part for p in parts if p.state == "pending" and p.part in SYSTEMS)
        return OpenedFirm(tenant, Ugid(str(row["opened_by"])), row["opened_at"], waiting)
