"""What a turn makes of messages."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from flows.dialog import reading
from flows.dialog.effects import HandOff
from flows.dialog.events import Heard
from flows.dialog.flow import Bound, Leave, State, Step
from flows.dialog.formatting import Kept
from flows.dialog.keys import sorry_keys
from flows.dialog.question import GLOBAL, Option
from flows.dialog.reading import Commanded, Missed, Tapped, Turned, Understood
from flows.dialog.turn_commands import OVER, Commands
from flows.dialog.turn_frames import TALK, timer
from flows.values.words import bare

# What cannot be read at all, however often it is sent.
_TOLD_ONCE: Final = frozenset(("bot.unsupported",))


class Hearing(Commands):
    """A turn under way that hears what the person wrote."""

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
            idle = timer(self.ctx.now + self.idle(state), "idle")
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
            flow = self.flows.get(self.stack[depth].flow)
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


def _by_try(tries: int, *stems: str) -> Iterator[str]:
    """Keys for the second and later try in other words: `rut.digit.2`, then `rut.digit`."""
    for stem in stems:
        yield from (f"{stem}.{n}" for n in range(tries, 1, -1))
        yield stem


def _chosen(understood: reading.Reading, options: Sequence[Option]) -> bool:
    """Whether an option was chosen, rather than any words heard."""
    return isinstance(understood, Understood) and any(
        option.value is understood.value for option in options
    )


def _is_greeting(heard: Heard) -> bool:
    return heard.kind == "welcome" or (
        heard.kind == "text" and not bare(heard.text) and not heard.choice
    )
