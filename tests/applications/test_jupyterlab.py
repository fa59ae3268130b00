"""JupyterLab behind the gateway, with the very files of deploy/examples: a kernel over a WebSocket, in a browser."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import WebSocket, expect

from tests.applications.programs import CHROMIUM, EXAMPLES, browser_page, gateway_before, program, sign_in
from tests.gateways import GatewayFactory, Running, free_port

HOST = "lab.localhost"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="jupyterlab is not installed")


@pytest.fixture
async def lab(gateway_factory: GatewayFactory, tmp_path: Path) -> AsyncIterator[Running]:
    """Run JupyterLab with the example's configuration, and a gateway before it."""
    port = free_port()
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    config = tmp_path / "jupyter_server_config.py"
    text = (EXAMPLES / "jupyter_server_config.py").read_text()
    for old, new in {"8888": str(port), "/srv/notebooks": str(notebooks)}.items():
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    # As root it refuses to start unless told; it shall find nothing of the developer's own.
    own = {name: str(tmp_path / name) for name in ("HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", "--config", str(config)]
    async with program(command, port, tmp_path, {**os.environ, **own}):
        yield await gateway_before(gateway_factory, "jupyterlab.yaml", {"127.0.0.1:8888": f"127.0.0.1:{port}"})


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_browser_runs_a_cell_until_it_is_signed_out(lab: Running) -> None:
    bob = await lab.token(await lab.user("bob"))
    assert (await lab.get("/api/status", host=HOST, token=bob)).status == 403
    ann = await lab.user("ann")
    opened: list[WebSocket] = []
    async with browser_page() as page:
        page.on("websocket", lambda socket: opened.append(socket))  # noqa: PLW0108 - a method has no room for its mark
        await page.goto(f"http://{HOST}:{lab.port}/lab")
        await sign_in(page, "ann")
        await page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
        await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
        cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
        await cell.click()
        await page.keyboard.type("print(6 * 7, 'is the answer')")
        await page.keyboard.press("Shift+Enter")
        await expect(page.locator(".jp-OutputArea-output").first).to_have_text("42 is the answer\n", timeout=60_000)
        kernels = [each for each in opened if "/channels" in each.url]
        assert kernels
        assert not kernels[-1].is_closed()
        await lab.gateway.accounts.sessions.revoke_account(ann.id)
        async with asyncio.timeout(20):
            while not all(each.is_closed() for each in kernels):
                await asyncio.sleep(0.05)
