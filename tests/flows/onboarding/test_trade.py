"""What people say they live by."""

import pytest

from flows.onboarding.trade import Trade, _fits, _stems, read_trade


@pytest.mark.parametrize(
    ("said", "trade"),
    [
        ("pan y pasteles", Trade.food),
        ("tengo un restorán", Trade.food),
        ("un almacén de barrio", Trade.grocery),
        ("vendo ROPA usada", Trade.clothing),
        ("peluquería y barbería", Trade.beauty),
        ("clínica dental", Trade.health),
        ("veterinaria", Trade.health),
        ("taller mecánico", Trade.repair),
        ("gasfitería", Trade.building),
        ("soy contadora", Trade.services),
        ("fletes y mudanzas", Trade.transport),
        ("otro", Trade.other),
        ("hola", None),
        ("", None),
        ("pan y ropa", None),
        ("1234", None),
    ],
)
def test_words_tell_of_a_trade(said: str, trade: Trade | None) -> None:
    assert read_trade(said) == trade


def test_no_word_tells_of_two_trades() -> None:
    for trade, stems in _stems().items():
        for stem in stems:
            tells = [
                other for other, all in _stems().items() if any(_fits(stem, each) for each in all)
            ]
            assert tells == [trade], stem
