"""How commands answer: JSON for programs, lines and tables for people."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")]

USAGE_EXIT: Final = 2
LINE_MAX: Final = 1_000
"""Wider than any table: the terminal breaks lines, we don't."""


_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class FieldError(Exception):
    """One or more of a command's values are wrong: each line names one and says how to mend it."""


def print_json(value: object) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_line(text: str) -> None:
    """One line; what could steer the terminal is replaced: customers write into transcripts."""
    sys.stdout.write(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A table; `empty` is said when there are no rows. Nothing is cut or folded: people copy ids."""
    if not rows:
        print_line(empty)
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=LINE_MAX, markup=False, highlight=False).print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """One `name  value` a line."""
    width = max(map(len, facts))
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {value}")
