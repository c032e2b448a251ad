"""One person is one contact, whichever address a message carries and whichever process hears it."""

import asyncio

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from bot.lanes import StoreLostError, Wire
from bot.people.addresses import KEPT_MAX, Addresses, conversation_of
from flows.values.ids import ChannelId, ContactId
from handlers.events import Sender
from tests.bot.people.conftest import BAKERY_CHANNEL, BUTCHERY

PEPPER = bytes(range(32))
PHONE = Sender(wa_id="56961234567")
BSUID = Sender(bsuid="CL.13491208655302741918")
BOTH = Sender(wa_id=PHONE.wa_id, bsuid=BSUID.bsuid)
OTHER = Sender(bsuid="CL.2")
OTHER_BOTH = Sender(wa_id=PHONE.wa_id, bsuid=OTHER.bsuid)
SAME_PORTFOLIO = replace(BAKERY_CHANNEL, id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8d"))
OTHER_PORTFOLIO = replace(SAME_PORTFOLIO, portfolio_id="99")


def process(wire: Wire, *, kept_max: int = KEPT_MAX) -> Addresses:
    """A process of its own: it remembers nobody yet."""
    return Addresses(wire, pepper=PEPPER, shards=64, kept_max=kept_max)


async def contact(wire: Wire, sender: Sender) -> ContactId:
    """Whom a process that remembers nobody sees."""
    (person,) = await process(wire).resolve([(BAKERY_CHANNEL, sender)])
    return person.contact


@pytest.mark.parametrize("sender", [PHONE, BSUID, BOTH], ids=["phone", "bsuid", "both"])
async def test_a_person_who_writes_again_is_the_same_contact(wire: Wire, sender: Sender) -> None:
    assert await contact(wire, sender) == await contact(wire, sender)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param((PHONE, BOTH, BSUID), id="phone-first"),
        pytest.param((BSUID, BOTH, PHONE), id="bsuid-first"),
        pytest.param((BOTH, PHONE, BSUID), id="both-first"),
    ],
)
async def test_an_address_learnt_later_joins_the_known_one(
    wire: Wire, order: tuple[Sender, ...]
) -> None:
    found = [await contact(wire, sender) for sender in order]

    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "order", [(PHONE, BSUID), (BSUID, PHONE)], ids=["phone-first", "bsuid-first"]
)
async def test_two_contacts_that_prove_to_be_one_become_the_bsuid_s(
    wire: Wire, order: tuple[Sender, ...]
) -> None:
    before = {sender: await contact(wire, sender) for sender in order}

    [joined] = await process(wire).resolve([(BAKERY_CHANNEL, BOTH)])

    assert before[PHONE] != before[BSUID]
    assert (joined.contact, joined.joins) == (before[BSUID], before[PHONE])


async def test_the_phone_leads_to_the_old_contact_until_all_that_waited_there_has_gone_over(
    wire: Wire,
) -> None:
    old, new = await contact(wire, PHONE), await contact(wire, BSUID)
    addresses = process(wire)
    await addresses.resolve([(BAKERY_CHANNEL, BOTH)])
    assert await contact(wire, PHONE) == old

    await addresses.settle(BAKERY_CHANNEL, BOTH, new)

    [person] = await addresses.resolve([(BAKERY_CHANNEL, BOTH)])
    assert (person.contact, person.joins) == (new, None)
    assert await contact(wire, PHONE) == new


@pytest.mark.parametrize("wrote_before", [True, False], ids=["known", "new"])
async def test_a_phone_that_changed_hands_is_somebody_else_s(
    wire: Wire, *, wrote_before: bool
) -> None:
    """Numbers are recycled, and nobody need tell us."""
    old = await contact(wire, BOTH)
    if wrote_before:
        await contact(wire, OTHER)

    [person] = await process(wire).resolve([(BAKERY_CHANNEL, OTHER_BOTH)])

    assert person.contact != old
    assert (person.ousts, person.joins) == (old, None)
    assert await contact(wire, BSUID) == old


async def test_a_contact_who_left_is_not_found_under_their_addresses(wire: Wire) -> None:
    old = await contact(wire, BOTH)
    addresses = process(wire)

    await addresses.close(BAKERY_CHANNEL, BOTH, old)

    assert await addresses.find(BAKERY_CHANNEL, BOTH) is None
    [new] = await addresses.resolve([(BAKERY_CHANNEL, OTHER_BOTH)])
    assert new.contact != old
    assert new.ousts is None


async def test_addresses_that_somebody_else_has_by_now_are_not_closed(wire: Wire) -> None:
    old, new = await contact(wire, BSUID), await contact(wire, PHONE)

    await process(wire).close(BAKERY_CHANNEL, BOTH, old)

    assert await contact(wire, PHONE) == new


async def test_nobody_is_made_up_by_looking(wire: Wire) -> None:
    assert await process(wire).find(BAKERY_CHANNEL, BOTH) is None


