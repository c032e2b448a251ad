"""A firm's person becomes one contact of its Chatwoot, whatever else is there, and however often it is told."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from handlers.chatwoot.client import ChatwootClient
from handlers.chatwoot.serve import Chatwoot
from handlers.outside import Outside
from handlers.persons import MEND_REST_MS, What
from handlers.ports import Again, Dead, Done
from tests.handlers.chatwoot.fake import (
    ACCOUNT,
    BOT_TOKEN,
    TOKEN,
    Contact,
    FakeChatwoot,
    serving,
)
from tests.handlers.errands import Counts
from tests.handlers.tellings import UGID, Room, a_system, serve

PHONE, EMAIL = "+56961234567", "ana@example.com"
OTHER = "11111111-1111-4111-8111-111111111111"


def a_room(fake: FakeChatwoot, outside: Outside, *, token: str = TOKEN) -> Room:
    system = a_system("chatwoot", fake.url, token, account=str(ACCOUNT))
    counts = Counts()
    return Room(system, Chatwoot(ChatwootClient(outside), meter=counts), counts=counts)


@pytest.fixture
async def fake() -> AsyncIterator[FakeChatwoot]:
    async with serving(FakeChatwoot()) as fake:
        yield fake


@pytest.fixture
async def outside(fake: FakeChatwoot) -> AsyncIterator[Outside]:
    async with Outside.open(trusted=frozenset((fake.url,))) as outside:
        yield outside


@pytest.fixture
def room(fake: FakeChatwoot, outside: Outside) -> Room:
    return a_room(fake, outside)


def the_only(fake: FakeChatwoot) -> Contact:
    [contact] = fake.contacts.values()
    return contact


async def test_a_new_person_is_a_new_contact(room: Room, fake: FakeChatwoot) -> None:
    assert await serve(room.teller) == Done()

    contact = the_only(fake)
    assert contact == Contact(contact.id, "Ana Rojas", UGID, PHONE, EMAIL)
    assert room.tellings.now is not None
    assert room.tellings.now.foreign_id == str(contact.id)
    assert room.tellings.now.fields == {"phone", "email"}


async def test_told_twice_it_is_one(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    room.tellings.forgets()
    await serve(room.teller)

    assert the_only(fake).phone_number == PHONE


async def test_an_answer_that_got_lost_makes_no_second_one(room: Room, fake: FakeChatwoot) -> None:
    fake.lost = ["POST "]
    assert await serve(room.teller) == Again(5_000, "unreachable")
    assert await serve(room.teller) == Done()

    assert the_only(fake).phone_number == PHONE
    assert fake.asked == ["POST /filter", "POST ", "POST /filter", "PUT /"]


async def test_the_name_that_an_agent_gives_them_stays(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    the_only(fake).name = "Ana, la de la esquina"
    room.tellings.becomes(email="ana@other.example")
    await serve(room.teller)

    contact = the_only(fake)
    assert (contact.name, contact.email) == ("Ana, la de la esquina", "ana@other.example")


async def test_what_is_no_more_theirs_is_emptied(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    room.tellings.becomes(phone="", email="")
    await serve(room.teller)

    assert (the_only(fake).phone_number, the_only(fake).email) == (None, None)


async def test_what_an_agent_wrote_is_not_emptied(room: Room, fake: FakeChatwoot) -> None:
    room.tellings.becomes(email="")
    await serve(room.teller)
    the_only(fake).email = "by-hand@example.com"
    room.tellings.becomes(role="agent")
    await serve(room.teller)

    assert the_only(fake).email == "by-hand@example.com"


async def test_a_contact_that_has_the_phone_already_is_the_person(
    room: Room, fake: FakeChatwoot
) -> None:
    theirs = fake.add(name="Cliente mostrador", phone_number=PHONE)

    assert await serve(room.teller) == Done()
    assert the_only(fake) == Contact(theirs.id, "Cliente mostrador", UGID, PHONE, EMAIL)


async def test_a_phone_that_is_still_another_person_s_is_waited_for(
    room: Room, fake: FakeChatwoot
) -> None:
    before = fake.add(phone_number=PHONE, identifier=OTHER)

    assert await serve(room.teller) == Again(5_000, "phone_taken")
    assert fake.of(UGID) == []

    before.phone_number = None  # they were told, in their own lane
    assert await serve(room.teller) == Done()
    assert fake.of(UGID)[0].phone_number == PHONE


async def test_two_contacts_that_are_one_person_are_an_agent_s_to_merge(
    room: Room, fake: FakeChatwoot
) -> None:
    room.tellings.becomes(phone="")
    await serve(room.teller)
    fake.add(name="Cliente mostrador", phone_number=PHONE)
    room.tellings.becomes(phone=PHONE)

    assert await serve(room.teller) == Again(MEND_REST_MS, "phone_taken")


async def test_an_e_mail_that_another_contact_has_is_left_out(
    room: Room, fake: FakeChatwoot
) -> None:
    fake.add(name="Su marido", email=EMAIL)

    assert await serve(room.teller) == Done()
    [contact] = fake.of(UGID)
    assert (contact.phone_number, contact.email) == (PHONE, None)
    assert room.counts.counted["tell_chatwoot", "without_email"] == 1


async def test_both_of_somebody_else_s(room: Room, fake: FakeChatwoot) -> None:
    fake.add(name="Su marido", email=EMAIL)
    theirs = fake.add(phone_number=PHONE)

    assert await serve(room.teller) == Done()
    assert [each.id for each in fake.of(UGID)] == [theirs.id]


async def test_a_phone_that_it_does_not_take_is_given_up(room: Room, fake: FakeChatwoot) -> None:
    room.tellings.becomes(phone="+0")

    assert await serve(room.teller) == Dead("phone_refused")


async def test_who_left_the_firm_stays_its_contact(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    asked = len(fake.asked)
    room.tellings.becomes(what=What.REMOVED, phone="", email="")

    assert await serve(room.teller) == Done()
    assert len(fake.asked) == asked


async def test_who_is_erased_is_gone(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    room.tellings.becomes(what=What.ERASED)

    assert await serve(room.teller) == Done()
    assert fake.contacts == {}
    assert await serve(room.teller) == Done(), "and twice is as good"


async def test_an_erasure_whose_answer_got_lost(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    room.tellings.becomes(what=What.ERASED)
    room.tellings.forgets()
    fake.lost = ["DELETE /"]

    # On a connection that was used before the HTTP client has tried again by itself.
    first, second = [await serve(room.teller) for _ in range(2)]
    assert first in (Again(5_000, "unreachable"), Done())
    assert second == Done()
    assert fake.contacts == {}


async def test_who_is_online_is_erased_later(room: Room, fake: FakeChatwoot) -> None:
    await serve(room.teller)
    fake.online = set(fake.contacts)
    room.tellings.becomes(what=What.ERASED)
    assert await serve(room.teller) == Again(5_000, "online")

    fake.online = set()
    assert await serve(room.teller, tries=2) == Done()
    assert fake.contacts == {}


@pytest.mark.parametrize("token", [BOT_TOKEN, "wrong", ""])
async def test_a_token_that_may_not_waits_for_somebody_to_mend_it(
    fake: FakeChatwoot, outside: Outside, token: str
) -> None:
    room = a_room(fake, outside, token=token)

    assert await serve(room.teller) == Again(MEND_REST_MS, "status_401")


async def test_its_limit_is_kept(room: Room, fake: FakeChatwoot) -> None:
    fake.answers = [web.Response(status=429, text="Retry later\n", headers={"Retry-After": "41"})]

    assert await serve(room.teller) == Again(41_000, "status_429", counts=False)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_an_outage_is_waited_for(room: Room, fake: FakeChatwoot, status: int) -> None:
    fake.answers = [web.Response(status=status, text="<html>", content_type="text/html")]

    assert await serve(room.teller) == Again(5_000, f"status_{status}")


async def test_a_page_is_no_answer(room: Room, fake: FakeChatwoot) -> None:
    fake.answers = [web.Response(text="<html>mantenimiento", content_type="text/html")]

    assert await serve(room.teller) == Again(5_000, "unreadable")


async def test_an_endless_answer_is_not_read(room: Room, fake: FakeChatwoot) -> None:
    fake.answers = [web.Response(body=b" " * (2 * 1024 * 1024))]

    assert await serve(room.teller) == Again(5_000, "answer_too_large")


async def test_whoever_has_lost_the_lease_changes_nothing(room: Room, fake: FakeChatwoot) -> None:
    assert await serve(room.teller, is_ours=False) == Again(5_000, "lease_lost")
    assert fake.contacts == {}


async def test_what_nobody_can_read_is_set_aside(room: Room) -> None:
    assert await serve(room.teller, b"[]") == Dead("unreadable")
