"""A firm's own number becomes a channel of it: the tickets of the page `/connect`, and what is written down of it.

    <address>/connect#<ticket>

The ticket stands behind the `#`, which no browser sends: no log and no Referer tells it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID, uuid4

import asyncpg
import msgspec

from bot.clock import Clock
from bot.engine.errands import Errands
from bot.identity.moments import moment
from bot.lanes import StoreLostError, Wire
from bot.onboarding.parts import tell_part
from bot.people.channels import open_token, seal_token, sealed_channel_of
from bot.people.directory import Directory, publish_directory
from bot.people.errors import PeopleError, TakenError
from bot.people.health import free_channel
from bot.people.registrations import PostgresPins, seal_pin
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, SealError
from bot.store.secrets import SecretBox
from flows.calls.signup import PartState
from flows.values.ids import ChannelId, TenantId, Ugid
from handlers.ports import Channel
from handlers.whatsapp.carebook import BookDownError
from handlers.whatsapp.connecting import KIND, STEPS, Connect, Failure, Step
from handlers.whatsapp.connecting import Connection as OnItsWay
from handlers.whatsapp.embedded_signup import Proved

PAGE: Final = "/connect"
LIFE_MS: Final = 24 * 3_600_000
DAY_MS: Final = 86_400_000
FIELD: Final = "connect"
MAY_CONNECT: Final = ("owner", "admin")
"""Roles."""
MENDED: Final = ("app_removed", "token", "permission", "number_setup")
"""Why a number is held, of what connecting it anew mends."""

State = Literal["pending", "done", "failed"]


class UsedError(PeopleError):
    """The ticket has connected a number, or is about to."""


# ------------------------------------------------------------------ tickets


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    ugid: Ugid
    id: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """Lets one person connect one number to one firm."""

    tenant: TenantId
    ugid: Ugid
    id: str
    """A UUID; becomes the connection's."""
    until_ms: int


class ConnectTickets:
    """Makes and opens tickets; sealed, so nobody else makes one, or changes whom it is for."""

    def __init__(self, box: SecretBox, *, address: str, able: bool, clock: Clock) -> None:
        """
        Args:
            address: of the server, as people's browsers reach it.
            able: whether this platform can connect numbers at all.
        """
        self._box = box
        self._address = address
        self.able = able
        self._clock = clock

    def connect_link(self, tenant: TenantId, ugid: Ugid) -> str:
        """The page on which this person connects a number of this firm, for 24 hours; empty: this platform cannot.

        Whoever is to get it must have been found to be the firm's owner or administrator; the page asks again.
        """
        if not self.able:
            return ""
        sealed = _Sealed(ugid, str(uuid4()), self._clock.now_ms() + LIFE_MS)
        told = self._box.seal(msgspec.json.encode(sealed).decode(), tenant=tenant, field=FIELD)
        return f"{self._address}{PAGE}#{UUID(tenant).hex}.{told}"

    def open(self, text: str) -> Ticket | None:
        """None: it is none of ours. Whether its time is over is the caller's question."""
        firm, _, sealed = text.partition(".")
        try:
            tenant = TenantId(str(UUID(hex=firm)))
            told = msgspec.json.decode(
                self._box.open(sealed, tenant=tenant, field=FIELD), type=_Sealed
            )
        except (ValueError, SealError, msgspec.MsgspecError):
            return None
        return Ticket(tenant, told.ugid, told.id, told.until_ms)


# ------------------------------------------------------------------ what is written down


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a ticket's connection is."""

    state: State
    step: Step
    reason: Failure | Literal[""]
    display_phone: str
    coexistence: bool


