"""Meta's postman: signed webhooks to the bot, repeated until they are taken.

Kinder than Meta in one thing, so that order can be asserted: the messages of one person are posted one after the
other, unless the `reorder` fault is on. Statuses, and the messages of different people, are posted concurrently.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import aiohttp
from msgspec import Struct

from handlers.ports import Clock
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.updates import UPDATES_MAX, Update, envelope
from handlers.whatsapp.emulator.waits import Chores, Waits
from handlers.whatsapp.emulator.witness import NO_ANSWER, Witness
from handlers.whatsapp.emulator.world import Number, NumberId, PersonId

POST_TIMEOUT_S: Final = 10.0  # ours: Meta does not say how long it waits
POSTS_MAX: Final = 100  # at the same moment; ours
UNDER_WAY_MAX: Final = 50_000  # webhooks; what comes beyond is lost and counted
LINGER_MS: Final = 1_000  # how long an unfilled batch waits for company
OVERTAKEN_MS: Final = 300  # how long a webhook is held that others overtake


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a webhook is repeated: after `first_ms`, then twice as long each time, up to `longest_ms`."""

    first_ms: int = 500
    longest_ms: int = 60_000
    attempts_max: int = 500
    age_max_ms: int = 7 * 24 * 3_600_000  # Meta: up to 7 days


class Posted(Struct):
    """What became of the webhooks; counts since the start or the last reset."""

    posts: int = 0
    taken: int = 0
    """Webhooks that were answered with 200."""
    repeated: int = 0
    given_up: int = 0
    lost: int = 0
    """Statuses that the `lose_statuses` fault kept, and what came beyond the bound."""


class _Held:
    """Updates of one number that wait for company."""

    __slots__ = ("end_linger", "updates")

    def __init__(self) -> None:
        self.updates: list[tuple[Update, asyncio.Future[None]]] = []
        self.end_linger: Callable[[], object] = lambda: None


