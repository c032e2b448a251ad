"""The platform's own firm and number, people who write to it, and a system that can be down."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final

import msgspec
import pytest

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.engine.conversation import Conversation
from bot.engine.conversation import encode as encode_conversation
from bot.engine.errands import Errands
from bot.engine.limits import Limits
from bot.engine.proposals import Proposals
from bot.identity.moments import moment
from bot.identity.writers import Writers
from bot.lanes import Bell, Lanes, Wire, install
from bot.metrics import Metrics
from bot.onboarding.assembly import Links, Onboarding
from bot.onboarding.parts import read_parts
from bot.onboarding.setup import NewFirm, SystemDownError, SystemRefusedError, SystemSetUp
from bot.people.addresses import Addresses, conversation_of
from bot.people.channels import add_channel
from bot.people.directory import Directory
from bot.people.tenants import add_tenant
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.calls.signup import SetUp
from flows.dialog.ctx import Firm
from flows.dialog.events import Result
from flows.dialog.session import Session
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, TenantId
from flows.values.rut import Rut
from handlers.actions import Ask
from handlers.events import Answered, Event, Proposed, Sender
from handlers.ports import Before, Channel, Done, Handler, Item, Outcome

SHARDS: Final = 4
DAY_MS: Final = 86_400_000
PLATFORM: Final = Firm(
    TenantId("11111111-1111-4111-8111-111111111111"),
    "SmarterOS",
    settings={"legal_url": "https://smarteros.example/legal"},
)
PLATFORM_RUT: Final = Rut("776543216")
NUMBER: Final = Channel(
    id=ChannelId("22222222-2222-4222-8222-222222222222"),
    tenant=PLATFORM.id,
    phone_number_id="106540352242900",
    waba_id="102290129340300",
    display_phone="+56 2 2345 6789",
    portfolio_id="2729063490586000",
    platform=True,
)
SCOPE: Final = NUMBER.portfolio_id
RUT: Final = "765432103"
KEYS: Final = f"t1:{base64.b64encode(bytes(range(32))).decode()}"

_decode_event: Final = msgspec.json.Decoder[Event](Event).decode


def opening(**changes: Any) -> dict[str, Any]:
    """What a draft asks for."""
    agreements = [
        {"document": document, "version": "3", "proof": f"wamid.{document}"}
        for document in ("terms", "data_processing")
    ]
    told: dict[str, Any] = {
        "draft": "wamid.1", "rut": RUT, "name": "Panadería Sol", "line": "food", "comuna": "05804",
        "template": "pedidos", "agreements": agreements, "email": "ana@sol.example",
    }  # fmt: skip
    return told | changes


@dataclass
class Raised:
    """Alerts that were raised."""

    told: list[tuple[str, str]] = field(default_factory=list)

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        self.told.append((kind, about))


@dataclass
class FakeSystem:
    """Another system, with its faults: what was made under a key is kept, and never made twice."""

    made: dict[str, NewFirm] = field(default_factory=dict)
    asked: int = 0
    down: int = 0
    """For so many requests it cannot be reached."""
    loses: int = 0
    """Of so many requests the answer is lost, after they took effect."""
    refuses: str = ""
    breaks: Exception | None = None
    """What its adapter did not foresee."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """It was asked …"""
    waits: asyncio.Event | None = None
    """… and answers when this is set."""

    async def set_up(self, new: NewFirm, *, key: str, is_ours: Callable[[], bool]) -> None:
        self.asked += 1
        assert is_ours()
        self.begun.set()
        if self.waits:
            await self.waits.wait()
        if self.breaks:
            raise self.breaks
        if self.refuses:
            raise SystemRefusedError(self.refuses)
        if self.down:
            self.down -= 1
            raise SystemDownError
        self.made.setdefault(key, new)
        if self.loses:
            self.loses -= 1
            raise TimeoutError


@dataclass
class Somebody:
    """A person who writes to the platform's number."""

    house: "House"
    contact: ContactId
    sender: Sender

    @property
    def conversation(self) -> ConversationId:
        return conversation_of(NUMBER.id, self.contact)

    async def serve(self, call: str, **args: object) -> Outcome:
        return await self.house.signups.serve(self.asking(call, **args))

    def asking(self, call: str, **args: object) -> Item:
        """The item in which a flow asks, to be served as often as a lane would."""
        ask = Ask(
            tenant=PLATFORM.id,
            channel=NUMBER.id,
            contact=self.contact,
            conversation=self.conversation,
            seq=3,
            call=call,
            args=msgspec.Raw(msgspec.json.encode(args)),
        )
        n = next(self.house.items)
        return item(f"signup/{self.conversation}", msgspec.json.encode(ask), n=n)

    async def result(self, call: str, **args: object) -> Result:
        outcome = await self.serve(call, **args)
        assert isinstance(outcome, Done), outcome
        assert isinstance(outcome.event, Answered)
        return outcome.event.result

    async def asks(self, call: str, **args: object) -> Any:
        found = await self.result(call, **args)
        assert found.failed is None, found
        return msgspec.json.decode(found.value)

    async def opens(self, **changes: Any) -> Any:
        return await self.asks("OpenFirm", **opening(**changes))

    async def heard(self) -> list[Proposed]:
        """What was proposed to be said to them since the last look."""
        lanes = self.house.lanes
        found: list[Proposed] = []
        claimed = await lanes.claim(lanes.shard(self.conversation), "conv", lanes=200)
        for taken in claimed.taken:
            events = [_decode_event(body) for body in taken.items]
            if taken.conversation == self.conversation:
                found += [event for event in events if isinstance(event, Proposed)]
                await lanes.commit(taken, consumed=len(taken.items), state=taken.state)
            else:
                await lanes.retry(taken, delay_ms=0)
        return found


