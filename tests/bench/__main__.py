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
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.machine import Cores, missing_programs, settle, stop_on_terminate
from tests.bench.report import document, markdown, text
from tests.bench.rounds import Bench
from tests.bench.shapes import SHAPES

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
    options = parser.parse_args(arguments)
    options.shape = options.shape or shapes
    return options


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
