"""The move: (session, events, context) -> turn. Pure and synchronous; nothing is sent or stored here."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from flows.dialog import reading
from flows.dialog.calls import Calls, Failed, decode
from flows.dialog.commands import Command
from flows.dialog.content import (
    BUTTON_ID_MAX,
    TEMPLATE_BUTTONS_MAX,
    Content,
    Document,
    Form,
    Image,
    Medium,
    Reply,
    Template,
    Video,
)
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, Consented, Effect, Ended, HandOff, Stopped
from flows.dialog.events import Event, FileLost, Heard, Result, TakenOver, Unshown, Wake
from flows.dialog.flow import (
    After,
    Bound,
    End,
    Flow,
    Go,
    Leave,
    Lost,
    Say,
    Speak,
    State,
    Stay,
    Step,
)
from flows.dialog.formatting import Kept
from flows.dialog.question import GLOBAL, Dress, Labels, Option, lay_out, tap_id
from flows.dialog.reading import Commanded, Missed, Tapped, Turned, Understood
from flows.dialog.screens import Screens
from flows.dialog.session import BACK_MAX, Frame, Session, Status, Timer
from flows.dialog.texts import FORMAT_KEYS, TextError, Texts, Voice
from flows.values.ids import NO_MESSAGE, TenantId, Wamid
from flows.values.words import bare

HOPS_MAX: Final = 20
"""States entered in one turn; more is a loop."""

CONSENTS: Final = {
    "bot:both": (True, True),
    "bot:notices": (True, False),
    "bot:none": (False, False),
}
"""What the buttons of *alta* and *baja* allow: (notices, marketing)."""

UNFIT: Final = frozenset(("too_large", "unknown_type", "wrong_kind"))
"""Why a file is refused that would be refused again."""

TALK: Final = f"{GLOBAL}human"
OVER: Final = f"{GLOBAL}over"

_MS: Final = timedelta(milliseconds=1)

FORM: Final = "form"
"""Last word of the token of a form that a question opens: `12:shop.sign_up:form`."""

BOT_KEYS: Final = (
    "bot.already_done", "bot.audio", "bot.both", "bot.both_done", "bot.busy", "bot.cancelled",
    "bot.edited", "bot.file_lost", "bot.file_refused", "bot.form_expired",
    "bot.help", "bot.human", "bot.image", "bot.list", "bot.many_tries", "bot.more",
    "bot.none", "bot.none_done", "bot.nothing_to_cancel", "bot.notices", "bot.notices_done", "bot.notices_only",
    "bot.old_button", "bot.over", "bot.oversized", "bot.recorded", "bot.start", "bot.sticker", "bot.stopped", "bot.talk",
    "bot.trouble", "bot.unsupported", "choice.tap", "choice.unknown", "choice.unknown.2",
)  # fmt: skip
"""Texts that the language itself speaks, in every flow."""

# What cannot be read at all, however often it is sent.
_TOLD_ONCE: Final = frozenset(("bot.unsupported",))

# Commands that mean something without a flow's help.
_OWN: Final[frozenset[Command]] = frozenset(
    ("menu", "back", "cancel", "human", "stop", "start", "help")
)


Firms = Callable[[TenantId], Firm | None]


def nobody(tenant: TenantId) -> None:
    """No firm's bot is shown on another's number."""


class LoopError(RuntimeError):
    """A turn that enters states without end: a defect of the flow."""


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
        return _Turn(self, self.root(root), session, ctx, firms).take(events)


def needed(flows: Iterable[Flow[Any, Any]]) -> Iterator[tuple[str, ...]]:
    """The texts that flows cannot do without, each as the keys that may hold it, the proper one first."""
    for key in (*BOT_KEYS, *FORMAT_KEYS):
        yield (key,)
    for flow in flows:
        for state in flow.states.values():
            if state.kind in ("asks", "picks"):
                yield (f"{state.key}.ask",)
                for choice in state.choices:
                    yield title_keys(state, choice.id, choice.group)
            if state.refuses:
                yield say_keys(state, "refused")
        if flow.away is not None:
            yield (f"{flow.name}.returned",)
        for screens in flow.forms.values():
            for word in screens.says:
                yield (screens.key(word),)


def say_keys(state: State[Any], key: str) -> tuple[str, ...]:
    """Where words of a state may stand: its own, its flow's."""
    return (f"{state.key}.{key}", f"{state.flow.name}.{key}")


