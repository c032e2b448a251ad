"""Each fault does what its name says, at its number alone, and as often as it was asked for."""

import asyncio

import aiohttp
import msgspec
import pytest

from handlers.whatsapp.emulator.faults import ALWAYS, Board, Faults
from handlers.whatsapp.emulator.webhooks import OVERTAKEN_MS
from tests.handlers.whatsapp.emulator.stage import (
    LUNA,
    SOL,
    Answer,
    Stage,
    failures,
    items,
    reminder,
    text,
    texts,
)


async def texts_heard(stage: Stage) -> list[list[str]]:
    """What the bot heard: for each webhook the texts in it."""
    return [texts(body) for body in await stage.hears_all()]


# ------------------------------------------------------------------ switches


def test_a_counted_switch_is_used_up_and_another_stays() -> None:
    board = Board()
    board.change(SOL.id, {"reset": 2, "http_500": ALWAYS})

    counted = [board.take(SOL.id, "reset") for _ in range(3)]
    lasting = [board.take(SOL.id, "http_500") for _ in range(3)]

    assert counted == [True, True, False]
    assert lasting == [True, True, True]


def test_a_fault_of_one_number_is_not_another_numbers() -> None:
    board = Board()

    board.change(SOL.id, {"http_500": ALWAYS})

    assert board.of(LUNA.id) == Faults()


# ------------------------------------------------------------------ webhooks


