"""Where a turn stands: the flows on its stack, their questions, and the steps that they decide."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from flows.dialog.calls import Failed
from flows.dialog.content import BUTTON_ID_MAX, TEMPLATE_BUTTONS_MAX, Content, Form, Reply, Template
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Asked, Ended, HandOff
from flows.dialog.flow import Bound, End, Flow, Go, Leave, Lost, Say, Speak, State, Stay, Step
from flows.dialog.keys import alone_keys, say_keys, title_keys
from flows.dialog.question import GLOBAL, Dress, Option, tap_id
from flows.dialog.session import BACK_MAX, Frame, Session, Timer
from flows.dialog.texts import Texts
from flows.dialog.turn_words import Firms, Words

HOPS_MAX: Final = 20
"""States entered in one turn; more is a loop."""

TALK: Final = f"{GLOBAL}human"
"""The button that offers a person."""

FORM: Final = "form"
"""Last word of the token of a form that a question opens: `12:shop.sign_up:form`."""


class LoopError(RuntimeError):
    """A turn that enters states without end: a defect of the flow."""


class Frames(Words):
    """A turn under way that goes from state to state."""

    def __init__(
        self,
        flows: Mapping[str, Flow[Any, Any]],
        texts: Texts,
        root: Flow[Any, Any],
        session: Session,
        ctx: Ctx,
        firms: Firms,
    ) -> None:
        super().__init__(flows, texts, root, session, ctx, firms)
        if self.stack and self.stack[0].flow != root.name:
            # The number has another root flow since: what was asked here cannot be gone on with.
            self.rest()
        if len(self.stack) > 1:
            self.find_whose()

    # ------------------------------------------------ frames

    def state_of(self, frame: Frame) -> State[Any] | None:
        flow = self.flows.get(frame.flow)
        return flow.states.get(flow.renamed.get(frame.state, frame.state)) if flow else None

    def load(self, depth: int = -1) -> tuple[State[Any], Any] | None:
        """The state and data of a frame, in today's shape. None if they no longer exist."""
        frame = self.stack[depth]
        state = self.state_of(frame)
        if state is None:
            return None
        codec = state.flow.codec
        steps = [
            state.flow.migrations.get(version, dict)
            for version in range(frame.v + 1, state.flow.version + 1)
        ]
        try:
            if frame.v == state.flow.version:
                return state, codec.decode(frame.data)
            data = codec.migrate(frame.data, steps)
        except (msgspec.ValidationError, LookupError):
            return None
        # Answers given in the old shape cannot be gone back to.
        self.stack[depth] = msgspec.structs.replace(
            frame, v=state.flow.version, state=state.name, data=codec.encode(data), back=()
        )
        return state, data

    def top(self, **changes: Any) -> None:
        self.stack[-1] = msgspec.structs.replace(self.stack[-1], **changes)

    def cut(self, depth: int) -> None:
        """Leave the flows that lie this high on the stack, or higher."""
        del self.stack[depth:]
        if self.floor and len(self.stack) <= self.floor:
            self.floor = 0
            self.speak_as(None)

    def find_whose(self) -> None:
        """Take up the context of the firm whose bot speaks where the conversation stands.

        If that firm is gone, the flow that showed it decides what follows; it is told when they write.
        """
        for depth, frame in enumerate(self.stack[:-1]):
            state = self.state_of(frame)
            if state is None or state.firm is None:
                continue
            loaded = self.load(depth)
            firm = self.firms(state.firm(loaded[1])) if loaded else None
            if firm is not None:
                self.floor = depth + 1
                self.speak_as(firm)
                return
            self.cut(depth + 1)
            if loaded is None or state.oops is None:
                self.rest()
            else:
                self.follow(
                    state, loaded[1], state.oops(loaded[1], Failed("refused"), ctx=self.ctx)
                )
                self.words, self.content, self.ahead, self.template = [], None, (), None
            return

    @property
    def base(self) -> Flow[Any, Any]:
        """The flow that begins the conversation with whoever speaks."""
        return self.flows[self.stack[self.floor].flow] if self.floor else self.root

    def ctx_at(self, depth: int) -> Ctx:
        """The context of a flow under way: those below the floor are the number's own."""
        return self.own if depth < self.floor else self.ctx

    def idle(self, state: State[Any]) -> timedelta:
        """How long a question waits for its answer."""
        if not self.floor:
            return state.idle
        return min(state.idle, self.flows[self.stack[self.floor - 1].flow].idle)

    def start(self, flow: Flow[Any, Any], data: Any, *, silently: bool = False) -> None:
        """Put a flow on the stack and enter its start."""
        self.stack.append(Frame(flow.name, flow.version))
        self.enter(flow.start, data, silently=silently)

    def enter(
        self,
        state: State[Any],
        data: Any,
        *,
        back: tuple[tuple[str, msgspec.Raw], ...] = (),
        silently: bool = False,
    ) -> None:
        self.hops += 1
        if self.hops > HOPS_MAX:
            raise LoopError(f"{state.key}: {HOPS_MAX} states in one turn")
        self.seq += 1
        self.status = "bot"
        self.held = ()
        self.top(
            state=state.name,
            data=state.flow.codec.encode(data),
            tries=0,
            page=0,
            back=back,
            deaf=False,
        )
        self.timers = tuple(self.timers_of(state, data))
        match state.kind:
            case "asks" | "picks":
                if not silently:
                    self.ask(state, data)
            case "calls":
                assert state.call is not None
                self.effects.append(Asked(self.seq, state.call(data)))
                if self.medium or self.sent:
                    # Only words can be kept until the result is there.
                    self.send()
                self.held = tuple(self.words)
                self.words = []
            case "runs":
                assert state.sub is not None
                assert state.begin is not None
                self.run(state, state.sub, data, state.begin(data))

    def run(self, state: State[Any], sub: Flow[Any, Any], outer: Any, data: Any) -> None:
        """Run a flow from its beginning, for the firm that the state names."""
        if state.firm is not None:
            firm = self.firms(state.firm(outer))
            if firm is None:
                if state.oops is None:
                    self.give_up(state, outer, "trouble")
                else:
                    self.follow(state, outer, state.oops(outer, Failed("refused"), ctx=self.ctx))
                return
            self.floor = len(self.stack)
            self.speak_as(firm)
        self.start(sub, data, silently=sub.opening is not None)
        if sub.opening is not None:
            depth = len(self.stack)
            self.follow(sub.start, data, sub.opening(data, ctx=self.ctx))
            if len(self.stack) == depth:
                # There is nothing before the beginning to go back to.
                self.top(back=())

    def timers_of(self, state: State[Any], data: Any) -> Iterator[Timer]:
        now = self.ctx.now
        if state.kind == "calls":
            yield timer(now + state.within, "call")
        elif state.kind != "runs":
            yield timer(now + self.idle(state), "idle")
        for n, after in enumerate(state.timers):
            at = after.at(data, now)
            if at is not None:
                yield timer(at, f"after:{n}")

    def rest(self) -> None:
        """Nothing is asked any more."""
        self.cut(0)
        self.timers = ()
        self.held = ()
        self.status = "rest"

    # ------------------------------------------------ questions

    def ask(self, state: State[Any], data: Any) -> None:
        """The question, after the words that lead to it; nothing of it where something was sent in its place."""
        if self.sent is None:
            self.words.append(self.text(f"{state.key}.ask", data))
        self.show(state, data, self.options(state, data))

    def show(self, state: State[Any], data: Any, options: Sequence[Option]) -> None:
        opens = self.voice.first(*say_keys(state, "list"))
        self.send(
            options,
            state=state.key,
            page=self.stack[-1].page,
            open_title=self.text(opens, data) if opens else "",
            dress=self.dress(state, data, options),
        )
        self.template = self.template_for(state, options)

    def dress(self, state: State[Any], data: Any, options: Sequence[Option]) -> Dress | None:
        """How a state shows its question in its own way; not if a person is offered, whom only buttons can offer."""
        if any(option.id == TALK for option in options):
            return None
        if state.sends is None:
            return state.request

        def make(body: str) -> Content:
            assert state.sends is not None
            speak = Speak(body, partial(self.worded, state, data))
            content: Content = state.sends(data, speak, ctx=self.ctx)
            if isinstance(content, Form) and not content.token:
                token = tap_id(self.seq, state.key, FORM)
                return msgspec.structs.replace(content, token=token)
            return content

        return make

    def options(self, state: State[Any], data: Any) -> list[Option]:
        names = self.names(data)
        found: dict[str, Option] = {}
        if state.rows is not None:
            for row in state.rows(data):
                about = getattr(row, "description", "")
                found[row.id] = Option(row.id, _line(row.title), row, _line(about))
        shown: Sequence[str] | None = None
        if state.shows is not None:
            shown = state.shows(data, ctx=self.ctx)
        for choice in state.choices:
            if shown is not None and choice.id not in shown:
                continue
            title = self.voice.first(*title_keys(state, choice.id, choice.group))
            assert title is not None, f"{state.key}.{choice.id} has no title"
            about = self.voice.first(f"{title}.about")
            found[choice.id] = Option(
                choice.id,
                self.voice.render(title, names),
                choice.value,
                self.voice.render(about, names) if about else "",
                fixed=state.rows is not None,
            )
        return list(found.values()) if shown is None else [found[id] for id in shown]

    def template_for(self, state: State[Any], options: Sequence[Option]) -> Template | None:
        """What a timer says once the window is closed; its buttons answer the question."""
        if self.spoke_for is None:
            return None
        after, data = self.spoke_for
        buttons = tuple(
            Reply(tap_id(self.seq, state.key, option.id)[:BUTTON_ID_MAX])
            for option in options[:TEMPLATE_BUTTONS_MAX]
        )
        match after.template:
            case None:
                return None
            case str(name):
                return Template(name, self.ctx.locale, buttons=buttons)
            case Bound() as fill:
                made: Template = fill(data, ctx=self.ctx)
                fixed = made.buttons or made.code or made.cards
                return made if fixed else msgspec.structs.replace(made, buttons=buttons)

    # ------------------------------------------------ decisions

    def carry(self, step: Step) -> None:
        self.effects += step.also
        if step.locale:
            self.speak_in(step.locale)

    def follow(self, state: State[Any], data: Any, step: Step) -> None:
        self.carry(step)
        match step:
            case Go(to=to, data=new):
                self.utter(state, new, step)
                frame = self.stack[-1]
                back = frame.back
                if state.kind in ("asks", "picks"):
                    back = (*back, (state.name, frame.data))[-BACK_MAX:]
                self.enter(to, new, back=back)
            case Stay():
                self.linger(state, data, step)
            case End(result=result):
                self.utter(state, data, step)
                self.effects.append(Ended(state.flow.name, result))
                self.finish(result)
            case Leave(say=words, team=team):
                self.speak_of_people(state, data, words)
                self.take_in(state, data, step)
                self.leave(team)
            case _:
                raise TypeError(f"{state.key} decided nothing: {step!r}")

    def linger(self, state: State[Any], data: Any, step: Stay) -> None:
        tries = self.stack[-1].tries + step.sorry
        if step.sorry and tries >= state.flow.tries:
            self.give_up(state, data, "tries")
            return
        self.top(tries=tries)
        self.utter(state, data, step)
        if state.kind not in ("asks", "picks"):
            raise TypeError(f"{state.key} asks nothing, so it cannot stay")
        if step.repeat:
            self.ask(state, data)
        else:
            self.show(state, data, self.options(state, data))

    def finish(self, result: Any) -> None:
        """Hand the result of a flow to the one that runs it, in the same turn."""
        if len(self.stack) == 1:
            self.send_words()
            self.rest()
            return
        self.cut(len(self.stack) - 1)
        loaded = self.load()
        if loaded is None:
            self.rest()
            return
        parent, outer = loaded
        self.follow(parent, outer, parent.step(outer, result, ctx=self.ctx))

    def speak_of_people(self, state: State[Any], data: Any, words: Say | None) -> None:
        """Where nobody sits at a desk nobody is promised."""
        if self.ctx.firm.desk:
            self.speak(state, data, words or Say("bot.human"))
        elif words is not None and self.voice.first(*alone_keys(state, words.key)):
            self.speak(state, data, Say(f"{words.key}.no_desk", words.names))
        else:
            self.say_shared("bot.recorded", data)

    def leave(self, team: str) -> None:
        self.effects.append(HandOff(team))
        self.send_words()
        # Of whoever spoke: where nobody was promised the bot goes on.
        desk = self.ctx.firm.desk
        self.rest()
        if desk:
            self.status = "human"

    def give_up(self, state: State[Any], data: Any, why: Lost) -> None:
        """Nothing more can be done here: a flow under way may know better, else a person."""
        for depth in range(len(self.stack) - 1, -1, -1):
            loaded = self.load(depth)
            if loaded is not None and (rescue := loaded[0].flow.rescue) is not None:
                self.words = []
                self.cut(depth + 1)
                self.follow(*loaded, rescue(loaded[1], why, ctx=self.ctx))
                return
        person = "bot.many_tries" if why == "tries" else "bot.trouble"
        self.words = [self.text(person if self.ctx.firm.desk else "bot.recorded", data)]
        self.leave("")


def timer(at: datetime, name: str) -> Timer:
    """Rounded up: a timer is never early, so that what it waits for has passed."""
    return Timer(math.ceil(at.timestamp()), name)


def _line(words: str) -> str:
    return " ".join(words.split())