def alone_keys(state: State[Any], key: str) -> tuple[str, ...]:
    """Where the words may stand that are said in place of others where nobody sits at a desk."""
    return tuple(f"{each}.no_desk" for each in (*say_keys(state, key), key))


def sorry_keys(state: State[Any], stem: str) -> tuple[str, ...]:
    """Where the words for an answer not understood may stand: the state's, the flow's, the shared ones."""
    own = stem.removeprefix("bot.")
    return (f"{state.key}.{own}", f"{state.flow.name}.{own}", stem)


def title_keys(state: State[Any], id: str, group: str = "") -> tuple[str, ...]:
    """Where the title of an option may stand: the state's, the Enum's, the flow's."""
    shared = (f"{group}.{id}",) if group else ()
    return (f"{state.key}.{id}", *shared, f"{state.flow.name}.{id}")


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


class _Turn:
    """One turn under way."""

    def __init__(
        self, book: Book, root: Flow[Any, Any], session: Session, ctx: Ctx, firms: Firms
    ) -> None:
        self.book = book
        self.root = root
        self.firms = firms
        # The session, taken apart.
        self.stack = list(session.stack)
        self.seq = session.seq
        self.timers = session.timers
        self.held = session.held
        self.status: Status = session.status
        self.locale = session.locale
        self.quiet_until = session.quiet_until
        # The turn.
        self.own = ctx
        self.ctx = ctx
        self.floor = 0
        """How many frames lie below those in which another firm's bot speaks."""
        self.voice: Voice
        self.words: list[str] = []
        self.effects: list[Effect] = []
        self.medium: Medium | None = None
        self.sent: Content | None = None
        self.content: Content | None = None
        self.ahead: tuple[Content, ...] = ()
        self.quotes = NO_MESSAGE
        self.worth: timedelta | None = None
        self.template: Template | None = None
        self.spoke_for: tuple[After, Any] | None = None
        self.hops = 0
        self.speak_in(session.locale)
        if self.stack and self.stack[0].flow != root.name:
            # The number has another root flow since: what was asked here cannot be gone on with.
            self.rest()
        if len(self.stack) > 1:
            self.find_whose()

    # ------------------------------------------------ the one entry

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

    @property
    def is_quiet(self) -> bool:
        """Whether somebody of the firm answers by hand now."""
        return self.quiet_until > 0 and self.ctx.now.timestamp() < self.quiet_until

    # ------------------------------------------------ words

    def speak_in(self, locale: str) -> None:
        self.locale = locale
        locale = locale or self.ctx.locale
        self.voice = self.book.texts.voice(locale)
        if locale != self.ctx.locale:
            self.ctx = dataclasses.replace(self.ctx, locale=locale)

    def speak_as(self, firm: Firm | None) -> None:
        """Whose bot speaks from here on; None: that of the number."""
        own = self.own
        if firm is None:
            locale = self.locale or own.locale
            self.ctx = own if locale == own.locale else dataclasses.replace(own, locale=locale)
        else:
            self.ctx = dataclasses.replace(
                own,
                firm=firm,
                host=own.firm,
                now=own.now.astimezone(ZoneInfo(firm.zone)),
                locale=self.locale or firm.locale,
            )
        self.voice = self.book.texts.voice(self.ctx.locale)

    def names(self, data: Any, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        ctx = self.ctx
        names = {"s": data, "ctx": ctx, "firm": ctx.firm, "now": ctx.now, "name": ctx.name}
        return {**names, **more} if more else names

    def text(self, key: str, data: Any = None, **more: Any) -> str:
        return self.voice.render(key, self.names(data, more))

    def speak(self, state: State[Any], data: Any, words: Say | None) -> None:
        if words is not None:
            self.words.append(self.worded(state, data, words.key, words.names))
            for more in words.more:
                self.speak(state, data, more)

    def worded(self, state: State[Any], data: Any, key: str, names: Mapping[str, Any]) -> str:
        keys = say_keys(state, key)
        found = self.voice.first(*keys, key) or keys[0]
        return self.voice.render(found, self.names(data, names))

    def utter(self, state: State[Any], data: Any, step: Step) -> None:
        """Take in what a step says and sends."""
        self.speak(state, data, step.say)
        self.take_in(state, data, step)

    def take_in(self, state: State[Any], data: Any, step: Step) -> None:
        """What a step sends, with the words that it has been given so far."""
        self.quotes = step.quotes or self.quotes
        self.worth = step.worth or self.worth
        content = step.send
        if content is None:
            return
        made = callable(content)
        if callable(content):
            content = content(Speak(_sentence(self.words), partial(self.worded, state, data)))
        if isinstance(content, Image | Video | Document):
            if content.caption:
                self.words = [*([] if made else self.words), content.caption]
            self.medium = msgspec.structs.replace(content, caption="")
        else:
            self.words = [] if made else self.words
            self.sent = content

    def say_shared(self, key: str, data: Any = None) -> None:
        self.words.append(self.text(key, data))

    def send(
        self,
        options: Sequence[Option] = (),
        *,
        state: str = "bot",
        page: int = 0,
        open_title: str = "",
        dress: Dress | None = None,
    ) -> None:
        labels = Labels(open_title or self.text("bot.list"), self.text("bot.more"))
        said = lay_out(
            _sentence(self.words),
            () if self.sent else options,
            seq=self.seq,
            state=state,
            page=page,
            labels=labels,
            medium=self.medium,
            dress=None if self.sent else dress,
        )
        # What takes the place of the question comes after words that it does not carry.
        said = (*said, self.sent) if self.sent else said
        self.ahead, self.content = said[:-1], said[-1] if said else None
        self.words = []
        self.medium = self.sent = None

    def send_words(self) -> None:
        """What was said and sent, with nothing to answer."""
        if any(self.words) or self.medium or self.sent:
            self.send()

    # ------------------------------------------------ frames

    def state_of(self, frame: Frame) -> State[Any] | None:
        flow = self.book.flows.get(frame.flow)
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
        return self.book.flows[self.stack[self.floor].flow] if self.floor else self.root

    def ctx_at(self, depth: int) -> Ctx:
        """The context of a flow under way: those below the floor are the number's own."""
        return self.own if depth < self.floor else self.ctx

    def idle(self, state: State[Any]) -> timedelta:
        """How long a question waits for its answer."""
        if not self.floor:
            return state.idle
        return min(state.idle, self.book.flows[self.stack[self.floor - 1].flow].idle)

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
            yield _timer(now + state.within, "call")
        elif state.kind != "runs":
            yield _timer(now + self.idle(state), "idle")
        for n, after in enumerate(state.timers):
            at = after.at(data, now)
            if at is not None:
                yield _timer(at, f"after:{n}")

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

    # ------------------------------------------------ hearing

    def listen(self, heards: Sequence[Heard]) -> None:
        if self.interrupted(heards):
            return
        if self.status == "human" or self.is_quiet:
            commands = reading.commands_in(heards)
            if "stop" in commands:
                self.stop(commands)
            if "stop" in commands or self.status == "human" or not commands:
                return
            # A command is for the bot, whoever answers now.
            self.quiet_until = 0
        said = reading.worth(heards)
        if not said or (self.stack and said[-1].kind == "welcome"):
            return
        opened = False
        loaded = self.load() if self.stack else None
        if loaded is None:
            if self.met_with_silence(said):
                return
            opened = True
            self.cut(0)
            self.start(self.root, self.root.data(), silently=True)
            loaded = self.load()
            assert loaded is not None
        state, data = loaded
        if said[-1].kind == "edit":
            self.hear_edit(state, data, opened=opened)
        elif state.kind in ("asks", "picks"):
            self.hear(state, data, said, opened=opened)
        elif not opened:
            self.hear_busy(state, data, said)
        if self.stack and self.state_of(self.stack[-1]) is state and state.kind != "calls":
            idle = _timer(self.ctx.now + self.idle(state), "idle")
            self.timers = (idle, *(timer for timer in self.timers if timer.name != "idle"))

    def interrupted(self, heards: Sequence[Heard]) -> bool:
        listening = list(self.listening())
        for heard in heards:
            if heard.kind in ("tap", "row"):
                continue
            for depth, interrupt, state, data in listening:
                step: Step | None = interrupt(data, heard, ctx=self.ctx_at(depth))
                if step is None:
                    continue
                if self.status == "human" or self.is_quiet:
                    self.utter(state, data, step)
                    self.carry(step)
                    if isinstance(step, Leave):
                        self.effects.append(HandOff(step.team))
                    self.send_words()
                else:
                    self.jump(depth, state, data, step)
                return True
        return False

    def listening(self) -> Iterator[tuple[int, Bound, State[Any], Any]]:
        """The flows under way that hear a message before it is read, each with its state and data."""
        if self.root.interrupt is not None:
            loaded = self.load(0) if self.stack else None
            yield 0, self.root.interrupt, *(loaded or (self.root.start, self.root.data()))
        for depth in range(1, len(self.stack)):
            flow = self.book.flows.get(self.stack[depth].flow)
            if flow is not None and flow.interrupt is not None:
                loaded = self.load(depth)
                if loaded is not None:
                    yield depth, flow.interrupt, *loaded

    def met_with_silence(self, said: Sequence[Heard]) -> bool:
        """After an end, thanks need no answer."""
        return self.status == "rest" and all(reading.is_thanks(heard) for heard in said)

    def hear(self, state: State[Any], data: Any, said: Sequence[Heard], *, opened: bool) -> None:
        options = self.options(state, data)
        understood = reading.read(
            state,
            options,
            said,
            seq=self.seq,
            heeds=self.heeds(),
            more=self.text("bot.more"),
            ctx=self.ctx,
        )
        thanked = all(reading.is_thanks(heard) for heard in said)
        if thanked and not opened and self.is_resting(state) and not _chosen(understood, options):
            return
        greeted = all(_is_greeting(heard) for heard in said)
        if opened and greeted:
            self.open(state, data)
            return
        if self.was_away(state) and (greeted or isinstance(understood, Missed)):
            self.words = [self.text(f"{state.flow.name}.returned", data)]
            self.words.append(self.text(f"{state.key}.ask", data))
            over = Option(OVER, self.text("bot.over"), fixed=True)
            self.show(state, data, [*options, over])
            return
        match understood:
            case Understood(value):
                self.follow(state, data, state.step(data, value, ctx=self.ctx))
            case Commanded(commands):
                self.obey(commands, state, data)
            case Tapped(id):
                self.tapped(id, state, data)
            case Turned(page):
                self.top(page=self.stack[-1].page + 1 if page < 0 else page)
                self.ask(state, data)
            case Missed() if opened:
                self.open(state, data)
            case Missed():
                self.missed(state, data, understood, options)

    def was_away(self, state: State[Any]) -> bool:
        """Whether the question has waited for so long that it may be forgotten."""
        idle = next((timer for timer in self.timers if timer.name == "idle"), None)
        if state.flow.away is None or idle is None:
            return False
        silent_s = self.ctx.now.timestamp() - idle.at + state.idle.total_seconds()
        return silent_s >= state.flow.away.total_seconds()

    def hear_edit(self, state: State[Any], data: Any, *, opened: bool) -> None:
        """A message that was answered says something else now. That answers no question: it is said how to go on."""
        if opened:
            # Nothing is under way that the change could be about.
            self.rest()
        elif state.kind in ("asks", "picks"):
            self.say_shared("bot.edited", data)
            self.send_words()

    def open(self, state: State[Any], data: Any) -> None:
        """The first words of a conversation that begins with nothing in particular."""
        if self.root.opening is None:
            self.ask(state, data)
        else:
            self.follow(state, data, self.root.opening(data, ctx=self.ctx))
            if self.stack:
                # There is nothing before the beginning to go back to.
                self.top(back=())

    def is_resting(self, state: State[Any]) -> bool:
        if state.rests:
            return True
        wants_yes = state.by_tap or any(choice.value is True for choice in state.choices)
        at_top = len(self.stack) == self.floor + 1
        return at_top and state is self.base.start and not wants_yes

    def hear_busy(self, state: State[Any], data: Any, said: Sequence[Heard]) -> None:
        """Something was written while a call is under way."""
        taps = [heard.choice for heard in said if heard.choice.startswith(GLOBAL)]
        if taps:
            self.tapped(taps[-1], state, data)
            return
        heeds = self.heeds()
        commands = [command for command in reading.commands_in(said) if command in heeds]
        if commands:
            self.obey(commands, state, data)
        elif not self.stack[-1].tries and not all(reading.is_thanks(heard) for heard in said):
            self.top(tries=1)
            self.say_shared("bot.busy", data)
            self.send_words()

    def missed(
        self, state: State[Any], data: Any, missed: Missed, options: Sequence[Option]
    ) -> None:
        if missed.keys[0] in _TOLD_ONCE:
            if self.stack[-1].deaf:
                return
            self.top(deaf=True)
        tries = self.stack[-1].tries + missed.counts
        if tries >= state.flow.tries:
            self.give_up(state, data, "tries")
            return
        self.top(tries=tries)
        keys = [key for stem in missed.keys for key in _by_try(tries, *sorry_keys(state, stem))]
        key = self.voice.first(*keys, *_by_try(tries, "choice.unknown"))
        assert key is not None, "choice.unknown is among the texts that a book needs"
        question = Kept(self.text(f"{state.key}.ask", data))
        title = options[0].title if options else ""
        self.words = [self.text(key, data, question=question, title=title)]
        shown = [option for option in options if option.id in state.narrow] or list(options)
        unclear = missed.keys[-1] == "choice.unknown" or missed.keys[0] == "bot.audio"
        if (unclear or tries > 1) and not any(option.id == "human" for option in options):
            shown.append(Option(TALK, self.text("bot.talk"), fixed=True))
        self.show(state, data, shown)

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

    # ------------------------------------------------ commands

    def heeds(self) -> frozenset[Command]:
        """The commands that are answered now."""
        own = set(_OWN)
        for frame in self.stack:
            state = self.state_of(frame)
            if state is not None:
                own.update(state.commands, state.flow.commands)
        return frozenset(own)

    def tapped(self, id: str, state: State[Any], data: Any) -> None:
        if id in CONSENTS:
            notices, marketing = CONSENTS[id]
            self.effects += [Consented("notices", notices), Consented("marketing", marketing)]
            self.say_shared(f"{id.replace(':', '.')}_done", data)
            self.send_words()
        elif id == TALK:
            self.obey(("human",), state, data)
        elif id == OVER:
            self.stack = self.stack[:1]
            if not self.handled("menu"):
                self.menu()
        else:
            self.ask(state, data)

    def obey(self, commands: Sequence[Command], state: State[Any], data: Any) -> None:
        command = commands[0]
        if command == "stop":
            self.stop(commands, state, data)
            return
        if command in ("menu", "back", "cancel") and self.refuses(command, state, data):
            return
        if self.handled(command):
            return
        match command:
            case "menu":
                self.menu()
            case "back":
                self.back(state, data)
            case "cancel":
                self.cancel(state, data)
            case "human":
                self.say_shared("bot.human" if self.ctx.firm.desk else "bot.recorded", data)
                self.leave("")
            case "start":
                self.say_shared("bot.start", data)
                self.send([Option(id, self.text(id.replace(":", "."))) for id in CONSENTS])
            case "help":
                self.help(state, data)
            case "data" | "status" | "correct":
                # Heeded because a flow below answers it, which could not be read any more.
                self.menu()

    def handled(self, command: Command) -> bool:
        """Let the flows answer a command themselves, the one that waits first, then those that run it."""
        for depth in range(len(self.stack) - 1, -1, -1):
            loaded = self.load(depth)
            if loaded is None:
                continue
            state, data = loaded
            waits = depth == len(self.stack) - 1
            own = state.commands.get(command)
            answer = own or state.flow.commands.get(command)
            if answer is not None and (waits or command not in ("back", "cancel")):
                self.jump(depth, state, data, answer(data, ctx=self.ctx_at(depth)))
                return True
        return False

    def jump(self, depth: int, state: State[Any], data: Any, step: Step) -> None:
        """Follow a step that may be of a flow below the one that waits."""
        if not isinstance(step, Stay):
            if not self.stack:
                self.stack.append(Frame(self.root.name, self.root.version, state.name))
            self.cut(depth + 1)
            self.follow(state, data, step)
            return
        if depth < self.floor:
            self.aside(state, data, step)
        else:
            self.utter(state, data, step)
        self.carry(step)
        waiting = self.load() if self.stack else None
        if waiting is None or not step.repeat or waiting[0].kind not in ("asks", "picks"):
            self.send_words()
        else:
            self.ask(*waiting)

    def aside(self, state: State[Any], data: Any, step: Step) -> None:
        """Take in what a flow of the number says while another firm's bot goes on."""
        shown = self.ctx.firm
        self.speak_as(None)
        self.utter(state, data, step)
        self.speak_as(shown)

    def refuses(self, command: Command, state: State[Any], data: Any) -> bool:
        writes = state.kind == "calls" and any(kind.writes for kind in state.makes)
        if command not in state.refuses and not writes:
            return False
        key = self.voice.first(*say_keys(state, "refused")) or "bot.busy"
        self.say_shared(key, data)
        self.send_words()
        return True

    def menu(self) -> None:
        base = self.base
        del self.stack[self.floor :]
        self.start(base, base.data())

    def back(self, state: State[Any], data: Any) -> None:
        for depth in range(len(self.stack) - 1, self.floor - 1, -1):
            frame = self.stack[depth]
            for place in range(len(frame.back) - 1, -1, -1):
                name, raw = frame.back[place]
                flow = self.book.flows[frame.flow]
                to = flow.states.get(flow.renamed.get(name, name))
                if to is not None:
                    self.cut(depth + 1)
                    self.enter(to, flow.codec.decode(raw), back=frame.back[:place])
                    return
            if frame.sealed:
                self.say_shared("bot.already_done", data)
                break
        if state.kind in ("asks", "picks"):
            self.ask(state, data)
        else:
            self.send_words()

    def cancel(self, state: State[Any], data: Any) -> None:
        if len(self.stack) == self.floor + 1 and state is self.base.start:
            self.say_shared("bot.nothing_to_cancel", data)
            self.ask(state, data)
            return
        left = self.voice.first(*say_keys(state, "cancelled")) or "bot.cancelled"
        words = self.text(left, data)
        while len(self.stack) > self.floor + 1:
            self.cut(len(self.stack) - 1)
            loaded = self.load()
            if loaded is None:
                continue
            parent, outer = loaded
            if parent.oops is not None:
                self.follow(parent, outer, parent.oops(outer, Failed("cancelled"), ctx=self.ctx))
                return
        self.words = [words]
        self.menu()

    def stop(
        self, commands: Sequence[Command], state: State[Any] | None = None, data: Any = None
    ) -> None:
        """Takes effect at once, asks nothing, leaves the flow where it is."""
        self.effects.append(Stopped())
        wants_person = "human" in commands and self.status != "human"
        if state is not None and not wants_person and self.handled("stop"):
            return
        self.words = [self.text("bot.stopped", data)]
        if wants_person:
            self.say_shared("bot.human" if self.ctx.firm.desk else "bot.recorded", data)
        self.send([Option(f"{GLOBAL}notices", self.text("bot.notices_only"))])
        if wants_person:
            self.leave("")

    def help(self, state: State[Any], data: Any) -> None:
        key = self.voice.first(*say_keys(state, "help")) or "bot.help"
        if state.kind not in ("asks", "picks"):
            self.words = [self.text(key, data, question="")]
            self.send_words()
            return
        question = Kept(self.text(f"{state.key}.ask", data))
        self.words = [self.text(key, data, question=question)]
        options = self.options(state, data)
        if not any(option.id == "human" for option in options):
            options.append(Option(TALK, self.text("bot.talk"), fixed=True))
        self.show(state, data, options)

    # ------------------------------------------------ results and timers

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


def _timer(at: datetime, name: str) -> Timer:
    # Rounded up: a timer is never early, so that what it waits for has passed.
    return Timer(math.ceil(at.timestamp()), name)


def _by_try(tries: int, *stems: str) -> Iterator[str]:
    """Keys for the second and later try in other words: `rut.digit.2`, then `rut.digit`."""
    for stem in stems:
        yield from (f"{stem}.{n}" for n in range(tries, 1, -1))
        yield stem


def _sentence(words: Sequence[str]) -> str:
    """Words in a row; on a line of their own where one has several lines."""
    said = [word for word in words if word]
    return ("\n" if any("\n" in word for word in said) else " ").join(said)


def _line(words: str) -> str:
    return " ".join(words.split())


def _chosen(understood: reading.Reading, options: Sequence[Option]) -> bool:
    """Whether an option was chosen, rather than any words heard."""
    return isinstance(understood, Understood) and any(
        option.value is understood.value for option in options
    )


def _is_greeting(heard: Heard) -> bool:
    return heard.kind == "welcome" or (
        heard.kind == "text" and not bare(heard.text) and not heard.choice
    )
