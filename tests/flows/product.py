"""The product's flows and texts, the texts read from their sources: nothing needs to be compiled before."""

from functools import cache

from babel.messages.pofile import read_po

from flows.catalogue import LOCALES, product_flows
from flows.dialog.advance import Book
from flows.dialog.texts import Texts


@cache
def product_texts() -> Texts:
    catalogues = {}
    for source in sorted(LOCALES.glob("*/LC_MESSAGES/messages.po")):
        with source.open("rb") as text:
            messages = {str(m.id): str(m.string) for m in read_po(text) if m.id and m.string}
        catalogues[source.parent.parent.name] = messages
    return Texts(catalogues)


@cache
def product_book() -> Book:
    return Book(product_flows(), product_texts())
