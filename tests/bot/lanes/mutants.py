"""Breaks one line of a script at a time and runs the model test on it: it must notice each of them.

    python -m tests.bot.lanes.mutants [--sequences 300] [NAME ...]

Long; for the night. Each mutant runs on a copy of the sources.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bot.lanes.machine import NOTICED
from tests.bot.lanes.servers import StoreServer, store_server

ROOT: Final = Path(__file__).parents[3]
SCRIPTS: Final = "bot/lanes/scripts"
RUN_MAX_S: Final = 300
CONTROL: Final = "nothing is broken"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One script with one line broken."""

    name: str
    script: str
    line: str
    broken: str

    def source(self) -> str:
        """The broken script.

        Raises:
            LookupError: the line is not there exactly once.
        """
        text = (ROOT / SCRIPTS / f"{self.script}.lua").read_text()
        if text.count(self.line) != 1:
            raise LookupError(
                f"{self.name}: {self.script}.lua has {text.count(self.line)} such lines"
            )
        return text.replace(self.line, self.broken)


MUTANTS: Final = (
    Mutant("commit under any token", "commit", "m.token ~= tonumber(ARGV[3])", "false"),
    Mutant("renew under any token", "renew", "m and m.token == tonumber(ARGV[a + 1])", "m"),
    Mutant("retry under any token", "retry", "m.token ~= tonumber(ARGV[3])", "false"),
    Mutant("tokens repeat", "_lane", "math.max(last + 1, t[1] * 10000 + math.floor(t[2] / 100))", "math.max(last, 1)"),
    Mutant("tokens repeat after a failover", "_lane", "math.max(last + 1, t[1] * 10000 + math.floor(t[2] / 100))", "last + 1"),
    Mutant(
        "a put wakes a lane that is leased or rests",
        "_lane",
        "if m.token == FREE then\n    redis.call('ZADD', ready, 'LT'",
        "if true then\n    redis.call('ZADD', ready, 'LT'",
    ),
    Mutant("take ignores the holder", "_lane", "lease > 0 and m.token == FREE", "lease > 0"),
    Mutant("a put leaves a timer where it is", "_lane", "'LT', now", "'NX', now"),
    Mutant("a put puts a waiting lane behind", "_lane", "'LT', now", "now"),
    Mutant("no deduplication", "put", "return 'seen'", "-- seen"),
    Mutant("taking is no attempt", "_lane", "m.tries = m.tries + 1", "m.tries = m.tries"),
    Mutant("a lease ends at once", "_lane", "redis.call('ZADD', ready, till, lane)", "redis.call('ZADD', ready, 0, lane)"),
    Mutant("a holder sees more than asked", "_lane", "m.head + most) - 1", "m.head + most)"),
    Mutant("proof of another item", "_lane", "{ 'd:' .. lane .. ':' .. m.head,", "{ 'd:' .. lane .. ':' .. m.head + 1,"),
    Mutant("the newest first", "claim", "'ZRANGEBYSCORE', KEYS[2], '-inf', now,", "'ZREVRANGEBYSCORE', KEYS[2], now, '-inf',"),
    Mutant("the first in line is passed over", "claim", "'LIMIT', 0, ARGV[3]", "'LIMIT', 1, ARGV[3]"),
    Mutant("a claimed lease is too long", "claim", "now + tonumber(ARGV[2])", "now + 2 * tonumber(ARGV[2])"),
    Mutant("a lease that came with a put is too long", "_lane", "number(box), now + lease,", "number(box), now + 2 * lease,"),
    Mutant("a lease grows with each renewal", "renew", "redis.call('ZADD', KEYS[2], till,", "redis.call('ZINCRBY', KEYS[2], ARGV[2],"),
    Mutant("a renewal shortens the lease", "renew", "redis.call('ZADD', KEYS[2], till,", "redis.call('ZADD', KEYS[2], till - 1000,"),
    Mutant("a put on a leased lane renews it", "_lane", "  -- A lane that rests is not woken", "  if m.token > FREE then redis.call('ZADD', ready, now + 60000, lane) end\n  -- A lane that rests is not woken"),
    Mutant("a lane that goes on stays in front", "commit", "local due = now", "local due = 0"),
    Mutant("a rest without end", "retry", "now + delay", "now + 100 * delay"),
    Mutant("claim before it is due", "claim", "'-inf', now,", "'-inf', '+inf',"),
    Mutant("next due is not told", "claim", "tonumber(next_due[2] or 0)", "0"),
    Mutant("a release counts", "commit", "used > 0 and 0 or math.max(0, m.tries - 1)", "used > 0 and 0 or m.tries"),
    Mutant("tries outlive their item", "commit", "used > 0 and 0 or math.max", "used < 0 and 0 or math.max"),
    Mutant("consumed items stay", "commit", "gone[#gone + 1] = item", "-- stays"),
    Mutant("proofs stay", "commit", "gone[#gone + 1] = 'd:' .. lane .. ':' .. k", "-- stays"),
    Mutant("an empty lane stays", "commit", "gone[#gone + 1] = 'm:' .. lane", "-- stays"),
    Mutant("state is not dropped", "commit", "ARGV[6] == 'drop'", "ARGV[6] == 'lost'"),
    Mutant("state is not kept", "commit", "ARGV[6] == 'set'", "ARGV[6] ~= 'drop'"),
    Mutant("a timer delays waiting items", "commit", "wake > 0 and (left == 0 or used == 0)", "wake > 0"),
    Mutant("what nobody saw waits for a timer", "commit", "left > 0 and tonumber(ARGV[12]) == 0", "false"),
    Mutant("a release ignores its wake", "commit", "(left == 0 or used == 0)", "left == 0"),
    Mutant("no timers", "commit", "due = wake", "due = nil"),
    Mutant("a lane with items is forgotten", "commit", "local due = now", "local due = nil"),
    Mutant("an idle lane stays ready", "commit", "redis.call('ZREM', ready, lane)", "-- stays"),
    Mutant("no journal", "commit", "if lines > 0 then", "if false then"),
    Mutant("pushed lanes are never taken", "commit", "ARGV[a + 2] == '1' and lease or 0", "0"),
    Mutant("pushed lanes are always taken", "commit", "ARGV[a + 2] == '1' and lease or 0", "lease"),
    Mutant("buried and gone", "commit", "if why ~= '' then", "if false then"),
    Mutant("doubt is forgotten", "retry", "m.token = DOUBTED", "m.token = RESTS"),
    Mutant("a vanished holder is forgotten", "retry", "m.token = number(KEYS[1])", "m.token = RESTS"),
    Mutant("an early proof is overlooked", "retry", "== 1 then\n    delay", "== 9 then\n    delay"),
    Mutant("waiting counts", "retry", "m.tries = math.max(0, m.tries - 1)", "m.tries = m.tries"),
    Mutant("no delay", "retry", "now + delay", "now"),
    Mutant("a status does not wake an item in doubt", "confirm", "m.token == DOUBTED and tonumber(k) == m.head", "false"),
    Mutant("a status wakes any lane", "confirm", "m.token == DOUBTED and tonumber(k) == m.head", "tonumber(k) == m.head"),
    Mutant("any item's status wakes", "confirm", "m.token == DOUBTED and tonumber(k) == m.head", "m.token == DOUBTED"),
    Mutant("proof of another item in its place", "confirm", "and opened(item) == ARGV[a + 1]", ""),
    Mutant("an item's number stays with its place", "_lane", "number(box) .. ' ' .. body", "'1 ' .. body"),
    Mutant("any reader trims", "journal_trim", "position ~= tonumber(ARGV[1]) or", ""),
    Mutant("trimming what was not read", "journal_trim", "or redis.call('LINDEX', KEYS[2], n - 1) ~= ARGV[3]", ""),
    Mutant("the position stands still", "journal_trim", "'trimmed', n", "'trimmed', 0"),
    Mutant("replayed for ever", "replay", "redis.call('HDEL', KEYS[3], ARGV[3])", "-- stays"),
    Mutant("replay loses the item", "replay", "append(KEYS[1], KEYS[2]", "(function() end)(KEYS[1], KEYS[2]"),
)  # fmt: skip


