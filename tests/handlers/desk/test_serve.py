"""A request for a person is written down, with what it is about, and answered the same if it is asked again."""

from msgspec import Raw
from msgspec.json import encode

from flows.calls.desk import Handoff, OpenHandoff
from flows.dialog.calls import decode
from flows.dialog.calls import encode as args
from flows.values.ids import ChannelId, ContactId, ConversationId, ItemId, TenantId
from handlers.actions import Ask
from handlers.desk.serve import Desk
from handlers.events import Answered
from handlers.journal import HandoffRecord
from handlers.ports import Before, Dead, Done, Item
from tests.handlers.whatsapp.doubles import Watch

WATCH = Watch()
CONVERSATION = ConversationId("8a0bb3de-1111-4222-8333-444455556666")
WISH = OpenHandoff(note="una torta para 20", team="", about="file.image")


def item(body: bytes) -> Item:
    return Item(
        id=ItemId(f"desk/{CONVERSATION}:1-0"),
        conversation=CONVERSATION,
        body=body,
        tries=1,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )


def asked(call: str = "OpenHandoff", arguments: Raw = args(WISH)) -> Item:  # noqa: B008  frozen
    ask = Ask(
        tenant=TenantId("t"),
        channel=ChannelId("c"),
        contact=ContactId("p"),
        conversation=CONVERSATION,
        seq=4,
        call=call,
        args=arguments,
    )
    return item(encode(ask))


async def test_the_wish_is_written_down_and_answered() -> None:
    outcome = await Desk(WATCH).serve(asked())

    assert isinstance(outcome, Done)
    assert outcome.records == (
        HandoffRecord(
            tenant=TenantId("t"),
            conversation=CONVERSATION,
            contact=ContactId("p"),
            seq=4,
            at=WATCH.now_ms(),
            note="una torta para 20",
            about="file.image",
        ),
    )
    assert isinstance(outcome.event, Answered)
    assert outcome.event.result.seq == 4


async def test_asked_again_it_is_the_same_request() -> None:
    numbers = set()
    for _ in range(2):
        outcome = await Desk(WATCH).serve(asked())
        assert isinstance(outcome, Done)
        assert isinstance(outcome.event, Answered)
        numbers.add(decode(outcome.event.result.value, Handoff).id)

    assert len(numbers) == 1


async def test_what_the_desk_does_not_know_is_set_aside() -> None:
    assert await Desk(WATCH).serve(asked(call="FindOrders")) == Dead("unknown_call")
    assert await Desk(WATCH).serve(item(b"{")) == Dead("unreadable")