async def test_a_duplicate_is_the_same_bytes_twice(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(duplicate=1)

    await stage.writes(person)

    first, second = await stage.hears_raw(), await stage.hears_raw()
    await stage.emulator.settled()
    assert first == second
    assert stage.hooks.empty()


async def test_a_rebatched_message_comes_again_with_the_one_before_it(stage: Stage) -> None:
    person = await stage.person()
    await stage.writes(person, "a")
    await stage.emulator.settled()
    await stage.faults(rebatch=1)

    await stage.writes(person, "b")

    assert await texts_heard(stage) == [["a"], ["b"], ["b", "a"]]


async def test_a_lost_first_attempt_is_made_good_by_the_repetition(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(lose_first=1)

    await stage.writes(person)

    report = await stage.control("GET", "truth")
    assert await texts_heard(stage) == [["hola"]]
    assert (await stage.control("GET", "truth"))["posted"] == {
        "posts": 1,
        "taken": 1,
        "repeated": 1,
        "given_up": 0,
        "lost": 0,
    }, report


async def test_lost_statuses_never_come_and_messages_do(stage: Stage) -> None:
    person = await stage.knows()
    await stage.faults(lose_statuses=ALWAYS)

    await stage.sends(text())
    await stage.writes(person, "¿hola?")

    assert await texts_heard(stage) == [["¿hola?"]]


async def test_statuses_may_come_before_the_answer(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(statuses_first=1)

    answer = await stage.sends(text())

    arrived = [
        items(stage.hooks.get_nowait().body, "statuses")[0] for _ in range(stage.hooks.qsize())
    ]
    assert sorted(str(status["status"]) for status in arrived) == ["delivered", "sent"]
    assert {status["id"] for status in arrived} == {answer.wamid}


async def test_reordered_messages_come_last_first(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(reorder=3)

    for body in ("a", "b", "c"):
        await stage.writes(person, body)

    assert await texts_heard(stage) == [["c"], ["b"], ["a"]]


async def test_a_batch_holds_several_people_each_contact_once(stage: Stage) -> None:
    ana, bruno = await stage.person(), await stage.person(name="Bruno", wa_id="56987654321")
    await stage.faults(batch=3)

    await stage.writes(ana, "a")
    await stage.writes(bruno, "b")
    await stage.writes(ana, "c")

    body = await stage.hears()
    contacts = items(body, "contacts")
    assert texts(body) == ["a", "b", "c"]
    assert {contact["wa_id"] for contact in contacts} == {ana.wa_id, bruno.wa_id}
    assert len(contacts) == 2


async def test_a_batch_may_hold_messages_and_statuses(stage: Stage) -> None:
    person = await stage.knows()
    await stage.faults(batch=3)

    await stage.sends(text())
    await stage.writes(person, "b")

    body = await stage.hears()
    assert len(items(body, "messages")) == 1
    assert sorted(str(item["status"]) for item in items(body, "statuses")) == ["delivered", "sent"]


async def test_an_unfilled_batch_leaves_after_a_second(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(batch=10)
    await stage.writes(person)
    await stage.until_all_wait()

    before = stage.hooks.qsize()
    await stage.shift(1_000)

    assert before == 0
    assert await texts_heard(stage) == [["hola"]]


async def test_a_delayed_webhook_waits_for_its_time(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(delay_ms=5_000)
    await stage.writes(person)
    await stage.until_all_wait()

    await stage.shift(4_999)
    await stage.until_all_wait()
    before = stage.hooks.qsize()
    await stage.shift(1)

    assert before == 0
    assert await texts_heard(stage) == [["hola"]]


# ------------------------------------------------------------------ Graph


async def test_a_reset_takes_the_message_and_loses_the_answer(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(reset=1)

    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await stage.sends(text(biz_opaque_callback_data="item-1"))

    statuses = await stage.hears_statuses()
    assert {status["biz_opaque_callback_data"] for status in statuses} == {"item-1"}
    assert stage.emulator.world.truth().taken == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param("http_500", (500, 131000), id="500"),
        pytest.param("pair_limit", (400, 131056), id="pair-limit"),
        pytest.param("throughput", (400, 130429), id="throughput"),
        pytest.param("token_expired", (401, 190), id="token-expired"),
    ],
)
async def test_a_refusal_on_demand_takes_nothing_and_ends(
    stage: Stage, fault: str, expected: tuple[int, int]
) -> None:
    await stage.knows()
    await stage.faults(**{fault: 2})

    answers = [await stage.sends(text()) for _ in range(3)]

    refused = [(answer.status, answer.error["code"]) for answer in answers[:2]]
    assert refused == [expected, expected]
    assert answers[2].status == 200
    assert stage.emulator.world.truth().taken == 1


async def test_a_502_is_a_page_and_no_json(stage: Stage) -> None:
    await stage.faults(http_502=1)
    url = f"{stage.address}/v26.0/{SOL.id}/messages"

    async with stage.http.post(
        url, json={}, headers={"Authorization": f"Bearer {SOL.token}"}
    ) as answer:
        page = await answer.text()

    assert (answer.status, answer.content_type) == (502, "text/html")
    assert page.startswith("<!DOCTYPE html>")


async def test_paused_templates_refuse_templates_alone(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(template_paused=ALWAYS)

    as_template, as_text = await stage.sends(reminder()), await stage.sends(text())

    assert (as_template.status, as_template.error["code"]) == (400, 132015)
    assert as_text.status == 200


async def test_a_closed_window_may_refuse_at_once(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(window_error=1)

    closed = await stage.sends(text())
    again = await stage.sends(text())

    assert (closed.status, closed.error["code"]) == (400, 131047)
    assert again.status == 200, person


async def test_an_open_window_does_not_use_the_switch_up(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(window_error=1)

    await stage.sends(text())

    assert stage.emulator.faults.of(SOL.id).window_error == 1


async def test_a_send_may_be_refused_with_any_code(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(refuse_with=131048)

    answer = await stage.sends(text())

    assert (answer.status, answer.error["code"]) == (400, 131048)
    assert stage.emulator.world.truth().taken == 0


async def test_a_message_may_fail_with_any_code(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(fail_with=131049)

    answer = await stage.sends(text())

    statuses = await stage.hears_statuses()
    assert answer.status == 200
    assert failures(statuses) == [("failed", 131049)]


@pytest.mark.parametrize(
    ("faults", "end"),
    [
        pytest.param({}, "delivered", id="released"),
        pytest.param({"fail_with": 132015}, "failed", id="dropped"),
    ],
)
async def test_templates_are_held_back_until_the_first_ones_were_judged(
    stage: Stage, faults: dict[str, int], end: str
) -> None:
    await stage.knows()
    await stage.faults(pacing_ms=600_000, **faults)

    answer = await stage.sends(reminder())
    await stage.until_all_wait()
    await stage.shift(599_999)
    await stage.until_all_wait()
    message = stage.emulator.world.message(answer.wamid)
    assert message is not None
    early = message.status
    await stage.shift(1)

    [taken] = msgspec.convert(answer.body["messages"], list[dict[str, str]])
    assert taken["message_status"] == "held_for_quality_assessment"
    assert early is None
    assert [status["status"] for status in await stage.hears_statuses()][-1] == end


async def test_a_slow_answer_waits_for_its_time(stage: Stage) -> None:
    await stage.knows()
    await stage.faults(slow_ms=30_000)

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(stage.sends(text()))
        await stage.until_all_wait()
        await stage.shift(29_999)
        await stage.until_all_wait()
        answered_early = sending.done()
        await stage.shift(1)

    answer: Answer = sending.result()
    assert not answered_early
    assert answer.status == 200


# ------------------------------------------------------------------ now and then


def test_a_switch_may_be_on_for_a_share_of_all_times() -> None:
    one, same = Board(), Board()
    for board in (one, same):
        board.happen(SOL.id, {"http_500": 0.25}, seed=3)

    taken = [[board.take(SOL.id, "http_500") for _ in range(2_000)] for board in (one, same)]

    assert taken[0] == taken[1]
    assert sum(taken[0]) == pytest.approx(500, rel=0.15)
    assert one.happened == {"http_500": sum(taken[0])}
    assert not any(one.take(SOL.id, "reset") or one.take(LUNA.id, "http_500") for _ in range(100))


async def test_an_overtaken_webhook_arrives_after_those_behind_it(stage: Stage) -> None:
    ana, eva = await stage.person(), await stage.person("Eva", wa_id="56987654321")
    await stage.faults(overtaken=1)

    await stage.writes(ana, "first")
    await stage.until_all_wait()
    await stage.writes(eva, "second")
    overtaking = texts(await stage.hears())
    await stage.shift(OVERTAKEN_MS)

    assert overtaking == ["second"]
    assert texts(await stage.hears()) == ["first"]
