"""The platform's number, two firms, and people who write to it: each from a conversation of their own."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

import msgspec
import pytest

from bot.engine.conversation import Conversation
from bot.engine.conversation import encode as encode_conversation
from bot.engine.proposals import Proposals
from bot.identity import people
from bot.identity.moments import moment
from bot.identity.writers import Writers
from bot.lanes import Bell
from bot.onboarding.owner import MESSAGES, OwnerCalls
from bot.people.addresses import Addresses, conversation_of
from bot.people.tenants import add_tenant
from bot.store.secrets import SecretBox
from flows.dialog.ctx import Firm
from flows.dialog.session import Session
from flows.values.ids import ContactId, ConversationId, ItemId, TenantId, Ugid
from flows.values.rut import Rut
from handlers.actions import Ask
from handlers.events import Answered, Event, Proposed, Sender
from handlers.ports import Before, Done, Item, Outcome
from tests.bot.identity.conftest import SHARDS, House, firms, house, number
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BUTCHERY

__all__ = ["firms", "house"]

PLATFORM: Final = BAKERY
"""Whose number it is."""
LUNA: Final = BUTCHERY
"""The firm of whoever writes …"""
NORTE: Final = Firm(id=TenantId("1b4e28ba-2fa1-41d2-883f-0016d3cca427"), name="Peluquería Norte")
"""… and one of somebody else."""

_read = msgspec.json.Decoder(Event).decode


@dataclass
class Somebody:
    """Who writes to the platform's number."""

    town: "Town"
    phone: str
    contact: ContactId
    ugid: Ugid | None = None
    asked: int = 0

    @property
    def chat(self) -> ConversationId:
        return conversation_of(BAKERY_CHANNEL.id, self.contact)

    async def serve(self, call: str, *, again: bool = False, **args: object) -> Outcome:
        """The call of a turn; `again`: that of the last turn once more, as after a crash."""
        self.asked += not again
        ask = Ask(
            tenant=PLATFORM.id,
            channel=BAKERY_CHANNEL.id,
            contact=self.contact,
            conversation=self.chat,
            seq=self.asked,
            call=call,
            args=msgspec.Raw(msgspec.json.encode(args)),
        )
        return await self.town.calls.serve(item(self.chat, msgspec.json.encode(ask)))

    async def asks(self, call: str, *, again: bool = False, **args: object) -> Any:
        seq = self.asked + (not again)
        outcome = await self.serve(call, again=again, **args)
        assert isinstance(outcome, Done), outcome
        assert isinstance(outcome.event, Answered)
        assert outcome.event.result.seq == seq
        return msgspec.json.decode(outcome.event.result.value)

    async def role(self, tenant: TenantId) -> people.Role | None:
        """What they are in a firm, by the phone that they write from."""
        async with self.town.house.database.system() as connection:
            ugid = await people.person_of(connection, "phone", "", self.phone)
            return None if ugid is None else await people.role_in(connection, ugid, tenant)


@dataclass
class Town:
    house: House
    calls: OwnerCalls
    written: list[Proposed] = field(default_factory=list)

    async def somebody(
        self,
        n: int,
        *,
        bsuid: str = "",
        phone: bool = True,
        left: bool = False,
        **roles: people.Role,
    ) -> Somebody:
        """The n-th person, who has just written; `roles`: what they are, by `luna` and `norte`."""
        contact = ContactId(str(uuid5(MESSAGES, str(n))))
        who = Somebody(self, number(n), contact)
        state = Conversation(
            tenant=PLATFORM.id,
            channel=BAKERY_CHANNEL.id,
            contact=contact,
            session=Session(),
            sender=Sender(wa_id=who.phone if phone else "", bsuid=bsuid),
            left=left,
        )
        lanes = self.house.lanes
        await lanes.put(lanes.shard(who.chat), f"conv/{who.chat}", b"{}")
        claimed = await lanes.claim(lanes.shard(who.chat), "conv", lanes=1)
        [taken] = claimed.taken
        await lanes.commit(taken, consumed=1, state=encode_conversation(state))
        for firm, role in roles.items():
            who.ugid = await self.is_(who.phone, {"luna": LUNA, "norte": NORTE}[firm].id, role)
        return who

    async def is_(self, phone: str, tenant: TenantId, role: people.Role | None) -> Ugid:
        """From here on the person of a phone is this in a firm."""
        async with self.house.database.system() as connection:
            ugid = await people.enter(connection, "phone", "", phone, at=self.now, method="test")
            await people.set_role(connection, ugid, tenant, role, self.now)
        return ugid

    async def messages(self) -> list[Proposed]:
        """Everything that was put into conversations so far."""
        lanes = self.house.lanes
        for shard in range(SHARDS):
            claimed = await lanes.claim(shard, "conv", lanes=200)
            for taken in claimed.taken:
                events = [_read(body) for body in taken.items]
                self.written += [event for event in events if isinstance(event, Proposed)]
                await lanes.commit(taken, consumed=len(taken.items))
        return self.written

    @property
    def now(self) -> datetime:
        return moment(self.house.clock)


def item(chat: ConversationId, body: bytes) -> Item:
    return Item(
        id=ItemId(f"owner/{chat}:1-0"),
        conversation=chat,
        body=body,
        tries=1,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )


@pytest.fixture
async def town(house: House) -> Town:
    await add_tenant(house.database, NORTE, rut=Rut("771234560"))
    box = SecretBox(house.settings.keys)
    directory, lanes = house.directory, house.lanes
    addresses = Addresses(house.wire, pepper=directory.pepper, shards=lanes.shards)
    calls = OwnerCalls(
        Writers(lanes, directory).of,
        database=house.database,
        directory=directory,
        wire=house.wire,
        box=box,
        proposals=Proposals(lanes, Bell(house.wire), addresses),
        clock=house.clock,
        metrics=house.metrics,
    )
    return Town(house, calls)
