"""What a turn makes of messages that did not leave or did not arrive: one reaction to each fault."""

from typing import Final, assert_never

from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.draft import NOTHING, Draft, refs_of
from bot.engine.flowing import advance
from bot.engine.proposed import OFFERS_A_FILE
from flows.dialog.content import Content, Form, Template
from flows.dialog.events import Unshown
from flows.dialog.question import read_tap
from flows.values.ids import Wamid
from flows.window import (
    UNTIL_THEY_WRITE,
)
from handlers.actions import Recall, Say
from handlers.events import (
    Refused,
)
from handlers.journal import (
    ConsentChange,
    Otherwise,
    Said,
)
from handlers.whatsapp.faults import AfterTaken, Fault, Mark, fault_of

OFFERS_REST_MS: Final = 86_400_000  # Meta: none within 24 hours after error 131049
UNREACHABLE_MS: Final = 7 * 86_400_000
"""So long a number that Meta could not deliver to is left alone; our choice: each try weighs on the firm's quality."""
AGAIN_MS: Final = 10_000
"""The rest before a message that Meta took and did not deliver is sent once more. What follows it waits, too."""
SETTLED: Final = frozenset(("expired", "budget_spent", "unconfirmed"))
"""Faults after which nothing waits, even what a template stood for."""
UNSEEN: Final = "undeliverable"

_json = Encoder().encode


def on_refused(draft: Draft, refused: Refused) -> None:
    """Meta, or we ourselves, did not let a message out, or Meta tells that it did not arrive."""
    # Code 0 is Meta's too (a token), and ours is that of no code.
    fault = fault_of(refused.code) if refused.code or refused.wamid else None
    say = refused.say
    if fault is not None and (refused.wamid == NOTHING or say is None):
        _remember(draft, fault, refused)  # a second event tells of the same
    if say is None:
        if refused.fault == UNSEEN and draft.book.has_other_way(draft.now.session):
            # An old client shows no form, and then Meta says no more than this. If it was another message
            # that did not arrive, the person is asked once more than needed.
            advance(draft, (Unshown(draft.now.session.seq, refused.fault),))
        elif fault is not None and refused.wamid and fault.after_taken is not AfterTaken.TELL:
            _recall(draft, refused)
        return
    if fault is not None and fault.mark is Mark.SHUT:
        # The person may have written since; but Meta is not contradicted twice.
        wrote_since = draft.now.last_in * 1000 > say.at
        draft.now = replace(draft.now, shut=draft.now.shut or say.again or not wrote_since)
    if refused.replaced:
        if say.instead is not None and say.instead.buttons == OFFERS_A_FILE:
            file = f"{say.ref}-file"
            draft.note(said=(Said(file, say.content),))
            draft.park(file, say.content, answers=True, expires=0)
        return
    if fault is not None and refused.wamid:
        _undelivered(draft, fault, refused, say)
    elif _waits(refused, fault, say):
        _keep(draft, say, again=fault is not None)
    else:
        _unshown(draft, say.content, refused.fault)


def _unshown(draft: Draft, content: Content, fault: str) -> None:
    asked = read_tap(content.token) if isinstance(content, Form) else None
    if asked is not None:
        advance(draft, (Unshown(asked[0], fault),))


def _waits(refused: Refused, fault: Fault | None, say: Say) -> bool:
    """Whether a message that did not leave, or what it stood for, waits for the person."""
    if refused.fault == "window_closed":
        return True
    stood_in = bool(say.stands_for) or (fault is not None and fault.template)
    return say.answers and stood_in and refused.fault not in SETTLED


def _undelivered(draft: Draft, fault: Fault, refused: Refused, say: Say) -> None:
    """Meta took it, and it did not arrive."""
    is_code = isinstance(say.content, Template) and say.content.code
    match fault.after_taken:
        case AfterTaken.AGAIN if not say.again and not is_code:
            draft.push(replace(say, again=True, not_before=draft.now_ms + AGAIN_MS))
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
                draft.push(template)
            else:
                _keep(draft, say, again=True)
            return
        case AfterTaken.WAIT if say.stands_for and say.answers:
            _keep(draft, say)
            return
        case _:
            draft.give_up(say.ref, fault.name, item=refused.item, code=refused.code)
            _unshown(draft, say.content, fault.name)


def _keep(draft: Draft, say: Say, *, again: bool = False) -> None:
    """What could not be said freely waits; if the person wrote meanwhile, it is said now."""
    if say.stands_for:
        contents = say.stands_for
        refs = refs_of(f"{draft.id}-{draft.now.turn + 1}", contents)
        otherwise = Otherwise(answers=say.answers, expires=say.expires)
        kept = zip(refs, contents, strict=True)
        draft.note(said=tuple(Said(ref, content, otherwise) for ref, content in kept))
    elif not isinstance(say.content, Template):
        contents, refs = (say.content,), [say.ref]
    else:
        return
    is_open = draft.now_ms < draft.open_until()
    for ref, content in zip(refs, contents, strict=True):
        if is_open:
            # The person wrote after the message was decided: the sender could not know.
            draft.push_say(ref, content, answers=say.answers, expires=say.expires, again=again)
        else:
            draft.park(ref, content, answers=say.answers, expires=say.expires)
    if not is_open:
        draft.knock(answers=say.answers)


def _remember(draft: Draft, fault: Fault, refused: Refused) -> None:
    match fault.mark:
        case Mark.NO_OFFERS:
            draft.now = replace(draft.now, marketing=False, declined=True)
            evidence = refused.wamid or Wamid(refused.item)
            draft.note(consents=(ConsentChange("marketing", granted=False, evidence=evidence),))
        case Mark.OFFERS_TOMORROW:
            from_ms = max(draft.now.offers_from, draft.now_ms + OFFERS_REST_MS)
            draft.now = replace(draft.now, offers_from=from_ms)
        case Mark.OFFERS_ASKED_FOR:
            draft.now = replace(draft.now, offers_from=UNTIL_THEY_WRITE)
        case Mark.UNREACHABLE:
            draft.now = replace(draft.now, unreachable_until=draft.now_ms + UNREACHABLE_MS)
        case Mark.SHUT | None:
            pass  # whether the window is closed depends on when the message was said
        case other:
            assert_never(other)


def _recall(draft: Draft, refused: Refused) -> None:
    recall = Recall(
        tenant=draft.now.tenant,
        wamid=refused.wamid,
        item=refused.item,
        fault=refused.fault,
        code=refused.code,
        at=draft.now_ms,
    )
    draft.pushes.append((f"recall/{draft.id}", _json(recall)))
