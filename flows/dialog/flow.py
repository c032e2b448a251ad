"""The language: a flow is its states, a state is a function, its signature is the question.

    @signup.asks
    def ask_rut(s: Signup, rut: Rut) -> Step:
        return go(look_up, replace(s, rut=rut))

The decorator says what the state waits for, the type of the second parameter what is understood (and which
buttons are shown), the body what follows. A third parameter, if there is one, is the `Ctx`.

Words come from the catalogue by their key. What is more than words is sent beside them; how a question looks otherwise
than as words and options is said where it is asked:

    return go(menu, s, say("invoice", number=12), send=Document(OurFile(found.file), "F-12.pdf"))
    return shop.end(True, "pay", send=lambda say: Link(say.body, say("pay_now"), s.address))

    @shop.asks(sends=lambda s, say: Form(say.body, say("open"), name="sign_up", screen="START"))
    def fill_in(s: Signup, form: Owner) -> Step:        # class Owner(Form)
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from flows.dialog.answers import Reader, Request, reader_of, snake
from flows.dialog.calls import Call, Failed, named_in
from flows.dialog.content import Content, Template
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Consented, Stopped
from flows.dialog.screens import Screens, Turns
from flows.dialog.session import Codec, Migration
from flows.values.ids import NO_MESSAGE, TenantId, Wamid

if TYPE_CHECKING:
    from flows.dialog.commands import Command
    from flows.dialog.events import Heard

D = TypeVar("D")
D2 = TypeVar("D2")
R = TypeVar("R")
R2 = TypeVar("R2")
T = TypeVar("T")

IDLE: Final = timedelta(hours=23)
"""A question forgotten is dropped within the window, so that nothing is ever said about it."""
WITHIN: Final = timedelta(seconds=20)
TRIES: Final = 3

Refusable = Literal["menu", "back", "cancel"]
Kind = Literal["asks", "picks", "calls", "runs"]
Also = Consented | Stopped
Lost = Literal["tries", "trouble"]
"""Why a conversation cannot go on: answers not understood, or a call that failed without a `failed` step."""


# ---------------------------------------------------------------- what a step decides


@dataclass(frozen=True, slots=True)
class Say:
    """Words of the catalogue, with what they need beside the flow's data."""

    key: str
    names: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[Say, ...] = ()
    """Words that follow in the same message: two questions in one message get one answer."""


Words = str | Say | None


def say(key: str, **names: Any) -> Say:
    return Say(key, names)


@dataclass(frozen=True, slots=True)
class Speak:
    """Gives a content the words of the catalogue: `say("pay_now")` by key, `say.body` what the turn says anyway."""

    body: str
    render: Callable[[str, Mapping[str, Any]], str]

    def __call__(self, key: str, /, **names: Any) -> str:
        return self.render(key, names)


Send = Content | Callable[[Speak], Content] | None
"""What is more than words. An image, a video or a document carries the words, or stands above the buttons of the question;
anything else is said in place of the question, and what a function makes of the words carries them."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens next: one of Go, Stay, End, Leave."""

    say: Say | None = None
    send: Send = None
    quotes: Wamid = NO_MESSAGE
    """The message that is visibly answered."""
    worth: timedelta | None = None
    """For how long it is worth saying, should it have to wait for the person to write; None: the usual time."""
    also: tuple[Also, ...] = ()
    locale: str = ""
    """The language from here on; empty keeps it."""


@dataclass(frozen=True, kw_only=True)
class Go(Step):
    to: State[Any]
    data: Any


@dataclass(frozen=True, kw_only=True)
class Stay(Step):
    sorry: bool = True
    """Counts as an answer that was not understood."""
    repeat: bool = True
    """Whether the question follows the words."""


@dataclass(frozen=True, kw_only=True)
class End(Step):
    result: Any


@dataclass(frozen=True, kw_only=True)
class Leave(Step):
    """To a person."""

    team: str = ""


