"""Whatever a customer sends, in whatever order: one sound message at most, and a person within reach."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.dialog.advance import Turn
from flows.dialog.content import Buttons, Content, Rows, body_of
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, HandOff
from flows.dialog.events import Attachment, Event, Heard, HeardKind, MediaKind, Result
from flows.dialog.session import Session
from flows.values.ids import ContactId, TenantId, Wamid
from tests.flows.product import product_book

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
FIRM = Firm(
    TenantId("00000000-0000-4000-8000-000000000001"),
    "Panadería Sol",
    settings={
        "hours": "lun-vie 9:00-13:00, 15:00-19:00; sáb 9:00-13:00",
        "address": "Av. Los Aromos 123, Villa Alemana",
        "products": "Marraqueta: $2.290 el kilo\nHallulla: $2.190 el kilo",
        "payment": "Efectivo",
        "phone": "56961234567",
    },
    desk=True,
)
BARE = Firm(TenantId("00000000-0000-4000-8000-000000000002"), "Picada Norte")
SAID = (
    "hola", "una consulta", "precios", "horario", "abren mañana?", "dónde están y cómo pago?", "hacen despacho?", "persona", "menu", "volver",
    "cancelar", "baja", "alta", "mis datos", "estado", "ayuda", "sí", "no", "gracias", "0", "1", "2", "asdf", "weón", "mi pedido llegó malo",
    "hello, do you have bread?", "english", "en español", "oi, vocês têm pão?", "mwen vle pen", "me ahogo", "tengo 11 años",
    "4111 1111 1111 1111", "quiero cancelar mi cuenta", "darme de baja del plan", "quiero encargar", "ya no quiero ofertas",
)  # fmt: skip
KINDS: tuple[MediaKind, ...] = ("image", "voice", "video", "document", "sticker")

OTHERS: tuple[HeardKind, ...] = (
    "place", "contacts", "form", "reaction", "order", "welcome", "system", "unsupported",
)  # fmt: skip

moves = st.one_of(
    st.sampled_from(SAID),
    st.text(max_size=30),
    st.sampled_from([f"({kind})" for kind in KINDS]),
    st.integers(min_value=0, max_value=9).map(lambda n: f"tap {n}"),
    st.sampled_from([*OTHERS, "wait", "answer", "fail"]),
)


class Talk:
    """A conversation driven from outside."""

    def __init__(self, firm: Firm) -> None:
        self.book = product_book()
        self.session = self.book.fresh()
        self.ctx = Ctx(MONDAY, firm, ContactId("00000000-0000-4000-8000-000000000003"), "Ana")
        self.last: Content | None = None
        self.asked: list[Asked] = []

    def move(self, what: str) -> Turn | None:
        events = self._events(what)
        if not events:
            return None
        turn = self.book.advance(self.session, events, self.ctx)
        self.session = msgspec.json.decode(msgspec.json.encode(turn.session), type=Session)
        self.last = turn.message or self.last
        self.asked += [effect for effect in turn.effects if isinstance(effect, Asked)]
        return turn

    def _events(self, what: str) -> list[Event]:
        if what == "wait":
            self.ctx = Ctx(
                self.ctx.now + timedelta(hours=7), self.ctx.firm, self.ctx.contact, "Ana"
            )
            return list(self.session.due(self.ctx.now))
        if what in ("answer", "fail"):
            if not self.asked:
                return []
            seq = self.asked.pop().seq
            if what == "fail":
                return [Result(seq, failed="down")]
            return [Result(seq, msgspec.Raw(b'{"id": 7}'))]
        heard = self._heard(what)
        return [heard] if heard else []

    def _heard(self, what: str) -> Heard | None:
        at = int(self.ctx.now.timestamp())
        if what.startswith("tap "):
            shown = self._shown()
            if not shown:
                return None
            id, title = shown[int(what[4:]) % len(shown)]
            return Heard(Wamid("w"), at, "tap", title, id)
        for kind in KINDS:
            if what == f"({kind})":
                return Heard(Wamid("w"), at, "media", media=Attachment(kind, "media-1"))
        for other in OTHERS:
            if what == other:
                form = msgspec.Raw(b'{"a": 1}' if other == "form" else b"")
                return Heard(Wamid("w"), at, other, "👍" * (other == "reaction"), form=form)
        return Heard(Wamid("w"), at, "text", what)

    def _shown(self) -> list[tuple[str, str]]:
        match self.last:
            case Buttons(buttons=buttons):
                return [(button.id, button.title) for button in buttons]
            case Rows(rows=rows):
                return [(row.id, row.title) for row in rows]
            case _:
                return []


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([FIRM, BARE]), st.lists(moves, min_size=1, max_size=12))
def test_one_sound_message_at_most(firm: Firm, said: list[str]) -> None:
    talk = Talk(firm)

    for what in said:
        turn = talk.move(what)

        if turn is not None and turn.message is not None:
            body = body_of(turn.message)
            assert body == body.strip()
            assert not {"{", "}", "None", "\n\n\n"} & {*body, *body.split()}
            assert talk.session.status != "human" or not talk.session.stack


@settings(max_examples=100, deadline=None)
@given(st.lists(moves, max_size=8))
def test_a_person_is_always_one_word_away(said: list[str]) -> None:
    talk = Talk(FIRM)
    for what in said:
        talk.move(what)
    if talk.session.status == "human":
        return

    turn = talk.move("persona")

    assert turn is not None
    wanted = talk.session.state in ("customer.call_person", "customer.leave_note")
    assert wanted or any(isinstance(effect, HandOff) for effect in turn.effects)
