"""``python -m tests.bench.token_endpoint``: tokens for programs and refreshed tokens, beside npm oidc-provider.

Both sign access tokens (and, at a refresh, an ID token) by ES256, and rotate refresh tokens. Each has one core, for the
gateway with its PostgreSQL. oidc-provider takes part twice: with the memory that it comes with, which forgets all at a
restart, and with a table in that same PostgreSQL, whose CPU time then is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.load import wrk
from tests.bench.machine import Cores, cpu_seconds, missing_programs, settle, stop_on_terminate
from tests.bench.readiness import LeftOut
from tests.bench.token_servers import CREDENTIALS, REFRESH, Server, started

WARM_UP_SECONDS = 1
# wrk does not say which connection an answer came by, so refresh tokens wait in one line for whoever is next.
SCRIPT = """
local tokens, first, last = {}, 1, 0
init = function(args)
  if args[1] then
    for line in io.lines(args[1]) do last = last + 1; tokens[last] = line end
  end
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""
SCRIPTS = {
    CREDENTIALS: f"""{SCRIPT}
wrk.body = "grant_type=client_credentials&scope=reports"
""",
    REFRESH: f"""{SCRIPT}
request = function()
  local token = tokens[first]
  tokens[first], first = nil, first + 1
  return wrk.format(nil, nil, nil, "grant_type=refresh_token&refresh_token=" .. token)
end
response = function(status, headers, body)
  last = last + 1
  tokens[last] = string.match(body, '"refresh_token": *"([^"]+)"')
end
""",
}


@dataclass
class Case:
    """One server at one grant, with what its rounds cost and gave."""

    server: Server
    grant: str
    cpu_microseconds: list[float] = field(default_factory=list)
    requests_per_second: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


def measure(case: Case, options: argparse.Namespace, cores: Cores, directory: Path) -> None:
    """Load a server once, and add what that cost to its case."""
    script = directory / f"{case.grant}.lua"
    script.write_text(SCRIPTS[case.grant], encoding="utf-8")

    def load(seconds: int) -> tuple[float, float, float]:
        # Each connection takes one to its grave at the end; wrk asks for one more before it begins.
        arguments = [str(case.server.mint(options.connections + 8))] if case.grant == REFRESH else []
        before = sum(map(cpu_seconds, case.server.pids))
        done = wrk(
            case.server.token_endpoint,
            {"Authorization": case.server.authorization[case.grant]},
            seconds=seconds,
            connections=options.connections,
            cores=cores.load,
            options=["-s", str(script)],
            arguments=arguments,
        )
        used = sum(map(cpu_seconds, case.server.pids)) - before
        return used / done.requests * 1e6, done.requests_per_second, done.p99_ms

    load(WARM_UP_SECONDS)
    cpu, rate, slowest = load(options.seconds)
    case.cpu_microseconds.append(cpu)
    case.requests_per_second.append(rate)
    case.p99_ms.append(slowest)


def rounds(cases: Sequence[Case], options: argparse.Namespace, cores: Cores, directory: Path) -> None:
    for number in range(options.rounds):
        turn = number % len(cases)
        for case in [*cases[turn:], *cases[:turn]]:
            measure(case, options, cores, directory)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)


def ratio(one: Case, other: Case, figure: Callable[[Case], list[float]]) -> float:
    """Return the median over rounds of a ratio: what slows a whole round cancels out."""
    return median(a / b for a, b in zip(figure(one), figure(other), strict=True))


def report(cases: Sequence[Case]) -> list[dict[str, object]]:
    """Return a row for each case; ratios are the gateway's to it, at the same grant."""
    rows = []
    for case in cases:
        ours = next(each for each in cases if each.grant == case.grant)
        rows.append(
            {
                "grant": case.grant,
                "server": case.server.name,
                "cpu_us_per_request": round(median(case.cpu_microseconds), 1),
                "requests_per_second": round(median(case.requests_per_second)),
                "p99_ms": round(median(case.p99_ms), 2),
                "gateway_cpu_ratio": round(ratio(ours, case, lambda each: each.cpu_microseconds), 2),
                "gateway_throughput_ratio": round(ratio(ours, case, lambda each: each.requests_per_second), 2),
            }
        )
    return rows


def table(rows: Sequence[dict[str, object]]) -> str:
    head = ("", "CPU us/request", "requests/s", "p99 ms", "gateway's CPU x", "gateway's requests/s x")
    lines = [f"| {' | '.join(head)} |".replace("|  |", "| |"), f"| --- |{' ---: |' * (len(head) - 1)}"]
    for row in rows:
        grant, server, *figures = row.values()
        lines.append(f"| {grant}: {server} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.token_endpoint", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, metavar="N", help="of load, each (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, metavar="N", help="kept open (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    stop_on_terminate()
    if missing := missing_programs(("wrk", "node", "npm", "taskset")):
        print(f"needed and not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL drops root, and must still get through
        try:
            gateway, memory, postgres = started(stack, directory, cores)
        except LeftOut as reason:
            print(f"nothing to compare: {reason}", file=sys.stderr)
            return 1
        settle(1)
        cases = [Case(server, CREDENTIALS) for server in (gateway, memory)]
        cases += [Case(server, REFRESH) for server in (gateway, memory, postgres)]
        began = time.monotonic()
        rounds(cases, options, cores, directory)
        print(f"measured for {time.monotonic() - began:.0f} s", file=sys.stderr)
    rows = report(cases)
    print(json.dumps(rows, indent=2) if options.json else table(rows))
    least = min(float(str(row["gateway_throughput_ratio"])) for row in rows)
    print(f"at least equal: {'yes' if least >= 1 else 'no'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
