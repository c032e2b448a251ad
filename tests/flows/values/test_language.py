"""A message in another language is noticed; Spanish, names and single borrowed words are not."""

import pytest

from flows.values.language import Language, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        pytest.param("Hi", "en", id="a greeting"),
        pytest.param("hello, what time do you close?", "en", id="a question"),
        pytest.param("I need help", "en", id="a wish"),
        pytest.param("how much for two cakes", "en", id="a price"),
        pytest.param("oi, tudo bem? vocês têm pão?", "pt", id="Portuguese"),
        pytest.param("quanto custa o bolo?", "pt", id="a price in Portuguese"),
        pytest.param("boa tarde, qual o horário?", "pt", id="hours in Portuguese"),
        pytest.param("bonjou, konbyen pen an koute?", "ht", id="Kreyòl"),
        pytest.param("mwen vle achte gato", "ht", id="a wish in Kreyòl"),
        pytest.param("hola, a qué hora cierran?", None, id="Spanish"),
        pytest.param("es a las 9 am", None, id="Spanish with am"),
        pytest.param("con quien hablo", None, id="Spanish that Portuguese shares"),
        pytest.param("tienen delivery?", None, id="a borrowed word"),
        pytest.param("ola", None, id="hola without its h"),
        pytest.param("ok", None, id="a word of everybody"),
        pytest.param("menu", None, id="a command"),
        pytest.param("asdf", None, id="nothing"),
        pytest.param("", None, id="silence"),
        pytest.param("👍", None, id="an emoji"),
    ],
)
def test_the_language_of_a_message(text: str, language: Language | None) -> None:
    assert language_of(text) == language
