"""Which flow a conversation begins with: that of its channel."""

from typing import Final

from flows.dialog.advance import Book
from flows.values.ids import ChannelId
from handlers.ports import Channel

CUSTOMER: Final = ""
"""The first root of a book: what a firm's customers meet."""
PLATFORM: Final = "platform"
DEMO: Final = "demo"


def root_of(book: Book, channel: Channel | None) -> str:
    """Name of the root flow of a channel's conversations; a book that has no flow for its mark has its first one."""
    if channel is None:
        return CUSTOMER
    root = PLATFORM if channel.platform else DEMO if channel.demo else CUSTOMER
    return root if root in book.roots else CUSTOMER


def customers(channel: ChannelId) -> str:
    """The root flow where every number is a firm's own."""
    return CUSTOMER
