"""Drawings: every state and what leads on from it, in a text that shows as a diagram."""

from flows.dialog.draw import draw
from tests.flows.dialog.sample import customer, onboarding


def test_a_flow_is_drawn() -> None:
    assert (
        draw(customer)
        == """stateDiagram-v2
    [*] --> menu
    menu --> find_orders: orders
    menu --> register: register
    menu --> human: human
    menu --> agent: question
    find_orders --> menu: not orders
    find_orders --> choose_order
    find_orders --> human: failed
    note right of find_orders: calls FindOrders
    choose_order --> menu
    agent --> menu
    agent --> human: failed
    note right of agent: calls AskAgent
    register --> [*]: how is Signed.declined
    register --> menu: otherwise
    note right of register: runs onboarding
"""
    )


def test_branches_carry_their_condition() -> None:
    drawing = draw(onboarding)

    assert "    ask_name --> summary: s.edited\n" in drawing
    assert "    ask_name --> ask_category: otherwise\n" in drawing
    assert "    provision --> human: failed\n" in drawing
