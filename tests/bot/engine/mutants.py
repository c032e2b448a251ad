"""Breaks one line of the engine at a time and tries it: one of the trials must notice each of them.

    python -m tests.bot.engine.mutants [NAME ...]

Long; for the night. The broken source is put in place of the module while a process of its own imports it: no file is
touched.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Literal

from bot.embedded.postgres import PostgresUrls, running_postgres
from bot.store.migrate import migrate
from tests.bot.lanes.servers import store_server
from tests.conftest import FAST

ROOT: Final = Path(__file__).parents[3]
SEED: Final = 1
CONTROL: Final = "nothing is broken"
RUN_MAX_S: Final = 1_800
NOTICED: Final = 3  # the exit code of a trial that found something wrong

Trial = Literal["steps", "days", "passes"]
"""`machine.py`, `simulation.py`, `passes.py`."""

TRIES: Final[dict[Trial, int]] = {"steps": 1_000, "days": 100, "passes": 200}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One module with one line broken."""

    trial: Trial
    name: str
    module: str
    line: str
    broken: str

    @property
    def path(self) -> Path:
        return ROOT / f"{self.module.replace('.', '/')}.py"

    def source(self) -> str:
        """The broken module.

        Raises:
            LookupError: the line is not there exactly once.
        """
        text = self.path.read_text()
        if text.count(self.line) != 1:
            raise LookupError(f"{self.name}: {self.module} has {text.count(self.line)} such lines")
        return text.replace(self.line, self.broken)


def _of(module: str, *rows: tuple[str, str, str], trial: Trial = "steps") -> tuple[Mutant, ...]:
    return tuple(Mutant(trial, name, module, line, broken) for name, line, broken in rows)


