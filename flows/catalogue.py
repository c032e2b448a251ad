"""The product's conversations: which flows a person's first message may start."""

from pathlib import Path
from typing import Any, Final

from flows.customer.customer import customer
from flows.dialog.advance import Book
from flows.dialog.flow import Flow
from flows.dialog.texts import Texts
from flows.onboarding.firm import firm

LOCALES: Final = Path(__file__).parent.parent / "locales"


def product_flows() -> tuple[Flow[Any, Any], ...]:
    """The root flows, the default one first. Those they run are found from here."""
    return (customer, firm)


def product_book() -> Book:
    """The flows with their texts: reads the compiled catalogues, once, at start-up."""
    return Book(product_flows(), Texts.load(LOCALES))
