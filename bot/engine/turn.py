"""A turn: from what a conversation is and what happened to it, to what is decided. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from msgspec import Raw
from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.conversation import BULK_REMEMBERED, Conversation, Parked, paced
from bot.engine.conversation import decode as decode_conversation
from bot.engine.conversation import encode as encode_conversation
from bot.engine.hearing import (
    CORRECTS,
    EARLY_MAX,
    SETTLE_MS,
    apply_corrections,
    correction,
    handed_over,
    met,
    quiet_minutes,
    waiting,
    wordless,
)
from bot.engine.knock import DECLINED, KNOCK, LET_IN, knock
from bot.engine.roots import customers
from bot.people.addresses import conversation_of
from flows.customer.shop import shown
from flows.dialog.advance import Book, Turn
from flows.dialog.calls import encode as encode_args
from flows.dialog.content import Content, Document, Form, Link, Reply, Template, Text, opens_form
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, Consented, Ended, HandOff, Stopped
from flows.dialog.events import Event as FlowEvent
from flows.dialog.events import FileLost, Heard, Unshown, Wake
from flows.dialog.question import read_tap
from flows.intents import put_into_words
from flows.login import ENTRY
from flows.values.ids import ChannelId, ConversationId, ItemId, TenantId, Wamid
from flows.values.secrets import mask_secrets
from flows.window import (
    OPENING,
    UNTIL_THEY_WRITE,
    Category,
    Park,
    Refuse,
    Rescue,
    Send,
    SendTemplate,
    free_until,
    heard_at,
    may_knock,
    open_until,
)
from flows.window import decide as may_say
from handlers.actions import Ask, FetchMedia, FormTicket, MarkRead, Recall, Say
from handlers.events import (
    Answered,
    Arrived,
    Echoed,
    Event,
    HandedOver,
    Joined,
    Moved,
    Preferred,
    Proposed,
    Refused,
    Sender,
)
from handlers.journal import (
    ConsentChange,
    Correction,
    JoinedRecord,
    MovedRecord,
    Otherwise,
    ParkedRecord,
    Record,
    RefusedRecord,
    Said,
    TurnRecord,
)
from handlers.moves import Close, Forward, Settle, Void
from handlers.whatsapp.faults import AfterTaken, Fault, Mark, fault_of

PAUSE_FACTOR: Final = 4  # a person who never stops typing is answered after so many pauses
PARKED_MAX: Final = 20
OFFERS_A_FILE: Final = (Reply(LET_IN),)
"""The buttons of a template whose file waits for the tap."""
PARKED_FOR: Final = timedelta(days=7)
"""So long a message waits for the person that does not say for how long it is worth saying."""
KNOCK_EVERY_MS: Final = 7 * 86_400_000
OFFERS_REST_MS: Final = 86_400_000  # Meta: none within 24 hours after error 131049
UNREACHABLE_MS: Final = 7 * 86_400_000
"""So long a number that Meta could not deliver to is left alone; our choice: each try weighs on the firm's quality."""
AGAIN_MS: Final = 10_000
"""The rest before a message that Meta took and did not deliver is sent once more. What follows it waits, too."""
SETTLED: Final = frozenset(("expired", "budget_spent", "unconfirmed"))
"""Faults after which nothing waits, even what a template stood for."""
DAY_S: Final = 86_400
FORM_MS: Final = 24 * 3_600_000  # a form is not answered later: its question is forgotten by then
UNSEEN: Final = "undeliverable"
MOVED: Final = "moved"  # the person has other addresses now
TIMERS_MAX: Final = 50  # in one decision: a flow whose timers set timers is a defect

