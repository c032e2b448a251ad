"""Typed words are made comparable, and one slip is forgiven where it cannot mean something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.values.words import bare, has_phrase, is_slip, plain, same, spellings


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param("¿A qué hora cierran?", "a que hora cierran", id="accents and signs"),
        pytest.param("Holaaaa!!!", "hola", id="stretched"),
        pytest.param("siii", "si", id="stretched at the end"),
        pytest.param("perro", "perro", id="two letters are spelling"),
        pytest.param("1000", "1000", id="digits stay"),
        pytest.param("MAÑANA", "manana", id="ñ and capitals"),
        pytest.param("don't", "dont", id="an apostrophe joins"),
        pytest.param("ｍｅｎｕ", "menu", id="full width"),
        pytest.param("  no,  persona no ", "no persona no", id="spaces"),
        pytest.param("👍", "", id="an emoji"),
    ],
)
def test_plain(typed: str, expected: str) -> None:
    assert plain(typed) == expected


@given(st.text(max_size=60))
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param("hola, quiero el menú porfa", "el menu", id="both ends"),
        pytest.param("Hola buenas tardes necesito un ejecutivo por favor gracias", "un ejecutivo", id="piled up"),
        pytest.param("human please", "human", id="English"),
        pytest.param("una torta por favor de chocolate", "una torta por favor de chocolate", id="the middle stays"),
        pytest.param("hola gracias", "", id="nothing but courtesy"),
    ],
)  # fmt: skip
def test_courtesy_is_taken_off(typed: str, expected: str) -> None:
    assert bare(typed) == expected


@pytest.mark.parametrize(
    ("typed", "meant", "slip"),
    [
        pytest.param("cancelarr", "cancelar", True, id="one letter more"),
        pytest.param("cancela", "cancelar", True, id="one letter less"),
        pytest.param("canselar", "cancelar", True, id="one letter other"),
        pytest.param("canceñar".replace("ñ", "n"), "cancelar", True, id="a neighbour on the keyboard"),
        pytest.param("cnacelar", "cancelar", True, id="two letters swapped"),
        pytest.param("cnacelra", "cancelar", False, id="two slips"),
        pytest.param("caja", "baja", False, id="four letters"),
        pytest.param("salar", "salir", False, id="five letters"),
        pytest.param("umano", "humano", False, id="five letters typed"),
        pytest.param("terminal", "terminar", False, id="a word of its own"),
        pytest.param("interior", "anterior", False, id="another word of its own"),
    ],
)  # fmt: skip
def test_one_slip_in_six_letters(typed: str, meant: str, slip: bool) -> None:
    assert is_slip(typed, meant) is slip


@given(st.text(alphabet="abcdef", min_size=7, max_size=10), st.data())
def test_leaving_out_one_letter_is_one_slip(word: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(word) - 1))

    assert is_slip(word[:place] + word[place + 1 :], word)


@pytest.mark.parametrize(
    ("heard", "phrase", "expected"),
    [
        pytest.param("hablar con alguein", "hablar con alguien", True, id="one slip in one word"),
        pytest.param(
            "habla con alguein", "hablar con alguien", False, id="a slip and a short word"
        ),
        pytest.param("no molestar mas", "no molestar", False, id="a word more"),
    ],
)
def test_phrases_are_compared_word_by_word(heard: str, phrase: str, expected: bool) -> None:
    assert same(heard, phrase) is expected


def test_a_phrase_is_found_as_whole_words() -> None:
    assert has_phrase("me ahogo en el mar", "me ahogo")
    assert not has_phrase("como me ahogos", "me ahogo")


def test_alternatives_of_a_word_list_are_spelled_out() -> None:
    assert list(spellings("un (robot|bot) (real)")) == ["un robot real", "un bot real"]
    assert list(spellings("hola")) == ["hola"]
