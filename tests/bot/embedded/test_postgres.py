"""An embedded PostgreSQL recovers from whatever happened to it, as root and as anybody."""

import os
import shutil
import signal
from pathlib import Path

import asyncpg
import pytest

from bot.embedded.postgres import (
    REACHABLE,
    PostgresUrls,
    attached_postgres,
    postgres_binaries,
    running_postgres,
)
from bot.embedded.process import NAMESPACE, UNPRIVILEGED, EmbeddedError, FolderInUseError

FAST = ("fsync=off",)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


async def test_the_server_gives_two_roles_that_cannot_see_past_row_level_security(
    data: Path,
) -> None:
    with running_postgres(data, options=FAST) as urls:
        found = [
            await ask(
                url,
                "SELECT current_user || rolsuper::int || rolbypassrls::int FROM pg_roles WHERE rolname = current_user",
            )
            for url in (urls.owner, urls.app)
        ]

    assert found == ["smarterbot_owner00", "smarterbot_app00"]


async def test_nobody_reaches_it_but_through_its_private_socket(data: Path) -> None:
    with running_postgres(data, options=FAST) as urls:
        listen = await ask(urls.app, "SHOW listen_addresses")

        assert listen == ""
        assert (data / "postgres" / "run").stat().st_mode & 0o777 == 0o700


async def test_what_was_committed_survives_kill_9(data: Path) -> None:
    with running_postgres(data) as urls:
        await ask(urls.owner, "CREATE TABLE kept AS SELECT 42 AS n")
        kill_9(pid_of(data))

    with running_postgres(data) as urls:
        assert await ask(urls.owner, "SELECT n FROM kept") == 42


async def test_a_stale_process_number_that_is_somebody_s_now_does_not_matter(data: Path) -> None:
    with running_postgres(data, options=FAST):
        stale = (data / "postgres" / "cluster" / "postmaster.pid").read_text()
    mine = stale.replace(stale.splitlines()[0], str(os.getppid()), 1)
    (data / "postgres" / "cluster" / "postmaster.pid").write_text(mine)
    (data / "postgres" / "run" / ".s.PGSQL.5432.lock").write_text(mine)

    with running_postgres(data, options=FAST) as urls:
        assert await ask(urls.app, "SELECT 1") == 1


async def test_a_first_start_that_was_cut_short_is_begun_anew(data: Path) -> None:
    (data / "postgres" / "cluster.new" / "base").mkdir(parents=True)

    with running_postgres(data, options=FAST) as urls:
        assert await ask(urls.app, "SELECT 1") == 1


def test_a_second_server_on_the_folder_is_refused_by_name(data: Path) -> None:
    with (
        running_postgres(data, options=FAST),
        pytest.raises(FolderInUseError, match=str(data)),
        running_postgres(data, lock_wait_s=0),
    ):
        pass


def test_another_process_finds_the_one_that_runs(data: Path) -> None:
    before = attached_postgres(data)
    with running_postgres(data, options=FAST) as urls:
        during = attached_postgres(data)
    after = attached_postgres(data)

    assert (before, during, after) == (None, urls, None)


async def test_a_path_with_signs_and_too_long_for_a_socket_works(data: Path) -> None:
    odd = data / "mi negocio, ñandú & co" / ("a" * 90)

    with running_postgres(odd, options=FAST) as urls:
        assert await ask(urls.app, "SELECT 1") == 1
        assert attached_postgres(odd) == urls

    remove_short_folder(urls)


async def test_a_short_path_with_signs_works(data: Path) -> None:
    odd = data / "mi pan ñ & co?"

    with running_postgres(odd, options=FAST) as urls:
        assert await ask(urls.app, "SELECT 1") == 1


async def test_a_path_with_a_comma_works(data: Path) -> None:
    odd = data / "pan, queso"

    with running_postgres(odd, options=FAST) as urls:
        assert await ask(urls.app, "SELECT 1") == 1

    remove_short_folder(urls)


def test_a_server_that_does_not_start_shows_the_end_of_its_log(data: Path) -> None:
    with (
        pytest.raises(EmbeddedError) as error,
        running_postgres(data, options=("no_such_setting=1",)),
    ):
        pass

    assert "PostgreSQL ended with code 1" in str(error.value)
    assert "no_such_setting" in str(error.value)


def test_data_of_another_version_is_named_and_left_alone(data: Path) -> None:
    cluster = data / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")

    with (
        pytest.raises(EmbeddedError, match=f"{cluster} was made by PostgreSQL 9"),
        running_postgres(data),
    ):
        pass

    assert [file.name for file in cluster.iterdir()] == ["PG_VERSION"]


async def test_its_log_repeats_nothing_that_a_query_said(data: Path) -> None:
    with running_postgres(data, options=FAST) as urls:
        await ask(urls.owner, "CREATE TABLE people (phone text UNIQUE)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await ask(urls.owner, "INSERT INTO people VALUES ('56961234567'), ('56961234567')")

    log = (data / "postgres" / "log").read_text()
    assert "people_phone_key" in log
    assert "56961234567" not in log


@only_root
async def test_root_without_user_namespaces_becomes_nobody(data: Path) -> None:
    data.parent.chmod(0o711)

    with running_postgres(data, options=FAST, account=UNPRIVILEGED) as urls:
        owner = owner_of(pid_of(data))
        answer = await ask(urls.app, "SELECT 1")

    assert (owner, answer) == (65534, 1)


@only_root
async def test_data_goes_from_one_account_to_the_other_and_back(data: Path) -> None:
    data.parent.chmod(0o711)

    for account in (UNPRIVILEGED, NAMESPACE, UNPRIVILEGED):
        with running_postgres(data, options=FAST, account=account) as urls:
            assert await ask(urls.app, "SELECT 1") == 1


@only_root
async def test_what_nobody_cannot_reach_goes_where_it_can(data: Path) -> None:
    hidden = data.parent / "hidden"
    hidden.mkdir(mode=0o700)
    package = postgres_binaries().parent.parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, hidden / folder.name, symlinks=True)
    data.parent.chmod(0o711)
    made_before = set(REACHABLE.glob("*"))

    with running_postgres(
        hidden / "data",
        options=FAST,
        account=UNPRIVILEGED,
        binaries=hidden / package.name / "pginstall" / "bin",
    ) as urls:
        answer = await ask(urls.app, "SELECT 1")
        found = attached_postgres(hidden / "data")

    assert answer == 1
    assert found == urls
    assert hidden.stat().st_mode & 0o777 == 0o700
    for made in set(REACHABLE.glob("*")) - made_before:
        shutil.rmtree(made)
    if not made_before:
        REACHABLE.rmdir()


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def pid_of(data: Path) -> int:
    return int((data / "postgres" / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def kill_9(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def remove_short_folder(urls: PostgresUrls) -> None:
    folder = Path(urls.app.partition("?host=")[2])
    assert folder.parent == Path("/tmp")
    folder.rmdir()
