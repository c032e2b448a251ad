"""Our server as the benchmark runs it: the real composition, with a flow that echoes, so that peers do equal work."""

import argparse
import sys
from collections.abc import Sequence

from bot.app import Role, run
from bot.settings import from_environment
from tests.echo import echo_book


def command(role: Role = "all", *, product: bool = False) -> Sequence[str]:
    """How it is started; `product`: with the firm's own conversation instead of the echo."""
    flags = ["--product"] if product else []
    return [sys.executable, "-m", "tests.bench.server", "--role", role, *flags]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["all", "web", "worker"], default="all")
    parser.add_argument("--product", action="store_true")
    args = parser.parse_args()
    run(from_environment(), role=args.role, book=None if args.product else echo_book())


if __name__ == "__main__":
    main()
