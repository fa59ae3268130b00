"""``make bench``: CPU time per authenticated request of this gateway and of other proxies, side by side.

Every contender gets one core for itself. In each round all of them are measured one after the other, so that
what the machine does meanwhile falls on all. CPU time comes from the kernel's accounts of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.contenders import OTHERS, Contender, Place, installed, upstream_command
from tests.bench.credentials import Issuer
from tests.bench.gateway_side import configure, gateway
from tests.bench.load import LoadFailed, wrk
from tests.bench.machine import Cores, cpu_seconds, memory_mib, missing_programs, pinned, process, settle
from tests.bench.readiness import LeftOut, answering, check
from tests.bench.report import Result, Sample, document, text
from tests.gateways import free_port

NEEDED = ("wrk", "nginx", "taskset")
WARM_UP_SECONDS = 1


@dataclass
class Bench:
    """One run: what is up, what was seen, what could not take part."""

    options: argparse.Namespace
    cores: Cores
    directory: Path
    stack: ExitStack
    running: list[tuple[Contender, int]] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start the upstream and everybody who is wanted and installed."""
        issuer, port = Issuer.make(), free_port()
        upstream = Place(self.directory, port, 0, issuer)
        command = pinned([self.cores.upstream], upstream_command(upstream))
        answering(port, self.stack.enter_context(process(command, self.directory, "upstream")))
        for name, make in OTHERS:
            if self._wanted(name):
                self._start_other(name, make(Place(self.directory, free_port(), port, issuer)))
        if any(self._wanted(f"gateway-{kind}") for kind in ("jwt", "session", "api-token")):
            self._start_gateway(port)

    def _wanted(self, name: str) -> bool:
        return not self.options.only or name in self.options.only

    def _start_other(self, name: str, contender: Contender) -> None:
        if not installed(name):
            self.left_out[name] = "not installed"
            return
        command = pinned([self.cores.proxy], contender.command)
        started = self.stack.enter_context(process(command, self.directory, name, contender.environ))
        try:
            answering(int(contender.url.rpartition(":")[2].strip("/")), started)
        except LeftOut as reason:
            self.left_out[name] = f"{reason}: {self._last_words(name)}"
            return
        self._admit(contender, started.pid)

    def _start_gateway(self, upstream_port: int) -> None:
        port = free_port()
        config = configure(self.directory, port, upstream_port)
        command = shlex.split(self.options.gateway) if self.options.gateway else ()
        try:
            pid, contenders = self.stack.enter_context(gateway(config, self.cores.proxy, port, command))
        except LeftOut as reason:
            self.left_out["gateway"] = f"{reason}: {self._last_words('gateway')}"
            return
        for contender in contenders:
            if self._wanted(contender.name):
                self._admit(contender, pid)

    def _admit(self, contender: Contender, pid: int) -> None:
        try:
            check(contender)
        except LeftOut as reason:
            self.left_out[contender.name] = str(reason)
        else:
            self.running.append((contender, pid))
            self.samples[contender.name] = []

    def _last_words(self, name: str) -> str:
        lines = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def measure(self) -> None:
        """Run all rounds; each begins with another contender, so that none is always first."""
        for number in range(self.options.rounds):
            turn = number % len(self.running)
            for contender, pid in self.running[turn:] + self.running[:turn]:
                if contender.name in self.left_out:
                    continue
                try:
                    self.samples[contender.name].append(self._sample(contender, pid))
                except LoadFailed as reason:
                    self.left_out[contender.name] = str(reason)
                self.memory[contender.name] = memory_mib(pid)
            print(f"round {number + 1} of {self.options.rounds} done", file=sys.stderr)

    def _sample(self, contender: Contender, pid: int) -> Sample:
        seconds, connections = self.options.seconds, self.options.connections
        wrk(contender.url, contender.good, seconds=WARM_UP_SECONDS, connections=connections, cores=self.cores.load)
        began, before = time.monotonic(), cpu_seconds(pid)
        load = wrk(contender.url, contender.good, seconds=seconds, connections=connections, cores=self.cores.load)
        used, lasted = cpu_seconds(pid) - before, time.monotonic() - began
        return Sample(used / load.requests * 1e6, load.requests_per_second, load.p50_ms, load.p99_ms, used / lasted)

    def results(self) -> list[Result]:
        return [
            Result(contender.name, contender.what, tuple(self.samples[contender.name]), self.memory[contender.name])
            for contender, _ in self.running
            if contender.name not in self.left_out
        ]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    names = [name for name, _ in OTHERS] + ["gateway-jwt", "gateway-session", "gateway-api-token"]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, metavar="N", help="of load, each (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, metavar="N", help="kept open (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=names, help="measure this; may be repeated")
    parser.add_argument("--gateway", metavar="COMMAND", help="what to run in place of this checkout's gateway")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of()
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
        if not bench.running:
            print(f"nothing to measure: {bench.left_out}", file=sys.stderr)
            return 1
        settle(1)
        bench.measure()
        settings = {name: getattr(options, name) for name in ("rounds", "seconds", "connections")}
        report = document(bench.results(), bench.left_out, settings)
    print(json.dumps(report, indent=2) if options.json else text(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
