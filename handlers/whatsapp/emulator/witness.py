"""Who is told, as it happens, what passes between the bot and Meta: a load test counts it."""

from collections.abc import Sequence
from typing import Protocol

from handlers.whatsapp.emulator.updates import Update
from handlers.whatsapp.emulator.world import Message, NumberId

NO_ANSWER = 0
"""Instead of an HTTP status: the connection was refused, broken, or silent for too long."""


class Witness(Protocol):
    """Told in the event loop's own thread; whatever it does delays everybody."""

    def posting(self, updates: Sequence[Update]) -> None:
        """A webhook with these updates is to be posted, for the first time or again."""
        ...

    def answered(self, updates: Sequence[Update], status: int, took_s: float) -> None:
        """The bot answered one post of it; `took_s` from the request to the answer's headers."""
        ...

    def accepted(self, message: Message) -> None:
        """A message of the bot was taken, and is on its way to the person."""
        ...

    def refused(self, number: NumberId, code: int) -> None:
        """A request of the bot for this number, ours or not, was refused with Meta's error `code`."""
        ...
