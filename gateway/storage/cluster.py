"""The embedded database on disk: ``data_dir/postgres`` with data, run, password, lock and log.

PostgreSQL is given this directory as an open descriptor and works below ``/proc/self/fd/N``: so the account
that root drops to needs no way through the directories above (a home of mode 0700 stays closed), and the
length of the path does not matter to the socket.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from gateway.errors import StartupError
from gateway.storage.launcher import Account, unprivileged_account

_MAX_LOG_BYTES = 1 << 20


class Cluster:
    """The files of one embedded database, and the lock of the one supervisor that may run it."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir.absolute() / "postgres"
        self.data = self.root / "data"
        self.sockets = self.root / "run"
        self.log = self.root / "log"
        self._password = self.root / "password"
        self._lock: int | None = None
        self.account: Account | None = None

    def prepare(self) -> None:
        """Make the directories and choose the account; raises `StartupError` for what cannot be used."""
        try:
            self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
            self._choose_account()
        except OSError as error:
            raise unusable(error, self.root) from error

    def _choose_account(self) -> None:
        owner = self.data.stat().st_uid if self.data.exists() else None
        self.account = unprivileged_account(owner)
        if self.account is None and owner not in {None, os.geteuid()}:
            raise StartupError(f"{self.data} belongs to user id {owner}: run the gateway as that user")
        if self.account is not None:
            self.root.chmod(0o711)  # PostgreSQL's account passes through and can list nothing
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self.give(self.sockets, 0o700)

    def give(self, path: Path, mode: int) -> None:
        """Hand a path to the account that PostgreSQL runs as."""
        path.chmod(mode)
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    @property
    def label(self) -> str:
        """Return the cluster_name that marks this cluster's processes in their command line."""
        return "gateway-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]

    @property
    def major(self) -> int | None:
        """Return the version that made the data, None when there is none yet."""
        try:
            return int((self.data / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            if self.data.exists() and any(self.data.iterdir()):
                raise StartupError(f"{self.data} is not a PostgreSQL data directory: move it away") from None
            return None
        except (OSError, ValueError) as error:
            raise StartupError(f"{self.data / 'PG_VERSION'} is unreadable: move {self.data} away") from error

    def try_lock(self) -> bool:
        """Become the supervisor; False while another process is. The lock dies with its process."""
        if self._lock is not None:
            return True
        descriptor = self._open("lock", os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def password(self) -> str | None:
        """Return the superuser's password, None before the first start."""
        try:
            return self._password.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StartupError(f"{self._password} cannot be read: run this as the user of `serve`") from error

    def make_password(self) -> str:
        """Return the password, and make it first if need be."""
        known = self.password()
        if known:
            return known
        made = secrets.token_urlsafe(32)
        descriptor = self._open("password", os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "w") as file:
            file.write(made)
        return made

    def open_log(self) -> int:
        """Return a descriptor that appends to the log, which starts anew above 1 MiB."""
        descriptor = self._open("log", os.O_WRONLY | os.O_APPEND)
        if os.fstat(descriptor).st_size > _MAX_LOG_BYTES:
            os.ftruncate(descriptor, 0)
        return descriptor

    def open_root(self) -> int:
        """Return the descriptor that PostgreSQL's programs inherit."""
        return os.open(self.root, os.O_PATH | os.O_DIRECTORY)

    def remove_leftovers(self) -> None:
        """Remove what an interrupted initdb left: data is renamed into its place only when it is whole."""
        for path in self.root.glob("new-*"):
            shutil.rmtree(path, ignore_errors=True)
        (self.root / "password.initdb").unlink(missing_ok=True)

    def _open(self, name: str, flags: int) -> int:
        # A root gateway may work in a directory of an ordinary user, who must not aim it at another file
        # by a link, and who must be able to use what it made.
        descriptor = os.open(self.root / name, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor


def unusable(error: OSError, path: Path) -> StartupError:
    """Say in one line which part of ``data_dir`` cannot be used, and why."""
    return StartupError(f"data_dir cannot be used: {error.filename or path}: {error.strerror}")