MUTANTS: Final = (
    *_of(
        "bot.engine.worker",
        ("a stale commit counts", "if committed is None:\n            log.warning(\"turn.stale\"", "if False:\n            log.warning(\"turn.stale\""),
        ("a turn that breaks is tried for ever", "taken.tries > TRIES_MAX and taken.items", "False"),
        ("the innocent go with the guilty", "taken.items if taken.tries <= 1 else taken.items[:1]", "taken.items"),
        ("whatever was shown is consumed", "consumed=decision.consumed,", "consumed=len(events),"),
        ("the state is not kept", "state=encode_conversation(decision.conversation)", "state=None"),
        ("timers are not set", "            wake_ms=decision.wake_ms,\n            push", "            wake_ms=0,\n            push"),
        ("actions are not pushed", "for lane, body in decision.pushes],", "for lane, body in ()],"),
        ("actions are pushed twice", "for lane, body in decision.pushes],", "for lane, body in decision.pushes * 2],"),
        ("turns are not journaled", "for record in decision.records],", "for record in ()],"),
        ("what is set aside is not journaled", "journal=[] if record is None else [_encode_record(record)]", "journal=[]"),
        ("an unreadable event takes its neighbour along", "if len(bodies) > 1:", "if False:"),
        ("a conversation forgets its timers when it sets aside", "wake_ms=0 if wakes_at is None else int(wakes_at.timestamp() * 1000)", "wake_ms=0"),
    ),
    *_of(
        "bot.engine.turn",
        ("nobody is waited for", "return due if due > draft.now_ms else 0", "return 0"),
        ("somebody who goes on typing is not waited for", "group[-1].received + pause", "group[0].received + pause"),
        ("what was written in a row is not one turn", "(group and not _pause_ms(draft))", "group"),
        ("everything is written in a row", "(group and not _pause_ms(draft))", "False"),
        ("a row is read backwards", "heard = tuple(a.heard for a in group)", "heard = tuple(a.heard for a in reversed(group))"),
        ("a message goes ahead of the timer before it", "run_timers(draft, first.received or draft.now_ms)", "pass"),
        ("a timer goes ahead of what waits unseen", "if not events:", "if not hold_ms:"),
        ("a timer wakes what is held", "wake_ms=hold_ms or draft.wake_ms()", "wake_ms=min((w for w in (hold_ms, draft.wake_ms()) if w), default=0)"),
        ("what is held has no alarm", "wake_ms=hold_ms or draft.wake_ms()", "wake_ms=draft.wake_ms()"),
        ("no message opens the window", "last_in=at,", "last_in=draft.now.last_in,"),
        ("results are not heard", "advance(draft, (result,))", "pass"),
    ),
    *_of(
        "bot.engine.flowing",
        ("turns are not counted", "number = draft.now.turn + 1", "number = max(1, draft.now.turn)"),
        ("a turn forgets where it stood", "replace(draft.now, session=turn.session, turn=number)", "replace(draft.now, turn=number)"),
    ),
    *_of(
        "bot.engine.draft",
        ("parked messages stay for ever", "self.push_say(\n                parked.ref, parked.content, answers=parked.answers, expires=parked.expires\n            )", "pass"),
        ("parked messages come again and again", "            )\n        self.now = replace(self.now, parked=())", "            )"),
        ("too many parked messages are dropped in silence", "for given_up in parked[:-PARKED_MAX]:", "for given_up in parked[:0]:"),
        ("the pair limit forgets", "self.now = replace(self.now, pair_ms=pair_ms)", "pass"),
        ("the pair limit holds nobody back", "not_before=max(not_before, say.not_before),", "not_before=say.not_before,"),
    ),
    *_of(
        "bot.engine.refusals",
        ("a message that found the window closed is dropped", "        else:\n            draft.park(ref, content, answers=say.answers, expires=say.expires)", "        else:\n            pass"),
        ("whatever is refused is sent again", "elif _waits(refused, fault, say):", "elif True:"),
    ),
    *_of(
        "bot.engine.service",
        ("a doubt is no doubt", "return Before.DOUBTED if was == -2 else Before.CLEAN", "return Before.CLEAN"),
        ("whoever vanished did nothing", "if was > 0:\n        return Before.VANISHED", "if was > 0:\n        return Before.CLEAN"),
        ("what is done stays", "                    taken,\n                    consumed=1,", "                    taken,\n                    consumed=0,"),
        ("nobody is told what became of it", "return [Push(f\"conv/{taken.conversation}\", _encode(event), take=True)]", "return []"),
        ("the journal is not told what became of it", "                    push=self._tell(taken, event),\n                    journal=[_encode(record) for record in records],\n                )\n                return self._after(taken, committed, event)\n            case Dead", "                    push=self._tell(taken, event),\n                )\n                return self._after(taken, committed, event)\n            case Dead"),
        ("a doubt is not stated", "delay_ms=after_ms, doubt=True, counts=counts", "delay_ms=after_ms, counts=counts"),
        ("a doubt does not wait", "delay_ms=after_ms, doubt=True, counts=counts", "delay_ms=0, doubt=True, counts=counts"),
        ("a lease is not given back", "await self._give_back(taken, after_ms, counts=counts)", "pass"),
        ("whoever is stale goes on", "if committed is None:", "if False:"),
    ),
    *_of(
        "handlers.whatsapp.serve",
        ("a status proves nothing", "if item.proof is not None:", "if False:"),
        ("after a crash it is sent at once", "if item.before is Before.VANISHED:", "if False:"),
        ("a crash is waited for as a reset is", "return Doubt(self._outage_doubt_ms, \"vanished\")", "return Doubt(self._reset_doubt_ms, \"vanished\")"),
        ("an intake that was down proves a silence", "missing = self._outage_doubt_ms - await self._intake.healthy_ms()", "missing = 0"),
        ("a broken request was not sent", "return Doubt(self._reset_doubt_ms, \"broken_request\")", "return Again(1_000, \"broken_request\")"),
        ("a broken request is in doubt for a moment", "return Doubt(self._reset_doubt_ms, \"broken_request\")", "return Doubt(1_000, \"broken_request\")"),
        ("the pair limit is not kept", "if (early := say.not_before - now) > 0:", "if (early := 0) > 0:"),
        ("the window is not kept", "if free_form and say.answers and now < say.open_until:", "if free_form:"),
        ("whoever stood still goes on", "may_leave=item.is_ours", "may_leave=lambda: True"),
        ("a number does not rest", "if wait := self._pauses.wait_ms(number, token, now_ms=now):", "if wait := 0:"),
        ("what was sent is not recorded", "return Done(records=(record,))", "return Done()"),
        ("a refusal is not told", "        return Done(records=(record,), event=event)", "        return Done(records=(record,))"),
        ("a refusal is not recorded", "        return Done(records=(record,), event=event)", "        return Done(event=event)"),
        ("a refused message is tried once more", "case Reaction.REFUSE:\n                return self._refused", "case Reaction.REFUSE if item.tries < 2:\n                return Again(0, \"\")\n            case Reaction.REFUSE:\n                return self._refused"),
    ),
    *_of(
        "bot.engine.intake",
        ("a redelivery is news", "mark=mark,", "mark=\"\","),
        ("a redelivery is news on the next day", "day=at // DAY_S,", "day=self._clock.now_ms() // 86_400_000,"),
        ("what is not durable is acknowledged", "raise StoreDownError(\"the lanes cannot take anything now\") from lost", "pass"),
        ("a status proves nothing to anybody", "for status in statuses if status.item],", "for status in ()],"),
        ("statuses are not journaled", "_encode(StatusRecord(tuple(statuses)))", "_encode(StatusRecord(()))"),
        ("the pause is counted from Meta's clock", "received=self._clock.now_ms(),", "received=heard.at * 1000,"),
    ),
    *_of(
        "bot.engine.conversation",
        ("a burst knows no end", "return after, earliest if earliest > now_ms else 0", "return after, 0"),
    ),
    *_of(
        "bot.engine.runner",
        ("what a commit leased is left lying", "for following in after.taken:", "for following in ():"),
        ("no lease is renewed", "kept = await self._lanes.renew(held)", "kept = [True] * len(held)"),
        ("what a carrier tells to claim is not claimed", "for kind in after.claim:", "for kind in ():"),
        ("nobody polls", "for kind in self._carriers:\n                    self._wanted", "for kind in ():\n                    self._wanted"),
        trial="days",
    ),
    *_of(
        "bot.engine.worker",
        ("what is left waits for the poll", "if committed.left and (decision.consumed or not taken.items):", "if False:"),
        trial="days",
    ),
    *_of(
        "bot.engine.service",
        ("the next send waits for the poll", "(taken.kind,) if committed.left else ()", "()"),
        trial="days",
    ),
    *_of(
        "bot.engine.intake",
        ("what was leased with its event is left lying", "            case taken:\n                self._take(taken)", "            case taken:\n                pass"),
        trial="days",
    ),
    *_of(
        "bot.engine.journal",
        (
            "trimmed before it is written",
            "        for tenant, lines in by_tenant.items():\n            await self._write(tenant, lines)\n        await asyncio.gather(\n            *(\n                self._lanes.trim_journal(shard, position, raws)\n                for shard, (position, raws) in zip(shards, read, strict=True)\n                if raws\n            )\n        )\n",
            "        await asyncio.gather(\n            *(\n                self._lanes.trim_journal(shard, position, raws)\n                for shard, (position, raws) in zip(shards, read, strict=True)\n                if raws\n            )\n        )\n        for tenant, lines in by_tenant.items():\n            await self._write(tenant, lines)\n",
        ),
        ("an old name comes back", "WHEN told.conversation_id THEN known.turn > told.turn", "WHEN told.conversation_id THEN false"),
        ("a contact begins with its batch", "{turn.contact: turn.at for turn in reversed(turns)}", "{turn.contact: turn.at for turn in turns}"),
        ("the last owner of a batch was the only one", "if not run or run[-1][0] != turn.contact:\n                run.append(", "if not run or run[-1][0] != turn.contact:\n                run.clear()\n                run.append("),
        ("an old owner takes an address back", "AND address.valid_from <= held.at", ""),
        ("a status before its message is forgotten", "sorted({entry.wamid for entry in sent} | {entry.wamid for entry in statuses})", "sorted({entry.wamid for entry in statuses})"),
        ("what a set-aside message told of time is forgotten", " OR greatest(known.last_in, excluded.last_in) IS DISTINCT FROM known.last_in", ""),
        trial="passes",
    ),
)  # fmt: skip


