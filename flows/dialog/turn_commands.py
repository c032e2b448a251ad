"""What a turn makes of command words: menú, volver, cancelar, humano, baja and the rest."""

from collections.abc import Sequence
from typing import Any, Final

from flows.dialog.calls import Failed
from flows.dialog.commands import Command
from flows.dialog.effects import Consented, Stopped
from flows.dialog.flow import State, Stay, Step
from flows.dialog.formatting import Kept
from flows.dialog.keys import say_keys
from flows.dialog.question import GLOBAL, Option
from flows.dialog.session import Frame
from flows.dialog.turn_frames import TALK, Frames

CONSENTS: Final = {
    "bot:both": (True, True),
    "bot:notices": (True, False),
    "bot:none": (False, False),
}
"""What the buttons of *alta* and *baja* allow: (notices, marketing)."""

OVER: Final = f"{GLOBAL}over"
"""The button that begins anew."""

# Commands that mean something without a flow's help.
_OWN: Final[frozenset[Command]] = frozenset(
    ("menu", "back", "cancel", "human", "stop", "start", "help")
)


class Commands(Frames):
    """A turn under way that obeys command words, and the buttons that are never old."""

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
                flow = self.flows[frame.flow]
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
