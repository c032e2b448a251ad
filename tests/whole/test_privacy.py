"""No log, metric, key or field name tells who wrote or what: ids only."""

from pathlib import Path

import pytest
import redis.asyncio as redis

from bot.embedded.stores import Stores
from tests.echo import echo_book
from tests.whole.conftest import whole_server
from tests.whole.people import phone, until

SAID = "mi pedido secreto"


async def test_nothing_that_operators_see_tells_a_person_or_their_words(
    stores: Stores, tmp_path: Path, free_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async with whole_server(stores, tmp_path, free_port, book=echo_book()) as whole:
        await whole.people.faults(http_500=1, reset=1)  # failures are where such things leak
        await whole.people.write(7, SAID)

        async def answered() -> bool:
            return whole.truth.taken == 1

        await until(answered, what="the answer")
        async with whole.http.get(f"{whole.server.address}/metrics") as answer:
            metrics = await answer.text()
        async with redis.from_url(whole.stores.redis_url) as store:
            names = [await store.keys("*")]
            for key in names[0]:
                if await store.type(key) == b"hash":
                    names.append(await store.hkeys(key))
    seen = capfd.readouterr()

    for told in (seen.out, seen.err, metrics, repr(names)):
        assert phone(7) not in told
        assert "Persona" not in told
        assert "secreto" not in told
    assert "smarterbot_turns_total" in metrics
