"""Statuses are durable before anybody is told so; those that come at one time become so together."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from bot.clock import Clock
from bot.engine.errands import Errands
from bot.engine.intake import GATHER_MAX, Intake
from bot.engine.journal import PARTS
from bot.lanes import Bell, Lanes, Taken, Wire
from bot.lanes.install import install
from bot.metrics import Metrics
from bot.people.addresses import Addresses
from flows.values.ids import ItemId, TenantId, Wamid
from handlers.journal import StatusRecord, StatusSeen
from handlers.ports import StoreDownError
from tests.bot.engine.outside import no_codes

TENANT = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
async def lanes(wire: Wire) -> Lanes:
    return Lanes(wire, shards=await install(wire), clock=Clock())


class Refused:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def refused() -> Refused:
    return Refused()


@pytest.fixture
def intake(wire: Wire, lanes: Lanes, refused: Refused) -> Intake:
    return Intake(
        lanes,
        Bell(wire),
        Addresses(wire, pepper=b"pepper", shards=lanes.shards),
        errands=Errands(lanes, Bell(wire), pepper=b"pepper"),
        clock=Clock(),
        metrics=Metrics(),
        room=lambda: 0,
        take=_nobody_takes,
        on_refused_statuses=refused,
        channels_of=lambda _tenant: (),
        void_codes=no_codes,
    )


def _nobody_takes(_taken: Taken) -> None:
    raise AssertionError("statuses give nothing to do")


def status(n: int, item: ItemId | None = None) -> StatusSeen:
    return StatusSeen(
        tenant=TENANT,
        wamid=Wamid(f"wamid.{n}"),
        status="delivered",
        at=1_795_000_000,
        item=item or ItemId(f"wa/conversation-{n}:17000000000000-0"),
    )


async def journaled(lanes: Lanes) -> list[tuple[int, tuple[StatusSeen, ...]]]:
    """(shard, statuses) of each line."""
    return [
        (shard, msgspec.json.decode(line, type=StatusRecord).statuses)
        for shard in range(lanes.shards)
        for line in (await lanes.read_journal(shard, 1_000))[1]
    ]


async def told(intake: Intake, statuses: Sequence[StatusSeen]) -> list[BaseException | None]:
    """Each in a webhook of its own, at one time."""
    return await asyncio.gather(*(intake.hear([], [s]) for s in statuses), return_exceptions=True)


async def test_statuses_of_one_moment_are_a_line_for_each_writer_of_the_journal(
    intake: Intake, lanes: Lanes
) -> None:
    statuses = [status(n) for n in range(40)]

    assert await told(intake, statuses) == [None] * 40

    lines = await journaled(lanes)
    assert sorted(shard % PARTS for shard, _ in lines) == list(range(PARTS))
    assert {s.wamid for _, told in lines for s in told} == {s.wamid for s in statuses}
    assert all(
        lanes.shard(s.item.removeprefix("wa/").split(":")[0]) % PARTS == shard % PARTS
        for shard, told in lines
        for s in told
    )


async def test_a_flood_does_not_wait_for_one_endless_line(intake: Intake, lanes: Lanes) -> None:
    statuses = [status(n) for n in range(5 * GATHER_MAX)]

    await told(intake, statuses)

    lines = await journaled(lanes)
    assert max(len(told) for _, told in lines) == GATHER_MAX
    assert sum(len(told) for _, told in lines) == len(statuses)


async def test_a_proof_is_kept_in_the_shard_of_its_item(intake: Intake, lanes: Lanes) -> None:
    sending = []
    for n in range(8):
        shard = lanes.shard(f"conversation-{n}")
        taken = await lanes.put(shard, f"wa/conversation-{n}", b"hola", take=True)
        assert isinstance(taken, Taken)
        await lanes.retry(taken, delay_ms=60_000, doubt=True)
        sending.append(taken)

    await told(intake, [status(n, taken.id()) for n, taken in enumerate(sending)])

    for n, taken in enumerate(sending):
        [again] = (await lanes.claim(taken.shard, "wa")).taken
        assert again.proof == f"wamid.{n}".encode()


async def test_who_goes_away_takes_nobody_along(intake: Intake, lanes: Lanes) -> None:
    asking = [asyncio.create_task(intake.hear([], [status(n)])) for n in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [None] * 19
    assert sum(len(told) for _, told in await journaled(lanes)) == 20


async def test_nobody_is_told_that_a_status_is_durable_while_the_store_is_away(
    intake: Intake, wire: Wire, refused: Refused
) -> None:
    await wire.close()

    answers = await told(intake, [status(n) for n in range(20)])

    assert {type(answer) for answer in answers} == {StoreDownError}
    assert refused.times == 20
