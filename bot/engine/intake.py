"""The intake: what was heard, into the lanes; durable before anybody is told so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.json import Encoder
from msgspec.structs import replace

from bot.clock import Clock
from bot.lanes import Bell, LaneError, Lanes, Put, StoreLostError, Taken
from bot.metrics import Metrics
from bot.people.addresses import Addresses, Person, conversation_of
from flows.dialog.events import NO_JSON, Heard
from flows.values.ids import NO_CONVERSATION, ContactId, ConversationId, ItemId, TenantId
from handlers.events import Arrived, Echoed, Joined, Moved, Preferred, Refused
from handlers.journal import StatusRecord, StatusSeen
from handlers.ports import (
    Arrival,
    Channel,
    Echo,
    Happening,
    Move,
    Preference,
    StoreDownError,
)
from handlers.whatsapp.faults import fault_of

DAY_S: Final = 86_400
SEND_KIND: Final = "wa"
ABOUT_DAYS: Final = (
    3  # a message may be taken back for two days (Meta), so it may be of two days before
)

_encode = Encoder().encode


class Intake:
    """Implements `handlers.ports.Intake` over the lanes."""

    def __init__(
        self,
        lanes: Lanes,
        bell: Bell,
        addresses: Addresses,
        *,
        clock: Clock,
        metrics: Metrics,
        room: Callable[[], int],
        take: Callable[[Taken], None],
        on_refused_statuses: Callable[[], None],
        channels_of: Callable[[TenantId], Sequence[Channel]],
    ) -> None:
        """
        Args:
            channels_of: all numbers of a firm: what happens to a contact happens to it on each of them.
            room, take: this process's own runner; a web-only process has no room and rings instead.
            on_refused_statuses: told when statuses may be lost to us until they are told again.
        """
        self._lanes = lanes
        self._bell = bell
        self._addresses = addresses
        self._clock = clock
        self._metrics = metrics
        self._room = room
        self._take = take
        self._asking = 0
        """Lanes that may be ours in a moment: puts under way that would take them."""
        self._on_refused_statuses = on_refused_statuses
        self._channels_of = channels_of

    async def hear(
        self,
        arrivals: Sequence[Arrival],
        statuses: Sequence[StatusSeen],
        happenings: Sequence[Happening] = (),
    ) -> None:
        """See `handlers.ports.Intake.hear`. It takes no longer than the wire's own deadline."""
        try:
            # Nearly every webhook holds one message or one status: no task is made for it.
            if happenings:
                await asyncio.gather(self._messages(arrivals), self._statuses(statuses))
                # After what was written before: somebody who leaves may have said something first.
                for happening in happenings:
                    await self._happen(happening)
            elif len(arrivals) == 1 and not statuses:
                await self._message(arrivals[0])
            elif len(statuses) == 1 and not arrivals and statuses[0].status != "failed":
                await self._status(statuses[0])
            else:
                await asyncio.gather(self._messages(arrivals), self._statuses(statuses))
        except (StoreLostError, LaneError) as lost:
            self._metrics.count("intake_refused", type(lost).__name__)
            if statuses and isinstance(lost, StoreLostError):
                self._on_refused_statuses()
            raise StoreDownError("the lanes cannot take anything now") from lost

    def turned_away(self) -> None:
        """See `handlers.ports.Intake.turned_away`."""
        self._metrics.count("intake_refused", "unread")
        self._on_refused_statuses()

    # -------------------------------------------------------------- messages

    async def _message(self, arrival: Arrival) -> None:
        person = self._addresses.known(arrival.channel, arrival.sender)
        if person is None:
            [person] = await self._addresses.resolve([(arrival.channel, arrival.sender)])
        await self._arrive(arrival, person)

    async def _messages(self, arrivals: Sequence[Arrival]) -> None:
        people = await self._addresses.resolve([(a.channel, a.sender) for a in arrivals])
        await asyncio.gather(*map(self._arrive, arrivals, people))

    async def _arrive(self, arrival: Arrival, person: Person) -> None:
        heard = arrival.heard
        if arrival.answers not in (NO_CONVERSATION, person.conversation):
            # Somebody sent in what was opened by somebody else.
            self._metrics.count("form", "of_another")
            heard = replace(heard, form=NO_JSON)
        arrived = Arrived(
            tenant=arrival.channel.tenant,
            channel=arrival.channel.id,
            contact=person.contact,
            sender=arrival.sender,
            heard=heard,
            received=self._clock.now_ms(),
        )
        self._metrics.hear(heard.kind)
        if person.joins is not None or person.ousts is not None:
            await self._arrive_elsewhere(arrival, arrived, person)
            return
        if heard.kind in ("edit", "revoke") and not await self._has_come(person, heard):
            arrived = replace(arrived, early=True)
        await self._put(person.conversation, _encode(arrived), heard.id, heard.at)

    async def _has_come(self, person: Person, heard: Heard) -> bool:
        """Whether the message that this one is about lies in its conversation's lane, or was there."""
        days = [heard.at // DAY_S - n for n in range(ABOUT_DAYS)]
        shard = self._lanes.shard(person.conversation)
        return await self._lanes.has_seen(shard, heard.reply_to, days)

    async def _arrive_elsewhere(self, arrival: Arrival, arrived: Arrived, person: Person) -> None:
        """The sender's phone leads to another contact."""
        channel, heard = arrival.channel, arrival.heard
        if person.ousts is not None:
            await self._move(
                Move(channel, arrival.sender, heard.id, "recycled", heard.at), person.ousts
            )
            await self._put(person.conversation, _encode(arrived), heard.id, heard.at)
            return
        assert person.joins is not None
        for each in self._channels_of(channel.tenant):
            joined = Joined(
                tenant=channel.tenant,
                channel=each.id,
                contact=person.joins,
                into=person.contact,
                sender=arrival.sender,
            )
            await self._tell(joined, f"{person.joins}>{person.contact}", heard.at)
        # Behind what they wrote before: from there it goes on to where it belongs.
        there = conversation_of(channel.id, person.joins)
        await self._put(there, _encode(arrived), heard.id, heard.at)

    # -------------------------------------------------------------- what is no message

    async def _happen(self, happening: Happening) -> None:
        channel, sender = happening.channel, happening.sender
        match happening:
            case Move():
                self._metrics.hear("moved")
                known = await self._addresses.find(channel, sender)
                if known is None:
                    # Nobody here had these addresses: there is nothing to close.
                    self._metrics.count("moved_unknown", happening.why)
                else:
                    await self._move(happening, known.contact)
            case Echo(heard=heard):
                self._metrics.hear("echo")
                [person] = await self._addresses.resolve([(channel, sender)])
                echoed = Echoed(
                    tenant=channel.tenant,
                    channel=channel.id,
                    contact=person.contact,
                    sender=sender,
                    heard=heard,
                )
                await self._tell(echoed, heard.id, heard.at)
            case Preference(marketing=marketing, at=at):
                self._metrics.hear("preference")
                [person] = await self._addresses.resolve([(channel, sender)])
                preferred = Preferred(
                    tenant=channel.tenant,
                    channel=channel.id,
                    contact=person.contact,
                    sender=sender,
                    marketing=marketing,
                    at=at,
                )
                await self._tell(preferred, f"marketing:{marketing}:{at}", at)

    async def _move(self, move: Move, contact: ContactId) -> None:
        """A contact is one on all numbers of the firm, and so are the addresses that are closed."""
        for each in self._channels_of(move.channel.tenant):
            moved = Moved(
                tenant=move.channel.tenant,
                channel=each.id,
                contact=contact,
                sender=move.sender,
                why=move.why,
                at=move.at,
            )
            mark = contact if move.why == "recycled" else move.id
            await self._tell(moved, f"{move.why}:{mark}", move.at)

    async def _tell(self, event: Echoed | Preferred | Moved | Joined, mark: str, at: int) -> None:
        """Put an event into the lane of its own conversation, once."""
        conversation = conversation_of(event.channel, event.contact)
        # Several conversations of a shard may hear of the same.
        mark = mark if isinstance(event, Echoed) else f"{mark}:{conversation}"
        await self._put(conversation, _encode(event), mark, at)

    async def _put(self, conversation: ConversationId, body: bytes, mark: str, at: int) -> None:
        shard = self._lanes.shard(conversation)
        take = self._room() > self._asking
        self._asking += take
        try:
            answer = await self._lanes.put(
                shard,
                f"conv/{conversation}",
                body,
                mark=mark,
                # The day of the event's own timestamp: a redelivery falls into the same bucket of marks.
                day=at // DAY_S,
                take=take,
            )
        finally:
            self._asking -= take
        match answer:
            case Put.SEEN:
                self._metrics.hear("again")
            case Put.WAITING:
                self._bell.ring(shard, "conv")
            case taken:
                self._take(taken)

    # -------------------------------------------------------------- statuses

    async def _status(self, status: StatusSeen) -> None:
        self._metrics.hear(status.status)
        await self._confirm(self._shard_of(status), [status])

    async def _statuses(self, statuses: Sequence[StatusSeen]) -> None:
        by_shard: dict[int, list[StatusSeen]] = {}
        for status in statuses:
            self._metrics.hear(status.status)
            by_shard.setdefault(self._shard_of(status), []).append(status)
        failed = [status for status in statuses if status.status == "failed"]
        await asyncio.gather(
            *(self._confirm(shard, group) for shard, group in by_shard.items()),
            *map(self._fail, failed),
        )

    def _shard_of(self, status: StatusSeen) -> int:
        return self._lanes.shard(_conversation_of(status.item) or status.wamid)

    async def _confirm(self, shard: int, statuses: list[StatusSeen]) -> None:
        """One journal line for all of them; for items still in a lane, the proof that they took effect."""
        kept = await self._lanes.confirm(
            shard,
            SEND_KIND,
            _encode(StatusRecord(tuple(statuses))),
            [(status.item, status.wamid.encode()) for status in statuses if status.item],
        )
        if kept:
            self._bell.ring(shard, SEND_KIND)

    async def _fail(self, status: StatusSeen) -> None:
        """Meta took a message and did not deliver it: the conversation hears of it."""
        conversation = _conversation_of(status.item)
        if conversation is None:
            return
        refused = Refused(
            ref="",
            fault=fault_of(status.code).name,
            code=status.code,
            item=status.item,
            wamid=status.wamid,
        )
        await self._put(conversation, _encode(refused), f"{status.wamid}!failed", status.at)


def _conversation_of(item: ItemId) -> ConversationId | None:
    """The conversation whose send lane an item belongs to; None for an id that is not one of ours."""
    kind, _, rest = item.partition("/")
    conversation, colon, _ = rest.partition(":")
    return ConversationId(conversation) if kind == SEND_KIND and colon else None
