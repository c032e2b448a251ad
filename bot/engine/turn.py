"""A turn: from what a conversation is and what happened to it, to what is decided. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from msgspec import Raw
from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.conversation import Conversation, Parked, paced
from bot.engine.conversation import decode as decode_conversation
from bot.engine.conversation import encode as encode_conversation
from bot.engine.hearing import (
    CORRECTS,
    EARLY_MAX,
    OPENS_NOTHING,
    SETTLE_MS,
    apply_corrections,
    correction,
    handed_over,
    met,
    quiet_minutes,
    waiting,
    wordless,
)
from bot.people.addresses import conversation_of
from flows.dialog.advance import Book, Turn
from flows.dialog.calls import encode as encode_args
from flows.dialog.content import Content, Form, Template, opens_form
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, Consented, Ended, HandOff, Stopped
from flows.dialog.events import Event as FlowEvent
from flows.dialog.events import FileLost, Heard, Unshown, Wake
from flows.dialog.question import read_tap
from flows.values.ids import ConversationId, ItemId, TenantId, Wamid
from flows.values.secrets import mask_secrets
from flows.window import Park, Refuse, Rescue, Send, SendTemplate, Terms, Window, open_until
from flows.window import decide as may_say
from handlers.actions import Ask, Close, FetchMedia, Forward, MarkRead, Say, Settle, Void
from handlers.events import (
    Answered,
    Arrived,
    Echoed,
    Event,
    HandedOver,
    Joined,
    Moved,
    Preferred,
    Refused,
    Sender,
)
from handlers.journal import (
    ConsentChange,
    Correction,
    JoinedRecord,
    MovedRecord,
    Record,
    RefusedRecord,
    Said,
    TurnRecord,
)
from handlers.ports import FormTicket

PAUSE_FACTOR: Final = 4  # a person who never stops typing is answered after so many pauses
PARKED_MAX: Final = 20
PARKED_FOR: Final = timedelta(days=7)
FORM_MS: Final = 24 * 3_600_000  # a form is not answered later: its question is forgotten by then
UNSEEN: Final = "undeliverable"
TIMERS_MAX: Final = 50  # in one decision: a flow whose timers set timers is a defect

NOTHING: Final = Wamid("")

_json = Encoder().encode


class UnknownConversationError(Exception):
    """The first event of a conversation does not say whose it is, or its firm is not known (yet)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one commit writes."""

    conversation: Conversation
    consumed: int
    """How many of the waiting events were used up, from the head."""
    wake_ms: int
    """When to look again though nothing happened, ms since the epoch; 0 = never."""
    pushes: tuple[tuple[str, bytes], ...]
    """(lane, body) of each action, in order."""
    records: tuple[Record, ...]


def decide(
    book: Book,
    firm_of: Callable[[TenantId], Firm | None],
    id: ConversationId,
    rest: Conversation | None,
    events: Sequence[Event],
    now_ms: int,
) -> Decision:
    """Run the flow over the waiting events.

    Messages written within the pause that the waiting state asks for are one turn; anything else is a turn
    each. `consumed` may be smaller than the number of events, when the person may still be typing.

    Raises:
        UnknownConversationError: nobody to attribute the event to.
    """
    first = events[0] if events else None
    if rest is None:
        if first is None or isinstance(first, Answered | Refused | FileLost):
            raise UnknownConversationError("no state and no message that opens one")
        rest = Conversation(
            tenant=first.tenant, channel=first.channel, contact=first.contact, session=book.fresh()
        )
    firm = firm_of(rest.tenant)
    if firm is None:
        raise UnknownConversationError("the firm is not in the directory")
    return _Run(book, firm, id, rest, now_ms).through(events)


def without_secrets(heard: Heard) -> Heard:
    """The message as it may be written down: card numbers and passwords masked."""
    text = mask_secrets(heard.text)
    return heard if text == heard.text else replace(heard, text=text)


@dataclass(slots=True)
class _Run:
    book: Book
    firm: Firm
    id: ConversationId
    now: Conversation
    now_ms: int
    pushes: list[tuple[str, bytes]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    applied: frozenset[Wamid] = frozenset()
    """Edits and revokes that have changed a message before it was read."""

    def through(self, events: Sequence[Event]) -> Decision:
        events, self.applied = apply_corrections(events, self.now.early)
        used, hold_ms = 0, 0
        while used < len(events):
            match events[used]:
                case Arrived(contact=contact) as stray if contact != self.now.contact:
                    self._forward(stray)
                    used += 1
                case event if (self.now.into or self.now.left) and self._is_elsewhere(event):
                    self._forward(event)
                    used += 1
                case Arrived(heard=heard) if self.applied and heard.id in self.applied:
                    self._used_up(heard, events[:used])
                    used += 1
                case Arrived() as first:
                    # A timer that came before it may lead to another state, with a pause of its own.
                    self._timers(first.received or self.now_ms)
                    group = self._group(events, used)
                    hold_ms = self._hold_until(group)
                    if hold_ms:
                        break
                    self._arrived(group)
                    used += len(group)
                case Answered(result=result):
                    self._advance((result,))
                    used += 1
                case Refused() as refused:
                    self._refused(refused)
                    used += 1
                case Echoed() as echoed:
                    self._echoed(echoed)
                    used += 1
                case Preferred() as preferred:
                    self._preferred(preferred)
                    used += 1
                case Moved() as moved:
                    self._moved(moved)
                    used += 1
                case Joined() as joined:
                    self._joined(joined)
                    used += 1
                case HandedOver(state=state):
                    self.now = handed_over(self.now, decode_conversation(state))
                    used += 1
                case FileLost() as lost:
                    self._advance((lost,))
                    used += 1
                case other:
                    assert_never(other)
        if not events:
            self._timers(self.now_ms)
            self._settle()
        if self.now.early:
            self._wait_no_longer()
        return Decision(
            conversation=self.now,
            consumed=used,
            # A timer that is due waits for what is held or lies in the lane unseen: that may have come first.
            wake_ms=hold_ms or self._wake_ms(),
            pushes=tuple(self.pushes),
            records=tuple(self.records),
        )

    # -------------------------------------------------------------- messages

    def _pause_ms(self) -> int:
        return self.now.session.pause_ms

    def _group(self, events: Sequence[Event], start: int) -> list[Arrived]:
        group: list[Arrived] = []
        for event in events[start:]:
            if not isinstance(event, Arrived) or (group and not self._pause_ms()):
                break
            if event.contact != self.now.contact or event.heard.id in self.applied:
                break
            group.append(event)
        return group

    def _hold_until(self, group: list[Arrived]) -> int:
        """When these messages are due (ms since the epoch); 0 = now."""
        pause = self._pause_ms()
        if not pause or any(a.heard.kind in ("tap", "row") for a in group):
            return 0
        due = min(group[-1].received + pause, group[0].received + PAUSE_FACTOR * pause)
        return due if due > self.now_ms else 0

    def _arrived(self, group: list[Arrived]) -> None:
        last = group[-1]
        last_in, referred, is_usual = self.now.last_in, self.now.referred, not self.applied
        for heard in (arrived.heard for arrived in group):
            if heard.kind not in OPENS_NOTHING:
                last_in = max(last_in, heard.at)
            if heard.kind in CORRECTS:
                is_usual = False
            if heard.referral is not None:
                referred = max(referred, heard.at)
        self.now = replace(
            self.now, sender=met(self.now.sender, last.sender), last_in=last_in, referred=referred
        )
        self._unpark()
        if is_usual:
            said = tuple(a.heard for a in group)
            self._fetch_media(said)
            self._advance(said, heard=said)
        else:
            self._corrected(group)

    # -------------------------------------------------------------- corrections

    def _corrected(self, group: Sequence[Arrived]) -> None:
        """Messages with edits and revokes among them; those that changed an unread message have done so already."""
        kept: list[Heard] = []
        late: list[Heard] = []
        for arrived in group:
            heard = arrived.heard
            if heard.kind not in CORRECTS:
                kept.append(heard)
            elif arrived.early:
                early = (*self.now.early, waiting(heard, self.now_ms))
                self.now = replace(self.now, early=early[-EARLY_MAX:])
            else:
                late.append(heard)
        if self.now.early:
            come = {heard.id for heard in kept}
            left = tuple(e for e in self.now.early if e.heard.reply_to not in come)
            self.now = replace(self.now, early=left)
        self._hear(kept, late)

    def _used_up(self, by: Heard, before: Sequence[Event]) -> None:
        """A correction that has changed a message that is among the waiting events."""
        if not any(isinstance(e, Arrived) and e.heard.id == by.reply_to for e in before):
            # That message comes after it, and may be held: then the correction must not be forgotten.
            early = (*self.now.early, waiting(by, self.now_ms))
            self.now = replace(self.now, early=early[-EARLY_MAX:])

    def _hear(self, kept: Sequence[Heard], late: Sequence[Heard]) -> None:
        """What is there to be answered is; the rest is written down.

        Args:
            kept: messages, in order; those that were taken back say nothing any more.
            late: corrections of messages that were read before.
        """
        self._fetch_media(kept)
        edits = [by for by in late if by.kind == "edit"]
        said = (*(h for h in kept if h.changed != "revoked"), *edits)
        heard = (*kept, *map(wordless, edits))
        corrections = tuple(map(correction, late))
        if said:
            self._advance(said, heard=heard, corrections=corrections)
        elif heard or corrections:
            self._note(heard=heard, corrections=corrections)

    def _wait_no_longer(self) -> None:
        """Edits whose message never came are heard: they are what the person wants to have said."""
        over = [e for e in self.now.early if e.until <= self.now_ms]
        if over:
            left = tuple(e for e in self.now.early if e.until > self.now_ms)
            self.now = replace(self.now, early=left)
            self._hear((), [e.heard for e in over if e.heard.kind == "edit"])

    def _note(
        self,
        *,
        heard: Sequence[Heard] = (),
        by_hand: tuple[Heard, ...] = (),
        corrections: tuple[Correction, ...] = (),
        consents: tuple[ConsentChange, ...] = (),
    ) -> None:
        """A turn that decides nothing, for the journal."""
        number = self.now.turn + 1
        self.now = replace(self.now, turn=number)
        self.records.append(
            TurnRecord(
                tenant=self.now.tenant,
                channel=self.now.channel,
                contact=self.now.contact,
                conversation=self.id,
                turn=number,
                at=self.now_ms,
                # Addresses that were left are not theirs again by what is written down later.
                sender=None if self.now.left else self.now.sender,
                heard=tuple(map(without_secrets, heard)),
                state=self.now.session.state,
                consents=consents,
                by_hand=tuple(map(without_secrets, by_hand)),
                corrections=corrections,
            )
        )

    # -------------------------------------------------------------- what is no message

    def _echoed(self, echoed: Echoed) -> None:
        """Somebody of the firm wrote by hand: the bot lets them speak."""
        heard = echoed.heard
        if self.now.sender == Sender():
            self.now = replace(self.now, sender=echoed.sender)
        if heard.kind in CORRECTS:
            self._note(corrections=(correction(heard),))
            return
        self._fetch_media((heard,))
        self._note(by_hand=(heard,))
        minutes = quiet_minutes(self.firm.settings)
        until = (heard.at or self.now_ms // 1000) + minutes * 60
        if minutes and heard.kind != "reaction" and until * 1000 > self.now_ms:
            session = self.now.session
            self.now = replace(
                self.now,
                session=replace(session, quiet_until=max(session.quiet_until, until)),
            )

    def _preferred(self, preferred: Preferred) -> None:
        """In the ledger at once; what holds is what they said last, whichever came first."""
        if self.now.sender == Sender():
            self.now = replace(self.now, sender=preferred.sender)
        if preferred.at >= self.now.preferred:
            self.now = replace(self.now, marketing=preferred.marketing, preferred=preferred.at)
        word = "resume" if preferred.marketing else "stop"
        evidence = Wamid(f"user_preferences:{word}:{preferred.at}")
        self._note(
            consents=(ConsentChange("marketing", granted=preferred.marketing, evidence=evidence),)
        )

    def _moved(self, moved: Moved) -> None:
        """The contact is not surely the same person any more: the session ends, what they proved is void."""
        at_ms = moved.at * 1000 or self.now_ms
        leaves = moved.why != "identity"
        for parked in self.now.parked if leaves else ():
            self._give_up(parked.ref, "moved")
        known = self.now.sender
        self.now = replace(
            self.now,
            # The visits go on being counted: what an old one still asks for must not answer a new one.
            session=replace(self.book.fresh(), seq=self.now.session.seq),
            proofs_from=max(self.now.proofs_from, at_ms // 1000),
            left=self.now.left or leaves,
            parked=() if leaves else self.now.parked,
            early=(),
        )
        lane = f"people/{self.id}"
        void = Void(tenant=self.now.tenant, contact=self.now.contact, at=at_ms)
        self.pushes.append((lane, _json(void)))
        if leaves:
            close = Close(
                channel=self.now.channel,
                contact=self.now.contact,
                senders=(moved.sender, *([known] if known != Sender() else [])),
            )
            self.pushes.append((lane, _json(close)))
        self.records.append(
            MovedRecord(
                tenant=self.now.tenant,
                contact=self.now.contact,
                conversation=self.id,
                at=at_ms,
                why=moved.why,
                closed=leaves,
            )
        )

    def _joined(self, joined: Joined) -> None:
        """All that this conversation is goes over, and all that still comes follows it."""
        old = self.now
        if old.into:
            return
        self.now = Conversation(
            tenant=old.tenant,
            channel=old.channel,
            contact=old.contact,
            sender=joined.sender,
            turn=old.turn,
            into=joined.into,
            settle_ms=self.now_ms + SETTLE_MS,
        )
        over = HandedOver(
            tenant=old.tenant,
            channel=old.channel,
            contact=joined.into,
            sender=joined.sender,
            state=Raw(encode_conversation(old)),
        )
        self._forward(over)
        self.records.append(
            JoinedRecord(tenant=old.tenant, contact=old.contact, into=joined.into, at=self.now_ms)
        )

    def _is_elsewhere(self, event: Event) -> bool:
        """Whether an event that comes to a contact who was joined, or who left, belongs to another conversation."""
        match event:
            case Arrived():
                return True
            case Joined():
                return False
            case _:
                return bool(self.now.into)

    def _forward(self, event: Event) -> None:
        into, to = self.now.into, ConversationId("")
        if isinstance(event, Arrived) and event.contact != self.now.contact:
            into = event.contact
        if into:
            to = conversation_of(self.now.channel, into)
            if not isinstance(event, Answered | Refused | FileLost):
                event = replace(event, contact=into)
        mark, at = self._mark(event)
        forward = Forward(event=Raw(_json(event)), mark=mark, at=at, to=to)
        self.pushes.append((f"people/{self.id}", _json(forward)))
        if isinstance(event, Arrived) and self.now.into:
            self.now = replace(self.now, settle_ms=self.now_ms + SETTLE_MS)

    def _mark(self, event: Event) -> tuple[str, int]:
        """What makes an event itself in any shard, and its own time (seconds since the epoch)."""
        match event:
            case Arrived(heard=heard) | Echoed(heard=heard):
                return heard.id, heard.at
            case Answered(result=result):
                return f"{self.id}:result:{result.seq}", 0
            case Refused(ref=ref, item=item, fault=fault):
                return f"{self.id}:refused:{ref or item}:{fault}", 0
            case FileLost(message=message):
                return f"{self.id}:lost:{message}", 0
            case Preferred(marketing=marketing, at=at):
                return f"{self.id}:marketing:{marketing}:{at}", at
            case Moved(why=why, at=at):
                return f"{self.id}:moved:{why}:{at}", at
            case Joined(contact=contact) | HandedOver(contact=contact):
                return f"{self.id}:joined:{contact}", 0
            case other:
                assert_never(other)

    def _settle(self) -> None:
        if self.now.settle_ms and self.now.settle_ms <= self.now_ms:
            settle = Settle(channel=self.now.channel, contact=self.now.into, sender=self.now.sender)
            if settle.sender.wa_id:
                self.pushes.append((f"people/{self.id}", _json(settle)))
            self.now = replace(self.now, settle_ms=0)

    def _fetch_media(self, heard: Sequence[Heard]) -> None:
        for message in heard:
            if message.media is not None:
                fetch = FetchMedia(
                    tenant=self.now.tenant,
                    channel=self.now.channel,
                    message=message.id,
                    media=message.media,
                    at=self.now_ms,
                )
                self.pushes.append((f"media/{self.id}", _json(fetch)))

    # -------------------------------------------------------------- refusals

    def _refused(self, refused: Refused) -> None:
        if refused.content is None:
            if refused.fault == UNSEEN and self.book.has_other_way(self.now.session):
                # An old client shows no form, and then Meta says no more than this. If it was another message
                # that did not arrive, the person is asked once more than needed.
                self._advance((Unshown(self.now.session.seq, refused.fault),))
            return
        if refused.fault != "window_closed":
            self._unshown(refused.content, refused.fault)
            return
        if self.now_ms < self._open_until():
            # The person wrote after the message was decided: the sender could not know.
            self._push_say(refused.ref, refused.content, None)
        else:
            self._park(refused.ref, refused.content)

    def _unshown(self, content: Content, fault: str) -> None:
        asked = read_tap(content.token) if isinstance(content, Form) else None
        if asked is not None:
            self._advance((Unshown(asked[0], fault),))

    def _park(self, ref: str, content: Content) -> None:
        expires = self.now_ms + int(PARKED_FOR.total_seconds() * 1000)
        parked = (*self.now.parked, Parked(ref=ref, content=content, expires=expires))
        for given_up in parked[:-PARKED_MAX]:
            self._give_up(given_up.ref, "too_many_parked")
        self.now = replace(self.now, parked=parked[-PARKED_MAX:])

    def _unpark(self) -> None:
        if not self.now.parked or self.now_ms >= self._open_until():
            return  # a message that comes a day late opens nothing
        for parked in self.now.parked:
            if parked.expires > self.now_ms:
                self._push_say(parked.ref, parked.content, None)
            else:
                self._give_up(parked.ref, "expired")
        self.now = replace(self.now, parked=())

    def _give_up(self, ref: str, fault: str) -> None:
        """A message that will never leave: recorded, so that it is not missed in silence."""
        self.records.append(
            RefusedRecord(
                tenant=self.now.tenant, ref=ref, item=ItemId(""), at=self.now_ms, fault=fault
            )
        )

    # -------------------------------------------------------------- the flow

    def _timers(self, until_ms: int) -> None:
        for _ in range(TIMERS_MAX):
            due = self.now.session.due(self._at(until_ms))
            if not due:
                return
            self._advance(due)
        raise RuntimeError("timers set timers without end")

    def _advance(
        self,
        events: Sequence[FlowEvent],
        *,
        heard: tuple[Heard, ...] = (),
        corrections: tuple[Correction, ...] = (),
    ) -> None:
        unasked = not heard and any(isinstance(e, Wake) for e in events)
        locale = self.now.session.locale or self.firm.locale
        ctx = Ctx(
            now=self._at(self.now_ms),
            firm=self.firm,
            contact=self.now.contact,
            name=self.now.sender.name,
            locale=locale,
            proofs_from=self._at(self.now.proofs_from * 1000) if self.now.proofs_from else None,
        )
        turn = self.book.advance(self.now.session, events, ctx)
        number = self.now.turn + 1
        self.now = replace(self.now, session=turn.session, turn=number)
        said: list[Said] = []
        if turn.message is not None:
            reads = heard[-1].id if heard and self._shows_reading() else NOTHING
            said = self._say(f"{self.id}-{number}", turn, reads=reads, asked=not unasked)
        elif heard and self._shows_reading() and not turn.session.quiet_until:
            typing = any(isinstance(e, Asked) for e in turn.effects)
            self._push_read(heard[-1].id, typing=typing)
        consents, handoff = self._effects(turn, heard)
        self.records.append(
            TurnRecord(
                tenant=self.now.tenant,
                channel=self.now.channel,
                contact=self.now.contact,
                conversation=self.id,
                turn=number,
                at=self.now_ms,
                sender=self.now.sender if heard else None,
                heard=tuple(map(without_secrets, heard)),
                said=tuple(said),
                state=turn.session.state,
                consents=consents,
                handoff=handoff,
                corrections=corrections,
            )
        )

    def _effects(
        self, turn: Turn, heard: tuple[Heard, ...]
    ) -> tuple[tuple[ConsentChange, ...], str | None]:
        evidence = heard[-1].id if heard else NOTHING
        consents: list[ConsentChange] = []
        handoff: str | None = None
        for effect in turn.effects:
            match effect:
                case Asked(seq=seq, call=call):
                    ask = Ask(
                        tenant=self.now.tenant,
                        channel=self.now.channel,
                        contact=self.now.contact,
                        conversation=self.id,
                        seq=seq,
                        call=type(call).__name__,
                        args=encode_args(call),
                    )
                    self.pushes.append((f"{call.topic}/{self.id}", _json(ask)))
                case HandOff(team=team):
                    handoff = team
                case Stopped():
                    self.now = replace(self.now, stopped=True, marketing=False)
                    consents += [
                        ConsentChange("notices", granted=False, evidence=evidence),
                        ConsentChange("marketing", granted=False, evidence=evidence),
                    ]
                case Consented(purpose=purpose, granted=granted):
                    if purpose == "notices":
                        self.now = replace(self.now, stopped=not granted)
                    else:
                        self.now = replace(self.now, marketing=granted)
                    consents.append(ConsentChange(purpose, granted=granted, evidence=evidence))
                case Ended():
                    pass
                case other:
                    assert_never(other)
        return tuple(consents), handoff

    # -------------------------------------------------------------- actions

    def _open_until(self) -> int:
        return open_until(self._window())

    def _window(self) -> Window:
        return Window(last_in=self.now.last_in * 1000)

    def _say(self, ref: str, turn: Turn, *, reads: Wamid, asked: bool) -> list[Said]:
        """Say what a turn says; several messages in order, each an item of its own with its own reference."""
        assert turn.message is not None
        template = turn.template
        terms = Terms(answers=asked, opted_out=self.now.stopped, marketing=self.now.marketing)
        rescue = None if template is None else Rescue(template.name)
        verdict = may_say(self._window(), self.now_ms, rescue=rescue, terms=terms)
        if isinstance(verdict, SendTemplate):
            assert template is not None
            self._push_say(ref, template, None)
            return [Said(ref=ref, content=template)]
        contents = (*turn.ahead, turn.message)
        refs = [f"{ref}-{n}" for n in range(1, len(contents) + 1)] if turn.ahead else [ref]
        for n, (each, content) in enumerate(zip(refs, contents, strict=True)):
            match verdict:
                case Send():
                    first, last = n == 0, n == len(contents) - 1
                    self._push_say(
                        each,
                        content,
                        template if last else None,
                        reads=reads if first else NOTHING,
                        quotes=turn.quotes if first else NOTHING,
                    )
                case Park():
                    self._park(each, content)
                case Refuse(reason=reason):
                    self._give_up(each, reason.value)
                case other:
                    assert_never(other)
        parked = isinstance(verdict, Park)
        return [
            Said(ref=each, content=content, parked=parked)
            for each, content in zip(refs, contents, strict=True)
        ]

    def _push_say(
        self,
        ref: str,
        content: Content,
        instead: Template | None,
        *,
        reads: Wamid = NOTHING,
        quotes: Wamid = NOTHING,
    ) -> None:
        pair_ms, not_before = paced(self.now.pair_ms, self.now_ms)
        self.now = replace(self.now, pair_ms=pair_ms)
        ticket = None
        if opens_form(content):
            ticket = FormTicket(
                conversation=self.id,
                contact=self.now.contact,
                locale=self.now.session.locale or self.firm.locale,
                until_ms=self.now_ms + FORM_MS,
            )
        say = Say(
            tenant=self.now.tenant,
            channel=self.now.channel,
            ref=ref,
            content=content,
            at=self.now_ms,
            to=self.now.sender.wa_id,
            recipient="" if self.now.sender.wa_id else self.now.sender.bsuid,
            open_until=self._open_until(),
            not_before=not_before,
            instead=instead,
            quotes=quotes,
            ticket=ticket,
            reads=reads,
        )
        self.pushes.append((f"wa/{self.id}", _json(say)))

    def _push_read(self, message: Wamid, *, typing: bool) -> None:
        read = MarkRead(
            tenant=self.now.tenant,
            channel=self.now.channel,
            message=message,
            typing=typing,
            at=self.now_ms,
        )
        self.pushes.append((f"wa/{self.id}", _json(read)))

    def _shows_reading(self) -> bool:
        return self.firm.settings.get("read_receipts") != "no"

    # -------------------------------------------------------------- time

    def _at(self, ms: int) -> datetime:
        return datetime.fromtimestamp(ms / 1000, ZoneInfo(self.firm.zone))

    def _wake_ms(self) -> int:
        at = self.now.session.wake_at()
        wake_ms = 0 if at is None else int(at.timestamp() * 1000)
        if self.now.early or self.now.settle_ms:
            others = [self.now.settle_ms, *(each.until for each in self.now.early)]
            return min(ms for ms in (wake_ms, *others) if ms)
        return wake_ms
