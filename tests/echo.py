"""The smallest flow with a memory: counts what it heard and says it back. For tests of the engine and the benchmark.

Each reply carries the count, so a lost, doubled or reordered turn shows in the words.
"""

from dataclasses import dataclass

from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.flow import Flow, Step, go, say
from flows.dialog.keys import BOT_KEYS
from flows.dialog.texts import FORMAT_KEYS, Texts
from flows.intents import uses


@dataclass(frozen=True)
class Count:
    heard: int = 0


echo = Flow("echo", Count, bool)


@echo.asks
def listening(count: Count, words: Text) -> Step:
    return go(listening, Count(count.heard + 1), say("heard", words=words))


def echo_book() -> Book:
    """A book of this flow alone; the texts that it never speaks are named after their keys."""
    keys = (use.keys[0] for use in uses())
    unspoken = {key: key for key in (*BOT_KEYS, *FORMAT_KEYS, *keys)}
    spoken = {
        "format.date": "d/M",
        "intent.order_update": "Pedido {{ order }}: {{ status }}",
        "intent.order_update.status.ready": "listo",
        "intent.price_list": "Precios del {{ week_of | date }}",
        "echo.listening.ask": "¿Algo más?",
        "echo.listening.heard": "{{ s.heard }} {{ words }}",
        "text.unknown": "¿Me lo escribes?",
    }
    return Book([echo], Texts({"es_CL": {**unspoken, **spoken}}))
