"""Every conversation in this folder comes true on the pure flow, line by line."""

from pathlib import Path

import pytest

from flows.dialog.transcript import play
from tests.flows.product import product_book

CHATS = sorted(Path(__file__).parent.glob("*.chat"))


@pytest.mark.parametrize("chat", [pytest.param(chat, id=chat.stem) for chat in CHATS])
def test_a_conversation_comes_true(chat: Path) -> None:
    play(chat.read_text(), product_book())


@pytest.mark.parametrize("chat", [pytest.param(chat, id=chat.stem) for chat in CHATS])
def test_a_conversation_says_in_its_first_line_what_it_shows(chat: Path) -> None:
    title = chat.read_text().partition("\n")[0]

    assert title.startswith("# ")
    assert title.endswith(".")


def test_each_state_of_the_customers_conversation_is_visited() -> None:
    book = product_book()
    told = "\n".join(chat.read_text() for chat in CHATS)
    asked = {
        state.name: book.texts.voice("es_CL").source(f"{state.key}.ask")
        for state in book.flows["customer"].states.values()
        if state.kind == "asks"
    }

    plain = {name: source for name, source in asked.items() if "{" not in source}

    assert [name for name, source in plain.items() if source not in told] == []
