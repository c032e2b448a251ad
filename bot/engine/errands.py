"""Errands: actions that no turn decided, into their lanes."""

from hashlib import blake2b
from typing import Final
from uuid import UUID

from bot.lanes import Bell, LaneError, Lanes, Put, StoreLostError
from handlers.ports import StoreDownError

HASH_BYTES: Final = 16


class Errands:
    """Implements `handlers.ports.Errands` over the lanes."""

    def __init__(self, lanes: Lanes, bell: Bell, *, pepper: bytes) -> None:
        """`pepper`: the installation's, so that nobody finds out whose a lane is by trying."""
        self._lanes = lanes
        self._bell = bell
        self._pepper = pepper

    async def put(self, kind: str, about: str, body: bytes, *, mark: str, day: int = 0) -> bool:
        """See `handlers.ports.Errands.put`."""
        conversation = str(UUID(bytes=self._hash("lane", kind, about)))
        shard = self._lanes.shard(conversation)
        try:
            answer = await self._lanes.put(
                shard,
                f"{kind}/{conversation}",
                body,
                mark=self._hash("mark", kind, mark).hex(),
                day=day,
            )
        except (StoreLostError, LaneError) as lost:
            raise StoreDownError("the lanes cannot take anything now") from lost
        if answer is Put.SEEN:
            return False
        self._bell.ring(shard, kind)
        return True

    def _hash(self, *parts: str) -> bytes:
        text = "|".join(parts).encode()
        return blake2b(text, digest_size=HASH_BYTES, key=self._pepper).digest()
