"""The intake: what was heard, into the lanes; durable before anybody is told so."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.json import Encoder
from msgspec.structs import replace

from bot.clock import Clock
from bot.engine.errands import Errands
from bot.engine.journal import PARTS
from bot.lanes import Bell, LaneError, Lanes, Put, StoreLostError, Taken
from bot.metrics import Metrics
from bot.people.addresses import Addresses, Person, conversation_of
from flows.dialog.events import NO_JSON, Heard
from flows.values.ids import NO_CONVERSATION, ContactId, ConversationId, ItemId, TenantId
from flows.values.phone import WaId
from handlers.actions import CODE_LANE
from handlers.events import Arrived, Echoed, Joined, Moved, Preferred, Refused
from handlers.journal import StatusRecord, StatusSeen
from handlers.moves import Void
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
GATHER_S: Final = 0.005
"""Statuses that come one by one wait so long for others: nobody but Meta reads our answer to them, and three follow
each message."""
GATHER_MAX: Final = 100
"""Then they wait no longer."""
ABOUT_DAYS: Final = 3
"""A message may be taken back for two days (Meta), so it may be of two days before."""

Group = tuple[int, int]

_CODE: Final = re.compile(r"\s*\d{3}[ -]?\d{3}\s*", re.ASCII)

_encode = Encoder().encode


class Intake:
    """Implements `handlers.ports.Intake` over the lanes."""

    def __init__(
        self,
        lanes: Lanes,
        bell: Bell,
        addresses: Addresses,
        *,
        errands: Errands,
        clock: Clock,
        metrics: Metrics,
        room: Callable[[], int],
        take: Callable[[Taken], None],
        on_refused_statuses: Callable[[], None],
        channels_of: Callable[[TenantId], Sequence[Channel]],
        void_codes: Callable[[WaId], Awaitable[bool]],
    ) -> None:
        """
        Args:
            void_codes: one-time codes to a phone work no more; whether there were any.
            channels_of: all numbers of a firm: what happens to a contact happens to it on each of them.
            room, take: this process's own runner; a web-only process has no room and rings instead.
            on_refused_statuses: told when statuses may be lost to us until they are told again.
        """
        self._lanes = lanes
        self._bell = bell
        self._addresses = addresses
        self._errands = errands
        self._clock = clock
        self._metrics = metrics
        self._room = room
        self._take = take
        self._asking = 0
        """Lanes that may be ours in a moment: puts under way that would take them."""
        self._gathering: dict[Group, _Gathering] = {}
        self._on_refused_statuses = on_refused_statuses
        self._channels_of = channels_of
        self._void_codes = void_codes

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
        heard = await self._without_code(arrival)
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

    async def _without_code(self, arrival: Arrival) -> Heard:
        """The message; of a one-time code that was typed into the chat nothing is left, neither here nor where it works.

        Six digits are one only while a code to this phone is good: else they may be an order.
        """
        heard, phone = arrival.heard, arrival.sender.wa_id
        if heard.kind not in ("text", "edit") or not phone or not _CODE.fullmatch(heard.text):
            return heard
        if not await self._void_codes(WaId(phone)):
            return heard
        self._metrics.count("code_typed_into_chat")
        return Heard(id=heard.id, at=heard.at, kind="code")

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
                    # Nobody wrote from these addresses, but somebody may have logged in with them.
                    self._metrics.count("moved_unknown", happening.why)
                    void = Void(channel.id, (sender,), happening.why, happening.phone)
                    await self._errands.put(
                        "people",
                        f"{channel.tenant}|{sender.bsuid or sender.wa_id}",
                        _encode(void),
                        mark=happening.id,
                        day=happening.at // DAY_S,
                    )
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
                phone=move.phone,
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
        group = self._group_of(status)
        gathering = self._gathering.get(group)
        if gathering is None:
            gathering = self._gathering[group] = _Gathering()
            asyncio.create_task(self._gather(group, gathering)).add_done_callback(gathering.answer)
        # Each has an answer of their own: whoever asks no more takes nobody's along.
        told = asyncio.get_running_loop().create_future()
        gathering.statuses.append(status)
        gathering.asking.append(told)
        if len(gathering.statuses) == GATHER_MAX:
            del self._gathering[group]
        await told

    async def _gather(self, group: Group, gathering: "_Gathering") -> None:
        await asyncio.sleep(GATHER_S)
        if self._gathering.get(group) is gathering:
            del self._gathering[group]
        await self._confirm(gathering.statuses)

    async def _statuses(self, statuses: Sequence[StatusSeen]) -> None:
        groups: dict[Group, list[StatusSeen]] = {}
        for status in statuses:
            self._metrics.hear(status.status)
            groups.setdefault(self._group_of(status), []).append(status)
        failed = [status for status in statuses if status.status == "failed"]
        await asyncio.gather(*map(self._confirm, groups.values()), *map(self._fail, failed))

    def _group_of(self, status: StatusSeen) -> Group:
        """Of one group are statuses that one line of the journal may hold: one server takes them, one writer writes them."""
        shard = self._shard_of(status)
        return self._lanes.home(shard), shard % PARTS

    def _shard_of(self, status: StatusSeen) -> int:
        return self._lanes.shard(_conversation_of(status.item) or status.wamid)

    async def _confirm(self, statuses: list[StatusSeen]) -> None:
        """One journal line for all of a group; for items still in a lane, the proof that they took effect."""
        kept = await self._lanes.confirm(
            self._shard_of(statuses[0]),
            SEND_KIND,
            _encode(StatusRecord(tuple(statuses))),
            [(status.item, status.wamid.encode()) for status in statuses if status.item],
        )
        for shard in set(kept):
            self._bell.ring(shard, SEND_KIND)

    async def _fail(self, status: StatusSeen) -> None:
        """Meta took a message and did not deliver it: the conversation hears of it."""
        conversation = _conversation_of(status.item)
        if conversation is None:
            return
        if conversation.startswith(CODE_LANE):
            # Nobody waits for a code in a chat: whoever asked for it asks for another.
            self._metrics.count("code_failed", fault_of(status.code).name)
            return
        refused = Refused(
            ref="",
            fault=fault_of(status.code).name,
            code=status.code,
            item=status.item,
            wamid=status.wamid,
        )
        await self._put(conversation, _encode(refused), f"{status.wamid}!failed", status.at)


@dataclass(slots=True)
class _Gathering:
    """Statuses of one group that become durable together, and who waits for that."""

    statuses: list[StatusSeen] = field(default_factory=list)
    asking: list[asyncio.Future[None]] = field(default_factory=list)

    def answer(self, gathered: asyncio.Task[None]) -> None:
        for told in self.asking:
            if told.done():
                continue
            if gathered.cancelled():
                told.cancel()
            elif lost := gathered.exception():
                told.set_exception(lost)
            else:
                told.set_result(None)


def _conversation_of(item: ItemId) -> ConversationId | None:
    """The conversation whose send lane an item belongs to; None for an id that is not one of ours."""
    kind, _, rest = item.partition("/")
    conversation, colon, _ = rest.partition(":")
    return ConversationId(conversation) if kind == SEND_KIND and colon else None