async def test_somebody_is_found_by_either_address(wire: Wire) -> None:
    known = await contact(wire, BOTH)

    found = [await process(wire).find(BAKERY_CHANNEL, sender) for sender in (PHONE, BSUID)]

    assert [person and person.contact for person in found] == [known, known]


async def test_a_phone_that_another_bsuid_came_with_does_not_name_the_person(wire: Wire) -> None:
    await contact(wire, BOTH)

    assert await process(wire).find(BAKERY_CHANNEL, OTHER_BOTH) is None


async def test_a_parent_id_does_not_make_somebody_else_of_a_person(wire: Wire) -> None:
    here = await contact(wire, BOTH)

    by_parent = Sender(wa_id=PHONE.wa_id, bsuid="CL.ENT.7f")
    [person] = await process(wire).resolve([(BAKERY_CHANNEL, by_parent)])

    assert (person.contact, person.ousts) == (here, None)
    assert await contact(wire, BOTH) == here


async def test_the_same_person_in_another_portfolio_is_the_same_contact(wire: Wire) -> None:
    here = await contact(wire, BOTH)

    [there] = await process(wire).resolve([(OTHER_PORTFOLIO, OTHER_BOTH)])

    assert there.contact == here


async def test_tenants_do_not_share_contacts(wire: Wire) -> None:
    other = replace(BAKERY_CHANNEL, tenant=BUTCHERY.id)

    ours, theirs = await process(wire).resolve([(BAKERY_CHANNEL, BOTH), (other, BOTH)])

    assert ours.contact != theirs.contact


async def test_a_bsuid_means_somebody_in_its_own_portfolio_only(wire: Wire) -> None:
    here, there = await process(wire).resolve([(BAKERY_CHANNEL, BSUID), (OTHER_PORTFOLIO, BSUID)])

    assert here.contact != there.contact


async def test_a_person_has_one_conversation_for_each_channel(wire: Wire) -> None:
    here, there = await process(wire).resolve([(BAKERY_CHANNEL, BSUID), (SAME_PORTFOLIO, BSUID)])

    assert here.contact == there.contact
    assert here.conversation != there.conversation
    assert here.conversation == conversation_of(BAKERY_CHANNEL.id, here.contact)


def test_a_conversation_is_named_by_channel_and_contact_alone() -> None:
    someone = ContactId("00000000-0000-4000-8000-000000000001")

    assert conversation_of(BAKERY_CHANNEL.id, someone) == "e3f2cab1-a4cd-5a34-88e1-e0461a1ac148"


async def test_processes_that_hear_a_new_person_at_once_agree(wire: Wire) -> None:
    found = await asyncio.gather(*(contact(wire, BOTH) for _ in range(20)))

    assert len(set(found)) == 1


async def test_a_thousand_messages_of_one_webhook_are_answered_in_order(wire: Wire) -> None:
    senders = [(BAKERY_CHANNEL, Sender(wa_id=str(56961000000 + n % 400))) for n in range(1000)]

    people = await process(wire).resolve(senders)

    assert len({person.contact for person in people}) == 400
    assert [person.contact for person in people[:200]] == [
        person.contact for person in people[400:600]
    ]


async def test_a_person_who_wrote_lately_costs_no_round_trip(clean_valkey: str) -> None:
    wire = await Wire.open(clean_valkey)
    addresses = process(wire)
    first = await addresses.resolve([(BAKERY_CHANNEL, BOTH)])
    await wire.close()

    assert await addresses.resolve([(BAKERY_CHANNEL, BOTH)] * 2) == first * 2


async def test_a_process_remembers_a_bounded_number_of_senders(wire: Wire) -> None:
    addresses = process(wire, kept_max=10)

    await addresses.resolve([(BAKERY_CHANNEL, Sender(wa_id=str(n))) for n in range(100)])

    assert len(addresses._kept) == 10


async def test_without_the_store_nobody_new_is_made_up(clean_valkey: str) -> None:
    wire = await Wire.open(clean_valkey)
    await wire.close()

    with pytest.raises(StoreLostError):
        await process(wire).resolve([(BAKERY_CHANNEL, PHONE)])


async def test_the_store_holds_no_address_in_clear(wire: Wire, clean_valkey: str) -> None:
    await contact(wire, BOTH)

    async with Redis.from_url(clean_valkey) as store:
        keys = await store.keys("*alias*")
        found = [await store.hgetall(key) for key in keys]
    assert sum(map(len, found)) == 2
    assert "5696123" not in repr((keys, found))
    assert "CL." not in repr((keys, found))
    assert all(repr(key).startswith("b'smarterbot:alias:{") for key in keys)


async def test_another_pepper_finds_nobody(wire: Wire) -> None:
    known = await contact(wire, PHONE)

    (other,) = await Addresses(wire, pepper=bytes(32), shards=64).resolve([(BAKERY_CHANNEL, PHONE)])

    assert other.contact != known