class Connections:
    """Implements `handlers.whatsapp.connecting.ConnectBook`, and answers the page."""

    def __init__(
        self,
        database: Database,
        wire: Wire,
        box: SecretBox,
        directory: Directory,
        errands: Errands,
        *,
        clock: Clock,
    ) -> None:
        self._database = database
        self._wire = wire
        self._box = box
        self._directory = directory
        self._errands = errands
        self._clock = clock
        self._pins = PostgresPins(database, box, clock)

    # -------------------------------------------------------------- for the page

    async def standing(self, ticket: Ticket) -> Standing | None:
        """None: the ticket has not been used."""
        async with self._database.tenant(ticket.tenant) as connection:
            row = await connection.fetchrow(
                """
                SELECT n.state, n.step, n.reason, n.coexistence, c.display_phone
                FROM smarterbot.number_connections n
                JOIN smarterbot.channels c ON (c.tenant_id, c.id) = (n.tenant_id, n.channel_id)
                WHERE n.tenant_id = $1 AND n.id = $2
                """,
                ticket.tenant,
                UUID(ticket.id),
            )
        if row is None:
            return None
        return Standing(
            row["state"], row["step"], row["reason"], row["display_phone"], row["coexistence"]
        )

    async def begin(self, ticket: Ticket, proved: Proved) -> None:
        """The number is the firm's, and the lane carries on: both, or nothing.

        Raises:
            UsedError: the ticket is used up.
            TakenError: another firm has the number.
            StoreDownError, bot.store.errors.UNAVAILABLE: nothing was changed.
        """
        async with self._database.tenant(ticket.tenant) as connection:
            channel = await self._put_channel(connection, ticket.tenant, proved)
            # Whoever comes second waits here for the first.
            attempt = await connection.fetchval(
                """
                INSERT INTO smarterbot.number_connections AS n (
                  tenant_id, id, ugid, channel_id, coexistence, step, state, begun_at, changed_at
                ) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7)
                ON CONFLICT (tenant_id, id) DO UPDATE SET channel_id = excluded.channel_id, state = 'pending', reason = '',
                  coexistence = excluded.coexistence, step = excluded.step, attempt = n.attempt + 1,
                  changed_at = excluded.changed_at
                WHERE n.state = 'failed' RETURNING attempt
                """,
                ticket.tenant,
                UUID(ticket.id),
                UUID(ticket.ugid),
                UUID(channel),
                proved.coexistence,
                STEPS[0],
                moment(self._clock),
            )
            if attempt is None:
                raise UsedError("the ticket is used up")
            await self._go_on(connection, ticket, channel, attempt)

    async def again(self, ticket: Ticket, *, pin: str) -> bool:
        """Try anew what has failed, from where it stopped; False: nothing has.

        Args:
            pin: the number's two-step PIN, if its owner knows it.

        Raises: as `begin`.
        """
        async with self._database.tenant(ticket.tenant) as connection:
            row = await connection.fetchrow(
                """
                UPDATE smarterbot.number_connections
                SET state = 'pending', reason = '', attempt = attempt + 1, changed_at = $3
                WHERE tenant_id = $1 AND id = $2 AND state = 'failed' RETURNING attempt, channel_id
                """,
                ticket.tenant,
                UUID(ticket.id),
                moment(self._clock),
            )
            if row is None:
                return False
            channel = ChannelId(str(row["channel_id"]))
            if pin:
                await connection.execute(
                    "UPDATE smarterbot.channels SET pin = $3 WHERE tenant_id = $1 AND id = $2",
                    ticket.tenant,
                    row["channel_id"],
                    seal_pin(self._box, channel, pin, tenant=ticket.tenant),
                )
            await self._go_on(connection, ticket, channel, row["attempt"])
        return True

    async def _put_channel(
        self, connection: Connection, tenant: TenantId, proved: Proved
    ) -> ChannelId:
        """The firm's channel of this number, with its new token."""
        known = await connection.fetchval(
            "SELECT id FROM smarterbot.channels WHERE tenant_id = $1 AND phone_number_id = $2 FOR UPDATE",
            tenant,
            proved.phone_number_id,
        )
        channel = ChannelId(str(known or uuid4()))
        token = seal_token(self._box, channel, proved.token, tenant=tenant)
        if known:
            await connection.execute(
                """
                UPDATE smarterbot.channels SET token = $3, waba_id = $4, display_phone = $5,
                  portfolio_id = coalesce(nullif($6, ''), portfolio_id)
                WHERE tenant_id = $1 AND id = $2
                """,
                tenant,
                known,
                token,
                proved.waba_id,
                proved.display_phone,
                proved.portfolio_id,
            )
            return channel
        try:
            await connection.execute(
                """
                INSERT INTO smarterbot.channels (
                  tenant_id, id, phone_number_id, waba_id, portfolio_id, display_phone, token
                ) VALUES ($1, $2, $3, $4, $5, $6, $7)
                """,
                tenant,
                UUID(channel),
                proved.phone_number_id,
                proved.waba_id,
                proved.portfolio_id,
                proved.display_phone,
                token,
            )
        except asyncpg.UniqueViolationError as error:
            raise TakenError("phone_number_id", "another tenant has this number") from error
        return channel

    async def _go_on(
        self, connection: Connection, ticket: Ticket, channel: ChannelId, attempt: int
    ) -> None:
        """The last words of a transaction: what carries on is durable before it is committed.

        If it is not committed after all, the lane finds nothing to carry, and lets go.
        """
        await tell_part(connection, ticket.tenant, "number", "pending", at=moment(self._clock))
        await self._errands.put(
            KIND,
            channel,
            msgspec.json.encode(Connect(ticket.tenant, ticket.id, attempt)),
            mark=f"{ticket.tenant}|{ticket.id}|{attempt}|{uuid4()}",
            day=self._clock.now_ms() // DAY_MS,
        )

    # -------------------------------------------------------------- for the lane

    async def find(self, tenant: TenantId, id: str) -> OnItsWay | None:
        with _down():
            async with self._database.tenant(tenant) as connection:
                row = await connection.fetchrow(
                    """
                    SELECT c.*, n.step, n.state, n.attempt, n.coexistence, n.changed_at
                    FROM smarterbot.number_connections n
                    JOIN smarterbot.channels c ON (c.tenant_id, c.id) = (n.tenant_id, n.channel_id)
                    WHERE n.tenant_id = $1 AND n.id = $2
                    """,
                    tenant,
                    UUID(id),
                )
        if row is None:
            return None
        sealed = sealed_channel_of(row)
        return OnItsWay(
            tenant=tenant,
            id=id,
            attempt=row["attempt"],
            step=row["step"],
            since=round(row["changed_at"].timestamp() * 1000),
            is_open=row["state"] == "pending",
            coexistence=row["coexistence"],
            channel=sealed.channel,
            token=open_token(self._box, sealed),
        )

    async def move(self, connection: OnItsWay, step: Step) -> None:
        with _down():
            async with self._database.tenant(connection.tenant) as database:
                await database.execute(
                    """
                    UPDATE smarterbot.number_connections SET step = $3, changed_at = $5
                    WHERE tenant_id = $1 AND id = $2 AND attempt = $4 AND state = 'pending'
                    """,
                    connection.tenant,
                    UUID(connection.id),
                    step,
                    connection.attempt,
                    moment(self._clock),
                )

    async def end(self, connection: OnItsWay, failure: Failure | None) -> None:
        at = moment(self._clock)
        with _down():
            async with self._database.tenant(connection.tenant) as database:
                ended = await database.fetchval(
                    """
                    UPDATE smarterbot.number_connections SET state = $3, reason = $4, changed_at = $6
                    WHERE tenant_id = $1 AND id = $2 AND attempt = $5 AND state = 'pending' RETURNING true
                    """,
                    connection.tenant,
                    UUID(connection.id),
                    "failed" if failure else "done",
                    failure or "",
                    connection.attempt,
                    at,
                )
                if ended:
                    state: PartState = "failed" if failure else "done"
                    reason = failure or ""
                    await tell_part(database, connection.tenant, "number", state, reason, at=at)

    async def free(self, channel: Channel) -> None:
        at = self._clock.now_ms()
        with _down():
            await free_channel(self._database, channel, *MENDED, at=at)

    async def publish(self) -> None:
        with _down():
            await publish_directory(self._database, self._wire, self._box)
            await self._directory.check()

    async def choose_pin(self, channel: Channel, new: str) -> str:
        with _down():
            return await self._pins.choose_pin(channel, new)

    async def read_pin(self, channel: Channel) -> str:
        with _down():
            return await self._pins.read_pin(channel)

    async def keep_pin(self, channel: Channel, pin: str) -> None:
        with _down():
            await self._pins.keep_pin(channel, pin)

    async def count_try(self, channel: Channel) -> int:
        with _down():
            return await self._pins.count_try(channel)


@contextlib.contextmanager
def _down() -> Iterator[None]:
    try:
        yield
    except (*UNAVAILABLE, TimeoutError, StoreLostError) as error:
        raise BookDownError(type(error).__name__) from error
