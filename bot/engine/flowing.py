"""Runs a conversation's flow over what happened, and takes down what it wants."""

from collections.abc import Sequence
from typing import Final, assert_never

from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.draft import NOTHING, Draft, without_keys, without_secrets
from flows.dialog.advance import Turn
from flows.dialog.calls import encode as encode_args
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Asked, Consented, Ended, HandOff, Stopped
from flows.dialog.events import Event as FlowEvent
from flows.dialog.events import Heard, Wake
from handlers.actions import Ask
from handlers.journal import ConsentChange, Correction, Said, TurnRecord

TIMERS_MAX: Final = 50  # in one decision: a flow whose timers set timers is a defect

_json = Encoder().encode


def advance(
    draft: Draft,
    events: Sequence[FlowEvent],
    *,
    heard: tuple[Heard, ...] = (),
    corrections: tuple[Correction, ...] = (),
) -> None:
    """One turn of the flow.

    Args:
        events: what happens to it.
        heard: the messages that are written down as read in this turn.
        corrections: those that are written down with it.
    """
    unasked = not heard and any(isinstance(e, Wake) for e in events)
    locale = draft.now.session.locale or draft.firm.locale
    ctx = Ctx(
        now=draft.at(draft.now_ms),
        firm=draft.firm,
        contact=draft.now.contact,
        name=draft.now.sender.name,
        locale=locale,
        proofs_from=draft.at(draft.now.proofs_from * 1000) if draft.now.proofs_from else None,
    )
    turn = draft.book.advance(
        draft.now.session, events, ctx, root=draft.root, firms=draft.other_firm
    )
    number = draft.now.turn + 1
    draft.now = replace(draft.now, session=turn.session, turn=number)
    said: list[Said] = []
    waiting = len(draft.now.parked)
    if turn.message is not None:
        reads = heard[-1].id if heard and draft.shows_reading() else NOTHING
        said = draft.say(f"{draft.id}-{number}", turn, reads=reads, asked=not unasked)
    elif heard and draft.shows_reading() and not turn.session.quiet_until:
        typing = any(isinstance(e, Asked) for e in turn.effects)
        draft.push_read(heard[-1].id, typing=typing)
    consents, handoff, ended = _effects(draft, turn, heard)
    draft.records.append(
        TurnRecord(
            tenant=draft.now.tenant,
            channel=draft.now.channel,
            contact=draft.now.contact,
            conversation=draft.id,
            turn=number,
            at=draft.now_ms,
            sender=draft.now.sender if heard else None,
            heard=tuple(map(without_secrets, heard)),
            said=tuple(map(without_keys, said)),
            state=turn.session.state,
            ended=ended,
            consents=consents,
            handoff=handoff,
            corrections=corrections,
        )
    )
    if len(draft.now.parked) > waiting:
        draft.knock(answers=not unasked)


def _effects(
    draft: Draft, turn: Turn, heard: tuple[Heard, ...]
) -> tuple[tuple[ConsentChange, ...], str | None, tuple[str, ...]]:
    evidence = heard[-1].id if heard else NOTHING
    consents: list[ConsentChange] = []
    handoff: str | None = None
    ended: list[str] = []
    for effect in turn.effects:
        match effect:
            case Asked(seq=seq, call=call):
                ask = Ask(
                    tenant=draft.now.tenant,
                    channel=draft.now.channel,
                    contact=draft.now.contact,
                    conversation=draft.id,
                    seq=seq,
                    call=type(call).__name__,
                    args=encode_args(call),
                )
                draft.pushes.append((f"{call.topic}/{draft.id}", _json(ask)))
            case HandOff(team=team):
                handoff = team
            case Stopped():
                draft.now = replace(
                    draft.now, stopped=True, agreed=False, marketing=False, declined=True
                )
                consents += [
                    ConsentChange("notices", granted=False, evidence=evidence),
                    ConsentChange("marketing", granted=False, evidence=evidence),
                ]
            case Consented(purpose=purpose, granted=granted):
                if purpose == "notices":
                    draft.now = replace(draft.now, stopped=not granted, agreed=granted)
                else:
                    draft.now = replace(draft.now, marketing=granted, declined=not granted)
                consents.append(ConsentChange(purpose, granted=granted, evidence=evidence))
            case Ended():
                ended.append(effect.word)
            case other:
                assert_never(other)
    return tuple(consents), handoff, tuple(ended)


def run_timers(draft: Draft, until_ms: int) -> None:
    """A turn for each moment that the flow waited for and that is past by then.

    Raises:
        RuntimeError: the flow's timers set timers without end.
    """
    for _ in range(TIMERS_MAX):
        due = draft.now.session.due(draft.at(until_ms))
        if not due:
            return
        advance(draft, due)
    raise RuntimeError("timers set timers without end")
