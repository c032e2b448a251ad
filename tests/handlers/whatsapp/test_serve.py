"""The sender: no message lost, none doubled, no refusal in silence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from structlog.testing import capture_logs

from flows.dialog.content import Image, OurFile, Template, Text
from flows.values.ids import ChannelId, ConversationId, FileId, ItemId, Wamid
from flows.values.phone import WaId
from flows.window import Terms, Window
from handlers.actions import MarkRead, Say, SendAction, SendCode
from handlers.events import Refused
from handlers.journal import RefusedRecord, SentRecord
from handlers.ports import Again, Before, Dead, Done, Doubt, Item, Outcome, Standing
from handlers.whatsapp.client import Graph
from handlers.whatsapp.serve import (
    CODE_AGE_MS_MAX,
    NO_CHANNEL_MS,
    OUTAGE_DOUBT_MS,
    RECEIPT_AGE_MS_MAX,
    RESET_DOUBT_MS,
    TEMPLATE_AGE_MS_MAX,
    WhatsAppSender,
)
from tests.handlers.whatsapp.bodies import NUMBER, PHONE, WROTE
from tests.handlers.whatsapp.doubles import (
    CHANNEL,
    LETTERS,
    TENANT,
    Bucket,
    Carer,
    Counts,
    Health,
    NoUploads,
    People,
    Phonebook,
    Purse,
    Watch,
    form_tokens,
)
from tests.handlers.whatsapp.graph_stub import (
    Answer,
    GraphStub,
    accepts,
    breaks_off,
    graph_at,
    hangs_up,
    refuses,
    says,
)

NOW = WROTE * 1000
ITEM = ItemId("wa/c1:7-0")
REF = "c1-3"
HOLA = Text("hola")
NOTICE = Template("aviso", "es_CL")
CODE = Template("codigo_ingreso", "es", code="482913")


def say(**over: object) -> Say:
    common: dict[str, object] = {
        "tenant": TENANT,
        "channel": CHANNEL,
        "ref": REF,
        "content": HOLA,
        "at": NOW,
        "to": PHONE,
        "open_until": NOW + 3_600_000,
    }
    return Say(**(common | over))  # type: ignore[arg-type]  # a table of cases


def taken(
    action: SendAction,
    *,
    tries: int = 1,
    before: Before = Before.CLEAN,
    proof: bytes | None = None,
    is_ours: Callable[[], bool] = lambda: True,
) -> Item:
    return Item(
        id=ITEM,
        conversation=ConversationId("c1"),
        body=msgspec.json.encode(action),
        tries=tries,
        before=before,
        proof=proof,
        is_ours=is_ours,
    )


def sent(
    *,
    at: int = NOW,
    wamid: str = "wamid.OUT",
    proved: bool = False,
    category: str = "service",
    left_as: Template | None = None,
    again: bool = False,
) -> Done:
    record = SentRecord(
        tenant=TENANT,
        ref=REF,
        item=ITEM,
        wamid=Wamid(wamid),
        at=at,
        proved=proved,
        channel=CHANNEL,
        category="" if proved else category,
        country="CL",
        left_as=left_as,
        again=again,
    )
    return Done(records=(record,))


def refused(
    fault: str,
    *,
    code: int = 0,
    at: int = NOW,
    dead: bool = False,
    said: Say | None = None,
    **over: object,
) -> Done | Dead:
    """`said`, or `over` as in `say`: what was to be said."""
    records = (RefusedRecord(tenant=TENANT, ref=REF, item=ITEM, at=at, fault=fault, code=code),)
    event = Refused(ref=REF, fault=fault, code=code, item=ITEM, say=said or say(**over))
    return Dead(fault, records, event) if dead else Done(records, event)


@dataclass
class Desk:
    """A sender with everything that it needs, at hand."""

    sender: WhatsAppSender
    stub: GraphStub
    watch: Watch
    phonebook: Phonebook
    people: People
    bucket: Bucket
    purse: Purse
    health: Health
    counts: Counts
    carer: Carer = field(default_factory=Carer)
    spread: list[float] = field(default_factory=lambda: [0.0])

    async def serves(self, item: Item) -> Outcome:
        return await self.sender.serve(item)

    async def sends(self, **over: object) -> Outcome:
        return await self.serves(taken(say(**over)))

    def posted_types(self) -> list[object]:
        return [posted.body["type"] for posted in self.stub.posted]


def furnish(graph: Graph, stub: GraphStub) -> Desk:
    watch, phonebook, bucket, people = Watch(), Phonebook(), Bucket(), People()
    health, counts, spread, carer, purse = Health(), Counts(), [0.0], Carer(), Purse()
    sender = WhatsAppSender(
        graph,
        directory=phonebook,
        standings=people,
        limits=bucket,
        budget=purse,
        intake=health,
        care=carer,
        clock=watch,
        meter=counts,
        jitter=lambda: spread[0],
        uploads=NoUploads(),
        forms=form_tokens(phonebook, "sign_up"),
        letters=LETTERS,
    )
    return Desk(
        sender, stub, watch, phonebook, people, bucket, purse, health, counts, carer, spread
    )


@pytest.fixture
async def desk(graph: Graph, stub: GraphStub) -> AsyncIterator[Desk]:
    desk = furnish(graph, stub)
    yield desk
    await desk.sender.close()


# ------------------------------------------------------------------ the plain way


async def test_a_message_is_sent_and_recorded(desk: Desk) -> None:
    assert await desk.sends() == sent()

    (posted,) = desk.stub.posted
    assert posted.path == f"/v26.0/{NUMBER}/messages"
    assert posted.body["to"] == f"+{PHONE}"
    assert posted.body["biz_opaque_callback_data"] == ITEM
    assert desk.bucket.asked == [(f"number:{NUMBER}", 80, 80)]


async def test_a_held_message_counts_as_sent_and_is_shown(desk: Desk) -> None:
    desk.stub.script.append(accepts(message_status="held_for_quality_assessment"))

    assert await desk.sends(content=NOTICE) == sent(category="utility")

    assert desk.counts.counted["whatsapp_send", "held"] == 1


async def test_a_file_that_is_gone_is_not_sent(desk: Desk) -> None:
    picture = Image(OurFile(FileId("f-1")))

    outcome = await desk.sends(content=picture)

    assert outcome == refused("gone", content=picture)
    assert desk.stub.posted == []


async def test_a_body_that_cannot_be_read_is_a_dead_letter(desk: Desk) -> None:
    item = taken(say())
    broken = replace(item, body=b'{"type":"say"}')

    assert await desk.serves(broken) == Dead("unreadable")


# ------------------------------------------------------------------ doubt


@pytest.mark.parametrize("before", list(Before))
@pytest.mark.parametrize("once", [False, True])
async def test_a_proof_ends_all_doubt(desk: Desk, before: Before, once: bool) -> None:
    item = taken(say(once=once), before=before, proof=b"wamid.PROVED")

    assert await desk.serves(item) == sent(wamid="wamid.PROVED", proved=True)
    assert desk.stub.posted == []


@pytest.mark.parametrize("once", [False, True])
async def test_after_a_crash_a_status_is_waited_for(desk: Desk, once: bool) -> None:
    outcome = await desk.serves(taken(say(once=once), tries=2, before=Before.VANISHED))

    assert outcome == Doubt(OUTAGE_DOUBT_MS, "vanished")
    assert desk.stub.posted == []


async def test_silence_of_a_healthy_intake_allows_a_second_request(desk: Desk) -> None:
    desk.health.ms = OUTAGE_DOUBT_MS

    assert await desk.serves(taken(say(), tries=2, before=Before.DOUBTED)) == sent()
    assert len(desk.stub.posted) == 1


@pytest.mark.parametrize(
    ("healthy_ms", "missing_ms"),
    [
        pytest.param(0, OUTAGE_DOUBT_MS, id="down"),
        pytest.param(RESET_DOUBT_MS, OUTAGE_DOUBT_MS - RESET_DOUBT_MS, id="just-back"),
        pytest.param(OUTAGE_DOUBT_MS - 1, 1, id="nearly"),
    ],
)
@pytest.mark.parametrize("once", [False, True])
async def test_the_doubt_stands_still_while_our_intake_is_down(
    desk: Desk, healthy_ms: int, missing_ms: int, once: bool
) -> None:
    desk.health.ms = healthy_ms

    outcome = await desk.serves(taken(say(once=once), before=Before.DOUBTED))

    assert outcome == Doubt(missing_ms, "intake_gap", counts=False)
    assert desk.stub.posted == []


@pytest.mark.parametrize(
    ("stands_still_ms", "sends"),
    [pytest.param(14_999, True, id="in-time"), pytest.param(15_000, False, id="too-late")],
)
async def test_whoever_stood_still_beyond_its_lease_does_not_send(
    desk: Desk, stands_still_ms: int, sends: bool
) -> None:
    """The process was stopped while it asked for the limit; somebody else may have the item now."""
    desk.bucket.meanwhile = lambda: desk.watch.passes(stands_still_ms)

    outcome = await desk.serves(taken(say(), is_ours=lambda: desk.watch.now_ms() < NOW + 15_000))

    assert len(desk.stub.posted) == sends
    if not sends:
        assert outcome == Again(0, "stood_still", counts=False)


async def test_a_code_is_never_sent_again_on_doubt(desk: Desk) -> None:
    outcome = await desk.serves(taken(say(content=CODE, once=True), before=Before.DOUBTED))

    assert outcome == refused("unconfirmed", content=CODE, once=True, dead=True)
    assert desk.stub.posted == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hangs_up, id="reset"),
        pytest.param(breaks_off, id="cut"),
        pytest.param(says("<html>", status=502), id="html-502"),
        pytest.param(says("<html>"), id="html-200"),
    ],
)
async def test_a_broken_request_is_in_doubt_for_fifteen_seconds(desk: Desk, answer: Answer) -> None:
    desk.stub.script.append(answer)

    assert await desk.sends() == Doubt(RESET_DOUBT_MS, "broken_request")
    assert len(desk.stub.posted) == 1


async def test_an_answer_that_does_not_come_is_in_doubt(
    hasty_graph: Graph, stub: GraphStub
) -> None:
    stub.script.append(stub.silent)

    assert await furnish(hasty_graph, stub).sends() == Doubt(RESET_DOUBT_MS, "broken_request")


async def test_when_meta_cannot_be_reached_the_number_rests_and_nothing_is_in_doubt() -> None:
    # Port 0 is nobody's: every connection to it is refused.
    with graph_at("http://127.0.0.1:0") as nowhere:
        desk = furnish(nowhere, GraphStub())

        assert await desk.sends() == Again(2_000, "unreachable", counts=False)
        assert await desk.sends() == Again(2_000, "number_paused", counts=False)


# ------------------------------------------------------------------ the window and the age


async def test_free_words_need_an_open_window(desk: Desk) -> None:
    outcome = await desk.sends(open_until=NOW)

    assert outcome == refused("window_closed", open_until=NOW)
    assert desk.stub.posted == []


async def test_the_last_moment_of_the_window_counts(desk: Desk) -> None:
    assert await desk.sends(open_until=NOW + 1) == sent()


async def test_a_closed_window_sends_the_template_instead(desk: Desk) -> None:
    assert await desk.sends(open_until=0, instead=NOTICE) == sent(
        category="utility", left_as=NOTICE
    )
    assert desk.posted_types() == ["template"]


async def test_a_template_needs_no_window(desk: Desk) -> None:
    assert await desk.sends(content=NOTICE, open_until=0) == sent(category="utility")


async def test_meta_knows_better_whether_the_window_is_closed(desk: Desk) -> None:
    desk.stub.script.append(refuses(131047))

    assert await desk.sends() == refused("window_closed", code=131047)


async def test_a_window_that_meta_closed_sends_the_template_once(desk: Desk) -> None:
    desk.stub.script.extend([refuses(131047), refuses(131047)])

    assert await desk.sends(instead=NOTICE) == refused("window_closed", code=131047, instead=NOTICE)
    assert desk.posted_types() == ["text", "template"]


@pytest.mark.parametrize(
    ("over", "age_ms", "is_sent"),
    [
        pytest.param({"content": CODE, "once": True}, CODE_AGE_MS_MAX, True, id="code-in-time"),
        pytest.param(
            {"content": CODE, "once": True}, CODE_AGE_MS_MAX + 1, False, id="code-too-late"
        ),
        pytest.param({"content": NOTICE}, TEMPLATE_AGE_MS_MAX, True, id="notice-of-a-day"),
        pytest.param({"content": NOTICE}, TEMPLATE_AGE_MS_MAX + 1, False, id="older-notice"),
        pytest.param(
            {"content": NOTICE, "not_before": NOW + 1},
            TEMPLATE_AGE_MS_MAX + 1,
            True,
            id="sent-later-on-purpose",
        ),
        pytest.param({"content": NOTICE, "expires": NOW + 2}, 1, True, id="of-use-still"),
        pytest.param({"content": NOTICE, "expires": NOW + 2}, 2, False, id="of-no-use-any-more"),
    ],
)
async def test_news_that_is_old_is_not_sent(
    desk: Desk, over: dict[str, object], age_ms: int, is_sent: bool
) -> None:
    desk.watch.passes(age_ms)

    outcome = await desk.sends(**over)

    at = NOW + age_ms
    category = {id(CODE): "authentication", id(NOTICE): "utility"}.get(
        id(over["content"]), "service"
    )
    assert outcome == (
        sent(at=at, category=category) if is_sent else refused("expired", at=at, said=say(**over))
    )


# ------------------------------------------------------------------ codes

CODE_ITEM = ItemId("wa/code-0011:5-0")


def code_item(
    *, sealed: str = "", before: Before = Before.CLEAN, proof: bytes | None = None
) -> Item:
    code = SendCode(
        tenant=TENANT,
        channel=CHANNEL,
        sealed=sealed or LETTERS.seal("code-0011", WaId("56961234567"), "482913"),
        template="codigo_ingreso",
        language="es_CL",
        at=NOW,
        expires=NOW + 300_000,
    )
    return Item(
        id=CODE_ITEM,
        conversation=ConversationId("code-0011"),
        body=msgspec.json.encode(code),
        tries=1,
        before=before,
        proof=proof,
        is_ours=lambda: True,
    )


async def test_a_code_leaves_as_an_authentication_template_and_no_trace(desk: Desk) -> None:
    assert await desk.sender.serve(code_item()) == Done()

    [posted] = desk.stub.posted
    code = [{"type": "text", "text": "482913"}]
    assert posted.body["to"] == "+56961234567"
    assert posted.body["template"] == {
        "name": "codigo_ingreso",
        "language": {"code": "es_CL"},
        "components": [
            {"type": "body", "parameters": code},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": code},
        ],
    }


async def test_a_code_that_is_over_is_not_sent(desk: Desk) -> None:
    desk.watch.passes(300_000)

    assert await desk.sender.serve(code_item()) == Done()
    assert desk.stub.posted == []


async def test_a_code_in_doubt_is_never_sent_again(desk: Desk) -> None:
    vanished = await desk.sender.serve(code_item(before=Before.VANISHED))
    assert vanished == Doubt(OUTAGE_DOUBT_MS, "vanished")

    assert await desk.sender.serve(code_item(before=Before.DOUBTED)) == Dead("unconfirmed")
    proved = code_item(before=Before.DOUBTED, proof=b"wamid.1")
    assert await desk.sender.serve(proved) == Done()
    assert desk.stub.posted == []


async def test_a_code_that_meta_refuses_is_told_to_nobody(desk: Desk) -> None:
    desk.stub.script.append(refuses(131026))

    assert await desk.sender.serve(code_item()) == Done()


async def test_a_code_that_was_not_sealed_for_its_lane_is_not_sent(desk: Desk) -> None:
    sealed = LETTERS.seal("code-9999", WaId("56961234567"), "482913")

    assert await desk.sender.serve(code_item(sealed=sealed)) == Dead("not_ours")
    assert desk.stub.posted == []


# ------------------------------------------------------------------ limits and pauses


async def test_the_pair_limit_is_waited_for(desk: Desk) -> None:
    assert await desk.sends(not_before=NOW + 700) == Again(700, "pair_limit", counts=False)

    desk.watch.passes(700)

    assert await desk.sends(not_before=NOW + 700) == sent(at=NOW + 700)


async def test_the_number_limit_is_waited_for(desk: Desk) -> None:
    desk.bucket.wait_ms = 40

    assert await desk.sends() == Again(40, "number_limit", counts=False)
    assert desk.stub.posted == []


async def test_a_number_that_was_upgraded_has_a_wider_limit(desk: Desk) -> None:
    channel = desk.phonebook.channels[CHANNEL]
    desk.phonebook.channels[CHANNEL] = msgspec.structs.replace(channel, throughput=1_000)

    await desk.sends()

    assert desk.bucket.asked == [(f"number:{NUMBER}", 1_000, 1_000)]


@pytest.mark.parametrize(
    ("code", "fault", "rest_ms"),
    [
        pytest.param(130429, "number_throughput", 1_000, id="throughput"),
        pytest.param(131057, "number_maintenance", 60_000, id="maintenance"),
        pytest.param(80007, "api_limit", 60_000, id="api-calls"),
        pytest.param(190, "token", 60_000, id="token"),
        pytest.param(131042, "payment", 60_000, id="payment-looks-each-minute"),
    ],
)
async def test_a_refused_number_rests_in_all_its_lanes(
    desk: Desk, code: int, fault: str, rest_ms: int
) -> None:
    desk.stub.script.append(refuses(code))

    assert await desk.sends() == Again(rest_ms, fault, counts=False)
    assert await desk.sends() == Again(rest_ms, "number_paused", counts=False)
    assert len(desk.stub.posted) == 1


async def test_after_the_rest_one_message_goes_ahead_and_frees_the_others(desk: Desk) -> None:
    desk.stub.script.append(refuses(130429))
    await desk.sends()
    desk.watch.passes(1_000)

    assert await desk.sends() == sent(at=NOW + 1_000)
    assert await desk.sends() == sent(at=NOW + 1_000)


async def test_a_probe_that_meets_the_limit_lets_the_next_go_ahead(desk: Desk) -> None:
    desk.stub.script.append(refuses(130429))
    await desk.sends()
    desk.watch.passes(1_000)
    desk.bucket.wait_ms = 40
    assert await desk.sends() == Again(40, "number_limit", counts=False)

    desk.bucket.wait_ms = 0

    assert await desk.sends() == sent(at=NOW + 1_000)


async def test_a_new_token_is_used_at_once(desk: Desk) -> None:
    desk.stub.script.append(refuses(190, status=401))
    await desk.sends()

    desk.phonebook.tokens[CHANNEL] = "another"

    assert await desk.sends() == sent()
    assert desk.stub.posted[-1].token == "Bearer another"


async def test_meta_says_how_long_to_wait(desk: Desk) -> None:
    desk.stub.script.append(refuses(130429, Retry_After="30"))

    assert await desk.sends() == Again(30_000, "number_throughput", counts=False)


@pytest.mark.parametrize("missing", ["channel", "token"])
async def test_without_channel_or_token_the_outbox_is_kept(desk: Desk, missing: str) -> None:
    if missing == "channel":
        desk.phonebook.channels.clear()
    else:
        desk.phonebook.tokens.clear()

    with capture_logs() as logs:
        outcomes = [await desk.sends(), await desk.sends()]

    assert outcomes == [Again(NO_CHANNEL_MS, f"no_{missing}", counts=False)] * 2
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("whatsapp.cannot_send", "error")
    ]


async def test_a_number_that_was_just_added_sends_at_once(desk: Desk) -> None:
    """Another process has heard a message for it, and this one had not read of it yet."""
    desk.phonebook.added = [desk.phonebook.channels.pop(CHANNEL)]

    assert await desk.sends() == sent()


# ------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("tries", "wait_ms"),
    [
        pytest.param(1, 1_000, id="first"),
        pytest.param(2, 2_000, id="second"),
        pytest.param(5, 16_000, id="fifth"),
        pytest.param(39, 300_000, id="bounded"),
    ],
)
async def test_a_stumble_is_tried_again_with_back_off(desk: Desk, tries: int, wait_ms: int) -> None:
    desk.stub.script.append(refuses(131016, status=500))

    assert await desk.serves(taken(say(), tries=tries)) == Again(wait_ms, "transient")


@pytest.mark.parametrize(
    ("tries", "wait_ms"),
    [
        pytest.param(1, 1_000, id="4^0"),
        pytest.param(2, 4_000, id="4^1"),
        pytest.param(3, 16_000, id="4^2"),
        pytest.param(30, 256_000, id="bounded"),
    ],
)
async def test_a_pair_that_wrote_too_much_waits_by_powers_of_four(
    desk: Desk, tries: int, wait_ms: int
) -> None:
    desk.stub.script.append(refuses(131056))

    assert await desk.serves(taken(say(), tries=tries)) == Again(wait_ms, "pair_rate")


async def test_a_stumble_of_known_length_is_waited_for(desk: Desk) -> None:
    desk.stub.script.append(refuses(131016, Retry_After="30"))

    assert await desk.sends() == Again(30_000, "transient")


async def test_waits_are_spread(desk: Desk) -> None:
    desk.spread[0] = 0.8
    desk.stub.script.append(refuses(131000))

    assert await desk.sends() == Again(1_200, "transient")


@pytest.mark.parametrize(
    ("code", "fault", "tries"),
    [
        pytest.param(131000, "transient", 40, id="transient"),
        pytest.param(131056, "pair_rate", 40, id="pair"),
        pytest.param(999_999, "unknown", 8, id="unknown-code"),
    ],
)
async def test_tries_end_and_the_conversation_is_told(
    desk: Desk, code: int, fault: str, tries: int
) -> None:
    desk.stub.script.extend([refuses(code), refuses(code)])

    assert isinstance(await desk.serves(taken(say(), tries=tries - 1)), Again)
    outcome = await desk.serves(taken(say(), tries=tries))

    assert outcome == refused(fault, code=code, dead=True)


@pytest.mark.parametrize(
    ("code", "fault", "dead"),
    [
        pytest.param(131026, "undeliverable", False, id="undeliverable"),
        pytest.param(131050, "marketing_stopped", False, id="opted-out"),
        pytest.param(132015, "template_paused", False, id="template-paused"),
        pytest.param(132001, "template", True, id="template-missing"),
        pytest.param(100, "bad_request", True, id="defect-of-ours"),
    ],
)
async def test_a_lasting_refusal_is_told_to_the_conversation(
    desk: Desk, code: int, fault: str, dead: bool
) -> None:
    desk.stub.script.append(refuses(code))

    assert await desk.sends() == refused(fault, code=code, dead=dead)


async def test_no_log_line_tells_the_message_or_the_person(desk: Desk) -> None:
    desk.stub.script.extend([refuses(100, details=f"to +{PHONE} 'un secreto'"), hangs_up])

    with capture_logs() as logs:
        await desk.sends(content=Text("un secreto"))
        await desk.sends(content=Text("un secreto"))

    shown = str(logs)
    assert len(logs) == 2
    assert PHONE not in shown
    assert "secreto" not in shown


# ------------------------------------------------------------------ receipts


def mark(*, typing: bool = False, at: int = NOW, channel: ChannelId = CHANNEL) -> MarkRead:
    return MarkRead(tenant=TENANT, channel=channel, message=Wamid("wamid.IN"), typing=typing, at=at)


async def receipt_of(stub: GraphStub) -> dict[str, object]:
    async with asyncio.timeout(5):
        await stub.receipt_seen.wait()
    return stub.receipts[0].body


@pytest.mark.parametrize("typing", [False, True])
async def test_blue_ticks(desk: Desk, typing: bool) -> None:
    assert await desk.serves(taken(mark(typing=typing))) == Done()

    receipt = await receipt_of(desk.stub)
    assert receipt["message_id"] == "wamid.IN"
    assert ("typing_indicator" in receipt) is typing


async def test_blue_ticks_beside_an_answer(desk: Desk) -> None:
    assert await desk.sends(reads=Wamid("wamid.IN")) == sent()

    assert (await receipt_of(desk.stub))["message_id"] == "wamid.IN"


async def test_an_answer_does_not_wait_for_its_blue_ticks(desk: Desk) -> None:
    desk.stub.receipt_answer = desk.stub.silent

    assert await desk.sends(reads=Wamid("wamid.IN")) == sent()


async def test_typing_dots_come_before_the_answer(desk: Desk) -> None:
    await desk.serves(taken(mark(typing=True)))

    assert len(desk.stub.receipts) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hangs_up, id="reset"),
        pytest.param(refuses(100), id="bad-wamid"),
        pytest.param(refuses(190, status=401), id="token"),
        pytest.param(says("<html>", status=502), id="html-502"),
    ],
)
async def test_a_receipt_that_fails_is_forgotten(desk: Desk, answer: Answer) -> None:
    desk.stub.receipt_answer = answer

    assert await desk.serves(taken(mark(typing=True))) == Done()
    assert desk.counts.counted["whatsapp_receipt", "failed"] == 1


@pytest.mark.parametrize(
    ("item", "age_ms"),
    [
        pytest.param(taken(mark(typing=True)), RECEIPT_AGE_MS_MAX + 1, id="late"),
        pytest.param(
            taken(mark(typing=True), before=Before.VANISHED), 0, id="tried-before-a-crash"
        ),
        pytest.param(taken(mark(typing=True), before=Before.DOUBTED), 0, id="tried-and-doubted"),
        pytest.param(taken(mark(typing=True, channel=ChannelId("gone"))), 0, id="no-channel"),
    ],
)
async def test_a_receipt_has_one_try_in_time(desk: Desk, item: Item, age_ms: int) -> None:
    desk.watch.passes(age_ms)

    assert await desk.serves(item) == Done()
    assert desk.stub.receipts == []


async def test_closing_gives_up_what_is_under_way(desk: Desk) -> None:
    desk.stub.receipt_answer = desk.stub.silent
    await desk.serves(taken(mark()))
    await receipt_of(desk.stub)

    await desk.sender.close()

    assert desk.sender._receipts == set()


# ------------------------------------------------------------------ the budget


@pytest.mark.parametrize(
    ("over", "asked"),
    [
        pytest.param({}, ("service", True), id="a-reply"),
        pytest.param({"answers": False}, ("service", False), id="on-our-own"),
        pytest.param({"content": NOTICE, "answers": False}, ("utility", False), id="a-notice"),
        pytest.param(
            {"open_until": 0, "instead": NOTICE}, ("utility", True), id="in-place-of-a-reply"
        ),
        pytest.param({"content": CODE, "once": True}, ("authentication", True), id="a-code"),
    ],
)
async def test_the_budget_is_asked_for_what_will_leave(
    desk: Desk, over: dict[str, object], asked: tuple[str, bool]
) -> None:
    desk.phonebook.has("aviso")
    willing = Terms(answers=False, opted_in=True)
    desk.people.is_so = Standing(Window(last_in=NOW if "open_until" not in over else 0), willing)

    await desk.sends(**over)

    assert desk.purse.asked == [asked]


async def test_without_budget_nothing_leaves_and_the_conversation_is_told(desk: Desk) -> None:
    desk.purse.left = 0

    assert await desk.sends() == refused("budget_spent")
    assert desk.stub.posted == []


async def test_what_a_free_entry_pays_for_needs_no_budget(desk: Desk) -> None:
    desk.purse.left = 0
    desk.people.is_so = Standing(
        Window(last_in=NOW, free_until=NOW + 3_600_000), Terms(answers=False)
    )

    assert await desk.sends() == sent()
    desk.watch.passes(3_600_000)
    assert await desk.sends(at=NOW + 3_600_000, open_until=NOW + 7_200_000) == refused(
        "budget_spent", at=NOW + 3_600_000, said=say(at=NOW + 3_600_000, open_until=NOW + 7_200_000)
    )
    assert desk.purse.left == 0


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        pytest.param(accepts(), 9, id="taken"),
        pytest.param(refuses(131026), 10, id="refused-by-meta"),
        pytest.param(refuses(131000), 10, id="to-be-tried-again"),
        pytest.param(hangs_up, 9, id="in-doubt"),
    ],
)
async def test_what_was_surely_not_sent_is_given_back(
    desk: Desk, answer: Answer, left: int
) -> None:
    desk.stub.script.append(answer)
    desk.purse.left = 10

    await desk.sends()

    assert desk.purse.left == left


async def test_waiting_for_a_limit_costs_nothing(desk: Desk) -> None:
    desk.bucket.wait_ms = 500

    await desk.sends()

    assert desk.purse.asked == []


# ------------------------------------------------------------------ what somebody has to mend


@pytest.mark.parametrize(
    ("code", "told"),
    [
        pytest.param(190, [(CHANNEL, "token", 190)], id="token"),
        pytest.param(131042, [(CHANNEL, "payment", 131042)], id="payment"),
        pytest.param(131031, [(CHANNEL, "account_locked", 131031)], id="locked"),
        pytest.param(368, [(CHANNEL, "account_locked", 368)], id="policy"),
        pytest.param(131048, [(CHANNEL, "spam_limit", 131048)], id="spam"),
        pytest.param(132015, [(CHANNEL, "template_paused", 132015)], id="template"),
        pytest.param(131056, [], id="pair"),
        pytest.param(131026, [], id="undeliverable"),
    ],
)
async def test_a_refusal_that_somebody_has_to_mend_is_told(
    desk: Desk, code: int, told: list[tuple[ChannelId, str, int]]
) -> None:
    desk.stub.script.append(refuses(code))

    await desk.sends()

    assert desk.carer.troubles == told


async def test_what_becomes_of_a_message_does_not_depend_on_that(desk: Desk) -> None:
    desk.carer.down = True
    desk.phonebook.held[CHANNEL] = "payment"
    desk.stub.script.append(refuses(131048))

    assert await desk.sends() == refused("spam_limit", code=131048)
    assert await desk.sends() == sent()


async def test_a_message_that_is_taken_on_a_held_number_is_told(desk: Desk) -> None:
    await desk.sends()
    before = list(desk.carer.recoveries)
    desk.phonebook.held[CHANNEL] = "payment"

    await desk.sends()

    assert (before, desk.carer.recoveries) == ([], [CHANNEL])
