"""The doorbell: tells idle workers that a lane became due, so that they need not ask all the time.

A ring may be lost (nobody subscribed, a connection down): workers also poll, once a second.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from bot.lanes.lanes import PREFIX
from bot.lanes.listen import listen
from bot.lanes.wire import Wire

EVERY_S: Final = 0.005  # far below what a person notices; each ring costs every worker a claim
CHANNEL: Final = f"{PREFIX}bell"


class Bell:
    """Rings through the wire; listens on a connection of its own."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rings: dict[tuple[int, str], None] = {}
        self._next_s = 0.0
        """When the next message may leave, by the loop's clock."""

    def ring(self, shard: int, kind: str) -> None:
        """Say that a lane of this kind is due in this shard: at once, and under load once in `EVERY_S`."""
        if not self._rings:
            loop = asyncio.get_running_loop()
            wait_s = self._next_s - loop.time()
            if wait_s > 0:
                loop.call_later(wait_s, self._publish)
            else:
                loop.call_soon(self._publish)
        self._rings[shard, kind] = None

    async def listen(
        self,
        on_ring: Callable[[int, str], None],
        *,
        on_subscribed: Callable[[], None] | None = None,
    ) -> None:
        """Call `on_ring(shard, kind)` for each ring, ours included. Runs until cancelled.

        `on_subscribed` is called whenever the subscription stands: what rang before it was not heard.
        """

        def on_message(_channel: str, body: bytes) -> None:
            for ring in body.decode().split(","):
                shard, _, kind = ring.partition(" ")
                # Whoever reaches the store can publish; a ring that is none must not stop the listener.
                if shard.isdecimal() and kind:
                    on_ring(int(shard), kind)

        await listen(self._wire, [CHANNEL], on_message, on_subscribed=on_subscribed)

    def _publish(self) -> None:
        self._next_s = asyncio.get_running_loop().time() + EVERY_S
        message = ",".join(f"{shard} {kind}" for shard, kind in self._rings)
        self._rings.clear()
        self._wire.tell("PUBLISH", CHANNEL, message)
