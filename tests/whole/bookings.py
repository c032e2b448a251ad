"""A small flow that speaks again a day later: for tests of the window, with everything else real.

acepto   gives leave to be reminded
hora …   books an hour, and reminds of it after 25 hours, with a template when the window has closed
sola …   the same without a template, and worth two days
"""

from dataclasses import dataclass
from datetime import timedelta

from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.content import Template
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Consented
from flows.dialog.flow import Flow, Step, go, say, stay
from flows.dialog.texts import Texts
from tests.flows.dialog.sample_texts import BOT

REMINDER = "recordatorio_hora"


@dataclass(frozen=True)
class Hour:
    service: str = ""


booking = Flow("booking", Hour, bool, idle=timedelta(days=9))


@booking.asks
def asking(_h: Hour, words: Text) -> Step:
    kind, _, service = words.partition(" ")
    match kind:
        case "acepto":
            leave = Consented("notices", granted=True)
            return stay("agreed", also=(leave,), sorry=False)
        case "hora":
            return go(booked, Hour(service), say("booked", service=service))
        case "sola":
            return go(alone, Hour(service), say("booked", service=service))
        case _:
            return stay(say("heard", words=words), sorry=False)


@booking.asks
def booked(h: Hour, words: Text) -> Step:
    return go(asking, h, say("heard", words=words))


def reminder(h: Hour, ctx: Ctx) -> Template:
    variables = (
        ("nombre", ctx.name),
        ("servicio", h.service),
        ("negocio", ctx.firm.name),
        ("fecha", "25 de noviembre"),
        ("hora", "16:00"),
    )
    return Template(REMINDER, ctx.locale, variables)


@booked.after(timedelta(hours=25), template=reminder)
def remind(h: Hour) -> Step:
    return stay(say("remind", service=h.service), sorry=False)


@booking.asks
def alone(h: Hour, words: Text) -> Step:
    return go(asking, h, say("heard", words=words))


@alone.after(timedelta(hours=25))
def remind_alone(h: Hour) -> Step:
    return stay(
        say("remind", service=h.service), worth=timedelta(days=2), sorry=False, repeat=False
    )


def bookings() -> Book:
    spoken = {
        "booking.asking.ask": "¿Algo más?",
        "booking.booked.ask": "¿Vienes?",
        "booking.alone.ask": "¿Vienes?",
        "booking.agreed": "Listo, te avisaremos.",
        "booking.asking.booked": "Anotado: {{ service }}.",
        "booking.remind": "Recuerda tu hora de {{ service }}.",
        "booking.heard": "Oí: {{ words }}.",
        "text.unknown": "¿Me lo escribes?",
    }
    return Book([booking], Texts({"es_CL": {**BOT, **spoken}}))
