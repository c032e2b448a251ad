"""People who write to the demo firm, through the emulator's control API."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from msgspec.structs import replace

from bot.demo import NUMBER
from handlers.whatsapp.emulator.world import NumberId, PersonId

SETTLE_S = 60.0
FAST = replace(NUMBER, per_s=1_000)
"""The demo number after Meta's upgrade: tests should not wait for the limit of a new one."""


class People:
    """Persons by number: the n-th one has the n-th phone."""

    def __init__(
        self, http: aiohttp.ClientSession, emulator: str, *, number: NumberId = NUMBER.id
    ) -> None:
        """`number`: whom they write to."""
        self._number = number
        self._http = http
        self._emulator = emulator
        self._ids: dict[int, PersonId] = {}

    def id_of(self, n: int) -> PersonId | None:
        """The emulator's id of a person who has joined."""
        return self._ids.get(n)

    async def join(self, n: int) -> PersonId:
        """Create a person."""
        person = await self._post("/api/people", {"name": f"Persona {n}", "wa_id": phone(n)})
        self._ids[n] = PersonId(person["id"])
        return self._ids[n]

    def knows(self, n: int, person: PersonId) -> None:
        """The n-th person has joined already, to write to another number."""
        self._ids[n] = person

    async def write(self, n: int, text: str) -> str:
        """The n-th person writes; answers the wamid."""
        message = await self.act(n, {"type": "text", "body": text})
        return str(message["wamid"])

    async def act(self, n: int, act: dict[str, object]) -> dict[str, Any]:
        person = self._ids.get(n) or await self.join(n)
        return await self._post(f"/api/chats/{self._number}/{person}/messages", act)

    async def become(self, n: int, change: dict[str, object]) -> None:
        """Another number, id, device or username for the n-th person."""
        await self._post(f"/api/people/{self._ids[n]}", change)

    async def inject(self, body: dict[str, object]) -> None:
        """Post a webhook as it is, signed."""
        await self._post("/api/inject", body)

    async def shift(self, ms: int) -> None:
        """Meta's time goes on, and that of whoever goes by it."""
        await self._post("/api/shift", {"ms": ms})

    async def faults(self, **changes: int) -> None:
        async with self._http.put(
            f"{self._emulator}/api/faults/{self._number}", json=changes
        ) as answer:
            answer.raise_for_status()

    async def moves_time(self, ms: int) -> None:
        await self._post("/api/shift", {"ms": ms})

    async def truth(self) -> dict[str, Any]:
        async with self._http.get(f"{self._emulator}/api/truth") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def replies(self) -> dict[str, list[str]]:
        """What each person was sent, by phone or id, oldest first."""
        truth = await self.truth()
        return {
            pair["person"]: [line["text"] for line in pair["taken"]]
            for pair in truth["world"]["pairs"]
        }

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(f"{self._emulator}{path}", json=body) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found


def phone(n: int) -> str:
    return str(56_961_000_000 + n)


async def until(
    holds: Callable[[], Awaitable[bool]], *, within_s: float = SETTLE_S, what: str = "it"
) -> None:
    """Look again until it holds. Real processes are on the other side: there is no clock to move."""
    end = time.monotonic() + within_s
    while not await holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come to hold within {within_s} s")
        await asyncio.sleep(0.05)
