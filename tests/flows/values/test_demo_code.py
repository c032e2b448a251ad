"""The code of a demo is found however people pass it on, and no word is taken for one."""

import pytest

from flows.values.demo_code import ALPHABET, SIGNS, find_demo_code, is_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Demo 7K2MQ9XD4", "7K2MQ9XD4"),
        ("Demo 7K2MQ9XD4 (Panadería Sol)", "7K2MQ9XD4"),
        ("hola, quiero ver la demo: 7k2mq9xd4 porfa", "7K2MQ9XD4"),
        ("DEMO 7K2-MQ9-XD4", "7K2MQ9XD4"),
        ("demo 7k2 mq9 xd4", "7K2MQ9XD4"),
        ("una demo buena… Demo 7K2MQ9XD4", "7K2MQ9XD4"),
        ("7k2mq9xd4", "7K2MQ9XD4"),
        ("«7K2MQ9XD4».", "7K2MQ9XD4"),
        ("demo 7K2MO9XI4", "7K2M09X14"),
        ("Demo\n7K2MQ9XD4", "7K2MQ9XD4"),
    ],
)
def test_a_code_is_found(text: str, code: str) -> None:
    assert find_demo_code(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "demo",
        "una demo excelente",
        "la demo funciona",
        "7K2MQ9XD4 es el código",
        "demo 7K2MQ9XD",
        "demo 7K2MQ9XD4A",
        "demo 7K2MUQ9XD",
        "mi pedido 123456789 de la demo",
        "demonio 7K2MQ9XD4 y más",
        "Quiero ingresar. Ref: 7KQ2M9XD4TVB8RHW3NCZ6PYJ5E",
    ],
)
def test_nothing_else_is_taken_for_one(text: str) -> None:
    assert find_demo_code(text) == ""


def test_a_code_is_45_bits_of_an_alphabet_without_doubles() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert SIGNS * 5 >= 40


def test_what_holds_no_digit_is_none() -> None:
    assert not is_code("EXCELENTE")
    assert not is_code("0123ABC")
    assert is_code("EXCE2ENT3")
