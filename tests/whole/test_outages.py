"""When a store or Graph fails, whatever was acknowledged waits, memory stays bounded, and all recovers by itself."""

import asyncio
import hmac
import resource
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import msgspec
import pytest
import redis.asyncio as redis

from handlers.whatsapp.webhook import PATH
from tests.whole.crash_matrix import PER_S
from tests.whole.installation import SECRET, Installation, installation, kept_by_postgres
from tests.whole.people import phone, until
from tests.whole.test_batches import webhook
from tests.whole.town import Town
from tests.whole.watch import Watch, watched

GROWN_MB_MAX = 64
DESCRIPTORS_MAX = 512
"""Of one process: far below the connections to Graph, the pool of PostgreSQL and Meta's own together."""


@asynccontextmanager
async def under_load(
    site: Installation,
    *,
    at_once: int = 25,
    per_s: float = PER_S,
    within_s: float | None = None,
) -> AsyncIterator[tuple[Town, Watch]]:
    """People write for as long as the block lasts, and the servers are watched; then all must be well."""
    town = Town(site.emulator, at_once=at_once)
    async with watched(site.servers) as watch:
        load = asyncio.create_task(town.keep_writing(per_s))
        await site.answers(town, [town.somebody_writes()])
        try:
            yield town, watch
        finally:
            load.cancel()
        await site.answers(town, town.written, within_s=within_s)
        await site.at_rest(within_s=within_s)
    assert town.verdict().is_clean, town.verdict()
    assert await kept_by_postgres(site, town)
    assert watch.grown_mb < GROWN_MB_MAX
    assert max(watch.descriptors.values()) < DESCRIPTORS_MAX


# ------------------------------------------------------------------ Valkey


async def test_without_the_store_nothing_is_acknowledged_and_then_nothing_is_missing() -> None:
    """First it is gone; then its disk is full, and it ends itself rather than answer what is not on disk."""
    async with installation() as site, under_load(site):
        site.valkey.kill()
        await refused_for(site, 1)

        site.valkey.prelude = partial(limit_files, site.valkey.size_on_disk + 100_000)
        await site.valkey.start()
        assert await site.valkey.end(within_s=30) == 1
        assert site.valkey.has_logged("AOF write error")
        # As a supervisor would, in vain as long as the disk is full.
        site.valkey.spawn()
        assert await site.valkey.end(within_s=30) == 1

        site.valkey.prelude = None
        await site.valkey.start()


@pytest.mark.nightly
async def test_without_the_store_for_half_a_minute_nothing_is_missing() -> None:
    async with installation() as site, under_load(site):
        site.valkey.kill()
        await refused_for(site, 30)
        await site.valkey.start()


@pytest.mark.nightly
async def test_a_store_that_hangs_is_given_up_and_taken_up_again() -> None:
    async with installation() as site, under_load(site):
        site.valkey.send(signal.SIGSTOP)
        await asyncio.sleep(12)
        assert await site.webs[0].says() == 503
        site.valkey.send(signal.SIGCONT)


async def refused_for(site: Installation, seconds: float) -> None:
    """Meta asks again and again, and is told 503."""
    earlier = await site.posted()
    await until(partial(refused_since, site, earlier.repeated), what="a refusal")
    # What was acknowledged just before the store went has reached Meta by now.
    before = await site.posted()
    await asyncio.sleep(seconds)
    await until(partial(refused_since, site, before.repeated), what="another refusal")
    assert await site.webs[0].says() == 503
    assert (await site.posted()).taken == before.taken


