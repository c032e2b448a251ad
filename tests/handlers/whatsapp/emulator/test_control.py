"""The control API: people, chats, time, the truth, raw webhooks, events."""

import asyncio

import aiohttp
import msgspec
import pytest

from handlers.whatsapp.emulator.server import Emulator, serving
from tests.handlers.whatsapp.emulator.stage import (
    ANA,
    HOUR_MS,
    JSON,
    NOW_MS,
    PATIENCE_S,
    SECRET,
    SOL,
    FrozenClock,
    Stage,
    buttons,
    reminder,
    text,
)


async def status_of(stage: Stage, method: str, path: str, body: JSON) -> int:
    async with stage.http.request(method, f"{stage.address}/api/{path}", json=body) as answer:
        return answer.status


async def test_the_state_names_numbers_without_their_tokens(stage: Stage) -> None:
    state = await stage.control("GET", "state")

    assert state["numbers"] == [
        {"id": "1001", "display_phone": "+56 2 2345 6789", "name": "Panadería Sol"},
        {"id": "1002", "display_phone": "+56 2 2345 0000", "name": "Panadería Luna"},
    ]
    assert (state["now_ms"], state["may_shift"], state["people"]) == (NOW_MS, True, [])


async def test_a_chat_shows_what_was_said_oldest_first(stage: Stage) -> None:
    person = await stage.knows()
    await stage.sends(buttons("Sí"))
    await stage.emulator.settled()

    chat = await stage.control("GET", f"chats/{SOL.id}/{person.id}")

    messages = msgspec.convert(chat["messages"], list[JSON])
    assert [(each["outbound"], each["content"]) for each in messages] == [
        (False, {"type": "text", "body": "hola"}),
        (
            True,
            {
                "type": "buttons",
                "body": "¿Sí?",
                "buttons": [{"id": "id-0", "title": "Sí"}],
                "header": "",
                "footer": "",
                "medium": None,
            },
        ),
    ]


async def test_a_phone_that_nobody_has_is_no_person_of_the_page(stage: Stage) -> None:
    await stage.sends({**reminder(), "to": "56900000000"})

    state = await stage.control("GET", "state")

    assert (state["people"], state["chats"]) == ([], [])


async def test_moving_the_time_moves_the_clock_that_was_given(stage: Stage) -> None:
    await stage.shift(25 * HOUR_MS)

    assert stage.clock.ms == NOW_MS + 25 * HOUR_MS


async def test_a_clock_that_cannot_be_moved_says_so() -> None:
    emulator = Emulator(callback_url="", app_secret=SECRET, numbers=[SOL], clock=FrozenClock())
    async with (
        serving(emulator, host="127.0.0.1", port=0) as address,
        aiohttp.ClientSession() as http,
        http.post(f"{address}/api/shift", json={"ms": 1}) as answer,
    ):
        status = answer.status

    assert status == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "people", {"name": ""}, id="nameless"),
        pytest.param("POST", "people", {"name": "Ana", "wa_id": "+56 9"}, id="phone-with-signs"),
        pytest.param("POST", "people", {"name": "Ana", "wa_id": ANA}, id="phone-taken"),
        pytest.param("POST", "chats/1001/p1/messages", {"type": "dance"}, id="unknown-act"),
        pytest.param("POST", "chats/1001/p9/messages", {"type": "sticker"}, id="unknown-person"),
        pytest.param("POST", "chats/9/p1/messages", {"type": "sticker"}, id="unknown-number"),
        pytest.param(
            "POST",
            "chats/1001/p1/messages",
            {"type": "tap", "message": "x", "id": "y"},
            id="unknown-message",
        ),
        pytest.param("PUT", "faults/1001", {"dance": 1}, id="unknown-fault"),
        pytest.param("PUT", "faults/1001", {"reset": "yes"}, id="fault-no-number"),
        pytest.param("POST", "shift", {"ms": -1}, id="time-backwards"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    stage: Stage, method: str, path: str, body: JSON
) -> None:
    await stage.person()

    assert await status_of(stage, method, path, body) == 400


