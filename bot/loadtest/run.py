"""Runs a load test: one message to see whether the server answers at all, then the load."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from bot.clock import Clock
from bot.loadtest.judge import judge
from bot.loadtest.values import HOST, LoadTestError, Result, Target, Watch
from handlers.whatsapp.emulator import witness
from handlers.whatsapp.emulator.load import GREET_S, Greeting, Load
from handlers.whatsapp.emulator.plan import FAIR, Plan, Weather
from handlers.whatsapp.webhook import PATH

LOOK_S: Final = 0.5  # between two looks at how it stands
ASK_S: Final = 2.0  # for what the server tells of itself

_UNKNOWN_NUMBER: Final = 'name="whatsapp_unknown_number"'  # in /metrics


async def load_test(
    target: Target,
    plan: Plan,
    *,
    seed: int,
    weather: Weather = FAIR,
    p99_ms: float | None = None,
    watch: Watch | None = None,
    greet_s: float = GREET_S,
) -> Result:
    """Check that the server answers, load it, and judge. From the main thread only.

    The first Ctrl-C ends the writing, the second one the waiting.

    Args:
        p99_ms: the slowest that the 99th percentile of replies may be.
        greet_s: for the answer to the one message before.

    Raises:
        LoadTestError: the server does not answer one message, so a load would tell nothing.
    """
    load = Load(
        callback_url=target.callback_url,
        app_secret=target.app_secret,
        number=target.number,
        clock=Clock(),
        seed=seed,
    )
    async with AsyncExitStack() as stack:
        stop, hurry = stack.enter_context(_interrupts())
        try:
            graph_url = await stack.enter_async_context(
                load.serving(host=HOST, port=target.graph_port)
            )
        except OSError as error:
            raise LoadTestError(
                f"--graph-port: {target.graph_port} cannot be listened on ({os.strerror(error.errno or 0)}): name a free one, "
                "and give the server the same in WHATSAPP_GRAPH_URL"
            ) from error
        await _check(load, target, graph_url, words=plan.words.text[0], within_s=greet_s)
        if watch is not None:
            stack.callback(asyncio.create_task(_look(load, watch, stop)).cancel)
        ours_s, theirs_s = time.process_time(), _cpu_s(target.pid)
        outcome = await load.run(plan, stop=stop, hurry=hurry, weather=weather)
        # What comes after the last answer is rest.
        passed_s = max(outcome.wrote_s, outcome.took_s)
        loader_cpu = (time.process_time() - ours_s) / passed_s
        after_s = _cpu_s(target.pid)
    server_cpu = None
    if theirs_s is not None and after_s is not None:
        server_cpu = round((after_s - theirs_s) / passed_s, 2)
    return judge(
        outcome,
        plan,
        seed=seed,
        p99_ms=p99_ms,
        loader_cpu=round(loader_cpu, 2),
        server_cpu=server_cpu,
    )


@contextmanager
def _interrupts() -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """(the first Ctrl-C has come, the second one has)."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: (hurry if stop.is_set() else stop).set())
    try:
        yield stop, hurry
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _look(load: Load, watch: Watch, stop: asyncio.Event) -> None:
    while True:
        watch(load.tally.count(over=False), stopping=stop.is_set())
        await asyncio.sleep(LOOK_S)


def _cpu_s(pid: int | None) -> float | None:
    """CPU seconds of a process so far, where the system tells them."""
    if pid is None:
        return None
    with suppress(OSError):
        # The name, in brackets, may hold anything; utime and stime are the 12th and 13th after it.
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return None


# ------------------------------------------------------------------ the one message before


async def _check(
    load: Load, target: Target, graph_url: str, *, words: str, within_s: float
) -> None:
    before = await _unknown_numbers(target.callback_url)
    greeting = await load.greet(words, within_s=within_s)
    if greeting.answered:
        return
    after = await _unknown_numbers(target.callback_url)
    unknown = before is not None and after is not None and after > before
    raise LoadTestError(_what_is_wrong(greeting, target, graph_url, unknown=unknown))


def _what_is_wrong(greeting: Greeting, target: Target, graph_url: str, *, unknown: bool) -> str:
    """Why one message was not answered, and how to mend it."""
    url, number = target.callback_url, target.number.id
    match greeting.status:
        case HTTPStatus.OK:
            pass
        case witness.NO_ANSWER:
            return f"--callback-url: nothing answers at {url}: does the server run, and is this its address?"
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return (
                "WHATSAPP_APP_SECRET: the server does not accept our signature: give this command the same secret "
                "as the server"
            )
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return f"--callback-url: there is no webhook at {url}: its path is usually {PATH}"
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return "the server takes nothing now, its store is away: its log and /readyz say more"
        case status:
            return f"--callback-url: {url} answers {status} and not 200: is it the server itself?"
    if greeting.strangers:
        others = ", ".join(sorted(greeting.strangers))
        return f"--phone-number-id: the server sent as {others}, and not as {number}"
    if unknown:
        return (
            f"--phone-number-id: the server has no number {number}: `smarterbot channel list` shows those it has, "
            "`smarterbot channel add` adds one"
        )
    if greeting.asked:
        return (
            "the server heard a message and did not answer it in time: its flow has to answer a "
            "greeting (see --help), and its log may say more"
        )
    return (
        f"WHATSAPP_GRAPH_URL: the server took a message, and nothing came to {graph_url} in time. "
        "In this order:\n"
        f"  1. the server has to be started with WHATSAPP_GRAPH_URL={graph_url}\n"
        f"  2. --phone-number-id: {number} has to be among its numbers, and have a token: `smarterbot channel list`\n"
        "  3. where `web` and `worker` are processes of their own, a worker has to run"
    )


async def _unknown_numbers(callback_url: str) -> float | None:
    """How often the server has heard of a number that it does not have, if it tells us."""
    url = callback_url.removesuffix(PATH) + "/metrics"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_S)) as session,
            session.get(url) as answer,
        ):
            lines = (await answer.text()).splitlines()
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
        return None
    told = [line for line in lines if _UNKNOWN_NUMBER in line and "_total" in line]
    return sum(float(line.rpartition(" ")[2]) for line in told)
