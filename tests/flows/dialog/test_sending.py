"""A flow says more than words: files, places, forms, products; it quotes, it reacts, and long words become several messages."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import Raw

from flows.dialog.advance import Book, Turn
from flows.dialog.answers import Form as FormAnswer
from flows.dialog.answers import OwnPhone, Place, Text
from flows.dialog.calls import Call
from flows.dialog.checker import check
from flows.dialog.content import (
    Audio,
    Button,
    Buttons,
    Carousel,
    ContentError,
    Document,
    Form,
    Image,
    Link,
    OurFile,
    PhoneRequest,
    PlaceRequest,
    Reaction,
    Slide,
    Template,
    WebFile,
)
from flows.dialog.content import Place as PlaceSaid
from flows.dialog.content import Text as TextSaid
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, HandOff
from flows.dialog.events import NO_JSON, Event, Heard, Result, Unshown
from flows.dialog.flow import Flow, Speak, Step, go, hand_off, say, stay
from flows.dialog.question import PARTS_MAX
from flows.dialog.screens import Show, Turned
from flows.dialog.session import Session
from flows.dialog.texts import Texts
from flows.dialog.transcript import ChatError, play
from flows.values.ids import ContactId, FileId, TenantId, Wamid
from tests.flows.dialog.sample_texts import BOT

NOW: Final = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
FILE: Final = OurFile(FileId("f-1"))


@dataclass(frozen=True)
class Cake:
    id: str
    title: str


CAKES: Final = (Cake("c1", "Mil hojas"), Cake("c2", "Selva negra"))


@dataclass(frozen=True)
class Order:
    cake: str = ""
    where: str = ""
    asked: str = ""


@dataclass(frozen=True)
class Owner(FormAnswer):
    name: str = ""


@dataclass(frozen=True)
class Ask(Call[str]):
    topic = "agents"
    question: str


shop = Flow("shop", Order, str)


@shop.asks
def menu(o: Order, wish: Literal["bill", "more"] | Text, ctx: Ctx) -> Step:
    match wish:
        case "bill":
            return go(
                menu, o, send=lambda say: Document(FILE, "F-12.pdf", say("here_is", number=12))
            )
        case "more":
            return go(more, o)
        case "gracias":
            return stay(send=Reaction(ctx.heard, "👍"), repeat=False, sorry=False)
        case "foto":
            return go(more, o, "look", send=Image(FILE))
        case "cita":
            return stay("yes_of_course", quotes=ctx.heard, sorry=False)
        case _:
            return go(agent, replace(o, asked=str(ctx.heard)), quotes=ctx.heard)


@shop.asks
def more(
    o: Order, wish: Literal["place", "phone", "form", "cake", "pay", "visit", "sound"]
) -> Step:
    match wish:
        case "place":
            return go(ask_place, o)
        case "phone":
            return go(ask_phone, o)
        case "form":
            return go(fill_in, o, "some_data")
        case "cake":
            return go(choose, o)
        case "pay":
            return shop.end("pay", say("owed", sum="$990"), send=pay)
        case "visit":
            return shop.end("visit", "here_we_are", send=PlaceSaid(-33, -71, "Sol", "Calle 1"))
        case "sound":
            return hand_off("listen", send=Audio(FILE))


def pay(say: Speak) -> Link:
    return Link(say.body, say("pay_now"), "https://sol.example/pagar")


@shop.asks
def ask_place(o: Order, where: Place | Text) -> Step:
    return shop.end(where.name if isinstance(where, Place) else str(where), "noted")


@shop.asks
def ask_phone(o: Order, phone: OwnPhone) -> Step:
    return shop.end(phone, "noted")


@shop.asks(sends=lambda o, say: Form(say.body, say("open"), name="sign_up", screen="START"))
def fill_in(o: Order, owner: Owner) -> Step:
    return shop.end(owner.name, "noted")


def cakes(o: Order, say: Speak) -> Carousel:
    picture = Image(WebFile("https://sol.example/torta.jpg"))
    return Carousel(
        say.body,
        tuple(Slide(picture, cake.title, (Button(cake.id, say("choose")),)) for cake in CAKES),
    )


@shop.picks(lambda o: CAKES, sends=cakes)
def choose(o: Order, cake: Cake) -> Step:
    return shop.end(cake.id, say("good_choice", cake=cake.title))


@shop.calls(lambda o: Ask("?"))
def agent(o: Order, answer: str) -> Step:
    return go(menu, o, say("answer", text=answer), quotes=Wamid(o.asked))


TEXTS: Final = {
    **BOT,
    "shop.menu.ask": "¿Qué necesitas?",
    "shop.menu.bill": "Mi boleta",
    "shop.menu.more": "Otra cosa",
    "shop.menu.here_is": "Esta es la boleta {{ number }}.",
    "shop.menu.look": "Así quedó.",
    "shop.menu.yes_of_course": "Sí, claro.",
    "shop.more.ask": "¿Cuál de estas?",
    "shop.more.place": "Mandar mi dirección",
    "shop.more.phone": "Dar mi teléfono",
    "shop.more.form": "Llenar datos",
    "shop.more.cake": "Ver tortas",
    "shop.more.pay": "Pagar",
    "shop.more.visit": "Visitar el local",
    "shop.more.sound": "Escuchar",
    "shop.more.some_data": "Faltan unos datos.",
    "shop.more.owed": "Son {{ sum }}.",
    "shop.more.pay_now": "Pagar ahora",
    "shop.more.here_we_are": "Estamos aquí.",
    "shop.more.listen": "Escucha esto.",
    "shop.ask_place.ask": "¿Dónde estás?",
    "shop.ask_place.noted": "Anotado.",
    "shop.ask_phone.ask": "¿Me compartes tu número?",
    "shop.ask_phone.noted": "Anotado.",
    "shop.fill_in.ask": "¿Los completas?",
    "shop.fill_in.open": "Completar",
    "shop.fill_in.noted": "Anotado.",
    "shop.choose.ask": "¿Cuál torta?",
    "shop.choose.choose": "Quiero esta",
    "shop.choose.good_choice": "Anotada la {{ cake }}.",
    "shop.agent.answer": "{{ text | markdown }}",
    "place.none": "No vi ninguna ubicación. {{ question }}",
    "own_phone.none": "Toca el botón para compartirlo. {{ question }}",
    "owner.none": "Toca el botón para completarlos. {{ question }}",
    "owner.fields": "Algo falta en el formulario. {{ question }}",
    "text.empty": "No leí nada. {{ question }}",
}
SHOP: Final = Book([shop], Texts({"es_CL": TEXTS}))
MENU: Final = "¿Qué necesitas? [Mi boleta] [Otra cosa]"
MORE: Final = """{Ver opciones}
- Mandar mi dirección
- Dar mi teléfono
- Llenar datos
- Ver tortas
- Pagar
- Visitar el local
- Escuchar"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Mi boleta]
            < (document F-12.pdf) Esta es la boleta 12. {MENU}
            """,
            id="a-document-stands-above-the-buttons",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > foto
            < (image)
            < Así quedó. ¿Cuál de estas? {MORE}
            """,
            id="a-list-carries-no-picture-so-there-are-two-messages",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Mandar mi dirección]
            < (asks place) ¿Dónde estás?
            > (ubicación) -33.04, -71.37
            < Anotado.
            """,
            id="a-place-is-asked-for-with-whatsapps-button",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Mandar mi dirección]
            < (asks place) ¿Dónde estás?
            > Calle Larga 12
            < Anotado.
            """,
            id="a-place-may-be-written-too",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Dar mi teléfono]
            < (asks phone) ¿Me compartes tu número?
            > +56 9 6123 4567
            < (asks phone) Toca el botón para compartirlo. ¿Me compartes tu número?
            > (contacto) 56961234567
            < Anotado.
            = ended 56961234567
            """,
            id="a-typed-number-is-not-proof-of-ones-own",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Llenar datos]
            < (form sign_up) Faltan unos datos. ¿Los completas? [Completar]
            > ya voy
            < (form sign_up) Toca el botón para completarlos. ¿Los completas? [Completar]
            > (formulario) {{"name": "Ana"}}
            < Anotado.
            = ended Ana
            """,
            id="a-form-opens-and-comes-back",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Ver tortas]
            < (carousel) ¿Cuál torta?
            - Mil hojas [Quiero esta]
            - Selva negra [Quiero esta]
            > [Quiero esta · Selva negra]
            < Anotada la Selva negra.
            = ended c2
            """,
            id="a-card-of-a-carousel-is-chosen",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Ver tortas]
            < (carousel) ¿Cuál torta?
            - Mil hojas [Quiero esta]
            - Selva negra [Quiero esta]
            > mil hojas
            < Anotada la Mil hojas.
            """,
            id="a-card-may-be-named-too",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Pagar]
            < Son $990. [Pagar ahora](https://sol.example/pagar)
            = ended pay
            """,
            id="a-link-carries-the-words",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Visitar el local]
            < Estamos aquí.
            < (place) Sol, Calle 1
            """,
            id="what-cannot-carry-words-comes-after-them",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > [Otra cosa]
            < ¿Cuál de estas? {MORE}
            > [Escuchar]
            < Escucha esto.
            < (audio)
            = human
            """,
            id="a-person-takes-over-with-a-sound",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > ¿tienen pan?
            ! Ask -> "Sí, *marraqueta*."
            < (re ¿tienen pan?) Sí, _marraqueta_. {MENU}
            """,
            id="an-answer-quotes-its-question-after-a-while",
        ),
        pytest.param(
            f"""
            > hola
            < {MENU}
            > cita
            < (re cita) Sí, claro. {MENU}
            """,
            id="an-answer-quotes-at-once",
        ),
    ],
)
def test_a_flow_says_more_than_words(script: str) -> None:
    play(script, SHOP)


