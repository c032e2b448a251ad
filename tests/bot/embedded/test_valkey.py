"""An embedded Valkey keeps what it acknowledged, alone on its folder, and tells what is wrong."""

import os
import signal
from pathlib import Path

import pytest
import redis

from bot.embedded.process import EmbeddedError, FolderInUseError
from bot.embedded.valkey import attached_valkey, running_valkey
from tests.bot.embedded.conftest import wait_gone


def test_it_is_set_up_to_lose_nothing(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url, decode_responses=True) as client:
        config = client.config_get(
            "appendonly", "appendfsync", "save", "maxmemory-policy", "port", "unixsocketperm"
        )

    assert config == {
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "unixsocketperm": "700",
    }


def test_it_takes_no_more_than_half_of_the_machine(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        most = int(client.config_get("maxmemory")["maxmemory"])

    assert 2 * most <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 2 * (most + 1)


def test_what_was_written_is_there_after_a_restart(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        client.set("greeting", "hola")

    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        found = client.get("greeting")

    assert found == b"hola"


def test_what_was_acknowledged_survives_kill_9(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        client.set("greeting", "hola")
        kill_9(client)

    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        assert client.get("greeting") == b"hola"


def test_a_log_that_was_cut_short_loses_only_its_last_command(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        client.set("first", "1")
        client.set("second", "2")
    (log,) = (data / "valkey" / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, log.stat().st_size - 5)

    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        found = client.mget("first", "second")

    assert found == [b"1", None]


def test_a_second_server_on_the_folder_is_refused_by_name(data: Path) -> None:
    with (
        running_valkey(data),
        pytest.raises(FolderInUseError) as refusal,
        running_valkey(data, lock_wait_s=0),
    ):
        pass

    assert str(data) in str(refusal.value)
    assert f"process {os.getpid()}" in str(refusal.value)
    assert "SMARTERBOT_DATA" in str(refusal.value)


def test_another_process_finds_the_one_that_runs(data: Path) -> None:
    before = attached_valkey(data)
    with running_valkey(data) as url:
        during = attached_valkey(data)
    after = attached_valkey(data)

    assert (before, during, after) == (None, url, None)


def test_a_killed_server_is_not_found(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        kill_9(client)

        assert attached_valkey(data) is None


def test_a_path_too_long_for_a_socket_gets_a_short_one(data: Path) -> None:
    deep = data / ("a" * 90) / ("b" * 90)

    with running_valkey(deep) as url, redis.Redis.from_url(url) as client:
        assert client.ping() is True
        assert attached_valkey(deep) == url

    socket = Path(url.removeprefix("unix://"))
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    socket.parent.rmdir()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_of_somebody_else_is_named(data: Path) -> None:
    home = data / "valkey"
    home.mkdir(parents=True)
    (home / "lock").touch(mode=0o000)

    with pytest.raises(EmbeddedError, match=f"{home} belongs to another user"):
        attached_valkey(data)
    with (
        pytest.raises(EmbeddedError, match=f"{home} belongs to another user"),
        running_valkey(data),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_that_belongs_to_somebody_else_is_named(data: Path) -> None:
    home = data / "valkey"
    home.mkdir(parents=True)
    os.chown(home, 4242, 4242)

    with (
        pytest.raises(EmbeddedError, match=f"{home} belongs to another user"),
        running_valkey(data),
    ):
        pass


def test_a_server_that_does_not_start_shows_the_end_of_its_log(data: Path) -> None:
    with pytest.raises(EmbeddedError) as error, running_valkey(data, appendfsync="sometimes"):
        pass

    assert "Valkey ended with code 1" in str(error.value)
    assert "argument(s) must be one of the following" in str(error.value)


def test_the_terminal_s_ctrl_c_does_not_reach_it(data: Path) -> None:
    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        assert os.getsid(pid_of(client)) != os.getsid(0)


def test_it_inherits_none_of_our_secrets(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_TOKEN", "a-secret")

    with running_valkey(data) as url, redis.Redis.from_url(url) as client:
        environment = Path(f"/proc/{pid_of(client)}/environ").read_bytes()

    assert b"a-secret" not in environment


def pid_of(client: redis.Redis) -> int:
    info = client.info("server")
    assert isinstance(info, dict)
    return int(info["process_id"])


def kill_9(client: redis.Redis) -> None:
    pid = pid_of(client)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert wait_gone(pid)
