"""Firms that register: what it takes of their owners, of Meta's bill and of the server, in the chat and in the form."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console

from bot.demo import PLATFORM_NUMBER
from bot.embedded.stores import Stores
from flows.values.rut import check_digit
from tests.bench.figures import Section, at_most
from tests.bench.processes import free_port
from tests.bench.stores import Ground, bench_ground
from tests.whole.conftest import Whole, whole_server
from tests.whole.owners import Owner, owner
from tests.whole.people import People
from tests.whole.test_forms import gives_key, pushes_form

OWNERS: Final = 10
"""That register in each round and each way, one after the other."""
ANSWERS: Final = 6
MESSAGES: Final = 8
MESSAGES_BY_FORM: Final = 3
SERVER_S: Final = 2.0
OWN_PARTS_S: Final = 3.0
DONE: Final = "¡Listo!"
FIRST_BODY: Final = 76_200_000
"""RUTs of firms: this one, and those after it."""


@dataclass(frozen=True)
class Found:
    """One firm that was registered."""

    answers: int
    messages: int
    """To the firm that works, which is told by the last of them."""
    server_s: float
    """From each of its owner's messages to ours, by Meta's clock, in all."""
    own_parts_s: float
    """From the last tap to the firm."""


def measure(rounds: int, console: Console) -> Section:
    chats: list[Found] = []
    forms: list[Found] = []
    for n in range(rounds):
        # Stores of its own: once a number has a form, nobody is asked in the chat first.
        with bench_ground(pinned=False) as ground:
            found = asyncio.run(_round(ground))
        chats += found[0]
        forms += found[1]
        console.print(
            f"round {n + 1}/{rounds} · {statistics.median(f.server_s for f in chats) * 1000:.0f} ms of the server a "
            f"firm in the chat, {statistics.median(f.server_s for f in forms) * 1000:.0f} ms in the form"
        )
    return Section(
        title="Onboarding",
        how=f"{rounds} rounds. {OWNERS} owners register in the chat, then {OWNERS} in the form, over the emulator, the "
        "server and its stores at work for them alone. Messages are counted up to the one that says that the firm is "
        "there; a question about offers follows it.",
        goals=[
            at_most("chat: answers to a firm", [f.answers for f in chats], ANSWERS, "", 0),
            at_most("chat: messages to a firm", [f.messages for f in chats], MESSAGES, "", 0),
            at_most("chat: server time in all", [f.server_s for f in chats], SERVER_S, "s", 2),
            at_most(
                "chat: last tap to the firm", [f.own_parts_s for f in chats], OWN_PARTS_S, "s", 3
            ),
            at_most("form: answers to a firm", [f.answers for f in forms], ANSWERS, "", 0),
            at_most(
                "form: messages to a firm", [f.messages for f in forms], MESSAGES_BY_FORM, "", 0
            ),
            at_most("form: server time in all", [f.server_s for f in forms], SERVER_S, "s", 2),
            at_most("form: sent to the firm", [f.own_parts_s for f in forms], OWN_PARTS_S, "s", 3),
        ],
    )


async def _round(ground: Ground) -> tuple[list[Found], list[Found]]:
    async with _server(ground) as whole:
        chats = [await _in_the_chat(whole, 1 + each) for each in range(OWNERS)]
        await gives_key(whole, number=PLATFORM_NUMBER.id)
        await pushes_form(whole, number=PLATFORM_NUMBER.id)
        forms = [await _in_the_form(whole, 1 + OWNERS + each) for each in range(OWNERS)]
    return chats, forms


@asynccontextmanager
async def _server(ground: Ground) -> AsyncIterator[Whole]:
    stores = Stores(redis_url=ground.store.url, postgres=ground.postgres)
    async with whole_server(stores, ground.folder, free_port(), town=True) as whole:
        yield whole


async def _in_the_chat(whole: Whole, n: int) -> Found:
    someone = await _someone(whole, n)
    await someone.begins("hola")
    await someone.taps("Sí, acepto")
    await someone.says(_rut(n))
    await someone.says(f"Peluquería {n}")
    await someone.says("peluquería y barbería")
    await someone.says("vila alemana")
    done = await someone.taps("Tomar horas")
    assert done.startswith(DONE), done
    return _found(someone, someone.answers)


async def _in_the_form(whole: Whole, n: int) -> Found:
    someone = await _someone(whole, n)
    await someone.begins("hola")
    [asked] = someone.heard()
    opened = await _post(
        whole,
        f"/api/chats/{PLATFORM_NUMBER.id}/{someone.person}/form",
        {"message": asked.wamid},
    )
    firm = {"name": f"Peluquería {n}", "rut": _rut(n), "line": "beauty", "comuna": "vila alemana"}
    start = {"first": "horas", "email": "", "terms": True, "data": True}
    for values in (firm, start):
        body = {"number": PLATFORM_NUMBER.id, "person": someone.person, "values": values}
        shown = await _post(whole, f"/api/forms/{opened['form']}/submit", body)
        opened = shown if shown["form"] else opened
    done = await someone.waits(DONE)
    assert done.startswith(DONE), done
    return _found(someone, 1)


async def _someone(whole: Whole, n: int) -> Owner:
    people = People(whole.http, whole.settings.graph_url, number=PLATFORM_NUMBER.id)
    return await owner(people, whole.emulator, PLATFORM_NUMBER.id, n)


async def _post(whole: Whole, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with whole.http.post(whole.settings.graph_url + path, json=body) as answer:
        shown: dict[str, Any] = await answer.json()
        assert answer.status == 200, shown
    return shown


def _found(someone: Owner, answers: int) -> Found:
    said = someone.emulator.world.messages(someone.number, someone.person)
    waits: list[float] = []
    asked_ms = 0
    for message in said:
        if message.outbound:
            waits.append((message.at_ms - asked_ms) / 1000)
        else:
            asked_ms = message.at_ms
    return Found(answers, len(someone.heard()), sum(waits), waits[-1])


def _rut(n: int) -> str:
    body = FIRST_BODY + n
    return f"{body}-{check_digit(body)}"