def test_the_shop_is_in_order_but_for_two_messages_that_it_cannot_join() -> None:
    found = check([shop], Texts({"es_CL": TEXTS}), elsewhere=("name.", "rut."))

    assert [str(problem) for problem in found] == [
        "shop.menu: sends a file in front of more, whose list can carry none: two messages",
        "shop.more: (warning) sends what cannot carry its words: two messages",
    ]


# ------------------------------------------------------------------ turn by turn


class Talk:
    """A conversation with the shop."""

    def __init__(self, book: Book = SHOP) -> None:
        self.book = book
        self.session = Session()
        self.count = 0

    def hears(self, text: str = "", **more: object) -> Turn:
        self.count += 1
        heard = Heard(Wamid(f"w{self.count}"), 0, "text", text)
        return self.feed(msgspec.structs.replace(heard, **more))

    def feed(self, event: Event) -> Turn:
        ctx = Ctx(NOW, Firm(TenantId("t"), "Sol", desk=True), ContactId("c"))
        turn = self.book.advance(self.session, [event], ctx)
        self.session = turn.session
        return turn


def test_thanks_are_met_with_a_thumb_and_no_words() -> None:
    flow = Flow("thanks", Order, bool)

    @flow.asks
    def ask(o: Order, words: Text, ctx: Ctx) -> Step:
        return stay(send=Reaction(ctx.heard, "👍"), repeat=False, sorry=False)

    talk = Talk(Book([flow], Texts({"es_CL": {**BOT, "thanks.ask.ask": "¿Sí?"}})))
    talk.hears("hola")

    turn = talk.hears("qué rico")

    assert (turn.message, turn.ahead, turn.quiet) == (Reaction(Wamid("w2"), "👍"), (), False)


