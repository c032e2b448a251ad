"""The .po files get the keys that flows need, with a word to the translator."""

from flows.dialog.po import extend
from tests.flows.dialog.sample import customer

HEADER = (
    b'msgid ""\nmsgstr ""\n"Language: es_CL\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
)
SOURCE = HEADER + b'msgid "customer.menu.ask"\nmsgstr "\xc2\xbfQu\xc3\xa9 necesitas?"\n'


def test_a_key_that_is_missing_is_added_and_left_to_be_written() -> None:
    extended, added = extend(SOURCE, [customer], locale="es_CL")

    assert "customer.menu.orders" in added
    assert "customer.menu.ask" not in added
    entry = (
        '#. customer.menu: button, at most 20 characters\nmsgid "customer.menu.orders"\nmsgstr ""\n'
    )
    assert entry in extended.decode()


def test_what_is_written_stays() -> None:
    extended, _ = extend(SOURCE, [customer], locale="es_CL")

    assert extended.startswith(HEADER)
    assert 'msgid "customer.menu.ask"\nmsgstr "¿Qué necesitas?"\n' in extended.decode()


def test_a_second_run_changes_nothing() -> None:
    once, _ = extend(SOURCE, [customer], locale="es_CL")

    twice, added = extend(once, [customer], locale="es_CL")

    assert twice == once
    assert added == []
