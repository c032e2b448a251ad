"""People who write to the echo firm, each message a word of its own, and what became of their words."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot.demo import NUMBER
from handlers.whatsapp.emulator.content import Text, words_of
from handlers.whatsapp.emulator.server import Emulator
from handlers.whatsapp.emulator.world import NumberId, PairTruth, PersonId
from tests.whole.people import phone

EACH_MAX: Final = 40
"""Words of one person: Meta's limit for a pair allows them at once."""
ECHO: Final = re.compile(r"(\d+) (\w+) ¿Algo más\?")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the people of a town have seen. The last four must be 0."""

    messages: int
    """What they wrote."""
    replies: int
    lost: int
    """Words that were never answered."""
    doubled: int
    """Answers too many."""
    inverted: int
    """Answers that came after the answer to a later word of the same person."""
    miscounted: int
    """Answers whose count says that a turn before them is missing or was made twice."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.inverted or self.miscounted)


class Town:
    """Some people, and what they wrote. An emulator may have several towns, one after the other."""

    def __init__(self, emulator: Emulator, *, at_once: int = 25, seed: int = 11) -> None:
        """`at_once`: people who write in turn; whoever has written `EACH_MAX` words is replaced."""
        self._emulator = emulator
        self._number = NumberId(NUMBER.id)
        self._at_once = at_once
        self._chance = random.Random(seed)
        self._writing: list[PersonId] = []
        self._answered: set[str] = set()
        self.wrote: dict[PersonId, list[str]] = {}

    @property
    def written(self) -> list[str]:
        """Every word that was written."""
        return [word for words in self.wrote.values() for word in words]

    def join(self) -> PersonId:
        n = len(self._emulator.world.people)
        person = self._emulator.world.add_person(f"Persona {n}", wa_id=phone(n)).id
        self.wrote[person] = []
        return person

    def write(self, person: PersonId) -> str:
        """The person writes their next word; answers it."""
        words = self.wrote[person]
        word = f"{person}x{len(words)}"
        words.append(word)
        self._emulator.phones.write(self._number, person, Text(word))
        return word

    def somebody_writes(self) -> str:
        if len(self._writing) < self._at_once:
            self._writing.append(self.join())
        person = self._chance.choice(self._writing)
        word = self.write(person)
        if len(self.wrote[person]) == EACH_MAX:
            self._writing.remove(person)
        return word

    async def keep_writing(self, per_s: float) -> None:
        """At a steady rate, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.somebody_writes()
            # After a standstill of ours the rate goes on; what was missed is not made up for.
            due = max(due + 1 / per_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def unanswered(self, words: Sequence[str]) -> list[str]:
        """Those of these words that have no answer yet."""
        # The latest are looked at first, and a person's chat is short: this is asked again and again.
        self._answered |= {
            word
            for person in {_writer(word) for word in words if word not in self._answered}
            for word, _ in self._answers_to(person)
        }
        return [word for word in words if word not in self._answered]

    def answered_at(self, words: Sequence[str]) -> int:
        """When the last of these words was answered, ms since the epoch; 0 for no words."""
        at = {
            word: at
            for person in {_writer(word) for word in words}
            for word, at in reversed(self._answers_to(person))
        }
        return max((at[word] for word in words), default=0)

    def _answers_to(self, person: PersonId) -> list[tuple[str, int]]:
        """The word that each answer is about, and when Meta took it."""
        found = []
        for message in self._emulator.world.messages(self._number, person):
            if message.outbound and (match := ECHO.fullmatch(words_of(message.content))):
                found.append((match[2], message.at_ms))
        return found

    def verdict(self) -> Verdict:
        replies = lost = doubled = inverted = miscounted = 0
        pairs = {pair.person: pair for pair in self._pairs()}
        for person, words in self.wrote.items():
            answers = _answers(pairs[person]) if person in pairs else []
            replies += len(answers)
            times = Counter(word for _, word in answers)
            lost += sum(word not in times for word in words)
            doubled += sum(n - 1 for n in times.values())
            places = [words.index(word) for word in times]  # in the order of the first answers
            inverted += sum(place < max(places[:n], default=-1) for n, place in enumerate(places))
            counts = sorted({count for count, _ in answers})
            miscounted += sum(count != n + 1 for n, count in enumerate(counts))
        return Verdict(len(self.written), replies, lost, doubled, inverted, miscounted)

    def _pairs(self) -> list[PairTruth]:
        truth = self._emulator.world.truth()
        assert not truth.forgotten
        return [pair for pair in truth.pairs if pair.person in self.wrote]


def _writer(word: str) -> PersonId:
    return PersonId(word.partition("x")[0])


def _answers(pair: PairTruth) -> list[tuple[int, str]]:
    """The count and the word of each answer, as they came."""
    found = [ECHO.fullmatch(line.text) for line in pair.taken]
    assert all(found), pair.taken
    return [(int(match[1]), match[2]) for match in found if match]
