"""What a soak stands on: a gateway that can be asked what it holds, and two upstream servers that can be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.machine import process
from tests.bench.readiness import answering
from tests.gateways import free_port
from tests.soak.holdings import Holdings, settled

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
version: 1
server:
  listen: "127.0.0.1:{port}"
  internal_listen: null
  public_url: "http://localhost:{port}"
  drain_timeout: 1s
passwords: {{bcrypt_cost: 4}}
data_dir: {directory}/gateway
logging: {{level: info}}
upstreams:
  app: {{servers: [{servers}]}}
routes:
  - name: app
    match: {{host: localhost, path: [/echo/**, /bytes/**, /events/**, /socket, /poll, /refuse]}}
    require: {{roles: [user]}}
    identity: {{headers: {{X-Soak-User: "{{username}}"}}}}
    upstream: app
"""


def python(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


@dataclass
class Server:
    """One upstream server, as a process that comes back at the same port."""

    port: int
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        command = python("tests.soak.upstream", str(self.port))
        # What it says of clients that left is no news.
        self._process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        for _ in range(300):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
        raise TimeoutError("an upstream does not start")

    async def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


@dataclass
class Stage:
    """Everything that runs; ``close`` ends it. What the gateway said is in ``gateway.log`` in the directory."""

    directory: Path
    port: int = field(default_factory=free_port)
    servers: Sequence[Server] = field(default_factory=lambda: (Server(free_port()), Server(free_port())))
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def config(self) -> Path:
        return self.directory / "gateway.yaml"

    @property
    def probe(self) -> Path:
        return self.directory / "probe"

    async def open(self) -> None:
        urls = ", ".join(f'"http://127.0.0.1:{server.port}"' for server in self.servers)
        self.config.write_text(CONFIG.format(port=self.port, directory=self.directory, servers=urls))
        await asyncio.gather(*(server.start() for server in self.servers))
        command = python("tests.soak.served", str(self.config), str(self.probe))
        path = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
        started = self._stack.enter_context(process(command, self.directory, "gateway", path))
        await asyncio.to_thread(answering, self.port, started)

    async def quiet(self) -> Holdings:
        """Return what the gateway holds with nobody there; new upstreams have closed its kept connections."""
        for server in self.servers:
            await server.kill()
        held = await asyncio.to_thread(settled, self.probe, kinds=True)
        for server in self.servers:
            await server.start()
        return held

    async def close(self) -> None:
        for server in self.servers:
            await server.kill()
        await asyncio.to_thread(self._stack.close)
