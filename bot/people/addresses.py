"""Who writes? From an address (a phone's wa_id, a business-scoped user id) to the contact it belongs to.

The store keeps, for each address, a keyed hash of it and the contact: nothing in it tells a phone. Each address is
settled by itself, by whoever is first, so the two addresses of one person may lie in different shards, on different
nodes of a cluster. People who wrote to this process lately cost no round trip.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID, uuid4, uuid5

import structlog

from bot.lanes import PREFIX, StoreLostError, Wire
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId
from handlers.events import Sender
from handlers.ports import Channel

KEPT_MAX: Final = 50_000
"""Senders that a process remembers: about 20 MB."""
HASH_BYTES: Final = 16

_Known = tuple[TenantId, ChannelId, str, str]
"""A sender as they come: tenant, channel, BSUID, wa_id."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """One way to reach a person, as one tenant sees it."""

    tenant: TenantId
    kind: Literal["phone", "bsuid"]
    scope: str
    """The Meta portfolio (or WABA) that a BSUID is valid in; empty for a phone."""
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whose message it is."""

    contact: ContactId
    conversation: ConversationId


def addresses_of(channel: Channel, sender: Sender) -> tuple[Address, ...]:
    """The sender's addresses, the surer one first: a phone number may be given to somebody else, a BSUID not."""
    found = []
    if sender.bsuid:
        scope = channel.portfolio_id or channel.waba_id
        found.append(Address(channel.tenant, "bsuid", scope, sender.bsuid))
    if sender.wa_id:
        found.append(Address(channel.tenant, "phone", "", sender.wa_id))
    return tuple(found)


def conversation_of(channel: ChannelId, contact: ContactId) -> ConversationId:
    """The one conversation of a contact on a channel; the same wherever it is asked."""
    return ConversationId(str(uuid5(UUID(channel), contact)))


class Addresses:
    """Resolves senders to contacts; a sender that is not known becomes a new contact."""

    def __init__(
        self,
        wire: Wire,
        *,
        pepper: bytes,
        shards: int,
        new_id: Callable[[], UUID] = uuid4,
        kept_max: int = KEPT_MAX,
    ) -> None:
        self._wire = wire
        self._pepper = pepper
        self._shards = shards
        self._new_id = new_id
        self._kept_max = kept_max
        self._kept: OrderedDict[_Known, Person] = OrderedDict()

    def known(self, channel: Channel, sender: Sender) -> Person | None:
        """The person, if they wrote to this process lately in this guise; asks nobody."""
        key = _key(channel, sender)
        person = self._kept.get(key)
        if person is not None:
            self._kept.move_to_end(key)
        return person

    async def resolve(self, senders: Sequence[tuple[Channel, Sender]]) -> list[Person]:
        """The person behind each sender, in order; whatever must be asked leaves in one write.

        Messages that carry the same addresses always get the same contact, in every process. When the two addresses
        of a sender were known as two contacts, the BSUID's is right, and the phone is given to it.

        Raises:
            StoreLostError, LaneError: of `bot.lanes`; it may be repeated.
        """
        keys = [_key(channel, sender) for channel, sender in senders]
        people = {
            key: self.known(channel, sender)
            for key, (channel, sender) in zip(keys, senders, strict=True)
        }
        unknown = {
            key: addresses_of(channel, sender)
            for key, (channel, sender) in zip(keys, senders, strict=True)
            if people[key] is None
        }
        for key, contact in zip(
            unknown, await asyncio.gather(*map(self._ask, unknown.values())), strict=True
        ):
            people[key] = self._remember(key, contact)
        return [person for key in keys if (person := people[key]) is not None]

    def _remember(self, key: _Known, contact: ContactId) -> Person:
        person = Person(contact, conversation_of(key[1], contact))
        self._kept[key] = person
        while len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return person

    async def _ask(self, addresses: tuple[Address, ...]) -> ContactId:
        assert addresses, "a sender has an address"
        proposed = self._new_id().bytes
        if len(addresses) == 1:
            return _contact(await self._claim(addresses[0], proposed))
        surer, other = addresses
        known = await asyncio.gather(self._get(surer), self._get(other))
        contact = await self._claim(surer, known[0] or known[1] or proposed)
        found = await self._claim(other, contact)
        if found != contact:
            await self._wire.call("HSET", *self._place(other), contact, replicated=True)
            self._kept.clear()  # whoever came by that address is somebody else now
            log.info("contact.merged", contact=_contact(contact), was=_contact(found))
        return _contact(contact)

    async def _get(self, address: Address) -> bytes | None:
        reply = await self._wire.call("HGET", *self._place(address))
        assert reply is None or isinstance(reply, bytes)
        return reply

    async def _claim(self, address: Address, contact: bytes) -> bytes:
        """Give the address to this contact unless it is somebody's; answers whose it is."""
        key, field = self._place(address)
        # One connection, so the second command finds what the first one left.
        _, reply = await asyncio.gather(
            self._wire.call("HSETNX", key, field, contact, replicated=True),
            self._wire.call("HGET", key, field),
        )
        if not isinstance(reply, bytes):
            raise StoreLostError("the address was removed while it was asked for")
        return reply

    def _place(self, address: Address) -> tuple[str, bytes]:
        """The key and the field where an address lies."""
        text = "|".join((address.tenant, address.kind, address.scope, address.value))
        digest = hashlib.blake2b(text.encode(), digest_size=HASH_BYTES, key=self._pepper).digest()
        return f"{PREFIX}alias:{{{int.from_bytes(digest[:4]) % self._shards}}}", digest


def _key(channel: Channel, sender: Sender) -> _Known:
    return (channel.tenant, channel.id, sender.bsuid, sender.wa_id)


def _contact(stored: bytes) -> ContactId:
    return ContactId(str(UUID(bytes=stored)))
