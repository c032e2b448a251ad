"""The words that work in every state: every row of the two tables of the voice, and what they must not hear."""

import pytest

from flows.dialog.commands import (
    Asked,
    Command,
    Danger,
    read_command,
    read_commands,
    read_danger,
    read_yes_no,
)

WORDS: dict[Command, tuple[str, ...]] = {
    "menu": ("menu", "menú", "inicio", "opciones", "volver al inicio", "home", "options"),
    "back": ("volver", "atrás", "anterior", "0", "back", "previous"),
    "cancel": (
        "cancelar", "salir", "terminar", "déjalo", "olvídalo", "no sigamos",
        "cancel", "quit", "exit", "never mind",
    ),
    "human": (
        "persona", "humano", "ejecutivo", "ejecutiva", "agente", "asesor", "asesora", "operador", "vendedor", "alguien", "¿hay alguien?",
        "hablar con alguien", "conversar con alguien", "hablar con una persona", "conversar con un ejecutivo", "atención humana",
        "human", "agent", "person", "representative", "talk to someone",
    ),
    "stop": (
        "baja", "stop", "darme de baja", "dar de baja", "desuscribir", "desuscribirme", "no molestar", "no me escriban más", "no quiero más mensajes",
        "detener", "detener promociones", "parar", "no más ofertas", "unsubscribe", "opt out", "no more messages",
    ),
    "start": ("alta", "suscribirme", "activar mensajes", "start", "subscribe"),
    "data": (
        "mis datos", "privacidad", "mis derechos", "borrar mis datos", "¿qué saben de mí?",
        "my data", "privacy", "delete my data",
    ),
    "status": ("estado", "mi pedido", "en qué va", "seguimiento", "status", "my order", "track"),
    "help": ("ayuda", "¿qué puedes hacer?", "no entiendo", "¿cómo funciona?", "help", "what can you do"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "command"),
    [pytest.param(word, command, id=word) for command, words in WORDS.items() for word in words],
)
def test_each_word_commands(typed: str, command: Command) -> None:
    assert read_command(typed) == command


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        pytest.param("BAJA!!!", "stop", id="shouted"),
        pytest.param("Bajaaaa", "stop", id="stretched"),
        pytest.param("hola, quiero hablar con una persona por favor", "human", id="with courtesy"),
        pytest.param(
            "Necesito hablar con un ejecutivo", "human", id="as in the model conversation"
        ),
        pytest.param(
            "quiero hablar con alguien", "human", id="as in the model conversation, again"
        ),
        pytest.param("canselar", "cancel", id="one slip in a long word"),
        pytest.param("ejcutivo", "human", id="one letter missing"),
        pytest.param("hola\nuna consulta\nbaja", "stop", id="a line of its own among others"),
        pytest.param("baja, baja", "stop", id="said twice"),
        pytest.param("la persona de ayer", "human", id="a person known already"),
        pytest.param(
            "no me interesa, no escriban", "stop", id="a refusal that ends in do not write"
        ),
    ],
)
def test_said_in_other_ways(typed: str, command: Command) -> None:
    assert read_command(typed) == command


@pytest.mark.parametrize(
    "typed",
    [
        "cancelar mi pedido", "anular la hora",
        "¿cómo cancelo?", "ya cancelé", "¿puedo cancelar con tarjeta?", "quiero cancelar mi cuenta",
        "quiero darme de baja del plan", "dar de baja el servicio", "cancelar suscripción",
        "menú del día", "¿me mandas el menú?", "menú ejecutivo",
        "para 4 personas", "¿cuánto por persona?",
        "estado de cuenta",
        "volver a pedir", "¿a qué hora salen?", "talla más baja", "presión baja", "alta médica",
        "no quiero cancelar", "no, persona no", "persona no",
        "caja", "alto", "salar", "ayuna", "terminal", "gente",
        "no más", "no", "hola", "", "👍", "menú, cancelar",
        "ayuda, me ahogo",
    ],
)  # fmt: skip
def test_wishes_negations_and_neighbours_do_not_command(typed: str) -> None:
    assert read_command(typed) is None


@pytest.mark.parametrize(
    ("typed", "asked", "command"),
    [
        pytest.param("0", "number", None, id="zero is an answer where a number is asked"),
        pytest.param("0", "choice", "back", id="zero goes back elsewhere"),
        pytest.param("volver", "words", None, id="a shop called Volver"),
        pytest.param("alta", "words", None, id="a shop called Alta"),
        pytest.param("cancelar", "words", None, id="a shop called Cancelar"),
        pytest.param("salir del registro", "words", "cancel", id="leaving a question for a name"),
        pytest.param("baja", "words", "stop", id="stop in a question for a name"),
        pytest.param(
            "quiero una persona", "words", "human", id="a person in a question for a name"
        ),
        pytest.param("no más", "offer", "stop", id="enough, after an offer"),
        pytest.param("no", "offer", None, id="no, after an offer, is this time no"),
    ],
)
def test_what_was_asked_decides(typed: str, asked: Asked, command: Command | None) -> None:
    assert read_command(typed, asked=asked) == command


@pytest.mark.parametrize(
    "typed", ["baja y quiero hablar con alguien", "Una persona por favor. No me escriban más"]
)
def test_of_stop_and_a_person_stop_is_done_first(typed: str) -> None:
    assert read_commands(typed) == ("stop", "human")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *[pytest.param(t, True, id=t) for t in ("si", "sip", "sii", "Síííí", "ya", "ok", "dale", "bueno", "claro", "obvio", "listo", "de acuerdo", "eso", "yes", "yep", "sure", "sí, claro", "ya dale", "sí, gracias")],
        *[pytest.param(t, False, id=t) for t in ("no", "nop", "nopo", "no gracias", "No, gracias.", "ya no", "todavía no", "mejor no", "nope", "no no no")],
        *[pytest.param(t, None, id=t or "nothing") for t in ("quizás", "sí pero mañana", "sí no", "", "👍", "hola", "mañana")],
    ],
)  # fmt: skip
def test_yes_and_no(typed: str, meant: bool | None) -> None:
    assert read_yes_no(typed) is meant


@pytest.mark.parametrize(
    ("typed", "danger"),
    [
        pytest.param("ayuda me ahogo", "emergency", id="drowning"),
        pytest.param("¡Auxilio, incendio!", "emergency", id="fire"),
        pytest.param("ayuda, hay mucha sangre", "emergency", id="blood"),
        pytest.param("ayuda me asaltaron", "emergency", id="robbery"),
        pytest.param("no puedo respirar", "emergency", id="no cry needed"),
        pytest.param("me quiero morir", "self_harm", id="self-harm"),
        pytest.param("ya no quiero vivir", "self_harm", id="tired of living"),
        pytest.param("mi marido me pega, ayuda", "violence", id="violence at home"),
        pytest.param("ayuda", None, id="help alone is a command"),
        pytest.param("¿venden extintores de incendio?", None, id="a product"),
        pytest.param("me muero de hambre", None, id="a saying"),
        pytest.param("tienen sangre de toro?", None, id="a wine"),
    ],
)
def test_danger_is_heard_inside_a_sentence(typed: str, danger: Danger | None) -> None:
    assert read_danger(typed) == danger