NOTHING: Final = Wamid("")
NO_ITEM: Final = ItemId("")

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
    *,
    root_of: Callable[[ChannelId], str] = customers,
    knock_every_ms: int = KNOCK_EVERY_MS,
) -> Decision:
    """Run the flow over the waiting events.

    Messages written within the pause that the waiting state asks for are one turn; anything else is a turn
    each. `consumed` may be smaller than the number of events, when the person may still be typing.

    `root_of`: the root flow of a channel's conversations, by name. `knock_every_ms`: how often a person may be asked to tap so that what waits for them can be said; 0 = never.

    Raises:
        UnknownConversationError: nobody to attribute the event to.
    """
    first = events[0] if events else None
    if rest is None:
        if first is None or isinstance(first, Answered | Refused | FileLost):
            raise UnknownConversationError("no state and no message that opens one")
        root = root_of(first.channel)
        rest = Conversation(
            tenant=first.tenant,
            channel=first.channel,
            contact=first.contact,
            session=book.fresh(root),
        )
    else:
        root = root_of(rest.channel)
    firm = firm_of(rest.tenant)
    if firm is None:
        raise UnknownConversationError("the firm is not in the directory")
    return _Run(book, root, firm_of, firm, id, rest, now_ms, knock_every_ms).through(events)


def without_secrets(heard: Heard) -> Heard:
    """The message as it may be written down: card numbers and passwords masked."""
    text = mask_secrets(heard.text)
    return heard if text == heard.text else replace(heard, text=text)


def without_keys(said: Said) -> Said:
    """What was said as it may be written down: a link that lets its holder in leads to the page alone."""
    match said.content:
        case Link(url=url) if ENTRY in url:
            return replace(said, content=replace(said.content, url=url.partition(ENTRY)[0]))
        case Text(body=body) if ENTRY in body:
            return replace(said, content=replace(said.content, body=body.partition(ENTRY)[0]))
        case _:
            return said


