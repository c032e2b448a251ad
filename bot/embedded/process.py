"""How an embedded server is born and dies: never without us, never twice on one folder.

On Linux the kernel ends a server when the process that started it is gone, even by kill -9. Elsewhere there is no
such promise: a server that was left behind is recognised by its lock and named in the error of the next start.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POLL_S: Final = 0.02
LOCK_WAIT_S: Final = 10.0  # a server whose owner was killed needs a moment to close its files
READY_WAIT_S: Final = 60.0  # crash recovery of a big write-ahead log counts too
STOP_WAIT_S: Final = 15.0
KILL_WAIT_S: Final = 5.0
TOOL_WAIT_S: Final = 120.0
LOG_TAIL_LINES: Final = 15

SOCKET_PATH_MAX: Final = (
    103  # sun_path holds 108 bytes on Linux and 104 on macOS, with its final NUL
)
LONGEST_SOCKET: Final = ".s.PGSQL.5432"

NOBODY: Final = 65534
_PR_SET_PDEATHSIG: Final = 1
_FOREIGN: Final = (
    "{} belongs to another user: become that user, or set SMARTERBOT_DATA to a folder of your own"
)
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": os.defpath,
    "LC_ALL": "C",
}  # our own holds secrets; a server needs none


class EmbeddedError(Exception):
    """An embedded server cannot run. The message says what to mend."""


class FolderInUseError(EmbeddedError):
    """Another process runs a server on this folder."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a server runs as."""

    prefix: tuple[str, ...] = ()
    """Put in front of the command."""
    uid: int | None = None
    """User and group to change to; None keeps ours."""


OURSELVES: Final = Account()
NAMESPACE: Final = Account(
    prefix=("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
)
"""Root outside, nobody inside: PostgreSQL, which refuses root, accepts it, and no permission has to be opened."""
UNPRIVILEGED: Final = Account(uid=NOBODY)
"""Where user namespaces are forbidden: needs a folder and binaries that this user can reach."""


def unprivileged_account() -> Account:
    """Whom to run a server as that refuses root."""
    if os.geteuid() != 0:
        return OURSELVES
    if shutil.which(NAMESPACE.prefix[0]) and _succeeds((*NAMESPACE.prefix, "true"), OURSELVES):
        return NAMESPACE
    return UNPRIVILEGED


def can(account: Account, *test: str) -> bool:
    """Whether `test` (of test(1)) holds for this account, e.g. `can(account, "-x", path)`."""
    return _succeeds(("test", *test), account)


def run_tool(command: Sequence[str], account: Account, *, text: str = "") -> str:
    """Run a command to its end and answer what it printed; `text` is its standard input.

    Raises:
        EmbeddedError: it failed, with the end of what it printed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            (*account.prefix, *command),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TOOL_WAIT_S,
            check=False,
            cwd="/",
            env=_ENVIRONMENT,
            user=account.uid,
            group=account.uid,
            extra_groups=() if account.uid is not None else None,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedError(f"{command[0]} cannot run: {error}") from error
    if done.returncode != 0:
        raise EmbeddedError(
            f"{command[0]} failed with code {done.returncode}:\n{_last_lines(done.stdout)}"
        )
    return done.stdout


@contextlib.contextmanager
def folder_lock(home: Path, *, wait_s: float = LOCK_WAIT_S) -> Iterator[int]:
    """Hold `home` for one server; yields the descriptor that the server must inherit.

    The lock lasts until the last process that inherited it is gone, so holding it proves that no server, and no part
    of one, still works on the folder.

    Raises:
        FolderInUseError: somebody else holds it for longer than `wait_s`.
    """
    with _ours(home):
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _until(lambda: _try_lock(descriptor), wait_s=wait_s):
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise FolderInUseError(
                f"{home} is in use by another server (process {owner}): stop it, or set SMARTERBOT_DATA "
                "to another folder"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(home: Path) -> bool:
    """Whether a server works on this folder now.

    Raises:
        EmbeddedError: the folder is somebody else's.
    """
    try:
        with _ours(home):
            descriptor = os.open(home / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def socket_folder(home: Path) -> Path:
    """Where a server that lives in `home` has its socket: inside, unless that path is none for a socket.

    Every process finds the same answer.
    """
    inside = home / "run"
    fits = len(os.fsencode(inside / LONGEST_SOCKET)) <= SOCKET_PATH_MAX
    if fits and "," not in str(inside):  # in a URL of PostgreSQL a comma parts two hosts
        return inside
    digest = hashlib.blake2b(os.fsencode(home), digest_size=8).hexdigest()
    return Path(f"/tmp/smarterbot-{os.geteuid()}-{digest}")  # noqa: S108 - owner and mode are checked


def make_private(folder: Path, account: Account = OURSELVES) -> Path:
    """Make `folder` readable by the account alone.

    Raises:
        EmbeddedError: it belongs to somebody else.
    """
    with _ours(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ours, owner = os.geteuid(), folder.stat().st_uid
    # Root may have run the server as nobody before.
    if folder.is_symlink() or owner not in ({ours, NOBODY} if ours == 0 else {ours}):
        raise EmbeddedError(_FOREIGN.format(folder))
    uid = ours if account.uid is None else account.uid
    if owner != uid:
        os.chown(folder, uid, uid)
    folder.chmod(0o700)
    return folder


class Server:
    """A running server process of ours."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        log: Path,
        lock: int,
        stop_signal: signal.Signals,
        account: Account = OURSELVES,
        environment: Mapping[str, str] = _ENVIRONMENT,
    ) -> None:
        """Spawn it. From the main thread only: the kernel ends the server with the THREAD that spawned it."""
        assert threading.current_thread() is threading.main_thread()
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
        if log.exists():
            log.replace(log.with_suffix(".old"))
        with log.open("wb") as output:
            log.chmod(0o600)
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                (*account.prefix, *command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                pass_fds=(lock,),
                # A Ctrl-C in the terminal is for us: we stop the server when we need it no more.
                start_new_session=True,
                user=account.uid,
                group=account.uid,
                extra_groups=() if account.uid is not None else None,
                preexec_fn=die_with_parent(stop_signal),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, answers: Callable[[], bool], *, wait_s: float = READY_WAIT_S) -> None:
        """Wait until `answers()`.

        Raises:
            EmbeddedError: the server ended, or `wait_s` passed; with the end of its log.
        """
        if _until(lambda: self._process.poll() is not None or answers(), wait_s=wait_s):
            if self._process.returncode is None:
                return
            what = f"ended with code {self._process.returncode}"
        else:
            what = f"did not answer within {wait_s:.0f} s"
        raise EmbeddedError(f"{self.name} {what}. Its log, {self._log}, ends:\n{self.log_tail()}")

    def log_tail(self) -> str:
        return _last_lines(self._log.read_text(errors="replace"))

    def stop(self) -> None:
        """Ask it to close its files; kill it when it takes longer than `STOP_WAIT_S`. Harmless when it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait(KILL_WAIT_S)


@contextlib.contextmanager
def _ours(folder: Path) -> Iterator[None]:
    try:
        yield
    except (PermissionError, NotADirectoryError) as error:
        raise EmbeddedError(_FOREIGN.format(folder)) from error


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel sends the child this signal when the thread that spawned it is gone. Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(
        None, use_errno=True
    ).prctl  # loaded before the fork: the child may not allocate much
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before the kernel knew of our wish
            os._exit(1)

    return in_child


def _succeeds(command: Sequence[str], account: Account) -> bool:
    try:
        run_tool(command, account)
    except EmbeddedError:
        return False
    return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(condition: Callable[[], bool], *, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:]) or "(empty)"
