"""What goes over to another conversation arrives there once, in order; what was left or proved is so for every process."""

from dataclasses import dataclass

import pytest
from msgspec import Raw
from msgspec.json import decode, encode

from bot.clock import Clock
from bot.lanes import Bell, Lanes, Wire
from bot.people.addresses import Addresses, conversation_of
from bot.people.moves import REST_MS, Moves
from flows.dialog.events import Heard, Result
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, Wamid
from handlers.events import Answered, Arrived, Event, Sender
from handlers.moves import Close, Forward, PeopleAction, Settle, Void
from handlers.ports import Again, Before, Dead, Done, Item, Outcome
from tests.bot.people.conftest import BAKERY_CHANNEL
from tests.bot.people.test_addresses import BOTH, BSUID, PEPPER, PHONE

AT = 1_795_392_000
FROM = ConversationId("cccccccc-0000-4000-8000-000000000001")
CONTACT = ContactId("aaaaaaaa-0000-4000-8000-000000000001")


class Logins:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.away = False
        self.voided: list[tuple[object, ...]] = []

    async def void(self, *told: object) -> None:
        if self.away:
            raise ConnectionRefusedError
        self.voided.append(told)


@dataclass
class Desk:
    """A worker that serves these lanes."""

    moves: Moves
    lanes: Lanes
    addresses: Addresses
    logins: Logins

    async def serve(self, action: PeopleAction, *, times: int = 1) -> Outcome:
        item = Item(
            ItemId(f"people/{FROM}:1-0"), FROM, encode(action), 1, Before.CLEAN, None, lambda: True
        )
        for _ in range(times - 1):
            await self.moves.serve(item)
        return await self.moves.serve(item)

    async def heard_by(self, conversation: ConversationId) -> list[Event]:
        view = await self.lanes.inspect(f"conv/{conversation}")
        return [decode(body, type=Event) for _, body in view.items]


@pytest.fixture(params=[1, 8], ids=["one-shard", "several-shards"])
def desk(wire: Wire, request: pytest.FixtureRequest) -> Desk:
    lanes = Lanes(wire, shards=request.param, clock=Clock())
    addresses = Addresses(wire, pepper=PEPPER, shards=64)
    logins = Logins()

    def channel_of(id: str) -> object:
        return BAKERY_CHANNEL if id == BAKERY_CHANNEL.id else None

    moves = Moves(lanes, Bell(wire), addresses, logins, channel_of=channel_of)  # type: ignore[arg-type]
    return Desk(moves, lanes, addresses, logins)


def wrote(text: str, n: int = 1, *, sender: Sender = BOTH) -> Arrived:
    heard = Heard(id=Wamid(f"wamid.{n}"), at=AT, kind="text", text=text)
    return Arrived(
        tenant=BAKERY_CHANNEL.tenant,
        channel=BAKERY_CHANNEL.id,
        contact=CONTACT,
        sender=sender,
        heard=heard,
    )


def forward(event: Event, mark: str, *, to: str = "") -> Forward:
    return Forward(event=Raw(encode(event)), mark=mark, at=AT, to=ConversationId(to))


async def test_what_goes_over_arrives_once_and_in_order(desk: Desk) -> None:
    to = conversation_of(BAKERY_CHANNEL.id, CONTACT)
    # As the message was put where it came from.
    await desk.lanes.put(
        desk.lanes.shard(FROM), f"conv/{FROM}", b"{}", mark="wamid.1", day=AT // 86_400
    )

    await desk.serve(forward(wrote("a", 1), "wamid.1", to=to), times=3)
    await desk.serve(forward(Answered(Result(seq=1)), "r:1", to=to), times=2)
    await desk.serve(forward(wrote("b", 2), "wamid.2", to=to))

    events = await desk.heard_by(to)
    assert events == [wrote("a", 1), Answered(Result(seq=1)), wrote("b", 2)]


async def test_a_message_at_an_address_that_was_left_goes_to_whoever_has_it_now(desk: Desk) -> None:
    [old] = await desk.addresses.resolve([(BAKERY_CHANNEL, PHONE)])
    await desk.serve(
        Close(channel=BAKERY_CHANNEL.id, contact=old.contact, senders=(PHONE,)), times=2
    )

    await desk.serve(forward(wrote("hola", sender=PHONE), "wamid.1"), times=2)

    [new] = await desk.addresses.resolve([(BAKERY_CHANNEL, PHONE)])
    assert new.contact != old.contact
    [event] = await desk.heard_by(new.conversation)
    assert isinstance(event, Arrived)
    assert event.contact == new.contact


async def test_a_phone_is_settled_for_every_process(desk: Desk, wire: Wire) -> None:
    [by_bsuid] = await desk.addresses.resolve([(BAKERY_CHANNEL, BSUID)])
    await desk.addresses.resolve([(BAKERY_CHANNEL, PHONE)])

    await desk.serve(
        Settle(channel=BAKERY_CHANNEL.id, contact=by_bsuid.contact, sender=BOTH), times=2
    )

    other = Addresses(wire, pepper=PEPPER, shards=64)
    [by_phone] = await other.resolve([(BAKERY_CHANNEL, PHONE)])
    assert by_phone.contact == by_bsuid.contact


async def test_log_ins_end_and_wait_for_a_database_that_is_away(desk: Desk) -> None:
    void = Void(BAKERY_CHANNEL.id, (BOTH,), "number", "56900000009")
    desk.logins.away = True
    assert await desk.serve(void) == Again(REST_MS, "ConnectionRefusedError", counts=False)

    desk.logins.away = False
    assert await desk.serve(void) == Done()
    assert desk.logins.voided == [(BAKERY_CHANNEL, (BOTH,), "number", "56900000009")]


async def test_what_cannot_be_done_is_set_aside(desk: Desk) -> None:
    unknown = Settle(channel=BAKERY_CHANNEL.tenant, contact=CONTACT, sender=BOTH)  # type: ignore[arg-type]

    assert await desk.serve(unknown) == Dead("unknown_channel")
    assert await desk.serve(forward(Answered(Result(seq=1)), "r")) == Dead("nobody")
    assert await desk.serve(Void(ChannelId("gone"), (BOTH,), "number")) == Dead("unknown_channel")
