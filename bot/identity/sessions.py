"""Sessions: families of refresh tokens, of which only the newest opens anything.

A refresh token is a person, a session, its number in the session and 256 bits; we keep a keyed hash of the newest. Each use
makes the next one out of it, under our key: asked again within seconds (two tabs, a lost answer), we answer the same one
again, and still keep no token. An older one that we did make means that somebody has a copy: the session ends.
"""

import base64
import binascii
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from bot.identity.errors import DisabledError, SessionError
from bot.identity.people import Role, act_as, role_in
from bot.identity.secrets import MAC_BYTES, Macs
from bot.store.database import Connection
from flows.values.ids import TenantId, Ugid

GRACE: Final = timedelta(seconds=15)
"""A token that was used may come once more for so long: the answer was lost, or two asked at once."""
IDLE: Final = timedelta(days=30)
"""A session that is not refreshed for so long is over."""
AGENT_MAX: Final = 200
SESSIONS_MAX: Final = 20
"""Of one person at a time; the one that was used the longest ago makes room."""

_GENERATION_BYTES: Final = 4
_SECRET_BYTES: Final = 32
_TAG_BYTES: Final = 16
_TOLD: Final = 16 + 16 + _GENERATION_BYTES
_SIZE: Final = _TOLD + _SECRET_BYTES + _TAG_BYTES

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token, read: we made it. Whether it is the newest, only the session knows."""

    ugid: Ugid
    session: str
    generation: int
    secret: bytes

    @property
    def body(self) -> bytes:
        """All of it but our tag. Kept, compared and followed up by this: one token may be written in several ways."""
        return (
            UUID(self.ugid).bytes
            + UUID(self.session).bytes
            + self.generation.to_bytes(_GENERATION_BYTES)
            + self.secret
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that was begun or refreshed just now."""

    ugid: Ugid
    session: str
    refresh_token: str
    method: str
    since: datetime
    """When the person proved who they are."""
    tenant: TenantId | None
    role: Role | None


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as its person sees it."""

    id: str
    agent: str
    method: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    tenant: TenantId | None


class Sessions:
    """Everything is done on a connection in a transaction of the caller's."""

    def __init__(self, macs: Macs) -> None:
        self._macs = macs

    async def begin(
        self,
        connection: Connection,
        ugid: Ugid,
        *,
        at: datetime,
        method: str,
        agent: str,
        tenant: TenantId | None,
    ) -> Opened:
        """A new session of a person who has proved who they are.

        Args:
            at: now.
            agent: what the browser or application calls itself.
            tenant: the firm they logged in at; it stands in the tokens if they belong to it.
        """
        await act_as(connection, ugid)
        role = None if tenant is None else await role_in(connection, ugid, tenant)
        first = Refresh(ugid, str(uuid4()), 1, secrets.token_bytes(_SECRET_BYTES))
        await connection.execute(
            """
            INSERT INTO smarterbot.sessions (
              ugid, id, acts_for, method, agent, token_hash, created_at, refreshed_at, expires_at
            ) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
            """,
            ugid,
            first.session,
            None if role is None else tenant,
            method,
            agent[:AGENT_MAX],
            self._hash(first),
            at,
            at + IDLE,
        )
        await connection.execute(
            """
            UPDATE smarterbot.sessions SET revoked_at = $2, why = 'too_many'
            WHERE ugid = $1 AND id IN (
              SELECT id FROM smarterbot.sessions WHERE ugid = $1 AND revoked_at IS NULL
              ORDER BY refreshed_at DESC, id OFFSET $3
            )
            """,
            ugid,
            at,
            SESSIONS_MAX,
        )
        return Opened(
            ugid,
            first.session,
            self._token(first),
            method,
            at,
            None if role is None else tenant,
            role,
        )

    def read(self, token: str) -> Refresh:
        """What a refresh token is of.

        Raises:
            SessionError: we did not make it.
        """
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise SessionError("malformed") from error
        if len(data) != _SIZE:
            raise SessionError("malformed")
        body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
        if not self._macs.fits(tag, b"tag", body):
            raise SessionError("forged")
        return Refresh(
            ugid=Ugid(str(UUID(bytes=body[:16]))),
            session=str(UUID(bytes=body[16:32])),
            generation=int.from_bytes(body[32:_TOLD]),
            secret=body[_TOLD:],
        )

    async def refresh(
        self, connection: Connection, shown: Refresh, *, at: datetime
    ) -> Opened | None:
        """The next token of the session. None: the session has just been ended, because this one was used before.

        Args:
            shown: read from what the person's application sent.
            at: now.

        Raises:
            SessionError: the session is over.
            DisabledError: the person may not log in any more.
        """
        await act_as(connection, shown.ugid)
        row = await connection.fetchrow(
            "SELECT * FROM smarterbot.sessions WHERE ugid = $1 AND id = $2 FOR UPDATE",
            shown.ugid,
            shown.session,
        )
        if row is None or row["revoked_at"] is not None or at >= row["expires_at"]:
            raise SessionError("over")
        if await connection.fetchval(
            "SELECT disabled_at IS NOT NULL FROM smarterbot.user_auth WHERE ugid = $1", shown.ugid
        ):
            raise DisabledError("disabled")
        if self._is_hash(row["token_hash"], shown):
            after = self._successors(shown)[self._macs.current]
            await connection.execute(
                """
                UPDATE smarterbot.sessions
                SET generation = generation + 1, token_hash = $3, refreshed_at = $4, expires_at = $5
                WHERE ugid = $1 AND id = $2
                """,
                shown.ugid,
                shown.session,
                self._hash(after),
                at,
                at + IDLE,
            )
        else:
            # The one before the newest, if the newest is what comes after it.
            again = [
                one
                for one in self._successors(shown).values()
                if self._is_hash(row["token_hash"], one)
            ]
            if not again or abs(at - row["refreshed_at"]) > GRACE:
                await self.end(connection, shown.ugid, shown.session, why="reuse", at=at)
                log.warning("identity.refresh_token_reused", session=shown.session)
                return None
            after = again[0]
        tenant = None if row["acts_for"] is None else TenantId(str(row["acts_for"]))
        role = None if tenant is None else await role_in(connection, shown.ugid, tenant)
        return Opened(
            shown.ugid,
            shown.session,
            self._token(after),
            row["method"],
            row["created_at"],
            None if role is None else tenant,
            role,
        )

    async def switch(
        self,
        connection: Connection,
        ugid: Ugid,
        session: str,
        tenant: TenantId | None,
        *,
        at: datetime,
    ) -> Opened:
        """Act for another firm, or for none, from now on; `Opened.refresh_token` is empty: it stays the same.

        Raises:
            SessionError: the session is over, or the person does not belong to the firm.
        """
        await act_as(connection, ugid)
        role = None if tenant is None else await role_in(connection, ugid, tenant)
        if tenant is not None and role is None:
            raise SessionError("no_member")
        row = await connection.fetchrow(
            """
            UPDATE smarterbot.sessions SET acts_for = $3
            WHERE ugid = $1 AND id = $2 AND revoked_at IS NULL AND expires_at > $4
            RETURNING method, created_at
            """,
            ugid,
            session,
            tenant,
            at,
        )
        if row is None:
            raise SessionError("over")
        return Opened(ugid, session, "", row["method"], row["created_at"], tenant, role)

    async def is_open(
        self, connection: Connection, ugid: Ugid, session: str, *, at: datetime
    ) -> bool:
        await act_as(connection, ugid)
        found = await connection.fetchval(
            """
            SELECT true FROM smarterbot.sessions
            WHERE ugid = $1 AND id = $2 AND revoked_at IS NULL AND expires_at > $3
            """,
            ugid,
            session,
            at,
        )
        return bool(found)

    async def end(
        self, connection: Connection, ugid: Ugid, session: str, *, why: str, at: datetime
    ) -> bool:
        """End one session of a person; answers whether it was theirs and open."""
        await act_as(connection, ugid)
        done = await connection.fetchval(
            """
            UPDATE smarterbot.sessions SET revoked_at = $3, why = $4
            WHERE ugid = $1 AND id = $2 AND revoked_at IS NULL RETURNING true
            """,
            ugid,
            session,
            at,
            why,
        )
        return bool(done)

    def _token(self, refresh: Refresh) -> str:
        tag = self._macs.make(b"tag", refresh.body)[:_TAG_BYTES]
        return base64.urlsafe_b64encode(refresh.body + tag).decode().rstrip("=")

    def _successors(self, shown: Refresh) -> dict[str, Refresh]:
        """What comes after a token, by the key that makes it."""
        generation = (shown.generation + 1) % 2 ** (8 * _GENERATION_BYTES)
        return {
            key: Refresh(shown.ugid, shown.session, generation, secret)
            for key, secret in self._macs.all(b"next", shown.body).items()
        }

    def _hash(self, refresh: Refresh) -> bytes:
        return self._macs.make(b"kept", refresh.body)

    def _is_hash(self, kept: bytes, refresh: Refresh) -> bool:
        return len(kept) == MAC_BYTES and self._macs.fits(kept, b"kept", refresh.body)


async def list_sessions(
    connection: Connection, ugid: Ugid, *, at: datetime
) -> tuple[SessionView, ...]:
    """The open sessions of a person, the one used last first."""
    await act_as(connection, ugid)
    rows = await connection.fetch(
        """
        SELECT id, agent, method, created_at, refreshed_at, expires_at, acts_for FROM smarterbot.sessions
        WHERE ugid = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY refreshed_at DESC, id
        """,
        ugid,
        at,
    )
    return tuple(
        SessionView(
            id=str(row["id"]),
            agent=row["agent"],
            method=row["method"],
            created_at=row["created_at"],
            refreshed_at=row["refreshed_at"],
            expires_at=row["expires_at"],
            tenant=None if row["acts_for"] is None else TenantId(str(row["acts_for"])),
        )
        for row in rows
    )
