"""What a room is given to tell, as `bot.identity.tellings` keeps it, for one person at one system."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from flows.values.ids import ConversationId, ItemId, TenantId, Ugid
from handlers.persons import (
    Listener,
    RecordsDownError,
    System,
    SystemKind,
    Teller,
    Telling,
    TellPerson,
    Told,
    What,
)
from handlers.ports import Before, Handler, Item
from tests.handlers.errands import Alarm, Bucket, Counts

UGID = Ugid("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")
FIRM = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
ORDER = TellPerson(FIRM, UGID)
AT = datetime(2026, 11, 28, 12, 0, 0, 123_000, UTC)
SINCE = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)


def a_system(kind: SystemKind, address: str, secret: str, **options: str) -> System:
    return System(FIRM, kind, address, options, secret)


class Tellings:
    """Remembers what the system took; `now` is how things stand."""

    def __init__(self, system: System) -> None:
        self.now: Telling | None = Telling(
            ugid=UGID,
            system=system,
            number=1,
            at=AT,
            is_first=True,
            fields=frozenset(),
            foreign_id="",
            what=What.PERSON,
            role="customer",
            since=SINCE,
            name="Ana Rojas",
            phone="+56961234567",
            email="ana@example.com",
        )
        self.faults: list[tuple[str, bool]] = []
        """(fault, for good)"""
        self.stopped = False
        self.down = False
        self.down_after = False

    def becomes(self, **changes: Any) -> None:
        """News."""
        assert self.now is not None
        self.now = replace(self.now, number=self.now.number + 1, **changes)

    def forgets(self) -> None:
        """The process died after the system took it and before we knew."""
        assert self.now is not None
        self.now = replace(self.now, is_first=True, foreign_id="", fields=frozenset())

    async def begin(self, kind: SystemKind, order: TellPerson, *, tries: int) -> Telling | None:
        if self.down:
            raise RecordsDownError
        assert order == ORDER
        return self.now

    async def told(self, telling: Telling, told: Told) -> None:
        if self.down_after:
            raise RecordsDownError
        assert self.now is not None
        self.now = replace(self.now, is_first=False, fields=told.fields, foreign_id=told.foreign_id)

    async def failed(self, telling: Telling, fault: str, *, for_good: bool) -> None:
        self.faults.append((fault, for_good))

    async def stop(self, system: System) -> None:
        self.stopped = True


class Room:
    """The handler of a kind of system, and all that it is given."""

    def __init__(self, system: System, listener: Listener, *, counts: Counts) -> None:
        self.tellings = Tellings(system)
        self.bucket, self.alarm, self.counts = Bucket(), Alarm(), counts
        self.teller = Teller(
            listener,
            self.tellings,
            limits=self.bucket,
            alerts=self.alarm,
            meter=counts,
            jitter=lambda: 0.0,
        )


async def serve(
    handler: Handler, order: TellPerson | bytes = ORDER, *, tries: int = 1, is_ours: bool = True
) -> object:
    body = order if isinstance(order, bytes) else msgspec.json.encode(order)
    return await handler.serve(
        Item(
            id=ItemId("x/x:1-0"),
            conversation=ConversationId("x"),
            body=body,
            tries=tries,
            before=Before.CLEAN,
            proof=None,
            is_ours=lambda: is_ours,
        )
    )
