"""Consent in a real browser: to an application on another port and back, with and without JavaScript, on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from socket import AF_INET6, socket
from urllib.parse import urlencode

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from gateway.oauth.state.registry import Rights
from tests.web.asking import Asking, register
from tests.web.chromium import needs_chromium, opened, sign_in
from tests.web.portal import World, serve
from tests.web.test_web_device import waiting

pytestmark = needs_chromium


@dataclass
class Listening:
    """An application of somebody's: it takes answers on addresses of its own, and sends people on to its front page."""

    address: str
    told: list[dict[str, str]] = field(default_factory=list)
    goes_on_to: str = "/"

    @property
    def callback(self) -> str:
        return f"{self.address}/callback"


async def listen(bound: socket, address: str) -> tuple[Listening, web.AppRunner]:
    listening = Listening(address)

    async def callback(request: web.Request) -> web.Response:
        listening.told.append(dict(request.query))
        return web.Response(status=302, headers={"Location": listening.goes_on_to})

    async def front(_: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><title>Wiki</title><h1>Wiki's front page</h1>", content_type="text/html"
        )

    app = web.Application()
    app.add_routes([web.get("/callback", callback), web.get("/", front)])
    return listening, await serve(app, bound)


@pytest.fixture
async def application() -> AsyncIterator[Listening]:
    bound = socket()
    bound.bind(("127.0.0.1", 0))
    listening, runner = await listen(bound, f"http://127.0.0.1:{bound.getsockname()[1]}")
    yield listening
    await runner.cleanup()


async def asking(world: World, application: Listening, rights: Rights | None = None) -> Asking:
    return await register(world, "Wiki", rights or Rights(), redirect_uris=[application.callback])


