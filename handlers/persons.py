"""What a firm's systems are told of a person: the order, the person as the firm may see them, and how a telling goes.

Each system is told how things stand, not what happened: an order that comes late, twice or after many others says the
same. What it leads to is told by the room of the system; when to try again, and when to give up, is decided here.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Literal, Protocol, assert_never

import aiohttp
import msgspec
import structlog
from msgspec import Struct

from flows.values.ids import TenantId, Ugid
from handlers.outside import OutsideError, RefusedUrlError
from handlers.ports import (
    Again,
    Alerts,
    Dead,
    Done,
    Item,
    Limits,
    Meter,
    Outcome,
    StoreDownError,
)

SystemKind = Literal["odoo", "chatwoot", "n8n"]

TRIES_MAX: Final = 20  # about two days and a half
BACKOFF_MS: Final = 5_000  # four times as long each time, as Standard Webhooks suggests ...
BACKOFF_MS_MAX: Final = 4 * 3_600_000  # ... up to this
MEND_REST_MS: Final = 1_800_000  # somebody has to mend a setting first
RECORDS_REST_MS: Final = 5_000
RETRY_S: Final = 30
RETRY_S_MAX: Final = 3_600
AT_ONCE_MAX: Final = 4  # of one firm's system in one process: an Odoo gets no faster by more
BUSY_REST_MS: Final = 1_000
WITHIN_S: Final = 10.0  # less than a lease
ANSWER_BYTES_MAX: Final = 1024 * 1024

MENDS: Final = {
    "system_refuses": "see its address, its secret and what its user may do: smarterbot system set",
    "system_stopped": "it wants to hear nothing more (410): set it up anew, or remove it: smarterbot system",
    "set_up_failed": "this system of a new firm is not there. Why: smarterbot tenant status ID; once it is mended: "
    "smarterbot tenant retry ID PART",
    "register_refuses": "the register of RUTs refuses our key: TAXPAYER_KEY. Sign-ups go on without its suggestions",
}
"""What each kind of alert of ours asks an operator to do."""

log = structlog.get_logger()


class TellPerson(Struct, frozen=True, omit_defaults=True, tag="tell_person"):
    """Tell a firm's system how things stand with a person. Lives in lane `<system>/<keyed hash of firm and person>`."""

    tenant: TenantId
    ugid: Ugid
    again: bool = False
    """Even if it has been told: somebody wants it told anew."""


_decode_order: Final = msgspec.json.Decoder(TellPerson).decode


@dataclass(frozen=True, slots=True)
class System:
    """One system of a firm, as the firm has set it up."""

    tenant: TenantId
    kind: SystemKind
    address: str
    options: Mapping[str, str]
    secret: str = field(repr=False)


class What(Enum):
    """How things stand."""

    PERSON = "person"  # they belong to the firm: this is what it may know
    REMOVED = "removed"  # they belong to it no more; nothing else of them is told
    ERASED = "erased"  # whatever we told of them must go


@dataclass(frozen=True, slots=True)
class Telling:
    """What one system is to hear of one person now."""

    # Whom it concerns
    ugid: Ugid
    system: System
    # Which telling it is
    number: int
    """Counts the tellings of this person to this system, from 1; a repeated one has the same number."""
    at: datetime
    """When it came to be so."""
    is_first: bool
    """The system has never taken one before."""
    fields: frozenset[str]
    """What it holds from us: `phone`, `email`."""
    foreign_id: str
    """The system's own id of the person, if it has told us."""
    # How things stand; empty unless they belong to the firm
    what: What
    role: str = ""
    since: datetime | None = None
    name: str = field(default="", repr=False)
    """As their profile on WhatsApp says, if they have written to the firm."""
    phone: str = field(default="", repr=False)
    """E.164 with its plus, proved; empty: none."""
    email: str = field(default="", repr=False)
    """Proved; empty: none."""


@dataclass(frozen=True, slots=True)
class Told:
    """The system has taken it."""

    foreign_id: str = ""
    fields: frozenset[str] = frozenset()


class Then(Enum):
    """What follows when a system does not take it."""

    LATER = "later"
    LIMIT = "limit"  # it says: not so fast. No fault of the item's
    MEND = "mend"  # somebody has to mend a setting first
    NEVER = "never"
    STOP = "stop"  # it wants to hear nothing more, of anybody


class TellError(Exception):
    """It was not taken. `fault` is one word of a closed vocabulary."""

    def __init__(self, fault: str, then: Then, *, after_s: int = 0) -> None:
        super().__init__(fault)
        self.fault = fault
        self.then = then
        self.after_s = after_s


class RecordsDownError(Exception):
    """What was told cannot be read or written now: try again later."""


class Tellings(Protocol):
    """Keeps who was told what. Every method raises RecordsDownError."""

    async def begin(self, kind: SystemKind, order: TellPerson, *, tries: int) -> Telling | None:
        """What is to be told now, noted as under way. None: nothing, or nothing any more."""
        ...

    async def told(self, telling: Telling, told: Told) -> None:
        """The system has taken it."""
        ...

    async def failed(self, telling: Telling, fault: str, *, for_good: bool) -> None:
        """It has not; `for_good`: we have given up."""
        ...

    async def stop(self, system: System) -> None:
        """The system wants to hear nothing more, until it is set up anew."""
        ...


