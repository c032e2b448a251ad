"""A turn: from what a conversation is and what happened to it, to what is decided. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.conversation import Conversation
from bot.engine.conversation import decode as decode_conversation
from bot.engine.draft import (
    KNOCK_EVERY_MS,
    Draft,
)
from bot.engine.flowing import advance, run_timers
from bot.engine.hearing import (
    CORRECTS,
    EARLY_MAX,
    apply_corrections,
    correction,
    handed_over,
    met,
    quiet_minutes,
    waiting,
    wordless,
)
from bot.engine.knock import DECLINED, LET_IN
from bot.engine.moving import forward, is_elsewhere, on_joined, on_moved, settle
from bot.engine.proposed import on_proposed
from bot.engine.refusals import on_refused
from bot.engine.roots import customers
from flows.dialog.advance import Book
from flows.dialog.ctx import Firm
from flows.dialog.events import FileLost, Heard
from flows.values.ids import ChannelId, ConversationId, TenantId, Wamid
from flows.window import (
    OPENING,
    UNTIL_THEY_WRITE,
    heard_at,
)
from handlers.actions import FetchMedia
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
from handlers.journal import ConsentChange, Record, TurnRecord

PAUSE_FACTOR: Final = 4  # a person who never stops typing is answered after so many pauses

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
    return _through(Draft(book, root, firm_of, firm, id, rest, now_ms, knock_every_ms), events)


def _through(draft: Draft, events: Sequence[Event]) -> Decision:
    events, draft.applied = apply_corrections(events, draft.now.early)
    used, hold_ms = 0, 0
    draft.expire()
    while used < len(events):
        match events[used]:
            case Arrived(contact=contact) as stray if contact != draft.now.contact:
                forward(draft, stray)
                used += 1
            case event if (draft.now.into or draft.now.left) and is_elsewhere(draft, event):
                forward(draft, event)
                used += 1
            case Arrived(heard=heard) if draft.applied and heard.id in draft.applied:
                _used_up(draft, heard, events[:used])
                used += 1
            case Arrived() as first:
                # A timer that came before it may lead to another state, with a pause of its own.
                run_timers(draft, first.received or draft.now_ms)
                group = _group(draft, events, used)
                hold_ms = _hold_until(draft, group)
                if hold_ms:
                    break
                _arrived(draft, group)
                used += len(group)
            case Answered(result=result):
                advance(draft, (result,))
                used += 1
            case Refused() as refused:
                on_refused(draft, refused)
                used += 1
            case Proposed() as proposed:
                on_proposed(draft, proposed)
                used += 1
            case Echoed() as echoed:
                _echoed(draft, echoed)
                used += 1
            case Preferred() as preferred:
                _preferred(draft, preferred)
                used += 1
            case Moved() as moved:
                on_moved(draft, moved)
                used += 1
            case Joined() as joined:
                on_joined(draft, joined)
                used += 1
            case HandedOver(state=state):
                draft.now = handed_over(draft.now, decode_conversation(state))
                used += 1
            case FileLost() as lost:
                advance(draft, (lost,))
                used += 1
            case other:
                assert_never(other)
    if not events:
        run_timers(draft, draft.now_ms)
        settle(draft)
    if draft.now.early:
        _wait_no_longer(draft)
    return Decision(
        conversation=draft.now,
        consumed=used,
        # A timer that is due waits for what is held or lies in the lane unseen: that may have come first.
        wake_ms=hold_ms or draft.wake_ms(),
        pushes=tuple(draft.pushes),
        # A message has its row before it is told that it waits: the journal may be read in between.
        records=tuple(sorted(draft.records, key=lambda record: not isinstance(record, TurnRecord))),
    )


def _pause_ms(draft: Draft) -> int:
    return draft.now.session.pause_ms


def _group(draft: Draft, events: Sequence[Event], start: int) -> list[Arrived]:
    group: list[Arrived] = []
    for event in events[start:]:
        if not isinstance(event, Arrived) or (group and not _pause_ms(draft)):
            break
        if event.contact != draft.now.contact or event.heard.id in draft.applied:
            break
        group.append(event)
    return group


def _hold_until(draft: Draft, group: list[Arrived]) -> int:
    """When these messages are due (ms since the epoch); 0 = now."""
    pause = _pause_ms(draft)
    if not pause or any(a.heard.kind in ("tap", "row") for a in group):
        return 0
    due = min(group[-1].received + pause, group[0].received + PAUSE_FACTOR * pause)
    return due if due > draft.now_ms else 0


def _arrived(draft: Draft, group: list[Arrived]) -> None:
    draft.now = replace(draft.now, sender=met(draft.now.sender, group[-1].sender))
    for arrived in group:
        _opens(draft, arrived)
    taps = tuple(a.heard for a in group if a.heard.choice in (LET_IN, DECLINED))
    if draft.now.parked and taps:
        _let_in(draft, taps)
        group = [a for a in group if a.heard not in taps]
        if not group:
            return
    draft.unpark()
    if draft.applied or any(a.heard.kind in CORRECTS for a in group):
        _corrected(draft, group)
        return
    heard = tuple(a.heard for a in group)
    _fetch_media(draft, heard)
    advance(draft, heard, heard=heard)


def _opens(draft: Draft, arrived: Arrived) -> None:
    """What a message of the person opens."""
    heard = arrived.heard
    at = heard_at(heard.at, arrived.received)
    if heard.kind not in OPENING or at < draft.now.last_in:
        return
    draft.now = replace(
        draft.now,
        last_in=at,
        shut=False,
        unreachable_until=0,
        offers_from=0 if draft.now.offers_from == UNTIL_THEY_WRITE else draft.now.offers_from,
        came_at=at * 1000 if heard.referral is not None else draft.now.came_at,
    )


def _let_in(draft: Draft, taps: tuple[Heard, ...]) -> None:
    """They tapped on a knock: what waits is said, or not wanted any more. There is nothing more to answer."""
    draft.note(heard=taps)
    if taps[-1].choice == LET_IN:
        draft.unpark()
        return
    for parked in draft.now.parked:
        draft.give_up(parked.ref, "declined")
    draft.now = replace(draft.now, parked=())


def _fetch_media(draft: Draft, heard: Sequence[Heard]) -> None:
    for message in heard:
        if message.media is not None:
            fetch = FetchMedia(
                tenant=draft.now.tenant,
                channel=draft.now.channel,
                message=message.id,
                media=message.media,
                at=draft.now_ms,
            )
            draft.pushes.append((f"media/{draft.id}", _json(fetch)))


def _corrected(draft: Draft, group: Sequence[Arrived]) -> None:
    """Messages with edits and revokes among them; those that changed an unread message have done so already."""
    kept: list[Heard] = []
    late: list[Heard] = []
    for arrived in group:
        heard = arrived.heard
        if heard.kind not in CORRECTS:
            kept.append(heard)
        elif arrived.early:
            early = (*draft.now.early, waiting(heard, draft.now_ms))
            draft.now = replace(draft.now, early=early[-EARLY_MAX:])
        else:
            late.append(heard)
    if draft.now.early:
        come = {heard.id for heard in kept}
        left = tuple(e for e in draft.now.early if e.heard.reply_to not in come)
        draft.now = replace(draft.now, early=left)
    _hear(draft, kept, late)


def _used_up(draft: Draft, by: Heard, before: Sequence[Event]) -> None:
    """A correction that has changed a message that is among the waiting events."""
    if not any(isinstance(e, Arrived) and e.heard.id == by.reply_to for e in before):
        # That message comes after it, and may be held: then the correction must not be forgotten.
        early = (*draft.now.early, waiting(by, draft.now_ms))
        draft.now = replace(draft.now, early=early[-EARLY_MAX:])


def _hear(draft: Draft, kept: Sequence[Heard], late: Sequence[Heard]) -> None:
    """What is there to be answered is; the rest is written down.

    Args:
        kept: messages, in order; those that were taken back say nothing any more.
        late: corrections of messages that were read before.
    """
    _fetch_media(draft, kept)
    edits = [by for by in late if by.kind == "edit"]
    said = (*(h for h in kept if h.changed != "revoked"), *edits)
    heard = (*kept, *map(wordless, edits))
    corrections = tuple(map(correction, late))
    if said:
        advance(draft, said, heard=heard, corrections=corrections)
    elif heard or corrections:
        draft.note(heard=heard, corrections=corrections)


def _wait_no_longer(draft: Draft) -> None:
    """Edits whose message never came are heard: they are what the person wants to have said."""
    over = [e for e in draft.now.early if e.until <= draft.now_ms]
    if over:
        left = tuple(e for e in draft.now.early if e.until > draft.now_ms)
        draft.now = replace(draft.now, early=left)
        _hear(draft, (), [e.heard for e in over if e.heard.kind == "edit"])


def _echoed(draft: Draft, echoed: Echoed) -> None:
    """Somebody of the firm wrote by hand: the bot lets them speak."""
    heard = echoed.heard
    if draft.now.sender == Sender():
        draft.now = replace(draft.now, sender=echoed.sender)
    if heard.kind in CORRECTS:
        draft.note(corrections=(correction(heard),))
        return
    _fetch_media(draft, (heard,))
    draft.note(by_hand=(heard,))
    minutes = quiet_minutes(draft.firm.settings)
    until = (heard.at or draft.now_ms // 1000) + minutes * 60
    if minutes and heard.kind != "reaction" and until * 1000 > draft.now_ms:
        session = draft.now.session
        draft.now = replace(
            draft.now,
            session=replace(session, quiet_until=max(session.quiet_until, until)),
        )


def _preferred(draft: Draft, preferred: Preferred) -> None:
    """In the ledger at once; what holds is what they said last, whichever came first."""
    if draft.now.sender == Sender():
        draft.now = replace(draft.now, sender=preferred.sender)
    if preferred.at >= draft.now.preferred:
        draft.now = replace(
            draft.now,
            marketing=preferred.marketing,
            declined=not preferred.marketing,
            preferred=preferred.at,
        )
    word = "resume" if preferred.marketing else "stop"
    evidence = Wamid(f"user_preferences:{word}:{preferred.at}")
    draft.note(
        consents=(ConsentChange("marketing", granted=preferred.marketing, evidence=evidence),)
    )
