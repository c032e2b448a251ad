"""One process of the server, for tests that kill it: with the echo firm, and with waits short enough to test with.

python -m tests.whole.process [all|web|worker] [--waits LEASE,RESET,OUTAGE] [--mutant NAME] [--systems URL]    (settings from the environment)
"""

import argparse
import asyncio
from functools import partial

from bot.app import Waits, run
from bot.demo import prepare_demo
from bot.embedded.stores import Stores
from bot.onboarding.parts import SYSTEMS
from bot.onboarding.setup import SystemSetUp
from bot.settings import Settings, from_environment
from flows.calls.signup import Part
from tests.echo import echo_book
from tests.outer_system import HttpSetUp
from tests.whole.mutants import MUTANTS, mutate
from tests.whole.people import FAST
from tests.whole.waits import SHORT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", nargs="?", choices=["all", "web", "worker"], default="all")
    parser.add_argument("--waits", type=_waits, default=SHORT, help="ms: lease, doubts")
    parser.add_argument("--mutant", choices=MUTANTS)
    parser.add_argument("--systems", help="where the systems are that firms are made known to")
    arguments = parser.parse_args()
    if arguments.mutant:
        mutate(arguments.mutant)
    settings = from_environment()
    run(
        settings,
        role=arguments.role,
        book=echo_book(),
        waits=arguments.waits,
        before=partial(_prepare, settings) if settings.embedded else None,
        systems=_systems(arguments.systems),
    )


def _waits(text: str) -> Waits:
    lease_ms, reset_ms, outage_ms = map(int, text.split(","))
    return Waits(lease_ms=lease_ms, reset_doubt_ms=reset_ms, outage_doubt_ms=outage_ms)


def _systems(address: str | None) -> dict[Part, SystemSetUp]:
    return {part: HttpSetUp(f"{address}/{part}") for part in SYSTEMS} if address else {}


def _prepare(settings: Settings, stores: Stores) -> None:
    asyncio.run(prepare_demo(settings, stores, number=FAST))


if __name__ == "__main__":
    main()
