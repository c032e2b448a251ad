"""Processes are killed while a number is being connected: what was begun is finished, what was not has changed nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from bot.clock import Clock
from bot.onboarding.connect import ConnectTickets
from tests.whole.connecting import (
    BOX,
    LUNA,
    Owner,
    add_luna,
    channels_of,
    chooses,
    number_of,
    person_of,
    pin_of,
)
from tests.whole.installation import Installation, installation
from tests.whole.people import until
from tests.whole.traps import Exchange, Point

MOVED = b"UPDATE smarterbot.number_connections SET step"
ENDED = b"UPDATE smarterbot.number_connections SET state"
BEGUN = b"INSERT INTO smarterbot.number_connections"


@pytest.fixture
async def site() -> AsyncIterator[Installation]:
    async with installation() as site:
        await add_luna(site.stores)
        yield site


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


async def owner_of(site: Installation, http: aiohttp.ClientSession) -> Owner:
    tickets = ConnectTickets(BOX, address=site.webs[0].address, able=True, clock=Clock())
    owner = Owner(http, tickets.connect_link(LUNA.id, await person_of(site.stores)))

    async def known() -> bool:
        return (await owner.asks("status")).status == 200

    await until(known, within_s=15, what="the second firm")
    return owner


def nth(n: int, statement: bytes) -> Callable[[Exchange], bool]:
    """The n-th transaction that holds the statement."""
    left = n

    def is_it(exchange: Exchange) -> bool:
        nonlocal left
        left -= any(statement in word for word in exchange.words)
        return left == 0 and any(statement in word for word in exchange.words)

    return is_it


def written(n: int, what: str) -> Point:
    """The step was taken at Meta, and that it was is about to be written down."""
    return Point(f"{what} written", "worker", "COMMIT", "request", nth(n, MOVED), what)


def pins(exchange: Exchange) -> bool:
    return b'"pin"' in exchange.words[0]


POINTS = {
    "published": written(1, "publish"),
    "subscribed": written(2, "subscribe"),
    "registering": Point("registering", "worker", "POST", "request", pins, "before Meta hears"),
    "registered": Point("registered", "worker", "POST", "answer", pins, "Meta did, we do not know"),
    "register-written": written(3, "register"),
    "synced": written(4, "sync"),
    "checked": written(5, "check"),
    "ended": Point("ended", "worker", "COMMIT", "request", nth(1, ENDED), "all but the last line"),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in ("subscribed", "registered") else pytest.mark.nightly
        )
        for name in POINTS
    ],
)
async def test_a_worker_that_is_killed_has_its_number_finished_by_the_next(
    site: Installation, http: aiohttp.ClientSession, name: str
) -> None:
    owner, worker = await owner_of(site, http), site.workers[0]
    finished = chooses(site)
    with site.traps.set(POINTS[name]) as trap:
        assert (await owner.gives(finished)).status == 202
        await trap.sprung()
        assert (await owner.stands())["state"] == "pending"
        worker.kill()
        trap.release(drop=True)
        await worker.start()

    await owner.comes("done", within_s=site.patience_s)
    number = number_of(site, finished)
    standing = site.emulator.accounts.standing(number.id)
    [sealed] = await channels_of(site)
    assert standing.subscribed
    assert standing.registered
    assert standing.pin == await pin_of(site, sealed) != ""


@pytest.mark.nightly
async def test_a_web_process_that_is_killed_before_it_was_written_has_changed_nothing(
    site: Installation, http: aiohttp.ClientSession
) -> None:
    owner, web = await owner_of(site, http), site.webs[0]
    point = Point("beginning", "web", "COMMIT", "request", nth(1, BEGUN), "the lane has it already")
    with site.traps.set(point) as trap:
        asked = asyncio.create_task(owner.gives(chooses(site)))
        await trap.sprung()
        web.kill()
        with pytest.raises(aiohttp.ClientError):
            await asked
        trap.release(drop=True)
        await web.start()

    assert (await owner.stands())["state"] == "open"
    assert await channels_of(site) == []
    assert (await owner.gives(chooses(site))).status == 202
    await owner.comes("done", within_s=site.patience_s)