def test_what_was_sent_once_is_not_sent_again() -> None:
    talk = Talk()
    talk.hears("hola")
    talk.hears("mi boleta")

    turn = talk.hears("¿")

    assert not isinstance(turn.message, Document)


def test_a_form_is_opened_with_the_name_of_its_question() -> None:
    talk = Talk()
    talk.hears("hola")
    talk.hears("otra cosa")

    turn = talk.hears("llenar datos")

    assert isinstance(turn.message, Form)
    assert turn.message.token == "3:shop.fill_in:form"


@pytest.mark.parametrize(
    ("token", "state"),
    [
        pytest.param("3:shop.fill_in:form", "", id="of-this-question"),
        pytest.param("1:shop.fill_in:form", "", id="of-an-earlier-visit"),
        pytest.param("9:other.ask:form", "shop.fill_in", id="of-another-question"),
        pytest.param("unused", "", id="of-somebody-else"),
    ],
)
def test_a_form_of_another_question_is_not_an_answer(token: str, state: str) -> None:
    talk = Talk()
    for words in ("hola", "otra cosa", "llenar datos"):
        talk.hears(words)

    turn = talk.hears(
        kind="form", form=Raw(msgspec.json.encode({"name": "Ana", "flow_token": token}))
    )

    assert turn.session.state == state


def test_a_form_whose_fields_are_not_those_that_were_asked_is_asked_again() -> None:
    talk = Talk()
    for words in ("hola", "otra cosa", "llenar datos"):
        talk.hears(words)

    turn = talk.hears(kind="form", form=Raw(b'{"name": 7}'))

    assert isinstance(turn.message, Form)
    assert turn.message.body.startswith("Algo falta en el formulario.")