def go(
    to: State[D],
    data: D,
    say: Words = None,
    *,
    send: Send = None,
    quotes: Wamid = NO_MESSAGE,
    worth: timedelta | None = None,
    also: Iterable[Also] = (),
    locale: str = "",
) -> Step:
    """Enter a state of the same flow. The words come in front of its question, in one message.

    Args:
        to: the state.
        data: the flow's data from here on.
        say: words in front of the question.
        send: what is more than words.
        quotes: the message that is visibly answered, e.g. `ctx.heard`, or one kept in the data.
        worth: for how long it is worth saying, should it have to wait for the person to write.
        also: what was consented with this answer.
        locale: the language from here on.
    """
    return Go(
        to=to,
        data=data,
        say=_words(say),
        send=send,
        quotes=quotes,
        worth=worth,
        also=tuple(also),
        locale=locale,
    )


def stay(
    say: Words = None,
    *,
    send: Send = None,
    quotes: Wamid = NO_MESSAGE,
    worth: timedelta | None = None,
    sorry: bool = True,
    repeat: bool = True,
    also: Iterable[Also] = (),
    locale: str = "",
) -> Step:
    """Ask again.

    Args:
        say: words in front of the question.
        send: what is more than words.
        quotes: the message that is visibly answered.
        worth: for how long it is worth saying, should it have to wait for the person to write.
        sorry: counts as a failed try; after `Flow.tries` of them a person takes over.
        repeat: False if the words ask for themselves, so that the question is not repeated.
        also: what was consented with this answer.
        locale: the language from here on.
    """
    return Stay(
        say=_words(say),
        send=send,
        quotes=quotes,
        worth=worth,
        sorry=sorry,
        repeat=repeat,
        also=tuple(also),
        locale=locale,
    )


def hand_off(
    say: Words = None,
    team: str = "",
    *,
    send: Send = None,
    quotes: Wamid = NO_MESSAGE,
    worth: timedelta | None = None,
    also: Iterable[Also] = (),
) -> Step:
    """Give the conversation to a person. Without a desk the request is recorded and the bot goes on."""
    return Leave(
        say=_words(say), team=team, send=send, quotes=quotes, worth=worth, also=tuple(also)
    )


def _words(words: Words) -> Say | None:
    return Say(words) if isinstance(words, str) else words


# ---------------------------------------------------------------- states

Hears = Callable[[D, T], Step] | Callable[[D, T, Ctx], Step]
Wakes = Callable[[D], Step] | Callable[[D, Ctx], Step]
Sends = Callable[[D, Speak], Content] | Callable[[D, Speak, Ctx], Content]
Shows = Callable[[D], Sequence[str]] | Callable[[D, Ctx], Sequence[str]]
Templates = Callable[[D], Template] | Callable[[D, Ctx], Template]
Moment = timedelta | datetime | None


class Pickable(Protocol):
    """What a list of a `picks` state is made of; it may have a `description` too."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...


Picked = TypeVar("Picked", bound=Pickable)


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer that is shown."""

    id: str
    value: Any
    group: str = ""
    """For members of an Enum, its name in text keys: `Trade` is `trade`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A step of the author's, called with the context only if it takes one."""

    fn: Callable[..., Any]
    takes_ctx: bool

    @classmethod
    def of(cls, fn: Callable[..., Any], given: int) -> Bound:
        return cls(fn, len(inspect.signature(fn).parameters) > given)

    def __call__(self, *given: Any, ctx: Ctx) -> Any:
        return self.fn(*given, ctx) if self.takes_ctx else self.fn(*given)


@dataclass(frozen=True, slots=True)
class After:
    """A timer of a state."""

    wait: timedelta | Callable[[Any], Moment]
    step: Bound
    template: str | Bound | None = None

    def at(self, data: Any, now: datetime) -> datetime | None:
        """When it is due if the state is entered now; None for never."""
        wait = self.wait(data) if callable(self.wait) else self.wait
        return now + wait if isinstance(wait, timedelta) else wait


