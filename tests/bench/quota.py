"""A part of a core for a process, by the kernel's CPU controller (cgroup v1 or v2), where we may set one.

So a machine of two cores can show what more processes do: each gets a small part, and the cores are never full.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

V1: Final = Path("/sys/fs/cgroup/cpu")
V2: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 10_000  # short, so that a process never rests for long


def may_set() -> bool:
    try:
        with quota(os.getpid(), 1.0):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def quota(pid: int, part: float) -> Iterator[None]:
    """Give a process at most this part of one core for as long as the block lasts.

    Raises:
        OSError: we may not.
    """
    v1 = (V1 / "cpu.cfs_quota_us").exists() or (V1 / "cgroup.procs").exists()
    home = V1 if v1 else V2
    group = home / f"smarterbot-bench-{pid}"
    group.mkdir()
    try:
        quota_us = round(part * PERIOD_US)
        if v1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                (home / "cgroup.procs").write_text(str(pid))
    finally:
        group.rmdir()
