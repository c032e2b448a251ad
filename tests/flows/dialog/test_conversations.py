"""The sample conversations come true, line by line."""

import pytest

from flows.dialog.advance import Book
from flows.dialog.transcript import play
from tests.flows.dialog.sample import customer, onboarding
from tests.flows.dialog.sample_chats import SHOP, SIGN_UP
from tests.flows.dialog.sample_texts import TEXTS


@pytest.mark.parametrize("script", [pytest.param(s, id=title) for title, s in SIGN_UP.items()])
def test_signing_up(script: str) -> None:
    play(script, Book([onboarding], TEXTS))


@pytest.mark.parametrize("script", [pytest.param(s, id=title) for title, s in SHOP.items()])
def test_the_shop(script: str) -> None:
    play(script, Book([customer], TEXTS))
