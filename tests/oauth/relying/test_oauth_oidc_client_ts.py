"""A single-page application with oidc-client-ts in Chromium, which asks all of the gateway across origins."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright, expect

from tests.gateways import PASSWORD
from tests.oauth.op import Op
from tests.oauth.relying.applications_page import PORTAL, Section

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
EXAMPLE = "https://board.example.com"


@pytest.fixture
async def app(op: Op, scripts: Path) -> AsyncIterator[str]:
    """Serve the application that docs/oauth/applications.md shows, and give its address."""
    shown: list[str] = []

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=shown[0], content_type="text/html")

    async def library(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(scripts / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js")

    application = web.Application()
    application.add_routes([web.get("/", page), web.get("/oidc-client-ts.min.js", library)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        # Another site than the gateway's "localhost", for cookies, too.
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        section = Section.under("In the browser: oidc-client-ts", {EXAMPLE: url, PORTAL: op.metadata["issuer"]})
        client = await section.register(op)
        html = section.blocks["html"].replace("CLIENT_ID", client.client_id)
        shown.append(html.replace("const manager =", "const manager = window.manager ="))
        yield f"{url}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Open a page that must not complain of a policy."""
    async with async_playwright() as playwright:
        # As root there is no sandbox to be had.
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await chromium.new_context()
        context.set_default_timeout(15_000)
        page = await context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        assert [text for text in said if "policy" in text or "Error" in text] == []
        await chromium.close()


async def sign_in(page: Page) -> None:
    await page.get_by_label("Username or e-mail").fill("ann")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def begin(page: Page, app: str) -> None:
    """Sign in to the application for the first time."""
    await page.goto(app)
    await expect(page.get_by_role("heading")).to_have_text("Nobody")
    await page.get_by_role("button", name="Sign in").click()
    await sign_in(page)
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading")).to_have_text("Hello ann")


async def test_a_single_page_application_signs_in_and_renews(op: Op, app: str) -> None:
    async with browser() as page:
        await begin(page, app)
        user: dict[str, Any] = await page.evaluate("manager.getUser()")
        assert user["profile"]["sub"] == (await op.person()).id
        # Only the userinfo endpoint says this.
        assert user["profile"]["email"] == "ann@example.com"

        renewed: dict[str, Any] = await page.evaluate("manager.signinSilent()")
        assert renewed["access_token"] != user["access_token"]
        assert renewed["refresh_token"] != user["refresh_token"]
        assert renewed["profile"]["sub"] == user["profile"]["sub"]


async def test_a_single_page_application_signs_out(app: str) -> None:
    async with browser() as page:
        await begin(page, app)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(f"{app}?bye")
        await expect(page.get_by_role("heading")).to_have_text("Nobody")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading")).to_have_text("Sign in")


async def test_a_refusal_at_the_consent_page_comes_back_as_an_error(app: str) -> None:
    async with browser() as page:
        await page.goto(app)
        await page.get_by_role("button", name="Sign in").click()
        await sign_in(page)
        await page.get_by_role("button", name="Deny").click()
        await page.wait_for_url(f"{app}?*")
        assert "error=access_denied" in page.url
