"""A store of its own for each trial of the engine."""

from collections.abc import Iterator

import pytest

from tests.bot.lanes.servers import StoreServer, store_server


@pytest.fixture
def server() -> Iterator[StoreServer]:
    """A server of this test alone, running."""
    with store_server() as server:
        server.start()
        yield server