def limit_files(most: int) -> None:
    """No file of this process may grow beyond that: it is told EFBIG instead of ENOSPC, and nobody needs to be root."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


# ------------------------------------------------------------------ PostgreSQL


async def test_without_postgres_conversations_go_on_until_the_journal_fills_the_store() -> None:
    """Then Meta keeps what there is no room for, and all goes on once the journal has drained."""
    async with installation() as site, under_load(site) as (town, _):
        site.postgres.kill()
        await asyncio.sleep(1)
        await site.answers(town, [town.somebody_writes()])

        before = await site.posted()
        await leave_room(site, 200_000)
        await until(partial(refused_since, site, before.repeated), what="a refusal")
        # It can be asked, and says 503 to what it has no room for.
        assert await site.webs[0].says() == 200
        assert (await site.depths()).journal > PER_S

        await site.postgres.start()


@pytest.mark.nightly
async def test_without_postgres_for_five_minutes_conversations_go_on_and_the_journal_catches_up() -> (
    None
):
    seconds = 300
    async with installation() as site, under_load(site) as (town, watch):
        site.postgres.kill()
        for _ in range(seconds // 10):
            await asyncio.sleep(10)
            await site.answers(town, [town.somebody_writes()])
        assert (await site.depths()).journal > seconds * PER_S
        assert watch.grown_mb < GROWN_MB_MAX
        await site.postgres.start()


@pytest.mark.nightly
async def test_a_full_disk_under_postgres_makes_the_journal_wait_and_loses_no_line() -> None:
    async with installation() as site, under_load(site) as (town, _):
        owner = await asyncpg.connect(site.stores.postgres.owner)
        await owner.execute(FULL_DISK)
        await asyncio.sleep(2)
        await site.answers(town, [town.somebody_writes()])
        assert (await site.depths()).journal > PER_S
        await owner.execute("DROP FUNCTION smarterbot.disk_is_full CASCADE")
        await owner.close()


FULL_DISK = """
CREATE FUNCTION smarterbot.disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER disk_is_full BEFORE INSERT ON smarterbot.messages
FOR EACH ROW EXECUTE FUNCTION smarterbot.disk_is_full();
"""


async def leave_room(site: Installation, left: int) -> None:
    """The store has room for so many bytes more."""
    async with redis.from_url(site.stores.redis_url) as store:
        used = int((await store.info("memory"))["used_memory"])
        await store.config_set("maxmemory", used + left)


async def refused_since(site: Installation, repeated: int) -> bool:
    return (await site.posted()).repeated > repeated + 10


# ------------------------------------------------------------------ a flood


async def test_while_the_store_hangs_a_flood_of_webhooks_is_refused_before_memory_grows() -> None:
    async with installation() as site:
        [web] = site.webs
        site.valkey.send(signal.SIGSTOP)
        statuses: Counter[int] = Counter()
        async with watched(site.webs) as watch:
            flood = asyncio.gather(*(flooding(web.port, n, statuses) for n in range(40)))
            await asyncio.sleep(FLOOD_S)
            await until(lambda: is_flooded(statuses), what="a flood's answers")
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
        # What waits in its socket must not be heard afterwards: these people exist nowhere.
        site.valkey.kill()
        await site.valkey.start()
        town = Town(site.emulator)
        await site.answers(town, [town.somebody_writes()])

        assert statuses.keys() == {503}
        assert watch.grown_mb < FLOOD_GROWN_MB_MAX
        assert web.has_logged("busy")


async def is_flooded(statuses: Counter[int]) -> bool:
    return statuses.total() > 100


FLOOD_S = 3.0
FLOOD_GROWN_MB_MAX = 256
"""At most 32 MB of bodies, and several times that of what is made of them while they wait."""


async def flooding(port: int, n: int, statuses: Counter[int]) -> None:
    """Posts webhooks of 2 MB, one after the other."""
    texts: list[dict[str, object]] = [
        {
            "from": phone(900_000 + n),
            "id": f"wamid.flood-{n}-{k}",
            "timestamp": "1795400000",
            "type": "text",
            "text": {"body": "x" * 4_000},
        }
        for k in range(500)
    ]
    body = msgspec.json.encode(webhook(texts))
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: sha256={signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode() + body)
            statuses[int((await reader.readline()).split()[1])] += 1
        finally:
            writer.transport.abort()


# ------------------------------------------------------------------ Graph


async def test_graph_fails_in_every_way_at_once() -> None:
    async with installation() as site, under_load(site):
        site.faults(http_500=10, http_502=10, reset=10, pair_limit=10)
        await asyncio.sleep(2)
        site.faults(throughput=2)
        await asyncio.sleep(1)


@pytest.mark.nightly
async def test_graph_answers_slowly_for_a_while() -> None:
    """More is under way than a process carries at once: what is over waits in the store, and nobody is in doubt."""
    async with installation() as site, under_load(site, at_once=1_000, per_s=60):
        site.faults(slow_ms=10_000)
        await asyncio.sleep(25)
        site.faults(slow_ms=0)
        await asyncio.sleep(5)
        [worker] = site.workers
        assert not worker.has_logged("whatsapp.unreachable")
        assert not worker.has_logged("item.doubt")


@pytest.mark.nightly
async def test_a_storm_of_limits_passes() -> None:
    # Who is refused by each storm waits 4^4 s, as Meta wants it, and a quarter more.
    async with installation() as site, under_load(site, within_s=400):
        for _ in range(5):
            site.faults(throughput=3, pair_limit=30)
            await asyncio.sleep(6)