class _Broken(SourceFileLoader):
    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(mutant.path))
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._mutant.source(), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the broken module before the sound one is found."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        spec.loader = _Broken(self._mutant)
        return spec


def try_broken(trial: Trial, name: str, store_url: str, postgres: PostgresUrls) -> int:
    """In a process of its own: break the module, then try it. Answers the exit code."""
    for mutant in MUTANTS:
        if mutant.name == name:
            assert mutant.module not in sys.modules, "it was imported before it was broken"
            sys.meta_path.insert(0, _Finder(mutant))
    tries = TRIES[trial]
    # Only now: what is imported sooner is sound.
    from tests.bot.engine.machine import run_machine
    from tests.bot.engine.passes import run_passes
    from tests.bot.engine.simulation import run_days

    try:
        match trial:
            case "steps":
                run_machine(store_url, sequences=tries, seed=SEED, shrink=False)
            case "days":
                run_days(store_url, days=tries, seed=SEED, shrink=False)
            case "passes":
                run_passes(store_url, postgres, histories=tries, seed=SEED, shrink=False)
    except Exception as noticed:  # noqa: BLE001  whatever it is, it was noticed
        first_line, *_ = f"{type(noticed).__name__}: {noticed}".splitlines()
        print(first_line)  # noqa: T201  to whoever started us
        return NOTICED
    return 0


