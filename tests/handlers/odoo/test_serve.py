"""A firm's person becomes one partner of its Odoo, by external id, whatever Odoo says in its bodies of 200."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from handlers.odoo.client import OdooClient
from handlers.odoo.serve import Odoo
from handlers.outside import Outside
from handlers.persons import MEND_REST_MS, What
from handlers.ports import Again, Dead, Done
from tests.handlers.errands import Counts
from tests.handlers.odoo.fake import DATABASE, KEY, LOGIN, FakeOdoo, Partner, page, serving
from tests.handlers.tellings import UGID, Room, a_system, serve

PHONE, EMAIL = "+56961234567", "ana@example.com"


def a_room(fake: FakeOdoo, outside: Outside, *, key: str = KEY, **options: str) -> Room:
    system = a_system("odoo", fake.url, key, **{"database": DATABASE, "login": LOGIN} | options)
    counts = Counts()
    return Room(system, Odoo(OdooClient(outside), meter=counts), counts=counts)


@pytest.fixture
async def fake() -> AsyncIterator[FakeOdoo]:
    async with serving(FakeOdoo()) as fake:
        yield fake


@pytest.fixture
async def outside(fake: FakeOdoo) -> AsyncIterator[Outside]:
    async with Outside.open(trusted=frozenset((fake.url,))) as outside:
        yield outside


@pytest.fixture
def room(fake: FakeOdoo, outside: Outside) -> Room:
    return a_room(fake, outside)


def partner(fake: FakeOdoo) -> Partner:
    """The only one."""
    [found] = fake.partners.values()
    assert fake.partner(UGID) is found
    return found


async def test_a_new_person_is_a_new_partner(room: Room, fake: FakeOdoo) -> None:
    assert await serve(room.teller) == Done()

    assert partner(fake) == Partner("Ana Rojas", PHONE, EMAIL)
    assert room.tellings.now is not None
    assert room.tellings.now.foreign_id == str(fake.external[f"__smarterbot__.{UGID}"])


@pytest.mark.parametrize(
    ("phone", "email", "name"),
    [(PHONE, EMAIL, "+56 9 6123 4567"), ("", EMAIL, EMAIL), ("", "", UGID)],
)
async def test_who_has_no_name_is_called_by_what_they_have(
    room: Room, fake: FakeOdoo, phone: str, email: str, name: str
) -> None:
    room.tellings.becomes(name="", phone=phone, email=email)
    await serve(room.teller)

    assert partner(fake).name == name


async def test_an_answer_that_got_lost_makes_no_second_one(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)  # it is logged in now
    fake.partners.clear()
    fake.external.clear()
    room.tellings.forgets()
    fake.silent = 1

    assert await serve(room.teller) == Again(5_000, "unreachable")
    assert await serve(room.teller, tries=2) == Done()
    assert partner(fake).phone == PHONE


async def test_it_logs_in_once(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    room.tellings.becomes(email="")
    await serve(room.teller)

    assert fake.calls == ["common.authenticate", "res.partner.load", "res.partner.write"]


async def test_what_the_firm_calls_them_stays(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    partner(fake).name = "Rojas Ltda."
    room.tellings.becomes(phone="+56961234500")
    await serve(room.teller)

    assert partner(fake) == Partner("Rojas Ltda.", "+56961234500", EMAIL)


async def test_what_is_no_more_theirs_is_emptied_and_the_firm_s_own_word_is_not(
    room: Room, fake: FakeOdoo
) -> None:
    room.tellings.becomes(email="")
    await serve(room.teller)
    partner(fake).email = "by-hand@example.com"
    room.tellings.becomes(phone="")
    await serve(room.teller)

    assert partner(fake) == Partner("Ana Rojas", False, "by-hand@example.com")


async def test_a_partner_that_was_deleted_there_is_made_anew(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    fake.partners.clear()
    fake.external.clear()
    room.tellings.becomes(email="")
    await serve(room.teller)

    assert partner(fake).phone == PHONE


async def test_a_partner_that_was_put_away_is_found(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    partner(fake).active = False
    room.tellings.forgets()
    await serve(room.teller)

    assert len(fake.partners) == 1


async def test_one_company_of_several(fake: FakeOdoo, outside: Outside) -> None:
    fake.companies = [1, 2]
    room = a_room(fake, outside, company="2")
    await serve(room.teller)

    assert partner(fake).company == 2


async def test_a_company_that_is_not_ours_waits_for_somebody_to_mend_it(
    fake: FakeOdoo, outside: Outside
) -> None:
    room = a_room(fake, outside, company="2")

    assert await serve(room.teller) == Again(MEND_REST_MS, "access_error")


async def test_who_left_the_firm_stays_its_partner(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    asked = len(fake.calls)
    room.tellings.becomes(what=What.REMOVED, phone="", email="")

    assert await serve(room.teller) == Done()
    assert len(fake.calls) == asked


async def test_who_is_erased_is_deleted(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    room.tellings.becomes(what=What.ERASED)

    assert await serve(room.teller) == Done()
    assert fake.partners == {}
    assert await serve(room.teller) == Done(), "and twice is as good"


async def test_whom_documents_need_loses_what_they_do_not_need(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    partner(fake).has_invoices = True
    room.tellings.becomes(what=What.ERASED)

    assert await serve(room.teller) == Done()
    assert partner(fake) == Partner("Ana Rojas", False, False, active=False, has_invoices=True)


async def test_who_is_a_user_there_cannot_be_put_away(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    partner(fake).is_user = True
    room.tellings.becomes(what=What.ERASED)

    assert await serve(room.teller) == Done()
    assert (partner(fake).phone, partner(fake).email) == (False, False)


async def test_an_erasure_of_which_nothing_is_known_finds_the_partner(
    room: Room, fake: FakeOdoo
) -> None:
    await serve(room.teller)
    room.tellings.forgets()
    room.tellings.becomes(what=What.ERASED)

    assert await serve(room.teller) == Done()
    assert fake.partners == {}


@pytest.mark.parametrize("key", ["wrong", ""])
async def test_a_wrong_key_waits_for_somebody_to_mend_it(
    fake: FakeOdoo, outside: Outside, key: str
) -> None:
    room = a_room(fake, outside, key=key)

    assert await serve(room.teller) == Again(MEND_REST_MS, "access_denied")


async def test_a_key_that_ended_is_asked_for_anew(room: Room, fake: FakeOdoo) -> None:
    await serve(room.teller)
    room.tellings.becomes(email="")
    fake.key = "another"
    assert await serve(room.teller) == Again(MEND_REST_MS, "access_denied")

    fake.key = KEY
    assert await serve(room.teller) == Done()
    assert fake.calls.count("common.authenticate") == 2


async def test_another_database_is_waited_for(fake: FakeOdoo, outside: Outside) -> None:
    room = a_room(fake, outside, database="otra")

    assert await serve(room.teller) == Again(5_000, "database")


async def test_no_right_to_write_waits_for_somebody_to_mend_it(room: Room, fake: FakeOdoo) -> None:
    fake.may_write = False

    assert await serve(room.teller) == Again(MEND_REST_MS, "access_error")


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("psycopg2.OperationalError", Again(5_000, "database")),
        ("psycopg2.errors.SerializationFailure", Again(5_000, "database")),
        ("odoo.exceptions.ValidationError", Dead("refused")),
        ("odoo.exceptions.UserError", Dead("refused")),
        ("builtins.ValueError", Dead("odoo_error")),
    ],
)
async def test_what_follows_from_a_fault_in_a_body_of_200(
    room: Room, fake: FakeOdoo, fault: str, outcome: object
) -> None:
    fake.fault = fault

    assert await serve(room.teller) == outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (page(200), Again(5_000, "unreadable")),
        (page(502), Again(5_000, "status_502")),
        (page(404), Again(MEND_REST_MS, "status_404")),
        (web.Response(status=429, headers={"Retry-After": "3"}), Again(3_000, "status_429", counts=False)),
    ],
    ids=["page", "502", "404", "429"],
)  # fmt: skip
async def test_what_stands_before_it(
    room: Room, fake: FakeOdoo, answer: web.Response, outcome: object
) -> None:
    fake.answers = [answer]

    assert await serve(room.teller) == outcome


async def test_no_fault_holds_a_word_of_odoo_s(room: Room, fake: FakeOdoo) -> None:
    """They hold addresses of servers, and what people are called."""
    fake.fault = "odoo.exceptions.ValidationError"
    outcome = await serve(room.teller)

    assert "db.internal" not in repr((outcome, room.tellings.faults, room.counts.counted))


async def test_whoever_has_lost_the_lease_changes_nothing(room: Room, fake: FakeOdoo) -> None:
    assert await serve(room.teller, is_ours=False) == Again(5_000, "lease_lost")
    assert fake.partners == {}


async def test_what_nobody_can_read_is_set_aside(room: Room) -> None:
    assert await serve(room.teller, b"{}") == Dead("unreadable")
