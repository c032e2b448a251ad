"""The move: (session, events, context) -> turn. Pure and synchronous; nothing is sent or stored here."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from flows.dialog.calls import Calls, Failed, decode
from flows.dialog.content import Content, Template
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Asked, Effect
from flows.dialog.events import Event, FileLost, Heard, Result, TakenOver, Unshown, Wake
from flows.dialog.flow import Flow, State
from flows.dialog.keys import needed
from flows.dialog.question import Option
from flows.dialog.screens import Screens
from flows.dialog.session import Session
from flows.dialog.texts import TextError, Texts
from flows.dialog.turn_frames import TALK
from flows.dialog.turn_hearing import Hearing
from flows.dialog.turn_words import Firms, nobody
from flows.values.ids import NO_MESSAGE, Wamid

UNFIT: Final = frozenset(("too_large", "unknown_type", "wrong_kind"))
"""Why a file is refused that would be refused again."""

_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one run decided."""

    session: Session
    message: Content | None = None
    ahead: tuple[Content, ...] = ()
    """What is said before it, in order: the beginning of a text that is too long for one message."""
    quotes: Wamid = NO_MESSAGE
    """The message that is visibly answered."""
    template: Template | None = None
    """What may be sent instead once the window is closed."""
    worth: timedelta | None = None
    """For how long it is worth saying, should it have to wait for the person to write; None: the usual time."""
    effects: tuple[Effect, ...] = ()
    quiet: bool = False
    """Something was heard and, on purpose, nothing is answered."""


class Book:
    """Flows and their texts: made once, never changed. Raises TextError if a text is missing.

    Args:
        roots: the flows that a conversation may start with; those they run are found.
        texts: the catalogues.
    """

    def __init__(self, roots: Iterable[Flow[Any, Any]], texts: Texts) -> None:
        self.roots: Mapping[str, Flow[Any, Any]] = {flow.name: flow for flow in roots}
        if not self.roots:
            raise TypeError("a book needs a flow to begin with")
        self.flows: Mapping[str, Flow[Any, Any]] = _closure(self.roots.values())
        self.texts = texts
        self.forms: Mapping[str, Screens] = _forms(self.flows.values())
        self.calls = Calls(
            kind
            for flow in self.flows.values()
            for state in flow.states.values()
            for kind in state.makes
        )
        missing = [
            f"{key} ({voice.locale})"
            for voice in texts.voices()
            for keys in needed(self.flows.values())
            for key in (keys[0],)
            if voice.first(*keys) is None
        ]
        if missing:
            raise TextError(f"texts are missing: {', '.join(missing)}")

    def root(self, name: str = "") -> Flow[Any, Any]:
        """A root flow by name; the first one if none is given."""
        return self.roots[name] if name else next(iter(self.roots.values()))

    def fresh(self, root: str = "") -> Session:
        """The session of a conversation that never was."""
        return Session(pause_ms=_ms(self.root(root).start.pause))

    def has_other_way(self, session: Session) -> bool:
        """Whether the question that waits is asked in a form, or another way of its own, and can be asked without it."""
        if not session.stack:
            return False
        frame = session.stack[-1]
        flow = self.flows.get(frame.flow)
        state = flow.states.get(flow.renamed.get(frame.state, frame.state)) if flow else None
        return state is not None and state.sends is not None and state.oops is not None

    def words(self, key: str, ctx: Ctx) -> str:
        """A text that is said outside of a turn, in the language of `ctx`."""
        names = {"ctx": ctx, "firm": ctx.firm, "now": ctx.now, "name": ctx.name}
        return self.texts.voice(ctx.locale).render(key, names)

    def advance(
        self,
        session: Session,
        events: Sequence[Event],
        ctx: Ctx,
        *,
        root: str = "",
        firms: Firms = nobody,
    ) -> Turn:
        """Run one turn. All `Heard` of `events` are one turn of the person and are read first.

        Results and timers of another visit are ignored, so late and repeated ones do no harm.

        Args:
            session: as the last turn left it.
            events: what happened, in order.
            ctx: the firm is that of the number.
            root: the flow that its conversations begin with; the first one if none is named.
            firms: those whose bot may be shown on a number that is not theirs, as it may be shown.

        Raises:
            LoopError: the flow does not come to rest.
            ContentError: a flow made a content that WhatsApp would refuse.
            msgspec.ValidationError: a result is not of the type that its call declares.
        """
        return _Turn(self.flows, self.texts, self.root(root), session, ctx, firms).take(events)