class Webhooks:
    """Posts updates to the callback URL."""

    def __init__(
        self,
        *,
        callback_url: str,
        app_secret: str,
        numbers: dict[NumberId, Number],
        clock: Clock,
        waits: Waits,
        faults: Board,
        chores: Chores,
        retries: Retries,
        on_taken: Callable[[Update], None],
        witness: Witness | None,
    ) -> None:
        self.callback_url = callback_url
        self.posted = Posted()
        self._app_secret = app_secret.encode()
        self._numbers = numbers
        self._clock = clock
        self._waits = waits
        self._faults = faults
        self._chores = chores
        self._retries = retries
        self._on_taken = on_taken
        self._witness = witness
        self.is_subscribed: Callable[[NumberId], bool] = lambda _: True
        """Whether the number's account tells the bot's app at all."""
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(POSTS_MAX)
        self._held: dict[NumberId, _Held] = {}
        self._before: dict[tuple[NumberId, PersonId], asyncio.Future[None]] = {}
        self._previous: dict[NumberId, Update] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=POST_TIMEOUT_S)
        async with aiohttp.ClientSession(
            timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    def put(self, update: Update) -> asyncio.Future[None]:
        """Post the update in the background; the future ends when it was taken, lost or given up."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lost = update.is_status and self._faults.take(update.number, "lose_statuses")
        lost = lost or not self.is_subscribed(update.number)
        if lost or self._chores.pending >= UNDER_WAY_MAX:
            self.posted.lost += 1
            over.set_result(None)
            return over
        faults = self._faults.of(update.number)
        together = min(max(faults.batch, faults.reorder), UPDATES_MAX)
        if together <= 1:
            self._dispatch(update.number, [(update, over)])
            return over
        held = self._held.get(update.number)
        if held is None:
            held = self._held[update.number] = _Held()
            held.end_linger = self._chores.begin(self._release_later(update.number))
        held.updates.append((update, over))
        if len(held.updates) >= together:
            held.end_linger()
            self._release(update.number)
        return over

    def put_raw(self, body: bytes) -> None:
        """Sign these very bytes and post them, repeated like any other webhook."""
        self._chores.begin(self._carry_raw(body))

    def reset(self) -> None:
        """Forget the counts and what is held for a batch."""
        self.posted = Posted()
        for held in self._held.values():
            for _, over in held.updates:
                if not over.done():
                    over.set_result(None)
        self._held.clear()
        self._before.clear()
        self._previous.clear()

    # -------------------------------------------------------------- batches

    async def _release_later(self, number: NumberId) -> None:
        await self._waits.during(LINGER_MS)
        self._release(number)

    def _release(self, number: NumberId) -> None:
        held = self._held.pop(number).updates
        faults = self._faults.of(number)
        size = max(1, faults.batch)
        if faults.reorder <= 1:
            for first in range(0, len(held), size):
                self._dispatch(number, held[first : first + size])
            return
        held.reverse()
        previous: list[asyncio.Future[None]] = []
        for first in range(0, len(held), size):
            parcel = held[first : first + size]
            self._chores.begin(self._carry(number, parcel, previous))
            previous = [parcel[0][1]]

    def _dispatch(
        self, number: NumberId, parcel: Sequence[tuple[Update, asyncio.Future[None]]]
    ) -> None:
        """Send a parcel off, behind the earlier messages of its people."""
        own = [over for _, over in parcel]
        after: list[asyncio.Future[None]] = []
        for update, over in parcel:
            if update.is_status:
                continue
            before = self._before.get((number, update.person))
            if before is not None and before not in own:
                after.append(before)
            self._before[number, update.person] = over
        self._chores.begin(self._carry(number, parcel, after))

    # -------------------------------------------------------------- on the road

    async def _carry(
        self,
        number: NumberId,
        parcel: Sequence[tuple[Update, asyncio.Future[None]]],
        after: Sequence[asyncio.Future[None]],
    ) -> None:
        try:
            if after:
                await asyncio.wait(after)
            if delay_ms := self._faults.of(number).delay_ms:
                await self._waits.during(delay_ms)
            if self._faults.take(number, "overtaken"):
                await self._waits.during(OVERTAKEN_MS)
            updates = [update for update, _ in parcel]
            body = envelope(self._numbers[number], updates)
            copies = 2 if self._faults.take(number, "duplicate") else 1
            lose_first = self._faults.take(number, "lose_first")
            if await self._deliver(body, updates, copies=copies, lose_first=lose_first):
                for update in updates:
                    self._on_taken(update)
                await self._again_in_other_company(number, updates)
        finally:
            for update, over in parcel:
                if not over.done():
                    over.set_result(None)
                if self._before.get((number, update.person)) is over:
                    del self._before[number, update.person]

    async def _again_in_other_company(self, number: NumberId, updates: Sequence[Update]) -> None:
        for update in updates:
            if update.is_status:
                continue
            previous = self._previous.get(number)
            self._previous[number] = update
            if self._faults.take(number, "rebatch"):
                both = [update, previous] if previous else [update]
                await self._deliver(envelope(self._numbers[number], both), both)

    async def _carry_raw(self, body: bytes) -> None:
        await self._deliver(body, ())

    async def _deliver(
        self, body: bytes, updates: Sequence[Update], *, copies: int = 1, lose_first: bool = False
    ) -> bool:
        """Post until every copy of an attempt is answered with 200; False when it was given up."""
        began_ms = self._clock.now_ms()
        rest_ms = self._retries.first_ms
        for attempt in range(self._retries.attempts_max):
            if attempt:
                await self._waits.during(rest_ms)
                rest_ms = min(rest_ms * 2, self._retries.longest_ms)
                self.posted.repeated += 1
                copies = 1
            if self._clock.now_ms() - began_ms > self._retries.age_max_ms:
                break
            if attempt == 0 and lose_first:
                continue
            if all(await asyncio.gather(*(self._post(body, updates) for _ in range(copies)))):
                self.posted.taken += 1
                return True
        self.posted.given_up += 1
        return False

    async def _post(self, body: bytes, updates: Sequence[Update]) -> bool:
        if self._witness is not None:
            self._witness.posting(updates)
        async with self._slots:
            self.posted.posts += 1
            started = time.perf_counter()
            status = await self._exchange(body)
        if self._witness is not None:
            self._witness.answered(updates, status, time.perf_counter() - started)
        return status == HTTPStatus.OK

    async def _exchange(self, body: bytes) -> int:
        """Post and answer the HTTP status, or `NO_ANSWER`."""
        assert self._session is not None, "post only while running"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": "sha256=" + hmac.new(self._app_secret, body, sha256).hexdigest(),
        }
        try:
            async with self._session.post(
                self.callback_url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return NO_ANSWER
