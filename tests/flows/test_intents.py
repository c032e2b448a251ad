"""Intents: each says the same in both forms and in every language, and Meta would take it."""

import json
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flows.catalogue import LOCALES, product_flows
from flows.dialog.checker import check
from flows.dialog.content import Document, Text
from flows.dialog.ctx import Firm
from flows.dialog.texts import Texts
from flows.intents import (
    EXAMPLES,
    INTENTS,
    LINE,
    LINE_MAX,
    AccessDecided,
    AccessRequested,
    AnyIntent,
    AppointmentReminder,
    Csat,
    DocumentReminder,
    FirmIntent,
    InvoiceReady,
    OnboardingResume,
    OrderUpdate,
    PriceList,
    TeamInvitation,
    put_into_words,
    texts_missing,
    unsayable,
    uses,
)
from flows.values.ids import NO_MESSAGE, ItemId, TenantId
from handlers.whatsapp.emulator.content import Notice
from handlers.whatsapp.emulator.sends import read_request
from handlers.whatsapp.emulator.templates import SAMPLES, Template, read_templates
from handlers.whatsapp.emulator.world import Send
from handlers.whatsapp.payload import message as on_the_wire

TEXTS = Texts.load(LOCALES)
FIRM = Firm(id=TenantId("t"), name="Panadería Sol")
NOW = datetime(2026, 11, 28, 10, tzinfo=ZoneInfo("America/Santiago"))
PDF = "https://sol.example/1042.pdf"

EVERY: tuple[AnyIntent, ...] = (
    OrderUpdate(name="Ana", order="1042", status="on_its_way"),
    InvoiceReady(
        name="Ana",
        kind="receipt",
        number="1042",
        total=12_990,
        day=date(2026, 11, 27),
        document=PDF,
    ),
    DocumentReminder(
        name="Ana", kind="invoice", number="F/1042", day=date(2026, 11, 27), document=PDF
    ),
    AppointmentReminder(
        name="Ana", service="peluquería", at=datetime(2026, 11, 30, 19, 30, tzinfo=UTC)
    ),
    Csat(name="Ana", query="T-77", day=date(2026, 11, 27)),
    OnboardingResume(name="Ana", business="Pan & Sol", saved_until=date(2026, 12, 5), steps_left=1),
    AccessRequested(name="Ana", business="Pan & Sol", phone_end="4567", day=date(2026, 11, 27)),
    AccessDecided(name="Ana", business="Pan & Sol", decision="admitted", day=date(2026, 11, 27)),
    PriceList(name="Ana", week_of=date(2026, 11, 30), document=PDF),
    TeamInvitation(business="Pan & Sol", until=date(2026, 12, 5)),
)


def body(intent: AnyIntent, locale: str = "es_CL") -> str:
    free = put_into_words(intent, FIRM, TEXTS.voice(locale), NOW).free
    if isinstance(free, Document):
        return free.caption
    assert isinstance(free, Text)
    return free.body


def test_a_firms_own_system_invites_nobody_in_the_platforms_name() -> None:
    told = msgspec.json.encode(TeamInvitation(business="Sol", until=date(2026, 12, 5)))

    with pytest.raises(msgspec.ValidationError, match="team_invitation"):
        msgspec.json.decode(told, type=FirmIntent)


def test_every_intent_has_an_example_here() -> None:
    assert {type(intent) for intent in EVERY} == set(INTENTS)
    assert {type(intent) for intent in EXAMPLES} == set(INTENTS)


@pytest.mark.parametrize(
    ("intent", "words"),
    [
        (EVERY[0], "Hola Ana, tu pedido 1042 de Panadería Sol va en camino."),
        (
            EVERY[1],
            "Hola Ana, aquí está la boleta número 1042 por $12.990 de tu compra del 27 de noviembre en Panadería Sol.",
        ),
        (
            EVERY[2],
            "Hola Ana, te dejamos a mano la factura número F/1042 de tu compra del 27 de noviembre en Panadería Sol. "
            "Si ya está todo listo, no tienes que hacer nada.",
        ),
        (
            EVERY[3],
            "Hola Ana, te recordamos tu hora de peluquería en Panadería Sol: lunes 30 de noviembre a las 16:30 h. "
            "Si no puedes venir, escríbenos por este chat.",
        ),
        (
            EVERY[4],
            "Hola Ana, el 27 de noviembre te atendimos en Panadería Sol por tu consulta T-77. ¿Cómo fue esa atención?",
        ),
        (
            EVERY[5],
            "Hola Ana, el registro de Pan & Sol está guardado hasta el 5 de diciembre. Falta un paso para terminar.",
        ),
        (
            EVERY[6],
            "Hola Ana, el 27 de noviembre una persona con el celular terminado en 4567 pidió acceso a la cuenta de Pan & Sol. "
            "Nadie entra sin tu permiso: escríbeme *revisar* para decidir.",
        ),
        (
            EVERY[7],
            "Hola Ana, ya hay respuesta a la solicitud de acceso a Pan & Sol que hiciste el 27 de noviembre: ya puedes entrar.",
        ),
        (
            EVERY[8],
            "Hola Ana, esta es la lista de precios de Panadería Sol para la semana del 30 de noviembre. "
            "Puedes encargar por este chat.",
        ),
        (
            EVERY[9],
            "Hola, en Pan & Sol te invitaron a ser parte de su equipo en Panadería Sol. La invitación vence el 5 de "
            "diciembre y sirve solo desde este número. Para verla, responde «ver invitación».",
        ),
    ],
)
def test_what_is_said_within_the_window(intent: AnyIntent, words: str) -> None:
    assert body(intent) == words


