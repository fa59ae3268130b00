"""``make soak``: mixed traffic and trouble for a while; then the gateway must hold what it held before, and no more.

Reports every wrong answer (another's identity or body, another order, a revocation that came too late) and what leaks:
tasks, open files, memory. Some time before it warms up what is made once. At last it opens many idle WebSockets.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.bench.machine import stop_on_terminate
from tests.soak import idle_sockets
from tests.soak.idle_sockets import WANTED
from tests.soak.run import Soak, report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="(default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is left to chance")
    parser.add_argument(
        "--sockets", type=int, default=WANTED, metavar="N", help="idle WebSockets after it (default: %(default)s)"
    )
    options = parser.parse_args()
    stop_on_terminate()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL drops root, and must still get through
        outcome = asyncio.run(Soak(directory, options.minutes * 60, options.seed).run())
        print(report(outcome), end="", flush=True)
        well = idle_sockets.show(options.sockets) if options.sockets else True
    return int(bool(outcome.faults) or not well)


if __name__ == "__main__":
    sys.exit(main())
