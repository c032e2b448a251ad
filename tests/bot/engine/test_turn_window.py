"""What a conversation makes of its window, of what waits, and of what Meta would not deliver."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.json import decode as read_json
from msgspec.structs import replace

from bot.engine.conversation import Conversation
from bot.engine.draft import KNOCK_EVERY_MS, PARKED_FOR
from bot.engine.knock import DECLINED, KNOCK, LET_IN
from bot.engine.refusals import AGAIN_MS, OFFERS_REST_MS, UNREACHABLE_MS
from bot.engine.turn import Decision
from bot.engine.turn import decide as decide_turn
from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.content import Template
from flows.dialog.content import Text as TextContent
from flows.dialog.events import Heard, HeardKind, Referral
from flows.dialog.flow import Flow, Step, stay
from flows.dialog.texts import Texts
from flows.values.ids import ChannelId, ContactId, ItemId, Wamid
from flows.window import ENTRY_POINT_MS, MARGIN_MS, SERVICE_MS, UNTIL_THEY_WRITE, open_until
from handlers.actions import Recall, Say
from handlers.events import Arrived, Event, Refused
from handlers.journal import ConsentChange, ParkedRecord, TurnRecord
from handlers.whatsapp.faults import FAULTS, AfterTaken, Mark, fault_of
from tests.bot.engine.test_turn import (
    ANA,
    FIRM,
    ID,
    NOW,
    TENANT,
    decide,
    firm_of,
    gathering_book,
    lost,
    sends,
    wrote,
)
from tests.echo import echo_book
from tests.flows.dialog.sample_texts import BOT

DAY_MS = 86_400_000
CLOSED = NOW + SERVICE_MS
ANSWER = TextContent("Tu pedido va en camino")
NOTICE = Template("pedido_actualizado", "es_CL")
WAMID = Wamid("wamid.OUT")
ITEM = ItemId("wa/x:1-0")


def rest_of(**over: object) -> Conversation:
    """Somebody who wrote once, and was answered."""
    return replace(decide(wrote("pan")).conversation, **over)


def a_say(**over: object) -> Say:
    common: dict[str, object] = {
        "tenant": TENANT,
        "channel": ChannelId("c1"),
        "ref": f"{ID}-9",
        "content": ANSWER,
        "at": NOW,
    }
    return Say(**(common | over))  # type: ignore[arg-type]  # a table of cases


def closed(**over: object) -> Refused:
    """The sender found the window closed."""
    return Refused(ref=f"{ID}-9", fault="window_closed", item=ITEM, say=a_say(**over))


def refused(code: int, **over: object) -> Refused:
    """Meta's answer to a send."""
    say = a_say(**over)
    return Refused(ref=say.ref, fault=fault_of(code).name, code=code, item=ITEM, say=say)


def failed(code: int) -> Refused:
    """A `failed` status: it names the message, and tells no word of it."""
    return Refused(ref="", fault=fault_of(code).name, code=code, item=ITEM, wamid=WAMID)


def recalled(code: int, **over: object) -> Refused:
    """The same, once the journal has been asked."""
    return replace(refused(code, **over), wamid=WAMID)


def says(decision: Decision) -> list[Say]:
    return [action for action in sends(decision) if isinstance(action, Say)]


def contents(decision: Decision) -> list[object]:
    return [say.content for say in says(decision)]


def waiting(decision: Decision) -> list[str]:
    return [parked.ref for parked in decision.conversation.parked]


def knocks(decision: Decision) -> int:
    return sum(isinstance(c, Template) and c.name == KNOCK for c in contents(decision))


