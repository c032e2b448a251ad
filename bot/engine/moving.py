"""What a turn makes of contacts that get other addresses, that are joined, and of what comes to them since."""

from typing import assert_never

from msgspec import Raw
from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.conversation import Conversation
from bot.engine.conversation import encode as encode_conversation
from bot.engine.draft import MOVED, Draft
from bot.engine.hearing import (
    SETTLE_MS,
)
from bot.people.addresses import conversation_of
from flows.dialog.events import FileLost
from flows.values.ids import ConversationId
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
    JoinedRecord,
    MovedRecord,
)
from handlers.moves import Close, Forward, Settle, Void

_json = Encoder().encode


def on_moved(draft: Draft, moved: Moved) -> None:
    """The contact is not surely the same person any more: the session ends, what they proved is void."""
    at_ms = moved.at * 1000 or draft.now_ms
    leaves = moved.why != "identity"
    for parked in draft.now.parked if leaves else ():
        draft.give_up(parked.ref, MOVED)
    known = draft.now.sender
    draft.now = replace(
        draft.now,
        # The visits go on being counted: what an old one still asks for must not answer a new one.
        session=replace(draft.book.fresh(draft.root), seq=draft.now.session.seq),
        proofs_from=max(draft.now.proofs_from, at_ms // 1000),
        left=draft.now.left or leaves,
        parked=() if leaves else draft.now.parked,
        early=(),
    )
    lane = f"people/{draft.id}"
    senders = (moved.sender, *([known] if known != Sender() else []))
    if leaves:
        close = Close(channel=draft.now.channel, contact=draft.now.contact, senders=senders)
        draft.pushes.append((lane, _json(close)))
    # The last: it waits while PostgreSQL is away.
    void = Void(draft.now.channel, senders, moved.why, moved.phone)
    draft.pushes.append((lane, _json(void)))
    draft.records.append(
        MovedRecord(
            tenant=draft.now.tenant,
            contact=draft.now.contact,
            conversation=draft.id,
            at=at_ms,
            why=moved.why,
            closed=leaves,
        )
    )


def on_joined(draft: Draft, joined: Joined) -> None:
    """All that this conversation is goes over, and all that still comes follows it."""
    old = draft.now
    if old.into:
        return
    draft.now = Conversation(
        tenant=old.tenant,
        channel=old.channel,
        contact=old.contact,
        sender=joined.sender,
        turn=old.turn,
        into=joined.into,
        settle_ms=draft.now_ms + SETTLE_MS,
    )
    over = HandedOver(
        tenant=old.tenant,
        channel=old.channel,
        contact=joined.into,
        sender=joined.sender,
        state=Raw(encode_conversation(old)),
    )
    forward(draft, over)
    draft.records.append(
        JoinedRecord(tenant=old.tenant, contact=old.contact, into=joined.into, at=draft.now_ms)
    )


def is_elsewhere(draft: Draft, event: Event) -> bool:
    """Whether an event that comes to a contact who was joined, or who left, belongs to another conversation."""
    match event:
        case Arrived():
            return True
        case Joined():
            return False
        case _:
            return bool(draft.now.into)


def forward(draft: Draft, event: Event) -> None:
    """On to the conversation that an event belongs to."""
    into, to = draft.now.into, ConversationId("")
    if isinstance(event, Arrived) and event.contact != draft.now.contact:
        into = event.contact
    if into:
        to = conversation_of(draft.now.channel, into)
        if not isinstance(event, Answered | Refused | FileLost):
            event = replace(event, contact=into)
    mark, at = _mark(draft, event)
    forward = Forward(event=Raw(_json(event)), mark=mark, at=at, to=to)
    draft.pushes.append((f"people/{draft.id}", _json(forward)))
    if isinstance(event, Arrived) and draft.now.into:
        draft.now = replace(draft.now, settle_ms=draft.now_ms + SETTLE_MS)


def _mark(draft: Draft, event: Event) -> tuple[str, int]:
    """What makes an event itself in any shard, and its own time (seconds since the epoch)."""
    match event:
        case Arrived(heard=heard) | Echoed(heard=heard):
            return heard.id, heard.at
        case Answered(result=result):
            return f"{draft.id}:result:{result.seq}", 0
        case Refused(ref=ref, item=item, wamid=wamid, fault=fault, say=say):
            told = "told" if say is None else "said"
            return f"{draft.id}:refused:{ref}:{item}:{wamid}:{fault}:{told}", 0
        case Proposed(id=proposal):
            return f"{draft.id}:proposed:{proposal}", 0
        case FileLost(message=message):
            return f"{draft.id}:lost:{message}", 0
        case Preferred(marketing=marketing, at=at):
            return f"{draft.id}:marketing:{marketing}:{at}", at
        case Moved(why=why, at=at):
            return f"{draft.id}:moved:{why}:{at}", at
        case Joined(contact=contact) | HandedOver(contact=contact):
            return f"{draft.id}:joined:{contact}", 0
        case other:
            assert_never(other)


def settle(draft: Draft) -> None:
    """Once nothing has come by the old way for a while, the phone leads to the joined contact."""
    if draft.now.settle_ms and draft.now.settle_ms <= draft.now_ms:
        settle = Settle(channel=draft.now.channel, contact=draft.now.into, sender=draft.now.sender)
        if settle.sender.wa_id:
            draft.pushes.append((f"people/{draft.id}", _json(settle)))
        draft.now = replace(draft.now, settle_ms=0)
