"""The load notices what a server does wrong: a benchmark of wrong answers is none."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from tests.bench import load as module
from tests.bench.load import Accept, Graph, Load, Rate, Report, Talk

Reply = Callable[[str, str], Awaitable[None]]
"""Sends words to a person, as a bot does."""
Hear = Callable[[Reply, str, str], Awaitable[int]]
"""What a server does about a message: (reply, person, words) -> status."""


class Bench:
    """A load against a server that hears as it is told."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.hear: Hear = honest


async def honest(reply: Reply, person: str, words: str) -> int:
    await reply(person, f"1 {words}")
    return 200


async def silent(reply: Reply, person: str, words: str) -> int:
    return 200


async def twice(reply: Reply, person: str, words: str) -> int:
    await reply(person, words)
    await reply(person, words)
    return 200


async def confused(reply: Reply, person: str, words: str) -> int:
    await reply(person, "something else")
    return 200


def refusing_once() -> Hear:
    seen: list[str] = []

    async def hear(reply: Reply, person: str, words: str) -> int:
        if not seen:
            seen.append(words)
            return 503
        return await honest(reply, person, words)

    return hear


@pytest.fixture
async def bench(free_port: int) -> AsyncIterator[Bench]:
    loop = asyncio.get_running_loop()
    load = Load(free_port)
    bench = Bench(load)
    graph = await loop.create_server(lambda: Graph(load), "127.0.0.1", 0)
    graph_port = graph.sockets[0].getsockname()[1]

    async with aiohttp.ClientSession() as http:

        async def reply(person: str, words: str) -> None:
            body = {"to": person, "text": {"body": words}, "biz_opaque_callback_data": person}
            url = f"http://127.0.0.1:{graph_port}/v26.0/1/messages"
            async with http.post(url, json=body) as answer:
                await answer.read()

        async def hook(request: web.Request) -> web.Response:
            value = (await request.json())["entry"][0]["changes"][0]["value"]
            status = 200
            for message in value.get("messages", ()):
                status = await bench.hear(reply, message["from"], message["text"]["body"])
            return web.Response(status=status)

        app = web.Application()
        app.router.add_post(module.PATH, hook)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", free_port).start()
        yield bench
        await runner.cleanup()
    graph.close()


async def test_an_honest_server_has_no_faults(bench: Bench) -> None:
    seen = await bench.load.carry(Talk(4, each=1))

    assert (seen.count, seen.replies) == (4, 4)
    assert (seen.missing, seen.doubled, seen.wrong, seen.refused) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("hear", "fault"),
    [
        pytest.param(silent, "missing", id="no-reply"),
        pytest.param(twice, "doubled", id="the-same-twice"),
        pytest.param(confused, "wrong", id="other-words"),
        pytest.param(refusing_once(), "refused", id="not-200-at-first"),
    ],
)
async def test_what_a_server_does_wrong_is_counted(
    bench: Bench, hear: Hear, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLY_S_MAX", 0.1)
    bench.hear = hear

    seen = await bench.load.carry(Talk(1, each=1))

    assert {name: getattr(seen, name) for name in ("missing", "doubled", "wrong", "refused")} == {
        name: int(name == fault) for name in ("missing", "doubled", "wrong", "refused")
    }


async def test_at_a_fixed_rate_a_stall_counts_for_all_that_was_due_meanwhile(bench: Bench) -> None:
    stalled = False

    async def hear(_reply: Reply, _person: str, _words: str) -> int:
        nonlocal stalled
        if not stalled:
            stalled = True
            time.sleep(0.2)  # noqa: ASYNC251  the whole loop stands still: that is the case
        return 200

    bench.hear = hear

    seen = await bench.load.carry(Rate(per_s=100, seconds=0.2))

    assert seen.count == 20
    assert seen.ack.p50 > 50, "half of them were due while nothing moved"


async def test_statuses_are_of_replies_that_were_taken(bench: Bench) -> None:
    await bench.load.carry(Talk(4, each=1))

    seen = await bench.load.carry(Report(4))

    assert (seen.count, seen.refused) == (12, 0)
    with pytest.raises(SystemExit):
        await bench.load.carry(Report(1))


async def test_who_only_writes_waits_for_the_200_alone(bench: Bench) -> None:
    bench.hear = silent

    seen = await bench.load.carry(Accept(3, each=2))

    assert (seen.count, seen.replies, seen.missing) == (6, 0, 0)
