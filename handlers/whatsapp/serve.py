"""Serves the lanes `wa/<conversation>`: sends what turns decided to say.

The send API has no idempotency key. The item's lease is the record of "sending": whoever finds an item whose
last holder vanished, or whose request broke off, first waits for a status that names the item. Only silence
from a healthy intake allows a second request.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, assert_never

import msgspec
import structlog

from flows.dialog.content import (
    Audio,
    Content,
    Document,
    Image,
    Sticker,
    Template,
    Text,
    Video,
    body_of,
    files_of,
)
from flows.values.ids import ChannelId, ConversationId, FileId, Wamid
from flows.values.phone import country_of
from flows.window import (
    Category,
    Park,
    Reason,
    Refuse,
    Rescue,
    Send,
    SendTemplate,
    decide,
    is_free,
    refuse_template,
)
from handlers.actions import MarkRead, Say, SendAction, SendCode
from handlers.events import Refused
from handlers.journal import RefusedRecord, SentRecord
from handlers.ports import (
    Again,
    Before,
    Budget,
    Care,
    Channel,
    Clock,
    CodeLetters,
    Dead,
    Directory,
    Done,
    Doubt,
    FilesDownError,
    IntakeHealth,
    Item,
    Limits,
    Outcome,
    Standing,
    Standings,
    StoreDownError,
)
from handlers.whatsapp import payload
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import (
    GraphError,
    GraphFault,
    HeldBackError,
    MaybeSentError,
    NotSentError,
)
from handlers.whatsapp.faults import Fault, Reaction
from handlers.whatsapp.form_tokens import FormTokens, NoFormKeyError
from handlers.whatsapp.meter import Meter
from handlers.whatsapp.pauses import Pauses
from handlers.whatsapp.uploads import UnfitError, Uploads

RESET_DOUBT_MS: Final = 15_000  # after a broken request; statuses come within seconds
OUTAGE_DOUBT_MS: Final = (
    60_000  # after a crash or an outage of ours; Meta repeats webhooks with back-off
)

BACKOFF_MS: Final = 1_000
BACKOFF_MS_MAX: Final = 300_000
PAIR_DOUBLINGS_MAX: Final = 8  # Meta: 4^X s; X ends at 4, the pair has recovered long before
UNREACHABLE_REST_MS: Final = 2_000
NO_CHANNEL_MS: Final = 300_000

UPLOAD_CODES: Final = frozenset((100, 131009, 131053))
"""What Meta says of a file that it does not have any more, or could not take."""

CODE_AGE_MS_MAX: Final = 300_000  # a one-time code is of no use later
TEMPLATE_AGE_MS_MAX: Final = 86_400_000  # what could not be sent for a day is not news any more
TEMPLATE_REST_MS: Final = 900_000
"""A template that Meta refused is left alone for so long: until then it has been read again."""

RECEIPT_AGE_MS_MAX: Final = 180_000
RECEIPT_S_MAX: Final = 5.0
TYPING_S_MAX: Final = 1.0  # the dots must not come after the answer, nor the answer wait for them
RECEIPTS_MAX: Final = 100  # under way at once; more are left out

log = structlog.get_logger()

_decoder: Final = msgspec.json.Decoder(SendAction)


class WhatsAppSender:
    """The handler of kind `wa`. `close` it at shutdown."""

    def __init__(
        self,
        graph: Graph,
        *,
        directory: Directory,
        standings: Standings,
        limits: Limits,
        budget: Budget,
        intake: IntakeHealth,
        care: Care,
        clock: Clock,
        meter: Meter,
        jitter: Callable[[], float],
        uploads: Uploads,
        forms: FormTokens,
        letters: CodeLetters,
        reset_doubt_ms: int = RESET_DOUBT_MS,
        outage_doubt_ms: int = OUTAGE_DOUBT_MS,
    ) -> None:
        """`jitter`: evenly spread in [0, 1), e.g. `random.random`. The doubts are shorter only in trials."""
        self._graph = graph
        self._directory = directory
        self._standings = standings
        self._limits = limits
        self._budget = budget
        self._intake = intake
        self._care = care
        self._clock = clock
        self._meter = meter
        self._jitter = jitter
        self._uploads = uploads
        self._forms = forms
        self._letters = letters
        self._reset_doubt_ms = reset_doubt_ms
        self._outage_doubt_ms = outage_doubt_ms
        self._pauses = Pauses()
        self._rests: dict[str, tuple[int, str]] = {}
        """What is left alone until when (ms since the epoch) and why: templates, and the initiative of numbers."""
        self._receipts: set[asyncio.Task[None]] = set()

    @property
    def kind(self) -> str:
        return "wa"

    async def serve(self, item: Item) -> Outcome:
        try:
            action = _decoder.decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        match action:
            case Say():
                return await self._say(action, item)
            case MarkRead():
                return await self._mark(action, item)
            case SendCode():
                return await self._code(action, item)
            case _:
                assert_never(action)

    async def _code(self, code: SendCode, item: Item) -> Outcome:
        """A code goes out like a message that is never sent twice. It leaves no trace: no record, no event."""
        if item.proof is None and self._clock.now_ms() >= code.expires:
            self._meter.count("whatsapp_send", "code_expired")
            return Done()
        letter = self._letters.open(item.conversation, code.sealed)
        if letter is None:
            return Dead("not_ours")
        phone, digits = letter
        say = Say(
            tenant=code.tenant,
            channel=code.channel,
            ref=item.conversation,
            content=Template(name=code.template, language=code.language, code=digits),
            at=code.at,
            to=phone,
            once=True,
        )
        outcome = await self._say(say, item)
        match outcome:
            case Done():
                return Done()
            case Dead(why=why):
                return Dead(why)
            case _:
                return outcome

    async def close(self) -> None:
        """Give up the receipts that are still under way."""
        for task in self._receipts:
            task.cancel()
        await asyncio.gather(*self._receipts, return_exceptions=True)

    # -------------------------------------------------------------- messages

    async def _say(self, say: Say, item: Item) -> Outcome:
        if item.proof is not None:
            return self._sent(say, item, Wamid(item.proof.decode()), proved=True)
        if (unsettled := await self._settle(say, item)) is not None:
            return unsettled
        now = self._clock.now_ms()
        if (early := say.not_before - now) > 0:
            return Again(early, "pair_limit", counts=False)
        if 0 < say.expires <= now:
            return self._refused(say, item, "expired")
        content = await self._form(say, item.conversation, now)
        if isinstance(content, str):
            return self._refused(say, item, content)
        if now - max(say.at, say.not_before) > _age_max(say, content):
            return self._refused(say, item, "expired")
        line = await self._line(say.channel)
        if isinstance(line, Again):
            return line
        channel, token = line
        number, per_s = channel.phone_number_id, channel.throughput
        if wait := self._pauses.wait_ms(number, token, now_ms=now):
            return Again(self._spread(wait), "number_paused", counts=False)
        if wait := await self._limits.take(f"number:{number}", per_s=per_s, burst=per_s):
            self._pauses.give_back(number, now_ms=now)
            return Again(wait, "number_limit", counts=False)
        category = self._category(say, content)
        paid = await self._budget.take(say.tenant, say.channel, category, answers=say.answers)
        if not paid and not await self._costs_nothing(item.conversation, now):
            self._pauses.give_back(number, now_ms=now)
            return self._refused(say, item, Reason.BUDGET_SPENT.value)
        if say.reads:
            self._beside(number, token, payload.receipt(say.reads, typing=False))
        outcome = await self._post(say, item, content, channel=channel, token=token)
        match outcome:
            case Again() | Dead() | Done(event=Refused()) if paid:
                self._budget.give_back(say.tenant, say.channel, category, answers=say.answers)
            case _:
                pass  # sent, or in doubt
        return outcome

    async def _costs_nothing(self, conversation: ConversationId, now: int) -> bool:
        standing = await self._standings.standing(conversation)
        return is_free(standing.window, now)

    async def _form(self, say: Say, conversation: ConversationId, now: int) -> Content | str:
        """The form in which it may leave at this moment, or the fault for which it may not.

        An answer within the window that its turn knew of needs no look at how things stand: they can only be better.
        """
        content = say.content
        free_form = not isinstance(content, Template)
        if free_form and say.answers and now < say.open_until:
            return content
        standing = await self._standings.standing(conversation)
        if not say.answers and (why := self._resting(say.channel, now)):
            return why
        terms = replace(standing.terms, answers=say.answers)
        if isinstance(content, Template):
            refusal = refuse_template(
                self._rescue(say, content, now), now, window=standing.window, terms=terms
            )
            return content if refusal is None else refusal.reason.value
        rescue = None if say.instead is None else self._rescue(say, say.instead, now)
        match decide(standing.window, now, rescue=rescue, terms=terms):
            case Send():
                return content
            case SendTemplate() if say.instead is not None:
                return say.instead
            case Refuse(reason=reason):
                return reason.value
            case Park() | SendTemplate():
                return "window_closed"
            case other:
                assert_never(other)

    def _rescue(self, say: Say, template: Template, now: int) -> Rescue:
        """A template as far as it is known. One that nobody knows may answer, and nothing else: it may be an offer."""
        resting = self._resting(_template_key(say.channel, template), now)
        known = self._directory.template(say.channel, template.name, template.language)
        if known is None:
            category: Category = "authentication" if template.code else "utility"
            return Rescue(template.name, category, approved=say.answers and not resting)
        return Rescue(
            template.name, known.category, approved=known.status == "APPROVED" and not resting
        )

    async def _instead(self, say: Say, item: Item) -> Template | None:
        """The template that may leave in place of words which Meta takes no more."""
        if say.instead is None:
            return None
        now = self._clock.now_ms()
        standing: Standing = await self._standings.standing(item.conversation)
        refusal = refuse_template(
            self._rescue(say, say.instead, now),
            now,
            window=standing.window,
            terms=replace(standing.terms, answers=say.answers),
        )
        return say.instead if refusal is None else None

    def _category(self, say: Say, content: Content) -> str:
        """What Meta will bill it as, as far as we can tell."""
        if not isinstance(content, Template):
            return "service"
        known = self._directory.template(say.channel, content.name, content.language)
        if known is not None:
            return known.category
        return "authentication" if content.code else "utility"

    def _resting(self, what: str, now: int) -> str:
        """Why something is left alone now; empty if it is not."""
        until, why = self._rests.get(what, (0, ""))
        return why if now < until else ""

    async def _settle(self, say: Say, item: Item) -> Outcome | None:
        """What to do about an earlier attempt that may have taken effect; None = it did not, go on."""
        if item.before is Before.CLEAN:
            return None
        if item.before is Before.VANISHED:
            return Doubt(self._outage_doubt_ms, "vanished")
        # The time that the doubt asked for has passed: 15 s after a broken request, 60 s after a crash. It
        # proves nothing if statuses could not come in. An intake that is up for less than 60 s was down
        # meanwhile, which makes this an outage of ours: wait for what is missing.
        missing = self._outage_doubt_ms - await self._intake.healthy_ms()
        if missing > 0:
            return Doubt(missing, "intake_gap", counts=False)
        if say.once:
            return self._refused(say, item, "unconfirmed", dead=True)
        return None

    async def _post(
        self,
        say: Say,
        item: Item,
        content: Content,
        *,
        channel: Channel,
        token: str,
        refused: Mapping[FileId, str] | None = None,
    ) -> Outcome:
        """Send it; the files that it shows go up first. `refused`: Meta's ids of them that it did not take."""
        number = channel.phone_number_id
        files, ids = files_of(content), payload.NO_UPLOADS
        said = content
        try:
            if say.ticket is not None:
                said = self._forms.sealed(content, say.ticket, channel)
            if files:
                ids = await self._uploads.meta_ids(
                    say.tenant, files, channel, token, refused=refused or {}
                )
            body = payload.message(
                said,
                to=say.to,
                recipient=say.recipient,
                item=item.id,
                quotes=say.quotes,
                uploads=ids,
            )
            accepted = await self._graph.post_message(number, token, body, may_leave=item.is_ours)
        except NoFormKeyError:
            self._pauses.give_back(number, now_ms=self._clock.now_ms())
            log.warning("whatsapp.no_form_key", item=item.id, channel=channel.id)
            return self._refused(say, item, "no_form_key")
        except UnfitError as error:
            self._pauses.give_back(number, now_ms=self._clock.now_ms())
            return await self._words(say, item, content, error.why, channel=channel, token=token)
        except GraphFault as refusal:
            if files and refusal.code in UPLOAD_CODES and refused is None:
                # Meta lost a file before its time, or stumbled over it: once more from the beginning.
                return await self._post(
                    say, item, content, channel=channel, token=token, refused=ids
                )
            if files and refusal.fault.name == "media_upload":
                return await self._words(
                    say, item, content, refusal.fault.name, channel=channel, token=token
                )
            return await self._react(refusal, say, item, content, channel=channel, token=token)
        except NotSentError as error:
            self._rest(number, token, "unreachable", rest_ms=UNREACHABLE_REST_MS)
            log.warning("whatsapp.unreachable", item=item.id, error=str(error))
            return Again(self._spread(UNREACHABLE_REST_MS), "unreachable", counts=False)
        except HeldBackError:
            # We stood still for longer than our lease, and somebody else may be sending it.
            self._pauses.give_back(number, now_ms=self._clock.now_ms())
            self._meter.count("whatsapp_send", "held_back")
            log.warning("whatsapp.held_back", item=item.id)
            return Again(0, "stood_still", counts=False)
        except MaybeSentError as error:
            self._meter.count("whatsapp_send", "doubt")
            log.warning("whatsapp.send_in_doubt", item=item.id, error=str(error))
            return Doubt(self._reset_doubt_ms, "broken_request")
        self._pauses.end(number)
        if self._directory.is_held(say.channel):
            await self._tell_care(self._care.recovered(say.channel))
        self._meter.count("whatsapp_send", "held" if accepted.held else "accepted")
        if accepted.held:
            log.warning("whatsapp.held_for_quality", item=item.id)
        if content is not say.content:
            kind = "template" if isinstance(content, Template) else "link"
            log.info("whatsapp.instead", item=item.id, ref=say.ref, kind=kind)
        return self._sent(say, item, accepted.wamid, content=content)

    async def _words(
        self, say: Say, item: Item, content: Content, why: str, *, channel: Channel, token: str
    ) -> Outcome:
        """A file that Meta does not take is given as a link below its words; what is more than a file is refused."""
        self._meter.count("whatsapp_fault", why)
        log.warning("whatsapp.file_not_taken", item=item.id, why=why)
        if isinstance(content, Image | Video | Audio | Document | Sticker):
            try:
                links = await self._uploads.links(say.tenant, files_of(content))
            except FilesDownError:
                return Again(self._spread(UNREACHABLE_REST_MS), "files_down", counts=False)
            if links:
                text = Text("\n".join(filter(None, (body_of(content), *links))))
                return await self._post(say, item, text, channel=channel, token=token)
        return self._refused(say, item, why)

    async def _react(
        self,
        refusal: GraphFault,
        say: Say,
        item: Item,
        content: Content,
        *,
        channel: Channel,
        token: str,
    ) -> Outcome:
        fault = refusal.fault
        number = channel.phone_number_id
        self._meter.count("whatsapp_fault", fault.name)
        tell = log.error if fault.alert else log.info
        tell(
            "whatsapp.fault",
            item=item.id,
            phone_number_id=number,
            fault=fault.name,
            code=refusal.code,
            details=refusal.details,
        )
        if fault.alert:
            await self._tell_care(self._care.trouble(say.channel, fault.name, refusal.code))
        if fault.template:
            # What we know of it is not what Meta knows.
            await self._tell_care(self._care.examine(channel))
        asked_ms = refusal.retry_after_s * 1000
        self._leave_alone(fault, say, content)
        if fault.reaction is not Reaction.PAUSE:
            self._pauses.end(number)
        match fault.reaction:
            case Reaction.RETRY | Reaction.PAIR:
                if item.tries >= fault.tries_max:
                    return self._refused(say, item, fault.name, code=refusal.code, dead=True)
                return Again(max(self._backoff(fault, item.tries), asked_ms), fault.name)
            case Reaction.PAUSE:
                rest_ms = fault.rest_s * 1000
                self._rest(number, token, fault.name, rest_ms=rest_ms, least_ms=asked_ms)
                wait = self._pauses.wait_ms(number, token, now_ms=self._clock.now_ms())
                return Again(self._spread(max(wait, BACKOFF_MS)), fault.name, counts=False)
            case Reaction.WINDOW:
                if content is not say.instead and (instead := await self._instead(say, item)):
                    outcome = await self._post(say, item, instead, channel=channel, token=token)
                    return self._told_closed(outcome, say, item, refusal.code)
                return self._refused(say, item, fault.name, code=refusal.code)
            case Reaction.REFUSE:
                return self._refused(say, item, fault.name, code=refusal.code)
            case Reaction.DEAD:
                # What a template stood for waits for the person: replayed, it would be said twice.
                waits = say.answers and (say.stands_for or content is not say.content)
                dead = not waits and not say.once
                return self._refused(say, item, fault.name, code=refusal.code, dead=dead)
            case _:
                assert_never(fault.reaction)

    def _leave_alone(self, fault: Fault, say: Say, content: Content) -> None:
        until_ms = self._clock.now_ms()
        if fault.template and isinstance(content, Template):
            key = _template_key(say.channel, content)
            self._rests[key] = (until_ms + TEMPLATE_REST_MS, fault.name)
        if fault.halts_s:
            self._rests[say.channel] = (until_ms + fault.halts_s * 1000, fault.name)

    def _told_closed(self, outcome: Outcome, say: Say, item: Item, code: int) -> Outcome:
        """The template went in place of words that Meta did not take: the conversation learns that its window is closed."""
        if not isinstance(outcome, Done) or outcome.event is not None:
            return outcome
        closed = Refused(
            ref=say.ref, fault="window_closed", code=code, item=item.id, say=say, replaced=True
        )
        return Done(records=outcome.records, event=closed)

    def _sent(
        self,
        say: Say,
        item: Item,
        wamid: Wamid,
        *,
        content: Content | None = None,
        proved: bool = False,
    ) -> Done:
        stood_in = content is not say.content or (say.again and say.stands_for)
        record = SentRecord(
            tenant=say.tenant,
            ref=say.ref,
            item=item.id,
            wamid=wamid,
            at=self._clock.now_ms(),
            proved=proved,
            channel=say.channel,
            # A status has proved it: then the status tells what it is billed as.
            category=self._category(say, content) if content is not None else "",
            country=country_of(say.to) or country_of(say.recipient),
            left_as=content if isinstance(content, Template) and stood_in else None,
            again=say.again,
        )
        return Done(records=(record,))

    def _refused(
        self, say: Say, item: Item, fault: str, *, code: int = 0, dead: bool = False
    ) -> Done | Dead:
        """The message will not be sent: it is recorded, and the conversation is told."""
        self._meter.count("whatsapp_send", "refused")
        record = RefusedRecord(
            tenant=say.tenant,
            ref=say.ref,
            item=item.id,
            at=self._clock.now_ms(),
            fault=fault,
            code=code,
        )
        event = Refused(ref=say.ref, fault=fault, code=code, item=item.id, say=say)
        if dead:
            return Dead(fault, records=(record,), event=event)
        return Done(records=(record,), event=event)

    # -------------------------------------------------------------- receipts

    async def _mark(self, mark: MarkRead, item: Item) -> Outcome:
        """Best effort: one try, no doubt, and never in the way of the answer."""
        now = self._clock.now_ms()
        late = mark.at > 0 and now - mark.at > RECEIPT_AGE_MS_MAX
        line = self._known_line(mark.channel)
        if late or item.before is not Before.CLEAN or line is None:
            return Done()
        channel, token = line
        number = channel.phone_number_id
        body = payload.receipt(mark.message, typing=mark.typing)
        if mark.typing:
            await self._receipt(number, token, body, within_s=TYPING_S_MAX)
        else:
            self._beside(number, token, body)
        return Done()

    def _beside(self, number: str, token: str, body: bytes) -> None:
        if len(self._receipts) >= RECEIPTS_MAX:
            self._meter.count("whatsapp_receipt", "left_out")
            return
        task = asyncio.create_task(self._receipt(number, token, body, within_s=RECEIPT_S_MAX))
        self._receipts.add(task)
        task.add_done_callback(self._receipts.discard)

    async def _receipt(self, number: str, token: str, body: bytes, *, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._graph.post_receipt(number, token, body)
        except (GraphError, TimeoutError):
            self._meter.count("whatsapp_receipt", "failed")
        else:
            self._meter.count("whatsapp_receipt", "taken")

    # -------------------------------------------------------------- the number

    async def _line(self, channel_id: ChannelId) -> tuple[Channel, str] | Again:
        """The channel and its token. Without them the outbox is kept until they are there."""
        line = self._known_line(channel_id)
        if line is None and await self._directory.look_again():
            # It was added a moment ago, and another process has heard of it already.
            line = self._known_line(channel_id)
        if line is not None:
            return line
        channel = self._directory.channel(channel_id)
        why = "no_channel" if channel is None else "no_token"
        self._meter.count("whatsapp_fault", why)
        if self._pauses.begin(channel_id, "", now_ms=self._clock.now_ms(), rest_ms=NO_CHANNEL_MS):
            log.error("whatsapp.cannot_send", channel=channel_id, why=why)
        return Again(self._spread(NO_CHANNEL_MS), why, counts=False)

    def _known_line(self, channel_id: ChannelId) -> tuple[Channel, str] | None:
        channel = self._directory.channel(channel_id)
        token = self._directory.token(channel_id)
        return (channel, token) if channel is not None and token else None

    def _rest(self, number: str, token: str, why: str, *, rest_ms: int, least_ms: int = 0) -> None:
        rest = self._pauses.begin(
            number, token, now_ms=self._clock.now_ms(), rest_ms=rest_ms, least_ms=least_ms
        )
        if rest:
            log.warning("whatsapp.number_rests", phone_number_id=number, why=why, rest_ms=rest)

    async def _tell_care(self, news: Awaitable[None]) -> None:
        """What becomes of the message does not depend on it: if it is lost, the next one tells it again."""
        with contextlib.suppress(StoreDownError):
            await news

    # -------------------------------------------------------------- waiting

    def _backoff(self, fault: Fault, tries: int) -> int:
        doublings = max(tries - 1, 0)
        if fault.reaction is Reaction.PAIR:
            # Meta: 4^X seconds, X = 0, 1, 2 …
            return self._spread(BACKOFF_MS << min(2 * doublings, PAIR_DOUBLINGS_MAX))
        return self._spread(min(BACKOFF_MS << min(doublings, 20), BACKOFF_MS_MAX))

    def _spread(self, wait_ms: int) -> int:
        """The wait and up to a quarter more, so that what waited together does not come back together."""
        return wait_ms + int(wait_ms * 0.25 * self._jitter())


def _template_key(channel: ChannelId, template: Template) -> str:
    return f"{channel}/{template.name}/{template.language}"


def _age_max(say: Say, content: Content) -> float:
    """How old a message may be and still be sent, in ms. Free-form content ends with its window."""
    if say.once:
        return CODE_AGE_MS_MAX
    if say.expires:
        return math.inf
    return TEMPLATE_AGE_MS_MAX if isinstance(content, Template) else math.inf
