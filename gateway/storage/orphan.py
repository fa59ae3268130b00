"""A PostgreSQL that outlived its supervisor: wait for its end, and hasten it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

from gateway.errors import StartupError

_STEPS = ((None, 5.0), (signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

_log = logging.getLogger(__name__)


async def end_orphan(data: Path, label: str) -> None:
    """Return when no server runs on ``data``; ``label`` is the cluster_name of servers that are ours.

    The caller holds the supervisor's lock: a server that still runs has lost its supervisor, and is shutting
    down by its death signal or has missed it. Raises `StartupError` for a server that somebody else started.
    """
    lock_file = data / "postmaster.pid"
    pid = _pid_in(lock_file)
    if pid is None:
        return
    command = _command_line(pid)
    if label not in command:
        if os.path.basename(command.partition(" ")[0]) in {"postgres", "postmaster"}:  # noqa: PTH119
            raise StartupError(f"another PostgreSQL (process {pid}) runs on {data}: stop it")
        # The number belongs to another program now, as it easily does after a container's restart.
        lock_file.unlink(missing_ok=True)
        return
    for number, seconds in _STEPS:
        if number is not None:
            _log.warning("stopping a PostgreSQL without supervisor, process %d, by %s", pid, number.name)
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if label not in _command_line(pid):
                return
            await asyncio.sleep(0.02)
    raise StartupError(f"a PostgreSQL without supervisor (process {pid}) on {data} does not end: stop it")


def _pid_in(lock_file: Path) -> int | None:
    try:
        return abs(int(lock_file.read_text().splitlines()[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _command_line(pid: int) -> str:
    """Return the program and its arguments, empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
