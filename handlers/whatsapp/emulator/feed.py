"""What changed, told to every open page as server-sent events."""

import asyncio
from typing import Final

import msgspec
from msgspec import Struct

from handlers.whatsapp.emulator.faults import Faults
from handlers.whatsapp.emulator.world import Message, NumberId, Person, Summary

BEHIND_MAX: Final = (
    1_000  # events that a page may be behind before it is told to load everything again
)


class Changed(Struct, frozen=True, tag="message", tag_field="event"):
    """A message is new or went on, and its chat with it."""

    message: Message
    chat: Summary


class ChatChanged(Struct, frozen=True, tag="chat", tag_field="event"):
    """Typing dots, the window, what is unread."""

    chat: Summary


class PersonAdded(Struct, frozen=True, tag="person", tag_field="event"):
    person: Person


class FaultsChanged(Struct, frozen=True, tag="faults", tag_field="event"):
    number: NumberId
    faults: Faults


class TimeMoved(Struct, frozen=True, tag="time", tag_field="event"):
    now_ms: int


class Reload(Struct, frozen=True, tag="reload", tag_field="event"):
    """The world was reset, or this page is too far behind."""


Event = Changed | ChatChanged | PersonAdded | FaultsChanged | TimeMoved | Reload


class Feed:
    """One queue for each page."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[bytes | None]] = set()

    @property
    def is_read(self) -> bool:
        """Whether any page is open: else nobody misses what is not told."""
        return bool(self._pages)

    def tell(self, event: Event) -> None:
        if not self._pages:
            return
        line = b"data: " + msgspec.json.encode(event) + b"\n\n"
        for page in self._pages:
            if page.qsize() >= BEHIND_MAX:
                while not page.empty():
                    page.get_nowait()
                line = b"data: " + msgspec.json.encode(Reload()) + b"\n\n"
            page.put_nowait(line)

    def tell_faults(self, number: NumberId, faults: Faults) -> None:
        self.tell(FaultsChanged(number, faults))

    def join(self) -> asyncio.Queue[bytes | None]:
        """The queue of a new page: lines of the stream, then None when the emulator stops."""
        page: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._pages.add(page)
        return page

    def leave(self, page: asyncio.Queue[bytes | None]) -> None:
        self._pages.discard(page)

    def close(self) -> None:
        for page in self._pages:
            page.put_nowait(None)
