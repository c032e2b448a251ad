"""Serves the lanes `people/<conversation>`: contacts that are joined, left or renamed, one step at a time and in order.

A conversation is one lane of one shard, so what goes over to another one travels here: durable, in its order, and put
once, however often the step is repeated.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

import msgspec
from msgspec import Raw
from msgspec.json import Decoder, Encoder
from msgspec.structs import replace

from bot.lanes import Bell, Lanes, Put
from bot.people.addresses import Addresses, conversation_of
from bot.store.errors import UNAVAILABLE
from flows.values.ids import ChannelId, ConversationId
from handlers.events import Arrived, Event, MovedWhy, Sender
from handlers.moves import Close, Forward, PeopleAction, Settle, Void
from handlers.ports import Again, Channel, Dead, Done, Item, Outcome

DAY_S: Final = 86_400
KIND: Final = "people"
REST_MS: Final = 5_000

_decode: Final = Decoder[PeopleAction](PeopleAction).decode
_decode_event: Final = Decoder[Event](Event).decode
_encode: Final = Encoder().encode


class Logins(Protocol):
    """Who proved an address to be theirs."""

    async def void(
        self, channel: Channel, senders: Sequence[Sender], why: MovedWhy, phone: str
    ) -> None:
        """See `bot.identity.logins`. Raises bot.store.errors.UNAVAILABLE."""
        ...


class Moves:
    """The handler of kind `people`. It speaks to nobody outside: repeating any step is harmless."""

    def __init__(
        self,
        lanes: Lanes,
        bell: Bell,
        addresses: Addresses,
        logins: Logins,
        *,
        channel_of: Callable[[ChannelId], Channel | None],
    ) -> None:
        self._lanes = lanes
        self._bell = bell
        self._addresses = addresses
        self._logins = logins
        self._channel_of = channel_of

    @property
    def kind(self) -> str:
        return KIND

    async def serve(self, item: Item) -> Outcome:
        try:
            action = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        match action:
            case Forward(to=to) if to:
                await self._put(item, action, to, action.event)
            case Forward():
                return await self._anew(item, action)
            case Void(channel=id, senders=senders, why=why, phone=phone):
                if (channel := self._channel_of(id)) is None:
                    return Dead("unknown_channel")
                try:
                    await self._logins.void(channel, senders, why, phone)
                except UNAVAILABLE as error:
                    return Again(REST_MS, type(error).__name__, counts=False)
            case Settle(channel=id, contact=contact, sender=sender):
                if (channel := self._channel_of(id)) is None:
                    return Dead("unknown_channel")
                await self._addresses.settle(channel, sender, contact)
            case Close(channel=id, contact=contact, senders=senders):
                if (channel := self._channel_of(id)) is None:
                    return Dead("unknown_channel")
                for sender in senders:
                    await self._addresses.close(channel, sender, contact)
            case other:
                assert_never(other)
        return Done()

    async def _anew(self, item: Item, action: Forward) -> Outcome:
        """A message at an address that was closed: whoever has it now wrote it."""
        event = _decode_event(action.event)
        channel = self._channel_of(event.channel) if isinstance(event, Arrived) else None
        if not isinstance(event, Arrived) or channel is None:
            return Dead("nobody")
        person = await self._addresses.resolve_anew(channel, event.sender)
        to = conversation_of(channel.id, person.contact)
        if to == item.conversation:
            return Dead("circular")
        arrived = replace(event, contact=person.contact)
        await self._put(item, action, to, Raw(_encode(arrived)))
        return Done()

    async def _put(self, item: Item, action: Forward, to: ConversationId, event: Raw) -> None:
        shard = self._lanes.shard(to)
        mark = action.mark
        if shard == self._lanes.shard(item.conversation):
            # Its mark was left here when it was put into the lane that it comes from.
            mark = f"{mark}>{to}"
        answer = await self._lanes.put(
            shard, f"conv/{to}", bytes(event), mark=mark, day=action.at // DAY_S
        )
        if answer is not Put.SEEN:
            self._bell.ring(shard, "conv")