def test_a_form_without_a_token_of_ours_says_nothing() -> None:
    talk = Talk()
    for words in ("hola", "otra cosa", "llenar datos"):
        talk.hears(words)

    turn = talk.hears(kind="form", form=NO_JSON)

    assert turn.session.state == "shop.fill_in"
    assert isinstance(turn.message, Form)
    assert turn.message.body.startswith(BOT["bot.old_button"].split("{")[0].strip())


def test_a_form_that_was_not_shown_leads_to_a_person_unless_the_flow_knows_better() -> None:
    talk = Talk()
    for words in ("hola", "otra cosa", "llenar datos"):
        talk.hears(words)
    seq = talk.session.seq
    assert not talk.book.has_other_way(talk.session)

    late = talk.feed(Unshown(seq - 1, "form_unavailable"))
    turn = talk.feed(Unshown(seq, "form_unavailable"))

    assert late.message is None
    assert turn.session.status == "human"
    assert any(isinstance(effect, HandOff) for effect in turn.effects)


def test_two_flows_cannot_answer_the_same_form() -> None:
    flows = [Flow(name, Order, str) for name in ("one", "two")]
    for flow in flows:

        @flow.asks
        def ask(o: Order, words: Text) -> Step:
            return stay()

        @flow.form("sign_up")
        def screens(turned: Turned, ctx: Ctx) -> Show:
            return Show("A")

    texts = {**BOT, "one.ask.ask": "¿Sí?", "two.ask.ask": "¿Sí?"}
    with pytest.raises(TypeError, match="two flows answer the form sign_up"):
        Book(flows, Texts({"es_CL": texts}))


def test_who_is_not_understood_twice_is_offered_a_person_in_place_of_the_form() -> None:
    talk = Talk()
    for words in ("hola", "otra cosa", "llenar datos", "¿?"):
        talk.hears(words)

    turn = talk.hears("no puedo")

    assert isinstance(turn.message, Buttons)
    assert [button.title for button in turn.message.buttons] == ["Hablar con alguien"]


def test_a_file_on_the_way_to_a_call_is_sent_at_once() -> None:
    flow = Flow("wait", Order, str)

    @flow.asks
    def ask(o: Order, words: Text) -> Step:
        return go(look_up, o, "while", send=Image(FILE))

    @flow.calls(lambda o: Ask("?"))
    def look_up(o: Order, answer: str) -> Step:
        return flow.end(answer, say("found", answer=answer))

    texts = {
        **BOT,
        "wait.ask.ask": "¿Sí?",
        "wait.ask.while": "Mientras busco.",
        "wait.look_up.found": "{{ answer }}",
    }
    talk = Talk(Book([flow], Texts({"es_CL": texts})))
    talk.hears("hola")

    turn = talk.hears("busca")

    assert turn.message == Image(FILE, "Mientras busco.")
    [asked] = [effect for effect in turn.effects if isinstance(effect, Asked)]
    assert talk.feed(Result(asked.seq, Raw(b'"Listo."'))).message == TextSaid("Listo.")


def test_a_content_that_whatsapp_refuses_is_a_defect_of_the_flow() -> None:
    flow = Flow("wrong", Order, str)

    @flow.asks
    def ask(o: Order, words: Text) -> Step:
        return flow.end("", send=lambda say: Link("a", "b" * 21, "https://a.cl"))

    talk = Talk(Book([flow], Texts({"es_CL": {**BOT, "wrong.ask.ask": "¿Sí?"}})))
    talk.hears("hola")

    with pytest.raises(ContentError, match="title: has 21 characters"):
        talk.hears("paga")


# ------------------------------------------------------------------ long words


def answered(words: str) -> Turn:
    talk = Talk()
    talk.hears("hola")
    turn = talk.hears("cuéntame")
    [asked] = [effect for effect in turn.effects if isinstance(effect, Asked)]
    return talk.feed(Result(asked.seq, Raw(msgspec.json.encode(words))))


LONG: Final = "Una frase que dice algo del pan. "


def test_a_long_answer_becomes_several_messages_and_the_last_one_asks() -> None:
    turn = answered(LONG * 200)

    assert isinstance(turn.message, Buttons)
    assert turn.message.body.endswith("¿Qué necesitas?")
    assert [type(part) for part in turn.ahead] == [TextSaid, TextSaid]
    said = [*(part.body for part in turn.ahead if isinstance(part, TextSaid)), turn.message.body]
    assert " ".join(said).split() == [*(LONG * 200).split(), "¿Qué", "necesitas?"]


