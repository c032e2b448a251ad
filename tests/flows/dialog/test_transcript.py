"""The notation of the conversation files, and that a file can fail."""

import textwrap
from datetime import datetime, timedelta

import pytest

from flows.dialog.advance import Book
from flows.dialog.transcript import (
    Again,
    ChatError,
    Clock,
    Desk,
    Does,
    Hears,
    Passes,
    Returns,
    Says,
    Setting,
    Taps,
    What,
    parse,
    play,
)
from tests.flows.dialog.sample import customer
from tests.flows.dialog.sample_texts import TEXTS

SHOP = Book([customer], TEXTS)
MENU = "< ¿Qué necesitas? [Mis pedidos] [Crear cuenta] [Hablar con alguien]"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param("> hola", Says("text", "hola"), id="words"),
        pytest.param("> [Ver precios]", Taps("Ver precios"), id="a-tap"),
        pytest.param("> (old) [Ver precios]", Taps("Ver precios", old=True), id="an-old-tap"),
        pytest.param("> (imagen) mi torta", Says("media", "mi torta", "image"), id="a-photo"),
        pytest.param("> (voice)", Says("media", "", "voice"), id="a-voice-note"),
        pytest.param("> (sonrisa) hola", Says("text", "(sonrisa) hola"), id="brackets-are-words"),
        pytest.param("< Uno⏎dos [A] [B]", Hears("Uno\ndos", ("A", "B")), id="buttons"),
        pytest.param("< ¿Cuál? {Ver}", Hears("¿Cuál?", (), "Ver"), id="a-list"),
        pytest.param("< Mira [Ir](https://a.b/c)", Hears("Mira", ("Ir(https://a.b/c)",)), id="a-link"),
        pytest.param("< (plantilla x_y) Hola [Sí]", Hears("Hola", ("Sí",), notes=("template x_y",)), id="a-template"),
        pytest.param("< (documento a.pdf) Es el PDF.", Hears("Es el PDF.", notes=("document a.pdf",)), id="a-document"),
        pytest.param('! Find -> {"a": 1}', Returns("Find", "", '{"a": 1}'), id="a-result"),
        pytest.param('! Find {"a": 1} -> null', Returns("Find", '{"a": 1}', "null"), id="with-arguments"),
        pytest.param("! Find -> failed timeout", Returns("Find", "", "", "timeout"), id="a-failure"),
        pytest.param("@ 1h 30m", Passes(timedelta(minutes=90)), id="time-passes"),
        pytest.param("= quiet  # 4", Does("quiet"), id="an-effect-and-a-comment"),
        pytest.param("~ Camila | Hola Ana", Desk("Camila", "Hola Ana"), id="the-desk"),
        pytest.param("firm: Panadería Sol", Setting("firm", "Panadería Sol"), id="a-setting"),
        pytest.param("...", Again(), id="another-conversation"),
    ],
)  # fmt: skip
def test_a_line_is_read(line: str, what: What) -> None:
    assert [found.what for found in parse(line)] == [what]


def test_the_clock_is_set() -> None:
    (line,) = parse("@ 2026-11-21 18:40")

    assert isinstance(line.what, Clock)
    assert line.what.local.replace(tzinfo=None).isoformat() == datetime(2026, 11, 21, 18, 40).isoformat()  # noqa: DTZ001 - the script names no zone  # fmt: skip


def test_rows_belong_to_the_message_above() -> None:
    (line,) = parse("< ¿Cuál? {Ver}\n- Pan | Del día  # 3\n- Torta")

    assert line.what == Hears("¿Cuál?", (), "Ver", ("Pan | Del día", "Torta"))


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        pytest.param("> hola\n< Hola", f"got:  {MENU}", id="other-words"),
        pytest.param(f"> hola\n{MENU}\n< Más", "but the bot said nothing", id="too-little"),
        pytest.param(f"> hola\n{MENU}\n> mis pedidos\n> [Nada]", "no such button; shown: Mis pedidos", id="no-such-button"),
        pytest.param("> hola\n> mis pedidos\n! Find -> null", "another call waits: FindOrders", id="another-call"),
        pytest.param("> mis pedidos\n! FindOrders -> 7", "the result is not what the call declares", id="another-result"),
        pytest.param('> mis pedidos\n! FindOrders {"limit": 9} -> []', 'got: {"limit":5}', id="other-arguments"),
        pytest.param("> mis pedidos", "the call FindOrders waits for its result", id="an-open-call"),
        pytest.param(f"> hola\n{MENU}\n> persona\n< Te va a responder una persona.", "unexpected before it: = human", id="an-effect-nobody-expects"),
        pytest.param(f"> hola\n{MENU}\n= stop", "effects: none", id="an-effect-that-does-not-come"),
        pytest.param("> hola\n> hola\n@ 1m", "unexpected before it: < ¿Qué necesitas?", id="too-much"),
        pytest.param("hola", "no line begins like this", id="no-mark"),
        pytest.param("@ mañana", "neither 20h nor", id="no-time"),
    ],
)  # fmt: skip
def test_a_line_that_does_not_come_true_fails(script: str, problem: str) -> None:
    with pytest.raises(ChatError) as failed:
        play(script, SHOP)

    assert problem in str(failed.value)


def test_a_failure_names_its_line() -> None:
    script = textwrap.dedent(
        """
        > hola

        < Hola
        """
    )

    with pytest.raises(ChatError, match=r"^line 4: < Hola\n"):
        play(script, SHOP)


def test_conversations_are_told_apart() -> None:
    play(f"> hola\n{MENU}\n...\n> hola\n{MENU}", SHOP)