class Listener(Protocol):
    """The room of a kind of system: how it is told, and how often that may be."""

    @property
    def kind(self) -> SystemKind:
        """Of its lanes and of its systems."""
        ...

    @property
    def per_s(self) -> float:
        """Tellings a second to one firm's system."""
        ...

    @property
    def burst(self) -> int:
        """So many at once after a silence."""
        ...

    async def tell(self, telling: Telling, is_ours: Callable[[], bool]) -> Told:
        """Tell it. Twice is the same as once.

        Args:
            is_ours: asked before each request that changes something: see `handlers.ports.Item`.

        Raises:
            TellError: it was not taken, or that is not known.
        """
        ...


class Teller:
    """The handler of one kind of system: carries out the orders in its lanes."""

    def __init__(
        self,
        listener: Listener,
        tellings: Tellings,
        *,
        limits: Limits,
        alerts: Alerts,
        meter: Meter,
        jitter: Callable[[], float],
    ) -> None:
        """`jitter`: evenly spread in [0, 1)."""
        self._listener = listener
        self._tellings = tellings
        self._limits = limits
        self._alerts = alerts
        self._meter = meter
        self._jitter = jitter
        self._busy: Counter[TenantId] = Counter()
        """Tellings under way, by firm: a system that hangs holds up its own firm, and no other one's connections."""

    @property
    def kind(self) -> SystemKind:
        return self._listener.kind

    async def serve(self, item: Item) -> Outcome:
        try:
            order = _decode_order(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        if self._busy[order.tenant] >= AT_ONCE_MAX:
            return Again(self._spread(BUSY_REST_MS), "busy", counts=False)
        self._busy[order.tenant] += 1
        try:
            return await self._serve(order, item)
        finally:
            self._busy[order.tenant] -= 1
            if not self._busy[order.tenant]:
                del self._busy[order.tenant]

    async def _serve(self, order: TellPerson, item: Item) -> Outcome:
        try:
            telling = await self._tellings.begin(self.kind, order, tries=item.tries)
            if telling is None:
                self._count("nothing")
                return Done()
            bucket = f"{self.kind}|{order.tenant}"
            if wait := await self._limits.take(
                bucket, per_s=self._listener.per_s, burst=self._listener.burst
            ):
                return Again(wait, "limit", counts=False)
            try:
                told = await self._listener.tell(telling, item.is_ours)
            except TellError as error:
                return await self._failed(telling, error, item)
            await self._tellings.told(telling, told)
        except (RecordsDownError, StoreDownError):
            # It may have been told, and is told again then. An erasure must not be lost because PostgreSQL was away.
            return Again(self._spread(RECORDS_REST_MS), "records_down", counts=False)
        self._count(telling.what.value)
        return Done()

    async def _failed(self, telling: Telling, error: TellError, item: Item) -> Outcome:
        self._count(error.fault)
        then = error.then
        if item.tries >= TRIES_MAX and then in (Then.LATER, Then.MEND):
            then = Then.NEVER
        if then is Then.STOP:
            await self._alert(telling, "system_stopped", error.fault)
            await self._tellings.failed(telling, error.fault, for_good=True)
            await self._tellings.stop(telling.system)
            return Done()
        await self._tellings.failed(telling, error.fault, for_good=then is Then.NEVER)
        after_ms = error.after_s * 1000
        match then:
            case Then.LATER:
                wait_ms = min(BACKOFF_MS << 2 * min(item.tries - 1, 10), BACKOFF_MS_MAX)
                return Again(self._spread(max(after_ms, wait_ms)), error.fault)
            case Then.LIMIT:
                return Again(self._spread(after_ms or RETRY_S * 1000), error.fault, counts=False)
            case Then.MEND:
                await self._alert(telling, "system_refuses", error.fault)
                return Again(self._spread(MEND_REST_MS), error.fault)
            case Then.NEVER:
                return Dead(error.fault)
            case _:
                assert_never(then)

    async def _alert(self, telling: Telling, kind: str, fault: str) -> None:
        tenant = telling.system.tenant
        log.error(kind, tenant=tenant, system=self.kind, fault=fault)
        await self._alerts.raise_(tenant, None, kind, f"{self.kind} {fault}")

    def _count(self, detail: str) -> None:
        self._meter.count(f"tell_{self.kind}", detail)

    def _spread(self, wait_ms: int) -> int:
        return wait_ms + int(wait_ms * 0.25 * self._jitter())


# ------------------------------------------------------------------ HTTP


def unreached(error: OutsideError) -> TellError:
    """The request came to nothing."""
    if isinstance(error, RefusedUrlError):
        # Also a redirect: what an address has moved to must be named by the firm.
        return TellError(error.why, Then.MEND)
    return TellError("unreachable", Then.LATER)


def refused(status: int, headers: Mapping[str, str], *, otherwise: Then) -> TellError:
    """The answer says no; `otherwise`: what follows from a 4xx that says nothing else."""
    fault = f"status_{status}"
    retry_after = headers.get("Retry-After", "")
    seconds = min(int(retry_after), RETRY_S_MAX) if retry_after.isdecimal() else 0
    if status == 429:
        return TellError(fault, Then.LIMIT, after_s=seconds)
    if status >= 500 or status == 408:
        return TellError(fault, Then.LATER, after_s=seconds)
    if status in (401, 403):
        return TellError(fault, Then.MEND)
    return TellError(fault, otherwise)


def ours(is_ours: Callable[[], bool]) -> None:
    """Ask before something that changes the other side.

    Raises:
        TellError: another process may be at it.
    """
    if not is_ours():
        raise TellError("lease_lost", Then.LATER)


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """The whole body.

    Raises:
        TellError: it is larger than anything we asked for.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise TellError("answer_too_large", Then.LATER)
    return bytes(body)
