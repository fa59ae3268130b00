"""Medians over rounds and ratios within a round, as a table or as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

REFERENCE = "envoy"
# Of these the issue is who costs less, so each gets a column.
COLUMNS = ("envoy", "caddy", "nginx")


@dataclass(frozen=True)
class Sample:
    """One contender in one round."""

    cpu_microseconds: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    core_share: float


@dataclass(frozen=True)
class Result:
    """One contender over all rounds."""

    name: str
    what: str
    samples: tuple[Sample, ...]
    memory_mib: float

    def middle(self, field: str) -> float:
        return float(median(getattr(sample, field) for sample in self.samples))


def ratio(one: Result, other: Result) -> float:
    """Return the median over rounds of the ratio of CPU time: what slows a whole round cancels out."""
    pairs = zip(one.samples, other.samples, strict=True)
    return median(a.cpu_microseconds / b.cpu_microseconds for a, b in pairs)


def document(results: Sequence[Result], left_out: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as an object for JSON."""
    named = {result.name: result for result in results}
    return {
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "python": platform.python_version()},
        "settings": dict(settings),
        "results": [
            {
                "name": result.name,
                "what": result.what,
                "cpu_us_per_request": round(result.middle("cpu_microseconds"), 2),
                "requests_per_second": round(result.middle("requests_per_second")),
                "p50_ms": round(result.middle("p50_ms"), 3),
                "p99_ms": round(result.middle("p99_ms"), 3),
                "core_share": round(result.middle("core_share"), 2),
                "memory_mib": round(result.memory_mib, 1),
                "rounds_cpu_us": [round(sample.cpu_microseconds, 2) for sample in result.samples],
                "ratio": {other: round(ratio(result, named[other]), 2) for other in COLUMNS if other in named},
            }
            for result in results
        ],
        "left_out": dict(left_out),
    }


def text(report: Mapping[str, Any]) -> str:
    """Return the report as a table for a terminal."""
    machine, settings = report["machine"], report["settings"]
    present = [name for name in COLUMNS if any(result["name"] == name for result in report["results"])]
    head = ["", "CPU us/request", "requests/s", "p50 ms", "p99 ms", "MiB", *(f"x {name}" for name in present)]
    rows = [head]
    for result in report["results"]:
        numbers = [
            f"{result['cpu_us_per_request']:.1f}",
            f"{result['requests_per_second']:,}",
            f"{result['p50_ms']:.2f}",
            f"{result['p99_ms']:.2f}",
            f"{result['memory_mib']:.0f}",
        ]
        rows.append([result["what"], *numbers, *(f"{result['ratio'][name]:.2f}" for name in present)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    about = (
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; {settings['connections']} connections"
        f", {settings['rounds']} rounds of {settings['seconds']} s, one core each; medians"
    )
    absent = [f"left out: {name}: {reason}" for name, reason in report["left_out"].items()]
    return "\n".join([about, "", *lines, "", *absent]).rstrip() + "\n"


def cpu_model() -> str:
    """Return the processor's name as the kernel knows it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a line of a kernel file
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
