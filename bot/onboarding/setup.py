"""Serves the lanes `setup/<…>`: one system of a new firm, until it is there or it is known why not.

A lane is one firm's at one system, so that one that is down holds up nothing else. Nothing is undone when one fails: a
firm without it works, and its owner and operator see what is missing. Only what belongs to the firm itself is all or
nothing, and that is one transaction (`bot/onboarding/firms.py`).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import asyncpg
import msgspec
import structlog
from msgspec import Struct

from bot.clock import Clock
from bot.identity.moments import moment
from bot.metrics import Metrics
from bot.onboarding.parts import state_in, tell_part
from bot.people.alerts import settle_kinds
from bot.people.tenants import get_tenant
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, SealError
from bot.store.secrets import SecretBox
from flows.calls.signup import Part, PartState
from flows.dialog.ctx import Firm
from flows.values.ids import TenantId
from flows.values.rut import Rut
from handlers.ports import Again, Alerts, Dead, Done, Errands, Item, Outcome, StoreDownError

KIND: Final = "setup"
WITHIN_S: Final = 60.0  # less than a lease lasts
TRIES_MAX: Final = 12
BACKOFF_MS: Final = 1_000
BACKOFF_MS_MAX: Final = 1_800_000
RECORDS_REST_MS: Final = 2_000
ALERT: Final = "set_up_failed"
"""The alert of a part that has failed; about which one it is."""

log = structlog.get_logger()


class SetUpFirm(Struct, frozen=True):
    """What an item of such a lane asks for. Ids only: what the system needs is read when it is asked."""

    tenant: TenantId
    part: Part
    round: int = 1


@dataclass(frozen=True, slots=True)
class NewFirm:
    """What a system is told of a firm."""

    firm: Firm
    rut: Rut
    email: str
    """The owner's; empty if they gave none."""
    template: str
    """Of the marketplace; empty if none."""


class SystemDownError(Exception):
    """It cannot be reached, or is busy: tried again later."""


