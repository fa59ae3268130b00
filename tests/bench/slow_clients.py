"""``python -m tests.bench.slow_clients``: what others notice while slowhttptest attacks in each of its modes.

Requests go out at a fixed pace, over kept connections and over fresh ones, from another address than the attackers'.
For each mode there is a quiet time before and after the attack; what counts is how the 99th percentile changes.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import re
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import uvloop

from tests.bench.contenders import Place, nginx_command
from tests.bench.credentials import Issuer
from tests.bench.gateway_side import installed_command
from tests.bench.machine import cpu_seconds, missing_programs, process
from tests.bench.readiness import answering
from tests.gateways import free_port

ATTACKER, OTHERS = "127.0.0.1", "127.0.0.2"
CONFIG = """
server:
  listen: 127.0.0.1:{port}
  internal_listen: 127.0.0.1:{internal}
  limits: {{header_timeout: 5s, idle_timeout: 10s, connections: {connections}}}
data_dir: var
logging: {{level: error, format: json}}
routes:
  - {{name: forms, match: {{methods: POST}}, access: public, upstream: "http://127.0.0.1:{forms}"}}
  - {{name: app, access: public, upstream: "http://127.0.0.1:{pages}"}}
"""
MODES = {
    "slow headers (-H)": ("-H", "-i", "1"),
    "slow bodies (-B)": ("-B", "-i", "1", "-s", "8192"),
    "ranges (-R)": ("-R", "-a", "5", "-b", "3000"),
    "slow readers (-X)": ("-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-k", "1"),
}


async def take_forms(port: int) -> None:
    """Answer when a body has been read to its end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if length := re.search(rb"(?i)\r\ncontent-length: (\d+)", head):
                    await reader.readexactly(int(length[1]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def serve_pages(directory: Path, port: int) -> list[str]:
    """Return a command that serves a small and a large page; the large one does not fit into any socket's buffer."""
    (directory / "pages").mkdir()
    (directory / "pages" / "index.html").write_bytes(b"x" * 1024)
    (directory / "pages" / "large").write_bytes(b"y" * 1_000_000)
    directory.chmod(0o755)
    body = f"server {{ listen 127.0.0.1:{port} backlog=1024; root {directory}/pages; }}"
    return nginx_command(Place(directory, port, 0, Issuer.make()), "pages", body)


@dataclass
class Noticed:
    """What clients that do no harm saw; latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, part: float) -> float:
        """Return a percentile in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000


async def ask(
    port: int, noticed: Noticed, kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None
) -> None:
    started = perf_counter()
    try:
        async with asyncio.timeout(10):
            if kept:
                reader, writer = kept.pop()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(OTHERS, 0))
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head)
            await reader.readexactly(1024)
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        noticed.failed += 1
        return
    noticed.latencies.append(perf_counter() - started)
    if kept is None:
        writer.close()
    else:
        kept.append((reader, writer))


async def watch(port: int, seconds: float, rate: int) -> Noticed:
    """Send ``rate`` requests a second, every fifth on a connection of its own."""
    noticed, kept, tasks = Noticed(), [], set()  # type: ignore[var-annotated]
    started = perf_counter()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, started + number / rate - perf_counter()))
        task = asyncio.create_task(ask(port, noticed, None if number % 5 == 0 else kept))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for _, writer in kept:
        writer.close()
    return noticed


def counted(port: int, name: str) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {
        label: int(float(value)) for label, value in re.findall(rf'^{name}{{reason="(\w+)"}} (\S+)', text, re.MULTILINE)
    }


async def attacked(arguments: argparse.Namespace, directory: Path, mode: str) -> None:
    """Run one mode against a fresh gateway and print its row."""
    with ExitStack() as stack:
        port, internal, forms, pages = free_port(), free_port(), free_port(), free_port()
        me = [sys.executable, "-m", "tests.bench.slow_clients", "--forms", str(forms)]
        started = process(me, directory, "forms", {"PYTHONPATH": str(Path.cwd())})
        answering(forms, stack.enter_context(started))
        started = process(serve_pages(directory, pages), directory, "pages")
        answering(pages, stack.enter_context(started))
        config = directory / "gateway.yaml"
        config.write_text(
            CONFIG.format(port=port, internal=internal, forms=forms, pages=pages, connections=arguments.limit),
            encoding="utf-8",
        )
        serve = [installed_command(), "serve", "-c", str(config)]
        gateway = stack.enter_context(process(serve, directory, "gateway"))
        answering(port, gateway)
        await watch(port, 2, arguments.rate)
        quiet = await watch(port, arguments.quiet, arguments.rate)
        before = cpu_seconds(gateway.pid)
        page = "large" if "-X" in MODES[mode] else ""
        command = [
            *(["nice", "-n", str(-arguments.nice)] if arguments.nice else []),
            *("slowhttptest", *MODES[mode], "-c", str(arguments.connections), "-r", str(arguments.connections // 5)),
            *("-l", str(arguments.seconds), "-p", "5", "-u", f"http://{ATTACKER}:{port}/{page}"),
        ]
        with process(command, directory, "slowhttptest") as attacker:
            during = await watch(port, arguments.seconds, arguments.rate)
            cpu = (cpu_seconds(gateway.pid) - before) / arguments.seconds
            await asyncio.to_thread(attacker.wait, 30)
        after = await watch(port, arguments.quiet, arguments.rate)
        quiet.latencies += after.latencies
        ended = counted(internal, "gateway_client_connections_ended_total")
        refused = counted(internal, "gateway_client_connections_refused_total")
    ratio = during.percentile(0.99) / quiet.percentile(0.99)
    print(
        f"| {mode} | {quiet.percentile(0.5):.1f} / {quiet.percentile(0.99):.1f} "
        f"| {during.percentile(0.5):.1f} / {during.percentile(0.99):.1f} | {ratio:.2f} "
        f"| {quiet.failed + during.failed + after.failed} | {cpu * 100:.0f}% | {ended} {refused} |",
        flush=True,
    )


async def main(arguments: argparse.Namespace) -> None:
    if arguments.forms:
        await take_forms(arguments.forms)
        return
    if missing := missing_programs(("slowhttptest", "nginx")):
        sys.exit(f"not installed: {', '.join(missing)}")
    if arguments.nice:
        os.nice(arguments.nice)
    print("| mode | quiet p50 / p99, ms | attacked p50 / p99, ms | ratio of p99 | failed | CPU | ended, refused |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for mode in arguments.mode or MODES:
        with tempfile.TemporaryDirectory() as directory:
            await attacked(arguments, Path(directory), mode)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000, help="of attackers")
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--limit", type=int, default=10_000, help="server.limits.connections")
    parser.add_argument("--seconds", type=int, default=30, help="of each attack")
    parser.add_argument("--quiet", type=int, default=15, help="seconds before and after each")
    parser.add_argument("--rate", type=int, default=200, help="requests a second of others")
    parser.add_argument(
        "--nice", type=int, default=0, help="of all but the attackers, where others use the machine, too"
    )
    parser.add_argument("--forms", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(parsed()))
