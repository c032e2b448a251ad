"""Killed while answers come back as too late, wait, and leave again: each is said once, in order, and none is lost."""

import asyncio

import pytest

from bot.demo import NUMBER
from handlers.whatsapp.emulator.content import Notice, words_of
from handlers.whatsapp.emulator.world import PersonId
from tests.whole.people import until
from tests.whole.test_crashes import Alone, alone
from tests.whole.town import ECHO

__all__ = ["alone"]

PEOPLE = 15


@pytest.mark.nightly
async def test_killed_while_answers_wait_for_the_window_it_says_each_once(alone: Alone) -> None:
    people = [alone.town.join() for _ in range(PEOPLE)]
    alone.emulator.faults.change(NUMBER.id, {"fail_with": 131047})

    async def nobody_is_answered() -> None:
        for person in people:
            alone.town.write(person)
            await asyncio.sleep(0.1)
        await until(lambda: knocked(alone, people), within_s=90, what="that all answers wait")

    await asyncio.gather(nobody_is_answered(), alone.killed(2, every_s=(0.5, 1.5)))
    alone.emulator.faults.change(NUMBER.id, {"fail_with": 0})

    async def everybody_is_answered() -> None:
        for person in people:
            alone.town.write(person)
            await asyncio.sleep(0.1)
        await until(lambda: answered(alone, people), within_s=90, what="every answer")

    await asyncio.gather(everybody_is_answered(), alone.killed(2, every_s=(0.5, 1.5)))
    await until(lambda: settled(alone), within_s=30, what="the last statuses")

    assert {person: arrived(alone, person) for person in people} == alone.town.wrote


async def knocked(alone: Alone, people: list[PersonId]) -> bool:
    """Whoever waits was asked to tap, in the same commit."""
    world = alone.emulator.world
    return all(
        any(isinstance(message.content, Notice) for message in world.messages(NUMBER.id, person))
        for person in people
    )


async def answered(alone: Alone, people: list[PersonId]) -> bool:
    return all(set(alone.town.wrote[person]) <= set(arrived(alone, person)) for person in people)


async def settled(alone: Alone) -> bool:
    return not alone.emulator.pending


def arrived(alone: Alone, person: PersonId) -> list[str]:
    """The words that were answered, as the answers reached the person."""
    messages = alone.emulator.world.messages(NUMBER.id, person)
    seen = [message for message in messages if message.outbound and message.status != "failed"]
    found = [ECHO.fullmatch(words_of(message.content)) for message in seen]
    return [match[2] for match in found if match]
