"""The voice, as far as a machine can judge it."""

import pytest

from flows.dialog.style import Role, judge, visible


def told(text: str, role: Role = "say", locale: str = "es_CL") -> list[str]:
    return [finding.what for finding in judge(text, role=role, locale=locale)]


@pytest.mark.parametrize(
    ("text", "role"),
    [
        pytest.param("¡Hola! Soy el asistente automático de *Panadería Sol* 🥖 ¿Qué necesitas?", "ask", id="greeting"),
        pytest.param("Tienes una hora. ¿Puedes venir?", "ask", id="tienes-is-not-voseo"),
        pytest.param("Ese RUT no calza. ¿Me lo escribes de nuevo?", "sorry", id="kind"),
        pytest.param("Sí, reservar", "title", id="a-title"),
        pytest.param("EEEE d 'de' MMMM", "format", id="a-pattern"),
        pytest.param("{{ s.name }} y/o {% if x %}{% endif %}listo.", "say", id="code-is-not-words"),
    ],
)  # fmt: skip
def test_a_good_text_passes(text: str, role: Role) -> None:
    assert told(text, role) == []


@pytest.mark.parametrize(
    ("text", "role", "what"),
    [
        pytest.param("RUT inválido.", "sorry", "blames the person: 'inv[aá]lid[oa]s?'", id="blame"),
        pytest.param("Te responden a la brevedad.", "say", "promises a time that nobody measured: 'a la brevedad'", id="promise"),
        pytest.param("¿Podés venir?", "ask", "another way to address people: 'podés'", id="vos"),
        pytest.param("Le escribimos a usted.", "say", "another way to address people: 'usted'", id="usted"),
        pytest.param("Estimado cliente.", "say", "banned word: 'estimad[oa]s?'", id="banned"),
        pytest.param("Qué necesitas?", "ask", "¿ and ¡ open what ? and ! close", id="no-opening-sign"),
        pytest.param("¡Listo! ¡Gracias!", "say", "2 exclamations, one fits", id="two-exclamations"),
        pytest.param("¿Sí? ¿No?", "ask", "2 questions, one fits", id="two-questions"),
        pytest.param("Listo 🎉🎉", "say", "2 emoji, one fits", id="two-emoji"),
        pytest.param("Tu 🥖 está listo.", "say", "an emoji stands at the end of a sentence", id="an-emoji-inside"),
        pytest.param("No pude 😢", "sorry", "an emoji has no place here", id="an-emoji-in-an-error"),
        pytest.param("Pagar 💳", "title", "an emoji has no place here", id="an-emoji-on-a-button"),
        pytest.param("Hola **Ana**.", "say", "formatting that WhatsApp or a screen reader garbles: '**'", id="markdown"),
        pytest.param("Son $1.990.", "say", "written by hand, use a filter: '$1'", id="a-price-by-hand"),
        pytest.param("Quedas inscrito/a.", "say", "address without gender: 'to/a'", id="gender"),
        pytest.param("Aceptar", "title", "a button says what it does, not only 'aceptar'", id="a-bare-title"),
        pytest.param("a " * 21 + "b.", "say", "a sentence of 22 words, the target is 20", id="a-long-sentence"),
    ],
)  # fmt: skip
def test_a_bad_text_is_told(text: str, role: Role, what: str) -> None:
    assert [finding.replace("Aceptar", "aceptar") for finding in told(text, role)] == [what]


def test_another_catalogue_may_say_usted() -> None:
    assert told("Le escribimos a usted.", locale="es_CL@usted") == []


def test_english_has_its_own_words() -> None:
    assert told("We'll reply shortly.", locale="en") == [
        "promises a time that nobody measured: 'shortly'"
    ]
    assert told("What do you need?", role="ask", locale="en") == []


def test_length_is_measured_without_code() -> None:
    assert visible("Hola {{ s.name }}{# nota #}") == "Hola x"


def test_every_way_through_a_text_is_judged() -> None:
    text = "{% if s.new %}¿Qué necesitas?{% else %}Qué necesitas?{% endif %}"

    assert told(text, role="ask") == ["¿ and ¡ open what ? and ! close"]
