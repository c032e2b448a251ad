"""Calls are values: named, encoded, decoded, and found in the flows that make them."""

from dataclasses import dataclass

import pytest

from flows.dialog.advance import Book
from flows.dialog.calls import Call, Calls, decode, encode, named_in
from flows.values.rut import Rut
from tests.flows.dialog.sample import (
    AskAgent,
    Category,
    FindOrders,
    FindTenant,
    Order,
    Provision,
    Tenant,
    customer,
)
from tests.flows.dialog.sample_texts import TEXTS


@dataclass(frozen=True)
class Late(Call["list[Order] | None"]):
    topic = "commerce"


@dataclass(frozen=True)
class Homeless(Call[bool]):
    pass


def some_call(text: str) -> AskAgent:
    return AskAgent(text)


def test_a_call_says_what_it_gives() -> None:
    assert FindTenant.gives() == Tenant | None
    assert FindOrders.gives() == list[Order]
    assert Late.gives() == list[Order] | None


def test_a_call_is_read_back_by_its_name() -> None:
    calls = Calls([Provision, AskAgent])
    call = Provision(Rut("765432103"), "Panadería Sol", Category.food)

    raw = encode(call)

    assert bytes(raw) == b'{"rut":"765432103","name":"Panader\xc3\xada Sol","category":"food"}'
    assert calls.decode("Provision", raw) == call
    assert "Provision" in calls
    assert "FindOrders" not in calls


def test_a_result_is_read_into_its_declared_type() -> None:
    raw = encode([Order("S1", "Pedido 1")])

    assert decode(raw, list[Order]) == [Order("S1", "Pedido 1")]


def test_the_calls_of_a_book_are_found_in_its_flows() -> None:
    book = Book([customer], TEXTS)

    assert {kind.__name__ for kind in book.calls} == {
        "AskAgent", "FindOrders", "FindTenant", "Provision", "RequestJoin",
    }  # fmt: skip


def test_a_call_is_found_in_a_helper() -> None:
    assert named_in(lambda text: some_call(text)) == {AskAgent}


def test_a_call_without_a_topic_has_no_lane() -> None:
    with pytest.raises(TypeError, match="names no topic"):
        Calls([Homeless])


def test_two_calls_of_one_name_are_refused() -> None:
    other = type("AskAgent", (AskAgent,), {})

    with pytest.raises(TypeError, match="two calls are named AskAgent"):
        Calls([AskAgent, other])
