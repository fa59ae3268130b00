"""One run of the bench: who is up, what was seen, and who could not take part."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench.cold import PER_SECOND
from tests.bench.contenders import OTHERS, Contender, Place, haproxy, installed, upstream_command
from tests.bench.credentials import Issuer
from tests.bench.gateway_side import configure, contenders, gateway
from tests.bench.load import LoadFailed, wrk
from tests.bench.machine import Cores, cpu_seconds, memory_mib, pinned, process
from tests.bench.readiness import LeftOut, answering, check
from tests.bench.report import Result, Sample
from tests.bench.shapes import COLD, SAME, SHAPES, Shape
from tests.gateways import free_port

WARM_UP_SECONDS = 1


@dataclass
class Entry:
    """A contender in one shape of load."""

    contender: Contender
    pid: int
    shape: Shape
    tokens: list[Path]
    samples: list[Sample] = field(default_factory=list)
    memory_mib: float = 0.0

    @property
    def name(self) -> str:
        name = self.contender.name
        return name if self.shape in (SAME, COLD) else f"{name}-{self.shape.name}"


@dataclass
class Bench:
    """Starts everybody and measures them in rounds; all end with ``stack``."""

    options: argparse.Namespace
    cores: Cores
    directory: Path
    stack: ExitStack
    running: list[tuple[Contender, int]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    tokens: dict[str, list[Path]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start the upstream and everybody who is wanted and installed."""
        issuer, port = Issuer.make(), free_port()
        upstream = Place(self.directory, port, 0, issuer)
        command = pinned([self.cores.upstream], upstream_command(upstream))
        answering(port, self.stack.enter_context(process(command, self.directory, "upstream")))
        for name, make in OTHERS:
            if self._wanted(name):
                self._start_other(name, make(replace(upstream, port=free_port(), upstream_port=port)))
        if any(self._wanted(name) for shape in SHAPES for name in shape.members if name.startswith("gateway-")):
            self._start_gateway(replace(upstream, port=free_port(), upstream_port=port))
        self.entries = [
            Entry(contender, pid, shape, list(self.tokens.get(contender.name, ())))
            for shape in SHAPES
            for contender, pid in self.running
            if shape.name in self.options.shape and contender.name in shape.members
        ]

    def _wanted(self, name: str) -> bool:
        shapes = [shape for shape in SHAPES if shape.name in self.options.shape]
        asked = not self.options.only or name in self.options.only
        return asked and any(name in shape.members for shape in shapes)

    def _start_other(self, name: str, contender: Contender) -> None:
        if not installed(contender.program):
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

    def _start_gateway(self, place: Place) -> None:
        config = configure(self.directory, place.port, place.upstream_port)
        command = shlex.split(self.options.gateway) if self.options.gateway else ()
        runs = self.options.rounds if any(self._wanted(name) for name in COLD.members) else 0
        tokens = self.options.seconds * PER_SECOND
        try:
            serving = gateway(config, self.cores.proxy, place.port, command, runs=runs, tokens=tokens)
            pid, made = self.stack.enter_context(serving)
        except LeftOut as reason:
            self.left_out["gateway"] = f"{reason}: {self._last_words('gateway')}"
            return
        for contender in contenders(made, place.port):
            if self._wanted(contender.name):
                self._admit(contender, pid)
        self.tokens = {name: list(files) for name, files in made.cold.files.items()}
        if self._wanted("haproxy-cold"):
            self._start_other(
                "haproxy-cold", haproxy(replace(place, port=free_port(), issuer=made.cold.issuer), "haproxy-cold")
            )

    def _admit(self, contender: Contender, pid: int) -> None:
        try:
            check(contender)
        except LeftOut as reason:
            self.left_out[contender.name] = str(reason)
        else:
            self.running.append((contender, pid))

    def _last_words(self, name: str) -> str:
        lines = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def measure(self) -> None:
        """Run all rounds; each begins with another contender, so that none is always first."""
        for number in range(self.options.rounds):
            turn = number % len(self.entries)
            for entry in self.entries[turn:] + self.entries[:turn]:
                if entry.name in self.left_out:
                    continue
                try:
                    entry.samples.append(self._sample(entry))
                except LoadFailed as reason:
                    self.left_out[entry.name] = str(reason)
                entry.memory_mib = memory_mib(entry.pid)
            print(f"round {number + 1} of {self.options.rounds} done", file=sys.stderr)

    def _sample(self, entry: Entry) -> Sample:
        seconds, connections, contender = self.options.seconds, self.options.connections, entry.contender
        wrk(contender.url, contender.good, seconds=WARM_UP_SECONDS, connections=connections, cores=self.cores.load)
        arguments = [str(entry.tokens.pop(0)), str(connections)] if entry.shape is COLD else []
        began, before = time.monotonic(), cpu_seconds(entry.pid)
        load = wrk(
            contender.url,
            contender.good,
            seconds=seconds,
            connections=connections,
            cores=self.cores.load,
            options=entry.shape.options(self.directory),
            arguments=arguments,
        )
        used, lasted = cpu_seconds(entry.pid) - before, time.monotonic() - began
        return Sample(used / load.requests * 1e6, load.requests_per_second, load.p50_ms, load.p99_ms, used / lasted)

    def results(self) -> list[Result]:
        return [
            Result(
                entry.name,
                entry.contender.what,
                tuple(entry.samples),
                entry.memory_mib,
                entry.shape.name,
            )
            for entry in self.entries
            if entry.name not in self.left_out
        ]
