"""The account's pages in Chromium: on a phone without JavaScript, and with what JavaScript adds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser as Chromium

from gateway.accounts.changes import Changes
from tests.web.chromium import needs_chromium, opened, sign_in
from tests.web.portal import PASSWORD, World

PAGES = ("", "/profile", "/password", "/sessions", "/tokens", "/tokens/new", "/data", "/data/delete")
LONG = "a-rather-long-username-that-somebody-has"
NEW = "another good passphrase"


@needs_chromium
@pytest.mark.timeout(120)
async def test_a_phone_without_javascript_reaches_everything(world: World, chromium: Chromium) -> None:
    await world.users.change(world.ann.id, Changes(roles=["admin"]))
    await world.users.create(LONG, f"{LONG}@department.of.something.example.com", None)
    phone = {"width": 390, "height": 844}
    async with opened(chromium, viewport=phone, java_script_enabled=False, accept_downloads=True) as page:
        await page.goto(world.url("localhost", "/login?rd=/account"))
        await sign_in(page)
        for path in (*(f"/account{each}" for each in PAGES), "/admin/users", f"/admin/users/{LONG}"):
            answer = await page.goto(world.url("localhost", path))
            assert answer is not None
            assert answer.status == 200
            assert await page.locator("html").evaluate("page => page.scrollWidth") <= phone["width"], path
        await page.goto(world.url("localhost", "/account/tokens/new"))
        await page.get_by_label("Name").fill("backup")
        await page.get_by_role("button", name="Make the token").click()
        assert (await page.locator("#token").inner_text()).startswith("gwt_")
        await page.goto(world.url("localhost", "/account/data"))
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download my data").click()
        copy = json.loads(Path(await (await download.value).path()).read_text())
        assert [token["name"] for token in copy["api_tokens"]] == ["backup"]


@needs_chromium
@pytest.mark.timeout(120)
async def test_a_password_is_shown_while_it_is_typed_and_changed(world: World, chromium: Chromium) -> None:
    async with opened(chromium, color_scheme="dark") as page:
        await page.goto(world.url("localhost", "/login?rd=/account/password"))
        await sign_in(page)
        await page.get_by_label("Present password").fill(PASSWORD)
        await page.get_by_label("New password").fill(NEW)
        await page.get_by_role("button", name="Show").click()
        assert await page.get_by_label("New password").get_attribute("type") == "text"
        await page.get_by_role("button", name="Change the password").click()
        await page.get_by_text("Your password is changed").wait_for()
        await page.goto(world.url("localhost", "/account/sessions"))
        await page.get_by_role("button", name="Sign out everywhere").click()
        await page.get_by_role("button", name="Sign in", exact=True).wait_for()
