"""An owner at the platform's number, as a script: writes, taps, and reads what comes. For tests and the benchmark."""

import time
from dataclasses import dataclass, field

from handlers.whatsapp.emulator.content import Buttons, Form, Link, Menu, Notice, Text
from handlers.whatsapp.emulator.server import Emulator
from handlers.whatsapp.emulator.world import Message, NumberId, PersonId
from tests.whole.people import People, until


@dataclass
class Owner:
    """The n-th person, writing to one number."""

    people: People
    emulator: Emulator
    number: NumberId
    n: int
    person: PersonId
    answers: int = 0
    """What they wrote and tapped, their first word left out."""
    read: int = 0
    waits_s: list[float] = field(default_factory=list)
    """From each answer to the bot's next message."""

    def heard(self) -> list[Message]:
        """All that the number said, oldest first."""
        shown = self.emulator.world.messages(self.number, self.person)
        return [one for one in shown if one.outbound]

    async def begins(self, text: str) -> str:
        return await self._reads(await self._sends({"type": "text", "body": text}))

    async def says(self, text: str) -> str:
        """Write, and read the answer."""
        self.answers += 1
        return await self._reads(await self._sends({"type": "text", "body": text}))

    async def taps(self, title: str) -> str:
        """Tap a button or a row of the latest message, and read the answer."""
        self.answers += 1
        return await self._reads(await self._sends(self._tap(title)))

    async def taps_in_silence(self, title: str) -> None:
        """Tap what needs no answer."""
        self.answers += 1
        await self._sends(self._tap(title))

    async def waits(self, begins: str) -> str:
        """Read what comes without having been asked for."""
        found = await self._reads(time.monotonic())
        assert found.startswith(begins), found
        return found

    def _tap(self, title: str) -> dict[str, object]:
        message = self.heard()[-1]
        match message.content:
            case Buttons(buttons=buttons):
                ids = [button.id for button in buttons if button.title == title]
            case Menu(sections=sections):
                ids = [row.id for each in sections for row in each.rows if row.title == title]
            case Notice(buttons=shown):
                ids = [button.value for button in shown if button.title == title]
            case other:
                raise AssertionError(f"nothing to tap: {other}")
        assert ids, f"{title} is not there: {message.content}"
        return {"type": "tap", "message": message.wamid, "id": ids[0]}

    async def _sends(self, act: dict[str, object]) -> float:
        began = time.monotonic()
        await self.people.act(self.n, act)
        return began

    async def _reads(self, began: float) -> str:
        async def came() -> bool:
            return len(self.heard()) > self.read

        await until(came, what=f"answer {self.answers}")
        self.waits_s.append(time.monotonic() - began)
        self.read += 1
        return words(self.heard()[self.read - 1])


def words(message: Message) -> str:
    """What a message says."""
    assert isinstance(message.content, Text | Buttons | Menu | Link | Form | Notice)
    return message.content.body


async def owner(people: People, emulator: Emulator, number: NumberId, n: int) -> Owner:
    """Somebody who has not written yet."""
    return Owner(people, emulator, number, n, await people.join(n))
