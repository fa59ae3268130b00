"""Load by wrk, and what wrk says about it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.machine import pinned

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class LoadFailed(Exception):
    """The load did not get what it should: no comparison can stand on it."""


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float


def parse(text: str) -> Load:
    """Read the output of ``wrk --latency``. Raises LoadFailed when an answer was not 2xx or a connection broke."""
    if failed := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        raise LoadFailed(f"{failed[1]} answers were not 2xx")
    if errors := re.search(r"Socket errors: (.*)", text):
        counts = [int(count) for count in re.findall(r"\d+", errors[1])]
        if any(counts[:3]):  # a timeout at the end of the run, the fourth, is wrk's own impatience
            raise LoadFailed(f"connections broke: {errors[1]}")
    total = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if total is None or rate is None or int(total[1]) == 0:
        raise LoadFailed(f"nothing was answered: {text[-200:]!r}")
    return Load(int(total[1]), float(rate[1]), _percentile(text, 50), _percentile(text, 99))


def _percentile(text: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)([a-z]+)$", text, re.MULTILINE)
    if found is None:
        raise LoadFailed(f"no {percent}th percentile in {text[-200:]!r}")
    return float(found[1]) * _UNITS[found[2]]


def wrk(
    url: str,
    headers: Mapping[str, str],
    *,
    seconds: int,
    connections: int,
    cores: Sequence[int],
    options: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> Load:
    """Ask for ``url`` over ``connections`` kept connections for so many seconds.

    ``options`` are more options of wrk, such as a script; ``arguments`` are the script's.
    """
    fields = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    shape = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "--latency", *options]
    behind = ["--", *arguments] if arguments else []
    command = pinned(cores, ["wrk", *shape, *fields, url, *behind])
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 20)
    if run.returncode:
        raise LoadFailed(f"wrk: {run.stderr.strip()}")
    return parse(run.stdout)
