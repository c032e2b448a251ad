"""Serves the lanes `connect/…`: what is left to do for a number that an owner has just connected.

One item carries a connection from step to step. Where it is, is written down after each step, and each may be done
twice: so whoever finds the item after a crash goes on where it was, or a step before.
"""

from dataclasses import replace
from typing import Final, Literal, Protocol, assert_never, get_args

import msgspec
import structlog
from msgspec import Struct
from msgspec.json import encode

from flows.values.ids import TenantId
from handlers.ports import Again, Care, Channel, Clock, Dead, Done, Item, Outcome, StoreDownError
from handlers.whatsapp import doctor
from handlers.whatsapp.carebook import BookDownError
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.faults import Reaction
from handlers.whatsapp.meter import Meter
from handlers.whatsapp.registration import (
    PIN_MISMATCH,
    Pins,
    TooManyTriesError,
    register,
    subscribe,
)

KIND: Final = "connect"
BOOK_DOWN_MS: Final = 2_000
UNBORN_MS: Final = 500
UNBORN_TRIES: Final = (
    40  # the item is durable before its connection: twice as long as a transaction may stand still
)
BACKOFF_MS: Final = 1_000
BACKOFF_MAX_MS: Final = 60_000
TRIES_MAX: Final = 25  # about twenty minutes: then the owner is told, and asks again
REGISTER_TRIES_MAX: Final = 5  # ours, see below
REGISTER_MS: Final = 2_000
DELETED_MS: Final = 5 * 60_000  # Meta, 133015: wait so long before a number is registered again
SETTLES_MS: Final = 60_000  # Meta needs a moment until a new number is well

Step = Literal["publish", "subscribe", "register", "sync", "check", "done"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)

Failure = Literal[
    "pin",  # the number has a two-step PIN, and it is not the one that we gave
    "pin_wait",  # too many wrong PINs: Meta wants to wait
    "unverified",  # Meta wants the number to be proved by SMS or call once more
    "too_many",  # registered too often in 72 hours
    "token",  # Meta takes the token no more
    "blocked",  # Meta lets the number send nothing
    "refused",  # for another reason
    "down",  # Meta could not be reached for too long
]

_BY_CODE: Final[dict[int, Failure]] = {
    PIN_MISMATCH: "pin",
    133006: "unverified",
    133008: "pin_wait",
    133009: "pin_wait",
    133016: "too_many",
}
# What is in the way of registering and goes by itself.
_PASSES: Final = frozenset({133000, 133004, 133015})

log = structlog.get_logger()


class Connect(Struct, frozen=True, tag="connect"):
    """Carry on with a connection. Lives in lane `connect/<keyed hash of its channel>`."""

    tenant: TenantId
    id: str
    """Of the connection: a UUID."""
    attempt: int
    """Which one of it: an older one is over."""


class Connection(Struct, frozen=True):
    """A number on its way."""

    tenant: TenantId
    id: str
    attempt: int
    step: Step
    """What is to be done next."""
    since: int
    """When it came to this step, ms since the epoch."""
    is_open: bool
    """Not over, one way or the other."""
    coexistence: bool
    channel: Channel
    token: str


class ConnectBook(Pins, Protocol):
    """What is written down of connections; implemented above. Every method raises BookDownError, and may be repeated."""

    async def find(self, tenant: TenantId, id: str) -> Connection | None: ...

    async def move(self, connection: Connection, step: Step) -> None:
        """This is to be done next."""
        ...

    async def end(self, connection: Connection, failure: Failure | None) -> None:
        """It is over, and the firm is told; None: the number works."""
        ...

    async def free(self, channel: Channel) -> None:
        """What kept the number from sending before it was connected is over."""
        ...

    async def publish(self) -> None:
        """Let every process know of the number."""
        ...


_decode: Final = msgspec.json.Decoder(Connect).decode


