"""What customers see of a firm that began with a template: its settings are those that the template gives, and no others."""

from pathlib import Path

import pytest

from flows.catalogue import LOCALES
from flows.dialog.templates import read_templates
from flows.dialog.transcript import play
from flows.marketplace.market import MARKETPLACE, read_market
from tests.flows.product import product_book

MARKET = read_market(MARKETPLACE, read_templates(LOCALES))


@pytest.mark.parametrize("id", MARKET.templates)
def test_a_conversation_with_its_menu_comes_true(id: str) -> None:
    title, _, chat = (Path(__file__).parent / f"{id}.chat").read_text().partition("\n")
    given = MARKET.templates[id].settings("es_CL")

    assert not any(f"setting {key}:" in chat for key in given)
    settings = [f"setting {key}: {value}" for key, value in given.items()]
    play("\n".join([title, *settings, chat]), product_book())
