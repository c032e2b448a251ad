"""What the engine promises, held against everything that lies in the store and everything that happened outside.

The witness is told what people, processes and outer systems do, and looks into the store after each step. A promise
is stated where it is judged, in the words of its assertion.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from msgspec import MsgspecError
from msgspec.json import Decoder

from bot.app import Waits
from bot.engine.conversation import decode as decode_conversation
from bot.lanes import Taken
from flows.dialog.content import Content, Template
from flows.dialog.content import Text as TextContent
from flows.values.ids import ConversationId, ItemId, Wamid
from flows.window import MARGIN_MS, SERVICE_MS
from handlers.actions import Say, SendAction
from handlers.events import Answered, Arrived, Event
from handlers.journal import (
    CampaignRecord,
    HandoffRecord,
    JoinedRecord,
    MovedRecord,
    ParkedRecord,
    Record,
    RefusedRecord,
    Said,
    SentRecord,
    StatusRecord,
    StatusSeen,
    TurnRecord,
)
from tests.bot.engine.errand import PAUSE_MS, Talk
from tests.bot.engine.outside import PEOPLE, Answer, Message, Outside, Post
from tests.bot.engine.still import NEVER, Lease, Moment
from tests.bot.engine.store import DOUBTED, FREE, Lane, Store

GAP_MS: Final = 3_000  # an intake that is silent for longer was down
PAUSES_MAX: Final = 4  # a person who never stops typing is answered after so many pauses
PAIR_EVERY_MS: Final = 6_000  # Meta: one message to a person each 6 s …
PAIR_BURST: Final = 45  # … and up to 45 ahead of that
TRIES_MAX: Final = 5  # then an event is set aside

_decode_event: Final = Decoder[Event](Event).decode
_decode_action: Final = Decoder[SendAction](SendAction).decode
_decode_record: Final = Decoder[Record](Record).decode


@dataclass
class Line:
    """A message that a turn decided to send."""

    ref: str
    body: str
    parked: bool
    at_ms: int
    earliest_ms: int = 0
    """When the pair limit lets it go, reckoned from its turn."""


@dataclass
class Story:
    """One conversation, as far as it is known."""

    person: int
    talk: Talk = field(default_factory=Talk)
    turn: int = 0
    waiting: list[tuple[Wamid, int]] = field(default_factory=list)
    """What lies in the lane and no turn has heard, and when it was first seen there (ms)."""
    results: dict[str, int] = field(default_factory=dict)
    """When the result of an order was first seen in the lane (ms), by the order's words."""
    said: list[Line] = field(default_factory=list)
    last_in_ms: int = 0
    """When the person wrote the latest message that was heard."""
    shut_at_ms: int = -1
    """Meta has said that its window is closed, of a message of this moment; -1: or they have written since."""
    pair_ms: int = 0
    reached: int = 0
    """Place in `said` of the latest message that was posted."""
    detours: set[str] = field(default_factory=set)
    """Refs that were parked or refused: they may come later than their turn says."""
    leased_ms: int = 0
    """When the latest lease was first seen."""
    silent: int = 0
    """Leases that ended without a word since something was heard."""


