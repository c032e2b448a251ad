"""Folders and eyes for the tests that start and kill servers."""

import select
import shutil
import tempfile
from collections.abc import Iterator
from os import pidfd_open
from pathlib import Path

import pytest

PATIENCE_S = 20


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a short path: a socket's has little room."""
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))
    yield folder / "data"
    shutil.rmtree(folder)


def wait_gone(*pids: int) -> bool:
    """Whether all these processes end; the kernel tells when, so nobody sleeps."""
    for pid in pids:
        try:
            descriptor = pidfd_open(pid)
        except ProcessLookupError:
            continue
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
            if not select.select([file], [], [], PATIENCE_S)[0]:
                return False
    return True
