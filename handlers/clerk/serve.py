"""Serves the lanes `clerk/<…>`: what Clerk told becomes people; our id of a person goes back to Clerk.

What was told of one user lies in one lane, so it is taken in the order in which it came; what is to be written back lies
in another one, so Clerk's API being down does not keep us from hearing that somebody was deleted.
"""

from collections.abc import Callable
from typing import Final, assert_never

import msgspec
import structlog
from msgspec import Struct

from flows.values.ids import Ugid
from handlers.clerk.client import Answer, BusyError, ClerkApi
from handlers.clerk.codec import UserGone, UserSeen
from handlers.clerk.people import ClerkPeople, PeopleDownError
from handlers.clerk.webhook import KIND
from handlers.ports import Again, Dead, Done, Errands, Item, Limits, Meter, Outcome

BACKOFF_MS: Final = 1_000
BACKOFF_MS_MAX: Final = 300_000
KEY_REST_MS: Final = 300_000
PER_S: Final = 10  # Clerk: 100 in 10 s of a development instance
BURST: Final = 50

log = structlog.get_logger()


class WriteBack(Struct, frozen=True, tag="write_back"):
    """Write our id of a person into Clerk's user."""

    id: str
    ugid: Ugid


_decode: Final = msgspec.json.Decoder(UserSeen | UserGone | WriteBack).decode
_encode: Final = msgspec.json.Encoder().encode


class Clerk:
    """The handler of kind `clerk`."""

    def __init__(
        self,
        people: ClerkPeople,
        api: ClerkApi | None,
        *,
        errands: Errands,
        limits: Limits,
        meter: Meter,
        jitter: Callable[[], float],
    ) -> None:
        """
        Args:
            api: None without a secret key: then nothing is written back.
            jitter: evenly spread in [0, 1).
        """
        self._people = people
        self._api = api
        self._errands = errands
        self._limits = limits
        self._meter = meter
        self._jitter = jitter

    @property
    def kind(self) -> str:
        return KIND

    async def serve(self, item: Item) -> Outcome:
        try:
            action = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        try:
            match action:
                case UserSeen():
                    return await self._seen(action, item)
                case UserGone():
                    await self._people.gone(action)
                    self._meter.count("clerk_user", "gone")
                    return Done()
                case WriteBack():
                    return await self._write_back(action, item)
                case _:
                    assert_never(action)
        except PeopleDownError:
            # A deletion must not be lost because PostgreSQL was away for a day.
            return Again(self._backoff(item.tries), "people_down", counts=False)

    async def _seen(self, user: UserSeen, item: Item) -> Outcome:
        ugid = await self._people.seen(user)
        self._meter.count("clerk_user", "stale" if ugid is None else "seen")
        if ugid is None or self._api is None or user.external_id == ugid:
            return Done()
        if user.external_id:
            # Somebody keeps an id of their own there, and it is not ours to overwrite.
            self._meter.count("clerk_external_id", "of_another")
            log.warning("clerk.external_id_of_another", ugid=ugid)
            return Done()
        await self._errands.put(
            KIND, f"{user.id}|external_id", _encode(WriteBack(user.id, ugid)), mark=item.id
        )
        return Done()

    async def _write_back(self, action: WriteBack, item: Item) -> Outcome:
        if self._api is None:
            return Dead("no_secret_key")
        if wait := await self._limits.take(KIND, per_s=PER_S, burst=BURST):
            return Again(wait, "limit", counts=False)
        try:
            answer = await self._api.set_external_id(action.id, action.ugid)
        except BusyError as busy:
            self._meter.count("clerk_external_id", busy.why)
            wait_ms = max(busy.after_s * 1000, self._backoff(item.tries))
            return Again(wait_ms, busy.why, counts=busy.why != "too_many_requests")
        self._meter.count("clerk_external_id", answer.value)
        match answer:
            case Answer.DONE | Answer.GONE:
                return Done()
            case Answer.TAKEN:
                # Two of Clerk's users are one person (the same phone); the first one has the id.
                log.warning("clerk.external_id_taken", ugid=action.ugid)
                return Done()
            case Answer.KEY:
                log.error("clerk.secret_key_refused", item=item.id)
                return Again(KEY_REST_MS, "secret_key", counts=False)
            case Answer.REFUSED:
                return Dead("clerk_refused")
            case _:
                assert_never(answer)

    def _backoff(self, tries: int) -> int:
        wait_ms = min(BACKOFF_MS << min(max(tries - 1, 0), 20), BACKOFF_MS_MAX)
        return wait_ms + int(wait_ms * 0.25 * self._jitter())
