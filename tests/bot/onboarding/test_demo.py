"""A code names one firm, is nothing that can be guessed, and opens what its owner lets be shown."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from bot.clock import Clock
from bot.engine.limits import Limits
from bot.lanes import Wire
from bot.metrics import Metrics
from bot.onboarding.demo import ANOTHER_S, TRIES, DemoCodes, Demos, link_to_demo
from bot.people.channels import Mark, add_channel, mark_channel
from bot.people.directory import Directory, publish_directory
from bot.people.tenants import add_tenant, change_settings
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.calls.demo import Demo, FindDemo
from flows.dialog.calls import decode, encode
from flows.dialog.ctx import Firm
from flows.values.demo_code import find_demo_code, is_code
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, TenantId
from flows.values.rut import Rut
from handlers.actions import Ask
from handlers.events import Answered
from handlers.ports import Before, Dead, Done, Item, Outcome
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BAKERY_RUT, BUTCHERY, BUTCHERY_RUT
from tests.flows.product import product_texts

HOME = replace(
    BAKERY_CHANNEL,
    id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8d"),
    tenant=BUTCHERY.id,
    phone_number_id="2",
    display_phone="+56 2 2345 6700",
    platform=True,
)
SHOW = replace(
    HOME,
    id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8e"),
    phone_number_id="3",
    display_phone="+56 2 2345 6701",
    platform=False,
    demo=True,
)
CHATS = "https://wa.me"


@dataclass
class House:
    demos: Demos
    directory: Directory
    database: Database
    wire: Wire
    box: SecretBox
    clock: Clock

    async def publish(self) -> None:
        await publish_directory(self.database, self.wire, self.box)
        await self.directory.check()

    async def asks(self, code: str, *, who: str = "c1", call: str = "FindDemo") -> Outcome:
        ask = Ask(
            tenant=SHOW.tenant,
            channel=SHOW.id,
            contact=ContactId("p1"),
            conversation=ConversationId(who),
            seq=7,
            call=call,
            args=encode(FindDemo(code)),
        )
        item = Item(
            id=ItemId(f"demo/{who}:1-0"),
            conversation=ConversationId(who),
            body=msgspec.json.encode(ask),
            tries=1,
            before=Before.CLEAN,
            proof=None,
            is_ours=lambda: True,
        )
        return await self.demos.serve(item)

    async def finds(self, code: str, *, who: str = "c1") -> Demo | None:
        outcome = await self.asks(code, who=who)
        assert isinstance(outcome, Done)
        assert isinstance(outcome.event, Answered)
        assert outcome.event.result.failed is None
        found: Demo | None = decode(outcome.event.result.value, FindDemo.gives())
        return found


@pytest.fixture
async def house(database: Database, clean_valkey: str) -> AsyncIterator[House]:
    """The bakery, and the butchery that plays SmarterOS here."""
    box = SecretBox((Key(id="k1", secret=bytes(range(32))),))
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_tenant(database, BUTCHERY, rut=BUTCHERY_RUT)
    for channel in (BAKERY_CHANNEL, HOME, SHOW):
        await add_channel(database, box, channel, token="")
    wire = await Wire.open(clean_valkey)
    directory = Directory(database, wire, box)
    await directory.load()
    clock = Clock()
    demos = Demos(
        directory,
        Limits(wire, clock=clock),
        texts=product_texts(),
        chat_url=CHATS,
        metrics=Metrics(),
    )
    yield House(demos, directory, database, wire, box, clock)
    await wire.close()


def code_in(link: str) -> str:
    [message] = parse_qs(urlsplit(link).query)["text"]
    return find_demo_code(message)


# ------------------------------------------------------------------ codes


def test_a_code_is_the_same_for_ever_and_another_for_each_firm_and_installation() -> None:
    one, other = DemoCodes(bytes(32)), DemoCodes(bytes([1] * 32))
    tenants = [TenantId(f"6f9619ff-8b86-4011-b42d-{n:012}") for n in range(2_000)]

    codes = [one.of(tenant) for tenant in tenants]

    assert len(set(codes)) == len(tenants)
    assert codes == [one.of(tenant) for tenant in tenants]
    assert not set(codes) & {other.of(tenant) for tenant in tenants}


def test_every_code_is_read_in_the_message_of_its_link() -> None:
    codes = DemoCodes(bytes(32))
    for n in range(2_000):
        code = codes.of(TenantId(f"6f9619ff-8b86-4011-b42d-{n:012}"))

        assert is_code(code)
        assert find_demo_code(f"Demo {code} (Panadería Sol)") == code


# ------------------------------------------------------------------ links


async def test_the_link_opens_the_demo_number_with_the_code(house: House) -> None:
    link = urlsplit(house.demos.link(BAKERY.id))

    assert f"{link.scheme}://{link.netloc}{link.path}" == "https://wa.me/56223456701"
    [message] = parse_qs(link.query)["text"]
    assert "Panadería Sol" in message
    found = await house.finds(find_demo_code(message))
    assert found == Demo(BAKERY.id, "Panadería Sol", home="+56 2 2345 6700")


async def test_a_command_gives_the_same_link(house: House) -> None:
    link = await link_to_demo(house.database, BAKERY, SHOW, chat_url=CHATS)

    assert link == house.demos.link(BAKERY.id)


async def test_without_a_demo_number_there_is_none(house: House) -> None:
    await mark_channel(house.database, SHOW.id, Mark.FIRM, tenant=SHOW.tenant)
    await house.publish()

    assert house.demos.link(BAKERY.id) == ""


async def test_nor_for_whom_nobody_knows(house: House) -> None:
    assert house.demos.link(TenantId("00000000-0000-4000-8000-000000000009")) == ""


# ------------------------------------------------------------------ whose bot


async def test_a_firm_that_was_registered_a_moment_ago_is_found(house: House) -> None:
    assert await house.finds("9999999ZZ") is None, "the table was made"
    firm = Firm(id=TenantId("7d444840-9dc0-41d1-b245-5ffdce74fad3"), name="Café Luna")
    await add_tenant(house.database, firm, rut=Rut("771234563"))
    await house.publish()

    found = await house.finds(code_in(house.demos.link(firm.id)))

    assert found is not None
    assert found.firm == firm.id


async def test_whose_owner_does_not_want_it_is_nobody(house: House) -> None:
    code = code_in(house.demos.link(BAKERY.id))
    await change_settings(house.database, BAKERY.id, {"demo": "no"})
    await house.publish()

    assert await house.finds(code) is None
    assert house.demos.link(BAKERY.id) == ""


async def test_what_is_told_of_a_firm_is_its_name(house: House) -> None:
    outcome = await house.asks(code_in(house.demos.link(BAKERY.id)))

    assert isinstance(outcome, Done)
    assert isinstance(outcome.event, Answered)
    assert set(msgspec.json.decode(outcome.event.result.value)) == {"firm", "name", "home"}


async def test_a_person_tries_so_many_codes_and_then_one_each_quarter_of_an_hour(
    house: House,
) -> None:
    right = code_in(house.demos.link(BAKERY.id))
    for n in range(TRIES):
        assert await house.finds(f"2345678{n:02}") is None

    for code in ("9999999ZZ", right):
        outcome = await house.asks(code)
        assert isinstance(outcome, Done)
        assert isinstance(outcome.event, Answered)
        assert outcome.event.result.failed == "refused"
    assert await house.finds(right, who="c2") is not None, "others may"

    house.clock.shift(ANOTHER_S * 1000)
    assert await house.finds(right) is not None


async def test_what_is_no_call_of_ours_is_dead(house: House) -> None:
    assert await house.asks("x", call="FindFirm") == Dead("unknown_call")
