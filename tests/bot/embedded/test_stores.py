"""Both stores live and die with the process that started them, and others find them."""

import subprocess
import sys
from pathlib import Path

from bot.embedded.stores import attach, reached_stores, running_stores
from tests.bot.embedded.conftest import wait_gone

PARENT = """
import sys
from pathlib import Path
import redis
from bot.embedded.stores import running_stores

data = Path(sys.argv[1])
with running_stores(data) as stores, redis.Redis.from_url(stores.redis_url) as client:
    client.set("greeting", "hola")
    postgres = (data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0]
    print(client.info("server")["process_id"], postgres, flush=True)
    sys.stdin.read()
"""


def test_nothing_outlives_a_parent_that_was_killed(data: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        children = [
            int(pid) for pid in Path(f"/proc/{pids[1]}/task/{pids[1]}/children").read_text().split()
        ]

        parent.kill()

        assert len(children) > 1
        assert wait_gone(*pids, *children)


def test_the_next_start_waits_for_what_a_killed_parent_left(data: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()

    with running_stores(data):
        assert attach(data) is not None


def test_a_command_uses_the_stores_of_the_server_that_runs(data: Path) -> None:
    with running_stores(data) as theirs, reached_stores(data) as ours:
        assert ours == theirs


def test_a_command_starts_its_own_stores_when_nobody_runs_them(data: Path) -> None:
    with reached_stores(data) as stores:
        assert attach(data) == stores

    assert attach(data) is None
