"""Real applications as processes, and a browser before them."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.gateways import PASSWORD, GatewayFactory, Running, free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def program(
    command: Sequence[str], port: int, directory: Path, environ: Mapping[str, str] | None = None
) -> AsyncIterator[None]:
    """Run a program that listens on ``port`` while the block runs; what it says is in ``program.log``."""
    with (directory / "program.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=directory, env=environ)
        try:
            await _answering(port, process)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(20):
                await process.wait()


async def _answering(port: int, process: asyncio.subprocess.Process) -> None:
    for _ in range(1200):
        if process.returncode is not None:
            raise RuntimeError(f"it ended with code {process.returncode}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            # Nobody listens yet, and the kernel may give the call the very port that it calls: then it reaches itself.
            itself = writer.get_extra_info("sockname") == writer.get_extra_info("peername")
            writer.close()
            await writer.wait_closed()
            if not itself:
                return
    raise TimeoutError("it does not answer")


async def gateway_before(factory: GatewayFactory, example: str, changes: Mapping[str, str]) -> Running:
    """Serve with an example's routes; ``changes`` are texts of it and what stands for them here."""
    text = (EXAMPLES / example).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    # The test gives ports and places of its own.
    text = re.sub(r"^server:\n(?:  .*\n)+|^(?:version|data_dir):.*\n", "", text, flags=re.MULTILINE)
    return await factory(text, SERVER__INTERNAL_LISTEN=f"127.0.0.1:{free_port()}")


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        # As root there is no sandbox to be had.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(30_000)
        try:
            yield page
        finally:
            await browser.close()


async def sign_in(page: Page, name: str) -> None:
    """Fill the gateway's form, which is open."""
    await page.get_by_label("Username or e-mail").fill(name)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
