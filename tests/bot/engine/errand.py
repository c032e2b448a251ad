"""A small flow that does whatever a flow can do to the engine, told by its first word; and what it must answer.

    say …     is answered              gather …  what is written within the pause is one turn
    nap …     sets a timer             order …   calls the works outside
    boom …    breaks the turn, until the flow is mended

`Talk` says the same again, in other words: the specification that the turns are held against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.calls import Call, Failed
from flows.dialog.content import Template
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Consented
from flows.dialog.flow import Flow, Say, Step, go, say
from flows.dialog.keys import BOT_KEYS
from flows.dialog.texts import FORMAT_KEYS, Texts

VERBS: Final = ("say", "order", "nap", "gather", "boom")
PAUSE_MS: Final = 1_500
HURRY_S: Final = 3
NAP_S: Final = 30
WITHIN_S: Final = 20
REMINDER: Final = "recordatorio"
MENDED: Final = "mended"
"""The firm's setting without which the flow breaks."""


class BrokenFlowError(Exception):
    """The flow has a defect."""


@dataclass(frozen=True)
class Errand:
    words: str = ""


@dataclass(frozen=True)
class Make(Call[str]):
    topic: ClassVar[str] = "works"

    words: str = ""


errand = Flow("errand", Errand, bool)


@errand.asks
def listening(_e: Errand, words: Text, ctx: Ctx) -> Step:
    match words.split()[0]:
        case "order":
            return go(ordering, Errand(words))
        case "nap":
            leave = Consented("notices", granted=True)
            return go(napping, Errand(words), told("naps", words), also=(leave,))
        case "gather":
            return go(gathering, Errand(words), told("gathers", words))
        case "boom" if MENDED not in ctx.firm.settings:
            raise BrokenFlowError
        case _:
            return go(listening, Errand(), told("heard", words))


@errand.asks(pause=timedelta(milliseconds=PAUSE_MS))
def gathering(_e: Errand, words: Text) -> Step:
    return go(listening, Errand(), told("gathered", words))


@gathering.after(timedelta(seconds=HURRY_S))
def hurry(e: Errand) -> Step:
    return go(listening, Errand(), told("hurries", e.words))


@errand.asks
def napping(_e: Errand, words: Text) -> Step:
    return go(listening, Errand(), told("up", words))


def reminder(e: Errand) -> Template:
    return Template(REMINDER, "es_CL", variables=(("words", e.words),))


@napping.after(timedelta(seconds=NAP_S), template=reminder)
def wake(e: Errand) -> Step:
    return go(listening, Errand(), told("woke", e.words))


@errand.calls(lambda e: Make(e.words), within=timedelta(seconds=WITHIN_S))
def ordering(_e: Errand, made: str) -> Step:
    return go(listening, Errand(), told("made", made))


@ordering.failed
def sorry(e: Errand, _failed: Failed) -> Step:
    return go(listening, Errand(), told("sorry", e.words))


def told(verb: str, words: str) -> Say:
    return say("told", verb=verb, words=words)


def errand_book() -> Book:
    """A book of this flow alone; the texts that it never speaks are named after their keys."""
    unspoken = {key: key for key in (*BOT_KEYS, *FORMAT_KEYS)}
    spoken = {
        "bot.busy": "busy {{ s.words }}",
        "errand.told": "{{ verb }} {{ words }}",
        "errand.listening.ask": "?",
        "errand.gathering.ask": "?",
        "errand.napping.ask": "?",
        "text.unknown": "?",
    }
    return Book([errand], Texts({"es_CL": {**unspoken, **spoken}}))


# ------------------------------------------------------------------ what it must answer


@dataclass
class Talk:
    """One conversation, as its turns must go on. Answers are without the mark that ends a question."""

    state: str = ""
    """As `TurnRecord.state`."""
    words: str = ""
    busy: bool = False
    since_ms: int = 0

    def hears(self, texts: Sequence[str], at_ms: int, *, mended: bool) -> str | None:
        """The answer to what was written; None = silence."""
        words = " ".join(texts)
        match self.state:
            case "errand.ordering":
                if self.busy:
                    return None
                self.busy = True
                return f"busy {self.words}"
            case "errand.gathering":
                return self._listens(f"gathered {words}")
            case "errand.napping":
                return self._listens(f"up {words}")
            case _:
                pass
        assert len(texts) == 1, "only a pause makes one turn of several messages"
        match words.split()[0]:
            case "order":
                return self._goes("ordering", words, at_ms, None)
            case "nap":
                return self._goes("napping", words, at_ms, f"naps {words}")
            case "gather":
                return self._goes("gathering", words, at_ms, f"gathers {words}")
            case "boom":
                assert mended, "a turn that breaks is no turn"
            case _:
                pass
        return self._listens(f"heard {words}")

    def wakes(self) -> Sequence[tuple[str, int]]:
        """What it may say without having heard anything, and from when on (ms since the epoch)."""
        match self.state:
            case "errand.ordering":
                return (
                    (f"made {self.words}", self.since_ms),
                    (f"sorry {self.words}", self.since_ms),
                )
            case "errand.gathering":
                return ((f"hurries {self.words}", self.since_ms + HURRY_S * 1000),)
            case "errand.napping":
                return ((f"woke {self.words}", self.since_ms + NAP_S * 1000),)
            case _:
                return ()

    def alarm_ms(self) -> int:
        """When a timer is due; 0 = none that speaks."""
        match self.state:
            case "errand.gathering":
                wait_s = HURRY_S
            case "errand.napping":
                wait_s = NAP_S
            case "errand.ordering":
                wait_s = WITHIN_S
            case _:
                return 0
        return -(-(self.since_ms + wait_s * 1000) // 1000) * 1000

    def spoke(self) -> None:
        """What `wakes` offered was said."""
        self._listens("")

    def _goes(self, state: str, words: str, at_ms: int, answer: str | None) -> str | None:
        self.state, self.words, self.since_ms, self.busy = f"errand.{state}", words, at_ms, False
        return answer

    def _listens(self, answer: str) -> str:
        self.state, self.words = "errand.listening", ""
        return answer
