"""Meta for commands: the emulator in a thread of its own, so that a command may run a loop of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bot.clock import Clock
from handlers.whatsapp.emulator.server import Emulator, serving
from handlers.whatsapp.emulator.templates import Template
from handlers.whatsapp.emulator.world import Number, NumberId

T = TypeVar("T")

NUMBER = Number(
    id=NumberId("100001"),
    waba_id="200001",
    display_phone="+56 2 2345 6789",
    name="Panadería Sol",
    token="EAAG-a-token-of-the-bakery",
)


class Meta:
    """What the test may do meanwhile; everything of the emulator's happens in its thread."""

    def __init__(self, emulator: Emulator, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self.emulator = emulator
        self.address = address
        self._loop = loop

    def does(self, what: Callable[[], T]) -> T:
        async def work() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def stands(self, **standing: object) -> None:
        self.does(lambda: self.emulator.accounts.change(NUMBER.id, standing))

    def templates(self) -> dict[tuple[str, str], Template]:
        found = self.does(lambda: self.emulator.world.templates(NUMBER.waba_id))
        return {(each.name, each.language): each for each in found}

    def put(self, template: Template) -> None:
        self.does(lambda: self.emulator.world.put_template(NUMBER.waba_id, template))


@contextmanager
def running_meta() -> Iterator[Meta]:
    started: list[Meta] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def life() -> None:
        emulator = Emulator(
            callback_url="http://127.0.0.1:9/",
            app_secret="secret",
            numbers=[NUMBER],
            clock=Clock(),
        )
        async with serving(emulator, host="127.0.0.1", port=0) as address:
            started.append(Meta(emulator, address, loop))
            ready.set()
            await stop.wait()

    def run(work: Callable[[], Awaitable[None]]) -> None:
        loop.run_until_complete(work())

    thread = threading.Thread(target=run, args=(life,))
    thread.start()
    try:
        assert ready.wait(10)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
