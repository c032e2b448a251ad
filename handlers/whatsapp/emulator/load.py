"""Many people who write to the bot at a given rate, each waiting for the answer before writing again.

Open over all, closed for each: the rate does not sink because answers are slow, as long as somebody is free. Nobody
who was not answered writes again, so what is lost stays visible to the end.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from random import Random
from typing import Final

from handlers.ports import Clock
from handlers.whatsapp.emulator.content import Text
from handlers.whatsapp.emulator.mix import Mix
from handlers.whatsapp.emulator.plan import FAIR, Outcome, Plan, Weather
from handlers.whatsapp.emulator.server import Emulator, serving
from handlers.whatsapp.emulator.tally import Latencies, Tally
from handlers.whatsapp.emulator.updates import Update
from handlers.whatsapp.emulator.webhooks import Retries
from handlers.whatsapp.emulator.witness import NO_ANSWER, Witness
from handlers.whatsapp.emulator.world import Memory, Message, Number, NumberId, PersonId

DRAIN_S_MAX: Final = 600.0
GREET_S: Final = 10.0  # for an answer to the first words
LOOK_S: Final = 0.1
AT_ONCE_MAX: Final = (
    20  # messages that are written before anybody else has a turn, when we are late
)
NAME: Final = "Prueba"  # of every person: nobody's

# Country code 999 belongs to nobody: even a server that speaks to the real Meta by mistake reaches no one.
_PHONES: Final = 999_000_000_000
_PHONES_MAX: Final = 900_000_000
_MEMORY: Final = Memory(bubbles_max=60, ledger_max=1_000)
_RETRIES: Final = Retries(first_ms=500, longest_ms=5_000)
_WORTH_WAITING: Final = frozenset({HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE})
"""Answers to a webhook after which the bot may still answer the person."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """How the bot took one message of a person whom it did not know."""

    answered: bool
    status: int
    """Of the last answer to the webhook; `NO_ANSWER` if none came."""
    asked: bool
    """Whether the bot spoke to our Graph API about it at all, e.g. marked the message read."""
    strangers: frozenset[NumberId]
    """Other numbers that it sent as."""


class Load:
    """People, and the emulator that carries what they write. It is the emulator's witness."""

    def __init__(
        self, *, callback_url: str, app_secret: str, number: Number, clock: Clock, seed: int
    ) -> None:
        """`seed`: who writes and what goes wrong, the same for the same seed."""
        self._number = number
        self._seed = seed
        self._phones = count(_PHONES + Random(seed).randrange(_PHONES_MAX))  # noqa: S311 - no secret hangs on it
        self._free: deque[PersonId] = deque()
        self._is_free = asyncio.Event()
        self._said: dict[PersonId, Message] = {}
        self._held_s = 0.0
        self.tally = Tally(number.id, on_free=self._freed)
        self._witness: Witness = self.tally
        self.emulator = Emulator(
            callback_url=callback_url,
            app_secret=app_secret,
            numbers=[number],
            clock=clock,
            retries=_RETRIES,
            memory=_MEMORY,
            witness=self,
        )

    @asynccontextmanager
    async def serving(self, *, host: str, port: int) -> AsyncIterator[str]:
        """The Graph side at work; gives its address.

        Raises:
            OSError: the port is taken.
        """
        async with serving(self.emulator, host=host, port=port, graph_only=True) as address:
            yield address

    async def greet(self, words: str, *, within_s: float = GREET_S) -> Greeting:
        """One person writes one message, before all others: does the bot answer at all?"""
        self._witness = greeted = _Greeted(self._number.id)
        message = self.emulator.phones.write(self._number.id, self._join(), Text(words))
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await greeted.over.wait()
        self._witness = self.tally
        marked = self.emulator.world.message(message.wamid)
        asked = greeted.asked or (marked is not None and marked.status == "read")
        return Greeting(greeted.answered_us, greeted.status, asked, frozenset(greeted.strangers))

    async def run(
        self,
        plan: Plan,
        *,
        stop: asyncio.Event,
        hurry: asyncio.Event,
        weather: Weather = FAIR,
    ) -> Outcome:
        """Everything that is planned, then the answers to it.

        Args:
            stop: write no more, and wait for the answers.
            hurry: do not wait for them either; set it with `stop`.
        """
        faults = self.emulator.faults
        faults.change(self._number.id, dict(weather.amounts))
        faults.happen(self._number.id, weather.shares, seed=self._seed)
        for _ in range(plan.people):
            person = self._join()
            # They read what comes: each answer has three statuses, as with Meta.
            self.emulator.phones.watch(self._number.id, person, watching=True)
            self._free.append(person)
        mix, late = Mix(plan.parts, seed=self._seed, words=plan.words), Latencies()
        began_s = time.perf_counter()
        for n in range(plan.messages):
            if n % AT_ONCE_MAX == 0:
                await asyncio.sleep(0)
            due_s = began_s + plan.due_s(n)
            await _until(due_s, stop)
            if self._free:
                # Nobody kept us waiting, so whatever we are late by is our own fault.
                late.add(max(0.0, time.perf_counter() - due_s - self._held_s))
            if stop.is_set() or not await self._somebody(plan.wait_s, stop):
                break
            self._write(self._free.popleft(), mix)
        wrote_s = time.perf_counter() - began_s
        await self._drain(plan, hurry)
        return Outcome(
            count=self.tally.count(over=not hurry.is_set()),
            wrote_s=wrote_s,
            took_s=max(0.0, self.tally.last_answer_s - began_s),
            held_s=self._held_s,
            late_ms=late.told(),
            faults=dict(faults.happened),
            broken_off=hurry.is_set(),
        )

    # -------------------------------------------------------------- people

    def _join(self) -> PersonId:
        return self.emulator.world.add_person(NAME, wa_id=str(next(self._phones))).id

    def _write(self, person: PersonId, mix: Mix) -> None:
        act = mix.draw(self._said.get(person))
        phones = self.emulator.phones
        # It is posted by a task of its own, so it is counted first.
        message = phones.write(self._number.id, person, act.content, quotes=act.quotes)
        self.tally.wrote(person, message.wamid, act.kind)

    def _freed(self, person: PersonId) -> None:
        self._free.append(person)
        self._is_free.set()

    async def _somebody(self, wait_s: float, stop: asyncio.Event) -> bool:
        """Wait until somebody may write; False when nobody was answered for `wait_s`, or on `stop`."""
        if self._free:
            return True
        since_s = time.perf_counter()
        while not self._free and not stop.is_set():
            if time.perf_counter() - since_s > wait_s:
                break
            self._is_free.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._is_free.wait()
        self._held_s += time.perf_counter() - since_s
        return bool(self._free) and not stop.is_set()

    async def _drain(self, plan: Plan, hurry: asyncio.Event) -> None:
        """Until all is answered and quiet, or nothing has been answered for long."""
        began_s = moved_s = time.perf_counter()
        answered = self.tally.answered_count
        while not hurry.is_set() and time.perf_counter() - began_s < DRAIN_S_MAX:
            await asyncio.sleep(LOOK_S)
            now_s = time.perf_counter()
            if self.tally.answered_count != answered:
                answered, moved_s = self.tally.answered_count, now_s
            if now_s - moved_s > (plan.quiet_s if self.tally.is_settled else plan.wait_s):
                return

    # -------------------------------------------------------------- the witness

    def posting(self, updates: Sequence[Update]) -> None:
        self._witness.posting(updates)

    def answered(self, updates: Sequence[Update], status: int, took_s: float) -> None:
        self._witness.answered(updates, status, took_s)

    def accepted(self, message: Message) -> None:
        self._said[message.person] = message
        self._witness.accepted(message)

    def refused(self, number: NumberId, code: int) -> None:
        self._witness.refused(number, code)


class _Greeted:
    """The witness of a greeting."""

    def __init__(self, number: NumberId) -> None:
        self._number = number
        self.over = asyncio.Event()
        self.answered_us = False
        self.asked = False
        self.status = NO_ANSWER
        self.strangers: set[NumberId] = set()

    def posting(self, updates: Sequence[Update]) -> None:
        pass

    def answered(self, updates: Sequence[Update], status: int, took_s: float) -> None:
        self.status = status
        if status not in _WORTH_WAITING:
            self.over.set()

    def accepted(self, message: Message) -> None:
        self.answered_us = self.asked = True
        self.over.set()

    def refused(self, number: NumberId, code: int) -> None:
        if number == self._number:
            self.asked = True
        else:
            self.strangers.add(number)
            self.over.set()


async def _until(at_s: float, stop: asyncio.Event) -> None:
    """Return at that moment, at once if it has passed, or on `stop`."""
    left_s = at_s - time.perf_counter()
    if left_s <= 0:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(left_s):
            await stop.wait()
