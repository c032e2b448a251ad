"""Until when what a contact proved about who they are counts for nothing: a log-in asks here, and only here.

Numbers are recycled, and devices are taken over. When either is told, whatever was proved before (a code, a link, a
token that came of them) is void. PostgreSQL keeps the same for the record (`proofs_voided`).
"""

from typing import Final, cast
from uuid import UUID

from bot.lanes import PREFIX, Wire
from flows.values.ids import ContactId

SHARDS: Final = 16
"""Keys, spread over the nodes of a cluster; a contact is in one of them only if something happened to it."""


class Proofs:
    """A moment for each contact to whom it happened."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def void(self, contact: ContactId, at_ms: int) -> None:
        """Whatever this contact proved up to then is void. The latest moment holds; repeating it is harmless.

        Raises:
            StoreLostError, LaneError: of `bot.lanes`.
        """
        if at_ms > await self.void_until(contact):
            await self._wire.call("HSET", *_place(contact), at_ms, replicated=True)

    async def void_until(self, contact: ContactId) -> int:
        """ms since the epoch; 0 if nothing ever happened. A token that was issued up to then is refused."""
        reply = cast("bytes | None", await self._wire.call("HGET", *_place(contact)))
        return int(reply or 0)


def _place(contact: ContactId) -> tuple[str, bytes]:
    id = UUID(contact).bytes
    return f"{PREFIX}proofs:{{{id[0] % SHARDS}}}", id
