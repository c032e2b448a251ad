"""What the login flows ask, answered for whoever wrote in the conversation, and for nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from bot.engine.conversation import Conversation
from bot.engine.conversation import encode as encode_conversation
from bot.identity import people
from bot.identity.chat import ChatLogins
from bot.people.addresses import conversation_of
from flows.dialog.session import Session
from flows.login import ENTRY
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, TenantId, Ugid
from handlers.actions import Ask
from handlers.events import Answered, Sender
from handlers.ports import Again, Before, Dead, Done, Item, Outcome
from tests.bot.identity.conftest import House, number
from tests.bot.identity.test_links import Browser
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BUTCHERY

ANA: Final = ContactId("3f0e7e0a-0000-4000-8000-000000000001")
CHAT: Final = conversation_of(BAKERY_CHANNEL.id, ANA)
PAGE: Final = "https://login.example/login"


@dataclass
class Raised:
    """Alerts that were raised."""

    kinds: list[str] = field(default_factory=list)

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        self.kinds.append(kind)


@dataclass
class Chat:
    house: House
    logins: ChatLogins
    raised: Raised

    async def is_of(self, sender: Sender, **rest: Any) -> None:
        """The state of the conversation, as its last turn left it."""
        state = Conversation(
            tenant=BAKERY.id,
            channel=BAKERY_CHANNEL.id,
            contact=ANA,
            session=Session(),
            sender=sender,
            **rest,
        )
        lanes = self.house.lanes
        await lanes.put(lanes.shard(CHAT), f"conv/{CHAT}", b"{}")
        claimed = await lanes.claim(lanes.shard(CHAT), "conv", lanes=1)
        [taken] = claimed.taken
        await lanes.commit(taken, consumed=1, state=encode_conversation(state))

    async def serve(self, call: str, **args: object) -> Outcome:
        ask = Ask(
            tenant=BAKERY.id,
            channel=BAKERY_CHANNEL.id,
            contact=ANA,
            conversation=CHAT,
            seq=3,
            call=call,
            args=msgspec.Raw(msgspec.json.encode(args)),
        )
        return await self.logins.serve(item(msgspec.json.encode(ask)))

    async def asks(self, call: str, **args: object) -> Any:
        outcome = await self.serve(call, **args)
        assert isinstance(outcome, Done)
        assert isinstance(outcome.event, Answered)
        assert outcome.event.result.seq == 3
        return msgspec.json.decode(outcome.event.result.value)


def item(body: bytes) -> Item:
    return Item(
        id=ItemId(f"login/{CHAT}:1-0"),
        conversation=ConversationId(CHAT),
        body=body,
        tries=1,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )


@pytest.fixture
def chat(house: House) -> Chat:
    raised = Raised()
    logins = ChatLogins(
        house.identity.links,
        house.lanes,
        database=house.database,
        directory=house.directory,
        alerts=raised,
        page=PAGE,
        clock=house.clock,
        metrics=house.metrics,
    )
    return Chat(house, logins, raised)


async def person(house: House, phone: str, roles: Sequence[tuple[TenantId, people.Role]]) -> Ugid:
    now = datetime.now(UTC)
    async with house.database.system() as connection:
        ugid = await people.enter(connection, "phone", "", phone, at=now, method="test")
        for tenant, role in roles:
            await people.set_role(connection, ugid, tenant, role, now)
    return ugid


async def test_whoever_wrote_is_let_in_and_nobody_a_flow_could_name(chat: Chat) -> None:
    browser = Browser(chat.house)
    asked = await chat.asks("CheckLogin", ref=await browser.begin())
    await chat.is_of(Sender(wa_id=number(3)))

    assert await chat.asks("ApproveLogin", id=asked["id"]) is True

    session = await browser.take()
    me = await chat.house.call("GET", "/auth/me", token=session.body["access_token"])
    assert [each["value"] for each in me.body["identities"]] == [number(3)]


@pytest.mark.parametrize("left", [{"left": True}, {}])
async def test_a_conversation_that_is_nobody_s_lets_nobody_in(
    chat: Chat, left: dict[str, Any]
) -> None:
    browser = Browser(chat.house)
    asked = await chat.asks("CheckLogin", ref=await browser.begin())
    if left:
        await chat.is_of(Sender(wa_id=number(3)), **left)

    assert await chat.asks("ApproveLogin", id=asked["id"]) is False
    assert await browser.status() == "asked"


async def test_a_refusal_raises_an_alert_also_when_it_comes_late(chat: Chat) -> None:
    browser = Browser(chat.house)
    asked = await chat.asks("CheckLogin", ref=await browser.begin())

    assert await chat.asks("RefuseLogin", id=asked["id"]) is True
    chat.house.passes(301)
    assert await chat.asks("RefuseLogin", id=asked["id"]) is False
    assert chat.raised.kinds == ["login_refused"] * 2


@pytest.mark.parametrize(
    ("roles", "tenant"),
    [
        pytest.param([(BAKERY.id, "owner")], BAKERY.id, id="owner"),
        pytest.param([(BAKERY.id, "agent"), (BUTCHERY.id, "owner")], BAKERY.id, id="of two firms"),
        # The number of the bakery is the platform's own here.
        pytest.param([(BUTCHERY.id, "admin")], BUTCHERY.id, id="of another firm"),
    ],
)
async def test_whoever_works_for_a_firm_gets_a_link_into_its_panel(
    chat: Chat, roles: list[tuple[TenantId, people.Role]], tenant: TenantId
) -> None:
    ugid = await person(chat.house, number(3), roles)
    await chat.is_of(Sender(wa_id=number(3)))

    link = (await chat.asks("EnterPanel"))["link"]

    page, _, entry = link.partition(ENTRY)
    assert page == PAGE
    session = await chat.house.call("POST", "/auth/entry", {"entry": entry})
    assert session.body["ugid"] == ugid
    me = await chat.house.call("GET", "/auth/me", token=session.body["access_token"])
    assert (me.body["tenant"], me.body["role"]) == (tenant, dict(roles)[tenant])


@pytest.mark.parametrize(
    "roles",
    [pytest.param([], id="nobody's"), pytest.param([(BAKERY.id, "customer")], id="customer")],
)
async def test_whoever_works_for_none_gets_no_link(
    chat: Chat, roles: list[tuple[TenantId, people.Role]]
) -> None:
    await person(chat.house, number(3), roles)
    await chat.is_of(Sender(wa_id=number(3)))

    assert (await chat.asks("EnterPanel"))["link"] == ""


async def test_a_phone_that_nobody_proved_gets_no_link(chat: Chat) -> None:
    await chat.is_of(Sender(wa_id=number(4)))

    assert (await chat.asks("EnterPanel"))["link"] == ""


async def test_a_username_is_asked_for_its_phone_and_known_by_it_from_then_on(chat: Chat) -> None:
    ugid = await person(chat.house, number(3), [(BAKERY.id, "owner")])
    await chat.is_of(Sender(bsuid="CL.1349"))

    assert await chat.asks("EnterPanel") == {"link": "", "phone_needed": True}
    assert (await chat.asks("EnterPanel", phone=number(4)))["link"] == ""
    link = (await chat.asks("EnterPanel", phone=number(3)))["link"]
    session = await chat.house.call("POST", "/auth/entry", {"entry": link.partition(ENTRY)[2]})

    assert session.body["ugid"] == ugid
    assert (await chat.asks("EnterPanel"))["link"]


async def test_a_phone_that_is_told_does_not_stand_above_the_one_they_write_from(
    chat: Chat,
) -> None:
    await person(chat.house, number(3), [(BAKERY.id, "owner")])
    await chat.is_of(Sender(wa_id=number(4), bsuid="CL.1349"))

    assert await chat.asks("EnterPanel", phone=number(3)) == {"link": "", "phone_needed": False}


async def test_whoever_lost_their_place_meanwhile_comes_in_without_it(chat: Chat) -> None:
    await person(chat.house, number(3), [(BAKERY.id, "owner")])
    await chat.is_of(Sender(wa_id=number(3)))
    link = (await chat.asks("EnterPanel"))["link"]
    async with chat.house.database.system() as connection:
        ugid = await people.known_as(connection, number(3), "", "")
        assert ugid is not None
        await people.set_role(connection, ugid, BAKERY.id, None, datetime.now(UTC))

    session = await chat.house.call("POST", "/auth/entry", {"entry": link.partition(ENTRY)[2]})

    me = await chat.house.call("GET", "/auth/me", token=session.body["access_token"])
    assert (me.body["tenant"], me.body["role"]) == (None, None)


@pytest.mark.parametrize(
    ("call", "args", "why"),
    [
        ("Forget", {}, "unknown_call"),
        ("CheckLogin", {}, "unreadable"),
        ("ApproveLogin", {"id": 1}, "unreadable"),
    ],
)
async def test_what_no_flow_asks(chat: Chat, call: str, args: dict[str, object], why: str) -> None:
    assert await chat.serve(call, **args) == Dead(why)


async def test_a_body_that_is_no_call(chat: Chat) -> None:
    assert await chat.logins.serve(item(b"no")) == Dead("unreadable")


async def test_while_the_database_is_down_a_panel_waits(chat: Chat) -> None:
    await chat.is_of(Sender(wa_id=number(3)))
    await chat.house.database._pool.close()

    assert isinstance(await chat.serve("EnterPanel"), Again)
