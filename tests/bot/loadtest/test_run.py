"""A deployment that does not answer one message is told why; one that does is loaded."""

import pytest

from bot.loadtest.run import load_test
from bot.loadtest.values import LoadTestError, Target
from handlers.whatsapp.emulator.plan import Plan
from handlers.whatsapp.emulator.tally import Count
from tests.handlers.whatsapp.emulator.bots import NUMBER, Bot, answer

PLAN = Plan(people=60, messages=100, rate=10, parts={"text": 1}, quiet_s=0.1)


async def silent(bot: Bot, person: str, n: int) -> None: ...


async def as_another(bot: Bot, person: str, n: int) -> None:
    await bot.say(person, f"wa/c:{n}-0", number="4242")


@pytest.mark.parametrize(
    ("bot", "path", "mend"),
    [
        pytest.param(Bot(answer, statuses=[401] * 9), "", "WHATSAPP_APP_SECRET: ", id="secret"),
        pytest.param(Bot(answer), "/wrong", "--callback-url: there is no webhook at ", id="path"),
        pytest.param(Bot(answer, statuses=[502] * 9), "", "answers 502 and not 200", id="proxy"),
        pytest.param(Bot(answer, statuses=[503] * 9), "", "its store is away", id="store"),
        pytest.param(Bot(silent), "", "WHATSAPP_GRAPH_URL: ", id="graph-url"),
        pytest.param(Bot(as_another), "", "--phone-number-id: the server sent as 4242", id="number"),
    ],
)  # fmt: skip
async def test_what_keeps_a_deployment_from_answering_is_named(
    bot: Bot, path: str, mend: str, free_port: int
) -> None:
    bot.graph = f"http://127.0.0.1:{free_port}"
    async with bot.at_work() as url:
        with pytest.raises(LoadTestError, match=mend):
            await load_test(
                Target(url + path, "secret", NUMBER, free_port), PLAN, seed=1, greet_s=0.3
            )


async def test_a_server_that_is_not_there_is_named(free_port: int) -> None:
    target = Target(f"http://127.0.0.1:{free_port}/hook", "secret", NUMBER, graph_port=0)

    with pytest.raises(LoadTestError, match="--callback-url: nothing answers at "):
        await load_test(target, PLAN, seed=1)


async def test_a_port_that_is_taken_is_named() -> None:
    async with Bot(answer).at_work() as url:
        taken = int(url.rpartition(":")[2].removesuffix("/hook"))

        with pytest.raises(LoadTestError, match=f"--graph-port: {taken} cannot be listened on"):
            await load_test(Target(url, "secret", NUMBER, taken), PLAN, seed=1)


async def test_what_passes_is_told_while_it_does(free_port: int) -> None:
    told: list[tuple[int, bool]] = []

    def watch(counts: Count, *, stopping: bool) -> None:
        told.append((counts.sent, stopping))

    bot = Bot(answer, graph=f"http://127.0.0.1:{free_port}")
    plan = Plan(people=20, messages=60, rate=80, parts={"text": 1}, quiet_s=0.1)
    async with bot.at_work() as url:
        result = await load_test(
            Target(url, "secret", NUMBER, free_port), plan, seed=1, watch=watch
        )

    assert result.ok
    assert result.counts.replies == 60
    assert told[0] == (0, False)
    assert 0 < told[1][0] <= 60
