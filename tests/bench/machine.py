"""Cores to pin to, processes on them, and the CPU time that they used."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Cores:
    """Who runs where. ``proxy`` is a core of its own whenever the machine has two."""

    proxy: int
    upstream: int
    load: tuple[int, ...]

    @classmethod
    def of(cls, usable: Sequence[int]) -> Cores:
        """Share out the cores; below three, load and upstream share what the proxy leaves.

        CPU per request is read from the proxy's own accounts, so sharing costs throughput, not truth.
        """
        last = usable[-1]
        others = [core for core in usable if core != last] or [last]
        return cls(last, others[0], tuple(others[1:]) or (others[0],))


def pinned(cores: Sequence[int], command: Sequence[str]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def missing_programs(names: Sequence[str]) -> list[str]:
    return [name for name in names if shutil.which(name) is None]


@contextmanager
def process(
    command: Sequence[str], directory: Path, name: str, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block lasts; what it says goes to a file in ``directory``."""
    with (directory / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **(environ or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            _stop(started)


def stop_on_terminate() -> None:
    """Have SIGTERM end this program as an exception does, so that what it started ends with it."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def _stop(started: subprocess.Popen[bytes]) -> None:
    if started.poll() is not None:
        return
    started.terminate()
    try:
        started.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # the whole session: a worker must not outlive its killed master
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in _entries(Path(f"/proc/{parent}/task")):
            try:
                found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue  # the thread has ended
    return found


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process with all its threads and descendants (proc(5))."""
    ticks = 0
    for each in family(pid):
        try:
            stat = Path(f"/proc/{each}/stat").read_text()
        except OSError:
            continue
        # the name, in parentheses, may hold spaces: count behind it
        fields = stat.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND


def memory_mib(pid: int) -> float:
    """Return the memory of a process and its descendants; a page that several share counts in parts (PSS)."""
    kibibytes = 0
    for each in family(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        kibibytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kibibytes / 1024


def settle(seconds: float) -> None:
    """Let a program do what it does at its start, so that this is not measured."""
    time.sleep(seconds)