@pytest.mark.parametrize("locale", TEXTS.locales)
@pytest.mark.parametrize("intent", EVERY)
def test_meta_takes_its_template(intent: AnyIntent, locale: str) -> None:
    known = {(t.name, t.language): t for t in read_templates(SAMPLES)}

    def find(name: str, language: str) -> Template | None:
        return known.get((name, language))

    template = put_into_words(intent, FIRM, TEXTS.voice(locale), NOW).template
    wire = on_the_wire(
        template, to="56961234567", recipient="", item=ItemId("wa/x:1-0"), quotes=NO_MESSAGE
    )
    sent = read_request(json.loads(wire), find)

    assert isinstance(sent, Send)
    assert isinstance(sent.content, Notice)
    assert known[template.name, template.language].category.lower() == intent.category


@pytest.mark.parametrize("locale", TEXTS.locales)
@pytest.mark.parametrize("intent", EVERY)
def test_meta_takes_its_free_form(intent: AnyIntent, locale: str) -> None:
    free = put_into_words(intent, FIRM, TEXTS.voice(locale), NOW).free
    wire = on_the_wire(
        free, to="56961234567", recipient="", item=ItemId("wa/x:1-0"), quotes=NO_MESSAGE
    )

    assert isinstance(read_request(json.loads(wire), lambda *_: None), Send)


@pytest.mark.parametrize("intent", EVERY)
def test_it_survives_being_stored(intent: AnyIntent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(intent), type=AnyIntent) == intent


LINES = st.from_regex(LINE).filter(lambda text: 0 < len(text) <= LINE_MAX)


@settings(max_examples=50)
@given(name=LINES, number=LINES)
def test_meta_takes_whatever_a_variable_may_hold(name: str, number: str) -> None:
    known = {(t.name, t.language): t for t in read_templates(SAMPLES)}
    stored = msgspec.json.encode(replace(EVERY[1], name=name, number=number))
    intent = msgspec.json.decode(stored, type=AnyIntent)  # the API takes it

    words = put_into_words(intent, FIRM, TEXTS.voice("es_CL"), NOW)

    for content in (words.free, words.template):
        wire = on_the_wire(
            content, to="56961234567", recipient="", item=ItemId("wa/x:1-0"), quotes=NO_MESSAGE
        )
        read_request(json.loads(wire), lambda name, language: known.get((name, language)))


def test_words_from_outside_stay_words() -> None:
    sly = OrderUpdate(name="*Ana* {{ firm }}", order="https://evil.example", status="ready")

    assert "{{ firm }}" in body(sly)
    assert "*Ana*" not in body(sly)


def test_a_firm_whose_name_breaks_lines_can_use_templates() -> None:
    firm = Firm(id=TenantId("t"), name="Sol\n&     Luna")

    template = put_into_words(EVERY[0], firm, TEXTS.voice("es_CL"), NOW).template

    assert ("negocio", "Sol & Luna") in template.variables


# ------------------------------------------------------------------ the checker


def problems(**changes: str) -> list[str]:
    """What `flows check` says of the intents when their texts are changed; '' takes one away."""
    voice = TEXTS.voice("es_CL")
    texts = {key: voice.source(key) for key in voice}
    for name, text in changes.items():
        texts[name.replace("__", ".")] = text
    texts = {key: text for key, text in texts.items() if text}
    found = check(
        product_flows(),
        Texts({"es_CL": texts}),
        elsewhere=("command.", "desk.", "server.", "template."),
        also=tuple(uses()),
    )
    return [str(problem) for problem in found]


def test_the_checker_finds_nothing_wrong_with_them() -> None:
    assert problems() == []
    assert texts_missing(TEXTS) == []
    assert list(unsayable(TEXTS)) == []


def test_the_checker_misses_a_text() -> None:
    assert problems(intent__csat="") == ["intent.csat: no text intent.csat in es_CL"]


def test_the_checker_misses_a_word_of_a_vocabulary() -> None:
    [problem] = problems(intent__order_update__status__ready="")

    assert "intent.order_update.status.ready" in problem


def test_the_checker_says_every_example() -> None:
    voice = TEXTS.voice("es_CL")
    texts = {key: voice.source(key) for key in voice}
    texts["intent.csat"] = "Hola {{ name }}: {{ day | hour }}"  # a day has no hour

    [problem] = unsayable(Texts({"es_CL": texts}))

    assert problem.at == "intent.csat (es_CL)"


def test_the_checker_knows_the_variables_of_an_intent() -> None:
    assert problems(intent__csat="Hola {{ nombre }}, ¿cómo fue?") == [
        "intent.csat (es_CL): uses unknown nombre"
    ]


def test_the_checker_finds_a_text_that_no_intent_says() -> None:
    assert problems(intent__greeting="Hola.") == [
        "intent.greeting: no flow says this text of es_CL"
    ]


@pytest.mark.parametrize("sign", ["\0", "\n", "\r", "\x1f", "\x7f", " "])
def test_the_address_of_a_document_has_no_sign_that_cannot_be_kept(sign: str) -> None:
    told = {"name": "Ana", "week_of": "2026-11-30", "intent": "price_list"}
    msgspec.convert({**told, "document": PDF}, PriceList)

    for address in (
        f"https://sol.example/{sign}.pdf",
        f"https://sol{sign}.example/a.pdf",
        PDF + sign,
    ):
        with pytest.raises(msgspec.ValidationError, match="document"):
            msgspec.convert({**told, "document": address}, PriceList)