class Witness:
    def __init__(self, outside: Outside, waits: Waits) -> None:
        self.outside = outside
        self.waits = waits
        self.clock = outside.clock
        self.store = Store()
        self.stories: dict[ConversationId, Story] = {}
        # what was heard
        self.kept: Counter[Wamid] = Counter()
        """How often a message was put into a lane: once, and once more for each replay."""
        self.heard: Counter[Wamid] = Counter()
        self.set_aside: Counter[Wamid] = Counter()
        self.replayed: Counter[Wamid] = Counter()
        self.acknowledged: set[StatusSeen] = set()
        self.journaled: set[StatusSeen] = set()
        # what was sent
        self.items: dict[ItemId, bytes] = {}
        """Every item that was ever seen in a lane."""
        self.ends: Counter[ItemId] = Counter()
        """How often it was recorded what became of a send."""
        self.sent: dict[str, set[Wamid]] = defaultdict(set)
        self.refused: dict[str, list[str]] = defaultdict(list)
        self.given_up: dict[ItemId, Moment] = {}
        """When the lease began under which a send was refused."""
        self.parking: set[str] = set()
        """Refs that the latest look showed to wait for the person."""
        self.sent_again: set[str] = set()
        """Refs whose dead letter was replayed."""
        # how it was worked
        self.lines: list[tuple[int, bytes]] = []
        """(shard, line): the whole journal."""
        self.leases: set[tuple[str, int]] = set()
        """(lane, token) of those that a process knows to have."""
        self.tokens: dict[tuple[str, int], int] = {}
        """When each was first seen, or renewed (ms)."""
        self.lease: Lease | None = None
        """Under which the latest thing was done."""
        self.up: list[tuple[int, int]] = [(0, 0)]
        """Stretches in which our intake was up: from the first beat to the last (ms)."""
        self.has_refused = False
        outside.judge = self.judge_post

    # -------------------------------------------------------------- told

    def beat(self) -> None:
        """Our intake says that it is up."""
        now = self.clock.ms
        since, last = self.up[-1]
        if now - last <= GAP_MS and not self.has_refused:
            self.up[-1] = since, now
        else:
            self.up.append((now, now))
        self.has_refused = False

    def refused_statuses(self) -> None:
        """Our intake could not keep a status: what it was told until then proves no silence."""
        self.has_refused = True

    def was_healthy(self, since: Moment) -> bool:
        """Whether our intake had been up, at some time since then, for long enough to prove a silence."""
        return any(
            min(self.clock.ms, last + GAP_MS) - first >= self.waits.outage_doubt_ms
            for first, last in self.up
            if last + GAP_MS >= since.ms
        )

    def leased(self, takens: Sequence[Taken]) -> None:
        self.leases |= {(taken.lane, taken.token) for taken in takens}

    def renewed(self, taken: Taken) -> None:
        if self.store.lane(taken.lane).token == taken.token:
            self.tokens[taken.lane, taken.token] = self.clock.ms

    def renewed_lane(self, name: str) -> None:
        """Some leases were renewed, perhaps this one."""
        self.tokens[name, self.store.lane(name).token] = self.clock.ms

    def answered_200(self, messages: Sequence[Message], statuses: Sequence[StatusSeen]) -> None:
        now = self.outside.now()
        for message in messages:
            message.acknowledged = message.acknowledged or now
            assert self.kept[message.wamid], "nothing is acknowledged before it is durable"
        for status in statuses:
            self.acknowledged.add(status)
            self.outside.proofs.setdefault(status.item, now)

    def replays(self, item: ItemId) -> None:
        """An operator puts a dead letter back."""
        body = self.store.dead[item]
        match item.partition("/")[0]:
            case "conv":
                event = _event(body)
                if isinstance(event, Arrived):
                    self.replayed[event.heard.id] += 1
            case "wa":
                action = _decode_action(body)
                assert isinstance(action, Say)
                self.sent_again.add(action.ref)
            case _:
                pass  # an order: the works know it by its key

    # -------------------------------------------------------------- seen

    def sees(self, store: Store, lease: Lease | None = None) -> None:
        """One look into the store, after something was done under a lease."""
        self.lease = lease
        before, self.store = self.store, store
        for name, lane in store.lanes.items():
            was = before.lane(name)
            for item, body in lane.items.items():
                if item not in was.items:
                    assert item not in self.items, "an item's id never repeats"
                    self.items[item] = body
                    self._came(name, body)
            self._judge_lane(name, was, lane)
        records = [_decode_record(raw) for _, raw in store.lines]
        self.parking = {record.ref for record in records if isinstance(record, ParkedRecord)}
        for record in records:
            self._journaled(record)
        self.lines += store.lines

    def _came(self, lane: str, body: bytes) -> None:
        kind, _, conversation = lane.partition("/")
        event = _event(body) if kind == "conv" else None
        match event:
            case Arrived(sender=sender, heard=heard):
                person = PEOPLE.index(sender)
                story = self.stories.setdefault(ConversationId(conversation), Story(person))
                assert story.person == person, "a person has one conversation"
                self.kept[heard.id] += 1
                assert self.kept[heard.id] <= 1 + self.replayed[heard.id], "a redelivery is no news"
                story.waiting.append((heard.id, self.clock.ms))
            case Answered(result=result) if result.failed is None:
                story = self.stories[ConversationId(conversation)]
                words = self.outside.made[ConversationId(conversation), result.seq]
                story.results.setdefault(words, self.clock.ms)
            case _:
                pass

    def _journaled(self, record: Record) -> None:
        match record:
            case TurnRecord():
                story = self.stories[record.conversation]
                if record.failed:
                    self._judge_set_aside(story, record)
                else:
                    self._judge_turn(story, record)
                story.silent = 0
            case SentRecord():
                self.ends[record.item] += 1
                self.sent[record.ref].add(record.wamid)
            case RefusedRecord():
                self.ends[record.item] += 1
                self.refused[record.ref].append(record.fault)
                self.given_up[record.item] = self.lease.since if self.lease else NEVER
                story = self._story_of(record.ref)
                story.detours.add(record.ref)
                if record.code == Answer.WINDOW_CLOSED.code:
                    said_ms = [line.at_ms for line in story.said if line.ref == record.ref]
                    story.shut_at_ms = max(story.shut_at_ms, *said_ms)
            case ParkedRecord():
                self._story_of(record.ref).detours.add(record.ref)
            case StatusRecord():
                self.journaled |= set(record.statuses)
            case HandoffRecord():
                raise AssertionError("nobody asked for a person")
            case CampaignRecord():
                raise AssertionError("nobody began a campaign")
            case MovedRecord() | JoinedRecord():
                raise AssertionError("everybody stays who they are")
            case other:
                assert_never(other)

    def _story_of(self, ref: str) -> "Story":
        return self.stories[ConversationId(ref.rpartition("-")[0])]

    # -------------------------------------------------------------- promises: lanes

    def _judge_lane(self, name: str, was: Lane, lane: Lane) -> None:
        if lane.token != FREE or lane.items:
            assert lane.due_ms is not None, "a lane with work is due at some time"
        if lane.token == FREE and lane.items and name.startswith("conv/"):
            assert (lane.due_ms or 0) <= self.clock.ms + PAUSE_MS, (
                "an event waits for a pause at most"
            )
        if lane.token <= FREE:
            return
        since = self.tokens.setdefault((name, lane.token), self.clock.ms)
        if (name, lane.token) in self.leases:
            assert (lane.due_ms or 0) <= since + self.waits.lease_ms, "a lease ends when it should"
        kind, _, conversation = name.partition("/")
        story = self.stories.get(ConversationId(conversation))
        if kind == "conv" and story is not None:
            story.leased_ms = since
            story.silent += was.token > FREE and was.token != lane.token

    def judge_claim(
        self, shard: int, kind: str, most: int, takens: Sequence[Taken], began_ms: int
    ) -> None:
        """The longest due first: whoever waits is carried after as many claims as others wait longer."""
        due = self.store.due(kind, shard)
        must = [name for at, name in due if at <= began_ms][:most]
        may = [name for at, name in due if at <= self.clock.ms][:most]
        got = [taken.lane for taken in takens]
        assert got[: len(must)] == must, "nobody is passed over"
        assert got == may[: len(got)], "nobody is claimed before it is due"

    def judge_carried(self, lease: Lease, began_ms: int) -> None:
        """A carrier says that it is done, and the store has been looked at."""
        taken = lease.taken
        lane = self.store.lane(taken.lane)
        assert lane.token != taken.token, "whoever is done gives the lease back"
        if taken.kind == "conv" and lane.token == FREE and taken.items and taken.id() in lane.items:
            assert (lane.due_ms or 0) > began_ms, "whoever must wait is not carried again and again"

    # -------------------------------------------------------------- promises: turns

    def _judge_turn(self, story: Story, record: TurnRecord) -> None:
        """Each turn comes once, hears what waited in its order, and says what the flow would say."""
        assert record.turn == story.turn + 1, "turns follow each other, each once"
        story.turn = record.turn
        talk = story.talk
        if record.heard:
            answer = self._judge_heard(story, record)
        else:
            answer = self._judge_unasked(story, record)
        talk.state = record.state
        words = [words_of(said.content) for said in record.said]
        assert words == ([answer] if answer else []), "it says what the flow says, once"
        for said in record.said:
            self._said(story, said, record.at)

    def _judge_heard(self, story: Story, record: TurnRecord) -> str | None:
        heard = [message.id for message in record.heard]
        waited = [wamid for wamid, _ in story.waiting[: len(heard)]]
        assert heard == waited, "every message is heard once, in the order in which it came in"
        del story.waiting[: len(heard)]
        self.heard.update(heard)
        messages = [self.outside.messages[wamid] for wamid in heard]
        story.last_in_ms = max(story.last_in_ms, *(message.at_ms for message in messages))
        # All that Meta tells of a message's time is the second, and what was refused in that second may be the later one.
        if story.last_in_ms // 1000 * 1000 > story.shut_at_ms:
            story.shut_at_ms = -1
        first, last = messages[0], messages[-1]
        alarm_ms = story.talk.alarm_ms()
        assert not alarm_ms or first.sent.ms <= alarm_ms, "a timer that came first goes first"
        if story.talk.state == "errand.gathering":
            due = min(last.sent.ms + PAUSE_MS, first.sent.ms + PAUSES_MAX * PAUSE_MS)
            assert record.at >= due, "a person who may still be typing is waited for"
            assert heard == self._in_a_row(heard[0]), "what was written in a row is one turn"
        return story.talk.hears(
            [message.text for message in messages], record.at, mended=self.outside.mended
        )

    def _in_a_row(self, first: Wamid) -> list[Wamid]:
        """The messages that the worker was shown from that one on, up to another kind of event."""
        assert self.lease is not None
        taken = self.lease.taken
        row: list[Wamid] = []
        # After a failure only the head is taken, so that only the one that fails is set aside.
        for body in taken.items if taken.tries <= 1 else taken.items[:1]:
            event = _event(body)
            if isinstance(event, Arrived) and (row or event.heard.id == first):
                row.append(event.heard.id)
            elif row:
                break
        return row

    def _judge_unasked(self, story: Story, record: TurnRecord) -> str | None:
        """A result, or a timer."""
        talk = story.talk
        if not record.said:
            return None
        answer = words_of(record.said[0].content)
        offers = dict(talk.wakes())
        assert answer in offers, "a timer or a result speaks in its own state only"
        assert record.at >= offers[answer], "a timer is never early"
        if answer.startswith("made"):
            assert talk.words in self.outside.made.values(), "nobody made that"
        elif answer.startswith("sorry"):
            # What was refused may be made when an operator has it tried again; the refusal came first.
            if talk.words not in self.outside.not_made:
                came_ms = story.results.get(talk.words, talk.alarm_ms())
                assert came_ms >= talk.alarm_ms(), "a result that came in time is heard"
                assert record.at >= talk.alarm_ms(), "nobody refused that"
        elif story.waiting:
            _, since_ms = story.waiting[0]
            was_there = since_ms < story.leased_ms
            assert not was_there or since_ms >= talk.alarm_ms(), "what came first goes first"
        talk.spoke()
        return answer

    def _judge_set_aside(self, story: Story, record: TurnRecord) -> None:
        """Only what breaks its turn, cannot be read, or saw its holders vanish again and again."""
        if not record.heard:
            assert record.failed == "unreadable", "what can be read is journaled"
            return
        wamid, _ = story.waiting.pop(0)
        assert [wamid] == [message.id for message in record.heard], "the oldest is set aside, alone"
        self.set_aside[wamid] += 1
        breaks = self.outside.messages[wamid].text.startswith("boom")
        assert breaks or story.silent >= TRIES_MAX - 1, "nothing is set aside without a cause"

    def _said(self, story: Story, said: Said, at_ms: int) -> None:
        is_parked = said.ref in self.parking
        line = Line(said.ref, words_of(said.content), is_parked, at_ms)
        assert line.ref not in {other.ref for other in story.said}, "a ref is one for ever"
        story.said.append(line)
        closes_ms = story.last_in_ms + SERVICE_MS
        if is_parked:
            is_closed = story.shut_at_ms >= 0 or at_ms >= closes_ms - 2 * MARGIN_MS
            assert is_closed, "nothing is parked while the window is open"
        else:
            # The generic cell rate algorithm over Meta's rule; what comes back from a detour is not counted here.
            story.pair_ms = max(story.pair_ms, at_ms) + PAIR_EVERY_MS
            line.earliest_ms = story.pair_ms - PAIR_EVERY_MS * PAIR_BURST

    # -------------------------------------------------------------- promises: sends

    def judge_post(self, post: Post) -> None:
        """A request to send leaves a process. Was it right to?"""
        now = self.clock.ms
        story = self.stories[post.conversation]
        places = [n for n, line in enumerate(story.said) if line.body == post.body]
        assert places, "nothing is sent that no turn has said"
        place, line = places[0], story.said[places[0]]
        assert now >= line.earliest_ms, "no message leaves before the pair limit lets it"
        since, until = self.outside.rests.get(post.lease.process, (0, 0))
        was_under_way = post.lease.since.ms < since
        assert was_under_way or now >= until, "a number that must rest, rests"
        is_final = any(fault != "window_closed" for fault in self.refused[line.ref])
        assert not is_final or line.ref in self.sent_again, "what was refused for good stays so"
        if not post.is_template:
            closes_ms = self.outside.last_wrote_ms(post.to) + SERVICE_MS
            assert now < closes_ms, "free-form words only while the window is open"
        if line.ref not in story.detours:
            assert place >= story.reached, "answers leave in the order of their turns"
            story.reached = place
        self._judge_again(post)
        self._judge_twice(post)

    def _judge_again(self, post: Post) -> None:
        """A second request for an item that may be with Meta: only after silence from a healthy intake."""
        earlier = [p for p in self.outside.posts if p.item == post.item]
        assert not any(p.is_refused and p.is_heeded for p in earlier), "what Meta refused stays so"
        doubtful = [p for p in earlier if not p.is_settled]
        if not doubtful:
            return
        last, waits, since = doubtful[-1], self.waits, post.lease.since
        wait_ms = waits.reset_doubt_ms if last.is_doubted else waits.outage_doubt_ms
        assert self.clock.ms - last.at_ms >= wait_ms, "a send in doubt waits for its status"
        assert self.was_healthy(since), "a status may have come while our intake was down"
        proved = self.outside.proofs.get(post.item)
        assert proved is None or proved > since, "a status proves that it was sent"

    def _judge_twice(self, post: Post) -> None:
        """The same words under another id: only if the first was given up, and no status had told better."""
        for other in self.outside.taken():
            is_same = (other.conversation, other.body) == (post.conversation, post.body)
            if is_same and other.item != post.item:
                assert other.item in self.given_up, "a message goes out once"
                proved = self.outside.proofs.get(other.item)
                assert proved is None or proved > self.given_up[other.item], "it was known as sent"

    def gave_back(self, lease: Lease) -> None:
        """The lane rests, because its holder said so: it has done what follows from Meta's answer."""
        for post in self.outside.posts:
            if post.lease == lease:
                post.is_heeded = True
                post.is_doubted = self.store.lane(lease.taken.lane).token == DOUBTED

    # -------------------------------------------------------------- promises: at the end

    def judge_end(self) -> None:
        """After everything has come to rest."""
        self._judge_all_heard()
        self._judge_all_said()
        self._judge_nothing_left()
        assert self.acknowledged <= self.journaled, "every status is journaled"

    def _judge_all_heard(self) -> None:
        aside = Counter(
            event.heard.id
            for item, body in self.store.dead.items()
            if item.startswith("conv/") and isinstance(event := _event(body), Arrived)
        )
        for wamid, message in self.outside.messages.items():
            assert self.heard[wamid] <= 1, "no message is heard twice"
            if message.acknowledged:
                assert self.heard[wamid] + aside[wamid] == 1, "no acknowledged message is lost"
            journaled = self.set_aside[wamid] - self.replayed[wamid]
            assert aside[wamid] == journaled, "whatever is set aside is journaled"

    def _judge_all_said(self) -> None:
        parked = {
            parked.ref
            for lane in self.store.lanes.values()
            if lane.state
            for parked in decode_conversation(lane.state).parked
        }
        for conversation, story in self.stories.items():
            taken = [p for p in self.outside.taken() if p.conversation == conversation]
            for line in story.said:
                arrived = {p.wamid for p in taken if p.body == line.body}
                faults = [fault for fault in self.refused[line.ref] if fault != "window_closed"]
                assert arrived or faults or line.ref in parked, "no answer is lost in silence"
                assert self.sent[line.ref] <= arrived, "only what was sent is called so"
                if not self.refused[line.ref] and line.ref not in parked:
                    assert self.sent[line.ref], "what was sent is known by its id"
        for item, body in self.items.items():
            if item.startswith("wa/") and isinstance(_decode_action(body), Say):
                assert self.ends[item] == 1, "each send ends once"

    def _judge_nothing_left(self) -> None:
        assert not self.store.proofs, "a proof goes with its item"
        for name, lane in self.store.lanes.items():
            waits = decode_conversation(lane.state).parked if lane.state else ()
            # What waits for the person is given up in its time, and nothing else is due.
            due_ms = min((parked.expires for parked in waits), default=None)
            assert (lane.token, lane.items, lane.due_ms) == (FREE, {}, due_ms), f"{name} is idle"
            if name.startswith("conv/"):
                assert lane.state is not None
                assert decode_conversation(lane.state).session.stack == (), "nobody waits for ever"
            else:
                assert lane.state is None, "an action lane leaves nothing behind"


def words_of(content: Content) -> str:
    """What is said, as `Talk` knows it."""
    match content:
        case TextContent(body=text):
            return text.removesuffix(" ?")
        case Template(variables=((_, words), *_)):
            return f"woke {words}"
        case _:
            raise AssertionError("the flow says nothing else")


def _event(body: bytes) -> Event | None:
    """None = it cannot be read."""
    try:
        event: Event = _decode_event(body)
    except MsgspecError:
        return None
    return event
