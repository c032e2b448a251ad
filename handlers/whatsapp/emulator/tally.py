"""What became of the messages of a load test: answered or not, how soon, and whether anything was lost, doubled or inverted.

Each person waits for the answer before they write again, and each message is one that has to be answered. So there
is at most one open question for each person, and whatever arrives without one was not asked for.
"""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from handlers.whatsapp.emulator.mix import Kind
from handlers.whatsapp.emulator.updates import Update
from handlers.whatsapp.emulator.world import Message, NumberId, PersonId

# The server names what it sends `<lane>:<base>-<k>`; in one conversation (base, k) grows with each decision.
_PLACE: Final = re.compile(r".*:(\d+)-(\d+)")


class Latency(Struct, frozen=True):
    """Exact, by nearest rank; in ms. All are 0 when there is nothing to measure."""

    p50: float
    p90: float
    p99: float
    max: float
    count: int


class Latencies:
    """Every single one is kept, so that percentiles are exact: 32 bytes each."""

    def __init__(self) -> None:
        self._all: list[float] = []

    def add(self, seconds: float) -> None:
        self._all.append(seconds)

    def told(self) -> Latency:
        # In place: the next time all but the newest are in order already.
        self._all.sort()
        return Latency(
            p50=self._at(0.5), p90=self._at(0.9), p99=self._at(0.99), max=self._at(1.0),
            count=len(self._all),
        )  # fmt: skip

    def _at(self, part: float) -> float:
        if not self._all:
            return 0.0
        rank = max(1, math.ceil(part * len(self._all)))
        return round(self._all[rank - 1] * 1000, 1)


class Count(Struct, frozen=True, kw_only=True):
    """How it stands. JSON of `smarterbot loadtest --json`."""

    sent: int
    """Messages that people wrote."""
    kinds: dict[Kind, int]
    acknowledged: int
    """Messages whose webhook was answered with 200."""
    replies: int
    """Messages that were answered."""
    in_flight: int
    """Messages that were neither given up nor answered yet."""
    webhooks: dict[str, int]
    """Answers to webhooks, those with statuses among them, by HTTP status; `none` = no answer."""
    lost: int
    """Acknowledged, and not answered; told at the end only."""
    not_acknowledged: int
    """Never answered with 200: Meta would go on repeating them for days; told at the end only."""
    doubled_sends: int
    """The server's own id of a message came twice."""
    doubled_answers: int
    """An answer that nobody waited for."""
    inverted: int
    """Left after a message that was decided later."""
    refused: dict[int, int]
    """Sends that were refused, by Meta's error code."""
    strays: int
    """Sends to people who are not of this load."""
    ack_ms: Latency
    """From the post of a webhook with messages to its 200."""
    reply_ms: Latency
    """From a message's first post to the arrival of its answer."""
    reply_ms_by_kind: dict[Kind, Latency]

    @property
    def troubles(self) -> int:
        """Webhooks that were not answered with 200, and refused sends."""
        good = self.webhooks.get(str(HTTPStatus.OK.value), 0)
        return sum(self.webhooks.values()) - good + sum(self.refused.values())


class _Question:
    """The last message of a person."""

    __slots__ = ("answered", "kind", "posted_s", "taken", "wamid")

    def __init__(self, wamid: str, kind: Kind) -> None:
        self.wamid = wamid
        self.kind: Kind = kind
        self.posted_s = 0.0
        self.taken = False
        self.answered = False


class Tally:
    """A `Witness` that counts. `on_free` is told who has had their answer and may write again."""

    def __init__(self, number: NumberId, *, on_free: Callable[[PersonId], None]) -> None:
        self._number = number
        self._on_free = on_free
        self._questions: dict[PersonId, _Question] = {}
        self._places: dict[PersonId, tuple[int, int]] = {}
        self._refs: set[int] = set()
        self._kinds: Counter[Kind] = Counter()
        self._webhooks: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()
        self.last_answer_s = 0.0
        """When the last answer came, by `time.perf_counter`."""
        self._sent = self._taken = self._answered = 0
        self._doubled_sends = self._doubled_answers = self._inverted = self._strays = 0
        self._ack = Latencies()
        self._reply = Latencies()
        self._by_kind: dict[Kind, Latencies] = {}

    def wrote(self, person: PersonId, wamid: str, kind: Kind) -> None:
        """Somebody who was free wrote a message; told before it is posted."""
        self._questions[person] = _Question(wamid, kind)
        self._kinds[kind] += 1
        self._sent += 1

    # -------------------------------------------------------------- the witness

    def posting(self, updates: Sequence[Update]) -> None:
        for update in updates:
            question = self._question(update)
            if question is not None and not question.posted_s:
                question.posted_s = time.perf_counter()

    def answered(self, updates: Sequence[Update], status: int, took_s: float) -> None:
        self._webhooks[status] += 1
        if status != HTTPStatus.OK or all(update.is_status for update in updates):
            return
        self._ack.add(took_s)
        for update in updates:
            question = self._question(update)
            if question is not None and not question.taken:
                question.taken = True
                self._taken += 1
                if question.answered:
                    self._on_free(update.person)

    def accepted(self, message: Message) -> None:
        question = self._questions.get(message.person)
        if question is None:
            self._strays += 1
            return
        if message.opaque:
            ref = hash(message.opaque)
            if ref in self._refs:
                self._doubled_sends += 1
                return
            self._refs.add(ref)
            self._place(message)
        if question.answered or not question.posted_s:
            self._doubled_answers += 1
            return
        question.answered = True
        self._answered += 1
        self.last_answer_s = time.perf_counter()
        took_s = self.last_answer_s - question.posted_s
        self._reply.add(took_s)
        self._by_kind.setdefault(question.kind, Latencies()).add(took_s)
        if question.taken:
            self._on_free(message.person)

    def refused(self, number: NumberId, code: int) -> None:
        if number == self._number:
            self._refused[code] += 1

    def _question(self, update: Update) -> _Question | None:
        """The open or last question, if the update is of it: an older message may come again."""
        if update.is_status:
            return None
        question = self._questions.get(update.person)
        return question if question is not None and question.wamid == update.wamid else None

    def _place(self, message: Message) -> None:
        told = _PLACE.fullmatch(message.opaque)
        if told is None:
            return
        place = int(told[1]), int(told[2])
        before = self._places.get(message.person, place)
        if place < before:
            self._inverted += 1
        self._places[message.person] = max(place, before)

    # -------------------------------------------------------------- asking

    @property
    def answered_count(self) -> int:
        return self._answered

    @property
    def is_settled(self) -> bool:
        """Whether every message was acknowledged and answered."""
        return self._answered == self._taken == self._sent

    def count(self, *, over: bool) -> Count:
        """How it stands; `over`: nothing is waited for any more, so what is open is lost."""
        unanswered = [question for question in self._questions.values() if not question.answered]
        lost = sum(question.taken for question in unanswered)
        return Count(
            sent=self._sent,
            kinds=dict(self._kinds),
            acknowledged=self._taken,
            replies=self._answered,
            in_flight=0 if over else len(unanswered),
            webhooks={str(code or "none"): n for code, n in sorted(self._webhooks.items())},
            lost=lost if over else 0,
            not_acknowledged=self._sent - self._taken if over else 0,
            doubled_sends=self._doubled_sends,
            doubled_answers=self._doubled_answers,
            inverted=self._inverted,
            refused=dict(sorted(self._refused.items())),
            strays=self._strays,
            ack_ms=self._ack.told(),
            reply_ms=self._reply.told(),
            reply_ms_by_kind={kind: each.told() for kind, each in sorted(self._by_kind.items())},
        )
