"""Watches what processes take of the machine while something goes wrong: memory, files and connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.whole.machines import Machine

EVERY_S: Final = 0.1


@dataclass(slots=True)
class Watch:
    """By the name of each process."""

    began: dict[str, int] = field(default_factory=dict)
    """Memory at the beginning, bytes."""
    memory: dict[str, int] = field(default_factory=dict)
    """The most memory that it had, bytes."""
    descriptors: dict[str, int] = field(default_factory=dict)
    """The most files and connections that it had open."""

    @property
    def grown_mb(self) -> float:
        """By how much the memory of the process that grew the most has grown."""
        return max((self.memory[name] - self.began[name]) / 2**20 for name in self.memory)

    def look(self, machine: Machine) -> None:
        try:
            memory, descriptors = machine.rss_bytes, machine.descriptors
        except OSError:  # it does not run now
            return
        self.began.setdefault(machine.name, memory)
        self.memory[machine.name] = max(self.memory.get(machine.name, 0), memory)
        self.descriptors[machine.name] = max(self.descriptors.get(machine.name, 0), descriptors)


@contextlib.asynccontextmanager
async def watched(machines: Sequence[Machine]) -> AsyncIterator[Watch]:
    """Look at them for as long as the block lasts."""
    watch = Watch()

    async def look() -> None:
        while True:
            for machine in machines:
                watch.look(machine)
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(look())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
