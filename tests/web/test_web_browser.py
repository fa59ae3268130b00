"""The pages in a real browser: Chromium, with and without JavaScript, by keyboard, across hosts."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, expect

from gateway.web.return_to import ReturnTo
from tests.web.chromium import needs_chromium, opened, sign_in
from tests.web.portal import PASSWORD, Portals, World
from tests.web.test_web_return_to import CORPUS

pytestmark = needs_chromium

APP = "app.localhost"


async def cookie(context: BrowserContext, host: str, name: str = "gateway") -> dict[str, Any] | None:
    found = [dict(each) for each in await context.cookies(f"http://{host}/") if each["name"] == name]
    return found[0] if found else None


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_login_logout_and_back(world: World, chromium: Browser, javascript: bool) -> None:
    async with opened(chromium, java_script_enabled=javascript) as page:
        await page.goto(world.url("localhost", "/reports?year=2026"))
        before = await cookie(page.context, "localhost", "gateway-form")
        assert before is not None
        await sign_in(page, "wrong")
        await expect(page.get_by_role("alert")).to_contain_text("do not belong together")
        await expect(page.get_by_role("alert")).to_be_focused()
        await expect(page.get_by_label("Username or e-mail")).to_have_value("ann")
        await expect(page.get_by_label("Password", exact=True)).to_have_value("")
        assert await cookie(page.context, "localhost") is None
        await sign_in(page)
        await expect(page).to_have_url(world.url("localhost", "/reports?year=2026"))
        session = await cookie(page.context, "localhost")
        assert session is not None
        assert (session["httpOnly"], session["sameSite"], session["expires"]) == (True, "Lax", -1)
        await page.goto(world.url("localhost", "/logout"))
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading")).to_have_text("You are signed out")
        assert await cookie(page.context, "localhost") is None
        await page.goto(world.url("localhost", "/reports"))
        await expect(page.get_by_role("heading")).to_have_text("Sign in")


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_registration(world: World, chromium: Browser, javascript: bool) -> None:
    async with opened(chromium, java_script_enabled=javascript) as page:
        await page.goto(world.url(APP, "/docs"))
        await page.get_by_role("link", name="Create an account").click()
        await page.get_by_label("Username").fill("ann")
        await page.get_by_label("E-mail").fill("bea@example.com")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Create account").click()
        await expect(page.get_by_role("alert")).to_be_focused()
        await expect(page.get_by_label("Username")).to_have_accessible_description("This username is taken.")
        await page.get_by_label("Username").fill("bea")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Create account").click()
        await expect(page.get_by_role("heading")).to_have_text(f"Hello bea on {APP}")


async def test_keyboard_alone_signs_in(world: World, chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", "/reports"))
        await expect(page.get_by_label("Username or e-mail")).to_be_focused()
        await page.keyboard.type("ann")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Show password")).to_be_focused()
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Forgotten password?")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(world.url("localhost", "/reports"))
        session = await cookie(page.context, "localhost")
        assert session is not None
        assert session["expires"] > 0  # the space bar ticked "Keep me signed in"


async def test_password_can_be_shown_and_is_hidden_when_sent(world: World, chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", "/login"))
        password = page.get_by_label("Password", exact=True)
        await password.fill("what I typed")
        button = page.get_by_role("button", name="Show password")
        await button.click()
        await expect(password).to_have_attribute("type", "text")
        await expect(button).to_have_attribute("aria-pressed", "true")
        await expect(password).to_be_focused()
        await button.click()
        await expect(password).to_have_attribute("type", "password")


async def test_button_that_needs_javascript_is_absent_without_it(world: World, chromium: Browser) -> None:
    async with opened(chromium, java_script_enabled=False) as page:
        await page.goto(world.url("localhost", "/login"))
        await expect(page.locator("#show")).to_be_hidden()


async def test_one_login_serves_three_hosts(world: World, chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.goto(world.url(APP, "/docs?page=2"))
        await expect(page.locator(".lead")).to_have_text(f"to continue to {APP}")
        await sign_in(page)
        await expect(page).to_have_url(world.url(APP, "/docs?page=2"))
        for host in ("127.0.0.1", "localhost"):
            await page.goto(world.url(host, "/other"))
            await expect(page.get_by_role("heading")).to_have_text(f"Hello ann on {host}")
        cookies = [await cookie(page.context, host) for host in (APP, "127.0.0.1", "localhost")]
        assert len({each["value"] for each in cookies if each}) == 3
        # A link of the application signs out of all of them.
        await page.goto(world.url(APP, "/docs"))
        await page.get_by_role("link", name="Sign out").click()
        await expect(page.get_by_role("heading")).to_have_text("You are signed out")
        assert await world.count() == 0
        for host in ("127.0.0.1", "localhost"):
            await page.goto(world.url(host, "/other"))
            await expect(page.get_by_role("heading")).to_have_text("Sign in")


async def test_link_of_another_site_asks_before_signing_out(world: World, chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.goto(world.url(APP, "/docs"))
        await sign_in(page)
        await expect(page).to_have_url(world.url(APP, "/docs"))
        # localhost and app.localhost are different sites, so this click is another site's.
        await page.goto(world.url("localhost", "/"))
        await page.evaluate(f"location.href = '{world.url(APP, '/.gateway/sign_out')}'")
        await expect(page.get_by_role("heading")).to_have_text("Sign out?")
        assert await world.count() == 2
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading")).to_have_text("You are signed out")
        assert await world.count() == 0


async def test_form_of_another_site_cannot_sign_anybody_in(world: World, chromium: Browser) -> None:
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", "/login"))  # the browser holds the form's cookie
        token = await page.locator("[name=csrf_token]").get_attribute("value")
        await page.goto("about:blank")
        await page.set_content(
            f'<form method="post" action="{world.url("localhost", "/login")}"><input name="username" value="ann">'
            f'<input name="password" value="{PASSWORD}"><input name="csrf_token" value="{token}">'
            "<button>Win</button></form>"
        )
        await page.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_contain_text("open for too long")
        assert await world.count() == 0


async def test_pages_cannot_be_framed(world: World, chromium: Browser) -> None:
    page = await chromium.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.set_content(f'<iframe src="{world.url("localhost", "/login")}"></iframe>')
    await page.frames[1].wait_for_load_state()
    assert await page.frames[1].get_by_label("Password").count() == 0
    assert any("frame-ancestors 'none'" in text for text in said)
    await page.close()


@pytest.mark.parametrize("path", ["/login", "/register", "/logout", "/error/403"])
async def test_page_fits_a_phone_and_a_finger(world: World, chromium: Browser, path: str) -> None:
    async with opened(chromium, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True) as page:
        await page.goto(world.url("localhost", path))
        assert await page.evaluate("document.documentElement.scrollWidth") == 320
        for control in await page.locator("a, button:visible, label.check, input:visible:not([type=checkbox])").all():
            box = await control.bounding_box()
            assert box is not None
            assert box["height"] >= 44, await control.inner_text()
        for size in await page.locator("input").evaluate_all("(all) => all.map((e) => getComputedStyle(e).fontSize)"):
            assert size == "16px"


async def test_every_control_has_a_name_and_its_autocomplete(world: World, chromium: Browser) -> None:
    expected = {
        "/login": {"username": "username webauthn", "password": "current-password"},
        "/register": {"username": "username", "email": "email", "password": "new-password"},
    }
    async with opened(chromium) as page:
        for path, fields in expected.items():
            await page.goto(world.url("localhost", path))
            for field, autocomplete in fields.items():
                control = page.locator(f"#{field}")
                await expect(control).to_have_attribute("autocomplete", autocomplete)
                await expect(control).to_have_accessible_name(re.compile(r"\w"))
            assert await page.locator("main").count() == 1
            assert await page.locator("h1").count() == 1
            assert await page.evaluate("document.documentElement.lang") == "en"


async def test_what_is_allowed_is_read_by_the_browser_as_we_read_it(
    portals: Portals, chromium: Browser, client: aiohttp.ClientSession
) -> None:
    routes = [{"match": {"host": "www.whitelisteddomain.tld"}, "upstream": "http://127.0.0.1:9"}]
    world = await portals.open(routes=routes)
    port = world.port
    return_to = ReturnTo(world.settings.server, world.rules.hosts, [])
    attacks = [
        form for line in CORPUS for form in (line, f"/{line}", f"http://www.whitelisteddomain.tld:{port}/{line}")
    ]
    allowed = [found for found in map(return_to.read, attacks) if found is not None]
    assert allowed
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", "/login"))
        read = await page.evaluate(
            "(urls) => urls.map((url) => new URL(url, location.href).host)", [found.url for found in allowed]
        )
    assert set(read) <= {f"localhost:{port}", f"www.whitelisteddomain.tld:{port}"}