async def arrived(page: Page) -> None:
    await expect(page.get_by_role("heading")).to_have_text("Wiki's front page")


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_from_the_application_through_login_and_consent_and_back(
    world: World, chromium: Browser, application: Listening, javascript: bool
) -> None:
    wiki = await asking(world, application)
    async with opened(chromium, java_script_enabled=javascript) as page:
        await page.goto(world.url("localhost", wiki.url()))
        await expect(page.locator(".lead")).to_have_text("to continue to Wiki")
        await sign_in(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Allow Wiki to use your account?")
        assert application.told == []
        await page.get_by_role("button", name="Allow").click()
        await arrived(page)
        assert set(application.told[0]) == {"code", "state", "iss"}
        # What was agreed to is not asked again, and a login by itself gets there as well.
        await page.goto(world.url("localhost", wiki.url()))
        await arrived(page)
        await page.goto(world.url("localhost", wiki.url(prompt="login")))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in again")
        await expect(page.get_by_label("Username or e-mail")).to_have_value("ann")
        await expect(page.get_by_label("Password", exact=True)).to_be_focused()
        await sign_in(page)
        await arrived(page)
        assert len(application.told) == 3


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_denied_and_taken_back(world: World, chromium: Browser, application: Listening, javascript: bool) -> None:
    wiki = await asking(world, application)
    async with opened(chromium, java_script_enabled=javascript) as page:
        await page.goto(world.url("localhost", wiki.url()))
        await sign_in(page)
        await page.get_by_role("button", name="Deny").click()
        await arrived(page)
        assert application.told[0]["error"] == "access_denied"
        await page.goto(world.url("localhost", wiki.url()))
        await page.get_by_role("button", name="Allow").click()
        await arrived(page)
        await page.goto(world.url("localhost", "/account"))
        await page.get_by_role("navigation").get_by_role("link", name="Connected applications").click()
        await page.get_by_role("button", name="Take back what Wiki may do").click()
        await expect(page.get_by_role("status")).to_have_text("The application can no longer use your account.")
        await page.goto(world.url("localhost", wiki.url()))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Allow Wiki to use your account?")


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_application_sends_people_on_to_another_origin(
    world: World, chromium: Browser, application: Listening, javascript: bool
) -> None:
    # As one callback does that serves several applications. The form's policy cannot name what is not known.
    application.goes_on_to = f"{application.address.replace('127.0.0.1', 'elsewhere.localhost')}/"
    wiki = await asking(world, application)
    async with opened(chromium, java_script_enabled=javascript) as page:
        for decision in ("Deny", "Allow"):
            await page.goto(world.url("localhost", wiki.url()))
            if decision == "Deny":
                await sign_in(page)
            await page.get_by_role("button", name=decision).click()
            await arrived(page)
            assert page.url == application.goes_on_to
        await page.goto(world.url("localhost", wiki.url(prompt="login")))
        await sign_in(page)
        await arrived(page)
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in again")


async def test_application_on_ipv6_is_reached(world: World, chromium: Browser) -> None:
    bound = socket(AF_INET6)
    try:
        bound.bind(("::1", 0))
    except OSError:
        bound.close()
        pytest.skip("this machine has no ::1")
    application, runner = await listen(bound, f"http://[::1]:{bound.getsockname()[1]}")
    wiki = await asking(world, application)
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", wiki.url()))
        await sign_in(page)
        await page.get_by_role("button", name="Allow").click()
        await arrived(page)
    await runner.cleanup()


async def test_first_party_application_is_reached_from_the_login(
    world: World, chromium: Browser, application: Listening
) -> None:
    wiki = await asking(world, application, Rights(first_party=True))
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", wiki.url()))
        await sign_in(page)
        await arrived(page)


async def test_application_with_a_scheme_of_its_own_is_called(world: World, chromium: Browser) -> None:
    mobile = await register(world, "Mobile", redirect_uris=["com.example.mobile:/callback"])
    async with opened(chromium) as page:
        called: list[str] = []
        page.on("request", lambda request: called.append(request.url))
        await page.goto(world.url("localhost", mobile.url()))
        await sign_in(page)
        await page.get_by_role("button", name="Allow").click()
        for _ in range(100):
            if any(url.startswith("com.example.mobile:/callback?code=") for url in called):
                break
            await page.wait_for_timeout(50)
        else:
            raise AssertionError(called)


async def test_consent_cannot_be_framed(world: World, chromium: Browser, application: Listening) -> None:
    wiki = await asking(world, application)
    page = await chromium.new_page()
    # The same site, so that the frame has the session.
    await page.goto(world.url("localhost", "/login"))
    await sign_in(page)
    await page.goto(application.address.replace("127.0.0.1", "localhost"))
    await page.set_content(f'<iframe src="{world.url("localhost", wiki.url())}"></iframe>')
    await page.frames[1].wait_for_load_state()
    assert await page.frames[1].get_by_role("button", name="Allow").count() == 0
    await page.close()


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
async def test_device_is_connected_by_its_link(world: World, chromium: Browser, javascript: bool) -> None:
    issued = await waiting(world)
    async with opened(chromium, java_script_enabled=javascript) as page:
        await page.goto(world.url("localhost", f"/oauth/device?user_code={issued.user_code}"))
        await sign_in(page)
        await expect(page.get_by_label("Code")).to_have_value(issued.user_code)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator(".caution").first).to_contain_text(issued.user_code)
        await page.get_by_role("button", name="Allow").click()
        await expect(page.get_by_role("heading")).to_have_text("Your device is connected")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_a_phone_and_a_finger(
    world: World, chromium: Browser, application: Listening, scheme: str
) -> None:
    wiki = await register(
        world,
        "A photograph uploader with a long name and Averyveryverylongwordinitthatdoesnotbreak",
        redirect_uris=[application.callback],
        client_uri="https://www.example.com/",
        policy_uri="https://www.example.com/privacy",
        by_itself=True,
    )
    issued = await waiting(world)
    phone = {"width": 390, "height": 844}
    async with opened(chromium, viewport=phone, has_touch=True, is_mobile=True, color_scheme=scheme) as page:
        await page.goto(world.url("localhost", wiki.url("openid profile email roles offline_access")))
        await sign_in(page)
        await expect(page.get_by_role("button", name="Deny")).to_be_visible()
        await fits(page)
        await page.get_by_role("button", name="Allow").click()
        await arrived(page)
        for path in ("/account", "/account/applications", f"/oauth/device?user_code={issued.user_code}"):
            await page.goto(world.url("localhost", path))
            await fits(page)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_role("button", name="Deny")).to_be_visible()
        await fits(page)


async def fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    assert await page.locator("h1").count() == 1
    for control in await page.locator("a:visible:not(.skip), button:visible, summary:visible, input:visible").all():
        box = await control.bounding_box()
        assert box is not None
        assert box["height"] >= 44, await control.inner_text()


async def test_menu_opens_without_javascript(world: World, chromium: Browser) -> None:
    phone = {"width": 390, "height": 844}
    async with opened(chromium, viewport=phone, java_script_enabled=False) as page:
        await page.goto(world.url("localhost", "/account"))
        await sign_in(page)
        link = page.get_by_role("navigation").get_by_role("link", name="Connected applications")
        await expect(link).to_be_hidden()
        await page.get_by_text("Menu").click()
        await link.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Connected applications")


async def test_signing_out_for_an_application_leads_wherever_it_goes_on(
    world: World, chromium: Browser, application: Listening
) -> None:
    application.goes_on_to = f"{application.address.replace('127.0.0.1', 'elsewhere.localhost')}/"
    wiki = await register(world, redirect_uris=[application.callback], post_logout_redirect_uris=[application.callback])
    query = urlencode({"client_id": wiki.client.id, "post_logout_redirect_uri": application.callback})
    async with opened(chromium) as page:
        await page.goto(world.url("localhost", "/login"))
        await sign_in(page)
        await expect(page.get_by_label("Password", exact=True)).to_have_count(0)
        await page.goto(world.url("localhost", f"/oauth/logout?{query}"))
        await page.get_by_role("button", name="Sign out").click()
        await arrived(page)
    assert await world.count() == 0
