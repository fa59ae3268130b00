"""The demo in a real browser: sent to the login, back where one was headed, live parts working."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.demo.running import Demo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # As root there is no sandbox to be had.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def opened(chromium: Browser, **options: Any) -> Page:
    context = await chromium.new_context(**options)
    context.set_default_timeout(20_000)
    return await context.new_page()


async def sign_in(page: Page, first: Demo, name: str) -> None:
    await page.get_by_label("Username or e-mail").fill(name)
    await page.get_by_label("Password", exact=True).fill(first.password(name))
    await page.get_by_role("button", name="Sign in").click()


async def test_a_browser_lands_where_it_was_headed(first: Demo, chromium: Browser) -> None:
    page = await opened(chromium)
    admin = f"http://localhost:{first.port}/admin?from=link"
    await page.goto(admin)
    await expect(page.get_by_role("heading")).to_have_text("Sign in")
    await sign_in(page, first, "ann")
    await expect(page).to_have_url(admin)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Hello, ann")
    # The other name has a session of its own, and asks for no password.
    other = f"http://app.localhost:{first.port}/"
    await page.goto(other)
    await expect(page).to_have_url(other)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Hello, ann")
    await page.get_by_role("link", name="Sign out").click()
    await page.goto(other)
    await expect(page.get_by_role("heading")).to_have_text("Sign in")
    await page.context.close()


async def test_events_and_messages_reach_the_page(first: Demo, chromium: Browser) -> None:
    page = await opened(chromium)
    await page.goto(f"http://localhost:{first.port}/")
    await sign_in(page, first, "bob")
    await expect(page.locator("#clock")).to_have_text(re.compile(r"UTC, for bob"))
    await page.get_by_label("Message").fill("<b>hi</b>")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#said")).to_contain_text("bob: <b>hi</b>")
    await page.context.close()


async def test_who_lacks_the_role_sees_why_not(first: Demo, chromium: Browser) -> None:
    page = await opened(chromium)
    answer = await page.goto(f"http://localhost:{first.port}/admin")
    assert answer is not None
    await sign_in(page, first, "bob")
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")
    assert "Hello" not in await page.inner_text("body")
    await page.context.close()


@pytest.mark.parametrize("path", ["/", "/admin", "/public"])
async def test_the_sample_page_fits_a_phone(first: Demo, chromium: Browser, path: str) -> None:
    page = await opened(chromium, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    await page.goto(f"http://localhost:{first.port}{path}")
    if path != "/public":
        await sign_in(page, first, "ann")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Hello")
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    for control in await page.locator("header a, button, input").all():
        box = await control.bounding_box()
        assert box is not None
        assert box["height"] >= 44, await control.inner_text()
    await page.context.close()
