"""Whatever Meta says and however time goes: each answer arrives once, or the journal says why not."""

import re
from collections import Counter, deque
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.json import decode as read_json

from bot.engine.conversation import Conversation
from bot.engine.turn import Decision
from flows.dialog.content import Template
from flows.dialog.content import Text as TextContent
from flows.values.ids import ItemId, Wamid
from flows.window import open_until
from handlers.actions import Recall, Say, SendAction
from handlers.events import Event, Refused
from handlers.journal import RefusedRecord, TurnRecord
from handlers.whatsapp.faults import fault_of
from tests.bot.engine.test_turn import ID, NOW, decide, wrote

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WORD = re.compile(r"\d+ (m\d+) ¿Algo más\?")

Fate = Literal["arrives", "too late at once", "too late by status", "a stumble by status", "lost"]
WINDOW_CODE, STUMBLE, UNDELIVERABLE = 131047, 131000, 131026


class Life:
    """A person, their conversation, and a Meta that does what it is told with each send."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.rest: Conversation | None = None
        self.lane: deque[Say] = deque()
        self.wrote = 0
        self.arrived: Counter[str] = Counter()
        self.words_of: dict[str, str] = {}
        """The word that each message of ours answers, by its reference."""
        self.given_up: Counter[str] = Counter()

    def writes(self) -> None:
        self.wrote += 1
        self.happens(wrote(f"m{self.wrote}", self.wrote, at_ms=self.now_ms))

    def passes(self, ms: int) -> None:
        self.now_ms += ms
        if self.rest is not None:
            self.takes_in(decide(rest=self.rest, now_ms=self.now_ms))

    def happens(self, event: Event) -> None:
        self.takes_in(decide(event, rest=self.rest, now_ms=self.now_ms))

    def takes_in(self, decision: Decision) -> None:
        self.rest = decision.conversation
        for record in decision.records:
            if isinstance(record, TurnRecord):
                for said in record.said:
                    self.learns(said.ref, said.content)
            elif isinstance(record, RefusedRecord):
                self.given_up[self.words_of[record.ref]] += 1
        for lane, body in decision.pushes:
            assert lane == f"wa/{ID}"
            action = read_json(body, type=SendAction)
            if isinstance(action, Say):
                self.lane.append(action)

    def learns(self, ref: str, content: object) -> None:
        if isinstance(content, TextContent) and (match := WORD.fullmatch(content.body)):
            self.words_of[ref] = match[1]
        else:
            self.words_of[ref] = "knock"

    def sends(self, fate: Fate) -> None:
        """Serve the head of the lane, as the sender would."""
        if not self.lane:
            return
        say = self.lane.popleft()
        self.now_ms = max(self.now_ms, say.not_before)
        assert self.rest is not None
        is_open = self.now_ms < max(say.open_until, open_until(self.rest.window))
        if isinstance(say.content, Template):
            return  # a knock: whether it arrives is of no account here
        if not is_open:
            self.happens(Refused(ref=say.ref, fault="window_closed", say=say))
            return
        match fate:
            case "arrives":
                self.arrived[self.words_of[say.ref]] += 1
            case "too late at once":
                self.refuses(say, WINDOW_CODE, by_status=False)
            case "too late by status":
                self.refuses(say, WINDOW_CODE, by_status=True)
            case "a stumble by status":
                self.refuses(say, STUMBLE, by_status=True)
            case "lost":
                # The sender records it itself.
                self.given_up[self.words_of[say.ref]] += 1
                self.refuses(say, UNDELIVERABLE, by_status=False)

    def refuses(self, say: Say, code: int, *, by_status: bool) -> None:
        fault, wamid = fault_of(code).name, Wamid("wamid.OUT")
        if not by_status:
            self.happens(Refused(ref=say.ref, fault=fault, code=code, say=say))
            return
        item = ItemId("wa/x:1-0")
        failed = Refused(ref="", fault=fault, code=code, item=item, wamid=wamid)
        decision = decide(failed, rest=self.rest, now_ms=self.now_ms)
        [(lane, body)] = decision.pushes
        assert lane == f"recall/{ID}"
        assert read_json(body, type=Recall).wamid == wamid
        self.rest = decision.conversation
        self.happens(Refused(say.ref, fault, code, item, wamid, say))


FATES = st.sampled_from(
    ["arrives", "too late at once", "too late by status", "a stumble by status", "lost"]
)
STEPS = st.one_of(
    st.just(("writes", None)),
    st.tuples(st.just("sends"), FATES),
    st.tuples(
        st.just("passes"),
        st.sampled_from([1_000, 30 * MINUTE_MS, 23 * 60 * MINUTE_MS, DAY_MS, 8 * DAY_MS]),
    ),
)


@given(steps=st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_each_answer_arrives_once_or_is_given_up_with_a_reason(
    steps: list[tuple[str, object]],
) -> None:
    life = Life()
    for step, how in steps:
        getattr(life, step)(*([] if how is None else [how]))
    # In the end Meta takes everything, and the person writes once more.
    for _ in range(2):
        while life.lane:
            life.sends("arrives")
        life.writes()
    while life.lane:
        life.sends("arrives")

    words = [f"m{n}" for n in range(1, life.wrote + 1)]
    fates = {word: (life.arrived[word], life.given_up[word]) for word in words}
    assert set(fates.values()) <= {(1, 0), (0, 1)}, fates
    assert life.rest is not None
    assert life.rest.parked == ()
