"""Start PostgreSQL's programs without root's rights, and so that they end when this process does.

The child drops its rights itself, after Python has started: Python's own tree may be unreadable to the
account that PostgreSQL runs as. PR_SET_PDEATHSIG (prctl(2)) is cleared by a change of uid, so it is set after
that; it fires when the *thread* that forked ends, so `spawn` belongs on the thread of the event loop.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.errors import StartupError

_PREFERRED_ACCOUNTS = ("postgres", "nobody")
_CANNOT_START = 126

_PROGRAM = """
import ctypes, os, sys
parent, uid, gid, death_signal = map(int, sys.argv[1:5])
try:
    libc = ctypes.CDLL(None)
    os.umask(0o077)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    libc.prctl(1, death_signal)
    if os.getppid() != parent:
        sys.exit(126)
    os.execv(sys.argv[5], sys.argv[5:])
except OSError as error:
    print(f"cannot start {sys.argv[5]}: {error.strerror}", file=sys.stderr)
    sys.exit(126)
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom PostgreSQL runs as when the gateway itself is root."""

    name: str
    uid: int
    gid: int


def unprivileged_account(owner_uid: int | None) -> Account | None:
    """Return the account to drop to, or None when this process is not root.

    ``owner_uid`` is the owner of an existing data directory: PostgreSQL insists on being that user.
    """
    if os.geteuid() != 0:
        return None
    if owner_uid:
        try:
            entry = pwd.getpwuid(owner_uid)
        except KeyError:
            return Account(str(owner_uid), owner_uid, owner_uid)
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in _PREFERRED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise StartupError(
        "the embedded PostgreSQL does not run as root, and no account named postgres or nobody exists:"
        " create one, run the gateway as an ordinary user, or set database.url"
    )


def spawn(
    command: Sequence[str | Path],
    account: Account | None,
    *,
    output: int | IO[bytes],
    pass_fds: Sequence[int] = (),
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, as ``account``; what it prints goes to ``output``.

    ``death_signal`` is what it gets when this process dies, however it dies.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    numbers = (os.getpid(), uid, gid, int(death_signal))
    return subprocess.Popen(  # noqa: S603 - the programs are PostgreSQL's, the arguments our own
        [sys.executable, "-I", "-S", "-c", _PROGRAM, *map(str, numbers), *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        # Ctrl-C in the terminal must reach the gateway alone, which then stops PostgreSQL in order.
        start_new_session=True,
        pass_fds=tuple(pass_fds),
    )


def run(command: Sequence[str | Path], account: Account | None) -> tuple[bool, str]:
    """Run a short program to its end; return whether it succeeded, and what it printed."""
    with spawn(command, account, output=subprocess.PIPE) as process:
        try:
            printed, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            return False, f"{command[0]} did not end"
        return process.returncode == 0, printed.decode(errors="replace")
