"""The world behind the Cloud API: numbers, people, their phones, and what passed between them.

Pure state: it is told the time, decides, and remembers; it does no I/O. It lives in memory and is bounded:
the oldest bubbles and the oldest lines of the ledger are forgotten first.

Where the reference leaves a question open, the stricter reading is taken, so that an optimistic bot is seen:
a reaction does not open the window.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NewType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from handlers.whatsapp.emulator.content import (
    Content,
    Heard,
    Notice,
    Picture,
    Reaction,
    Said,
    Text,
    Voice,
    words_of,
)
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.templates import Template

NumberId = NewType("NumberId", str)
"""Meta's `phone_number_id`."""
PersonId = NewType("PersonId", str)
"""Our own name of a person; it never leaves the emulator."""

WINDOW_MS: Final = 24 * 3_600_000  # Meta: customer service window
FREE_ENTRY_MS: Final = 72 * 3_600_000  # Meta: free entry point, from the business's first answer
TYPING_MS: Final = 25_000  # Meta: a typing indicator goes by itself
PAIR_GAP_MS: Final = 6_000  # Meta: one message per 6 s to the same person ...
PAIR_BURST: Final = 45  # ... and up to 45 borrowed from the future; error 131056
SERVICE_FREE_PER_MONTH: Final = 1_000  # Meta: service messages of each number, since ...
SERVICE_BILLED_FROM_MS: Final = 1_790_812_800_000  # ... 2026-10-01T00:00Z

EDIT_MS: Final = 15 * 60_000  # WhatsApp: how long after it was sent a message may be changed ...
REVOKE_MS: Final = 48 * 3_600_000  # ... and taken back, for everybody

PEOPLE_MAX: Final = 20_000

Status = Literal["sent", "delivered", "read", "failed"]


class WorldError(ValueError):
    """A person cannot do that, e.g. tap a button that is not there."""


class Memory(Struct, frozen=True, kw_only=True):
    """How much a world remembers: the oldest is forgotten first."""

    bubbles_max: int = 2_000
    """Of one chat."""
    ledger_max: int = 200_000
    """Lines of what was taken and heard, over all chats."""


# ------------------------------------------------------------------ who


class Number(Struct, frozen=True, kw_only=True):
    """A business number."""

    id: NumberId
    waba_id: str
    display_phone: str
    name: str
    """The verified name: what a person reads above the chat."""
    token: str
    """The only Graph token that may use it; empty: any."""
    portfolio_id: str = "portfolio"
    """Business-scoped user ids are the same for all numbers of a portfolio and differ between portfolios."""
    per_s: int = 80
    """Throughput in and out together, messages per second."""
    free_service: int = SERVICE_FREE_PER_MONTH
    """Service messages that cost nothing, each month."""
    pair_gap_ms: int = PAIR_GAP_MS
    """What one message to a person costs of the pair's rate; 0 switches the pair limit off."""


class Person(Struct, frozen=True, kw_only=True):
    """Somebody with WhatsApp."""

    id: PersonId
    name: str
    wa_id: str = ""
    """Digits of the phone; empty for a person whose phone the emulator does not know."""
    username: str = ""
    hides_phone: bool = False
    """Whether a business is only told the BSUID."""
    renewed: int = 0
    """How often their BSUID became another with the same phone."""
    on_whatsapp: bool = True
    """False for a phone that a business wrote to and that nobody has."""

    def bsuid(self, portfolio: str) -> str:
        """The business-scoped user id, the same after a restart."""
        again = f"/{self.renewed}" if self.renewed else ""
        digest = hashlib.sha256(f"{portfolio}/{self.id}/{self.wa_id}{again}".encode()).digest()
        return f"CL.{int.from_bytes(digest[:8]) % 10**17:017d}"

    @property
    def visible_wa_id(self) -> str:
        """What webhooks tell of the phone."""
        return "" if self.hides_phone else self.wa_id


# ------------------------------------------------------------------ what


class Mark(Struct, frozen=True):
    """A step of a message: `code` is Meta's error of a failed one."""

    status: Status
    at_ms: int
    code: int = 0


