"""Traffic: people write, workers decide, senders send; and the truth of what was promised and what was done outside.

Everybody works on as if nothing happened, whatever becomes of the store: a call whose outcome is not known is repeated
by the people, and left to the lease by the workers.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bot.lanes import Lanes, Push, StoreLostError, Taken
from flows.values.ids import ItemId

LEASE_MS: Final = 1_000
AGAIN_S: Final = 0.02  # people and workers are in a hurry here
AHEAD_MAX: Final = 5  # messages of one person without an answer
WORKERS: Final = 2
SETTLED_WITHIN_S: Final = 30.0


@dataclass
class Truth:
    """What the outside knows."""

    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    """By conversation, what people were told that we took, in order."""
    sent: dict[str, list[str]] = field(default_factory=dict)
    """By conversation, what reached the person, in order."""
    items: set[ItemId] = field(default_factory=set)
    """Under which ids: what a status would prove."""
    refused: int = 0

    @property
    def lost(self) -> int:
        """Acknowledged, and never sent."""
        return sum(
            len(set(words) - set(self.sent.get(who, ())))
            for who, words in self.acknowledged.items()
        )

    @property
    def doubled(self) -> int:
        return sum(n - 1 for words in self.sent.values() for n in Counter(words).values())

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    @property
    def is_in_order(self) -> bool:
        """Whether whatever came first was sent first, in each conversation."""
        for who, words in self.acknowledged.items():
            once = list(dict.fromkeys(self.sent.get(who, ())))
            known = [word for word in once if word in words]
            if known != [word for word in words if word in known]:
                return False
        return True


class Traffic:
    """A number of conversations over all shards."""

    def __init__(self, lanes: Lanes, *, people: int) -> None:
        self.truth = Truth()
        self._lanes = lanes
        self._people = [f"c{n}" for n in range(people)]
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Traffic":
        work = [self._write(who) for who in self._people]
        work += [self._serve(kind) for kind in ("conv", "wa") for _ in range(WORKERS)]
        self._tasks = [asyncio.create_task(one) for one in work]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def flows(self, count: int) -> None:
        """Until so many more messages have been acknowledged."""
        goal = self.truth.total + count
        await self._until(lambda: self.truth.total >= goal)

    async def settle(self) -> Truth:
        """People stop writing; everything that is there is worked off."""
        self._stopping = True
        async with asyncio.timeout(SETTLED_WITHIN_S):
            await asyncio.gather(*self._tasks[: len(self._people)])
            while not await self._is_quiet():
                await self._until(lambda: True)
        return self.truth

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Many tasks bring it about together; one that broke is told at once."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                for task in self._tasks:
                    if task.done() and not task.cancelled() and (error := task.exception()):
                        raise error
                await asyncio.sleep(AGAIN_S)
                if is_so():
                    return

    async def _is_quiet(self) -> bool:
        """No lane has an item; those that rest count, too."""
        lanes = [f"{kind}/{who}" for kind in ("conv", "wa") for who in self._people]
        try:
            views = await asyncio.gather(*map(self._lanes.inspect, lanes))
        except StoreLostError:
            return False
        return not any(view.waiting for view in views)

    # ---------------------------------------------------------- who is about

    async def _write(self, who: str) -> None:
        """One message after the other, each repeated until it is acknowledged, as Meta does; never far ahead."""
        told = self.truth.acknowledged.setdefault(who, [])
        while not self._stopping:
            word = f"{who} {len(told)}"
            shard = self._lanes.shard(who)
            while True:
                try:
                    await self._lanes.put(shard, f"conv/{who}", word.encode(), mark=word)
                    break
                except StoreLostError:
                    self.truth.refused += 1
                    await asyncio.sleep(AGAIN_S)
            told.append(word)
            while self._is_ahead(who):  # noqa: ASYNC110  many tasks bring it about together
                await asyncio.sleep(AGAIN_S)

    def _is_ahead(self, who: str) -> bool:
        left = len(self.truth.acknowledged[who]) - len(self.truth.sent.get(who, ()))
        return left > AHEAD_MAX and not self._stopping

    async def _serve(self, kind: str) -> None:
        while True:
            for shard in range(self._lanes.shards):
                with contextlib.suppress(StoreLostError):
                    claimed = await self._lanes.claim(
                        shard, kind, lanes=8, items=1 if kind == "wa" else None
                    )
                    carry = self._send if kind == "wa" else self._decide
                    await asyncio.gather(*map(carry, claimed.taken))
            await asyncio.sleep(AGAIN_S / 10)

    async def _decide(self, taken: Taken) -> None:
        """A turn: each message is answered by one send. The sends that are taken with it are made at once."""
        who = taken.conversation
        committed = await self._lanes.commit(
            taken,
            consumed=len(taken.items),
            push=[Push(f"wa/{who}", body, take=True) for body in taken.items],
        )
        for following in committed.taken if committed is not None else ():
            await self._send(following)

    async def _send(self, taken: Taken) -> None:
        """A send that may have been made by a holder who vanished is looked up first: a status would tell."""
        if taken.items and not (taken.was and taken.id() in self.truth.items):
            self.truth.items.add(taken.id())
            self.truth.sent.setdefault(taken.conversation, []).append(taken.items[0].decode())
        await self._lanes.commit(taken, consumed=len(taken.items[:1]))