def _closure(roots: Iterable[Flow[Any, Any]]) -> dict[str, Flow[Any, Any]]:
    found: dict[str, Flow[Any, Any]] = {}
    todo = list(roots)
    while todo:
        flow = todo.pop(0)
        if flow.name in found:
            if found[flow.name] is not flow:
                raise TypeError(f"two flows are named {flow.name}")
            continue
        if not flow.states:
            raise TypeError(f"flow {flow.name} has no states")
        found[flow.name] = flow
        todo += [state.sub for state in flow.states.values() if state.sub]
    return found


def _forms(flows: Iterable[Flow[Any, Any]]) -> dict[str, Screens]:
    found: dict[str, Screens] = {}
    for flow in flows:
        for name, screens in flow.forms.items():
            if name in found:
                raise TypeError(f"two flows answer the form {name}")
            found[name] = screens
    return found


def _ms(span: timedelta) -> int:
    return span // _MS


class _Turn(Hearing):
    """A turn under way, from its first event to its end."""

    def take(self, events: Sequence[Event]) -> Turn:
        heards = [event for event in events if isinstance(event, Heard)]
        if heards:
            self.ctx = dataclasses.replace(self.ctx, heard=heards[-1].id)
            # Every copy costs: where nobody is shown the two are one.
            self.own = (
                dataclasses.replace(self.own, heard=heards[-1].id) if self.floor else self.ctx
            )
            self.listen(heards)
        for event in events:
            match event:
                case Result():
                    self.answered(event)
                    if self.is_quiet:
                        # Somebody else speaks: what comes of it is not said, and asked again when they are done.
                        self.content, self.ahead, self.template = None, (), None
                case TakenOver(until=until):
                    self.quiet_until = max(self.quiet_until, until)
                case Wake() if self.content is None:
                    self.woken(event)
                case FileLost() if self.content is None and not (
                    self.status == "human" or self.is_quiet
                ):
                    # Where a person has taken over, they see in the journal that a file is missing.
                    self.say_shared("bot.file_refused" if event.why in UNFIT else "bot.file_lost")
                    self.send([Option(TALK, self.text("bot.talk"), fixed=True)])
                case Unshown() if self.content is None:
                    self.unshown(event)
                case _:
                    pass
        quiet = bool(heards) and self.content is None and self.status != "human"
        quiet = quiet and not any(isinstance(effect, Asked) for effect in self.effects)
        return Turn(
            self.session(),
            self.content,
            self.ahead,
            self.quotes if self.content is not None else NO_MESSAGE,
            self.template,
            self.worth,
            tuple(self.effects),
            quiet,
        )

    def session(self) -> Session:
        waiting = self.state_of(self.stack[-1]) if self.stack else self.root.start
        return Session(
            tuple(self.stack),
            self.seq,
            self.timers,
            self.held,
            self.status,
            self.locale,
            _ms(waiting.pause) if waiting else 0,
            self.quiet_until if self.is_quiet else 0,
        )

    def answered(self, result: Result) -> None:
        loaded = self.load() if self.stack and result.seq == self.seq else None
        if loaded is None or loaded[0].kind != "calls":
            return
        state, data = loaded
        self.content = None
        self.ahead = ()
        self.words = list(self.held)
        self.held = ()
        if result.failed is not None:
            self.fail(state, data, Failed(result.failed))
            return
        value = decode(result.value, state.wants)
        assert state.call is not None
        if type(state.call(data)).writes:
            self.top(back=(), sealed=True)
        self.follow(state, data, state.step(data, value, ctx=self.ctx))

    def fail(self, state: State[Any], data: Any, failed: Failed) -> None:
        if state.oops is not None:
            self.follow(state, data, state.oops(data, failed, ctx=self.ctx))
        else:
            self.give_up(state, data, "trouble")

    def unshown(self, unshown: Unshown) -> None:
        """A question that nobody has seen."""
        loaded = self.load() if self.stack and unshown.seq == self.seq else None
        if loaded is not None and self.status != "human":
            self.fail(*loaded, Failed("refused"))

    def woken(self, wake: Wake) -> None:
        due = next((timer for timer in self.timers if timer.name == wake.name), None)
        loaded = self.load() if self.stack and wake.seq == self.seq else None
        if due is None or loaded is None:
            return
        state, data = loaded
        self.timers = tuple(timer for timer in self.timers if timer is not due)
        kind, _, n = wake.name.partition(":")
        if kind == "call":
            self.words = list(self.held)
            self.held = ()
            self.fail(state, data, Failed("timeout"))
        elif kind == "idle":
            self.rest()
        elif int(n) < len(state.timers):
            after = state.timers[int(n)]
            self.spoke_for = (after, data)
            self.follow(state, data, after.step(data, ctx=self.ctx))
            if self.content is not None and self.template is None:
                self.template = self.template_for(state, ())