class Price(Struct, frozen=True):
    """The `pricing` of a status (PMP)."""

    billable: bool
    category: Literal["service", "utility", "marketing", "authentication"]
    type: Literal["regular", "free_customer_service", "free_entry_point"]


class Message(Struct, frozen=True, kw_only=True):
    """One message and its history."""

    wamid: str
    seq: int
    """Grows by one with each message of the world."""
    number: NumberId
    person: PersonId
    outbound: bool
    """From the business to the person."""
    at_ms: int
    content: Content
    quotes: str = ""
    """Wamid of the message that this one answers."""
    marks: tuple[Mark, ...] = ()
    """For an outbound message what the bot is told; for an inbound one `delivered` when the bot's webhook took it, and `read`."""
    opaque: str = ""
    """`biz_opaque_callback_data`."""
    to_phone: bool = True
    """Whether it was addressed by phone."""
    price: Price | None = None
    free_entry: bool = False
    ad: bool = False
    """Whether the person came by an advertisement."""
    emoji: str = ""
    """The other side's reaction to it."""
    by_hand: bool = False
    """Written by somebody of the business on their phone, not by the bot."""
    changed: Literal["", "edited", "revoked"] = ""

    @property
    def status(self) -> Status | None:
        return self.marks[-1].status if self.marks else None


class Send(Struct, frozen=True, kw_only=True):
    """A send request that was read and found well-formed."""

    content: Said
    to: str = ""
    """As it was given; its digits are `phone`."""
    phone: str = ""
    bsuid: str = ""
    opaque: str = ""
    quotes: str = ""


class Accepted(Struct, frozen=True):
    """A send that was taken. `fails` is the error by which it will fail, 0 when it will be delivered."""

    message: Message
    fails: int


class Window(Struct, frozen=True):
    """Until when free-form messages may be sent, and until when everything is free; 0 = never opened."""

    closes_ms: int
    free_until_ms: int


class Summary(Struct, frozen=True, kw_only=True):
    """A chat as a list of chats shows it."""

    number: NumberId
    person: PersonId
    window: Window
    typing_until_ms: int
    unread: int
    last: Message | None


class Line(Struct, frozen=True):
    """One line of the ledger: what was heard or taken, in the order it was."""

    seq: int
    wamid: str
    text: str
    opaque: str = ""


class PairTruth(Struct, frozen=True):
    """What really happened between a number and a person."""

    number: NumberId
    person: PersonId
    heard: tuple[Line, ...]
    taken: tuple[Line, ...]
    duplicates: dict[str, int]
    """`biz_opaque_callback_data` that was taken more than once, and how often."""


class Billed(Struct, frozen=True):
    """What Meta bills of one kind: messages that were delivered."""

    number: NumberId
    month: str
    """2026-11, in UTC."""
    category: str
    type: str
    messages: int


class Truth(Struct, frozen=True):
    """The report that a crash test asks for."""

    heard: int
    taken: int
    refused: dict[int, int]
    """Sends that were refused at once, by error code."""
    statuses: dict[str, int]
    forgotten: int
    """Lines that the bounded ledger no longer has."""
    pairs: tuple[PairTruth, ...]


class _Chat:
    """One number and one person."""

    __slots__ = (
        "ad_ms",
        "bubbles",
        "free_until_ms",
        "last_in_ms",
        "pair_us",
        "typing_until_ms",
        "unread",
    )

    def __init__(self) -> None:
        self.bubbles: deque[str] = deque()
        self.last_in_ms = 0
        self.ad_ms = 0  # an advertisement that waits for the business's answer
        self.free_until_ms = 0
        self.pair_us = 0  # when the pair's debt is paid
        self.typing_until_ms = 0
        self.unread = 0