async def test_a_button_that_is_not_there_cannot_be_tapped(stage: Stage) -> None:
    person = await stage.knows()
    asked = (await stage.sends(buttons("Sí"))).wamid

    refused = await status_of(
        stage,
        "POST",
        f"chats/{SOL.id}/{person.id}/messages",
        {"type": "tap", "message": asked, "id": "id-9"},
    )

    assert refused == 400


async def test_a_foreign_page_cannot_post_without_asking_first(stage: Stage) -> None:
    async with stage.http.post(
        f"{stage.address}/api/people",
        data='{"name": "Eva"}',
        headers={"Content-Type": "text/plain"},
    ) as answer:
        assert answer.status == 415


async def test_the_truth_counts_what_was_taken_twice(stage: Stage) -> None:
    person = await stage.knows()
    for opaque in ("i-1", "i-1", "i-2"):
        await stage.sends(text(opaque, biz_opaque_callback_data=opaque))
    await stage.sends(text(""))
    await stage.emulator.settled()

    report = await stage.control("GET", "truth")

    world = msgspec.convert(report["world"], JSON)
    pair = msgspec.convert(world["pairs"], list[JSON])[0]
    assert (world["heard"], world["taken"], world["refused"]) == (1, 3, {"131008": 1})
    assert world["statuses"] == {"sent": 3, "delivered": 3}
    assert (pair["person"], pair["duplicates"]) == (person.id, {"i-1": 2})
    assert [line["text"] for line in msgspec.convert(pair["taken"], list[JSON])] == [
        "i-1",
        "i-1",
        "i-2",
    ]
    assert report["pending"] == 0


async def test_an_injected_webhook_is_signed_and_repeated_as_it_is(stage: Stage) -> None:
    stage.answers.append(503)

    await stage.control("POST", "inject", {"object": "whatsapp_business_account", "entry": []})

    first, second = await stage.hears_raw(), await stage.hears_raw()
    assert first == second
    assert first.body == {"object": "whatsapp_business_account", "entry": []}


async def test_a_reset_forgets_people_faults_and_what_was_under_way(stage: Stage) -> None:
    person = await stage.person()
    await stage.faults(delay_ms=60_000)
    await stage.writes(person)
    await stage.until_all_wait()

    await stage.control("POST", "reset", {})

    state = await stage.control("GET", "state")
    assert (state["people"], state["chats"], state["pending"]) == ([], [], 0)
    assert (await stage.faults()).delay_ms == 0


async def test_a_page_is_told_what_changes(stage: Stage) -> None:
    async with asyncio.timeout(PATIENCE_S), stage.http.get(f"{stage.address}/api/events") as stream:
        await anext(aiter(stream.content))
        person = await stage.person()
        await stage.writes(person)
        await stage.emulator.settled()
        await stage.shift(1_000)
        events = [await next_event(stream) for _ in range(4)]

    assert [event["event"] for event in events] == ["person", "message", "message", "time"]
    assert events[3]["now_ms"] == NOW_MS + 1_000


async def next_event(stream: aiohttp.ClientResponse) -> JSON:
    async for line in stream.content:
        if line.startswith(b"data: "):
            return msgspec.json.decode(line.removeprefix(b"data: "), type=JSON)
    raise AssertionError("the stream ended")


async def test_the_bill_is_what_was_delivered(stage: Stage) -> None:
    await stage.knows()
    await stage.control("PUT", f"numbers/{SOL.id}", {"free_service": 1})
    for _ in range(2):
        await stage.sends(text())
        await stage.hears_statuses()

    async with stage.http.get(f"{stage.address}/api/bill") as answer:
        bill = await answer.json()

    assert [(line["category"], line["type"], line["messages"]) for line in bill] == [
        ("service", "free_customer_service", 1),
        ("service", "regular", 1),
    ]


@pytest.mark.parametrize(
    "change", [{"free_service": -1}, {"free_service": "many"}, {}, {"free_beer": 1}]
)
async def test_a_number_changes_in_what_it_has_only(
    stage: Stage, change: dict[str, object]
) -> None:
    async with stage.http.put(f"{stage.address}/api/numbers/{SOL.id}", json=change) as answer:
        assert answer.status == 400
