"""Both embedded stores of one data folder: started, or found running."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.embedded.postgres import PostgresUrls, attached_postgres, running_postgres
from bot.embedded.process import POLL_S, READY_WAIT_S, FolderInUseError
from bot.embedded.valkey import attached_valkey, running_valkey


@dataclass(frozen=True, slots=True)
class Stores:
    """How to reach the stores."""

    redis_url: str
    postgres: PostgresUrls


@contextlib.contextmanager
def running_stores(data: Path) -> Iterator[Stores]:
    """Run both stores for as long as the block lasts. From the main thread only.

    Raises:
        FolderInUseError: another process runs them.
        EmbeddedError: one of them does not start.
    """
    with running_valkey(data) as redis_url, running_postgres(data) as postgres:
        yield Stores(redis_url=redis_url, postgres=postgres)


def attach(data: Path) -> Stores | None:
    """The stores that another process runs on this folder now; None when it does not run both."""
    redis_url, postgres = attached_valkey(data), attached_postgres(data)
    return Stores(redis_url=redis_url, postgres=postgres) if redis_url and postgres else None


@contextlib.contextmanager
def reached_stores(data: Path) -> Iterator[Stores]:
    """The stores that another process runs; when nobody does, our own for as long as the block lasts.

    Raises:
        EmbeddedError: they neither run nor start.
    """
    with contextlib.ExitStack() as stack:
        yield _attached_or_started(data, stack)


def _attached_or_started(data: Path, stack: contextlib.ExitStack) -> Stores:
    deadline = time.monotonic() + READY_WAIT_S
    while True:
        if stores := attach(data):
            return stores
        try:
            redis_url = stack.enter_context(running_valkey(data, lock_wait_s=0))
            postgres = stack.enter_context(running_postgres(data))
        except FolderInUseError:
            # Somebody is starting or stopping them right now.
            stack.close()
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_S)
        else:
            return Stores(redis_url=redis_url, postgres=postgres)
