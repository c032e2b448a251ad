"""The emulator as a process of its own, for crash tests.

    python -m handlers.whatsapp.emulator --port 0 --callback-url http://127.0.0.1:8080/webhooks/whatsapp \
        --app-secret SECRET --number '{"id": "1001", "waba_id": "2001", "display_phone": "+56 2 2345 6789", \
        "name": "Panadería Sol", "token": "TOKEN"}'

Prints {"address": "http://127.0.0.1:PORT"} as one line when it is ready, and stops on SIGTERM or SIGINT. Its clock is
its own: moving it (`POST /api/shift`) does not move the bot's.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

import msgspec

from handlers.whatsapp.emulator.phones import Pace
from handlers.whatsapp.emulator.server import Emulator, serving
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.webhooks import Retries
from handlers.whatsapp.emulator.world import Number


class _Clock:
    """The machine's time plus what it was moved by."""

    def __init__(self) -> None:
        self._shift_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._shift_ms

    async def shift(self, ms: int) -> None:
        self._shift_ms += ms


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m handlers.whatsapp.emulator")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--callback-url", required=True)
    parser.add_argument("--app-secret", required=True)
    parser.add_argument(
        "--number", action="append", required=True, help="JSON object; may be repeated"
    )
    parser.add_argument("--templates", type=Path, default=SAMPLES, help="JSON file")
    parser.add_argument("--retry-first-ms", type=int, default=Retries().first_ms)
    parser.add_argument("--retry-longest-ms", type=int, default=Retries().longest_ms)
    parser.add_argument("--at-once", action="store_true", help="statuses follow without any delay")
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock = _Clock()
    emulator = Emulator(
        callback_url=arguments.callback_url,
        app_secret=arguments.app_secret,
        numbers=[msgspec.json.decode(each, type=Number) for each in arguments.number],
        templates=read_templates(arguments.templates),
        clock=clock,
        on_shift=clock.shift,
        pace=Pace(0, 0, 0) if arguments.at_once else Pace(),
        retries=Retries(first_ms=arguments.retry_first_ms, longest_ms=arguments.retry_longest_ms),
    )
    async with serving(emulator, host=arguments.host, port=arguments.port) as address:
        sys.stdout.write(msgspec.json.encode({"address": address}).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_run(_arguments(sys.argv[1:])))