@dataclass
class House:
    clock: Clock
    wire: Wire
    lanes: Lanes
    database: Database
    directory: Directory
    addresses: Addresses
    onboarding: Onboarding
    systems: dict[str, SystemSetUp]
    raised: Raised
    metrics: Metrics
    errands: Errands
    items: Iterator[int] = field(default_factory=lambda: count(1))

    def moment(self) -> datetime:
        return moment(self.clock)

    @property
    def signups(self) -> Handler:
        return self.onboarding.of_turns[0]

    async def somebody(self, n: int, *, username: bool = False) -> Somebody:
        phone = str(56_961_000_000 + n)
        sender = Sender(bsuid=f"CL.{n}") if username else Sender(wa_id=phone, bsuid=f"CL.{n}")
        [found] = await self.addresses.resolve([(NUMBER, sender)])
        contact = found.contact
        conversation = conversation_of(NUMBER.id, contact)
        state = Conversation(
            tenant=PLATFORM.id, channel=NUMBER.id, contact=contact, session=Session(), sender=sender
        )
        await self.lanes.put(self.lanes.shard(conversation), f"conv/{conversation}", b"{}")
        claimed = await self.lanes.claim(self.lanes.shard(conversation), "conv", lanes=50)
        for taken in claimed.taken:
            if taken.conversation == conversation:
                await self.lanes.commit(taken, consumed=1, state=encode_conversation(state))
            else:
                await self.lanes.retry(taken, delay_ms=0)
        return Somebody(self, contact, sender)

    async def parts(self, tenant: str) -> dict[str, tuple[str, str]]:
        found = TenantId(tenant)
        async with self.database.tenant(found) as connection:
            parts = await read_parts(connection, found)
        return {part.part: (part.state, part.reason) for part in parts}

    async def carries(self, *, tries: int = 1) -> list[Outcome]:
        """The lanes `setup/` are worked off once."""
        [handler] = self.onboarding.handlers
        done = []
        for shard in range(SHARDS):
            claimed = await self.lanes.claim(shard, "setup", lanes=50)
            for taken in claimed.taken:
                for body in taken.items:
                    outcome = await handler.serve(item(taken.lane, body, tries=tries))
                    done.append(outcome)
                    if isinstance(outcome, Done):
                        await self.lanes.commit(taken, consumed=1)
                    else:
                        await self.lanes.retry(taken, delay_ms=0)
        return done


def item(lane: str, body: bytes, *, tries: int = 1, n: int = 1) -> Item:
    return Item(
        id=ItemId(f"{lane}:{n}-0"),
        conversation=ConversationId(lane.partition("/")[2]),
        body=body,
        tries=tries,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )


def state_of(part: SetUp) -> tuple[str, str]:
    return part.state, part.reason


@pytest.fixture
def systems() -> dict[str, SystemSetUp]:
    """What this platform has; a test may add to it."""
    return {}


@pytest.fixture
async def house(
    clean_valkey: str,
    clean_postgres: PostgresUrls,
    database: Database,
    systems: dict[str, SystemSetUp],
) -> AsyncIterator[House]:
    settings = read_settings({"SMARTERBOT_KEYS": KEYS})
    box = SecretBox(settings.keys)
    await add_tenant(database, PLATFORM, rut=PLATFORM_RUT)
    await add_channel(database, box, NUMBER, token="EAAG")
    clock, metrics, raised = Clock(), Metrics(), Raised()
    wire = await Wire.open(clean_valkey)
    directory = Directory(database, wire, box)
    await directory.load()
    lanes = Lanes(wire, shards=await install(wire, shards=SHARDS), clock=clock)
    bell = Bell(wire)
    addresses = Addresses(wire, pepper=directory.pepper, shards=lanes.shards)
    errands = Errands(lanes, bell, pepper=directory.pepper)
    onboarding = Onboarding.assemble(
        wire,
        database=database,
        directory=directory,
        box=box,
        writers=Writers(lanes, directory),
        proposals=Proposals(lanes, bell, addresses),
        errands=errands,
        alerts=raised,
        limits=Limits(wire, clock=clock),
        links=Links(
            demo=lambda tenant: f"https://wa.me/56223456790?text={tenant}",
            connect=lambda tenant, _: f"https://smarteros.example/connect#{tenant}",
            has_demos=lambda: True,
            can_connect=lambda: True,
        ),
        systems=systems,  # type: ignore[arg-type]  # by the names of parts
        clock=clock,
        metrics=metrics,
        jitter=lambda: 0.0,
    )
    yield House(
        clock, wire, lanes, database, directory, addresses, onboarding, systems, raised, metrics, errands
    )  # fmt: skip
    await wire.close()
