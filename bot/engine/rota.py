"""Whose turn it is to do a chore that one process should do at a time.

It saves work and guarantees nothing: a holder that is slow or cut off may find another at the same chore, so the
chore itself must bear that.
"""

from typing import Final

from bot.lanes import PREFIX, Script, Wire

HOLD_S: Final = 10.0  # a holder that vanished keeps the others from the chore for so long


class Rota:
    """One chore, shared by all processes on a store."""

    def __init__(self, wire: Wire, chore: str, *, hold_s: float = HOLD_S) -> None:
        self._wire = wire
        self._hold_ms = round(hold_s * 1000)
        self._key = f"{PREFIX}rota:{chore}"
        self._turn = Script.read("bot.engine", "turn")

    async def take(self) -> bool:
        """Whether it is ours now, for `hold_s` at most.

        Raises:
            StoreLostError: the store does not answer.
        """
        return await self._wire.script(self._turn, (self._key,), (self._hold_ms,)) == 1

    def pass_on(self, *, after_s: float) -> None:
        """We have done it; somebody may take it in a while, 0 = at once."""
        if after_s:
            self._wire.tell("PEXPIRE", self._key, round(after_s * 1000))
        else:
            self._wire.tell("DEL", self._key)