@dataclass(eq=False)
class State(Generic[D]):
    """One named state. Its name is stored: to rename it, name the old one in the flow's `renamed`."""

    flow: Flow[D, Any]
    name: str
    kind: Kind
    step: Bound
    wants: Any
    """Type of what the step hears."""
    choices: tuple[Choice, ...] = ()
    readers: tuple[Reader, ...] = ()
    idle: timedelta = IDLE
    pause: timedelta = timedelta(0)
    by_tap: bool = False
    narrow: tuple[str, ...] = ()
    rests: bool = False
    shows: Bound | None = None
    sends: Bound | None = None
    rows: Callable[[D], Sequence[Pickable]] | None = None
    call: Callable[[D], Call[Any]] | None = None
    within: timedelta = WITHIN
    sub: Flow[Any, Any] | None = None
    begin: Callable[[D], Any] | None = None
    firm: Callable[[D], TenantId] | None = None
    refuses: tuple[Refusable, ...] = ()
    timers: list[After] = field(default_factory=list)
    commands: dict[Command, Bound] = field(default_factory=dict)
    oops: Bound | None = None

    @cached_property
    def key(self) -> str:
        """`<flow>.<state>`, the stem of its text keys."""
        return f"{self.flow.name}.{self.name}"

    @cached_property
    def verbatim(self) -> bool:
        """Whether any word may be the answer: a shop may be called *Volver*."""
        return not self.choices and self.rows is None and any(r.verbatim for r in self.readers)

    @cached_property
    def numeric(self) -> bool:
        """Whether a bare number may be the answer, and so is no shortcut for an option."""
        return any(reader.numeric for reader in self.readers)

    @cached_property
    def request(self) -> Request | None:
        """WhatsApp's own button for an answer of this type, where no options are shown in its place."""
        if self.choices or self.rows is not None:
            return None
        return next((reader.request for reader in self.readers if reader.request), None)

    @cached_property
    def makes(self) -> frozenset[type[Call[Any]]]:
        """The calls that this state may make."""
        return named_in(self.call) if self.call else frozenset()

    def after(
        self,
        wait: timedelta | Callable[[D], Moment],
        *,
        template: str | Templates[D] | None = None,
    ) -> Callable[[Wakes[D]], Wakes[D]]:
        """Do something if the state still waits then. Set on each entry, void on leaving.

        Args:
            wait: from the entry on, or a function of the data that gives a span, a moment or None for never.
            template: what is sent instead once the window is closed: the name of a template without
                variables, or a function that fills one. Its buttons answer the state's question unless
                it says otherwise.
        """

        def add(fn: Wakes[D]) -> Wakes[D]:
            named = Bound.of(template, 1) if callable(template) else template
            self.timers.append(After(wait, Bound.of(fn, 1), named))
            return fn

        return add

    def on(self, command: Command) -> Callable[[Wakes[D]], Wakes[D]]:
        """Answer a global command here. *stop* has taken effect before the step runs."""

        def add(fn: Wakes[D]) -> Wakes[D]:
            if command in self.commands:
                raise TypeError(f"{self.key} answers {command} twice")
            self.commands[command] = Bound.of(fn, 1)
            return fn

        return add

    def failed(self, fn: Hears[D, Failed]) -> Hears[D, Failed]:
        """What follows if the call fails, the sub-flow is cancelled or its firm gone, or the form that asks cannot be shown.

        Without it: an apology and a person.
        """
        self.oops = Bound.of(fn, 2)
        return fn


