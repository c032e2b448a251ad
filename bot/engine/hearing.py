"""What is heard and is no new message: corrections of messages, contacts that leave, that are joined. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from bot.engine.conversation import BULK_REMEMBERED, Conversation, Early
from flows.dialog.events import Heard, HeardKind
from flows.dialog.session import QUIET_MINUTES
from flows.values.ids import Wamid
from flows.values.secrets import mask_secrets
from handlers.events import Arrived, Event, Sender
from handlers.journal import Correction

EARLY_MAX: Final = 10
"""Corrections that wait for their message; our choice: of what is over the oldest waits no longer."""
EDIT_WAITS_MS: Final = 10 * 60_000
"""For the message that it changes; then its words are heard all the same. Meta repeats at once and more seldom later."""
REVOKE_WAITS_MS: Final = 2 * 86_400_000
"""Meta lets a message be taken back for two days: an older one does not come any more."""
SETTLE_MS: Final = 10_000
"""A phone leads to the joined contact once nothing has come by the old way for so long: longer than a webhook waits for
the store, so nothing overtakes what is still on that way."""

CORRECTS: Final[frozenset[HeardKind]] = frozenset(("edit", "revoke"))

_NONE: Final[frozenset[Wamid]] = frozenset()


def corrected(heard: Heard, by: Heard) -> Heard:
    """A message that was not read yet, as it is after an edit or a revoke."""
    if by.kind == "revoke":
        return Heard(id=heard.id, at=heard.at, kind=heard.kind, changed="revoked")
    media = by.media or heard.media
    return replace(heard, text=by.text, media=media, changed="edited")


def correction(by: Heard) -> Correction:
    """What the journal is told of a correction."""
    text = None if by.kind == "revoke" else mask_secrets(by.text)
    return Correction(about=by.reply_to, at=by.at, text=text)


def wordless(by: Heard) -> Heard:
    """An edit as a message of its own: its words stand where the message that it changed stands."""
    return replace(by, text="", media=None)


def apply_corrections(
    events: Sequence[Event], early: Sequence[Early]
) -> tuple[Sequence[Event], frozenset[Wamid]]:
    """The events with unread messages as they were corrected, and the ids of the corrections that are used up."""
    if not early:
        for event in events:
            if isinstance(event, Arrived) and event.heard.kind in CORRECTS:
                break
        else:
            return events, _NONE
    by_target: dict[Wamid, list[Heard]] = {}
    for by in (
        *(each.heard for each in early),
        *(e.heard for e in events if isinstance(e, Arrived) and e.heard.kind in CORRECTS),
    ):
        by_target.setdefault(by.reply_to, []).append(by)
    used: set[Wamid] = set()
    told: list[Event] = []
    for event in events:
        if isinstance(event, Arrived) and event.heard.kind not in CORRECTS:
            for by in _in_order(by_target.get(event.heard.id, ())):
                used.add(by.id)
                event = replace(event, heard=corrected(event.heard, by))
                if by.kind == "revoke":
                    used |= {each.id for each in by_target[event.heard.id]}
                    break
        told.append(event)
    return told, frozenset(used)


def _in_order(corrections: Sequence[Heard]) -> Sequence[Heard]:
    """By Meta's time; what takes the message back is the last word."""
    return sorted(corrections, key=lambda by: (by.kind == "revoke", by.at))


def quiet_minutes(settings: Mapping[str, str]) -> int:
    """How long the bot is silent after somebody of the firm wrote by hand; 0: not at all."""
    told = settings.get("quiet_minutes", "")
    return int(told) if told.isdecimal() else QUIET_MINUTES


def waiting(heard: Heard, now_ms: int) -> Early:
    wait_ms = EDIT_WAITS_MS if heard.kind == "edit" else REVOKE_WAITS_MS
    return Early(heard=heard, until=now_ms + wait_ms)


def met(known: Sender, comes: Sender) -> Sender:
    """Who wrote, with the name that we know if none was told. Addresses are those that came: only they are sure."""
    if comes.name or not known.name:
        return comes
    return replace(comes, name=known.name, username=comes.username or known.username)


def handed_over(now: Conversation, old: Conversation) -> Conversation:
    """The conversation, with that of the same person under another contact taken in.

    What the person last talked about goes on. Of consents the stricter holds, unless one of the two never spoke.
    """
    newer = old if old.last_in > now.last_in else now
    spoke = [each for each in (now, old) if each.turn]
    return replace(
        now,
        session=newer.session,
        sender=now.sender if now.sender != Sender() else old.sender,
        last_in=max(now.last_in, old.last_in),
        shut=newer.shut,
        came_at=max(now.came_at, old.came_at),
        free_until=max(now.free_until, old.free_until),
        knocked=max(now.knocked, old.knocked),
        preferred=max(now.preferred, old.preferred),
        pair_ms=max(now.pair_ms, old.pair_ms),
        stopped=now.stopped or old.stopped,
        agreed=bool(spoke) and all(each.agreed for each in spoke),
        marketing=bool(spoke) and all(each.marketing for each in spoke),
        declined=now.declined or old.declined,
        offers_from=max(now.offers_from, old.offers_from),
        unreachable_until=max(now.unreachable_until, old.unreachable_until),
        bulk=tuple(sorted((*now.bulk, *old.bulk)))[-BULK_REMEMBERED:],
        parked=(*old.parked, *now.parked),
        early=(*old.early, *now.early)[-EARLY_MAX:],
        proofs_from=max(now.proofs_from, old.proofs_from),
    )
