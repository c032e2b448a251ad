from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from handlers.whatsapp.client import Graph
from tests.handlers.whatsapp.graph_stub import GraphStub

PATIENCE = aiohttp.ClientTimeout(total=0.2, connect=0.1)
"""Of the client under test: only the tests in which nobody answers ever wait for it."""


@pytest.fixture
async def stub() -> AsyncIterator[GraphStub]:
    stub = GraphStub()
    yield stub
    stub.closing.set()


@pytest.fixture
async def graph(stub: GraphStub) -> AsyncIterator[Graph]:
    async with TestServer(stub.app()) as server, aiohttp.ClientSession() as session:
        base_url = str(server.make_url("/"))
        # Patient: under load an answer may take longer than a test about silence wants to wait.
        yield Graph(session, base_url=base_url, version="v26.0")
        stub.closing.set()


@pytest.fixture
async def hasty_graph(stub: GraphStub) -> AsyncIterator[Graph]:
    async with TestServer(stub.app()) as server, aiohttp.ClientSession() as session:
        base_url = str(server.make_url("/"))
        yield Graph(session, base_url=base_url, version="v26.0", timeout=PATIENCE)
        stub.closing.set()
