"""Load at a rate of its own: requests leave when they are due, however long the answers to earlier ones take.

A client that waits for an answer before it asks again asks less as answers slow down, and so hides what it should
measure ("coordinated omission"). Here a request that finds all connections busy waits in line, and its latency counts
from when it was due. ``python -m tests.bench.open_loop`` reads an order from stdin as JSON, and prints what it saw.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from tests.bench.load import LoadFailed
from tests.bench.machine import pinned

ROOT = Path(__file__).resolve().parents[2]
_GRACE_SECONDS = 1.0
# When requests leave later than this by the median, it is the load, not the proxy, that is measured.
LATEST_MS = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to send. Requests are due at random moments (a Poisson process), ``rate`` each second on average."""

    url: str
    headers: Mapping[str, str]
    rate: float
    seconds: float
    connections: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """Latencies from when requests were due, unanswered ones included with the time until the end.

    ``late_ms`` is how late the load itself looked at what was due, by the median.
    """

    offered: int
    answered: int
    refused: int
    p50_ms: float
    p99_ms: float
    late_ms: float


class _Client(asyncio.Protocol):
    """One kept connection; carries one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._due = 0.0
        self._left = -1  # bytes of the answer that have not arrived; -1: its head has not
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def send(self, due: float) -> None:
        self._due = due
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._buffer += data
            head, found, body = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self._buffer = b""
            self._left = _length(head)
            data = body
            if not head.startswith(b"HTTP/1.1 200 "):
                self._load.refused += 1
        self._left -= len(data)
        if self._left == 0:
            self._left = -1
            self._load.answered(self, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost()


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.index(b"content-length:") + 15
    end = lowered.find(b"\r", start)
    return int(lowered[start : end if end >= 0 else None])


class _Load:
    """Sends what is due to whoever is free."""

    def __init__(self, order: Order) -> None:
        where = urlsplit(order.url)
        fields = {"Host": where.netloc, **order.headers}
        lines = [f"GET {where.path or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.latencies: list[float] = []
        self.refused = 0
        self.broken = False
        self._order = order
        self._free: list[_Client] = []
        self._line: deque[float] = deque()
        self._late: list[float] = []
        self._under_way: dict[_Client, float] = {}

    def answered(self, client: _Client, due: float) -> None:
        self.latencies.append(time.perf_counter() - due)
        if self._line:
            due = self._line.popleft()
            self._under_way[client] = due
            client.send(due)
        else:
            del self._under_way[client]
            self._free.append(client)

    def lost(self) -> None:
        self.broken = True

    async def run(self) -> Seen:
        where, order = urlsplit(self._order.url), self._order
        loop = asyncio.get_running_loop()
        for _ in range(order.connections):
            _, client = await loop.create_connection(lambda: _Client(self), where.hostname or "", where.port or 80)
            self._free.append(client)
        offered = await self._send_all(time.perf_counter())
        until = time.perf_counter() + _GRACE_SECONDS
        while (self._under_way or self._line) and time.perf_counter() < until and not self.broken:
            await asyncio.sleep(0.01)
        now = time.perf_counter()
        waiting = [now - due for due in (*self._under_way.values(), *self._line)]
        every = sorted(self.latencies + waiting)
        if self.broken:
            self.refused += 1
        return Seen(
            offered, len(self.latencies), self.refused, _at(every, 0.5), _at(every, 0.99), _at(sorted(self._late), 0.5)
        )

    async def _send_all(self, began: float) -> int:
        order, chance = self._order, random.Random(self._order.seed)
        due, end, offered = began, began + order.seconds, 0
        while True:
            due += chance.expovariate(order.rate)
            if due >= end or self.broken:
                return offered
            while (early := due - time.perf_counter()) > 0:
                # uvloop's timers know milliseconds; shorter waits only let the answers in
                await asyncio.sleep(0.001 if early > 0.002 else 0)
            self._late.append(-early)
            offered += 1
            if self._free:
                client = self._free.pop()
                self._under_way[client] = due
                client.send(due)
            else:
                self._line.append(due)
            if offered % 16 == 0:
                await asyncio.sleep(0)


def _at(ordered: Sequence[float], part: float) -> float:
    """Return a percentile, in milliseconds."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1e3 if ordered else 0.0


def offer(order: Order, cores: Sequence[int]) -> Seen:
    """Carry out an order in a process on ``cores``. Raises LoadFailed when an answer was not 200."""
    command = pinned(cores, [sys.executable, "-m", "tests.bench.open_loop"])
    # Credentials go by stdin: arguments are for everybody to read.
    text = json.dumps(asdict(order))
    run = subprocess.run(
        command, cwd=ROOT, input=text, capture_output=True, text=True, check=False, timeout=order.seconds + 30
    )
    if run.returncode:
        raise LoadFailed(f"the load ended: {run.stderr[-300:]}")
    seen = Seen(**json.loads(run.stdout))
    if seen.refused:
        raise LoadFailed(f"{seen.refused} answers were not 200")
    return seen


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_Load(Order(**json.load(sys.stdin))).run()))))
