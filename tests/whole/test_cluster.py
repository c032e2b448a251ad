"""The whole server on a cluster: conversations go on while slots move and a node dies and comes back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.embedded.postgres import PostgresUrls
from bot.embedded.stores import Stores
from tests.bot.lanes.servers import StoreCluster, store_cluster
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until

PEOPLE = 12
EACH = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[StoreCluster]:
    with store_cluster() as cluster:
        yield cluster


async def everybody_writes(whole: Whole, round: int) -> None:
    for person in range(PEOPLE):
        await whole.people.write(person, f"p{person}r{round}")


async def test_people_are_answered_once_and_in_order_whatever_the_cluster_does(
    cluster: StoreCluster, clean_postgres: PostgresUrls, tmp_path: Path, free_port: int
) -> None:
    stores = Stores(redis_url=cluster.url, postgres=clean_postgres)
    async with whole_server(stores, tmp_path, free_port, book=echo_book()) as whole:
        await everybody_writes(whole, 0)
        for shard in range(whole.server.lanes.shards):
            await cluster.move(f"smarterbot:box:{{{shard}}}")
        await everybody_writes(whole, 1)
        cluster.nodes[1].kill()
        await everybody_writes(whole, 2)
        cluster.start(1)
        await asyncio.to_thread(cluster.until_well)
        await everybody_writes(whole, 3)

        async def all_answered() -> bool:
            return whole.truth.taken >= PEOPLE * EACH

        await until(all_answered, what="every answer")
        await whole.emulator.settled()
        replies = await whole.people.replies()

    said = [[f"{n + 1} p{p}r{n} ¿Algo más?" for n in range(EACH)] for p in range(PEOPLE)]
    assert sorted(replies.values()) == sorted(said)
