"""The product's flows and texts have nothing to mend."""

import pytest

from bot.cli.flows import ELSEWHERE
from flows.catalogue import product_flows
from flows.dialog.checker import check
from flows.intents import uses
from tests.flows.product import product_texts


def test_flows_and_texts_have_no_problem() -> None:
    found = check(product_flows(), product_texts(), also=tuple(uses()), elsewhere=ELSEWHERE)

    assert [str(problem) for problem in found] == []


@pytest.mark.parametrize("locale", ["en"])
def test_each_language_has_the_texts_of_the_first(locale: str) -> None:
    texts = product_texts()

    assert set(texts.voice(locale)) == set(texts.voice("es_CL"))
