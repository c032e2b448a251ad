"""n8n is told by a signed post, the same one however often it is posted; what it answers decides what follows."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from handlers.n8n.client import N8nClient
from handlers.n8n.serve import N8n
from handlers.outside import Outside
from handlers.persons import AT_ONCE_MAX, BUSY_REST_MS, MEND_REST_MS, TRIES_MAX, What
from handlers.ports import Again, Dead, Done
from tests.handlers.errands import Counts, Watch
from tests.handlers.n8n.fake import SECRET, FakeN8n, serving
from tests.handlers.tellings import UGID, Room, a_system, serve


def a_room(
    fake: FakeN8n,
    outside: Outside,
    *,
    address: str = "",
    secret: str = SECRET,
    watch: Watch | None = None,
) -> Room:
    system = a_system("n8n", address or fake.url, secret)
    return Room(system, N8n(N8nClient(outside, clock=watch or Watch())), counts=Counts())


@pytest.fixture
async def fake() -> AsyncIterator[FakeN8n]:
    async with serving(FakeN8n()) as fake:
        yield fake


@pytest.fixture
async def outside(fake: FakeN8n) -> AsyncIterator[Outside]:
    async with Outside.open(trusted=frozenset((fake.url,))) as outside:
        yield outside


@pytest.fixture
def room(fake: FakeN8n, outside: Outside) -> Room:
    return a_room(fake, outside)


async def test_a_new_person(room: Room, fake: FakeN8n) -> None:
    assert await serve(room.teller) == Done()

    assert fake.events == [
        {
            "type": "person.created",
            "timestamp": "2026-11-28T12:00:00.123Z",
            "data": {
                "ugid": UGID,
                "version": 1,
                "role": "customer",
                "since": "2026-11-27T09:30:00.000Z",
                "phone": "+56961234567",
                "email": "ana@example.com",
            },
        }
    ]


async def test_a_change_of_them(room: Room, fake: FakeN8n) -> None:
    await serve(room.teller)
    room.tellings.becomes(email="", role="agent")
    await serve(room.teller)

    assert fake.events[1]["type"] == "person.updated"
    data = fake.events[1]["data"]
    assert (data["version"], data["role"], data["email"]) == (2, "agent", None)


@pytest.mark.parametrize(
    ("what", "type"), [(What.REMOVED, "person.removed"), (What.ERASED, "person.erased")]
)
async def test_of_who_is_gone_nothing_is_told_but_that(
    room: Room, fake: FakeN8n, what: What, type: str
) -> None:
    room.tellings.becomes(what=what)
    await serve(room.teller)

    [event] = fake.events
    assert event["type"] == type
    assert event["data"] == {"ugid": UGID, "version": 2}


async def test_what_is_posted_again_has_the_same_id_and_is_signed_anew(
    fake: FakeN8n, outside: Outside
) -> None:
    watch = Watch()
    room = a_room(fake, outside, watch=watch)
    fake.silent = 1
    assert await serve(room.teller) == Again(5_000, "unreachable")

    watch.ms += 600_000
    fake.now_s = watch.s
    assert await serve(room.teller, tries=2) == Done()

    assert len(fake.posts) == 2
    assert len(fake.events) == len(set(fake.posts)) == 1


async def test_two_tellings_have_two_ids(room: Room, fake: FakeN8n) -> None:
    await serve(room.teller)
    room.tellings.becomes()
    await serve(room.teller)

    assert len(set(fake.posts)) == 2


async def test_while_the_secret_is_replaced_both_are_good(fake: FakeN8n, outside: Outside) -> None:
    newer = SECRET[:-4] + "AAA="
    room = a_room(fake, outside, secret=f"{newer}|{SECRET}")

    assert await serve(room.teller) == Done()
    fake.secret = newer
    assert await serve(room.teller) == Done()


async def test_another_secret_waits_for_somebody_to_mend_it(room: Room, fake: FakeN8n) -> None:
    fake.secret = SECRET[:-4] + "AAA="

    for _ in range(2):
        assert await serve(room.teller) == Again(MEND_REST_MS, "status_401")
    assert room.alarm.open == {("system_refuses", "n8n status_401")}
    assert fake.events == []


async def test_a_secret_that_does_not_open_is_no_signature(fake: FakeN8n, outside: Outside) -> None:
    room = a_room(fake, outside, secret="")

    assert await serve(room.teller) == Again(MEND_REST_MS, "secret")
    assert fake.posts == []


async def test_an_alert_that_cannot_be_raised_is_raised_at_the_next_try(
    room: Room, fake: FakeN8n
) -> None:
    fake.answers = [web.Response(status=410), web.Response(status=410)]
    room.alarm.down = True
    assert await serve(room.teller) == Again(5_000, "records_down", counts=False)
    assert not room.tellings.stopped

    room.alarm.down = False
    assert await serve(room.teller) == Done()
    assert room.tellings.stopped


async def test_410_stops_everything(room: Room, fake: FakeN8n) -> None:
    fake.answers = [web.Response(status=410)]

    assert await serve(room.teller) == Done()
    assert room.tellings.stopped
    assert room.tellings.faults == [("gone", True)]
    assert room.alarm.open == {("system_stopped", "n8n gone")}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_it_does_not_understand_is_given_up(
    room: Room, fake: FakeN8n, status: int
) -> None:
    fake.answers = [web.Response(status=status)]

    assert await serve(room.teller) == Dead(f"status_{status}")
    assert room.tellings.faults == [(f"status_{status}", True)]


async def test_a_workflow_that_is_not_active_may_be_activated(room: Room, fake: FakeN8n) -> None:
    fake.is_active = False
    assert await serve(room.teller) == Again(MEND_REST_MS, "status_404")

    fake.is_active = True
    assert await serve(room.teller, tries=2) == Done()


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_an_outage_is_waited_for_longer_and_longer(
    room: Room, fake: FakeN8n, status: int
) -> None:
    for tries, wait_ms in ((1, 5_000), (2, 20_000), (6, 5_120_000), (7, 14_400_000)):
        fake.answers = [web.Response(status=status)]
        assert await serve(room.teller, tries=tries) == Again(wait_ms, f"status_{status}")

    assert not any(for_good for _, for_good in room.tellings.faults)


async def test_not_for_ever(room: Room, fake: FakeN8n) -> None:
    fake.answers = [web.Response(status=503)]

    assert await serve(room.teller, tries=TRIES_MAX) == Dead("status_503")
    assert room.tellings.faults == [("status_503", True)]


async def test_a_limit_of_theirs_is_kept_and_is_no_fault(room: Room, fake: FakeN8n) -> None:
    for header, wait_ms in (("7", 7_000), ("", 30_000), ("-1", 30_000), ("999999", 3_600_000)):
        fake.answers = [web.Response(status=429, headers={"Retry-After": header})]
        assert await serve(room.teller, tries=TRIES_MAX) == Again(
            wait_ms, "status_429", counts=False
        )


async def test_our_own_limit_comes_first(room: Room, fake: FakeN8n) -> None:
    room.bucket.wait_ms = 70

    assert await serve(room.teller) == Again(70, "limit", counts=False)
    assert fake.posts == []


async def test_it_does_not_follow_where_it_is_sent(room: Room, fake: FakeN8n) -> None:
    fake.answers = [web.Response(status=308, headers={"Location": "https://else.example/"})]

    assert await serve(room.teller) == Again(MEND_REST_MS, "redirect")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://n8n.example/webhook/x", "no_https"),
        ("https://127.0.0.1/webhook/x", "address_as_host"),
        ("https://localhost/webhook/x", "inside_address"),
        ("https://n8n.example:8443/webhook/x", "other_port"),
    ],
)
async def test_an_address_of_our_own_network_is_not_gone_to(
    fake: FakeN8n, outside: Outside, address: str, why: str
) -> None:
    room = a_room(fake, outside, address=address)

    assert await serve(room.teller) == Again(MEND_REST_MS, why)


async def test_whoever_has_lost_the_lease_posts_nothing(room: Room, fake: FakeN8n) -> None:
    assert await serve(room.teller, is_ours=False) == Again(5_000, "lease_lost")
    assert fake.posts == []


async def test_a_system_that_hangs_is_asked_four_times_at_once_and_no_more(
    room: Room, fake: FakeN8n
) -> None:
    fake.gate.clear()
    tasks = [asyncio.create_task(serve(room.teller)) for _ in range(AT_ONCE_MAX + 2)]
    while fake.waiting < AT_ONCE_MAX:  # noqa: ASYNC110  it is another server
        await asyncio.sleep(0.001)
    busy = Again(BUSY_REST_MS, "busy", counts=False)
    assert [await task for task in tasks[AT_ONCE_MAX:]] == [busy, busy]

    fake.gate.set()
    assert [await task for task in tasks[:AT_ONCE_MAX]] == [Done()] * AT_ONCE_MAX
    assert await serve(room.teller) == Done()


async def test_nothing_to_tell(room: Room, fake: FakeN8n) -> None:
    room.tellings.now = None

    assert await serve(room.teller) == Done()
    assert fake.posts == []


async def test_while_the_records_are_away_nothing_is_given_up(room: Room, fake: FakeN8n) -> None:
    room.tellings.down = True
    assert await serve(room.teller, tries=40) == Again(5_000, "records_down", counts=False)

    room.tellings.down, room.tellings.down_after = False, True
    assert await serve(room.teller, tries=40) == Again(5_000, "records_down", counts=False)
    room.tellings.down_after = False
    assert await serve(room.teller, tries=40) == Done()
    assert len(fake.events) == 1


async def test_what_nobody_can_read_is_set_aside(room: Room) -> None:
    assert await serve(room.teller, b"{}") == Dead("unreadable")


async def test_what_is_counted_is_a_word(room: Room, fake: FakeN8n) -> None:
    await serve(room.teller)
    fake.answers = [web.Response(status=503)]
    await serve(room.teller)

    assert room.counts.counted == {("tell_n8n", "person"): 1, ("tell_n8n", "status_503"): 1}
