"""Card numbers and passwords are found and masked; other numbers are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.values.secrets import mask_secrets


@pytest.mark.parametrize(
    ("typed", "masked"),
    [
        pytest.param("4111 1111 1111 1111", "•••", id="card with spaces"),
        pytest.param("es la 4111-1111-1111-1111 visa", "es la ••• visa", id="card in a sentence"),
        pytest.param("5500000000000004", "•••", id="card without spaces"),
        pytest.param("mi clave es 1234", "mi clave es •••", id="password"),
        pytest.param("Contraseña: Sol2026!", "Contraseña: •••", id="password with a colon"),
        pytest.param("el cvv es 123", "el cvv es •••", id="card check value"),
    ],
)
def test_secrets_are_masked(typed: str, masked: str) -> None:
    assert mask_secrets(typed) == masked


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("76.543.210-3", id="RUT"),
        pytest.param("+56 9 6123 4567", id="phone"),
        pytest.param("pedido 1042", id="order"),
        pytest.param("la clave es llegar temprano", id="a saying"),
        pytest.param("4111 1111 1111 1112", id="no card: its check digit fails"),
        pytest.param("0000000000000000", id="zeros"),
    ],
)
def test_other_numbers_are_left_alone(typed: str) -> None:
    assert mask_secrets(typed) == typed


@given(st.text(max_size=80))
def test_what_is_masked_stays_masked(text: str) -> None:
    assert mask_secrets(mask_secrets(text)) == mask_secrets(text)
