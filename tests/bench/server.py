"""Our server as the benchmark runs it: the real composition, with a flow that echoes, so that peers do equal work."""

import argparse

from bot.app import run
from bot.settings import from_environment
from tests.echo import echo_book


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["all", "web", "worker"], default="all")
    run(from_environment(), role=parser.parse_args().role, book=echo_book())


if __name__ == "__main__":
    main()
