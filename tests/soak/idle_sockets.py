"""``python -m tests.soak.idle_sockets``: what an idle WebSocket costs the gateway in memory.

Three processes: clients, gateway, upstream. The gateway's resident memory is read before the first and with the last
connection open; what the kernel keeps for a socket is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import process, stop_on_terminate
from tests.bench.readiness import answering
from tests.gateways import free_port
from tests.soak.holdings import ask, gained, settled
from tests.soak.people import Person, people

WANTED = 10_000
MOST_BYTES = 40 * 1024
_KEY = base64.b64encode(bytes(16)).decode()
_ACCEPT = base64.b64encode(hashlib.sha1(f"{_KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
_SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {_ACCEPT}\r\n\r\n"
).encode()
_SPARE_FILES = 200
_AT_ONCE = 64
CONFIG = """
version: 1
server:
  listen: "127.0.0.1:{port}"
  internal_listen: null
  public_url: "http://localhost:{port}"
  drain_timeout: 1s
  limits: {{connections: 100000}}
passwords: {{bcrypt_cost: 4}}
data_dir: {directory}/gateway
logging: {{level: warning}}
upstreams:
  app: {{servers: ["http://127.0.0.1:{upstream_port}"], limits: {{connections: 60000}}}}
routes:
  - {{name: app, match: {{host: localhost}}, require: {{roles: [user]}}, upstream: app}}
"""


class Switching(asyncio.Protocol):
    """An upstream that answers a handshake and says nothing more; a byte from the client comes back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._switched = False

    def data_received(self, data: bytes) -> None:
        self._transport.write(data if self._switched else _SWITCH)
        self._switched = True


async def _serve_upstream(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Switching, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class Socket(asyncio.Protocol):
    """A client's WebSocket. ``opened`` is done with its 101, ``echoed`` with what comes after it."""

    def __init__(self, handshake: bytes) -> None:
        self._handshake = handshake
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.echoed: asyncio.Future[bytes] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self.echoed.set_result(data)
        elif data.startswith(b"HTTP/1.1 101 "):
            self.opened.set_result(None)
        else:
            self.opened.set_exception(ConnectionError(data[:200].decode("latin-1")))

    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self.opened, self.echoed):
            if not each.done():
                each.set_exception(ConnectionError("closed"))
                each.exception()


def handshake(port: int, person: Person) -> bytes:
    return (
        f"GET /socket HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: gateway={person.session}\r\n"
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n"
        f"Origin: http://localhost:{port}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0\r\n"
        "Accept-Language: en\r\n\r\n"
    ).encode()


async def open_sockets(port: int, visitors: Sequence[Person], count: int) -> list[Socket]:
    """Open so many WebSockets, a few at a time. Raises ConnectionError when one is refused."""
    loop = asyncio.get_running_loop()
    opened: list[Socket] = []
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            data = handshake(port, visitors[number % len(visitors)])
            _, socket = await loop.create_connection(lambda: Socket(data), "127.0.0.1", port)
            opened.append(socket)
            await asyncio.wait_for(socket.opened, 30)

    await asyncio.gather(*(one(number) for number in range(count)))
    return opened


def close_sockets(sockets: Sequence[Socket]) -> None:
    for each in sockets:
        each.transport.abort()


def affordable(wanted: int) -> int:
    """Return how many this machine lets one process carry: each takes two files of the gateway's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, (hard - _SPARE_FILES) // 2)


@dataclass(frozen=True, slots=True)
class Cost:
    """What so many open WebSockets cost, and what was left when they had closed."""

    count: int
    bytes_each: float
    open_seconds: float
    left_tasks: dict[str, int]
    left_files: dict[str, int]
    left_bytes_each: float


def measure(directory: Path, count: int, *, kinds: bool = False) -> Cost:
    """Run everything, open ``count`` WebSockets, send a byte through each, close them."""
    port, upstream_port, probe = free_port(), free_port(), directory / "probe"
    config = directory / "gateway.yaml"
    config.write_text(CONFIG.format(port=port, upstream_port=upstream_port, directory=directory))
    root = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with ExitStack() as stack:
        for name, at, words in (
            ("upstream", upstream_port, ["tests.soak.idle_sockets", "--upstream", str(upstream_port)]),
            ("gateway", port, ["tests.soak.served", str(config), str(probe)]),
        ):
            answering(at, stack.enter_context(process([sys.executable, "-m", *words], directory, name, root)))
        return asyncio.run(_measured(config, port, probe, count, kinds=kinds))


async def _measured(config: Path, port: int, probe: Path, count: int, *, kinds: bool) -> Cost:
    visitors = await people(config, min(100, count))
    # One for each: what is made for an identity once is there already.
    first = await open_sockets(port, visitors, len(visitors))
    close_sockets(first)
    before = await asyncio.to_thread(settled, probe, kinds=kinds)
    began = time.monotonic()
    sockets = await open_sockets(port, visitors, count)
    took = time.monotonic() - began
    during = await asyncio.to_thread(ask, probe, kinds=kinds)
    if kinds:
        more = sorted(gained(before.kinds, during.kinds).items(), key=lambda item: -item[1])
        print("\n".join(f"{number / count:8.2f} {name}" for name, number in more), file=sys.stderr)
    for each in sockets:
        each.transport.write(b"?")
    await asyncio.gather(*(asyncio.wait_for(each.echoed, 60) for each in sockets))
    close_sockets(sockets)
    after = await asyncio.to_thread(settled, probe)
    return Cost(
        count,
        (during.resident_bytes - before.resident_bytes) / count,
        took,
        gained(before.tasks, after.tasks),
        gained(before.files, after.files),
        (after.resident_bytes - before.resident_bytes) / count,
    )


def text(cost: Cost, wanted: int) -> str:
    each = f"{cost.bytes_each / 1024:.1f} KiB each"
    kept = f"{cost.left_bytes_each / 1024:.1f} KiB each are kept after their end"
    lines = [
        f"{cost.count:,} idle WebSockets, opened in {cost.open_seconds:.1f} s: {each}; {kept}",
    ]
    if cost.count < wanted:
        lines.append(f"(not {wanted:,}: a process may open no more files here)")
    lines += [f"left: {what}" for what in (cost.left_tasks, cost.left_files) if what]
    return "\n".join(lines)


def show(wanted: int, *, kinds: bool = False) -> bool:
    """Measure and print; say whether it cost no more than it may and left nothing behind."""
    with tempfile.TemporaryDirectory(prefix="sockets-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL drops root, and must still get through
        cost = measure(directory, affordable(wanted), kinds=kinds)
    print(text(cost, wanted))
    return cost.bytes_each <= MOST_BYTES and not cost.left_tasks and not cost.left_files


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.idle_sockets", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=WANTED, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--kinds", action="store_true", help="say what objects each is made of")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        affordable(WANTED)
        asyncio.run(_serve_upstream(options.upstream))
    stop_on_terminate()
    return int(not show(options.count, kinds=options.kinds))


if __name__ == "__main__":
    sys.exit(main())
