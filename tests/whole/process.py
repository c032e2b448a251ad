"""A server of its own, for tests that kill it: the echo firm on embedded stores.

python -m tests.whole.process     (settings from the environment)
"""

import asyncio

from bot.app import run
from bot.demo import prepare_demo
from bot.settings import from_environment
from tests.echo import echo_book
from tests.whole.people import FAST
from tests.whole.waits import SHORT


def main() -> None:
    settings = from_environment()
    run(
        settings,
        book=echo_book(),
        waits=SHORT,
        before=lambda stores: asyncio.run(prepare_demo(settings, stores, number=FAST)),
    )


if __name__ == "__main__":
    main()
