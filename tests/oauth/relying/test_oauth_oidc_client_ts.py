"""A single-page application with oidc-client-ts in Chromium, which asks all of the gateway across origins."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright, expect

from tests.gateways import PASSWORD
from tests.oauth.op import Op

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
# The application: who is signed in, and a manager to do the rest with.
PAGE = """<!doctype html><title>App</title><h1></h1>
<script src="/oidc-client-ts.js"></script>
<script type="module">
const at = location.origin
window.events = []
window.manager = new oidc.UserManager({
  authority: "%(issuer)s",
  client_id: "%(client_id)s",
  redirect_uri: `${at}/`,
  post_logout_redirect_uri: `${at}/?bye`,
  scope: "openid profile email offline_access",
  loadUserInfo: true,
})
manager.events.addUserLoaded(() => events.push("loaded"))
if (new URLSearchParams(location.search).has("code")) {
  await manager.signinCallback()
  history.replaceState({}, "", "/")
}
const user = await manager.getUser()
document.querySelector("h1").textContent = user ? `Hello ${user.profile.preferred_username}` : "Nobody"
</script>"""


@dataclass
class App:
    """The application as it is served, and the client that it is."""

    url: str
    client_id: str


@pytest.fixture
async def app(op: Op, scripts: Path) -> AsyncIterator[App]:
    made: dict[str, str] = {}

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE % {"issuer": op.metadata["issuer"], **made}, content_type="text/html")

    async def library(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(scripts / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js")

    application = web.Application()
    application.add_routes([web.get("/", page), web.get("/oidc-client-ts.js", library)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        # Another site than the gateway's "localhost", for cookies, too.
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        client = await op.client(
            auth_method="none",
            requires_pkce=True,
            first_party=False,
            redirect_uris=[url],
            post_logout_redirect_uris=[f"{url}?bye"],
        )
        made["client_id"] = client.client_id
        yield App(url, client.client_id)
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


async def begin(page: Page, app: App) -> None:
    """Sign in to the application for the first time."""
    await page.goto(app.url)
    await expect(page.get_by_role("heading")).to_have_text("Nobody")
    await page.evaluate("void manager.signinRedirect()")
    await sign_in(page)
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading")).to_have_text("Hello ann")


async def test_a_single_page_application_signs_in_and_renews(op: Op, app: App) -> None:
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


async def test_a_single_page_application_signs_out(app: App) -> None:
    async with browser() as page:
        await begin(page, app)
        await page.evaluate("void manager.signoutRedirect()")
        await expect(page).to_have_url(f"{app.url}?bye")
        await expect(page.get_by_role("heading")).to_have_text("Nobody")
        await page.evaluate("void manager.signinRedirect()")
        await expect(page.get_by_role("heading")).to_have_text("Sign in")


async def test_a_refusal_at_the_consent_page_comes_back_as_an_error(app: App) -> None:
    async with browser() as page:
        await page.goto(app.url)
        await page.evaluate("void manager.signinRedirect()")
        await sign_in(page)
        await page.get_by_role("button", name="Deny").click()
        await page.wait_for_url(f"{app.url}?*")
        assert "error=access_denied" in page.url
