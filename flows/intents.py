"""What a firm may say on its own initiative: each intent with its variables, its words and its template.

An intent names what is meant, never how it looks. While the person's window is open it is free text in their language
(`intent.<name>` of the catalogues), afterwards the approved template with the same variables. A new one is a class
here, its texts, and its template at Meta; `smarterbot flows check` compares them.
"""

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import TemplateError
from msgspec import Meta, Struct

from flows.dialog.answers import snake
from flows.dialog.checker import Problem, Use
from flows.dialog.content import BODY_MAX, Content, ContentError, Document, Template, Text, WebFile
from flows.dialog.ctx import Firm
from flows.dialog.texts import COMMON_NAMES, Texts, Voice
from flows.values.ids import TenantId
from flows.values.money import show_pesos
from flows.window import Category

# One line without spaces at its ends and without four of them in a row: what a template's variable may hold (error
# 132012). The look-ahead is for Python, whose `$` also stands before a last line break.
LINE: Final = r"^(?![\s\S]*[\n\r])[^\s\x00-\x1f\x7f]+( {1,3}[^\s\x00-\x1f\x7f]+)*$"
_URL: Final = (
    r"^(?![\s\S]*[\x00-\x1f\x7f])https://[^\s/.:@]+(\.[^\s/.:@]+)+(:[0-9]{1,5})?(/[^\s]*)?$"
)
LINE_MAX: Final = 60  # ours: two of them and the words of a template stay below its 1,024
URL_MAX: Final = 1_000
TOTAL_MAX: Final = 10_000_000_000

Line = Annotated[str, Meta(min_length=1, max_length=LINE_MAX, pattern=LINE)]
PersonName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LINE_MAX,
        pattern=LINE,
        description="What the person is called.",
        examples=["Ana"],
    ),
]
PdfLink = Annotated[
    str,
    Meta(
        max_length=URL_MAX,
        pattern=_URL,
        description="Public https address of a PDF, which WhatsApp fetches itself.",
        examples=["https://sol.example/boletas/1042.pdf"],
    ),
]


def _tag(name: str) -> str:
    return snake(name)


class Intent(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="intent", tag=_tag
):
    """Words that a firm sends unasked. Its fields are its variables."""

    template: ClassVar[str]
    """The approved template that says the same outside the window."""
    category: ClassVar[Category] = "utility"

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        """What the template's body is filled with, by the names it was approved with."""
        raise NotImplementedError

    def attached(self) -> Document | None:
        """The file that goes with it. Its template only offers it: who taps on the first button gets it."""
        return None


class ToSomebody(Intent, frozen=True, kw_only=True):
    """To a person whom the firm knows."""

    name: PersonName


OrderStatus = Literal["confirmed", "preparing", "ready", "on_its_way", "delivered", "cancelled"]


class OrderUpdate(ToSomebody, frozen=True):
    """An order has a new status."""

    template: ClassVar[str] = "pedido_actualizado"

    order: Annotated[Line, Meta(description="Number of the order.", examples=["1042"])]
    status: Annotated[OrderStatus, Meta(examples=["ready"])]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        status = word(self, "status", self.status, voice)
        return {"nombre": self.name, "numero": self.order, "negocio": firm.name, "estado": status}


InvoiceKind = Literal["receipt", "invoice"]


def _pdf(number: str, address: str) -> Document:
    name = number.replace("/", "-").replace("\\", "-")  # no file's name has these
    return Document(WebFile(address), f"{name}.pdf")


class InvoiceReady(ToSomebody, frozen=True):
    """The document of a purchase can be had. Within the window it goes with the words."""

    template: ClassVar[str] = "factura_lista"

    kind: Annotated[InvoiceKind, Meta(description="Boleta or factura.", examples=["receipt"])]
    number: Annotated[Line, Meta(description="Number of the document.", examples=["1042"])]
    total: Annotated[int, Meta(ge=1, le=TOTAL_MAX, description="In pesos.", examples=[12_990])]
    day: Annotated[date, Meta(description="Of the purchase.", examples=["2026-11-28"])]
    document: PdfLink

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        return {
            "nombre": self.name,
            "documento": word(self, "kind", self.kind, voice),
            "numero": self.number,
            "total": show_pesos(self.total),
            "fecha": voice.dated(self.day, key="format.date"),
            "negocio": firm.name,
        }

    def attached(self) -> Document | None:
        return _pdf(self.number, self.document)


class DocumentReminder(ToSomebody, frozen=True):
    """A document that may be unpaid. What is owed, and that it is, stands nowhere: others see the lock screen."""

    template: ClassVar[str] = "documento_recordado"

    kind: Annotated[InvoiceKind, Meta(description="Boleta or factura.", examples=["invoice"])]
    number: Annotated[Line, Meta(description="Number of the document.", examples=["1042"])]
    day: Annotated[date, Meta(description="Of the purchase.", examples=["2026-11-28"])]
    document: PdfLink

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        return {
            "nombre": self.name,
            "documento": word(self, "kind", self.kind, voice),
            "numero": self.number,
            "fecha": voice.dated(self.day, key="format.date"),
            "negocio": firm.name,
        }

    def attached(self) -> Document | None:
        return _pdf(self.number, self.document)


