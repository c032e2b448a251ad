"""What this room needs of the bot: a way to send a code that somebody else made; implemented above."""

from enum import Enum
from typing import Protocol

from flows.values.phone import WaId


class Sent(Enum):
    """What became of a code."""

    SENT = "sent"  # it is durable in the send lane
    AGAIN = "again"  # so it was before
    COUNTRY = "country"  # no codes go there
    TOO_MANY = "too_many"  # this phone, or everybody, has had too many
    NO_CHANNEL = "no_channel"  # the platform has no number of its own (yet)


class ForeignCodes(Protocol):
    async def send(self, phone: WaId, code: str, *, user: str, locale: str, day: int) -> Sent:
        """Deliver a code by WhatsApp, once.

        Args:
            user: with the code it makes the order itself; a second one of the same day is `AGAIN`.
            locale: of the template; empty for the usual one.
            day: days since the epoch, the same whenever the order is repeated.

        Raises:
            StoreDownError: it may not be durable.
        """
        ...
