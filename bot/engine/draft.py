"""What a turn has decided so far; how it says, keeps and notes something."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from msgspec.json import Encoder
from msgspec.structs import replace

from bot.engine.conversation import Conversation, Parked, paced
from bot.engine.knock import KNOCK, knock
from flows.customer.shop import shown
from flows.dialog.advance import Book, Turn
from flows.dialog.content import Content, Link, Template, Text, opens_form
from flows.dialog.ctx import Firm
from flows.dialog.events import Heard
from flows.login import ENTRY
from flows.values.ids import ConversationId, ItemId, TenantId, Wamid
from flows.values.secrets import mask_secrets
from flows.window import (
    Category,
    Park,
    Refuse,
    Rescue,
    Send,
    SendTemplate,
    free_until,
    may_knock,
    open_until,
)
from flows.window import decide as may_say
from handlers.actions import FormTicket, MarkRead, Say
from handlers.journal import (
    ConsentChange,
    Correction,
    Otherwise,
    ParkedRecord,
    Record,
    RefusedRecord,
    Said,
    TurnRecord,
)

PARKED_MAX: Final = 20
PARKED_FOR: Final = timedelta(days=7)
"""So long a message waits for the person that does not say for how long it is worth saying."""
KNOCK_EVERY_MS: Final = 7 * 86_400_000
FORM_MS: Final = 24 * 3_600_000  # a form is not answered later: its question is forgotten by then
MOVED: Final = "moved"  # the person has other addresses now
NOTHING: Final = Wamid("")
NO_ITEM: Final = ItemId("")

_json = Encoder().encode


@dataclass(slots=True)
class Draft:
    """How a conversation is by now, what leaves, and what is written down: what becomes a turn's `Decision`."""

    book: Book
    root: str
    """The root flow of the conversation, by name."""
    firm_of: Callable[[TenantId], Firm | None]
    firm: Firm
    id: ConversationId
    now: Conversation
    now_ms: int
    """Milliseconds since the epoch."""
    knock_every_ms: int
    """How often a person may be asked to tap so that what waits for them can be said; 0 = never."""
    pushes: list[tuple[str, bytes]] = field(default_factory=list)
    """(lane, body) of each action, in order."""
    records: list[Record] = field(default_factory=list)
    applied: frozenset[Wamid] = frozenset()
    """Edits and revokes that have changed a message before it was read."""

    def note(
        self,
        *,
        heard: Sequence[Heard] = (),
        said: tuple[Said, ...] = (),
        consents: tuple[ConsentChange, ...] = (),
        by_hand: tuple[Heard, ...] = (),
        corrections: tuple[Correction, ...] = (),
    ) -> None:
        """A turn that the flow has no part in."""
        told = heard or by_hand or corrections or consents
        self.now = replace(self.now, turn=self.now.turn + 1)
        self.records.append(
            TurnRecord(
                tenant=self.now.tenant,
                channel=self.now.channel,
                contact=self.now.contact,
                conversation=self.id,
                turn=self.now.turn,
                at=self.now_ms,
                # Addresses that were left are not theirs again by what is written down later.
                sender=self.now.sender if told and not self.now.left else None,
                heard=tuple(map(without_secrets, heard)),
                said=said,
                state=self.now.session.state,
                consents=consents,
                by_hand=tuple(map(without_secrets, by_hand)),
                corrections=corrections,
            )
        )

    def give_up(
        self,
        ref: str,
        fault: str,
        *,
        item: ItemId = NO_ITEM,
        code: int = 0,
    ) -> None:
        """A message that will never arrive: recorded, so that it is not missed in silence."""
        self.records.append(
            RefusedRecord(
                tenant=self.now.tenant, ref=ref, item=item, at=self.now_ms, fault=fault, code=code
            )
        )

    def other_firm(self, tenant: TenantId) -> Firm | None:
        """Another firm as far as its bot may be shown here: what it tells its customers, and nothing of theirs."""
        return shown(self.firm_of(tenant))

    def open_until(self) -> int:
        """When the window closes, ms since the epoch."""
        return open_until(self.now.window)

    def say(
        self,
        ref: str,
        turn: Turn,
        *,
        reads: Wamid,
        asked: bool,
        category: Category = "utility",
        expires: int = 0,
    ) -> list[Said]:
        """Say what a turn says; several messages in order, each an item of its own with its own reference.

        What is decided here is decided again when it leaves: then the person may have written, or have had enough.
        `category`: of its template. `expires`: as `Say.expires`.
        """
        assert turn.message is not None
        template = turn.template
        if turn.worth is not None:
            expires = self.now_ms + int(turn.worth.total_seconds() * 1000)
        contents = (*turn.ahead, turn.message)
        verdict = may_say(
            self.now.window,
            self.now_ms,
            rescue=None if template is None else Rescue(template.name, category),
            terms=self.now.terms(answers=asked),
        )
        if isinstance(verdict, SendTemplate):
            assert template is not None
            self.push_say(ref, template, stands_for=contents, answers=asked, expires=expires)
            otherwise = Otherwise(stands_for=contents, answers=asked, expires=expires)
            return [Said(ref, template, otherwise)]
        refs = refs_of(ref, contents)
        for n, (each, content) in enumerate(zip(refs, contents, strict=True)):
            match verdict:
                case Send():
                    first, last = n == 0, n == len(contents) - 1
                    self.push_say(
                        each,
                        content,
                        instead=template if last else None,
                        answers=asked,
                        expires=expires,
                        reads=reads if first else NOTHING,
                        quotes=turn.quotes if first else NOTHING,
                    )
                case Park():
                    self.park(each, content, answers=asked, expires=expires)
                case Refuse(reason=reason):
                    self.give_up(each, reason.value)
                case other:
                    assert_never(other)
        ending = Otherwise(instead=template, answers=asked, expires=expires)
        ahead = ending if len(refs) == 1 else replace(ending, instead=None)
        return [
            Said(each, content, ending if content is turn.message else ahead)
            for each, content in zip(refs, contents, strict=True)
        ]

    def push_say(
        self,
        ref: str,
        content: Content,
        *,
        instead: Template | None = None,
        stands_for: tuple[Content, ...] = (),
        answers: bool = True,
        expires: int = 0,
        again: bool = False,
        once: bool = False,
        reads: Wamid = NOTHING,
        quotes: Wamid = NOTHING,
    ) -> None:
        """One message into the lane. The arguments are the fields of `Say`."""
        self.push(
            Say(
                tenant=self.now.tenant,
                channel=self.now.channel,
                ref=ref,
                content=content,
                at=self.now_ms,
                instead=instead,
                stands_for=stands_for,
                answers=answers,
                expires=expires,
                again=again,
                once=once,
                quotes=quotes,
                reads=reads,
            )
        )

    def push(self, say: Say) -> None:
        """Into the lane, to the person as they are known now and at the pace that Meta allows."""
        if self.now.left:
            # Whoever has these addresses now is somebody else.
            self.give_up(say.ref, MOVED)
            return
        pair_ms, not_before = paced(self.now.pair_ms, self.now_ms)
        self.now = replace(self.now, pair_ms=pair_ms)
        if self.now.came_at and not isinstance(say.content, Template):
            until = free_until(first_answer=self.now_ms, came_at=self.now.came_at)
            self.now = replace(self.now, came_at=0, free_until=until)
        ticket = None
        if opens_form(say.content):
            ticket = FormTicket(
                conversation=self.id,
                contact=self.now.contact,
                locale=self.now.session.locale or self.firm.locale,
                until_ms=self.now_ms + FORM_MS,
            )
        say = replace(
            say,
            channel=self.now.channel,
            at=self.now_ms,
            to=self.now.sender.wa_id,
            recipient="" if self.now.sender.wa_id else self.now.sender.bsuid,
            open_until=self.open_until(),
            not_before=max(not_before, say.not_before),
            ticket=ticket,
        )
        self.pushes.append((f"wa/{self.id}", _json(say)))

    def push_read(self, message: Wamid, *, typing: bool) -> None:
        """Show that a message was read and, if `typing`, that an answer is being written."""
        read = MarkRead(
            tenant=self.now.tenant,
            channel=self.now.channel,
            message=message,
            typing=typing,
            at=self.now_ms,
        )
        self.pushes.append((f"wa/{self.id}", _json(read)))

    def shows_reading(self) -> bool:
        """Whether the firm lets people see that they were read."""
        return self.firm.settings.get("read_receipts") != "no"

    def park(self, ref: str, content: Content, *, answers: bool, expires: int) -> None:
        """A message waits until the person writes, at most until `expires` (ms since the epoch; 0: `PARKED_FOR`)."""
        if self.now.left:
            self.give_up(ref, MOVED)
            return
        expires = expires or self.now_ms + int(PARKED_FOR.total_seconds() * 1000)
        if expires <= self.now_ms:
            self.give_up(ref, "expired")
            return
        parked = (*self.now.parked, Parked(ref, content, expires, answers))
        for given_up in parked[:-PARKED_MAX]:
            self.give_up(given_up.ref, "too_many_parked")
        self.now = replace(self.now, parked=parked[-PARKED_MAX:])
        self.records.append(
            ParkedRecord(tenant=self.now.tenant, ref=ref, at=self.now_ms, until=expires)
        )

    def unpark(self) -> None:
        """Say what waited, in order, if the window is open."""
        if not self.now.parked or self.now_ms >= self.open_until():
            return  # a message that comes a day late opens nothing
        for parked in self.now.parked:
            self.push_say(
                parked.ref, parked.content, answers=parked.answers, expires=parked.expires
            )
        self.now = replace(self.now, parked=())

    def expire(self) -> None:
        """Give up what has waited for too long."""
        for parked in self.now.parked:
            if parked.expires <= self.now_ms:
                self.give_up(parked.ref, "expired")
        left = tuple(parked for parked in self.now.parked if parked.expires > self.now_ms)
        if len(left) < len(self.now.parked):
            self.now = replace(self.now, parked=left)

    def knock(self, *, answers: bool) -> None:
        """Ask the person to tap, if something waits that they asked for and they were not asked lately."""
        if not self.now.parked or not may_knock(
            self.now_ms, knocked=self.now.knocked, every_ms=self.knock_every_ms
        ):
            return
        # Whether Meta lets it out is known when it leaves.
        verdict = may_say(
            self.now.window,
            self.now_ms,
            rescue=Rescue(KNOCK, reopens=True),
            terms=self.now.terms(answers=answers),
        )
        if not answers or verdict != Park(knock=KNOCK):
            return
        self.now = replace(self.now, knocked=self.now_ms)
        template = knock(
            self.firm,
            name=self.now.sender.name,
            asked_at=self.now.last_in,
            locale=self.now.session.locale or self.firm.locale,
        )
        ref = f"{self.id}-{self.now.turn + 1}"
        self.note(said=(Said(ref, template),))
        self.push_say(ref, template, once=True)

    def at(self, ms: int) -> datetime:
        """A moment on the firm's own clock."""
        return datetime.fromtimestamp(ms / 1000, ZoneInfo(self.firm.zone))

    def wake_ms(self) -> int:
        """When the conversation is to be looked at though nothing happened, ms since the epoch; 0 = never."""
        at = self.now.session.wake_at()
        moments = [parked.expires for parked in self.now.parked]
        moments += [early.until for early in self.now.early]
        if self.now.settle_ms:
            moments.append(self.now.settle_ms)
        if at is not None:
            moments.append(int(at.timestamp() * 1000))
        return min(moments, default=0)


def without_secrets(heard: Heard) -> Heard:
    """The message as it may be written down: card numbers and passwords masked."""
    text = mask_secrets(heard.text)
    return heard if text == heard.text else replace(heard, text=text)


def without_keys(said: Said) -> Said:
    """What was said as it may be written down: a link that lets its holder in leads to the page alone."""
    match said.content:
        case Link(url=url) if ENTRY in url:
            return replace(said, content=replace(said.content, url=url.partition(ENTRY)[0]))
        case Text(body=body) if ENTRY in body:
            return replace(said, content=replace(said.content, body=body.partition(ENTRY)[0]))
        case _:
            return said


def refs_of(ref: str, contents: Sequence[Content]) -> list[str]:
    """A reference for each message of a turn; the plain one if there is only one."""
    return [f"{ref}-{n}" for n in range(1, len(contents) + 1)] if len(contents) > 1 else [ref]