class Connecting:
    """The handler of kind `connect`."""

    def __init__(
        self, graph: Graph, book: ConnectBook, *, care: Care, clock: Clock, meter: Meter
    ) -> None:
        self._graph = graph
        self._book = book
        self._care = care
        self._clock = clock
        self._meter = meter

    @property
    def kind(self) -> str:
        return KIND

    async def serve(self, item: Item) -> Outcome:
        try:
            what = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        try:
            return await self._carry(what, tries=item.tries)
        except (BookDownError, StoreDownError) as error:
            log.warning("connect.waits", item=item.id, error=str(error))
            return Again(BOOK_DOWN_MS, "book_down", counts=False)

    async def _carry(self, what: Connect, *, tries: int) -> Outcome:
        found = await self._book.find(what.tenant, what.id)
        if found is None or found.attempt < what.attempt:
            # Its connection may be being committed; if that came to nothing, the owner was told so.
            return Done() if tries >= UNBORN_TRIES else Again(UNBORN_MS, "unborn")
        if found.attempt > what.attempt or not found.is_open:
            return Done()
        since = found.since
        for step in STEPS[STEPS.index(found.step) :]:
            try:
                outcome = await self._do(step, found, tries=tries, since=since)
            except GraphFault as fault:
                outcome = self._refused(fault, tries)
            except TooManyTriesError:
                outcome = "too_many"
            except GraphError:
                outcome = self._later("unreachable", tries)
            match outcome:
                case None:
                    self._meter.count("connect_step", step)
                case Again():
                    return outcome
                case failure:
                    await self._fail(found, failure)
                    return Done()
            following = STEPS[STEPS.index(step) + 1 :]
            if following:
                await self._book.move(found, following[0])
                since = self._clock.now_ms()
        return Done()

    async def _do(
        self, step: Step, found: Connection, *, tries: int, since: int
    ) -> Again | Failure | None:
        """One step; None: it is done."""
        channel, token = found.channel, found.token
        match step:
            case "publish":
                # Before anybody can write to it: an unknown number's messages would have to be looked for.
                await self._book.publish()
            case "subscribe":
                await subscribe(self._graph, channel, token)
            case "register":
                # Asked first: a try counts although Meta may not have heard of it.
                if not await self._is_in_the_app(found):
                    return await self._register(found, tries)
            case "sync":
                if found.coexistence:
                    await self._sync(found)
            case "check":
                return await self._check(found, tries, since)
            case "done":
                await self._book.free(channel)
                await self._book.publish()
                # Its templates, and whatever else is to be known of it.
                await self._care.examine(channel)
                await self._book.end(found, None)
                self._meter.count("connect", "done")
                log.info("connect.done", tenant=found.tenant, channel=channel.id)
            case _:
                assert_never(step)
        return None

    async def _is_in_the_app(self, found: Connection) -> bool:
        """Whether the number stays in the WhatsApp Business app, where it is registered already."""
        path = f"{found.channel.phone_number_id}?fields=is_on_biz_app,platform_type"
        match await self._graph.get(path, found.token):
            case {"is_on_biz_app": bool(told)}:
                return told
            case _:
                return found.coexistence

    async def _register(self, found: Connection, tries: int) -> Again | Failure | None:
        try:
            await register(self._graph, self._book, found.channel, found.token)
        except GraphFault as fault:
            outcome = self._refused(fault, tries)
        except GraphError:
            outcome = self._later("unreachable", tries)
        else:
            return None
        if not isinstance(outcome, Again):
            return outcome
        # Meta allows ten tries in three days: some are left to the owner.
        if tries >= REGISTER_TRIES_MAX:
            return "down"
        return replace(outcome, after_ms=max(outcome.after_ms, REGISTER_MS << tries))

    async def _sync(self, found: Connection) -> None:
        """Meta wants it asked for within 24 hours, once; a second time it refuses, and so the number works as well."""
        for kind in ("smb_app_state_sync", "history"):
            body = encode({"messaging_product": "whatsapp", "sync_type": kind})
            path = f"{found.channel.phone_number_id}/smb_app_data"
            try:
                await self._graph.request("POST", path, found.token, body)
            except GraphFault as fault:
                if _is_passing(fault):
                    raise
                log.info("connect.no_sync", channel=found.channel.id, what=kind, code=fault.code)
                self._meter.count("connect_no_sync", kind)

    async def _check(self, found: Connection, tries: int, since: int) -> Again | Failure | None:
        now = self._clock.now_ms()
        report = await doctor.examine(self._graph, found.channel, found.token, now_ms=now)
        if not report.blocked:
            return None
        problems = {finding.problem for finding in report.findings if finding.blocks}
        if problems & {"unreachable", "unknown"}:
            return self._later("unreachable", tries)
        if problems & {"token", "token_scope"}:
            return "token"
        if now - since < SETTLES_MS:
            return self._later("not_well_yet", tries)
        return "blocked"

    # -------------------------------------------------------------- what does not go

    def _refused(self, fault: GraphFault, tries: int) -> Again | Failure:
        if failure := _BY_CODE.get(fault.code):
            return failure
        if fault.code == 133015:
            return self._later("deleted_lately", tries, at_least_ms=DELETED_MS)
        if _is_passing(fault):
            return self._later(fault.fault.name, tries, at_least_ms=fault.retry_after_s * 1000)
        return "token" if fault.fault.name in ("token", "permission") else "refused"

    def _later(self, why: str, tries: int, *, at_least_ms: int = 0) -> Again | Failure:
        if tries >= TRIES_MAX:
            return "down"
        wait_ms = min(BACKOFF_MS << min(tries - 1, 10), BACKOFF_MAX_MS)
        return Again(max(wait_ms, at_least_ms), why)

    async def _fail(self, found: Connection, failure: Failure) -> None:
        await self._book.end(found, failure)
        self._meter.count("connect", failure)
        log.warning("connect.failed", tenant=found.tenant, channel=found.channel.id, why=failure)


def _is_passing(fault: GraphFault) -> bool:
    """Whether Meta may answer otherwise in a while."""
    if fault.code in _PASSES:
        return True
    if fault.fault.name in ("token", "permission"):
        return False
    paused = fault.fault.name in ("api_limit", "number_throughput", "number_maintenance")
    return paused or fault.fault.reaction is Reaction.RETRY
