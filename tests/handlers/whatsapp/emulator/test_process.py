"""The emulator as a process of its own: it tells its address and ends when it is told to."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from http import HTTPStatus

import aiohttp
import msgspec

from tests.handlers.whatsapp.emulator.stage import PATIENCE_S, SECRET, SOL


async def test_it_tells_its_address_serves_and_stops() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "handlers.whatsapp.emulator",
        "--callback-url=http://127.0.0.1:9/",
        f"--app-secret={SECRET}",
        f"--number={msgspec.json.encode(SOL).decode()}",
        stdout=PIPE,
    )
    assert process.stdout is not None

    try:
        async with asyncio.timeout(PATIENCE_S):
            ready = msgspec.json.decode(await process.stdout.readline())
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"{ready['address']}/api/state") as answer,
            ):
                state = await answer.json()
            process.terminate()
            ended = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert answer.status == HTTPStatus.OK
    assert [number["id"] for number in state["numbers"]] == [SOL.id]
    assert ended == 0
