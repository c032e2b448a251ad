"""The commands that run the server, as processes of their own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

STARTS_S = 60


async def test_dev_tells_its_address_through_a_pipe_while_it_runs(
    environment: None, tmp_path: Path, free_port: int
) -> None:
    names = ("PATH", "DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "SMARTERBOT_KEYS")
    own = {"SMARTERBOT_DATA": str(tmp_path), "PORT": str(free_port)}
    dev = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("smarterbot"),
        "dev",
        env={name: os.environ[name] for name in names} | own,  # noqa: TID251  what the fixture set
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        assert dev.stdout is not None
        async with asyncio.timeout(STARTS_S):
            while line := await dev.stdout.readline():
                if f"http://127.0.0.1:{free_port}/" in line.decode():
                    break

        assert line, "it ended without having told"
    finally:
        dev.send_signal(signal.SIGTERM)
        code = await dev.wait()

    assert code == 0
