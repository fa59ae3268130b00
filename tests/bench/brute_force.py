"""``python -m tests.bench.brute_force``: what others notice of a thousand wrong passwords a second for one account.

The guesses come from as many addresses as there are guesses. Meanwhile requests go through the proxy at a fixed pace
and other people sign in; what counts is how the proxied requests' 99th percentile changes, and that every login works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import perf_counter

import uvloop

from gateway.cli.workshop import workshop
from gateway.config.load import load_settings
from tests.bench.gateway_side import installed_command
from tests.bench.machine import cpu_seconds, missing_programs, process
from tests.bench.readiness import answering
from tests.bench.slow_clients import serve_pages, watch
from tests.gateways import free_port

CONFIG = """
server:
  listen: 127.0.0.1:{port}
  internal_listen: null
  public_url: http://localhost:{port}
  trusted_proxies: [127.0.0.1]
data_dir: var
logging: {{level: error, format: json}}
routes:
  - {{name: app, match: {{host: localhost}}, access: public, upstream: "http://127.0.0.1:{pages}"}}
"""
PASSWORD = "correct horse battery"
CONNECTIONS = 64


def login(port: int, name: str, password: str, address: str) -> bytes:
    body = json.dumps({"username": name, "password": password}).encode()
    head = (
        f"POST /api/v1/users/login HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
        f"X-Forwarded-For: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answered(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end and return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return int(head[9:12])


async def guess(port: int, rate: int, seconds: float) -> dict[int, int]:
    """Send wrong passwords at ``rate`` a second. Returns how often each status was answered."""
    chance, counts = Random(1), dict[int, int]()
    begun, line = perf_counter(), asyncio.Queue[float](maxsize=rate)

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while await line.get() >= 0:
            address = ".".join(str(chance.randrange(1, 224)) for _ in range(4))
            writer.write(login(port, "ann", f"wrong {chance.random()}", address))
            status = await answered(reader)
            counts[status] = counts.get(status, 0) + 1
        writer.close()

    workers = [asyncio.create_task(worker()) for _ in range(CONNECTIONS)]
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - perf_counter()))
        if not line.full():  # never more in line than a second's worth: the rest counts as not offered
            line.put_nowait(1.0)
    for _ in workers:
        await line.put(-1.0)
    await asyncio.gather(*workers)
    return counts


async def sign_in(port: int, seconds: float) -> tuple[int, int]:
    """Sign others in, twice a second. Returns how many tried and how many were let in."""
    tried = let_in = 0
    until = perf_counter() + seconds
    while perf_counter() < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(login(port, f"user{tried % 5}", PASSWORD, f"192.0.2.{tried % 200 + 1}"))
        let_in += await answered(reader) == 200
        tried += 1
        writer.close()
        await asyncio.sleep(0.5)
    return tried, let_in


async def accounts(config: Path) -> None:
    async with workshop(load_settings(config, {}).settings) as held:
        for name in ("ann", *(f"user{number}" for number in range(5))):
            await held.users.create(name, f"{name}@example.com", PASSWORD, is_verified=True)


async def measured(arguments: argparse.Namespace, directory: Path) -> None:
    with ExitStack() as stack:
        port, pages = free_port(), free_port()
        answering(pages, stack.enter_context(process(serve_pages(directory, pages), directory, "pages")))
        config = directory / "gateway.yaml"
        config.write_text(CONFIG.format(port=port, pages=pages), encoding="utf-8")
        serve = [installed_command(), "serve", "-c", str(config)]
        gateway = stack.enter_context(process(serve, directory, "gateway"))
        answering(port, gateway)
        await accounts(config)
        await watch(port, 2, arguments.rate)
        quiet, alone = await asyncio.gather(
            watch(port, arguments.seconds, arguments.rate), sign_in(port, arguments.seconds)
        )
        before = cpu_seconds(gateway.pid)
        guessing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.brute_force", "--guess", str(port)),
            *("--guesses", str(arguments.guesses), "--seconds", str(arguments.seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
        await asyncio.sleep(1)
        during, meanwhile = await asyncio.gather(
            watch(port, arguments.seconds - 2, arguments.rate), sign_in(port, arguments.seconds - 2)
        )
        cpu = (cpu_seconds(gateway.pid) - before) / arguments.seconds
        counts = json.loads((await guessing.communicate())[0])
    ratio = during.percentile(0.99) / quiet.percentile(0.99)
    print("| | quiet | attacked |\n| --- | --- | --- |")
    print(
        f"| proxied, p50 / p99 in ms | {quiet.percentile(0.5):.1f} / {quiet.percentile(0.99):.1f} "
        f"| {during.percentile(0.5):.1f} / {during.percentile(0.99):.1f} (p99: {ratio:.2f}) |"
    )
    print(f"| proxied, failed | {quiet.failed} | {during.failed} |")
    print(f"| others' logins, let in of tried | {alone[1]} of {alone[0]} | {meanwhile[1]} of {meanwhile[0]} |")
    print(f"| guesses by status; CPU of the gateway | | {counts}; {cpu * 100:.0f}% |")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guesses", type=int, default=1000, help="a second")
    parser.add_argument("--rate", type=int, default=200, help="proxied requests a second of others")
    parser.add_argument("--seconds", type=int, default=15, help="of quiet, and of the attack")
    parser.add_argument("--guess", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


async def main(arguments: argparse.Namespace) -> None:
    if arguments.guess:
        print(json.dumps(await guess(arguments.guess, arguments.guesses, arguments.seconds)))
        return
    if missing := missing_programs(("nginx",)):
        sys.exit(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as directory:
        await measured(arguments, Path(directory))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(parsed()))
