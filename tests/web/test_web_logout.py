"""Signing out: asked first, done everywhere, and only when the person meant it."""

from __future__ import annotations

import pytest

from tests.web.portal import Browser, World

APP = "app.localhost"
CLICK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
async def everywhere(world: World, browser: Browser) -> Browser:
    """A browser that is signed in on two hosts."""
    await browser.sign_in()
    await browser.follow(await browser.get(world.url(APP, "/")), at=APP)
    assert await world.count() == 2
    return browser


async def test_get_asks_and_post_does_it(world: World, everywhere: Browser) -> None:
    page = await everywhere.get("/logout")
    assert "You are signed in as <strong>ann</strong>" in page.text
    assert await world.count() == 2
    answer = await everywhere.send("POST", "/logout", data={"csrf_token": page.token})
    assert answer.status == 303
    assert await world.count() == 0
    assert everywhere.secret() is None
    done, _ = await everywhere.follow(answer)
    assert "You are signed out" in done.text


async def test_logout_at_the_portal_ends_the_session_of_every_host(world: World, everywhere: Browser) -> None:
    secret = everywhere.secret(APP) or ""
    await everywhere.submit("/logout", {})
    assert await world.sessions.find(secret, APP) is None
    assert (await everywhere.get(world.url(APP, "/"))).status == 302


async def test_logout_leaves_other_browsers_signed_in(world: World, browser: Browser, stranger: Browser) -> None:
    await browser.sign_in()
    await stranger.sign_in()
    await browser.submit("/logout", {})
    assert (await stranger.get("/")).status == 200


async def test_deletion_carries_the_cookie_s_attributes(browser: Browser) -> None:
    await browser.sign_in()
    cookie = (await browser.submit("/logout", {})).cookies["gateway"]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")


async def test_logout_without_its_token_does_nothing(world: World, browser: Browser) -> None:
    await browser.sign_in()
    for fields in ({}, {"csrf_token": "A" * 64}, {"csrf_token": (await browser.get("/logout")).token[:-4] + "AAAA"}):
        answer = await browser.send("POST", "/logout", data=fields)
        assert answer.status == 403
        assert "This page has expired" in answer.text
    assert await world.count() == 1


async def test_logout_token_of_another_session_does_nothing(world: World, browser: Browser, stranger: Browser) -> None:
    await browser.sign_in()
    await stranger.sign_in()
    token = (await stranger.get("/logout")).token
    assert (await browser.send("POST", "/logout", data={"csrf_token": token})).status == 403
    assert await world.count() == 2


async def test_logout_when_not_signed_in_says_so(browser: Browser) -> None:
    page = await browser.get("/logout")
    assert "You are signed out" in page.text
    assert (await browser.send("POST", "/logout", data={})).status == 303


async def test_stale_cookie_is_deleted_by_the_logout_page(browser: Browser) -> None:
    browser.jar["localhost"] = {"gateway": "A" * 43}
    await browser.get("/logout")
    assert browser.secret() is None


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_sign_out_link_of_the_application_ends_everything(
    world: World, everywhere: Browser, method: str, site: str
) -> None:
    link = world.url(APP, "/.gateway/sign_out")
    answer = await everywhere.send(method, link, {**CLICK, "Sec-Fetch-Site": site})
    assert "You are signed out" in answer.text
    assert await world.count() == 0
    assert everywhere.secret(APP) is None
    assert (await everywhere.get("/")).status == 302


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({**CLICK, "Sec-Fetch-Site": "cross-site"}, id="link-of-another-site"),
        pytest.param({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, id="image"),
        pytest.param({**CLICK, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "iframe"}, id="frame"),
        pytest.param({**CLICK, "Sec-Fetch-Site": "none", "Sec-Purpose": "prefetch"}, id="prefetch"),
        pytest.param({}, id="old-browser"),
    ],
)
async def test_sign_out_asks_when_the_person_may_not_have_meant_it(
    world: World, everywhere: Browser, headers: dict[str, str]
) -> None:
    link = world.url(APP, "/.gateway/sign_out")
    page = await everywhere.send("GET", link, headers)
    assert "Sign out?" in page.text
    assert await world.count() == 2
    refused = await everywhere.send("POST", link, data={"csrf_token": "A" * 64})
    assert "Sign out?" in refused.text
    assert await world.count() == 2
    done = await everywhere.send("POST", link, data={"csrf_token": page.token})
    assert "You are signed out" in done.text
    assert await world.count() == 0


async def test_cross_site_post_to_sign_out_asks(world: World, everywhere: Browser) -> None:
    link = world.url(APP, "/.gateway/sign_out")
    answer = await everywhere.send("POST", link, {**CLICK, "Sec-Fetch-Site": "cross-site"})
    page, _ = await everywhere.follow(answer, at=APP)
    assert "Sign out?" in page.text
    assert await world.count() == 2


async def test_signed_out_page_of_a_host_leads_back_to_it(world: World, everywhere: Browser) -> None:
    headers = {**CLICK, "Sec-Fetch-Site": "same-origin"}
    page = await everywhere.send("GET", world.url(APP, "/.gateway/sign_out"), headers)
    assert f'href="http://localhost:{world.port}/login?rd=http%3A%2F%2Fapp.localhost%3A{world.port}%2F"' in page.text
