"""What Clerk told is carried out in its order; our id goes back to Clerk, whatever Clerk answers."""

import msgspec
import pytest

from flows.values.ids import ConversationId, ItemId, Ugid
from handlers.clerk.client import ClerkApi
from handlers.clerk.codec import UserGone, UserSeen
from handlers.clerk.people import PeopleDownError
from handlers.clerk.serve import BURST, Clerk, WriteBack
from handlers.outside import Outside
from handlers.ports import Again, Before, Dead, Done, Item
from tests.handlers.clerk.fake import SECRET_KEY, FakeClerk, User
from tests.handlers.errands import Bucket, Counts, Errands

UGID = Ugid("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")
SEEN = UserSeen(id="user_1", at=1)


class People:
    """As `bot.identity.clerk` behaves, of users without addresses."""

    def __init__(self) -> None:
        self.deleted: set[str] = set()
        self.down = False

    async def seen(self, user: UserSeen) -> Ugid | None:
        if self.down:
            raise PeopleDownError
        return None if user.id in self.deleted else UGID

    async def gone(self, user: UserGone) -> None:
        if self.down:
            raise PeopleDownError
        self.deleted.add(user.id)


class Room:
    """The handler and what it is given."""

    def __init__(self, fake: FakeClerk, outside: Outside, *, secret_key: str = SECRET_KEY) -> None:
        self.people = People()
        self.errands = Errands()
        self.bucket = Bucket()
        self.counts = Counts()
        self.clerk = Clerk(
            self.people,
            ClerkApi(outside, base_url=fake.url, secret_key=secret_key),
            errands=self.errands,
            limits=self.bucket,
            meter=self.counts,
            jitter=lambda: 0.0,
        )

    async def serve(
        self, action: UserSeen | UserGone | WriteBack | bytes, *, tries: int = 1
    ) -> object:
        body = action if isinstance(action, bytes) else msgspec.json.encode(action)
        return await self.clerk.serve(
            Item(
                id=ItemId("clerk/x:1-0"),
                conversation=ConversationId("x"),
                body=body,
                tries=tries,
                before=Before.CLEAN,
                proof=None,
                is_ours=lambda: True,
            )
        )


@pytest.fixture
def room(fake: FakeClerk, outside: Outside) -> Room:
    fake.users["user_1"] = User("user_1", 1)
    return Room(fake, outside)


async def test_a_person_s_id_is_sent_back_in_a_lane_of_its_own(room: Room) -> None:
    assert await room.serve(SEEN) == Done()
    assert await room.serve(SEEN) == Done()

    [(kind, about, body)] = room.errands.items
    assert (kind, about) == ("clerk", "user_1|external_id")
    assert msgspec.json.decode(body, type=WriteBack) == WriteBack("user_1", UGID)


async def test_an_id_that_is_there_is_not_sent_again(room: Room) -> None:
    await room.serve(UserSeen(id="user_1", at=1, external_id=UGID))

    assert room.errands.items == []


async def test_somebody_else_s_external_id_is_not_overwritten(room: Room) -> None:
    await room.serve(UserSeen(id="user_1", at=1, external_id="cliente-7"))

    assert room.errands.items == []
    assert room.counts.counted["clerk_external_id", "of_another"] == 1


async def test_a_stale_word_sends_nothing_back(room: Room) -> None:
    assert await room.serve(UserGone("user_1")) == Done()
    assert await room.serve(SEEN) == Done()

    assert room.errands.items == []


async def test_while_people_are_away_nothing_is_given_up(room: Room) -> None:
    room.people.down = True

    assert await room.serve(UserGone("user_1"), tries=40) == Again(
        300_000, "people_down", counts=False
    )
    assert await room.serve(SEEN) == Again(1_000, "people_down", counts=False)


async def test_the_id_is_written_and_twice_is_once(room: Room, fake: FakeClerk) -> None:
    assert await room.serve(WriteBack("user_1", UGID)) == Done()
    assert await room.serve(WriteBack("user_1", UGID)) == Done()

    assert fake.users["user_1"].external_id == UGID


async def test_a_user_who_is_gone_needs_no_id(room: Room) -> None:
    assert await room.serve(WriteBack("user_2", UGID)) == Done()
    assert room.counts.counted["clerk_external_id", "gone"] == 1


async def test_an_id_that_another_user_has_stays_there(room: Room, fake: FakeClerk) -> None:
    fake.users["user_2"] = User("user_2", 1, external_id=UGID)

    assert await room.serve(WriteBack("user_1", UGID)) == Done()
    assert fake.users["user_1"].external_id is None
    assert room.counts.counted["clerk_external_id", "taken"] == 1


async def test_a_limit_of_clerk_s_is_kept(room: Room, fake: FakeClerk) -> None:
    fake.limit = 1

    assert await room.serve(WriteBack("user_1", UGID)) == Again(
        2_000, "too_many_requests", counts=False
    )
    assert await room.serve(WriteBack("user_1", UGID)) == Done()


async def test_our_own_limit_comes_first(room: Room, fake: FakeClerk) -> None:
    room.bucket.wait_ms = 70

    assert await room.serve(WriteBack("user_1", UGID)) == Again(70, "limit", counts=False)
    assert fake.asked == []
    assert BURST < 100, "of a development instance"


async def test_an_outage_is_waited_for(room: Room, fake: FakeClerk) -> None:
    fake.down = True

    assert await room.serve(WriteBack("user_1", UGID)) == Again(10_000, "status_503")
    assert await room.serve(WriteBack("user_1", UGID), tries=9) == Again(256_000, "status_503")


async def test_a_wrong_secret_key_waits_for_the_operator(fake: FakeClerk, outside: Outside) -> None:
    fake.users["user_1"] = User("user_1", 1)
    room = Room(fake, outside, secret_key="sk_test_old")

    assert await room.serve(WriteBack("user_1", UGID)) == Again(300_000, "secret_key", counts=False)


async def test_what_nobody_can_read_is_set_aside(room: Room) -> None:
    assert await room.serve(b"{}") == Dead("unreadable")