class AppointmentReminder(ToSomebody, frozen=True):
    """An appointment is near."""

    template: ClassVar[str] = "recordatorio_hora"

    service: Annotated[Line, Meta(description="What it is for.", examples=["peluquería"])]
    at: Annotated[
        datetime,
        Meta(
            tz=True,
            description="When, with an offset; shown in the firm's time zone.",
            examples=["2026-11-30T16:30:00-03:00"],
        ),
    ]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        at = self.at.astimezone(ZoneInfo(firm.zone))
        return {
            "nombre": self.name,
            "servicio": self.service,
            "negocio": firm.name,
            "fecha": voice.dated(at, key="format.date"),
            "hora": voice.dated(at, key="format.hour"),
        }


class Csat(ToSomebody, frozen=True):
    """How was it? Asked after somebody was helped."""

    template: ClassVar[str] = "encuesta_atencion"

    query: Annotated[Line, Meta(description="Number of their query.", examples=["T-77"])]
    day: Annotated[date, Meta(description="When they were helped.", examples=["2026-11-28"])]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        day = voice.dated(self.day, key="format.date")
        return {"nombre": self.name, "fecha": day, "negocio": firm.name, "numero": self.query}


class OnboardingResume(ToSomebody, frozen=True):
    """A sign-up that was left half done."""

    template: ClassVar[str] = "registro_pendiente"

    business: Annotated[
        Line, Meta(description="The firm that signs up.", examples=["Panadería Sol"])
    ]
    saved_until: Annotated[date, Meta(examples=["2026-12-05"])]
    steps_left: Annotated[int, Meta(ge=1, le=9, examples=[3])]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        return {
            "nombre": self.name,
            "negocio": self.business,
            "fecha": voice.dated(self.saved_until, key="format.date"),
            "pasos": str(self.steps_left),
        }


PhoneEnd = Annotated[
    str, Meta(pattern=r"^([0-9]{4}|····)$", description="Last digits.", examples=["4567"])
]


class AccessRequested(ToSomebody, frozen=True):
    """Somebody wants into a firm's account: said to those who administer it, on the platform's own number."""

    template: ClassVar[str] = "acceso_solicitado"

    business: Annotated[Line, Meta(description="The firm.", examples=["Panadería Sol"])]
    phone_end: PhoneEnd
    day: Annotated[date, Meta(description="When they asked.", examples=["2026-11-28"])]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        return {
            "nombre": self.name,
            "fecha": voice.dated(self.day, key="format.date"),
            "final": self.phone_end,
            "negocio": self.business,
        }


Decision = Literal["admitted", "refused"]


class AccessDecided(ToSomebody, frozen=True):
    """Whether they were let in. On the platform's own number."""

    template: ClassVar[str] = "acceso_decidido"

    business: Annotated[Line, Meta(description="The firm.", examples=["Panadería Sol"])]
    decision: Annotated[Decision, Meta(examples=["admitted"])]
    day: Annotated[date, Meta(description="When they asked.", examples=["2026-11-28"])]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        return {
            "nombre": self.name,
            "negocio": self.business,
            "fecha": voice.dated(self.day, key="format.date"),
            "respuesta": word(self, "decision", self.decision, voice),
        }


class TeamInvitation(Intent, frozen=True):
    """A colleague invites them into a firm's team. Of the platform's own number: no firm's system may say it."""

    template: ClassVar[str] = "invitacion_equipo"

    business: Annotated[
        Line, Meta(description="The firm that invites.", examples=["Panadería Sol"])
    ]
    until: Annotated[date, Meta(description="The day it expires.", examples=["2026-12-05"])]

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        return {"negocio": self.business, "fecha": voice.dated(self.until, key="format.date")}


class PriceList(ToSomebody, frozen=True):
    """The prices of a week: an offer, so only for those who asked for offers."""

    template: ClassVar[str] = "lista_precios"
    category: ClassVar[Category] = "marketing"

    week_of: Annotated[
        date, Meta(description="The day it begins to hold.", examples=["2026-11-30"])
    ]
    document: PdfLink

    def variables(self, firm: Firm, voice: Voice) -> dict[str, str]:
        week = voice.dated(self.week_of, key="format.date")
        return {"nombre": self.name, "negocio": firm.name, "fecha": week}

    def attached(self) -> Document | None:
        return Document(WebFile(self.document), f"precios-{self.week_of}.pdf")


FirmIntent = (
    OrderUpdate
    | InvoiceReady
    | DocumentReminder
    | AppointmentReminder
    | Csat
    | OnboardingResume
    | PriceList
)
"""What a firm's own system may ask for. Tagged by msgspec: `{"intent": "order_update", "name": "Ana", …}`."""

AnyIntent = FirmIntent | TeamInvitation | AccessRequested | AccessDecided

FIRM_INTENTS: Final[tuple[type[Intent], ...]] = typing.get_args(FirmIntent)
INTENTS: Final[tuple[type[Intent], ...]] = typing.get_args(AnyIntent)

