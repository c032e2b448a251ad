from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestServer

from handlers.whatsapp.client import Graph
from tests.handlers.whatsapp.graph_stub import GraphStub, graph_at


@pytest.fixture
async def stub() -> AsyncIterator[GraphStub]:
    stub = GraphStub()
    yield stub
    stub.closing.set()


@pytest.fixture
async def graph(stub: GraphStub) -> AsyncIterator[Graph]:
    async with TestServer(stub.app()) as server:
        # Patient: under load an answer may take longer than a test about silence wants to wait.
        with graph_at(str(server.make_url("/"))) as graph:
            yield graph
        stub.closing.set()


@pytest.fixture
async def hasty_graph(stub: GraphStub) -> AsyncIterator[Graph]:
    """Only the tests in which nobody answers ever wait for it."""
    async with TestServer(stub.app()) as server:
        with graph_at(str(server.make_url("/")), connect_s=0.1, total_s=0.2) as graph:
            yield graph
        stub.closing.set()
