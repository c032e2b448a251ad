"""Everything beyond the processes: the people, Meta, the works. It does as it is told, and remembers.

Meta is the behaviour of its server, put in place of `Graph`: a loopback would need time that passes of itself.
"""

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, cast
from uuid import UUID

from msgspec import Raw
from msgspec.json import Decoder, encode

from flows.dialog.calls import decode as decode_call
from flows.dialog.ctx import Firm
from flows.dialog.events import FailedWhy, Heard, Result
from flows.values.ids import ChannelId, ConversationId, ItemId, TenantId, Wamid
from flows.values.phone import WaId
from handlers.actions import Ask
from handlers.care import Change
from handlers.events import Answered, Sender
from handlers.journal import StatusSeen
from handlers.ports import Again, Arrival, Channel, Dead, Done, Item, Outcome, Template
from handlers.whatsapp.client import Accepted, Graph
from handlers.whatsapp.errors import GraphFault, HeldBackError, MaybeSentError, NotSentError
from handlers.whatsapp.faults import Reaction, fault_of
from tests.bot.engine.errand import MENDED, Make
from tests.bot.engine.still import (
    NEVER,
    UNDER,
    Gate,
    Lease,
    Moment,
    StillClock,
    WayBrokeError,
)

TENANT: Final = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
NUMBER: Final = Channel(
    id=ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c"),
    tenant=TENANT,
    phone_number_id="1001",
    waba_id="2002",
    display_phone="56911112222",
    portfolio_id="3003",
)
TOKEN: Final = "EAAG-token"
NO_ID: Final = Wamid("")
PEOPLE: Final = (
    Sender(wa_id="56961234501", bsuid="CL.A", name="Ana"),
    Sender(wa_id="56961234502", name="Beto"),
    Sender(bsuid="CL.C", username="caro"),
)

Status = Literal["sent", "delivered", "read", "failed"]

_decode_ask: Final = Decoder(Ask).decode


async def no_codes(_phone: WaId) -> bool:
    """No code to any phone is good."""
    return False


class Answer(Enum):
    """What an outer system makes of a request."""

    TAKES = "takes it and says so"
    BREAKS_AFTER = "takes it, and the connection breaks before it has said so"
    BREAKS_BEFORE = "the connection breaks before it is taken"
    UNREACHABLE = "nobody is there"
    UNDELIVERABLE = 131026
    WINDOW_CLOSED = 131047
    STUMBLES = 131000
    MAINTENANCE = 131057
    PAIR_RATE = 131056
    BAD_REQUEST = 100
    NOVEL = 999_999

    @property
    def code(self) -> int:
        return self.value if isinstance(self.value, int) else 0


