"""``python -m gateway.demo``: the sample application alone, for a container or pod beside the gateway."""

from __future__ import annotations

import argparse
import asyncio
import signal

from gateway.demo.application import running


async def _serve(host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with running(host, port):
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.demo", description="Serve the sample application.")
    # Loopback by default: whoever reaches this application directly can claim to be anybody.
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="port to listen on (default: %(default)s)")
    options = parser.parse_args()
    asyncio.run(_serve(options.host, options.port))


if __name__ == "__main__":
    main()