def said_to(trial: Trial, mutant: Mutant | None, store_url: str, postgres: PostgresUrls) -> str:
    """What the trial said to the mutant, None = to the engine as it is; empty if it noticed nothing."""
    command = [sys.executable, "-m", "tests.bot.engine.mutants", "--broken"]
    run = subprocess.run(
        [
            *command,
            trial,
            mutant.name if mutant else CONTROL,
            store_url,
            postgres.app,
            postgres.owner,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_MAX_S,
        check=False,
    )
    if run.returncode not in (0, NOTICED):
        raise RuntimeError(f"the trial broke off: {run.stderr}")
    return run.stdout.strip() if run.returncode == NOTICED else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", nargs=5, metavar=("TRIAL", "NAME", "STORE", "APP", "OWNER"))
    parser.add_argument("names", nargs="*", help="parts of the names of those to try")
    arguments = parser.parse_args()
    if arguments.broken:
        trial, name, store_url, app, owner = arguments.broken
        return try_broken(trial, name, store_url, PostgresUrls(app=app, owner=owner))
    chosen = [
        m for m in MUTANTS if not arguments.names or any(n in m.name for n in arguments.names)
    ]
    survivors: list[str] = []
    with (
        store_server() as server,
        tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as folder,
        running_postgres(Path(folder), options=FAST) as postgres,
    ):
        server.start()
        asyncio.run(migrate(owner_url=postgres.owner, app_url=postgres.app))
        for trial in TRIES:
            if said := said_to(trial, None, server.url, postgres):
                print(f"FAILS     {trial}, {CONTROL}: {said}")  # noqa: T201  a report
                return 1
        for mutant in chosen:
            said = said_to(mutant.trial, mutant, server.url, postgres)
            survivors += [] if said else [mutant.name]
            print(f"{'noticed' if said else 'SURVIVES':9} {mutant.name}: {said}", flush=True)  # noqa: T201  a tool
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed")  # noqa: T201  a tool
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