@dataclass(slots=True)
class _Run:
    book: Book
    root: str
    firm_of: Callable[[TenantId], Firm | None]
    firm: Firm
    id: ConversationId
    now: Conversation
    now_ms: int
    knock_every_ms: int
    pushes: list[tuple[str, bytes]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    applied: frozenset[Wamid] = frozenset()
    """Edits and revokes that have changed a message before it was read."""

    def through(self, events: Sequence[Event]) -> Decision:
        events, self.applied = apply_corrections(events, self.now.early)
        used, hold_ms = 0, 0
        self._expire()
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
                case Proposed() as proposed:
                    self._proposed(proposed)
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
            # A message has its row before it is told that it waits: the journal may be read in between.
            records=tuple(
                sorted(self.records, key=lambda record: not isinstance(record, TurnRecord))
            ),
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
        self.now = replace(self.now, sender=met(self.now.sender, group[-1].sender))
        for arrived in group:
            self._opens(arrived)
        taps = tuple(a.heard for a in group if a.heard.choice in (LET_IN, DECLINED))
        if self.now.parked and taps:
            self._let_in(taps)
            group = [a for a in group if a.heard not in taps]
            if not group:
                return
        self._unpark()
        if self.applied or any(a.heard.kind in CORRECTS for a in group):
            self._corrected(group)
            return
        heard = tuple(a.heard for a in group)
        self._fetch_media(heard)
        self._advance(heard, heard=heard)

    def _opens(self, arrived: Arrived) -> None:
        """What a message of the person opens."""
        heard = arrived.heard
        at = heard_at(heard.at, arrived.received)
        if heard.kind not in OPENING or at < self.now.last_in:
            return
        self.now = replace(
            self.now,
            last_in=at,
            shut=False,
            unreachable_until=0,
            offers_from=0 if self.now.offers_from == UNTIL_THEY_WRITE else self.now.offers_from,
            came_at=at * 1000 if heard.referral is not None else self.now.came_at,
        )

    def _let_in(self, taps: tuple[Heard, ...]) -> None:
        """They tapped on a knock: what waits is said, or not wanted any more. There is nothing more to answer."""
        self._note(heard=taps)
        if taps[-1].choice == LET_IN:
            self._unpark()
            return
        for parked in self.now.parked:
            self._give_up(parked.ref, "declined")
        self.now = replace(self.now, parked=())

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
            self.now = replace(
                self.now,
                marketing=preferred.marketing,
                declined=not preferred.marketing,
                preferred=preferred.at,
            )
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
            self._give_up(parked.ref, MOVED)
        known = self.now.sender
        self.now = replace(
            self.now,
            # The visits go on being counted: what an old one still asks for must not answer a new one.
            session=replace(self.book.fresh(self.root), seq=self.now.session.seq),
            proofs_from=max(self.now.proofs_from, at_ms // 1000),
            left=self.now.left or leaves,
            parked=() if leaves else self.now.parked,
            early=(),
        )
        lane = f"people/{self.id}"
        senders = (moved.sender, *([known] if known != Sender() else []))
        if leaves:
            close = Close(channel=self.now.channel, contact=self.now.contact, senders=senders)
            self.pushes.append((lane, _json(close)))
        # The last: it waits while PostgreSQL is away.
        void = Void(self.now.channel, senders, moved.why, moved.phone)
        self.pushes.append((lane, _json(void)))
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
            case Refused(ref=ref, item=item, wamid=wamid, fault=fault, say=say):
                told = "told" if say is None else "said"
                return f"{self.id}:refused:{ref}:{item}:{wamid}:{fault}:{told}", 0
            case Proposed(id=proposal):
                return f"{self.id}:proposed:{proposal}", 0
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

    # -------------------------------------------------------------- refusals

    def _refused(self, refused: Refused) -> None:
        # Code 0 is Meta's too (a token), and ours is that of no code.
        fault = fault_of(refused.code) if refused.code or refused.wamid else None
        say = refused.say
        if fault is not None and (refused.wamid == NOTHING or say is None):
            self._remember(fault, refused)  # a second event tells of the same
        if say is None:
            if refused.fault == UNSEEN and self.book.has_other_way(self.now.session):
                # An old client shows no form, and then Meta says no more than this. If it was another message
                # that did not arrive, the person is asked once more than needed.
                self._advance((Unshown(self.now.session.seq, refused.fault),))
            elif fault is not None and refused.wamid and fault.after_taken is not AfterTaken.TELL:
                self._recall(refused)
            return
        if fault is not None and fault.mark is Mark.SHUT:
            # The person may have written since; but Meta is not contradicted twice.
            wrote_since = self.now.last_in * 1000 > say.at
            self.now = replace(self.now, shut=self.now.shut or say.again or not wrote_since)
        if refused.replaced:
            if say.instead is not None and say.instead.buttons == OFFERS_A_FILE:
                file = f"{say.ref}-file"
                self._note(said=(Said(file, say.content),))
                self._park(file, say.content, answers=True, expires=0)
            return
        if fault is not None and refused.wamid:
            self._undelivered(fault, refused, say)
        elif self._waits(refused, fault, say):
            self._keep(say, again=fault is not None)
        else:
            self._unshown(say.content, refused.fault)

    def _unshown(self, content: Content, fault: str) -> None:
        asked = read_tap(content.token) if isinstance(content, Form) else None
        if asked is not None:
            self._advance((Unshown(asked[0], fault),))

    def _waits(self, refused: Refused, fault: Fault | None, say: Say) -> bool:
        """Whether a message that did not leave, or what it stood for, waits for the person."""
        if refused.fault == "window_closed":
            return True
        stood_in = bool(say.stands_for) or (fault is not None and fault.template)
        return say.answers and stood_in and refused.fault not in SETTLED

    def _undelivered(self, fault: Fault, refused: Refused, say: Say) -> None:
        """Meta took it, and it did not arrive."""
        is_code = isinstance(say.content, Template) and say.content.code
        match fault.after_taken:
            case AfterTaken.AGAIN if not say.again and not is_code:
                self._push(replace(say, again=True, not_before=self.now_ms + AGAIN_MS))
                return
            case AfterTaken.WINDOW if not isinstance(say.content, Template):
                if say.instead is not None and not say.again:
                    template = replace(
                        say,
                        content=say.instead,
                        instead=None,
                        stands_for=(say.content,),
                        again=True,
                    )
                    self._push(template)
                else:
                    self._keep(say, again=True)
                return
            case AfterTaken.WAIT if say.stands_for and say.answers:
                self._keep(say)
                return
            case _:
                self._give_up(say.ref, fault.name, item=refused.item, code=refused.code)
                self._unshown(say.content, fault.name)

    def _keep(self, say: Say, *, again: bool = False) -> None:
        """What could not be said freely waits; if the person wrote meanwhile, it is said now."""
        if say.stands_for:
            contents = say.stands_for
            refs = _refs(f"{self.id}-{self.now.turn + 1}", contents)
            otherwise = Otherwise(answers=say.answers, expires=say.expires)
            kept = zip(refs, contents, strict=True)
            self._note(said=tuple(Said(ref, content, otherwise) for ref, content in kept))
        elif not isinstance(say.content, Template):
            contents, refs = (say.content,), [say.ref]
        else:
            return
        is_open = self.now_ms < self._open_until()
        for ref, content in zip(refs, contents, strict=True):
            if is_open:
                # The person wrote after the message was decided: the sender could not know.
                self._push_say(ref, content, answers=say.answers, expires=say.expires, again=again)
            else:
                self._park(ref, content, answers=say.answers, expires=say.expires)
        if not is_open:
            self._knock(answers=say.answers)

    def _remember(self, fault: Fault, refused: Refused) -> None:
        match fault.mark:
            case Mark.NO_OFFERS:
                self.now = replace(self.now, marketing=False, declined=True)
                evidence = refused.wamid or Wamid(refused.item)
                self._note(consents=(ConsentChange("marketing", granted=False, evidence=evidence),))
            case Mark.OFFERS_TOMORROW:
                from_ms = max(self.now.offers_from, self.now_ms + OFFERS_REST_MS)
                self.now = replace(self.now, offers_from=from_ms)
            case Mark.OFFERS_ASKED_FOR:
                self.now = replace(self.now, offers_from=UNTIL_THEY_WRITE)
            case Mark.UNREACHABLE:
                self.now = replace(self.now, unreachable_until=self.now_ms + UNREACHABLE_MS)
            case Mark.SHUT | None:
                pass  # whether the window is closed depends on when the message was said
            case other:
                assert_never(other)

    def _recall(self, refused: Refused) -> None:
        recall = Recall(
            tenant=self.now.tenant,
            wamid=refused.wamid,
            item=refused.item,
            fault=refused.fault,
            code=refused.code,
            at=self.now_ms,
        )
        self.pushes.append((f"recall/{self.id}", _json(recall)))

    # -------------------------------------------------------------- what waits

    def _park(self, ref: str, content: Content, *, answers: bool, expires: int) -> None:
        if self.now.left:
            self._give_up(ref, MOVED)
            return
        expires = expires or self.now_ms + int(PARKED_FOR.total_seconds() * 1000)
        if expires <= self.now_ms:
            self._give_up(ref, "expired")
            return
        parked = (*self.now.parked, Parked(ref, content, expires, answers))
        for given_up in parked[:-PARKED_MAX]:
            self._give_up(given_up.ref, "too_many_parked")
        self.now = replace(self.now, parked=parked[-PARKED_MAX:])
        self.records.append(
            ParkedRecord(tenant=self.now.tenant, ref=ref, at=self.now_ms, until=expires)
        )

    def _unpark(self) -> None:
        if not self.now.parked or self.now_ms >= self._open_until():
            return  # a message that comes a day late opens nothing
        for parked in self.now.parked:
            self._push_say(
                parked.ref, parked.content, answers=parked.answers, expires=parked.expires
            )
        self.now = replace(self.now, parked=())

    def _expire(self) -> None:
        for parked in self.now.parked:
            if parked.expires <= self.now_ms:
                self._give_up(parked.ref, "expired")
        left = tuple(parked for parked in self.now.parked if parked.expires > self.now_ms)
        if len(left) < len(self.now.parked):
            self.now = replace(self.now, parked=left)

    def _knock(self, *, answers: bool) -> None:
        """Ask the person to tap, if something waits that they asked for and they were not asked lately."""
        if not self.now.parked or not may_knock(
            self.now_ms, knocked=self.now.knocked, every_ms=self.knock_every_ms
        ):
            return
        # Whether Meta lets it out is known when it leaves.
        verdict = may_say(
            self.now.window,
            self.now_ms,
            rescue=Rescue(KNOCK, reopens=True),
            terms=self.now.terms(answers=answers),
        )
        if not answers or verdict != Park(knock=KNOCK):
            return
        self.now = replace(self.now, knocked=self.now_ms)
        template = knock(
            self.firm,
            name=self.now.sender.name,
            asked_at=self.now.last_in,
            locale=self.now.session.locale or self.firm.locale,
        )
        ref = f"{self.id}-{self.now.turn + 1}"
        self._note(said=(Said(ref, template),))
        self._push_say(ref, template, once=True)

    def _note(
        self,
        *,
        heard: Sequence[Heard] = (),
        said: tuple[Said, ...] = (),
        consents: tuple[ConsentChange, ...] = (),
        by_hand: tuple[Heard, ...] = (),
        corrections: tuple[Correction, ...] = (),
    ) -> None:
        """A turn that the flow has no part in."""
        told = heard or by_hand or corrections or consents
        self.now = replace(self.now, turn=self.now.turn + 1)
        self.records.append(
            TurnRecord(
                tenant=self.now.tenant,
                channel=self.now.channel,
                contact=self.now.contact,
                conversation=self.id,
                turn=self.now.turn,
                at=self.now_ms,
                # Addresses that were left are not theirs again by what is written down later.
                sender=self.now.sender if told and not self.now.left else None,
                heard=tuple(map(without_secrets, heard)),
                said=said,
                state=self.now.session.state,
                consents=consents,
                by_hand=tuple(map(without_secrets, by_hand)),
                corrections=corrections,
            )
        )

    def _give_up(
        self,
        ref: str,
        fault: str,
        *,
        item: ItemId = NO_ITEM,
        code: int = 0,
    ) -> None:
        """A message that will never arrive: recorded, so that it is not missed in silence."""
        self.records.append(
            RefusedRecord(
                tenant=self.now.tenant, ref=ref, item=item, at=self.now_ms, fault=fault, code=code
            )
        )

    # -------------------------------------------------------------- what the firm's own system wants said

    def _proposed(self, proposed: Proposed) -> None:
        """It has its place among all that happens here, and the window decides its form. No question is touched."""
        known, told = self.now.sender, proposed.sender
        sender = replace(known, wa_id=known.wa_id or told.wa_id, bsuid=known.bsuid or told.bsuid)
        if not (sender.wa_id or sender.bsuid):
            self._give_up(proposed.id, "unknown_contact")
            return
        consents = self._permitted(proposed)
        said: list[Said] = []
        if fault := self._unfit(proposed):
            self._give_up(proposed.id, fault)
            if not consents:
                return
        self.now = replace(self.now, sender=sender, turn=self.now.turn + 1)
        if not fault:
            said = self._say_proposed(proposed)
        self.records.append(
            TurnRecord(
                tenant=self.now.tenant,
                channel=self.now.channel,
                contact=self.now.contact,
                conversation=self.id,
                turn=self.now.turn,
                at=self.now_ms,
                # Addresses that the person never wrote from are known from here alone.
                sender=sender if known == Sender() else None,
                said=tuple(said),
                state=self.now.session.state,
                consents=consents,
            )
        )

    def _say_proposed(self, proposed: Proposed) -> list[Said]:
        locale = self.now.session.locale or proposed.locale or self.firm.locale
        words = put_into_words(
            proposed.intent, self.firm, self.book.texts.voice(locale), self._at(self.now_ms)
        )
        template = words.template
        if isinstance(words.free, Document):
            # It can hold no file, so it offers one.
            template = replace(template, buttons=OFFERS_A_FILE)
        pushed = len(self.pushes)
        said = self._say(
            proposed.id,
            Turn(self.now.session, words.free, template=None if proposed.waits else template),
            reads=NOTHING,
            asked=False,
            category=proposed.intent.category,
            expires=proposed.expires,
        )
        if isinstance(words.free, Document) and any(one.content == template for one in said):
            # What was offered is kept as long as everything that waits, however short-lived the offer is.
            file = f"{proposed.id}-file"
            self._park(file, words.free, answers=True, expires=0)
            said.append(Said(ref=file, content=words.free))
        if proposed.cap is not None and len(self.pushes) > pushed:
            bulk = (*self.now.bulk, self.now_ms // 1000)[-BULK_REMEMBERED:]
            self.now = replace(self.now, bulk=bulk)
        return said

    def _permitted(self, proposed: Proposed) -> tuple[ConsentChange, ...]:
        """What the firm says that the person allowed; what they said here themselves stands above it."""
        told = proposed.permission
        if told is None or self.now.stopped:
            return ()
        if told.purpose == "marketing":
            if self.now.declined or self.now.marketing:
                return ()
            self.now = replace(self.now, marketing=True)
        else:
            self.now = replace(self.now, agreed=True)
        evidence = Wamid(f"api: {told.evidence}")
        return (ConsentChange(told.purpose, granted=True, evidence=evidence),)

    def _unfit(self, proposed: Proposed) -> str:
        """Why it may not be said, window or not; empty if it may."""
        if self.now_ms >= proposed.expires:
            return "expired"
        if proposed.intent.category == "marketing" and not self.now.marketing:
            # An open window does not make an offer welcome.
            return "opted_out" if self.now.stopped else "no_consent"
        return "" if self._has_room(proposed) else "contact_cap"

    def _has_room(self, proposed: Proposed) -> bool:
        """Whether the person had less of campaigns than the cap allows."""
        if proposed.cap is None:
            return True
        since = self.now_ms // 1000 - proposed.cap.days * DAY_S
        return sum(at > since for at in self.now.bulk) < proposed.cap.messages

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
        turn = self.book.advance(self.now.session, events, ctx, root=self.root, firms=self._shown)
        number = self.now.turn + 1
        self.now = replace(self.now, session=turn.session, turn=number)
        said: list[Said] = []
        waiting = len(self.now.parked)
        if turn.message is not None:
            reads = heard[-1].id if heard and self._shows_reading() else NOTHING
            said = self._say(f"{self.id}-{number}", turn, reads=reads, asked=not unasked)
        elif heard and self._shows_reading() and not turn.session.quiet_until:
            typing = any(isinstance(e, Asked) for e in turn.effects)
            self._push_read(heard[-1].id, typing=typing)
        consents, handoff, ended = self._effects(turn, heard)
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
                said=tuple(map(without_keys, said)),
                state=turn.session.state,
                ended=ended,
                consents=consents,
                handoff=handoff,
                corrections=corrections,
            )
        )
        if len(self.now.parked) > waiting:
            self._knock(answers=not unasked)

    def _effects(
        self, turn: Turn, heard: tuple[Heard, ...]
    ) -> tuple[tuple[ConsentChange, ...], str | None, tuple[str, ...]]:
        evidence = heard[-1].id if heard else NOTHING
        consents: list[ConsentChange] = []
        handoff: str | None = None
        ended: list[str] = []
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
                    self.now = replace(
                        self.now, stopped=True, agreed=False, marketing=False, declined=True
                    )
                    consents += [
                        ConsentChange("notices", granted=False, evidence=evidence),
                        ConsentChange("marketing", granted=False, evidence=evidence),
                    ]
                case Consented(purpose=purpose, granted=granted):
                    if purpose == "notices":
                        self.now = replace(self.now, stopped=not granted, agreed=granted)
                    else:
                        self.now = replace(self.now, marketing=granted, declined=not granted)
                    consents.append(ConsentChange(purpose, granted=granted, evidence=evidence))
                case Ended():
                    ended.append(effect.word)
                case other:
                    assert_never(other)
        return tuple(consents), handoff, tuple(ended)

    def _shown(self, tenant: TenantId) -> Firm | None:
        """Another firm as far as its bot may be shown here: what it tells its customers, and nothing of theirs."""
        return shown(self.firm_of(tenant))

    # -------------------------------------------------------------- actions

    def _open_until(self) -> int:
        return open_until(self.now.window)

    def _say(
        self,
        ref: str,
        turn: Turn,
        *,
        reads: Wamid,
        asked: bool,
        category: Category = "utility",
        expires: int = 0,
    ) -> list[Said]:
        """Say what a turn says; several messages in order, each an item of its own with its own reference.

        What is decided here is decided again when it leaves: then the person may have written, or have had enough.
        `category`: of its template. `expires`: as `Say.expires`.
        """
        assert turn.message is not None
        template = turn.template
        if turn.worth is not None:
            expires = self.now_ms + int(turn.worth.total_seconds() * 1000)
        contents = (*turn.ahead, turn.message)
        verdict = may_say(
            self.now.window,
            self.now_ms,
            rescue=None if template is None else Rescue(template.name, category),
            terms=self.now.terms(answers=asked),
        )
        if isinstance(verdict, SendTemplate):
            assert template is not None
            self._push_say(ref, template, stands_for=contents, answers=asked, expires=expires)
            otherwise = Otherwise(stands_for=contents, answers=asked, expires=expires)
            return [Said(ref, template, otherwise)]
        refs = _refs(ref, contents)
        for n, (each, content) in enumerate(zip(refs, contents, strict=True)):
            match verdict:
                case Send():
                    first, last = n == 0, n == len(contents) - 1
                    self._push_say(
                        each,
                        content,
                        instead=template if last else None,
                        answers=asked,
                        expires=expires,
                        reads=reads if first else NOTHING,
                        quotes=turn.quotes if first else NOTHING,
                    )
                case Park():
                    self._park(each, content, answers=asked, expires=expires)
                case Refuse(reason=reason):
                    self._give_up(each, reason.value)
                case other:
                    assert_never(other)
        ending = Otherwise(instead=template, answers=asked, expires=expires)
        ahead = ending if len(refs) == 1 else replace(ending, instead=None)
        return [
            Said(each, content, ending if content is turn.message else ahead)
            for each, content in zip(refs, contents, strict=True)
        ]

    def _push_say(
        self,
        ref: str,
        content: Content,
        *,
        instead: Template | None = None,
        stands_for: tuple[Content, ...] = (),
        answers: bool = True,
        expires: int = 0,
        again: bool = False,
        once: bool = False,
        reads: Wamid = NOTHING,
        quotes: Wamid = NOTHING,
    ) -> None:
        self._push(
            Say(
                tenant=self.now.tenant,
                channel=self.now.channel,
                ref=ref,
                content=content,
                at=self.now_ms,
                instead=instead,
                stands_for=stands_for,
                answers=answers,
                expires=expires,
                again=again,
                once=once,
                quotes=quotes,
                reads=reads,
            )
        )

    def _push(self, say: Say) -> None:
        """Into the lane, to the person as they are known now and at the pace that Meta allows."""
        if self.now.left:
            # Whoever has these addresses now is somebody else.
            self._give_up(say.ref, MOVED)
            return
        pair_ms, not_before = paced(self.now.pair_ms, self.now_ms)
        self.now = replace(self.now, pair_ms=pair_ms)
        if self.now.came_at and not isinstance(say.content, Template):
            until = free_until(first_answer=self.now_ms, came_at=self.now.came_at)
            self.now = replace(self.now, came_at=0, free_until=until)
        ticket = None
        if opens_form(say.content):
            ticket = FormTicket(
                conversation=self.id,
                contact=self.now.contact,
                locale=self.now.session.locale or self.firm.locale,
                until_ms=self.now_ms + FORM_MS,
            )
        say = replace(
            say,
            channel=self.now.channel,
            at=self.now_ms,
            to=self.now.sender.wa_id,
            recipient="" if self.now.sender.wa_id else self.now.sender.bsuid,
            open_until=self._open_until(),
            not_before=max(not_before, say.not_before),
            ticket=ticket,
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
        moments = [parked.expires for parked in self.now.parked]
        moments += [early.until for early in self.now.early]
        if self.now.settle_ms:
            moments.append(self.now.settle_ms)
        if at is not None:
            moments.append(int(at.timestamp() * 1000))
        return min(moments, default=0)


def _refs(ref: str, contents: Sequence[Content]) -> list[str]:
    """A reference for each message of a turn; the plain one if there is only one."""
    return [f"{ref}-{n}" for n in range(1, len(contents) + 1)] if len(contents) > 1 else [ref]
