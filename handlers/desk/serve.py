"""Serves the lanes `desk/<conversation>`: a request for a person is written down where the firm finds it."""

from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.json import Decoder, Encoder

from flows.calls.desk import Handoff, OpenHandoff
from flows.dialog.calls import decode as decode_call
from flows.dialog.events import Result
from handlers.actions import Ask
from handlers.events import Answered
from handlers.journal import HandoffRecord
from handlers.ports import Clock, Dead, Done, Item, Outcome

_decode: Final = Decoder(Ask).decode
_encode: Final = Encoder().encode


class Desk:
    """The handler of kind `desk`. Writing down needs nothing but the journal, so it cannot fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def kind(self) -> str:
        return "desk"

    async def serve(self, item: Item) -> Outcome:
        try:
            ask = _decode(item.body)
            call = decode_call(ask.args, OpenHandoff)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        if ask.call != OpenHandoff.__name__:
            return Dead("unknown_call")
        record = HandoffRecord(
            tenant=ask.tenant,
            conversation=ask.conversation,
            contact=ask.contact,
            seq=ask.seq,
            at=self._clock.now_ms(),
            note=call.note,
            team=call.team,
            about=call.about,
        )
        handoff = Handoff(id=_number(ask))
        result = Result(seq=ask.seq, value=msgspec.Raw(_encode(handoff)))
        return Done(records=(record,), event=Answered(result))


def _number(ask: Ask) -> int:
    """The request's number: the same for a repeated call, without a counter to ask."""
    digest = blake2b(f"{ask.conversation}:{ask.seq}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % 900_000 + 100_000