class World:
    """See the module. Every method that depends on the time is told it."""

    def __init__(
        self,
        numbers: Iterable[Number],
        templates: Iterable[Template] = (),
        *,
        salt: str = "",
        memory: Memory = Memory(),  # noqa: B008 - frozen
    ) -> None:
        """`salt` keeps the ids of one run apart from those of another."""
        self.numbers = {number.id: number for number in numbers}
        self._salt = salt
        self._memory = memory
        self._seq = 0
        self._people_made = 0
        self._templates = {
            (number.waba_id, template.name, template.language): template
            for number in self.numbers.values()
            for template in templates
        }
        self._clear()

    def reset(self) -> None:
        """Forget people and chats. Numbers and templates stay, and no id is ever used twice."""
        self._clear()

    def _clear(self) -> None:
        self.people: dict[PersonId, Person] = {}
        self._by_phone: dict[str, PersonId] = {}
        self._by_bsuid: dict[tuple[str, str], PersonId] = {}
        self._chats: dict[tuple[NumberId, PersonId], _Chat] = {}
        self._messages: dict[str, Message] = {}
        self._watched: set[tuple[NumberId, PersonId]] = set()
        self._throughput_us: dict[NumberId, int] = {}
        self._service_sent: Counter[tuple[NumberId, str]] = Counter()
        self._billed: Counter[tuple[NumberId, str, str, str]] = Counter()
        self._ledger: deque[Message] = deque()
        self._forgotten = 0
        self._heard = 0
        self._taken = 0
        self._refused: Counter[int] = Counter()
        self._statuses: Counter[str] = Counter()

    def add_number(self, number: Number) -> None:
        """A business number more; people may write to it from now on.

        Raises:
            WorldError: there is one with this id.
        """
        if number.id in self.numbers:
            raise WorldError("that number is here already")
        self.numbers[number.id] = number
        for person in self.people.values():
            self._by_bsuid[number.portfolio_id, person.bsuid(number.portfolio_id)] = person.id

    # -------------------------------------------------------------- people

    def add_person(
        self, name: str, *, wa_id: str = "", username: str = "", hides_phone: bool = False
    ) -> Person:
        """Somebody new. Without a phone they are known by their BSUID alone.

        Raises:
            WorldError: the phone is taken, or there are too many people.
        """
        if wa_id in self._by_phone:
            raise WorldError("that phone is taken")
        return self._add(name, wa_id=wa_id, username=username, hides_phone=hides_phone)

    def _add(
        self,
        name: str,
        *,
        wa_id: str,
        username: str = "",
        hides_phone: bool = False,
        on_whatsapp: bool = True,
    ) -> Person:
        if len(self.people) >= PEOPLE_MAX:
            raise WorldError("too many people")
        self._people_made += 1
        person = Person(
            id=PersonId(f"p{self._people_made}"),
            name=name,
            wa_id=wa_id,
            username=username,
            hides_phone=hides_phone,
            on_whatsapp=on_whatsapp,
        )
        self.people[person.id] = person
        if wa_id:
            self._by_phone[wa_id] = person.id
        for number in self.numbers.values():
            self._by_bsuid[number.portfolio_id, person.bsuid(number.portfolio_id)] = person.id
        return person

    def change_person(
        self,
        id: PersonId,
        *,
        wa_id: str | None = None,
        renew_id: bool = False,
        username: str | None = None,
        hides_phone: bool | None = None,
    ) -> Person:
        """Another number (and with it other BSUIDs), other BSUIDs alone, another username. What was theirs is free.

        Raises:
            WorldError: no such person, or the phone is taken.
        """
        old = self.people.get(id)
        if old is None:
            raise WorldError("no such person")
        if wa_id is not None and (not wa_id.isdecimal() or wa_id in self._by_phone):
            raise WorldError("that phone is taken, or none")
        person = msgspec.structs.replace(
            old,
            wa_id=old.wa_id if wa_id is None else wa_id,
            renewed=old.renewed + renew_id,
            username=old.username if username is None else username,
            hides_phone=old.hides_phone if hides_phone is None else hides_phone,
        )
        self.people[id] = person
        if old.wa_id != person.wa_id:
            self._by_phone.pop(old.wa_id, None)
            self._by_phone[person.wa_id] = id
        if old.wa_id != person.wa_id or renew_id:
            for (_, other), chat in self._chats.items():
                if other == id:
                    chat.last_in_ms = 0  # nobody has written from there yet
        for number in self.numbers.values():
            self._by_bsuid.pop((number.portfolio_id, old.bsuid(number.portfolio_id)), None)
            self._by_bsuid[number.portfolio_id, person.bsuid(number.portfolio_id)] = id
        return person

    def numbers_of(self, person: PersonId) -> tuple[Number, ...]:
        """The business numbers that this person has a chat with."""
        return tuple(self.numbers[number] for number, other in self._chats if other == person)

    # -------------------------------------------------------------- a person acts

    def hear(
        self,
        number: NumberId,
        person: PersonId,
        content: Heard,
        *,
        now_ms: int,
        quotes: str = "",
        ad: bool = False,
    ) -> Message:
        """The person sends `content`; `ad`: they came by a click-to-WhatsApp advertisement.

        Raises:
            WorldError: no such number or person, or the message that it refers to is not in this chat.
        """
        chat = self._chat(number, person)
        referred = content.message if isinstance(content, Reaction) else quotes
        if referred and self._message(referred, number, person) is None:
            raise WorldError("no such message in this chat")
        message = self._keep(
            Message(
                wamid=self._wamid(),
                seq=self._seq,
                number=number,
                person=person,
                outbound=False,
                at_ms=now_ms,
                content=content,
                quotes=quotes,
                ad=ad,
            ),
            chat,
        )
        self._heard += 1
        self._spend_throughput(number, now_ms)
        if isinstance(content, Reaction):
            self._replace(self._messages[content.message], emoji=content.emoji)
        else:
            chat.last_in_ms = now_ms
            if ad:
                chat.ad_ms = now_ms
        return message

    def correct(self, wamid: str, body: str | None, *, now_ms: int) -> Message:
        """A message is changed by whoever wrote it, or taken back (`body` is None).

        Raises:
            WorldError: there is none, it is too old, or it has no words to change.
        """
        message = self._messages.get(wamid)
        by_person = message is not None and not message.outbound
        if message is None or not (by_person or message.by_hand) or message.changed == "revoked":
            raise WorldError("no such message of theirs")
        if now_ms - message.at_ms > (REVOKE_MS if body is None else EDIT_MS):
            raise WorldError("that message is too old")
        if body is None:
            return self._replace(message, content=Text(""), changed="revoked")
        match message.content:
            case Text():
                return self._replace(message, content=Text(body), changed="edited")
            case Picture():
                changed = msgspec.structs.replace(message.content, caption=body)
                return self._replace(message, content=changed, changed="edited")
            case _:
                raise WorldError("that message has no words")

    def by_hand(
        self, number: NumberId, person: PersonId, content: Text | Picture | Voice, *, now_ms: int
    ) -> Message:
        """Somebody of the business writes from their phone.

        Raises:
            WorldError: no such number or person.
        """
        chat = self._chat(number, person)
        chat.unread += not self.watches(number, person)
        return self._keep(
            Message(
                wamid=self._wamid(),
                seq=self._seq,
                number=number,
                person=person,
                outbound=True,
                at_ms=now_ms,
                content=content,
                marks=(Mark("delivered", now_ms),),
                by_hand=True,
            ),
            chat,
            counts=False,
        )

    def next_wamid(self) -> str:
        """An id for a webhook that is no message of a chat."""
        return self._wamid()

    def watch(self, number: NumberId, person: PersonId, *, watching: bool) -> tuple[Message, ...]:
        """The person opens or leaves the chat; answers what they read by opening it."""
        chat = self._chat(number, person)
        if not watching:
            self._watched.discard((number, person))
            return ()
        self._watched.add((number, person))
        chat.unread = 0
        return tuple(
            message
            for wamid in chat.bubbles
            if (message := self._messages[wamid]).outbound and message.status == "delivered"
        )

    def watches(self, number: NumberId, person: PersonId) -> bool:
        return (number, person) in self._watched

    # -------------------------------------------------------------- the business acts

    def accept(
        self,
        number: NumberId,
        send: Send,
        *,
        now_ms: int,
        fail_with: int = 0,
        window_error: bool = False,
    ) -> Accepted:
        """Take a message of the business, or refuse it as Meta does.

        A closed window refuses at once only with `window_error`; else the message is taken and fails later.

        Raises:
            GraphError: refused; nothing is remembered but the count.
        """
        try:
            return self._accept(
                number, send, now_ms=now_ms, fail_with=fail_with, window_error=window_error
            )
        except GraphError as error:
            self._refused[error.code] += 1
            raise

    def _accept(
        self, number: NumberId, send: Send, *, now_ms: int, fail_with: int, window_error: bool
    ) -> Accepted:
        person = self._recipient(self.numbers[number], send)
        chat = self._chat(number, person.id)
        free_form = not isinstance(send.content, Notice)
        closed = free_form and now_ms >= self.window(number, person.id).closes_ms
        if closed and window_error:
            raise GraphError(
                131047, "More than 24 hours have passed since the customer last replied."
            )
        pair_us = max(chat.pair_us, now_ms * 1000)
        gap_us = self.numbers[number].pair_gap_ms * 1000
        if pair_us - now_ms * 1000 > (PAIR_BURST - 1) * gap_us:
            raise GraphError(
                131056, "Too many messages sent to this recipient in a short period of time."
            )
        if not self._may_pass(number, now_ms):
            raise GraphError(130429, "Cloud API message throughput has been reached.")

        chat.pair_us = pair_us + gap_us
        self._spend_throughput(number, now_ms)
        chat.typing_until_ms = 0
        reacts = send.content if isinstance(send.content, Reaction) else None
        about = self._message(reacts.message, number, person.id) if reacts else None
        # Meta takes a reaction to what is no message of the person, and fails it later.
        astray = reacts is not None and (about is None or about.outbound)
        fails = fail_with or (
            131026 if not person.on_whatsapp else 131047 if closed else 131009 if astray else 0
        )
        if reacts is not None and about is not None and not fails:
            self._replace(about, emoji=reacts.emoji)
        price = None
        if not fails:
            if chat.ad_ms and now_ms < chat.ad_ms + WINDOW_MS:
                chat.free_until_ms = now_ms + FREE_ENTRY_MS
            chat.ad_ms = 0
            price = self._price(number, send.content, chat, now_ms=now_ms)
        message = self._keep(
            Message(
                wamid=self._wamid(),
                seq=self._seq,
                number=number,
                person=person.id,
                outbound=True,
                at_ms=now_ms,
                content=send.content,
                quotes=send.quotes,
                opaque=send.opaque,
                to_phone=bool(send.phone),
                price=price,
                free_entry=price is not None and price.type == "free_entry_point",
            ),
            chat,
        )
        self._taken += 1
        return Accepted(message, fails)

    def refuse(self, code: int) -> None:
        """Count a send that was refused before it came here."""
        self._refused[code] += 1

    def mark(self, wamid: str, status: Status, *, now_ms: int, code: int = 0) -> Message | None:
        """A step of a message; None if it was forgotten or has already gone further."""
        message = self._messages.get(wamid)
        if message is None or _RANK[status] <= _RANK.get(message.status or "", 0):
            return None
        message = self._replace(message, marks=(*message.marks, Mark(status, now_ms, code)))
        if message.outbound:
            self._statuses[status] += 1
            self._bill(message, now_ms)
            chat = self._chats[message.number, message.person]
            if status == "delivered" and not self.watches(message.number, message.person):
                chat.unread += 1
        return message

    def business_reads(
        self, number: NumberId, wamid: str, *, now_ms: int, typing: bool
    ) -> tuple[Message, ...]:
        """The business marks a message read, and with it the earlier ones; answers what changed.

        Raises:
            GraphError: it is no message of a person to this number.
        """
        last = self._messages.get(wamid)
        if last is None or last.outbound or last.number != number:
            raise GraphError(131009, "Invalid message id")
        chat = self._chats[number, last.person]
        if typing:
            chat.typing_until_ms = now_ms + TYPING_MS
        unread = [
            message
            for each in chat.bubbles
            if not (message := self._messages[each]).outbound and message.seq <= last.seq
        ]
        marked = [self.mark(message.wamid, "read", now_ms=now_ms) for message in unread]
        return tuple(message for message in marked if message is not None)

    # -------------------------------------------------------------- money

    def change_number(self, number: NumberId, *, free_service: int) -> Number:
        """From now on so many service messages of the number are free in a month.

        Raises:
            WorldError: there is no such number, or less than none are to be free.
        """
        if number not in self.numbers or free_service < 0:
            raise WorldError("no such number, or fewer than no messages")
        changed = msgspec.structs.replace(self.numbers[number], free_service=free_service)
        self.numbers[number] = changed
        return changed

    def bill(self) -> tuple[Billed, ...]:
        """What was delivered, as Meta bills it."""
        return tuple(Billed(*kind, messages) for kind, messages in sorted(self._billed.items()))

    # -------------------------------------------------------------- templates

    def templates(self, waba_id: str) -> tuple[Template, ...]:
        return tuple(template for key, template in self._templates.items() if key[0] == waba_id)

    def template(self, waba_id: str, name: str, language: str) -> Template | None:
        return self._templates.get((waba_id, name, language))

    def put_template(self, waba_id: str, template: Template) -> None:
        self._templates[waba_id, template.name, template.language] = template

    def remove_template(self, waba_id: str, name: str, language: str) -> Template | None:
        """Answers it as it was."""
        return self._templates.pop((waba_id, name, language), None)

    def template_of_id(self, id: str) -> tuple[str, Template] | None:
        """Its WABA and itself, by the Graph id of a template."""
        for (waba_id, _, _), template in self._templates.items():
            if template.id == id:
                return waba_id, template
        return None

    def set_throughput(self, number: NumberId, per_s: int) -> None:
        """Messages a second that Meta lets the number send from now on."""
        self.numbers[number] = replace(self.numbers[number], per_s=per_s)

    # -------------------------------------------------------------- asking

    def window(self, number: NumberId, person: PersonId) -> Window:
        chat = self._chat(number, person)
        return Window(chat.last_in_ms + WINDOW_MS if chat.last_in_ms else 0, chat.free_until_ms)

    def message(self, wamid: str) -> Message | None:
        return self._messages.get(wamid)

    def messages(self, number: NumberId, person: PersonId) -> tuple[Message, ...]:
        """The bubbles of a chat, oldest first."""
        return tuple(self._messages[wamid] for wamid in self._chat(number, person).bubbles)

    def summary(self, number: NumberId, person: PersonId) -> Summary:
        chat = self._chat(number, person)
        return Summary(
            number=number,
            person=person,
            window=self.window(number, person),
            typing_until_ms=chat.typing_until_ms,
            unread=chat.unread,
            last=self._messages[chat.bubbles[-1]] if chat.bubbles else None,
        )

    def summaries(self) -> tuple[Summary, ...]:
        return tuple(self.summary(number, person) for number, person in self._chats)

    def truth(self) -> Truth:
        heard: dict[tuple[NumberId, PersonId], list[Line]] = {}
        taken: dict[tuple[NumberId, PersonId], list[Line]] = {}
        for message in self._ledger:
            side = taken if message.outbound else heard
            line = Line(message.seq, message.wamid, words_of(message.content), message.opaque)
            side.setdefault((message.number, message.person), []).append(line)
        return Truth(
            heard=self._heard,
            taken=self._taken,
            refused=dict(self._refused),
            statuses=dict(self._statuses),
            forgotten=self._forgotten,
            pairs=tuple(
                PairTruth(
                    number,
                    person,
                    tuple(heard.get((number, person), ())),
                    tuple(taken.get((number, person), ())),
                    _repeated(taken.get((number, person), ())),
                )
                for number, person in self._chats
            ),
        )

    # -------------------------------------------------------------- within

    def _chat(self, number: NumberId, person: PersonId) -> _Chat:
        if number not in self.numbers or person not in self.people:
            raise WorldError("no such number or person")
        return self._chats.setdefault((number, person), _Chat())

    def _message(self, wamid: str, number: NumberId, person: PersonId) -> Message | None:
        message = self._messages.get(wamid)
        if message is None or (message.number, message.person) != (number, person):
            return None
        return message

    def _recipient(self, number: Number, send: Send) -> Person:
        """Whom a send is for. Both addresses may be given: the phone wins."""
        if send.phone:
            if send.phone == "".join(filter(str.isdigit, number.display_phone)):
                raise GraphError(131021, "Recipient phone number must differ from the sender's.")
            known = self._by_phone.get(send.phone)
            # Meta takes a phone that nobody has and fails the message later.
            return (
                self.people[known] if known else self._add("", wa_id=send.phone, on_whatsapp=False)
            )
        known = self._by_bsuid.get((number.portfolio_id, send.bsuid))
        if known is None:
            raise GraphError(131009, "The recipient is not a user of this business portfolio.")
        if isinstance(send.content, Notice) and send.content.category == "authentication":
            raise GraphError(131062, "Authentication templates need a phone number.")
        return self.people[known]

    def _price(self, number: NumberId, content: Said, chat: _Chat, *, now_ms: int) -> Price:
        category = _category(content)
        if now_ms < chat.free_until_ms:
            return Price(billable=False, category=category, type="free_entry_point")
        all_free = now_ms < SERVICE_BILLED_FROM_MS
        # Meta: until then templates of this category were free inside the window, too.
        in_window = bool(chat.last_in_ms) and now_ms < chat.last_in_ms + WINDOW_MS
        if category != "service" and not (all_free and category == "utility" and in_window):
            return Price(billable=True, category=category, type="regular")
        month = (number, _month(now_ms))
        if category == "service":
            self._service_sent[month] += 1
        free = all_free or self._service_sent[month] <= self.numbers[number].free_service
        return Price(
            billable=not free,
            category=category,
            type="free_customer_service" if free else "regular",
        )

    def _bill(self, message: Message, now_ms: int) -> None:
        """Meta bills what arrives, once: a step that comes after `delivered` is none of its business."""
        arrived = [mark for mark in message.marks if mark.status in {"delivered", "read"}]
        if message.price is not None and len(arrived) == 1 and message.status == arrived[0].status:
            price = message.price
            self._billed[message.number, _month(now_ms), price.category, price.type] += 1

    def _may_pass(self, number: NumberId, now_ms: int) -> bool:
        # One second of traffic may come at once.
        return self._throughput_us.get(number, 0) - now_ms * 1000 < 1_000_000

    def _spend_throughput(self, number: NumberId, now_ms: int) -> None:
        paid_us = max(self._throughput_us.get(number, 0), now_ms * 1000)
        self._throughput_us[number] = paid_us + 1_000_000 // self.numbers[number].per_s

    def _wamid(self) -> str:
        self._seq += 1
        return "wamid." + urlsafe_b64encode(
            f"{self._salt}/{self._seq:012d}".encode()
        ).decode().rstrip("=")

    def _keep(self, message: Message, chat: _Chat, *, counts: bool = True) -> Message:
        """`counts`: whether the ledger tells of it, which is of what the bot hears and says."""
        self._messages[message.wamid] = message
        chat.bubbles.append(message.wamid)
        if len(chat.bubbles) > self._memory.bubbles_max:
            del self._messages[chat.bubbles.popleft()]
        if not counts:
            return message
        self._ledger.append(message)
        if len(self._ledger) > self._memory.ledger_max:
            self._ledger.popleft()
            self._forgotten += 1
        return message

    def _replace(self, message: Message, **changes: object) -> Message:
        changed = msgspec.structs.replace(message, **changes)
        self._messages[message.wamid] = changed
        return changed


_RANK: Final = {"": 0, "sent": 1, "delivered": 2, "read": 3, "failed": 4}


def _category(content: Said) -> Literal["service", "utility", "marketing", "authentication"]:
    if not isinstance(content, Notice):
        return "service"
    match content.category:
        case "marketing" | "authentication" as category:
            return category
        case _:
            return "utility"


def _month(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m}"


def _repeated(lines: Sequence[Line]) -> dict[str, int]:
    counts = Counter(line.opaque for line in lines if line.opaque)
    return {opaque: times for opaque, times in counts.items() if times > 1}
