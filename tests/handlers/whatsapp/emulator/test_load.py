"""A load test sees what a server does wrong, and only that: here the server errs on purpose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from handlers.whatsapp.emulator.load import Greeting, Load
from handlers.whatsapp.emulator.mix import Kind
from handlers.whatsapp.emulator.plan import FAIR, Outcome, Plan, Weather
from handlers.whatsapp.emulator.world import NumberId
from tests.handlers.whatsapp.emulator.bots import NUMBER, Bot, answer, ref
from tests.handlers.whatsapp.emulator.stage import NOW_MS, SECRET

TEXTS: dict[Kind, int] = {"text": 1}
PLAN = Plan(people=10, messages=60, rate=600, parts=TEXTS, wait_s=0.4, quiet_s=0.1)


class SystemClock:
    def now_ms(self) -> int:
        return NOW_MS


async def loaded(
    bot: Bot,
    plan: Plan = PLAN,
    *,
    weather: Weather = FAIR,
    stop: asyncio.Event | None = None,
    hurry: asyncio.Event | None = None,
) -> Outcome:
    async with bot.at_work() as url, at_work(url) as (load, bot.graph):
        return await load.run(
            plan, stop=stop or asyncio.Event(), hurry=hurry or asyncio.Event(), weather=weather
        )


@asynccontextmanager
async def at_work(callback_url: str) -> AsyncIterator[tuple[Load, str]]:
    """A load, and the address of its Graph API."""
    load = Load(
        callback_url=callback_url, app_secret=SECRET, number=NUMBER, clock=SystemClock(), seed=1
    )
    async with load.serving(host="127.0.0.1", port=0) as graph:
        yield load, graph


# ------------------------------------------------------------------ what is seen


async def test_of_an_honest_server_everything_is_counted_and_nothing_is_wrong() -> None:
    bot = Bot(answer)

    outcome = await loaded(bot)

    counts = outcome.count
    assert (counts.sent, counts.acknowledged, counts.replies) == (60, 60, 60)
    assert (counts.lost, counts.not_acknowledged, counts.in_flight) == (0, 0, 0)
    assert (counts.doubled_sends, counts.doubled_answers, counts.inverted) == (0, 0, 0)
    assert counts.kinds == {"text": 60}
    assert set(counts.webhooks) == {"200"}
    assert counts.ack_ms.count == counts.reply_ms.count == 60
    assert 0 < counts.reply_ms.p50 <= counts.reply_ms.p99 <= counts.reply_ms.max
    assert not outcome.broken_off


async def test_a_person_waits_for_the_answer_before_writing_again() -> None:
    async def slowly(bot: Bot, person: str, n: int) -> None:
        await asyncio.sleep(0.02)
        await answer(bot, person, n)

    bot = Bot(slowly)

    outcome = await loaded(bot)

    assert bot.most_open == 1
    assert outcome.count.replies == 60
    assert outcome.held_s > 0


async def test_messages_that_are_never_answered_are_lost() -> None:
    async def forgetful(bot: Bot, person: str, n: int) -> None:
        if n % 10:
            await answer(bot, person, n)

    outcome = await loaded(Bot(forgetful))

    assert (outcome.count.acknowledged, outcome.count.lost) == (60, 6)


async def test_who_is_not_answered_writes_no_more_and_the_load_ends() -> None:
    async def silent(bot: Bot, person: str, n: int) -> None: ...

    outcome = await loaded(Bot(silent))

    assert (outcome.count.sent, outcome.count.lost) == (PLAN.people, PLAN.people)


async def test_a_message_that_comes_twice_under_one_id_is_doubled() -> None:
    async def stammering(bot: Bot, person: str, n: int) -> None:
        await answer(bot, person, n)
        if n % 10 == 0:
            await answer(bot, person, n)

    outcome = await loaded(Bot(stammering))

    assert (outcome.count.doubled_sends, outcome.count.doubled_answers) == (6, 0)
    assert (outcome.count.replies, outcome.count.lost) == (60, 0)


async def test_a_message_that_is_answered_twice_is_doubled_to_the_last_one() -> None:
    async def answering_twice(bot: Bot, person: str, n: int) -> None:
        await answer(bot, person, n)
        if n % 10 == 0:
            await bot.say(person, ref(n, 1))

    outcome = await loaded(Bot(answering_twice))

    assert (outcome.count.doubled_sends, outcome.count.doubled_answers) == (0, 6)
    assert (outcome.count.replies, outcome.count.lost) == (60, 0)


async def test_an_answer_that_left_after_a_later_one_is_inverted() -> None:
    async def swapped(bot: Bot, person: str, n: int) -> None:
        await bot.say(person, ref({20: 21, 21: 20}.get(n, n)))

    outcome = await loaded(Bot(swapped), Plan(people=1, messages=40, rate=400, parts=TEXTS, wait_s=0.4, quiet_s=0.1))  # fmt: skip

    assert (outcome.count.inverted, outcome.count.doubled_sends) == (1, 0)


async def test_a_webhook_that_is_never_taken_is_told_apart_from_a_loss() -> None:
    bot = Bot(answer, statuses=[503] * 1_000)

    outcome = await loaded(bot)

    counts = outcome.count
    assert counts.not_acknowledged == counts.sent == PLAN.people
    assert (counts.acknowledged, counts.lost) == (0, 0)
    assert set(counts.webhooks) == {"503"}


async def test_refused_sends_are_counted_by_code() -> None:
    tokens = iter(range(200))

    async def hasty(bot: Bot, person: str, n: int) -> None:
        # WhatsApp: 45 to one person at once.
        while await bot.say(person, ref(next(tokens))) == 200:
            pass

    outcome = await loaded(Bot(hasty), Plan(people=1, messages=1, rate=1, parts=TEXTS, wait_s=0.4, quiet_s=0.1))  # fmt: skip

    assert outcome.count.refused == {131056: 1}
    assert outcome.count.doubled_answers == 44


async def test_what_is_sent_to_others_is_no_answer() -> None:
    async def also_to_others(bot: Bot, person: str, n: int) -> None:
        await answer(bot, person, n)
        if n <= 5:
            await bot.say("56911111111", ref(n, 1))

    outcome = await loaded(Bot(also_to_others))

    assert outcome.count.strays == 5
    assert outcome.count.doubled_answers == 0


# ------------------------------------------------------------------ faults on the way


async def test_what_goes_wrong_on_the_way_is_not_the_servers_fault() -> None:
    weather = Weather({"duplicate": 0.3, "rebatch": 0.3, "http_500": 0.2}, {"batch": 5})

    async def stubborn(bot: Bot, person: str, n: int) -> None:
        while await bot.say(person, ref(n)) == 500:
            pass

    bot = Bot(stubborn)
    outcome = await loaded(bot, weather=weather)

    counts = outcome.count
    assert (counts.replies, counts.lost) == (60, 0)
    assert (counts.doubled_sends, counts.doubled_answers, counts.inverted) == (0, 0, 0)
    assert max(bot.heard.values()) > 1
    assert all(outcome.faults[switch] for switch in weather.shares)


# ------------------------------------------------------------------ how it ends


async def test_a_stop_ends_the_writing_and_waits_for_answers() -> None:
    stop = asyncio.Event()

    async def slowly(bot: Bot, person: str, n: int) -> None:
        if n == 20:
            stop.set()
        await asyncio.sleep(0.05)
        await answer(bot, person, n)

    outcome = await loaded(Bot(slowly), stop=stop)

    assert 20 <= outcome.count.sent < 60
    assert outcome.count.replies == outcome.count.sent
    assert not outcome.broken_off


async def test_in_a_hurry_open_answers_are_no_loss() -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    async def silent(bot: Bot, person: str, n: int) -> None:
        stop.set()
        hurry.set()

    outcome = await loaded(Bot(silent), stop=stop, hurry=hurry)

    assert outcome.broken_off
    assert outcome.count.lost == 0
    assert outcome.count.in_flight == outcome.count.sent > 0


# ------------------------------------------------------------------ before it begins


async def test_a_greeting_tells_whether_anybody_answers() -> None:
    async def silent(bot: Bot, person: str, n: int) -> None: ...

    async def as_another(bot: Bot, person: str, n: int) -> None:
        await bot.say(person, ref(n), number="4242")

    answered, unheard, refused, elsewhere = [
        await greeted(bot)
        for bot in (Bot(answer), Bot(silent), Bot(answer, statuses=[401] * 9), Bot(as_another))
    ]

    assert (answered.answered, answered.status) == (True, 200)
    assert (unheard.answered, unheard.asked, unheard.status) == (False, False, 200)
    assert (refused.answered, refused.status) == (False, 401)
    assert (elsewhere.answered, elsewhere.strangers) == (False, frozenset({NumberId("4242")}))


async def test_a_greeting_is_no_part_of_the_figures() -> None:
    bot = Bot(answer)
    async with bot.at_work() as url, at_work(url) as (load, bot.graph):
        await load.greet("hola")
        outcome = await load.run(PLAN, stop=asyncio.Event(), hurry=asyncio.Event())

    assert outcome.count.sent == outcome.count.replies == PLAN.messages
    assert outcome.count.strays == 0


async def test_only_the_graph_api_is_served() -> None:
    """The control API would sign whatever it is given with the secret of a real deployment."""
    async with at_work("http://127.0.0.1:9/") as (_, graph), aiohttp.ClientSession() as http:
        statuses = []
        for path in ("/", "/api/state", f"/v26.0/{NUMBER.id}"):
            async with http.get(f"{graph}{path}") as answer:
                statuses.append(answer.status)

    assert statuses == [404, 404, 200]


async def greeted(bot: Bot) -> Greeting:
    async with bot.at_work() as url, at_work(url) as (load, bot.graph):
        return await load.greet("hola", within_s=0.3)


# ------------------------------------------------------------------ the pace


def test_the_rate_grows_evenly_over_the_ramp() -> None:
    plan = Plan(people=1, messages=1, rate=10, parts=TEXTS, ramp_s=4)

    due = [plan.due_s(n) for n in range(40)]

    assert due[0] == 0
    assert due[5] == pytest.approx(2)  # a quarter of the ramp's 20 by half of its time
    assert due[20] == pytest.approx(4)
    assert due[30] - due[20] == pytest.approx(1)
