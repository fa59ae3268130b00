"""The pages of applications in a real browser: with and without JavaScript, wide and narrow."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.chromium import needs_chromium, opened, sign_in
from tests.web.portal import World

pytestmark = needs_chromium
CALLBACK = "https://grafana.example.com/login/generic_oauth"


async def register(page: Page, world: World) -> str:
    """Register an application from the empty list on. Returns its secret."""
    await page.goto(world.url("localhost", "/account/clients"))
    await sign_in(page)
    await page.get_by_role("link", name="Register an application").click()
    await page.get_by_label("Name", exact=True).fill("Grafana")
    await page.get_by_label("Where people are sent back to").fill("http://grafana.example.com/")
    await page.get_by_role("button", name="Register application").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Grafana")
    await page.get_by_label("Where people are sent back to").fill(CALLBACK)
    await page.get_by_role("button", name="Register application").click()
    await expect(page.get_by_role("heading")).to_have_text("Grafana is registered")
    return await page.locator("#client-secret").inner_text()


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_an_application_from_its_first_day_to_its_last(world: World, chromium: Browser, javascript: bool) -> None:
    async with opened(chromium, java_script_enabled=javascript) as page:
        first = await register(page, world)
        (client,) = (await world.registry.page()).items
        assert client.has_secret(first, world.clock.now())
        await page.get_by_role("link", name="I have copied it").click()
        await expect(page.locator("#client-secret")).to_have_count(0)
        await page.get_by_label("The present secret stays good").select_option("not at all: it has leaked")
        await page.get_by_role("button", name="Make a new secret").click()
        second = await page.locator("#client-secret").inner_text()
        (client,) = (await world.registry.page()).items
        assert [client.has_secret(each, world.clock.now()) for each in (first, second)] == [False, True]
        await page.get_by_role("link", name="I have copied it").click()
        await page.get_by_role("link", name="Edit").click()
        await page.get_by_text("More settings").click()
        await page.get_by_label("Scopes").fill("openid wiki:read")
        await page.get_by_label("Sign in devices without a browser").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        await expect(page.get_by_role("definition").filter(has_text="openid wiki:read")).to_have_count(1)
        await page.get_by_role("link", name="Delete").click()
        await page.get_by_role("link", name="Keep it").click()
        await page.get_by_role("link", name="Delete").click()
        await page.get_by_role("button", name="Delete Grafana").click()
        await expect(page.get_by_role("status")).to_contain_text("is deleted")
        assert (await world.registry.page()).total == 0


async def test_the_button_copies_the_secret(world: World, chromium: Browser) -> None:
    async with opened(chromium, permissions=["clipboard-read", "clipboard-write"]) as page:
        secret = await register(page, world)
        button = page.locator("[data-copy=client-secret]")
        await button.click()
        await expect(button).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == secret


async def test_without_javascript_there_is_no_button_that_does_nothing(world: World, chromium: Browser) -> None:
    async with opened(chromium, java_script_enabled=False) as page:
        await register(page, world)
        await expect(page.locator("[data-copy=client-secret]")).to_be_hidden()


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1280, "height": 800}},
        {"viewport": {"width": 390, "height": 844}, "has_touch": True},
        {"viewport": {"width": 320, "height": 640}},
        {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
        {"viewport": {"width": 1280, "height": 800}, "forced_colors": "active"},
    ],
    ids=["desktop", "phone", "small-phone", "dark", "forced-colors"],
)
async def test_nothing_is_wider_than_its_window(world: World, chromium: Browser, options: dict[str, Any]) -> None:
    await world.database.execute("update account set roles = array['admin'] where username = 'ann'")
    async with opened(chromium, **options) as page:
        await register(page, world)
        (client,) = (await world.registry.page()).items
        own = f"/account/clients/{client.id}"
        for path in ("/account/clients", "/admin/clients", own, f"{own}/edit", f"{own}/delete", "/admin/clients/new"):
            await page.goto(world.url("localhost", path))
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, path
            small = await page.evaluate(
                "[...document.querySelectorAll('main button, main .small, main select, main textarea, main .check')]"
                ".filter(each => each.offsetParent && each.getBoundingClientRect().height < 44)"
                ".map(each => each.outerHTML)"
            )
            assert small == [], path