EXAMPLES: Final[tuple[AnyIntent, ...]] = (
    OrderUpdate(name="Ana", order="1042", status="ready"),
    InvoiceReady(
        name="Ana",
        kind="receipt",
        number="1042",
        total=12_990,
        day=date(2026, 11, 28),
        document="https://sol.example/boletas/1042.pdf",
    ),
    DocumentReminder(
        name="Ana",
        kind="invoice",
        number="1042",
        day=date(2026, 11, 28),
        document="https://sol.example/facturas/1042.pdf",
    ),
    AppointmentReminder(
        name="Ana", service="peluquería", at=datetime(2026, 11, 30, 19, 30, tzinfo=UTC)
    ),
    Csat(name="Ana", query="T-77", day=date(2026, 11, 28)),
    OnboardingResume(
        name="Ana", business="Panadería Sol", saved_until=date(2026, 12, 5), steps_left=3
    ),
    AccessRequested(name="Ana", business="Panadería Sol", phone_end="4567", day=date(2026, 11, 28)),
    AccessDecided(
        name="Ana", business="Panadería Sol", decision="admitted", day=date(2026, 11, 28)
    ),
    PriceList(name="Ana", week_of=date(2026, 11, 30), document="https://sol.example/precios.pdf"),
    TeamInvitation(business="Panadería Sol", until=date(2026, 12, 5)),
)
"""One of each: for the API's document and for the checker."""


def name_of(intent: Intent | type[Intent]) -> str:
    """`order_update`."""
    tag = intent.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def word(intent: Intent | type[Intent], field: str, value: str, voice: Voice) -> str:
    """What a value of a closed vocabulary is called in a language."""
    return voice.render(f"intent.{name_of(intent)}.{field}.{value}", {})


@dataclass(frozen=True, slots=True)
class Worded:
    """An intent in both of its forms."""

    free: Content
    template: Template


def put_into_words(intent: Intent, firm: Firm, voice: Voice, now: datetime) -> Worded:
    """Both forms of an intent in a language; `now`: aware, in the firm's zone.

    Raises:
        ContentError: WhatsApp would refuse one of them.
    """
    template = Template(
        name=intent.template,
        language=voice.locale.partition("@")[0],
        variables=tuple(
            # A firm's name or a word of the catalogue may hold what a variable must not.
            (name, " ".join(value.split()))
            for name, value in intent.variables(firm, voice).items()
        ),
    )
    body = voice.render(f"intent.{name_of(intent)}", _names(intent, firm, voice, now))
    file = intent.attached()
    free = Text(body) if file is None else msgspec.structs.replace(file, caption=body)
    return Worded(free, template)


def _names(intent: Intent, firm: Firm, voice: Voice, now: datetime) -> dict[str, Any]:
    """What the text may show: the firm, the time, and the variables."""
    names: dict[str, Any] = {"firm": firm, "now": now}
    closed = _closed(type(intent))
    for field in intent.__struct_fields__:
        value = getattr(intent, field)
        if field in closed:
            value = word(intent, field, value, voice)
        elif isinstance(value, datetime):
            value = value.astimezone(now.tzinfo)
        names[field] = value
    return names


@cache
def _closed(kind: type[Intent]) -> dict[str, tuple[str, ...]]:
    """The fields that have a closed vocabulary, with it."""
    hints = typing.get_type_hints(kind)
    return {
        field: typing.get_args(hint)
        for field, hint in hints.items()
        if typing.get_origin(hint) is Literal
    }


# ---------------------------------------------------------------- for the checker


def uses() -> Iterator[Use]:
    """Every text that the intents need, for `flows.dialog.checker`."""
    for kind in INTENTS:
        where = f"intent.{name_of(kind)}"
        names = (COMMON_NAMES - {"s", "ctx"}) | frozenset(kind.__struct_fields__)
        yield Use((where,), "say", where, BODY_MAX, names)
        for field, values in _closed(kind).items():
            for value in values:
                yield Use((f"{where}.{field}.{value}",), "words", where, LINE_MAX, frozenset())


def unsayable(texts: Texts) -> Iterator[Problem]:
    """The examples that cannot be said in a language, in one form or the other."""
    firm = Firm(id=TenantId("example"), name="Panadería Sol")
    now = datetime(2026, 11, 28, 10, tzinfo=ZoneInfo(firm.zone))
    for voice in texts.voices():
        for intent in EXAMPLES:
            try:
                put_into_words(intent, firm, voice, now)
            except (ContentError, TemplateError, AttributeError, KeyError, TypeError) as error:
                where = f"intent.{name_of(intent)} ({voice.locale})"
                yield Problem(where, f"its example cannot be said: {error}")


def texts_missing(texts: Texts) -> list[str]:
    """Keys that a language lacks: with one of them missing a message could not be said."""
    return [
        f"{use.keys[0]} ({voice.locale})"
        for voice in texts.voices()
        for use in uses()
        if use.keys[0] not in voice
    ]