def test_an_answer_that_fits_stays_one_message() -> None:
    turn = answered("a " * 490)

    assert turn.ahead == ()


def test_an_answer_without_end_is_cut() -> None:
    turn = answered(LONG * 2000)

    assert len(turn.ahead) == PARTS_MAX - 1
    assert isinstance(turn.ahead[-1], TextSaid)
    assert turn.ahead[-1].body.endswith(" …")
    assert isinstance(turn.message, Buttons)
    assert turn.message.body.endswith("¿Qué necesitas?")


def test_only_the_first_of_several_quotes() -> None:
    assert answered(LONG * 200).quotes == Wamid("w2")


# ------------------------------------------------------------------ outside the window, and what the checker says


def test_after_a_day_a_template_takes_the_place_of_whatever_would_be_sent() -> None:
    flow = Flow("late", Order, str, idle=timedelta(days=3))

    @flow.asks
    def ask(o: Order, comes: bool) -> Step:
        return flow.end("yes" if comes else "no")

    @ask.after(timedelta(hours=25), template="recordatorio")
    def remind(o: Order) -> Step:
        return stay(send=Image(FILE), sorry=False)

    texts = {
        **BOT,
        "late.ask.ask": "¿Vienes?",
        "late.ask.yes": "Sí, voy",
        "late.ask.no": "No puedo",
    }
    talk = Talk(Book([flow], Texts({"es_CL": texts})))
    talk.hears("hola")
    [wake] = talk.session.due(NOW + timedelta(hours=26))

    turn = talk.feed(wake)

    assert isinstance(turn.message, Buttons)
    assert turn.message.header == Image(FILE)
    assert isinstance(turn.template, Template)
    assert [type(button).__name__ for button in turn.template.buttons] == ["Reply", "Reply"]


def found(flow: Flow[Order, str], **texts: str) -> list[str]:
    catalogue = {**BOT, **{key.replace("__", "."): value for key, value in texts.items()}}
    problems = check([flow], Texts({"es_CL": catalogue}), elsewhere=("name.", "rut.", "text."))
    return [str(problem) for problem in problems]


def test_a_form_that_nobody_opens_is_a_problem() -> None:
    flow = Flow("f", Order, str)

    @flow.asks
    def ask(o: Order, owner: Owner) -> Step:
        return flow.end(owner.name)

    assert found(
        flow, f__ask__ask="¿Sí?", owner__none="Toca el botón.", owner__fields="Algo falta."
    ) == ["f.ask: asks for Owner and sends no form"]


def test_a_tap_on_what_is_sent_is_no_proof_of_the_latest_message() -> None:
    flow = Flow("f", Order, str)

    @flow.asks(by_tap=True, sends=lambda o, say: Buttons(say.body, (Button("yes", say("ja")),)))
    def ask(o: Order, sure: Literal["yes"]) -> Step:
        return flow.end(sure)

    assert found(flow, f__ask__ask="¿Sí?", f__ask__yes="Sí, claro", f__ask__ja="Sí, quiero") == [
        "f.ask: wants a tap on the latest message, which a tap on what it sends cannot show"
    ]


def test_a_text_that_only_a_content_says_is_needed_and_known() -> None:
    flow = Flow("f", Order, str)

    @flow.asks
    def ask(o: Order, words: Text) -> Step:
        return flow.end("", send=lambda say: Link(say("look"), say("go"), "https://a.cl"))

    assert found(flow, f__ask__ask="¿Sí?", f__ask__look="Mira.", f__ask__unused="Nada.") == [
        "f.ask: no text f.ask.go in es_CL",
        "f.ask.unused: no flow says this text of es_CL",
    ]


def test_a_transcript_tells_what_was_sent_instead() -> None:
    with pytest.raises(ChatError, match=r"got:  < \(document F-12.pdf\) Esta es la boleta 12."):
        play(f"> hola\n< {MENU}\n> mi boleta\n< Esta es la boleta 12. {MENU}", SHOP)


def test_the_requests_are_shown_by_their_answer_types() -> None:
    assert ask_place.request is PlaceRequest
    assert ask_phone.request is PhoneRequest
    assert menu.request is None
    assert choose.request is None
