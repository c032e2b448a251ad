"""Clerk's users as people: who they are here, and what Clerk's word for them is worth.

A user of Clerk is the person whose UGID the user carries as external id, else the person who proved the same phone, else
a new one. Clerk's word gives addresses that nobody has, and takes none away: a phone that another person proved stays
theirs. When Clerk says it no more, what nobody else has vouched for since ends.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import asyncpg
import structlog

from bot.identity.errors import NoSigningKeyError
from bot.identity.keys import ACCESS_S
from bot.identity.people import IdentityKind, act_as, add_person, link, person_of, role_in, unlink
from bot.identity.secrets import MAC_BYTES
from bot.identity.sessions import AGENT_MAX
from bot.identity.tokens import Tokens
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE
from flows.values.ids import TenantId, Ugid
from handlers.clerk.codec import UserGone, UserSeen
from handlers.clerk.login import Entered, RefusedError, UnknownUserError
from handlers.clerk.people import PeopleDownError
from handlers.clerk.sessions import Session
from handlers.ports import Clock, Meter

KIND: Final = "clerk"
_SESSIONS: Final = UUID("5f0c2b8e-9d0a-4a56-8a38-0d6a0b6e6f5b")
"""Names our session of a session of Clerk's."""

log = structlog.get_logger()


class ClerkUsers:
    """Implements `handlers.clerk.people.ClerkPeople` and `handlers.clerk.login.Logins` for one instance of Clerk."""

    def __init__(
        self, database: Database, *, instance: str, tokens: Tokens, clock: Clock, meter: Meter
    ) -> None:
        self._database = database
        self._instance = instance
        self._tokens = tokens
        self._clock = clock
        self._meter = meter

    async def seen(self, user: UserSeen) -> Ugid | None:
        """See the port."""
        at = self._now()
        async with self._transaction() as connection:
            told = await connection.fetchrow(
                "SELECT * FROM smarterbot.clerk_user_told($1, $2, $3, false, $4)",
                self._instance,
                user.id,
                user.at,
                at,
            )
            if told is None:
                return None
            ugid = await self._person(connection, user, at)
            phones = await self._vouch(connection, ugid, "phone", user.phones, told["phones"], at)
            emails = await self._vouch(connection, ugid, "email", user.emails, told["emails"], at)
            await connection.execute(
                "SELECT smarterbot.clerk_user_is($1, $2, $3, $4, $5)",
                self._instance,
                user.id,
                ugid,
                phones,
                emails,
            )
            return ugid

    async def gone(self, user: UserGone) -> None:
        """See the port. The person stays, with what they proved elsewhere."""
        at = self._now()
        async with self._transaction() as connection:
            told = await connection.fetchrow(
                "SELECT * FROM smarterbot.clerk_user_told($1, $2, 0, true, $3)",
                self._instance,
                user.id,
                at,
            )
            if told is None or told["ugid"] is None:
                return
            ugid = Ugid(str(told["ugid"]))
            await unlink(connection, ugid, KIND, self._instance, user.id, at)
            await self._vouch(connection, ugid, "phone", (), told["phones"], at)
            await self._vouch(connection, ugid, "email", (), told["emails"], at)
            await connection.execute(
                "SELECT smarterbot.clerk_user_is($1, $2, $3, '{}', '{}')",
                self._instance,
                user.id,
                ugid,
            )

    async def known(self, user_id: str) -> Ugid | None:
        """See the port."""
        async with self._transaction() as connection:
            return await person_of(connection, KIND, self._instance, user_id)

    async def enter(self, session: Session, *, agent: str) -> Entered:
        """See `handlers.clerk.login.Logins`."""
        at = self._now()
        ours = str(uuid5(_SESSIONS, f"{self._instance}|{session.id}"))
        try:
            async with self._transaction() as connection:
                ugid = await person_of(connection, KIND, self._instance, session.user)
                if ugid is None:
                    raise UnknownUserError
                begun = await self._begin(connection, ugid, ours, at=at, agent=agent)
                if begun is None:
                    raise RefusedError
                acts_for = begun["acts_for"]
                tenant = None if acts_for is None else TenantId(str(acts_for))
                role = None if tenant is None else await role_in(connection, ugid, tenant)
            token = self._tokens.make(
                ugid, ours, method=KIND, since=begun["created_at"], tenant=tenant, role=role
            )
        except NoSigningKeyError as error:
            raise PeopleDownError("no key signs now") from error
        self._meter.count("login", KIND)
        return Entered(token, ACCESS_S, ugid)

    async def _begin(
        self, connection: Connection, ugid: Ugid, session: str, *, at: datetime, agent: str
    ) -> asyncpg.Record | None:
        """(created_at, acts_for) of the session; None: they may not log in, or have logged out here.

        The session has no refresh token: nobody has what its hash was made of.
        """
        await act_as(connection, ugid)
        may = await connection.fetchval(
            """
            UPDATE smarterbot.user_auth SET last_login_at = $2, last_method = $3
            WHERE ugid = $1 AND disabled_at IS NULL RETURNING true
            """,
            ugid,
            at,
            KIND,
        )
        if not may:
            return None
        return await connection.fetchrow(
            """
            INSERT INTO smarterbot.sessions AS known (
              ugid, id, method, agent, token_hash, created_at, refreshed_at, expires_at
            ) VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
            ON CONFLICT (ugid, id) DO UPDATE SET refreshed_at = $6, expires_at = $7
            WHERE known.revoked_at IS NULL RETURNING created_at, acts_for
            """,
            ugid,
            session,
            KIND,
            agent[:AGENT_MAX],
            secrets.token_bytes(MAC_BYTES),
            at,
            at + timedelta(seconds=ACCESS_S),
        )

    # -------------------------------------------------------------- who

    async def _person(self, connection: Connection, user: UserSeen, at: datetime) -> Ugid:
        if (known := await _holder(connection, KIND, self._instance, user.id)) is not None:
            return known
        ugid = await self._carried(connection, user.external_id)
        for phone in user.phones:
            # Held to the end of the transaction: two first words of one phone make one person.
            await _holder(connection, "phone", "", phone)
            ugid = ugid or await person_of(connection, "phone", "", phone)
        if ugid is None:
            ugid = await add_person(connection, at=at)
        await act_as(connection, ugid)
        await connection.execute(
            "INSERT INTO smarterbot.user_auth (ugid, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            ugid,
            at,
        )
        await link(connection, ugid, KIND, self._instance, user.id, at)
        return ugid

    async def _carried(self, connection: Connection, external_id: str) -> Ugid | None:
        """The person whose id the user carries: we wrote it there, or the firm, with its secret key."""
        try:
            ugid = Ugid(str(UUID(external_id)))
        except ValueError:
            return None
        await act_as(connection, ugid)
        alive = await connection.fetchval(
            "SELECT erased_at IS NULL FROM smarterbot.people WHERE ugid = $1", ugid
        )
        return ugid if alive else None

    # -------------------------------------------------------------- addresses

    async def _vouch(
        self,
        connection: Connection,
        ugid: Ugid,
        kind: IdentityKind,
        said: tuple[str, ...],
        before: list[str],
        at: datetime,
    ) -> list[str]:
        """Bring a person's addresses up to what Clerk says; answers those that are theirs by Clerk's word."""
        for value in sorted(set(before) - set(said)):
            if await _only_said(connection, ugid, kind, value):
                await unlink(connection, ugid, kind, "", value, at)
        vouched = [value for value in said if value in before]
        for value in sorted(set(said) - set(before)):
            holder = await _holder(connection, kind, "", value)
            if holder is None:
                await link(connection, ugid, kind, "", value, at)
                vouched.append(value)
            elif holder != ugid:
                self._meter.count("clerk_address_of_another", kind)
                log.warning("clerk.address_of_another", kind=kind, ugid=ugid)
        return vouched

    # -------------------------------------------------------------- the ground

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._database.system() as connection:
                yield connection
        except UNAVAILABLE as error:
            raise PeopleDownError("PostgreSQL cannot be asked now") from error


async def _holder(
    connection: Connection, kind: IdentityKind, scope: str, value: str
) -> Ugid | None:
    """Who has the address, proved or not; nobody else changes that before our transaction ends."""
    ugid = await connection.fetchval(
        "SELECT ugid FROM smarterbot.identity_person($1, $2, $3, true)", kind, scope, value
    )
    return None if ugid is None else Ugid(str(ugid))


async def _only_said(connection: Connection, ugid: Ugid, kind: str, value: str) -> bool:
    """Whether an address was proved no more since it was given: not by a code of ours, for one."""
    await act_as(connection, ugid)
    only: bool | None = await connection.fetchval(
        """
        SELECT verified_at = valid_from FROM smarterbot.identities
        WHERE ugid = $1 AND kind = $2 AND scope = '' AND value = $3 AND valid_to IS NULL
        """,
        ugid,
        kind,
        value,
    )
    return bool(only)
