"""Markdown of people and models, as WhatsApp shows it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.dialog.formatting import Kept
from flows.dialog.markdown import SOURCE_MAX, from_markdown


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        pytest.param("Hola", "Hola", id="words"),
        pytest.param("uno\ndos\n\n\n\ntres", "uno\ndos\n\ntres", id="lines-and-paragraphs"),
        pytest.param("# Precios *hoy*", "*Precios _hoy_*", id="heading"),
        pytest.param("Precios\n=======", "*Precios*", id="underlined-heading"),
        pytest.param("**a** *b* __c__ _d_ ~~e~~ `f`", "*a* _b_ *c* _d_ ~e~ `f`", id="styles"),
        pytest.param("***a b***", "*_a b_*", id="bold-and-italic"),
        pytest.param("**a *b* c**", "*a _b_ c*", id="italic-in-bold"),
        pytest.param("**uno\ndos**", "*uno*\n*dos*", id="a-mark-does-not-reach-over-a-line"),
        pytest.param("**a** **b**", "*a* *b*", id="two-in-a-row"),
        pytest.param("sub**ra**yado", "subrayado", id="inside-a-word-whatsapp-shows-none"),
        pytest.param("2*3*4 y 2**8**1", "2*3*4 y 2**8**1", id="times-is-no-emphasis"),
        pytest.param("a * b * c", "a * b * c", id="lonely-stars"),
        pytest.param(r"\*no\* \_esto\_", "no esto", id="signs-meant-as-signs-format-nothing"),
        pytest.param("nombre_de_campo", "nombre_de_campo", id="underscores-in-a-name"),
        pytest.param("a__b", "a_b", id="two-underscores-in-a-name"),
        pytest.param("__init__ y `__init__`", "*init* y `__init__`", id="code-keeps-its-signs"),
        pytest.param("``a ` b``", "`a ' b`", id="a-backtick-in-code"),
        pytest.param("[pan](https://sol.example/p_a_n)", "pan: https://sol.example/p_a_n", id="link"),
        pytest.param("**[pan](https://sol.example/)**", "*pan*: https://sol.example/", id="bold-link"),
        pytest.param("[https://a.cl](https://b.cl)", "https://a.cl: https://b.cl", id="a-link-hides-nothing"),
        pytest.param("<https://a.cl/ñ>", "https://a.cl/%C3%B1", id="address"),
        pytest.param("[](https://a.cl)", "https://a.cl", id="link-without-words"),
        pytest.param("[clic](javascript:alert)", "[clic](javascript:alert)", id="no-link-at-all"),
        pytest.param("[escribe](mailto:a@b.cl)", "escribe", id="other-schemes-are-words"),
        pytest.param("**mira https://a.cl/x**", "mira https://a.cl/x", id="no-mark-behind-an-address"),
        pytest.param("![torta](https://a.cl/t.png)", "torta: https://a.cl/t.png", id="image"),
        pytest.param("- uno\n- dos\n  sigue\n- **tres**", "- uno\n- dos\nsigue\n- *tres*", id="list"),
        pytest.param("* uno\n\n* dos", "- uno\n- dos", id="loose-list"),
        pytest.param("3. c\n4. d", "3. c\n4. d", id="numbers-go-on"),
        pytest.param("- a\n  - b\n    1. c\n- d", "- a\n  - b\n    1. c\n- d", id="list-in-a-list"),
        pytest.param("> uno\n> > dos\n\nfin", "> uno\n> dos\n\nfin", id="quotes"),
        pytest.param("```py\nx = `1`\n\ny = 2\n```", "```\nx = '1'\n\ny = 2\n```", id="code"),
        pytest.param("    x = 1", "```\n    x = 1\n```".replace("    x", "x"), id="indented-code"),
        pytest.param("|Pan|Precio|\n|-|-|\n|Hallulla|$1.990|\n|Dobladita||", "Hallulla: $1.990\nDobladita", id="table"),
        pytest.param(
            "|Pan|Precio|Por|\n|-|-|-|\n|**Hallulla**|$1.990|kilo|\n|Dobladita||unidad|",
            "*Hallulla*: Precio $1.990, Por kilo\nDobladita: Por unidad", id="wide-table",
        ),
        pytest.param("|Pan|Precio|\n|-|-|", "Pan: Precio", id="table-without-rows"),
        pytest.param("a\n\n---\n\nb", "a\n\nb", id="rule"),
        pytest.param("a<br>b <i>c</i> <!-- d -->", "a\nb c", id="html"),
        pytest.param("<div>\n<p>x</p>\n</div>\n\nfin", "fin", id="html-block"),
        pytest.param("a &amp; b &copy;", "a & b ©", id="entities"),
        pytest.param("a\u2028b\r\nc", "a\nb\nc", id="other-line-breaks"),
        pytest.param(" \n \n", "", id="nothing"),
    ],
)  # fmt: skip
def test_markdown_is_shown(source: str, shown: str) -> None:
    said = from_markdown(source)

    assert said == shown
    assert isinstance(said, Kept)


def test_what_is_too_long_to_read_is_cut() -> None:
    assert len(from_markdown("a" * (SOURCE_MAX + 5))) == SOURCE_MAX


STYLES = {"": "", "**": "*", "*": "_", "~~": "~", "`": "`"}
WORDS = st.lists(
    st.tuples(st.text("abcñé019", min_size=1, max_size=8), st.sampled_from(list(STYLES))),
    min_size=1,
    max_size=20,
)


@settings(max_examples=100, deadline=None)
@given(WORDS)
def test_each_word_keeps_its_style(words: list[tuple[str, str]]) -> None:
    source = " ".join(f"x {mark}{word}{mark}" for word, mark in words)

    shown = " ".join(f"x {STYLES[mark]}{word}{STYLES[mark]}" for word, mark in words)
    assert from_markdown(source) == shown


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab 1*_~`[]()<>#-|\n\\!.:&👍🏽"), max_size=80))
def test_whatever_is_written_can_be_shown(source: str) -> None:
    said = from_markdown(source)

    assert said == said.strip()
    assert "\n\n\n" not in said


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab *_~`"), max_size=40))
def test_signs_meant_as_signs_format_nothing(words: str) -> None:
    escaped = re.sub(r"([*_~`])", r"\\\1", words)

    said = from_markdown(f"x {escaped} x")

    assert not re.search(r"(?<![^\W_])([*_~`])(?=\S)[^\n]*?\S\1(?![^\W_])", said)
    assert re.sub(r"[*_~`\s]", "", said) == re.sub(r"[*_~`\s]", "", f"x{words}x")
