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

from bot.lanes import PREFIX, Reply, StoreLostError, Wire
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId
from handlers.events import Sender
from handlers.ports import Channel

KEPT_MAX: Final = 50_000
"""Senders that a process remembers: about 20 MB."""
HASH_BYTES: Final = 16
TRACE_BYTES: Final = (4, 8)
"""With a phone its last BSUID is noted, as hashes of the BSUID's scope and of itself, so that it shows when somebody
else writes from the phone."""
PARENT: Final = ".ENT."
"""Mark of a parent BSUID (Meta: managed businesses)."""
TRIES_MAX: Final = 5
"""A sender whose addresses others settle at the same moment is looked at again."""

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
    joins: ContactId | None = None
    """The same person, as long as only their phone was known: what is waiting there comes first."""
    ousts: ContactId | None = None
    """Somebody else, who had this phone before: it is theirs no more."""


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

        Messages that carry the same addresses always get the same contact, in every process. The BSUID says who it
        is; if the phone leads to another contact, it goes on doing so until `settle` or `close`, and each answer
        tells of it.

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
        if len(unknown) == 1:
            # Nearly always: no task is made for it.
            found = [await self._ask(*unknown.values())]
        else:
            found = await asyncio.gather(*map(self._ask, unknown.values()))
        for key, whose in zip(unknown, found, strict=True):
            people[key] = self._remember(key, whose)
        return [person for key in keys if (person := people[key]) is not None]

    async def find(self, channel: Channel, sender: Sender) -> Person | None:
        """The person who has these addresses; nobody is made up.

        Raises:
            StoreLostError, LaneError: of `bot.lanes`.
        """
        for address in addresses_of(channel, sender):
            if (held := await self._get(address)) is None:
                continue
            by_phone_alone = address.kind == "phone" and sender.bsuid
            if by_phone_alone and not _may_be(held[HASH_BYTES:], self._trace(channel, sender)):
                continue  # the phone is somebody else's by now
            contact = _contact(held[:HASH_BYTES])
            return Person(contact, conversation_of(channel.id, contact))
        return None

    async def resolve_anew(self, channel: Channel, sender: Sender) -> Person:
        """As `resolve` of one sender, whatever this process remembers."""
        self._kept.pop(_key(channel, sender), None)
        [person] = await self.resolve([(channel, sender)])
        return person

    async def settle(self, channel: Channel, sender: Sender, contact: ContactId) -> None:
        """From now on the sender's phone leads to this contact."""
        address = next(a for a in addresses_of(channel, sender) if a.kind == "phone")
        held = UUID(contact).bytes + self._trace(channel, sender)
        await self._wire.call("HSET", *self._place(address), held, replicated=True)
        self._kept.clear()  # whoever came by that address is somebody else now
        log.info("contact.joined", contact=contact)

    async def close(self, channel: Channel, sender: Sender, contact: ContactId) -> None:
        """The sender's addresses lead to this contact no more; those that lead to another one stay."""
        for address in addresses_of(channel, sender):
            held = await self._get(address)
            if held is not None and held[:HASH_BYTES] == UUID(contact).bytes:
                await self._wire.call("HDEL", *self._place(address), replicated=True)
        self._kept.clear()

    def _remember(self, key: _Known, whose: "_Whose") -> Person:
        contact = _contact(whose.contact)
        person = Person(
            contact,
            conversation_of(key[1], contact),
            joins=_contact(whose.joins) if whose.joins else None,
            ousts=_contact(whose.ousts) if whose.ousts else None,
        )
        if not whose.joins and not whose.ousts:
            self._kept[key] = person
            while len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        return person

    async def _ask(self, addresses: tuple[Address, ...]) -> "_Whose":
        assert addresses, "a sender has an address"
        if len(addresses) == 1:
            only = await self._claim(addresses[0], self._new_id().bytes)
            return _Whose(only[:HASH_BYTES])
        bsuid, phone = addresses
        trace = self._traced(bsuid)
        for _ in range(TRIES_MAX):
            # The commands themselves, so that no task is made for either.
            known, held = map(_bytes, await asyncio.gather(self._look(bsuid), self._look(phone)))
            before = b"" if held is None else held[:HASH_BYTES]
            seen_with = b"" if held is None else held[HASH_BYTES:]
            recycled = bool(before) and not _may_be(seen_with, trace) and known != before
            fresh = self._new_id().bytes
            contact = await self._claim(bsuid, known or (fresh if recycled else before) or fresh)
            if recycled:
                return _Whose(contact, ousts=before)
            if held is None:
                if await self._claim(phone, contact + trace) == contact + trace:
                    return _Whose(contact)
            elif before == contact:
                if seen_with != trace:
                    await self._write(phone, contact + trace)
                return _Whose(contact)
            elif not seen_with:
                return _Whose(contact, joins=before)
            else:
                # Seen in another portfolio, where the same person has another BSUID: nothing tells who it was.
                await self._write(phone, contact + trace)
                return _Whose(contact)
        raise StoreLostError("the addresses of a sender do not come to rest")

    async def _get(self, address: Address) -> bytes | None:
        return _bytes(await self._look(address))

    def _look(self, address: Address) -> "asyncio.Future[Reply]":
        return self._wire.call("HGET", *self._place(address))

    async def _write(self, address: Address, held: bytes) -> None:
        await self._wire.call("HSET", *self._place(address), held, replicated=True)

    async def _claim(self, address: Address, held: bytes) -> bytes:
        """Give the address to this contact unless it is somebody's; answers what is held for it."""
        key, field = self._place(address)
        # One connection, so the second command finds what the first one left.
        _, reply = await asyncio.gather(
            self._wire.call("HSETNX", key, field, held, replicated=True),
            self._wire.call("HGET", key, field),
        )
        if not isinstance(reply, bytes):
            raise StoreLostError("the address was removed while it was asked for")
        return reply

    def _place(self, address: Address) -> tuple[str, bytes]:
        """The key and the field where an address lies."""
        text = "|".join((address.tenant, address.kind, address.scope, address.value))
        digest = self._digest(text, HASH_BYTES)
        return f"{PREFIX}alias:{{{int.from_bytes(digest[:4]) % self._shards}}}", digest

    def _trace(self, channel: Channel, sender: Sender) -> bytes:
        """What is noted with a phone of the BSUID that it came with; empty without one."""
        addresses = addresses_of(channel, sender)
        return self._traced(addresses[0]) if addresses[0].kind == "bsuid" else b""

    def _traced(self, bsuid: Address) -> bytes:
        of_scope, of_value = TRACE_BYTES
        # A parent id stands beside the person's own one: of the two neither says that the other is somebody else's.
        scope = f"{bsuid.scope}|parent" if PARENT in bsuid.value else bsuid.scope
        return self._digest(scope, of_scope) + self._digest(bsuid.value, of_value)

    def _digest(self, text: str, size: int) -> bytes:
        return hashlib.blake2b(text.encode(), digest_size=size, key=self._pepper).digest()


@dataclass(frozen=True, slots=True)
class _Whose:
    """As `Person`, in bytes."""

    contact: bytes
    joins: bytes = b""
    ousts: bytes = b""


def _may_be(seen_with: bytes, trace: bytes) -> bool:
    """Whether a phone that was seen with one BSUID may be of the same person as the one that comes with it now.

    Not if both are of one scope and differ: a person has one BSUID in it, and a new one with a new number.
    """
    size, _ = TRACE_BYTES
    return not seen_with or seen_with == trace or seen_with[:size] != trace[:size]


def _bytes(reply: Reply) -> bytes | None:
    assert reply is None or isinstance(reply, bytes)
    return reply


def _key(channel: Channel, sender: Sender) -> _Known:
    return (channel.tenant, channel.id, sender.bsuid, sender.wa_id)


def _contact(stored: bytes) -> ContactId:
    return ContactId(str(UUID(bytes=stored)))
