"""``make bench``: CPU time per authenticated request of this gateway and of other proxies, side by side.

Every contender gets one core for itself. In each round all of them are measured one after the other, so that
what the machine does meanwhile falls on all. CPU time comes from the kernel's accounts of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.curve import MEMBERS, RATES, Curve, curves
from tests.bench.machine import Cores, missing_programs, settle, stop_on_terminate
from tests.bench.plot import svg
from tests.bench.report import describe_machine, document, markdown, text
from tests.bench.rounds import Bench
from tests.bench.shapes import SAME, SHAPES

NEEDED = ("wrk", "nginx", "taskset")


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    names = list(dict.fromkeys(name for shape in SHAPES for name in shape.members))
    shapes = [shape.name for shape in SHAPES]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, metavar="N", help="of load, each (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, metavar="N", help="kept open (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=names, help="measure this; may be repeated")
    parser.add_argument(
        "--shape", action="append", choices=shapes, help="requests of this kind; may be repeated (default: all kinds)"
    )
    parser.add_argument("--gateway", metavar="COMMAND", help="what to run in place of this checkout's gateway")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print the tables of docs/performance.md")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw latency against offered load there, in place of the tables"
    )
    parser.add_argument(
        "--rates", type=int, nargs="+", default=RATES, metavar="N", help="requests/s that are offered for it"
    )
    options = parser.parse_args(arguments)
    if options.plot:
        options.shape, options.only = [SAME.name], options.only or list(MEMBERS)
    options.shape = options.shape or shapes
    return options


def about_curves(options: argparse.Namespace) -> str:
    """Return what the reader of a plot must know."""
    machine = describe_machine()
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; open loop, Poisson arrivals, "
        f"{options.connections} connections; the quietest of {options.rounds} x {options.seconds} s"
    )


def _show(found: Sequence[Curve], left_out: Mapping[str, str]) -> int:
    for curve in found:
        print(f"{curve.name}{curve.end and f' ({curve.end})'}")
        for point in curve.points:
            print(f"  {point.rate:7,} requests/s  p50 {point.p50_ms:8.2f} ms  p99 {point.p99_ms:8.2f} ms")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    return 0


def main() -> int:
    options = options_of()
    stop_on_terminate()
    if missing := missing_programs(NEEDED):
        print(f"needed and not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        directory = Path(name)
        # nginx's workers and PostgreSQL drop root, and must still get through
        directory.chmod(0o755)
        bench = Bench(options, cores, directory, stack)
        bench.start()
        if not bench.entries:
            print(f"nothing to measure: {bench.left_out}", file=sys.stderr)
            return 1
        settle(1)
        if options.plot:
            found = curves(bench, options.rates)
            if any(curve.points for curve in found):
                options.plot.write_text(svg(found, about_curves(options)), encoding="utf-8")
            return _show(found, bench.left_out)
        bench.measure()
        settings = {name: getattr(options, name) for name in ("rounds", "seconds", "connections")}
        report = document(bench.results(), bench.left_out, settings)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print((markdown if options.markdown else text)(report), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