class SystemRefusedError(Exception):
    """It says no, and would again. `why`: one word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SystemSetUp(Protocol):
    """Makes a firm known to one system."""

    async def set_up(self, new: NewFirm, *, key: str, is_ours: Callable[[], bool]) -> None:
        """Make whatever the firm needs there, unless it is there.

        Args:
            key: of the firm, the same each time: what was made under it is not made again.
            is_ours: asked in the last moment before anything leaves that cannot be repeated.

        Raises:
            SystemDownError, SystemRefusedError: it is not there now.
        """
        ...


class SetUps:
    """The handler of kind `setup`."""

    def __init__(
        self,
        systems: Mapping[Part, SystemSetUp],
        *,
        database: Database,
        box: SecretBox,
        errands: Errands,
        alerts: Alerts,
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float],
    ) -> None:
        """`systems`: those that this platform has. `jitter`: evenly spread in [0, 1)."""
        self._systems = systems
        self._database = database
        self._box = box
        self._errands = errands
        self._alerts = alerts
        self._clock = clock
        self._metrics = metrics
        self._jitter = jitter

    @property
    def kind(self) -> str:
        return KIND

    def has(self, part: Part) -> bool:
        """Whether this platform has such a system."""
        return part in self._systems

    async def begin(self, tenant: TenantId, part: Part, *, day: int) -> None:
        """Put a part of a new firm on its way, once.

        Args:
            day: on which it was opened, days since the epoch.

        Raises:
            StoreDownError: it may not be durable.
        """
        await put_set_up(self._errands, SetUpFirm(tenant, part), day=day)

    async def serve(self, item: Item) -> Outcome:
        try:
            order = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        try:
            async with self._database.tenant(order.tenant) as connection:
                state = await state_in(connection, order.tenant, order.part, order.round)
            if state == "done":
                await self._settle(order)
            if state != "pending":
                self._metrics.count(KIND, f"{order.part}_over")
                return Done()
            return await self._serve(order, item)
        except (StoreDownError, *UNAVAILABLE, asyncpg.PostgresError) as error:
            # It may have been set up, and is asked again under the same key.
            log.warning("setup.waits", item=item.id, error=type(error).__name__)
            return Again(RECORDS_REST_MS, "records_down", counts=False)

    async def _serve(self, order: SetUpFirm, item: Item) -> Outcome:
        system = self._systems.get(order.part)
        if system is None:
            return await self._end(order, "not_connected")
        if item.tries > TRIES_MAX:
            # The last try did not come to its end: it took the process with it.
            return await self._end(order, "failed", "down")
        try:
            new = await self._read(order.tenant)
        except SealError as error:
            return await self._later(order, item, error)
        try:
            async with asyncio.timeout(WITHIN_S):
                await system.set_up(new, key=order.tenant, is_ours=item.is_ours)
        except SystemRefusedError as error:
            return await self._end(order, "failed", error.why)
        except Exception as error:  # noqa: BLE001  also what the adapter did not foresee
            return await self._later(order, item, error)
        return await self._end(order, "done")

    async def _read(self, tenant: TenantId) -> NewFirm:
        found = await get_tenant(self._database, tenant)
        async with self._database.tenant(tenant) as connection:
            row = await connection.fetchrow(
                "SELECT email, template FROM smarterbot.signups WHERE tenant_id = $1", tenant
            )
        sealed = row["email"] if row else ""
        email = self._box.open(sealed, tenant=tenant, field=EMAIL) if sealed else ""
        return NewFirm(found.firm, found.rut, email, row["template"] if row else "")

    async def _later(self, order: SetUpFirm, item: Item, error: Exception) -> Outcome:
        if item.tries >= TRIES_MAX:
            return await self._end(order, "failed", "down")
        await self._tell(order, "pending", "down")
        wait_ms = min(BACKOFF_MS << 2 * min(item.tries - 1, 10), BACKOFF_MS_MAX)
        self._metrics.count(KIND, f"{order.part}_down")
        log.info("setup.again", part=order.part, tries=item.tries, error=type(error).__name__)
        return Again(wait_ms + int(wait_ms * 0.25 * self._jitter()), "down")

    async def _end(self, order: SetUpFirm, state: PartState, reason: str = "") -> Outcome:
        if await self._tell(order, state, reason):
            self._metrics.count(KIND, f"{order.part}_{state}")
            if state == "done":
                await self._settle(order)
        return Done()

    async def _tell(self, order: SetUpFirm, state: PartState, reason: str = "") -> bool:
        """Write down how far it is; answers False if somebody else has ended it meanwhile."""
        at, tenant = moment(self._clock), order.tenant
        async with self._database.tenant(tenant) as connection:
            if await state_in(connection, tenant, order.part, order.round) != "pending":
                return False
            if state == "failed":
                # Before the commit: what is down as failed has its alert.
                log.error("setup.failed", tenant=tenant, part=order.part, why=reason)
                await self._alerts.raise_(tenant, None, ALERT, order.part)
            await tell_part(connection, tenant, order.part, state, reason, at=at)
        return True

    async def _settle(self, order: SetUpFirm) -> None:
        at = self._clock.now_ms()
        await settle_kinds(self._database, order.tenant, None, (ALERT,), order.part, at=at)


EMAIL: Final = "signup.email"
"""What the owner's e-mail is sealed for."""


async def put_set_up(errands: Errands, order: SetUpFirm, *, day: int) -> bool:
    """Put an order into the lane of the firm at a system; False: it was put before.

    Raises:
        StoreDownError: it may not be durable.
    """
    about = f"{order.tenant}|{order.part}"
    return await errands.put(KIND, about, _encode(order), mark=f"{about}|{order.round}", day=day)


_decode: Final = msgspec.json.Decoder(SetUpFirm).decode
_encode: Final = msgspec.json.Encoder().encode
