"""Whatever arrives, in whatever order: one valid message at most, a session that can be stored, no exception."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.dialog.content import Buttons, Content, Rows
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked
from flows.dialog.events import Attachment, Event, FailedWhy, Heard, Result, Wake
from flows.dialog.session import Session
from flows.values.ids import ContactId, TenantId, Wamid
from tests.flows.dialog.test_advance import TILL

NOW: Final = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
WORDS: Final = st.sampled_from(
    ["hola", "pagar", "15 lucas", "1", "0", "volver", "menú", "cancelar", "persona", "baja", "alta",
     "mis datos", "en qué va", "ayuda", "gracias", "sí", "no", "ver horas", "ver más", "incendio", "¿qué?", "", "👍"]
)  # fmt: skip
MOVES: Final = st.lists(
    st.one_of(
        st.tuples(st.just("type"), WORDS),
        st.tuples(st.just("write"), st.text(max_size=20)),
        st.tuples(st.just("tap"), st.integers(0, 9)),
        st.tuples(st.just("tap old"), st.integers(0, 40)),
        st.tuples(st.just("send"), st.sampled_from(["voice", "sticker", "image"])),
        st.tuples(st.just("answer"), st.sampled_from(["true", "timeout", "down"])),
        st.tuples(st.just("wait"), st.integers(1, 200)),
        st.tuples(st.just("release"), st.none()),
    ),
    max_size=25,
)


def ids_of(content: Content) -> list[str]:
    match content:
        case Buttons(buttons=buttons):
            return [button.id for button in buttons]
        case Rows(rows=rows):
            return [row.id for row in rows]
        case _:
            return []


class World:
    """A conversation and what surrounds it."""

    def __init__(self) -> None:
        self.session = Session()
        self.now = NOW
        self.shown: list[str] = []
        self.ever: list[str] = []
        self.calls: list[int] = []

    def move(self, kind: str, with_: object) -> None:
        match kind, with_:
            case (("type" | "write"), str(text)):
                self.feed(Heard(Wamid("w"), 0, "text", text))
            case "tap", int(n) if self.shown:
                self.feed(Heard(Wamid("w"), 0, "tap", choice=self.shown[n % len(self.shown)]))
            case "tap old", int(n) if self.ever:
                self.feed(Heard(Wamid("w"), 0, "row", choice=self.ever[n % len(self.ever)]))
            case "send", ("voice" | "sticker" | "image") as media:
                self.feed(Heard(Wamid("w"), 0, "media", media=Attachment(media, "m")))
            case "answer", str(result) if self.calls:
                self.answer(result)
            case "wait", int(hours):
                self.now += timedelta(hours=hours)
                self.feed(*self.session.due(self.now))
            case "release", None:
                self.session = self.session.released()
            case _:
                pass

    def answer(self, result: str) -> None:
        why: FailedWhy | None = None
        if result in ("timeout", "down"):
            why = "timeout" if result == "timeout" else "down"
        # Each result arrives twice, as after a crash.
        for _ in range(2):
            self.feed(Result(self.calls[-1], msgspec.Raw(b"true"), why))

    def feed(self, *events: Event) -> None:
        firm = Firm(TenantId("t"), "Sol", desk=bool(self.now.hour % 2))
        turn = TILL.advance(self.session, events, Ctx(self.now, firm, ContactId("c")))
        stored = msgspec.json.decode(msgspec.json.encode(turn.session), type=Session)
        assert stored == turn.session
        assert turn.session.seq >= self.session.seq
        assert not (turn.quiet and turn.message)
        assert turn.session.stack or not turn.session.timers
        self.session = stored
        if turn.message is not None:
            self.shown = ids_of(turn.message)
            self.ever += self.shown
        self.calls += [effect.seq for effect in turn.effects if isinstance(effect, Asked)]
        # No call is ever made twice under one key.
        assert len(set(self.calls)) == len(self.calls)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(MOVES)
def test_no_event_breaks_a_conversation(moves: list[tuple[str, object]]) -> None:
    world = World()

    for kind, with_ in moves:
        world.move(kind, with_)


def test_a_wake_nobody_set_does_nothing() -> None:
    session = Session(seq=3)

    turn = TILL.advance(
        session, [Wake("idle", 3)], Ctx(NOW, Firm(TenantId("t"), "Sol"), ContactId("c"))
    )

    assert turn.message is None
    assert turn.session.seq == 3
