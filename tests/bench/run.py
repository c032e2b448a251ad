"""`make bench`: what the server costs, bears and weighs, against peers and against its goals.

Everything is on 127.0.0.1, bounded in time, and ends by itself. With `--write` the results go to RESULTS.md too.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from rich.console import Console

from tests.bench.figures import Section, machine, show, write
from tests.bench.processes import Others
from tests.bench.profiling import profile
from tests.bench.scenarios import login, onboarding, peers, rate, scale, start, statuses, workers

Scenario = Callable[[int, Console], Section]
"""Takes the number of rounds and where to tell what it does."""

SCENARIOS: Final[dict[str, Scenario]] = {
    "peers": peers.measure,
    "rate": rate.measure,
    "statuses": statuses.measure,
    "scale": scale.measure,
    "workers": workers.measure,
    "start": start.measure,
    "login": login.measure,
    "onboarding": onboarding.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SCENARIOS), help="some of: %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--write", action="store_true", help="also replace their part of tests/bench/RESULTS.md"
    )
    parser.add_argument(
        "--profile", action="store_true", help="instead: where the hottest paths spend their time"
    )
    args = parser.parse_args()
    names = args.only.split(",")
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    # A SIGTERM unwinds like an exit, so that everything we started is stopped.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    console = Console(width=None if Console().is_terminal else 160)
    if args.profile:
        profile(console)
        return
    sections = []
    for name in names:
        others = Others()
        section = SCENARIOS[name](args.rounds, Console(stderr=True))
        sections.append(replace(section, others=others.part()))
        show(sections[-1], console)
    console.print(machine())
    if args.write:
        write(sections)


if __name__ == "__main__":
    main()
