"""Radicale as its users run it: a process of its own that believes one header."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateways import GatewayFactory, Running, free_port, gateway_factory

__all__ = ["gateway_factory"]

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "config/examples/radicale.yaml"
START_SECONDS = 30.0
CONFIG = """
[server]
hosts = 127.0.0.1:{port}
[auth]
type = http_x_remote_user
[rights]
type = owner_only
[storage]
filesystem_folder = {directory}/collections
[logging]
level = warning
"""


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    while True:
        assert process.returncode is None, "Radicale ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return


@pytest.fixture
async def radicale_port(tmp_path: Path) -> AsyncIterator[int]:
    """Run Radicale until the test is over, and give its port."""
    port = free_port()
    config = tmp_path / "radicale.conf"
    config.write_text(CONFIG.format(port=port, directory=tmp_path))
    command = (sys.executable, "-W", "ignore", "-m", "radicale", "--config", str(config))
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await asyncio.wait_for(_listening(port, process), START_SECONDS)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def calendars(gateway_factory: GatewayFactory, radicale_port: int) -> Running:
    """Serve the example configuration, in front of the Radicale that runs."""
    example = EXAMPLE.read_text()
    assert "http://127.0.0.1:5232" in example
    sections = example[example.index("\nupstreams:") :]
    return await gateway_factory(sections.replace("http://127.0.0.1:5232", f"http://127.0.0.1:{radicale_port}"))