class Flow(Generic[D, R]):
    """A conversation. The first state declared is its start.

    Args:
        name: stored, and the first word of its text keys.
        data: frozen dataclass; a root flow starts with `data()`.
        result: type of what it ends with.
        version: raise it when `data` changes its shape, and write how the old one is read (`migrates`).
        idle: how long a question waits for its answer before the flow is dropped without a word.
        tries: answers not understood before a person takes over.
        pause: how long to gather messages written in a row; a state may say otherwise.
        away: after so long a silence a greeting, or words that are no answer, are met with the text `<flow>.returned`, the
            question and a way to begin anew. None: nobody is welcomed back.
        renamed: old name of a state -> its name now.
    """

    def __init__(
        self,
        name: str,
        data: type[D],
        result: type[R],
        *,
        version: int = 1,
        idle: timedelta = IDLE,
        tries: int = TRIES,
        pause: timedelta = timedelta(0),
        away: timedelta | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        if not is_dataclass(data) or not data.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # not in typeshed
            raise TypeError(f"data of {name} is not a frozen dataclass")
        self.name = name
        self.data = data
        self.result = result
        self.version = version
        self.idle = idle
        self.tries = tries
        self.pause = pause
        self.away = away
        self.renamed = dict(renamed or {})
        self.states: dict[str, State[D]] = {}
        self.migrations: dict[int, Migration] = {}
        self.commands: dict[Command, Bound] = {}
        self.forms: dict[str, Screens] = {}
        self.interrupt: Bound | None = None
        self.rescue: Bound | None = None
        self.opening: Bound | None = None
        self.codec: Codec[D] = Codec(data)

    @property
    def start(self) -> State[D]:
        return next(iter(self.states.values()))

    @overload
    def asks(self, fn: Hears[D, Any], /) -> State[D]: ...
    @overload
    def asks(
        self,
        *,
        idle: timedelta | None = None,
        pause: timedelta | None = None,
        by_tap: bool = False,
        narrow: tuple[str, ...] = (),
        rests: bool = False,
        shows: Shows[D] | None = None,
        sends: Sends[D] | None = None,
    ) -> Callable[[Hears[D, Any]], State[D]]: ...
    def asks(
        self,
        fn: Hears[D, Any] | None = None,
        *,
        idle: timedelta | None = None,
        pause: timedelta | None = None,
        by_tap: bool = False,
        narrow: tuple[str, ...] = (),
        rests: bool = False,
        shows: Shows[D] | None = None,
        sends: Sends[D] | None = None,
    ) -> State[D] | Callable[[Hears[D, Any]], State[D]]:
        """Ask; the type of the second parameter is what is understood, and the buttons shown.

        Args:
            fn: the step.
            idle: instead of the flow's.
            pause: instead of the flow's.
            by_tap: money, deletion, consent: only a tap on the latest message counts, or its exact title.
            narrow: ids of the options to show when an answer was not understood; empty for all.
            rests: nothing is owed here, as after an answer: *gracias* or *ok* are met with silence.
                A root flow's start always rests.
            shows: ids of the options to show, in this order; else all. What is not shown is still
                understood when it is a word of an answer type.
            sends: how the question looks, if not as its words with its options: a form, a carousel, a link … `say.body`
                is its words. The id of a button is that of an option.
        """
        shown = Bound.of(shows, 1) if shows else None
        sent = Bound.of(sends, 2) if sends else None

        def add(fn: Hears[D, Any]) -> State[D]:
            return self._add(
                "asks",
                fn,
                idle=idle,
                pause=pause,
                by_tap=by_tap,
                narrow=narrow,
                rests=rests,
                shows=shown,
                sends=sent,
            )

        return add(fn) if fn else add

    def picks(
        self,
        rows: Callable[[D], Sequence[Picked]],
        *,
        idle: timedelta | None = None,
        pause: timedelta | None = None,
        by_tap: bool = False,
        sends: Sends[D] | None = None,
    ) -> Callable[[Hears[D, Picked]], State[D]]:
        """Show rows made from the data; the step hears the row chosen.

        The step may hear more than rows, `Order | Literal["other"]`: these options follow the rows. `sends` as in `asks`.
        """
        sent = Bound.of(sends, 2) if sends else None
        return lambda fn: self._add(
            "picks", fn, idle=idle, pause=pause, by_tap=by_tap, rows=rows, sends=sent
        )

    def calls(
        self,
        make: Callable[[D], Call[T]],
        *,
        within: timedelta = WITHIN,
        refuses: tuple[Refusable, ...] = (),
    ) -> Callable[[Hears[D, T]], State[D]]:
        """Ask the outside; the step hears the result.

        Args:
            make: the call, of the data alone: after a crash it is made again, equal.
            within: after this it has failed with `timeout`.
            refuses: commands that are refused meanwhile, with the text `refused`.
        """
        return lambda fn: self._add("calls", fn, call=make, within=within, refuses=refuses)

    def runs(
        self,
        sub: Flow[D2, R2],
        begin: Callable[[D], D2],
        *,
        firm: Callable[[D], TenantId] | None = None,
    ) -> Callable[[Hears[D, R2]], State[D]]:
        """Run another flow, with data to begin with; the step hears what it ended with.

        Args:
            sub: the flow.
            begin: its data.
            firm: whose bot speaks in it, if not that of the number: its name, settings and language. It lends nothing
                more; whose conversation it is does not change. *menú* and *cancelar* stay within it, it is forgotten
                after this flow's `idle`, and if the firm is gone `failed` follows without a word, once they write.
        """
        return lambda fn: self._add("runs", fn, sub=sub, begin=begin, firm=firm)

    def end(
        self,
        result: R,
        say: Words = None,
        *,
        send: Send = None,
        quotes: Wamid = NO_MESSAGE,
        worth: timedelta | None = None,
        also: Iterable[Also] = (),
        locale: str = "",
    ) -> Step:
        """Come to an end."""
        return End(
            result=result,
            say=_words(say),
            send=send,
            quotes=quotes,
            worth=worth,
            also=tuple(also),
            locale=locale,
        )

    def on(self, command: Command) -> Callable[[Wakes[D]], Wakes[D]]:
        """Answer a global command in every state of this flow, and of those it runs."""

        def add(fn: Wakes[D]) -> Wakes[D]:
            if command in self.commands:
                raise TypeError(f"{self.name} answers {command} twice")
            self.commands[command] = Bound.of(fn, 1)
            return fn

        return add

    def form(self, name: str, *, says: tuple[str, ...] = ()) -> Callable[[Turns], Turns]:
        """Answer the screens of the form `name`, which a state shows with `sends`, while a person fills it in.

        Args:
            name: at Meta, one for all firms; `smarterbot form push` uploads it.
            says: what may be wrong with a field; its words stand under `<flow>.form.<word>`.
        """

        def add(fn: Turns) -> Turns:
            self.forms[name] = Screens(self.name, fn, says)
            return fn

        return add

    def opens(self, fn: Wakes[D]) -> Wakes[D]:
        """Begin a conversation that starts with a greeting, or with words that are not understood; or be run by another flow.

        Without it the start asks its question.
        """
        self.opening = Bound.of(fn, 1)
        return fn

    def interrupts(
        self, fn: Callable[[D, Heard, Ctx], Step | None]
    ) -> Callable[[D, Heard, Ctx], Step | None]:
        """Hear every message but a tap before anything else, in every state, even while a person has the chat.

        For emergencies. Of several flows under way the one that runs the others hears first; None lets the message
        through.
        """
        self.interrupt = Bound.of(fn, 2)
        return fn

    def gives_up(self, fn: Hears[D, Lost]) -> Hears[D, Lost]:
        """What follows when this flow, or one that it runs, cannot go on. Else: an apology and a person."""
        self.rescue = Bound.of(fn, 2)
        return fn

    def migrates(self, to: int) -> Callable[[Migration], Migration]:
        """How the data of version `to - 1`, as plain JSON, becomes that of version `to`."""

        def add(fn: Migration) -> Migration:
            self.migrations[to] = fn
            return fn

        return add

    def _add(
        self,
        kind: Kind,
        fn: Callable[..., Step],
        *,
        idle: timedelta | None = None,
        pause: timedelta | None = None,
        **more: Any,
    ) -> State[D]:
        name = getattr(fn, "__name__", "")
        if name in self.states:
            raise TypeError(f"{self.name}.{name} is defined twice")
        parameters = list(inspect.signature(fn).parameters)
        if len(parameters) < 2:
            raise TypeError(f"{self.name}.{name} does not say what it hears")
        wants = get_type_hints(fn).get(parameters[1], Any)
        reads = kind in ("asks", "picks")
        state = State(
            self,
            name,
            kind,
            Bound.of(fn, 2),
            wants,
            choices=_choices(wants) if reads else (),
            readers=_readers(wants) if reads else (),
            idle=self.idle if idle is None else idle,
            pause=self.pause if pause is None else pause,
            **more,
        )
        self.states[name] = state
        return state


def parts(wants: Any) -> list[Any]:
    """The members of a union, or the one type itself."""
    if get_origin(wants) in (Union, types.UnionType):
        return [part for member in get_args(wants) for part in parts(member)]
    return [wants]


def _choices(wants: Any) -> tuple[Choice, ...]:
    found: list[Choice] = []
    for part in parts(wants):
        if part is bool:
            found += [Choice("yes", value=True), Choice("no", value=False)]
        elif get_origin(part) is Literal:
            found += [Choice(str(value), value) for value in get_args(part)]
        elif isinstance(part, type) and issubclass(part, Enum):
            found += [Choice(m.name, m, snake(part.__name__)) for m in part]
    return tuple(found)


def _readers(wants: Any) -> tuple[Reader, ...]:
    return tuple(reader for part in parts(wants) if (reader := reader_of(part)))