def is_caught(mutant: Mutant | None, server: StoreServer, folder: Path, *, sequences: int) -> bool:
    """Whether the model test fails on the mutant; None = the scripts as they are."""
    if folder.exists():
        shutil.rmtree(folder)
    for part in ("bot", "flows", "handlers", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        (folder / SCRIPTS / f"{mutant.script}.lua").write_text(mutant.source())
    run = subprocess.run(
        [sys.executable, "-m", "tests.bot.lanes.machine", server.url, str(sequences)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},  # noqa: TID251  the child's environment is ours
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=RUN_MAX_S,
        check=False,
    )
    if run.returncode not in (0, NOTICED):
        raise RuntimeError(f"the run broke off: {run.stderr.decode()}")
    return run.returncode == NOTICED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("names", nargs="*", help="parts of the names of those to run")
    arguments = parser.parse_args()
    chosen = [
        m for m in MUTANTS if not arguments.names or any(n in m.name for n in arguments.names)
    ]
    survivors = 0
    with store_server() as server, tempfile.TemporaryDirectory() as folder:
        server.start()
        copy = Path(folder) / "copy"
        if is_caught(None, server, copy, sequences=arguments.sequences):
            print(f"FAILS     {CONTROL}")  # noqa: T201  a report
            return 1
        for mutant in chosen:
            caught = is_caught(mutant, server, copy, sequences=arguments.sequences)
            survivors += not caught
            print(f"{'caught' if caught else 'SURVIVES':9} {mutant.name}", flush=True)  # noqa: T201  a tool
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")  # noqa: T201  a tool
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
