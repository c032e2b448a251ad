from collections.abc import AsyncIterator

import pytest

from handlers.outside import Outside
from tests.handlers.clerk.fake import FakeClerk, serving


@pytest.fixture
async def fake() -> AsyncIterator[FakeClerk]:
    async with serving(FakeClerk()) as fake:
        yield fake


@pytest.fixture
async def outside(fake: FakeClerk) -> AsyncIterator[Outside]:
    async with Outside.open(trusted=frozenset((fake.url,))) as outside:
        yield outside
