"""The stage for the tests of the emulator."""

from collections.abc import AsyncIterator

import pytest

from tests.handlers.whatsapp.emulator.stage import Stage, on_stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with on_stage() as stage:
        yield stage
