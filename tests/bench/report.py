"""Medians over rounds and ratios within a round, as a table or as JSON."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench.shapes import COLD, SAME, SHAPES

# Who is compared with whom: of these the question is who costs less, so each gets a column where it takes part.
COLUMNS = {"envoy": "Envoy", "caddy": "Caddy", "nginx": "nginx", "haproxy-cold": "HAProxy"}


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
    shape: str = SAME.name

    def middle(self, field: str) -> float:
        return float(median(getattr(sample, field) for sample in self.samples))


def ratio(one: Result, other: Result) -> float:
    """Return the median over rounds of the ratio of CPU time: what slows a whole round cancels out."""
    pairs = zip(one.samples, other.samples, strict=True)
    return median(a.cpu_microseconds / b.cpu_microseconds for a, b in pairs)


def document(results: Sequence[Result], left_out: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as an object for JSON. Ratios are to those that got requests of the same shape."""
    return {
        "machine": describe_machine(),
        "settings": dict(settings),
        "results": [
            {
                "name": result.name,
                "what": result.what,
                "shape": result.shape,
                "cpu_us_per_request": round(result.middle("cpu_microseconds"), 2),
                "requests_per_second": round(result.middle("requests_per_second")),
                "p50_ms": round(result.middle("p50_ms"), 3),
                "p99_ms": round(result.middle("p99_ms"), 3),
                "core_share": round(result.middle("core_share"), 2),
                "memory_mib": round(result.memory_mib, 1),
                "rounds_cpu_us": [round(sample.cpu_microseconds, 2) for sample in result.samples],
                "ratio": _ratios(result, results),
            }
            for result in results
        ],
        "left_out": dict(left_out),
    }


def _ratios(result: Result, results: Sequence[Result]) -> dict[str, float]:
    suffix = "" if result.shape in (SAME.name, COLD.name) else f"-{result.shape}"
    peers = {other.name: other for other in results if other.shape == result.shape}
    return {name: round(ratio(result, peers[f"{name}{suffix}"]), 2) for name in COLUMNS if f"{name}{suffix}" in peers}


def _tables(report: Mapping[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Return for each shape its description and the rows of its table, the first of which is the head."""
    for shape in SHAPES:
        results = [result for result in report["results"] if result["shape"] == shape.name]
        if not results:
            continue
        present = [name for name in COLUMNS if any(name in result["ratio"] for result in results)]
        head = [
            "",
            "CPU us/request",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "MiB",
            *(f"x {COLUMNS[name]}" for name in present),
        ]
        yield shape.what, [head, *(_row(result, present) for result in results)]


def _row(result: Mapping[str, Any], present: Sequence[str]) -> list[str]:
    return [
        result["what"],
        f"{result['cpu_us_per_request']:.1f}",
        f"{result['requests_per_second']:,}",
        f"{result['p50_ms']:.2f}",
        f"{result['p99_ms']:.2f}",
        f"{result['memory_mib']:.0f}",
        *(f"{result['ratio'][name]:.2f}" for name in present),
    ]


def text(report: Mapping[str, Any]) -> str:
    """Return the report as tables for a terminal."""
    lines = [_about(report), ""]
    for what, marked in _tables(report):
        rows = [[cell.replace("`", "") for cell in row] for row in marked]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines.append(what)
        lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        lines.append("")
    return "\n".join([*lines, *_absent(report)]).rstrip() + "\n"


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as the documentation shows it."""
    lines = [*textwrap.wrap(_about(report), 120), ""]
    for what, (head, *rows) in _tables(report):
        aligned = ["---", *("---:" for _ in head[1:])]
        lines += [f"**{what.capitalize().replace('jwt', 'JWT')}**", ""]
        lines += [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in (head, aligned, *rows)]
        lines.append("")
    return "\n".join([*lines, *_absent(report)]).rstrip() + "\n"


def _about(report: Mapping[str, Any]) -> str:
    machine, settings = report["machine"], report["settings"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores (load average {machine['load_average']:.1f}), "
        f"{machine['system']}, Python {machine['python']}; {settings['connections']} connections, "
        f"{settings['rounds']} rounds of {settings['seconds']} s, one core each; medians."
    )


def _absent(report: Mapping[str, Any]) -> list[str]:
    return [f"left out: {name}: {reason}" for name, reason in report["left_out"].items()]


def describe_machine() -> dict[str, Any]:
    """Return what a reader must know of the machine to judge the figures."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "system": f"Linux {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def cpu_model() -> str:
    """Return the processor's name as the kernel knows it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a line of a kernel file
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
