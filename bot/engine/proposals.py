"""Puts what a firm's own system wants said into the person's conversation, where it has its place among all else."""

from dataclasses import dataclass
from typing import Final

import msgspec

from bot.lanes import Bell, Lanes
from bot.people.addresses import Addresses, Person, conversation_of
from flows.intents import AnyIntent
from flows.values.ids import ContactId, MessageId
from handlers.events import Cap, Permission, Proposed, Sender
from handlers.ports import Channel

DAY_MS: Final = 86_400_000

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom: a contact, or whoever has one of these addresses."""

    sender: Sender
    contact: ContactId | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """One message that is wanted. See `handlers.events.Proposed`."""

    id: MessageId
    channel: Channel
    to: Recipient
    intent: AnyIntent
    asked_at: int
    """When it was accepted, ms since the epoch: the same each time that it is put."""
    expires: int
    locale: str = ""
    waits: bool = False
    permission: Permission | None = None
    cap: Cap | None = None


class Proposals:
    """The way into the conversations for what nobody wrote."""

    def __init__(self, lanes: Lanes, bell: Bell, addresses: Addresses) -> None:
        self._lanes = lanes
        self._bell = bell
        self._addresses = addresses

    async def put(self, proposal: Proposal) -> None:
        """Make it durable, once, however often it is put.

        Raises:
            StoreLostError, LaneError: of `bot.lanes`; it may be repeated.
        """
        channel, to = proposal.channel, proposal.to
        if to.contact is None:
            [person] = await self._addresses.resolve([(channel, to.sender)])
        else:
            person = Person(to.contact, conversation_of(channel.id, to.contact))
        proposed = Proposed(
            tenant=channel.tenant,
            channel=channel.id,
            contact=person.contact,
            id=proposal.id,
            intent=proposal.intent,
            expires=proposal.expires,
            sender=to.sender,
            locale=proposal.locale,
            waits=proposal.waits,
            permission=proposal.permission,
            cap=proposal.cap,
        )
        shard = self._lanes.shard(person.conversation)
        await self._lanes.put(
            shard,
            f"conv/{person.conversation}",
            _encode(proposed),
            mark=f"proposed:{proposal.id}",
            day=proposal.asked_at // DAY_MS,
        )
        self._bell.ring(shard, "conv")
