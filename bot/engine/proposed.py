"""What a turn makes of what the firm's own system wants said."""

from typing import Final

from msgspec.structs import replace

from bot.engine.conversation import BULK_REMEMBERED
from bot.engine.draft import NOTHING, Draft
from bot.engine.knock import LET_IN
from flows.dialog.advance import Turn
from flows.dialog.content import Document, Reply
from flows.intents import put_into_words
from flows.values.ids import Wamid
from handlers.events import (
    Proposed,
    Sender,
)
from handlers.journal import (
    ConsentChange,
    Said,
    TurnRecord,
)

OFFERS_A_FILE: Final = (Reply(LET_IN),)
"""The buttons of a template whose file waits for the tap."""
DAY_S: Final = 86_400


def on_proposed(draft: Draft, proposed: Proposed) -> None:
    """It has its place among all that happens here, and the window decides its form. No question is touched."""
    known, told = draft.now.sender, proposed.sender
    sender = replace(known, wa_id=known.wa_id or told.wa_id, bsuid=known.bsuid or told.bsuid)
    if not (sender.wa_id or sender.bsuid):
        draft.give_up(proposed.id, "unknown_contact")
        return
    consents = _permitted(draft, proposed)
    said: list[Said] = []
    if fault := _unfit(draft, proposed):
        draft.give_up(proposed.id, fault)
        if not consents:
            return
    draft.now = replace(draft.now, sender=sender, turn=draft.now.turn + 1)
    if not fault:
        said = _say_proposed(draft, proposed)
    draft.records.append(
        TurnRecord(
            tenant=draft.now.tenant,
            channel=draft.now.channel,
            contact=draft.now.contact,
            conversation=draft.id,
            turn=draft.now.turn,
            at=draft.now_ms,
            # Addresses that the person never wrote from are known from here alone.
            sender=sender if known == Sender() else None,
            said=tuple(said),
            state=draft.now.session.state,
            consents=consents,
        )
    )


def _say_proposed(draft: Draft, proposed: Proposed) -> list[Said]:
    locale = draft.now.session.locale or proposed.locale or draft.firm.locale
    words = put_into_words(
        proposed.intent, draft.firm, draft.book.texts.voice(locale), draft.at(draft.now_ms)
    )
    template = words.template
    if isinstance(words.free, Document):
        # It can hold no file, so it offers one.
        template = replace(template, buttons=OFFERS_A_FILE)
    pushed = len(draft.pushes)
    said = draft.say(
        proposed.id,
        Turn(draft.now.session, words.free, template=None if proposed.waits else template),
        reads=NOTHING,
        asked=False,
        category=proposed.intent.category,
        expires=proposed.expires,
    )
    if isinstance(words.free, Document) and any(one.content == template for one in said):
        # What was offered is kept as long as everything that waits, however short-lived the offer is.
        file = f"{proposed.id}-file"
        draft.park(file, words.free, answers=True, expires=0)
        said.append(Said(ref=file, content=words.free))
    if proposed.cap is not None and len(draft.pushes) > pushed:
        bulk = (*draft.now.bulk, draft.now_ms // 1000)[-BULK_REMEMBERED:]
        draft.now = replace(draft.now, bulk=bulk)
    return said


def _permitted(draft: Draft, proposed: Proposed) -> tuple[ConsentChange, ...]:
    """What the firm says that the person allowed; what they said here themselves stands above it."""
    told = proposed.permission
    if told is None or draft.now.stopped:
        return ()
    if told.purpose == "marketing":
        if draft.now.declined or draft.now.marketing:
            return ()
        draft.now = replace(draft.now, marketing=True)
    else:
        draft.now = replace(draft.now, agreed=True)
    evidence = Wamid(f"api: {told.evidence}")
    return (ConsentChange(told.purpose, granted=True, evidence=evidence),)


def _unfit(draft: Draft, proposed: Proposed) -> str:
    """Why it may not be said, window or not; empty if it may."""
    if draft.now_ms >= proposed.expires:
        return "expired"
    if proposed.intent.category == "marketing" and not draft.now.marketing:
        # An open window does not make an offer welcome.
        return "opted_out" if draft.now.stopped else "no_consent"
    return "" if _has_room(draft, proposed) else "contact_cap"


def _has_room(draft: Draft, proposed: Proposed) -> bool:
    """Whether the person had less of campaigns than the cap allows."""
    if proposed.cap is None:
        return True
    since = draft.now_ms // 1000 - proposed.cap.days * DAY_S
    return sum(at > since for at in draft.now.bulk) < proposed.cap.messages
