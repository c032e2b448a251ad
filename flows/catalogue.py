"""The product's conversations: which flows a person's first message may start."""

from pathlib import Path
from typing import Any, Final

from flows.customer.customer import customer
from flows.demo import demo
from flows.dialog.advance import Book
from flows.dialog.flow import Flow
from flows.dialog.texts import TextError, Texts
from flows.intents import texts_missing
from flows.onboarding.platform import platform

LOCALES: Final = Path(__file__).parent.parent / "locales"


def product_flows() -> tuple[Flow[Any, Any], ...]:
    """The root flows, the default one first. Those they run are found from here."""
    return (customer, platform, demo)


def product_book() -> Book:
    """The flows with their texts: reads the compiled catalogues, once, at start-up.

    Raises:
        TextError: a text is missing, of the flows or of what firms say on their own initiative.
    """
    texts = Texts.load(LOCALES)
    if missing := texts_missing(texts):
        raise TextError(f"texts are missing: {', '.join(missing)}")
    return Book(product_flows(), texts)
