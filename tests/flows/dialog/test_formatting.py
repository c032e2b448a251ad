"""WhatsApp's signs around words, and words from outside without any."""

import pytest

from flows.dialog.formatting import (
    Kept,
    block,
    bold,
    bullets,
    italic,
    mono,
    numbers,
    quote,
    strike,
    tame,
)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        pytest.param(bold("Pan"), "*Pan*", id="bold"),
        pytest.param(italic("Pan"), "_Pan_", id="italic"),
        pytest.param(strike("Pan"), "~Pan~", id="strike"),
        pytest.param(mono("pan(1)"), "`pan(1)`", id="mono"),
        pytest.param(mono("a `b`\nc"), "`a 'b' c`", id="mono-of-its-own-sign"),
        pytest.param(block("a  1\nb  2"), "```\na  1\nb  2\n```", id="block"),
        pytest.param(quote("uno\n\ndos"), "> uno\n> dos", id="quote"),
        pytest.param(quote(Kept("> *uno*")), "> *uno*", id="quote-of-a-quote"),
        pytest.param(bullets(["Pan", "", "To*rta"]), "- Pan\n- Torta", id="bullets"),
        pytest.param(numbers(["Pan", "Torta"], 3), "3. Pan\n4. Torta", id="numbers"),
        pytest.param(bold("*ya* ~no~"), "*ya no*", id="data-cannot-end-it"),
        pytest.param(bold("uno\ndos"), "*uno dos*", id="data-cannot-break-it"),
        pytest.param(bold(Kept("uno\n\ndos ")), "*uno*\n\n*dos*", id="our-lines-each-by-itself"),
        pytest.param(italic(bold("x")), "_*x*_", id="two-at-once"),
        pytest.param(bold(" "), "", id="nothing-is-not-marked"),
        pytest.param(mono(""), "", id="nor-here"),
        pytest.param(block(" \n"), "", id="nor-there"),
        pytest.param(bullets([None]), "", id="nor-listed"),
    ],
)
def test_words_get_their_signs(shown: Kept, words: str) -> None:
    assert shown == words
    assert tame(shown) is shown
