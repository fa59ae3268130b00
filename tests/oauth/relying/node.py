"""Programs in node: one that plays a flow and asks for a person meanwhile, or one that serves."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

# Goes to an address as a person does, and returns where that ends.
Visit = Callable[[str], Awaitable[str]]
_SECONDS = 30


@asynccontextmanager
async def running(*command: str, directory: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run a program for as long as the block lasts."""
    environment = {**os.environ, "NODE_ENV": "production", **(environ or {})}
    # What it complains about goes where the test's own output goes, and pytest shows it.
    process = await asyncio.create_subprocess_exec(*command, cwd=directory, env=environment, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def served(script: str, *, directory: Path, **environ: str) -> AsyncIterator[None]:
    """Run a server, from when it says that it listens."""
    async with running("node", script, directory=directory, environ=environ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_SECONDS):
            assert await process.stdout.readline() == b"listening\n"
        yield


async def play(directory: Path, flow: str, settings: Mapping[str, Any], visit: Visit) -> Any:
    """Play a flow of ``openid_client.mjs`` and return its result; ``visit`` goes where it sends people."""
    async with running("node", "openid_client.mjs", flow, directory=directory) as process, asyncio.timeout(_SECONDS):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        async for line in process.stdout:
            said = json.loads(line)
            if "browse" not in said:
                assert "failure" not in said, said["failure"]
                return said["result"]
            process.stdin.write(json.dumps(await visit(said["browse"])).encode() + b"\n")
            await process.stdin.drain()
    raise AssertionError(f"{flow} ended without a result")