@dataclass
class Message:
    """What a person wrote."""

    wamid: Wamid
    person: int
    text: str
    at_ms: int
    sent: Moment = NEVER
    """When Meta first brought it to us."""
    acknowledged: Moment = NEVER
    """When we first said that we have it."""

    def arrival(self) -> Arrival:
        heard = Heard(id=self.wamid, at=self.at_ms // 1000, kind="text", text=self.text)
        return Arrival(channel=NUMBER, sender=PEOPLE[self.person], heard=heard)


@dataclass
class Post:
    """A request to send a message, as it reached the way to Meta."""

    at_ms: int
    lease: Lease
    """Under which it was sent."""
    conversation: ConversationId
    item: ItemId
    to: str
    body: str
    is_template: bool
    answer: Answer
    wamid: Wamid = NO_ID
    is_doubted: bool = False
    """Its sender has told the store that it may have taken effect."""
    is_heeded: bool = False
    """Its sender heard the answer, and gave the lane back."""

    @property
    def is_taken(self) -> bool:
        """Whether the message is with Meta, and soon with the person."""
        return self.wamid != NO_ID

    @property
    def is_settled(self) -> bool:
        """Whether the sender was told that it did not take effect."""
        return self.answer is Answer.UNREACHABLE or self.answer.code > 0

    @property
    def is_refused(self) -> bool:
        """Whether Meta will never take it."""
        reaction = fault_of(self.answer.code).reaction
        return self.answer.code > 0 and reaction in (Reaction.REFUSE, Reaction.DEAD)


@dataclass
class Outside:
    clock: StillClock
    messages: dict[Wamid, Message] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    proofs: dict[ItemId, Moment] = field(default_factory=dict)
    """When a status of an item was first acknowledged."""
    made: dict[tuple[ConversationId, int], str] = field(default_factory=dict)
    """What the works made, by the order's key."""
    not_made: set[str] = field(default_factory=set)
    """What they refused to make."""
    mended: bool = False
    rests: dict[object, tuple[int, int]] = field(default_factory=dict)
    """From when to when a process, by what Meta told it, must leave the number alone (ms)."""
    # how requests are met
    answers: Callable[[], Answer] = lambda: Answer.TAKES
    judge: Callable[[Post], None] = lambda _post: None
    on_taken: Callable[[Post], None] = lambda _post: None
    objections: list[AssertionError] = field(default_factory=list)
    _moments: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> Moment:
        """Later than all before."""
        return Moment(next(self._moments), self.clock.ms)

    def new_id(self) -> UUID:
        return UUID(int=(0xC0 << 120) + next(self._ids))

    # ---------------------------------------------------------------- people

    def writes(self, person: int, verb: str) -> Message:
        n = next(self._ids)
        message = Message(Wamid(f"wamid.in.{n}"), person, f"{verb} w{n}", self.clock.ms)
        self.messages[message.wamid] = message
        return message

    def last_wrote_ms(self, to: str) -> int:
        """When the person behind an address last wrote anything that we may have heard; 0 = never."""
        return max(
            (
                m.at_ms
                for m in self.messages.values()
                if m.sent and to in (f"+{PEOPLE[m.person].wa_id}", PEOPLE[m.person].bsuid)
            ),
            default=0,
        )

    # ---------------------------------------------------------------- Meta

    def meets(self, body: bytes, lease: Lease) -> Wamid:
        """A request to send arrives, or breaks off on its way. Answers the id of what was taken."""
        sent = json.loads(body)
        item = ItemId(sent["biz_opaque_callback_data"])
        post = Post(
            at_ms=self.clock.ms,
            lease=lease,
            conversation=ConversationId(item.partition("/")[2].partition(":")[0]),
            item=item,
            to=sent.get("to") or sent["recipient"],
            body=_words(sent).removesuffix(" ?"),
            is_template=sent["type"] == "template",
            answer=self.answers(),
        )
        try:
            self.judge(post)
        except AssertionError as objection:
            # Not through the product, which takes it for a handler that broke off.
            self.objections.append(objection)
        if post.answer in (Answer.TAKES, Answer.BREAKS_AFTER):
            post.wamid = Wamid(f"wamid.out.{next(self._ids)}")
        self.posts.append(post)
        if post.is_taken:
            self.on_taken(post)
        match post.answer:
            case Answer.TAKES:
                return post.wamid
            case Answer.BREAKS_AFTER | Answer.BREAKS_BEFORE:
                raise MaybeSentError("it broke off")
            case Answer.UNREACHABLE:
                raise NotSentError("nobody there")
            case refused:
                raise GraphFault(fault_of(refused.code), code=refused.code)

    def taken(self) -> list[Post]:
        return [post for post in self.posts if post.is_taken]

    def status(self, post: Post, status: Status) -> StatusSeen:
        return StatusSeen(
            tenant=TENANT,
            wamid=post.wamid,
            status=status,
            at=self.clock.ms // 1000,
            item=post.item,
            code=131026 if status == "failed" else 0,
        )

    # ---------------------------------------------------------------- the works

    def makes(self, ask: Ask) -> Outcome:
        """The works know an order by its key, so the same one may be asked for again."""
        key = (ask.conversation, ask.seq)
        words = decode_call(ask.args, Make).words
        answer = self.answers()
        if answer in (Answer.TAKES, Answer.BREAKS_AFTER):
            self.made[key] = words
        elif answer in (Answer.BAD_REQUEST, Answer.UNDELIVERABLE, Answer.WINDOW_CLOSED):
            self.not_made.add(words)
        match answer:
            case Answer.TAKES:
                return Done(event=Answered(Result(seq=ask.seq, value=Raw(encode(words)))))
            case Answer.BREAKS_AFTER | Answer.BREAKS_BEFORE:
                raise WayBrokeError
            case Answer.BAD_REQUEST:
                return Dead("bad_request", event=_failed(ask, "down"))
            case Answer.UNDELIVERABLE | Answer.WINDOW_CLOSED:
                return Done(event=_failed(ask, "refused"))
            case _:
                return Again(5_000, "busy", counts=answer is not Answer.MAINTENANCE)


class Meta(Graph):
    """Speaks for `Outside` to one process."""

    def __init__(self, gate: Gate, outside: Outside) -> None:
        self._gate = gate
        self._outside = outside

    async def post_message(
        self,
        phone_number_id: str,
        token: str,
        body: bytes,
        *,
        may_leave: Callable[[], bool] = lambda: True,
    ) -> Accepted:
        assert (phone_number_id, token) == (NUMBER.phone_number_id, TOKEN)
        outside, lease = self._outside, UNDER.get()
        assert lease is not None

        async def meet() -> Wamid:
            if not may_leave():
                raise HeldBackError("it was asked at the last moment")
            return outside.meets(body, lease)

        try:
            wamid = await self._gate.out("meta", meet)
        except GraphFault as refusal:
            if refusal.fault.reaction is Reaction.PAUSE:
                now_ms = outside.clock.ms
                _, until_ms = outside.rests.get(lease.process, (0, 0))
                # What was under way together is refused together: that is one refusal.
                if now_ms >= until_ms:
                    outside.rests[lease.process] = now_ms, now_ms + refusal.fault.rest_s * 1000
            raise
        return Accepted(cast(Wamid, wamid))

    async def post_receipt(self, phone_number_id: str, token: str, body: bytes) -> None:
        """Read receipts are best effort: nothing is promised about them."""


class Works:
    """The handler of kind `works`."""

    kind: Final = "works"

    def __init__(self, gate: Gate, outside: Outside) -> None:
        self._gate = gate
        self._outside = outside

    async def serve(self, item: Item) -> Outcome:
        ask = _decode_ask(item.body)

        async def meet() -> Outcome:
            return self._outside.makes(ask)

        return cast(Outcome, await cast(Awaitable[object], self._gate.out("works", meet)))


class Directory:
    """One firm with one number."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def channel_by_number(self, phone_number_id: str) -> Channel | None:
        return NUMBER if phone_number_id == NUMBER.phone_number_id else None

    async def look_again(self) -> bool:
        return True

    def channel(self, channel: ChannelId) -> Channel | None:
        return NUMBER if channel == NUMBER.id else None

    def firm(self, tenant: TenantId) -> Firm | None:
        settings = {MENDED: "yes"} if self._outside.mended else {}
        return (
            Firm(id=TENANT, name="Panadería Sol", settings=settings) if tenant == TENANT else None
        )

    def token(self, channel: ChannelId) -> str:
        return TOKEN if channel == NUMBER.id else ""

    def siblings(self, channel: Channel) -> list[Channel]:
        return [channel]

    def form_keys(self, channel: ChannelId) -> str:
        return ""

    def channels_of(self, account: str) -> tuple[Channel, ...]:
        return ()

    def template(self, channel: ChannelId, name: str, locale: str) -> Template:
        return Template(name, locale, "APPROVED", "utility")

    def is_held(self, channel: ChannelId) -> str:
        return ""


class NoCare:
    """Numbers need none here."""

    async def hear(self, changes: Sequence[Change]) -> None: ...

    async def trouble(self, channel: ChannelId, fault: str, code: int) -> None: ...

    async def recovered(self, channel: ChannelId) -> None: ...

    async def examine(self, channel: Channel) -> None: ...


def _words(sent: dict[str, dict[str, object]]) -> str:
    """What the person reads, or the words that fill the template."""
    match sent:
        case {"text": {"body": str(body)}}:
            return body
        case {"template": {"components": [{"parameters": [{"text": str(words)}]}, *_]}}:
            return f"woke {words}"
        case _:
            raise AssertionError(f"a message of no kind that was written: {sorted(sent)}")


def _failed(ask: Ask, why: FailedWhy) -> Answered:
    return Answered(Result(seq=ask.seq, failed=why))
