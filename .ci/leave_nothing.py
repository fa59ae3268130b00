"""Run a command, then fail if any process that it started is still there.

The kernel hands orphans to the nearest "subreaper" instead of to init, so every descendant, however it
detached itself, ends up as a child of this process and can be counted.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 5.0


def reap() -> None:
    """Collect orphans that have ended, so that they are not counted as running."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def run(command: list[str]) -> int:
    """Run the command to its end and return its exit code.

    Orphans are collected all the while, as init does: PostgreSQL takes a lock file for live whose process is a zombie.
    """
    pid = os.posix_spawnp(command[0], command, os.environ)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def describe(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = ""
    return f"{pid} {words[:200] or '(ended)'}"


def left_behind() -> list[int]:
    """Return the pids still running after a moment's grace."""
    deadline = time.monotonic() + GRACE_SECONDS
    while True:
        reap()
        remaining = children()
        if not remaining or time.monotonic() > deadline:
            return remaining
        time.sleep(0.1)


def main(command: list[str]) -> int:
    if not command:
        sys.stderr.write("usage: leave_nothing.py COMMAND [ARGUMENT ...]\n")
        return 2
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    status = run(command)
    strays = left_behind()
    for pid in strays:
        sys.stderr.write(f"left running: {describe(pid)}\n")
    # Killing one can orphan its children to us, so look again until there is nobody.
    while remaining := children():
        for pid in remaining:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        reap()
    return abs(status) or (1 if strays else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
