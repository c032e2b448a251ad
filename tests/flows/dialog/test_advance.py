"""One turn: what is understood, what is said once, what is refused, and what a stale event cannot do."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest

from flows.dialog.advance import Book, Turn
from flows.dialog.answers import Media, Name, Pesos
from flows.dialog.calls import Call, Failed
from flows.dialog.content import Buttons, Rows, Template, body_of
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, Consented, HandOff, Stopped
from flows.dialog.events import Attachment, FileLost, Heard, Result, Wake
from flows.dialog.flow import Flow, Lost, Say, Step, go, hand_off, say, stay
from flows.dialog.session import Session
from flows.dialog.texts import TextError, Texts
from flows.dialog.transcript import play
from flows.dialog.turn_frames import LoopError
from flows.values.ids import ContactId, TenantId, Wamid
from tests.flows.dialog.sample import Visit, customer, onboarding
from tests.flows.dialog.sample_texts import BOT, TEXTS

SANTIAGO: Final = ZoneInfo("America/Santiago")
NOW: Final = datetime(2026, 11, 23, 10, 0, tzinfo=SANTIAGO)
SHOP: Final = Book([customer], TEXTS)
SIGN_UP: Final = Book([onboarding], TEXTS)


def ctx(*, desk: bool = True, now: datetime = NOW) -> Ctx:
    firm = Firm(TenantId("t"), "Panadería Sol", desk=desk)
    return Ctx(now, firm, ContactId("c"))


def typed(text: str) -> Heard:
    return Heard(Wamid("w"), 0, "text", text)


def tapped(id: str, title: str = "") -> Heard:
    return Heard(Wamid("w"), 0, "tap", title, choice=id)


def body(turn: Turn) -> str:
    assert turn.message is not None
    assert not isinstance(turn.message, Template)
    return body_of(turn.message)


# ---------------------------------------------------------------- a flow that shows each feature


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    description: str = ""


@dataclass(frozen=True)
class Pay(Call[bool]):
    topic = "till"
    writes = True
    wants_tap = True
    amount: int


@dataclass(frozen=True)
class Bill:
    amount: int = 0
    shop: str = ""
    rows: int = 0
    hour: datetime | None = None


till = Flow("till", Bill, str)


@till.asks
def desk(b: Bill, wish: Literal["pay", "name", "hours", "remind"] | Media) -> Step:
    match wish:
        case "pay":
            return go(how_much, b)
        case "name":
            return go(ask_shop, b)
        case "hours":
            return go(hours, b)
        case "remind":
            return go(remind, replace(b, hour=NOW + timedelta(days=3)))
        case _:
            return till.end("photo", "thanks")


@till.asks
def how_much(b: Bill, amount: Pesos | Literal["all"]) -> Step:
    return go(sure, replace(b, amount=int(amount) if isinstance(amount, Pesos) else 99))


@till.asks(by_tap=True)
def sure(b: Bill, choice: Literal["yes_pay", "no_pay"]) -> Step:
    return go(pay, b, "paying") if choice == "yes_pay" else till.end("kept", "kept")


@till.calls(lambda b: Pay(b.amount))
def pay(b: Bill, paid: bool) -> Step:
    return go(receipt, b, "paid")


@till.asks
def receipt(b: Bill, wants: bool) -> Step:
    return go(ask_shop, b) if wants else till.end("paid", "bye", locale="en")


@till.asks
def ask_shop(b: Bill, name: Name) -> Step:
    return till.end(str(name), say("named", shop=name))


@till.picks(lambda b: [Row(f"h{n}", f"Hora {n}") for n in range(b.rows or 23)])
def hours(b: Bill, hour: Row | Literal["none"]) -> Step:
    return till.end("none" if hour == "none" else hour.id, "booked")


@till.asks
def remind(b: Bill, comes: bool) -> Step:
    return till.end("comes" if comes else "stays", "noted")


def fill(b: Bill, ctx: Ctx) -> Template:
    return Template("reminder", ctx.locale, (("hour", f"{b.hour:%H:%M}" if b.hour else ""),))


@remind.after(lambda b: b.hour and b.hour - timedelta(hours=2), template=fill)
def remember(b: Bill) -> Step:
    return stay("soon", sorry=False)


@till.on("data")
def privacy(b: Bill) -> Step:
    return stay("privacy", sorry=False)


@till.on("status")
def status(b: Bill) -> Step:
    return go(receipt, b, "where")


@till.interrupts
def emergency(b: Bill, heard: Heard, ctx: Ctx) -> Step | None:
    return hand_off("emergency", "urgent") if heard.text == "incendio" else None


TILL_TEXTS: Final = {
    **BOT,
    "till.desk.ask": "¿Qué hacemos?",
    "till.desk.pay": "Pagar",
    "till.desk.pay.about": "Con tarjeta",
    "till.desk.name": "Dar un nombre",
    "till.desk.hours": "Ver horas",
    "till.desk.remind": "Recordarme",
    "till.desk.thanks": "Gracias por la foto.",
    "till.how_much.ask": "¿Cuánto?",
    "till.how_much.all": "Todo",
    "till.sure.ask": "¿Pago {{ s.amount | money }}?",
    "till.sure.yes_pay": "Sí, pagar",
    "till.sure.no_pay": "No, dejarlo",
    "till.sure.paying": "Un momento.",
    "till.sure.kept": "No pagué nada.",
    "till.pay.paid": "Pago hecho.",
    "till.receipt.ask": "¿Quieres la boleta?",
    "till.receipt.yes": "Sí, quiero",
    "till.receipt.no": "No, gracias",
    "till.receipt.bye": "Listo.",
    "till.ask_shop.ask": "¿Cómo se llama el local?",
    "till.ask_shop.named": "Se llama {{ shop }}.",
    "till.hours.ask": "¿A qué hora?",
    "till.hours.none": "Ninguna me sirve",
    "till.hours.booked": "Anotado.",
    "till.remind.ask": "¿Puedes venir?",
    "till.remind.yes": "Sí, voy",
    "till.remind.no": "No puedo ir",
    "till.remind.noted": "Anotado.",
    "till.remind.soon": "Te recuerdo tu hora.",
    "till.privacy": "Guardamos tu nombre.",
    "till.where": "Vas en la boleta.",
    "till.emergency": "Si es una emergencia, llama al 132.",
    "pesos.shape": "Escríbelo así: $15.000. {{ question }}",
    "media.none": "Mándame una foto o elige. {{ question }}",
}
TILL: Final = Book(
    [till], Texts({"es_CL": TILL_TEXTS, "en": {**TILL_TEXTS, "till.desk.ask": "What now?"}})
)

DESK = """< ¿Qué hacemos? {Ver opciones}
- Pagar | Con tarjeta
- Dar un nombre
- Ver horas
- Recordarme"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            f"""
            > hola
            {DESK}
            > 2
            < ¿Cómo se llama el local?
            > Volver
            < Se llama Volver.
            """,
            id="a-shop-may-be-called-volver",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > dar un nombre
            < ¿Cómo se llama el local?
            > persona
            < Te va a responder una persona.
            = human
            """,
            id="a-name-is-never-persona",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > pagar
            < ¿Cuánto? [Todo]
            > 1
            < ¿Pago $1? [Sí, pagar] [No, dejarlo]
            """,
            id="a-number-is-an-amount-where-one-is-asked-for",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > pagar
            < ¿Cuánto? [Todo]
            > 15 lucas
            < ¿Pago $15.000? [Sí, pagar] [No, dejarlo]
            > dale
            < Para seguir, toca «Sí, pagar». [Sí, pagar] [No, dejarlo]
            > 1
            < Para seguir, toca «Sí, pagar». [Sí, pagar] [No, dejarlo] [Hablar con alguien]
            > volver
            < ¿Cuánto? [Todo]
            > 20 mil
            < ¿Pago $20.000? [Sí, pagar] [No, dejarlo]
            > (old) [Sí, pagar]
            ! Pay {{"amount": 20000}} -> true
            < Un momento. Pago hecho. ¿Quieres la boleta? [Sí, quiero] [No, gracias]
            > volver
            < Eso ya quedó hecho. ¿Quieres la boleta? [Sí, quiero] [No, gracias]
            """,
            id="money-takes-a-tap-and-there-is-no-way-back-behind-it",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > pagar
            < ¿Cuánto? [Todo]
            > [Todo]
            < ¿Pago $99? [Sí, pagar] [No, dejarlo]
            > sí, pagar
            @ 1s
            > cancelar
            < Dame un segundo.
            @ 1s
            > menú
            < Dame un segundo.
            ! Pay -> true
            < Un momento. Pago hecho. ¿Quieres la boleta? [Sí, quiero] [No, gracias]
            > dale
            < ¿Cómo se llama el local?
            """,
            id="the-exact-title-counts-and-a-writing-call-is-not-left",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > ver horas
            < ¿A qué hora? {{Ver opciones}}
            - Hora 0
            - Hora 1
            - Hora 2
            - Hora 3
            - Hora 4
            - Hora 5
            - Hora 6
            - Hora 7
            - Ver más
            - Ninguna me sirve
            > [Ver más]
            < ¿A qué hora? {{Ver opciones}}
            - Hora 8
            - Hora 9
            - Hora 10
            - Hora 11
            - Hora 12
            - Hora 13
            - Hora 14
            - Hora 15
            - Ver más
            - Ninguna me sirve
            > ver más
            < ¿A qué hora? {{Ver opciones}}
            - Hora 16
            - Hora 17
            - Hora 18
            - Hora 19
            - Hora 20
            - Hora 21
            - Hora 22
            - Ver más
            - Ninguna me sirve
            > (old) [Hora 3]
            < Anotado.
            = ended h3
            """,
            id="more-than-ten-rows-are-pages",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > recordarme
            < ¿Puedes venir? [Sí, voy] [No puedo ir]
            @ 22h
            > mis datos
            < Guardamos tu nombre. ¿Puedes venir? [Sí, voy] [No puedo ir]
            @ 22h
            > ayuda
            < ¿Puedes venir? También puedes escribir menú, volver o persona. [Sí, voy] [No puedo ir] [Hablar con alguien]
            @ 22h
            > en qué va
            < Vas en la boleta. ¿Quieres la boleta? [Sí, quiero] [No, gracias]
            """,
            id="a-flow-answers-commands-itself-in-all-its-states",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > incendio
            < Si es una emergencia, llama al 132.
            = human urgent
            > incendio
            < Si es una emergencia, llama al 132.
            = human urgent
            > hola?
            > BAJA
            < Listo: no te escribiremos más por iniciativa nuestra. [Solo quiero avisos]
            = stop
            """,
            id="a-person-has-the-chat-and-only-danger-and-stop-are-heard",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > (sticker)
            = quiet
            > pagar
            < ¿Cuánto? [Todo]
            > (sticker)
            < ¡Buen sticker! Para seguir necesito tu respuesta: ¿Cuánto? [Todo]
            > (reacción) 👍
            < ¡Buen sticker! Para seguir necesito tu respuesta: ¿Cuánto? [Todo]
            > (sticker)
            < ¡Buen sticker! Para seguir necesito tu respuesta: ¿Cuánto? [Todo]
            > (sticker)
            < ¡Buen sticker! Para seguir necesito tu respuesta: ¿Cuánto? [Todo]
            > menú
            < ¿Qué hacemos? {{Ver opciones}}
            - Pagar | Con tarjeta
            - Dar un nombre
            - Ver horas
            - Recordarme
            > (foto)
            < Gracias por la foto.
            = ended photo
            """,
            id="a-sticker-is-met-kindly-and-a-photo-answers-where-one-is-wanted",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > pagar
            < ¿Cuánto? [Todo]
            > (audio)
            < Todavía no puedo escuchar audios. ¿Me lo escribes en pocas palabras? [Todo] [Hablar con alguien]
            > (foto)
            < Recibí tu archivo, pero no puedo verlo. ¿Cuánto? [Todo] [Hablar con alguien]
            > [Hablar con alguien]
            < Te va a responder una persona.
            = human
            """,
            id="a-voice-note-is-not-called-not-understood",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > persona
            < Te va a responder una persona.
            = human
            = resolved by Camila
            > gracias
            = quiet
            > 👍
            = quiet
            > hola
            {DESK}
            """,
            id="thanks-after-a-person-are-met-with-silence",
        ),
        pytest.param(
            f"""
            > hola
            {DESK}
            > cancelar
            < No hay nada en curso. ¿Qué hacemos? {{Ver opciones}}
            - Pagar | Con tarjeta
            - Dar un nombre
            - Ver horas
            - Recordarme
            > pagar
            < ¿Cuánto? [Todo]
            > baja
            > con una persona
            < Listo: no te escribiremos más por iniciativa nuestra. Te va a responder una persona. [Solo quiero avisos]
            = stop
            = human
            """,
            id="of-stop-and-a-person-in-one-turn-both-are-done",
        ),
    ],
)
def test_in_every_state(script: str) -> None:
    play(script, TILL)


def test_a_reminder_names_its_template_and_its_buttons_answer_the_question() -> None:
    asking = TILL.advance(Session(), [typed("recordarme")], ctx())
    seq = asking.session.seq
    reminder = Wake("after:0", seq)

    turn = TILL.advance(asking.session, [reminder], ctx(now=NOW + timedelta(days=2, hours=22)))

    assert body(turn) == "Te recuerdo tu hora. ¿Puedes venir?"
    assert turn.template == Template(
        "reminder",
        "es_CL",
        (("hour", "10:00"),),
        (f"{seq}:till.remind:yes", f"{seq}:till.remind:no"),
    )


# ---------------------------------------------------------------- taps


def test_a_tap_on_an_old_button_of_the_menu_still_opens_it() -> None:
    greeting = SHOP.advance(Session(), [typed("hola")], ctx())
    ended = Session(seq=greeting.session.seq + 7, status="rest")

    turn = SHOP.advance(ended, [tapped("1:customer.menu:orders", "Mis pedidos")], ctx())

    assert [type(effect) for effect in turn.effects] == [Asked]


def test_a_tap_on_an_old_button_of_another_state_asks_again() -> None:
    asking = SIGN_UP.advance(Session(), [typed("hola")], ctx())
    rut = SIGN_UP.advance(asking.session, [tapped("1:onboarding.consent:yes")], ctx())

    turn = SIGN_UP.advance(rut.session, [tapped("1:onboarding.consent:no", "No, gracias")], ctx())

    assert body(turn) == "Ese botón es de un mensaje anterior. ¿Cuál es el RUT de tu empresa?"
    assert turn.session.stack[-1].tries == 0


def test_a_grave_question_takes_no_tap_on_an_older_message() -> None:
    asking = SIGN_UP.advance(Session(seq=8), [typed("hola")], ctx())

    turn = SIGN_UP.advance(
        asking.session, [tapped("3:onboarding.consent:yes", "Sí, acepto")], ctx()
    )

    assert turn.session.state == "onboarding.consent"
    assert body(turn).startswith("Ese botón es de un mensaje anterior.")


@pytest.mark.parametrize("id", ["", "x", ":::", "9:", "9:customer.menu:", "bot:", "bot:gone"])
def test_an_id_that_nobody_made_changes_nothing(id: str) -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx())

    turn = SHOP.advance(asking.session, [tapped(id, "")], ctx())

    assert turn.session.state == "customer.menu"
    assert turn.effects == ()


# ---------------------------------------------------------------- events of another visit


def test_a_late_or_repeated_result_is_ignored() -> None:
    asked = SHOP.advance(Session(), [typed("mis pedidos")], ctx())
    result = Result(asked.session.seq, msgspec.Raw(b"[]"))
    answered = SHOP.advance(asked.session, [result], ctx())

    again = SHOP.advance(answered.session, [result], ctx())

    assert body(answered) == "No tienes pedidos. ¿Qué necesitas?"
    assert again == Turn(answered.session)


def test_the_same_call_is_made_again_from_the_stored_session() -> None:
    asked = SHOP.advance(Session(), [typed("¿tienen pan?")], ctx())
    stored = msgspec.json.decode(msgspec.json.encode(asked.session), type=Session)

    again = SHOP.advance(Session(), [typed("¿tienen pan?")], ctx())

    assert again.effects == asked.effects
    assert stored == asked.session


def test_a_timer_of_another_visit_is_ignored() -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx())

    turn = SHOP.advance(asking.session, [Wake("idle", asking.session.seq - 1)], ctx())

    assert turn == Turn(asking.session)


def test_a_message_restarts_the_idle_clock() -> None:
    asking = SIGN_UP.advance(Session(), [typed("hola")], ctx())
    later = NOW + timedelta(hours=20)

    turn = SIGN_UP.advance(asking.session, [typed("¿qué?")], ctx(now=later))

    assert turn.session.wake_at() == later + timedelta(hours=23)


def test_words_win_over_a_timer_that_is_due_at_once() -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx())
    idle = Wake("idle", asking.session.seq)

    turn = SHOP.advance(asking.session, [idle, typed("mis pedidos")], ctx())

    assert turn.session.state == "customer.find_orders"


# ---------------------------------------------------------------- several messages


def test_a_tap_among_words_is_what_counts() -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx())
    tap = tapped(f"{asking.session.seq}:customer.menu:orders", "Mis pedidos")

    turn = SHOP.advance(asking.session, [typed("a ver"), tap], ctx())

    assert turn.session.state == "customer.find_orders"


def test_one_of_the_messages_may_hold_the_answer() -> None:
    asking = SIGN_UP.advance(Session(), [typed("hola")], ctx())
    rut = SIGN_UP.advance(asking.session, [tapped("1:onboarding.consent:yes")], ctx())

    turn = SIGN_UP.advance(rut.session, [typed("espera, lo busco"), typed("76.543.210-3")], ctx())

    assert turn.session.state == "onboarding.look_up"


def test_a_reaction_alone_is_quiet_after_an_answer() -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx())

    turn = SHOP.advance(asking.session, [Heard(Wamid("w"), 0, "reaction", "👍")], ctx())

    assert turn.quiet
    assert turn.message is None


def test_the_first_question_is_answered_without_a_menu() -> None:
    turn = SHOP.advance(Session(), [typed("¿tienen pan?")], ctx())

    assert turn.message is None
    assert not turn.quiet
    assert [type(effect) for effect in turn.effects] == [Asked]


def test_opening_the_chat_is_greeted_once() -> None:
    welcome = Heard(Wamid("w"), 0, "welcome")

    opened = SHOP.advance(Session(), [welcome], ctx())
    again = SHOP.advance(opened.session, [welcome], ctx())

    assert body(opened) == "¿Qué necesitas?"
    assert again.message is None


# ---------------------------------------------------------------- effects


def test_opting_out_leaves_the_flow_where_it_is() -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx())

    turn = SHOP.advance(asking.session, [typed("BAJA")], ctx())

    assert turn.effects == (Stopped(),)
    assert turn.session.stack == asking.session.stack


def test_what_to_receive_is_chosen_by_a_tap() -> None:
    asking = SHOP.advance(Session(), [typed("alta")], ctx())
    assert isinstance(asking.message, Buttons)

    turn = SHOP.advance(asking.session, [tapped(asking.message.buttons[0].id)], ctx())

    assert asking.effects == ()
    assert turn.effects == (
        Consented("notices", granted=True),
        Consented("marketing", granted=True),
    )


def test_a_person_without_a_desk_is_recorded_and_the_bot_goes_on() -> None:
    asking = SHOP.advance(Session(), [typed("hola")], ctx(desk=False))

    turn = SHOP.advance(asking.session, [typed("persona")], ctx(desk=False))

    assert turn.effects == (HandOff(),)
    assert body(turn) == "Dejé anotado que necesitas a una persona."
    assert turn.session.status == "rest"


def test_a_step_changes_the_language() -> None:
    asking = TILL.advance(Session(), [typed("en qué va")], ctx())

    ended = TILL.advance(asking.session, [typed("no")], ctx())
    again = TILL.advance(ended.session, [typed("hola")], ctx())

    assert ended.session.locale == "en"
    assert body(again) == "What now?"


# ---------------------------------------------------------------- sub-flows

parent = Flow("parent", Visit, bool)


@parent.asks
def begin(v: Visit, wish: Literal["sign"]) -> Step:
    return go(sign, v)


@parent.runs(till, lambda v: Bill())
def sign(v: Visit, how: str) -> Step:
    return parent.end(True)


@sign.failed
def left(v: Visit, failed: Failed) -> Step:
    return go(begin, v, say("left", why=failed.why))


@parent.gives_up
def lost(v: Visit, why: Lost) -> Step:
    return hand_off(say("lost", why=why))


PARENT: Final = Book(
    [parent],
    Texts(
        {
            "es_CL": {
                **TILL_TEXTS,
                "parent.begin.ask": "¿Seguimos?",
                "parent.begin.sign": "Sí, seguir",
                "parent.sign.left": "Lo dejaste ({{ why }}).",
                "parent.lost": "Sigue una persona ({{ why }}).",
            }
        }
    ),
)


def test_a_cancelled_sub_flow_tells_its_parent() -> None:
    play(
        f"""
        > hola
        < ¿Seguimos? [Sí, seguir]
        > [Sí, seguir]
        {DESK}
        > cancelar
        < Lo dejaste (cancelled). ¿Seguimos? [Sí, seguir]
        """,
        PARENT,
    )


def test_back_from_the_first_question_of_a_sub_flow_leads_out_of_it() -> None:
    play(
        f"""
        > hola
        < ¿Seguimos? [Sí, seguir]
        > seguir
        < No logré entender eso. ¿Seguimos? [Sí, seguir] [Hablar con alguien]
        > sí, seguir
        {DESK}
        > volver
        < ¿Seguimos? [Sí, seguir]
        """,
        PARENT,
    )


def test_the_flow_below_decides_what_follows_when_nothing_goes_on() -> None:
    play(
        f"""
        > hola
        < ¿Seguimos? [Sí, seguir]
        > [Sí, seguir]
        {DESK}
        > pagar
        < ¿Cuánto? [Todo]
        > mucho
        < Escríbelo así: $15.000. ¿Cuánto? [Todo]
        > muchísimo
        < Escríbelo así: $15.000. ¿Cuánto? [Todo] [Hablar con alguien]
        > no sé
        < Sigue una persona (tries).
        = human
        """,
        PARENT,
    )


# ---------------------------------------------------------------- what is shown, and how it begins

kiosk = Flow("kiosk", Bill, bool)


@kiosk.asks(shows=lambda b: ("bread", "other") if b.amount else ("other",), narrow=("other",))
def choose(b: Bill, wish: Literal["bread", "cake", "other"]) -> Step:
    return go(choose, replace(b, amount=1), Say("noted", more=(say("thanks"),)))


@kiosk.opens
def welcome(b: Bill) -> Step:
    return go(choose, b, "hello")


@kiosk.asks
def leave(b: Bill, wish: bool) -> Step:
    return kiosk.end(wish)


KIOSK: Final = Book(
    [kiosk],
    Texts(
        {
            "es_CL": {
                **BOT,
                "kiosk.hello": "Hola.",
                "kiosk.choose.ask": "¿Qué llevas?",
                "kiosk.choose.bread": "Pan",
                "kiosk.choose.cake": "Torta",
                "kiosk.choose.other": "Otra cosa",
                "kiosk.choose.noted": "Anotado.",
                "kiosk.choose.thanks": "Gracias.",
                "kiosk.leave.ask": "¿Nos vemos?",
                "kiosk.leave.yes": "Sí",
                "kiosk.leave.no": "No",
            }
        }
    ),
)


def test_a_state_shows_what_its_data_allows_and_a_flow_begins_in_its_own_words() -> None:
    play(
        """
        > hola
        < Hola. ¿Qué llevas? [Otra cosa]
        > torta
        < No logré entender eso. ¿Qué llevas? [Otra cosa] [Hablar con alguien]
        > [Otra cosa]
        < Anotado. Gracias. ¿Qué llevas? [Pan] [Otra cosa]
        > qué?
        < No logré entender eso. ¿Qué llevas? [Otra cosa] [Hablar con alguien]
        > qué??
        < Probemos de otra forma: toca una opción. ¿Qué llevas? [Otra cosa] [Hablar con alguien]
        """,
        KIOSK,
    )


# ---------------------------------------------------------------- limits

endless = Flow("endless", Visit, bool)


@endless.runs(endless, lambda v: v)
def dig(v: Visit, how: bool) -> Step:
    return endless.end(how)


def test_a_flow_that_never_rests_is_stopped() -> None:
    book = Book([endless], TEXTS)

    with pytest.raises(LoopError, match=r"endless\.dig"):
        book.advance(Session(), [typed("hola")], ctx())


def test_a_book_without_a_text_does_not_open() -> None:
    texts = {key: text for key, text in TILL_TEXTS.items() if key != "till.sure.yes_pay"}

    with pytest.raises(TextError, match=r"till\.sure\.yes_pay \(es_CL\)"):
        Book([till], Texts({"es_CL": texts}))


def test_a_session_of_a_flow_that_is_gone_starts_anew() -> None:
    asking = SIGN_UP.advance(Session(), [typed("hola")], ctx())

    turn = TILL.advance(asking.session, [typed("hola")], ctx())

    assert body(turn) == "¿Qué hacemos?"


def test_a_result_of_the_wrong_type_is_our_defect() -> None:
    asked = SHOP.advance(Session(), [typed("mis pedidos")], ctx())

    with pytest.raises(msgspec.ValidationError):
        SHOP.advance(asked.session, [Result(asked.session.seq, msgspec.Raw(b'"x"'))], ctx())


def test_a_list_has_at_most_ten_rows_whatever_the_data_holds() -> None:
    asking = TILL.advance(Session(), [typed("ver horas")], ctx())

    assert isinstance(asking.message, Rows)
    assert len(asking.message.rows) == 10


def test_a_state_asks_for_a_pause_before_the_first_word() -> None:
    assert SHOP.fresh().pause == timedelta(milliseconds=1500)
    assert SIGN_UP.fresh().pause == timedelta(0)


def test_a_sticker_at_rest_is_quiet() -> None:
    sticker = Heard(Wamid("w"), 0, "media", media=Attachment("sticker", "m"))

    turn = SHOP.advance(Session(status="rest"), [sticker], ctx())

    assert turn.quiet


# ---------------------------------------------------------------- a file that will not be had


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("gone", "No pude abrir tu archivo. ¿Me lo mandas de nuevo?"),
        ("unavailable", "No pude abrir tu archivo. ¿Me lo mandas de nuevo?"),
        ("too_large", "No puedo recibir ese archivo."),
        ("unknown_type", "No puedo recibir ese archivo."),
    ],
)
def test_a_lost_file_is_told_with_a_person_as_the_way_out(why: str, words: str) -> None:
    asking = SHOP.advance(SHOP.fresh(), [typed("hola")], ctx())

    turn = SHOP.advance(asking.session, [FileLost(Wamid("w"), "image", why)], ctx())

    assert isinstance(turn.message, Buttons)
    assert turn.message.body == words
    assert [button.title for button in turn.message.buttons] == [BOT["bot.talk"]]
    assert turn.session == asking.session


def test_where_a_person_has_taken_over_a_lost_file_is_not_told_by_the_bot() -> None:
    asking = SHOP.advance(SHOP.fresh(), [typed("hola")], ctx())
    handed = SHOP.advance(asking.session, [typed("quiero hablar con una persona")], ctx())
    assert handed.session.status == "human"

    turn = SHOP.advance(handed.session, [FileLost(Wamid("w"), "image", "gone")], ctx())

    assert turn.message is None