def heard(
    kind: HeardKind = "text", *, at_ms: int = NOW, received: int = 0, **over: object
) -> Arrived:
    said = Heard(Wamid(f"wamid.{at_ms}"), at_ms // 1000, kind, **over)  # type: ignore[arg-type]  # any field
    return Arrived(TENANT, ChannelId("c1"), ContactId("p1"), ANA, said, received or at_ms)


# ------------------------------------------------------------------ what opens it


def test_a_timestamp_of_meta_that_is_ahead_of_us_does_not_open_for_ever() -> None:
    decision = decide(heard(at_ms=NOW + 30 * DAY_MS, received=NOW, text="pan"))

    assert open_until(decision.conversation.window) == NOW + SERVICE_MS - MARGIN_MS


@pytest.mark.parametrize("kind", ["reaction", "system"])
def test_what_meta_does_not_count_as_a_message_opens_nothing(kind: HeardKind) -> None:
    late = NOW + SERVICE_MS

    decision = decide(heard(kind, at_ms=late, text="👍"), rest=rest_of(), now_ms=late)

    assert decision.conversation.last_in == NOW // 1000


def test_an_old_message_that_comes_late_does_not_reopen_what_meta_closed() -> None:
    shut = rest_of(shut=True)

    assert decide(heard(at_ms=NOW - 5_000, text="pan"), rest=shut).conversation.shut
    assert not decide(heard(at_ms=NOW + 5_000, text="pan"), rest=shut).conversation.shut


# ------------------------------------------------------------------ what waits


def test_an_answer_that_found_it_closed_waits_and_is_journaled_as_waiting() -> None:
    decision = decide(closed(), rest=rest_of(), now_ms=CLOSED)

    assert waiting(decision) == [f"{ID}-9"]
    until = CLOSED + int(PARKED_FOR.total_seconds() * 1000)
    assert ParkedRecord(TENANT, f"{ID}-9", CLOSED, until) in decision.records


def test_a_message_is_journaled_before_it_is_said_to_wait() -> None:
    """The journal is read in pieces, and what is told of a message that has no row is told to nobody."""
    decision = decide(wrote("pan"), now_ms=CLOSED)

    kinds = [type(record) for record in decision.records]
    assert kinds == [
        TurnRecord,
        TurnRecord,
        ParkedRecord,
    ]  # the answer, the knock; the answer waits


def test_it_waits_as_long_as_it_says_that_it_is_worth() -> None:
    decision = decide(closed(expires=CLOSED + 60_000), rest=rest_of(), now_ms=CLOSED)

    assert decision.wake_ms <= CLOSED + 60_000
    later = decide(rest=decision.conversation, now_ms=CLOSED + 60_000)
    assert (waiting(later), lost(later)) == ([], [(f"{ID}-9", "expired")])


def test_nobody_has_to_write_for_it_to_expire() -> None:
    parked = decide(closed(expires=CLOSED + 5 * DAY_MS), rest=rest_of(), now_ms=CLOSED)
    idle = decide(rest=parked.conversation, now_ms=CLOSED + DAY_MS).conversation

    assert idle.session.stack == ()
    assert decide(rest=idle, now_ms=CLOSED + DAY_MS).wake_ms == CLOSED + 5 * DAY_MS


def test_what_is_past_its_time_does_not_begin_to_wait() -> None:
    decision = decide(closed(expires=CLOSED), rest=rest_of(), now_ms=CLOSED)

    assert (waiting(decision), lost(decision)) == ([], [(f"{ID}-9", "expired")])


def test_what_waits_leaves_in_order_before_the_answer_and_only_once() -> None:
    rest = rest_of()
    for n in (7, 8):
        rest = decide(closed(ref=f"{ID}-{n}"), rest=rest, now_ms=CLOSED).conversation

    woken = decide(wrote("hola", 2, at_ms=CLOSED + DAY_MS), rest=rest, now_ms=CLOSED + DAY_MS)
    again = decide(
        wrote("hola", 3, at_ms=CLOSED + DAY_MS), rest=woken.conversation, now_ms=CLOSED + DAY_MS
    )

    assert [say.ref for say in says(woken)][:2] == [f"{ID}-7", f"{ID}-8"]
    assert len(says(again)) == 1


def test_the_firm_s_own_words_that_waited_still_say_that_they_are_the_firm_s_own() -> None:
    rest = decide(closed(answers=False), rest=rest_of(), now_ms=CLOSED).conversation

    woken = decide(wrote("hola", 2, at_ms=CLOSED), rest=rest, now_ms=CLOSED)

    assert [say.answers for say in says(woken)] == [False, True]


# ------------------------------------------------------------------ how long it is worth


@dataclass(frozen=True)
class Nothing:
    pass


worth = Flow("worth", Nothing, bool)


@worth.asks
def offering(s: Nothing, words: Text) -> Step:
    return stay("today", worth=timedelta(hours=6), sorry=False)


WORTH = Book(
    [worth],
    Texts({"es_CL": {**BOT, "worth.offering.ask": "¿Qué?", "worth.offering.today": "Solo hoy."}}),
)


def test_a_step_says_for_how_long_its_words_are_worth_saying() -> None:
    rest = decide(wrote("hola"), book=WORTH).conversation

    decision = decide(wrote("pan", 2), rest=rest, book=WORTH, now_ms=CLOSED)

    assert [parked.expires for parked in decision.conversation.parked] == [CLOSED + 6 * 3_600_000]


# ------------------------------------------------------------------ the knock


def test_the_person_is_asked_to_tap_for_an_answer_that_waits() -> None:
    decision = decide(closed(), rest=rest_of(), now_ms=CLOSED)

    [say] = says(decision)
    assert isinstance(say.content, Template)
    assert (say.content.name, say.content.language, say.once) == (KNOCK, "es_CL", True)
    assert dict(say.content.variables) == {
        "nombre": "Ana",
        "negocio": FIRM.name,
        "fecha": "22 de noviembre de 2026",
        "persona": FIRM.name,
    }
    [turn] = [record for record in decision.records if isinstance(record, TurnRecord)]
    assert [said.ref for said in turn.said] == [say.ref]


def test_they_are_asked_once_in_a_while_however_much_waits() -> None:
    first = decide(closed(), rest=rest_of(), now_ms=CLOSED)
    soon = decide(closed(), rest=first.conversation, now_ms=CLOSED + KNOCK_EVERY_MS - 1)
    later = decide(closed(), rest=soon.conversation, now_ms=CLOSED + KNOCK_EVERY_MS)

    assert [knocks(first), knocks(soon), knocks(later)] == [1, 0, 1]


def test_a_crash_before_the_commit_repeats_the_same_knock() -> None:
    rest = rest_of()

    assert decide(closed(), rest=rest, now_ms=CLOSED) == decide(closed(), rest=rest, now_ms=CLOSED)


@pytest.mark.parametrize(
    ("event", "over", "every_ms"),
    [
        pytest.param(closed(answers=False), {}, KNOCK_EVERY_MS, id="nobody-asked-for-it"),
        pytest.param(closed(), {"stopped": True}, KNOCK_EVERY_MS, id="they-want-no-messages"),
        pytest.param(closed(), {}, 0, id="switched-off"),
        pytest.param(closed(expires=CLOSED), {}, KNOCK_EVERY_MS, id="nothing-waits"),
    ],
)
def test_nobody_is_asked_to_tap(event: Event, over: dict[str, object], every_ms: int) -> None:
    decision = decide_turn(
        echo_book(), firm_of, ID, rest_of(**over), [event], CLOSED, knock_every_ms=every_ms
    )

    assert knocks(decision) == 0


@pytest.mark.parametrize(
    ("choice", "said", "given_up"),
    [
        pytest.param(LET_IN, [ANSWER], [], id="ver-respuesta"),
        pytest.param(DECLINED, [], [(f"{ID}-9", "declined")], id="ya-no-la-necesito"),
    ],
)
def test_a_tap_on_the_knock_is_answered_by_what_waits_alone(
    choice: str, said: list[object], given_up: list[tuple[str, str]]
) -> None:
    rest = decide(closed(), rest=rest_of(), now_ms=CLOSED).conversation
    tap = heard("tap", at_ms=CLOSED + 5_000, text="Ver respuesta", choice=choice)

    decision = decide(tap, rest=rest, now_ms=CLOSED + 5_000)

    assert (contents(decision), lost(decision), waiting(decision)) == (said, given_up, [])
    turns = [record for record in decision.records if isinstance(record, TurnRecord)]
    assert [each.choice for turn in turns for each in turn.heard] == [choice]
    assert [said for turn in turns for said in turn.said] == []


def test_words_that_came_with_the_tap_are_answered_after_what_waits() -> None:
    book = gathering_book()
    began = decide(wrote("pan"), now_ms=NOW + 1_500, book=book).conversation
    rest = decide(closed(), rest=began, now_ms=CLOSED, book=book).conversation
    tap = heard("tap", at_ms=CLOSED + 1_000, text="Ver respuesta", choice=LET_IN)
    words = wrote("¿hola?", 2, at_ms=CLOSED)

    decision = decide(words, tap, rest=rest, now_ms=CLOSED + 1_000, book=book)

    assert decision.consumed == 2
    assert contents(decision)[0] == ANSWER
    assert len(contents(decision)) == 2


def test_an_old_knock_for_which_nothing_waits_any_more_is_a_message_like_any() -> None:
    tap = heard("tap", at_ms=CLOSED, text="Ver respuesta", choice=LET_IN)

    assert len(says(decide(tap, rest=rest_of(), now_ms=CLOSED))) == 1


# ------------------------------------------------------------------ an advertisement

AD = Referral(source="ad", id="120210000000000001", click="ARAk…")


def test_who_comes_through_an_ad_has_72_hours_from_our_first_answer() -> None:
    decision = decide(heard(text="pan", referral=AD), now_ms=NOW + 1_000)
    later = decide(
        wrote("pan", 2, at_ms=NOW + DAY_MS // 2),
        rest=decision.conversation,
        now_ms=NOW + DAY_MS // 2,
    )

    assert decision.conversation.free_until == NOW + 1_000 + ENTRY_POINT_MS
    assert later.conversation.free_until == decision.conversation.free_until


def test_an_answer_after_a_day_gives_no_free_entry() -> None:
    came = decide(heard(text="pan", referral=AD), now_ms=CLOSED).conversation
    assert (came.came_at, came.free_until) == (NOW, 0)

    answered = decide(wrote("hola", 2, at_ms=CLOSED), rest=came, now_ms=CLOSED).conversation

    assert (answered.came_at, answered.free_until) == (0, 0)


# ------------------------------------------------------------------ Meta knows better


def test_a_131047_closes_our_window_until_the_person_writes() -> None:
    decision = decide(refused(131047), rest=rest_of(), now_ms=NOW + 1_000)
    then = decide(
        wrote("hola", 2, at_ms=NOW + 2_000), rest=decision.conversation, now_ms=NOW + 2_000
    )

    assert decision.conversation.shut
    assert waiting(decision) == [f"{ID}-9"]
    assert next(say.ref for say in says(then)) == f"{ID}-9"


def test_a_131047_about_a_message_from_before_they_wrote_again_closes_nothing() -> None:
    rest = decide(
        wrote("hola", 2, at_ms=NOW + 60_000), rest=rest_of(), now_ms=NOW + 60_000
    ).conversation

    decision = decide(refused(131047, at=NOW), rest=rest, now_ms=NOW + 61_000)

    assert not decision.conversation.shut
    assert [(say.ref, say.again) for say in says(decision)] == [(f"{ID}-9", True)]


def test_meta_is_not_contradicted_twice() -> None:
    rest = decide(
        wrote("hola", 2, at_ms=NOW + 60_000), rest=rest_of(), now_ms=NOW + 60_000
    ).conversation

    decision = decide(refused(131047, at=NOW, again=True), rest=rest, now_ms=NOW + 61_000)

    assert decision.conversation.shut
    assert waiting(decision) == [f"{ID}-9"]


def test_a_template_that_went_in_its_place_leaves_nothing_to_say() -> None:
    event = replace(refused(131047, instead=NOTICE), replaced=True)

    decision = decide(event, rest=rest_of(), now_ms=NOW + 1_000)

    assert decision.conversation.shut
    assert (says(decision), waiting(decision)) == ([], [])


def test_a_131047_by_status_sends_the_template_once() -> None:
    first = decide(recalled(131047, instead=NOTICE), rest=rest_of(), now_ms=NOW + 1_000)
    second = decide(
        recalled(131047, instead=NOTICE, again=True), rest=first.conversation, now_ms=NOW + 2_000
    )

    [say] = says(first)
    assert (say.content, say.stands_for, say.again, say.ref) == (NOTICE, (ANSWER,), True, f"{ID}-9")
    assert waiting(first) == []
    assert waiting(second) == [f"{ID}-9"]


def test_a_131047_by_status_lets_it_wait_if_there_is_no_template() -> None:
    decision = decide(recalled(131047), rest=rest_of(), now_ms=NOW + 1_000)

    assert decision.conversation.shut
    assert waiting(decision) == [f"{ID}-9"]


# ------------------------------------------------------------------ every code, by status

CODES = [*FAULTS, 250, 133005, 138005, 139100, 147003, 2_388_047, 136025, -1]


@pytest.mark.parametrize("code", CODES)
def test_a_status_of_any_code_is_looked_up_if_something_can_follow(code: int) -> None:
    decision = decide(failed(code), rest=rest_of())

    recalls = [
        read_json(body, type=Recall) for lane, body in decision.pushes if lane.startswith("recall/")
    ]
    follows = fault_of(code).after_taken is not AfterTaken.TELL
    assert [(recall.wamid, recall.code) for recall in recalls] == [(WAMID, code)] * follows
    assert says(decision) == []


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("again", [False, True])
def test_every_code_has_one_reaction_when_a_status_tells_it(code: int, again: bool) -> None:
    decision = decide(recalled(code, again=again), rest=rest_of(), now_ms=NOW + 1_000)

    sent_again = [say.not_before for say in says(decision)]
    outcome = (sent_again, waiting(decision), lost(decision))
    given_up = [(f"{ID}-9", fault_of(code).name)]
    match fault_of(code).after_taken:
        case AfterTaken.AGAIN if not again:
            assert outcome == ([NOW + 1_000 + AGAIN_MS], [], [])
        case AfterTaken.WINDOW:
            assert (waiting(decision), lost(decision)) == ([f"{ID}-9"], [])
        case _:
            assert outcome == ([], [], given_up)


@pytest.mark.parametrize("code", [code for code in CODES if fault_of(code).template])
@pytest.mark.parametrize("by_status", [True, False])
def test_what_a_refused_template_stood_for_waits(code: int, by_status: bool) -> None:
    make = recalled if by_status else refused
    event = make(code, content=NOTICE, stands_for=(ANSWER,))

    decision = decide(event, rest=rest_of(), now_ms=CLOSED)

    assert [parked.content for parked in decision.conversation.parked] == [ANSWER]
    [kept] = waiting(decision)
    said = [said.ref for r in decision.records if isinstance(r, TurnRecord) for said in r.said]
    assert kept in said


@pytest.mark.parametrize("by_status", [True, False])
def test_nobody_waits_for_what_was_the_firm_s_own_initiative(by_status: bool) -> None:
    make = recalled if by_status else refused
    event = make(132015, content=NOTICE, stands_for=(ANSWER,), answers=False)

    assert waiting(decide(event, rest=rest_of(), now_ms=CLOSED)) == []


def test_a_code_is_never_sent_again() -> None:
    code = Template("codigo_ingreso", "es_CL", code="482913")

    decision = decide(recalled(131000, content=code), rest=rest_of())

    assert (says(decision), lost(decision)) == ([], [(f"{ID}-9", "transient")])


# ------------------------------------------------------------------ what is remembered


@pytest.mark.parametrize(
    "event", [failed(131050), refused(131050, content=NOTICE)], ids=["status", "answer"]
)
def test_a_stop_at_meta_s_own_button_is_written_into_the_ledger(event: Refused) -> None:
    decision = decide(event, rest=rest_of(marketing=True, agreed=True))

    assert (decision.conversation.marketing, decision.conversation.agreed) == (False, True)
    [turn] = [record for record in decision.records if isinstance(record, TurnRecord)]
    evidence = Wamid(event.wamid or ITEM)
    assert turn.consents == (ConsentChange("marketing", granted=False, evidence=evidence),)
    assert turn.turn == 2  # a row of its own: what turn 1 consented to stays in the ledger


def test_meta_s_cap_on_offers_is_kept_for_a_day_whatever_they_write() -> None:
    capped = decide(failed(131049), rest=rest_of(marketing=True)).conversation
    wrote_since = decide(
        wrote("hola", 2, at_ms=NOW + 5_000), rest=capped, now_ms=NOW + 5_000
    ).conversation

    assert capped.offers_from == wrote_since.offers_from == NOW + OFFERS_REST_MS


def test_who_is_in_meta_s_experiment_gets_no_offer_before_they_write() -> None:
    left_out = decide(failed(130472), rest=rest_of(marketing=True)).conversation
    wrote_since = decide(
        wrote("hola", 2, at_ms=NOW + 5_000), rest=left_out, now_ms=NOW + 5_000
    ).conversation

    assert (left_out.offers_from, wrote_since.offers_from) == (UNTIL_THEY_WRITE, 0)


def test_a_dead_number_is_left_alone_until_somebody_writes_from_it() -> None:
    dead = decide(failed(131026), rest=rest_of()).conversation
    wrote_since = decide(
        wrote("hola", 2, at_ms=NOW + 5_000), rest=dead, now_ms=NOW + 5_000
    ).conversation

    assert (dead.unreachable_until, wrote_since.unreachable_until) == (NOW + UNREACHABLE_MS, 0)


@pytest.mark.parametrize("code", CODES)
def test_no_other_code_is_remembered(code: int) -> None:
    rest = rest_of(marketing=True, agreed=True)

    after = decide(failed(code), rest=rest).conversation

    changed = {f for f in rest.__struct_fields__ if getattr(rest, f) != getattr(after, f)} - {
        "turn"
    }
    expected = {
        Mark.NO_OFFERS: {"marketing", "declined"},
        Mark.OFFERS_TOMORROW: {"offers_from"},
        Mark.OFFERS_ASKED_FOR: {"offers_from"},
        Mark.UNREACHABLE: {"unreachable_until"},
        Mark.SHUT: set(),  # not before it is known when the message was said
    }
    mark = fault_of(code).mark
    assert changed == (expected[mark] if mark else set())


# ------------------------------------------------------------------ leave to write


def test_baja_withdraws_the_leave_to_write() -> None:
    rest = rest_of(agreed=True, marketing=True)

    after = decide(wrote("baja", 2), rest=rest).conversation

    assert (after.stopped, after.agreed, after.marketing) == (True, False, False)
